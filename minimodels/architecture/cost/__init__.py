"""What a model costs: by formula from its config alone, and counted while it runs."""
