"""Notebooks and labs: written here, handed out and in by student/, graded by grading/."""
