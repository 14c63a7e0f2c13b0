"""Associative recall: a list of key-value pairs, then keys. Which value stood behind each?

Attention keeps every pair. A layer with a fixed state must fit them all into it. One block of each
mixer is trained on lists of 4 to 64 pairs, and asked about each length (arXiv 2312.04927).
Shapes: B lists of n pairs, T = 3n tokens: n keys and values in turn, then the n keys shuffled.
"""

from dataclasses import replace

import torch
from tqdm.auto import tqdm

from minimodels.experiments.mixers import Mixed, Sizes, numbers_kept, parameters
from minimodels.training.trainer import IGNORED, TrainConfig, train

KEYS, VALUES = 96, 16  # tokens 0 … 95 are keys, 96 … 111 values
SIZES = Sizes(KEYS + VALUES, hidden_size=64, num_heads=1, head_dim=16, window=32, latent=16)
KINDS = ("mha", "mla", "window", "linear", "delta", "mamba2")
PAIRS = (4, 8, 16, 32, 64)
TOKENS = 3072  # a step
RECIPE = TrainConfig(steps=600, learning_rate=0.02, warmup_steps=30, weight_decay=0.0,
                     optimizer="muon")  # fmt: skip
OTHER_STATES = (8, 32)  # rows of the delta rule's state, beside 16


def lists(n: int, batch: int, generator):
    """tokens (B, 3n) and targets (B, 3n): IGNORED, but the right value at each asked key."""
    keys = torch.rand(batch, KEYS, generator=generator).argsort(1)[:, :n]  # no key twice
    values = KEYS + torch.randint(VALUES, (batch, n), generator=generator)
    order = torch.rand(batch, n, generator=generator).argsort(1)
    pairs = torch.stack((keys, values), dim=2).flatten(1)  # (B, 2n)
    tokens = torch.cat((pairs, keys.gather(1, order)), dim=1)
    unasked = torch.full_like(pairs, IGNORED)
    return tokens, torch.cat((unasked, values.gather(1, order)), dim=1)


class Lists:
    """Batches for `train`: another number of pairs each step, drawn from the step alone."""

    def __init__(self, seed: int, pairs=PAIRS, tokens: int = TOKENS):
        self.seed, self.pairs, self.tokens = seed, pairs, tokens

    def __call__(self, step: int):
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        n = self.pairs[step % len(self.pairs)]
        return lists(n, max(8, min(128, self.tokens // (3 * n))), generator)


def learn(kind: str, seed: int, sizes=SIZES, batches=None, recipe=RECIPE):
    """A model of one such block, trained on lists."""
    torch.manual_seed(seed)
    model = Mixed((kind,), sizes)
    for _ in train(model, batches or Lists(seed), recipe, progress=False):
        pass
    return model


@torch.no_grad()
def accuracy(model, n: int, asked: int = 4096) -> float:
    """Share of asked keys whose value the model ranks first, in lists it has not seen."""
    tokens, targets = lists(n, max(8, asked // n), torch.Generator().manual_seed(987))
    right = model.eval()(tokens).argmax(-1) == targets
    return right[targets != IGNORED].float().mean().item()


def row(kind: str, seeds, sizes=SIZES) -> dict:
    """{"parameters", "kept": numbers kept after 64 pairs, "accuracy": {n: [one a seed]}}"""
    models = [learn(kind, seed, sizes) for seed in tqdm(seeds, desc=f"{kind} {sizes.head_dim}")]
    return {
        "parameters": parameters((kind,), sizes),
        "kept": numbers_kept(kind, sizes, 2 * max(PAIRS)),
        "accuracy": {str(n): [round(accuracy(model, n), 4) for model in models] for n in PAIRS},
    }


def run(seed: int = 0) -> dict:
    """{"mixers": {kind: row}, "states": {rows of the state: row of the delta rule}}; two seeds."""
    seeds = (seed, seed + 1)
    mixers = {kind: row(kind, seeds) for kind in KINDS}
    others = {d: row("delta", seeds, replace(SIZES, head_dim=d)) for d in OTHER_STATES}
    states = {SIZES.head_dim: mixers["delta"], **others}
    return {"mixers": mixers, "states": {str(d): states[d] for d in sorted(states)}}
