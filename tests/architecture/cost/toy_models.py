"""Small models of every family: shapes in which no two sizes are alike, so no factor hides."""

import dataclasses

import torch
from torch.nn import functional as F

from minimodels.architecture.build import build
from minimodels.architecture.configs import CONFIGS, pattern

SMALL = dict(vocab_size=301, hidden_size=40, intermediate_size=112, num_layers=3, num_heads=6,
             num_kv_heads=2, head_dim=8, max_length=256)  # fmt: skip
TOYS = {
    "gemma": dict(of="gemma-7b", num_kv_heads=1),
    "gemma 2": dict(of="gemma-2-2b", layer_types=pattern(3, 2), sliding_window=20),
    "gemma 3": dict(of="gemma-3-4b", layer_types=pattern(3, 3), sliding_window=20),
    "nemotron": dict(of="nemotron-4-15b"),
    "minitron": dict(of="minitron-4b", num_kv_heads=3),
    "llama 2": dict(of="llama-2-7b", num_kv_heads=6),
    "llama 3": dict(of="llama-3-8b"),
    "mixtral": dict(of="mixtral-8x7b", num_experts=5),
}


def toy(name: str):
    """The small config of that name."""
    changes = dict(TOYS[name])
    return dataclasses.replace(CONFIGS[changes.pop("of")], **(SMALL | changes))


def built(name: str, dtype=torch.float32):
    """The config of a toy and a model of it, its weights in `dtype`."""
    torch.manual_seed(0)
    config = toy(name)
    return config, build(config, device="cpu").to(dtype)


def texts(config, batch: int, length: int):
    """Random tokens (B, T) and as many targets in a row."""
    tokens = torch.randint(config.vocab_size, (batch, length))
    return tokens, torch.randint(config.vocab_size, (batch * length,))


def loss(model, tokens, targets):
    """The mean loss in nats, as a training step computes it."""
    return F.cross_entropy(model(tokens).flatten(0, 1), targets)
