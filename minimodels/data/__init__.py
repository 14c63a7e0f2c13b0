"""Stage 02, data: from the web to tokens."""
