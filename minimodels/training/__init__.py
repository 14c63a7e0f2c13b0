"""Stage 04, training: making a model learn, and keeping the run alive."""
