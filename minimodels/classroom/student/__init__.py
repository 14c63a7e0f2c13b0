"""What a student types: start, check, submit, progress."""
