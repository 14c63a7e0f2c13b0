"""From what students hand in to grades: take in, rebuild, judge, record, report."""
