"""Stage 03: configs, layers, families, checkpoints, generation and scoring."""
