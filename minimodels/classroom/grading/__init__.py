"""From a student's code to a record: judged in a box, one by one or a whole batch."""
