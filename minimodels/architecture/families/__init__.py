"""One file a family: what makes a decoder a Gemma, a Nemotron, a LLaMA."""
