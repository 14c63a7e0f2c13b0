"""Pictures as tokens: cut into patches (siglip), squeezed and turned into words (projector)."""
