"""Stage 08, evaluation: how good is it, really."""
