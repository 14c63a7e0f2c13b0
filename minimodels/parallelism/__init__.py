"""Stage 05, parallelism: one model, many devices."""
