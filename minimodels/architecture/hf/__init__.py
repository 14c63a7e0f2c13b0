"""The Hugging Face layout: how each family spells its config.json and its tensors."""
