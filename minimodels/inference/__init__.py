"""Stage 07, inference: fast, small, far-reaching."""
