"""Transformers' own models as the reference: see minimodels/experiments/peers.py."""

from minimodels.experiments.peers import SHAPES, peer, tokens_for, unsettle

__all__ = ["SHAPES", "peer", "tokens_for", "unsettle"]
