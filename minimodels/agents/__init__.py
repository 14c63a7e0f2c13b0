"""Stage 09, agents: a model that acts."""
