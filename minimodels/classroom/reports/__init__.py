"""From records to what people read: grades, feedback, the class report, nbgrader's gradebook."""
