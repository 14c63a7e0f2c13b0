"""Stage 06, finetuning: from a base model to an assistant."""
