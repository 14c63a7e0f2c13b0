"""Labs: release, check, judge."""
