"""Does cheaper memory cost quality? Models of one size on the texts of the mini-world.

Ten decoders of equal parameter count, which differ in what their four layers remember, are trained
on the same batches; compared are the loss on documents they have not read and the numbers kept.
"""

import itertools

import torch
from torch.nn import functional as F
from tqdm.auto import tqdm

from minimodels.data.documents import documents
from minimodels.data.world import World
from minimodels.experiments.mixers import Mixed, Sizes, equal_size, numbers_kept, parameters
from minimodels.training.trainer import TrainConfig, train

MODELS = {
    "multi-head": ("mha",) * 4,
    "2 key heads": ("gqa",) * 4,
    "1 key head": ("mqa",) * 4,
    "latent": ("mla",) * 4,
    "shared": ("mha", "mha", "shared", "shared"),
    "windows, 1 full": ("window", "window", "window", "mha"),
    "linear": ("linear",) * 4,
    "delta rule": ("delta",) * 4,
    "Mamba-2": ("mamba2",) * 4,
    "hybrid, 1 full": ("delta", "delta", "delta", "mha"),
}
LENGTH, BATCH = 128, 8
RECIPE = TrainConfig(steps=300, learning_rate=0.01, warmup_steps=30, optimizer="muon")
BASE = Sizes(256, hidden_size=64, num_heads=4, head_dim=16, intermediate_size=192, window=16,
             latent=24)  # fmt: skip


def text(seed: int, count: int):
    """Bytes of `count` documents about one world; another seed tells it in other documents."""
    told = itertools.islice(documents(World(seed=1, people=40), seed=seed), count)
    return torch.tensor(list("\n".join(document["text"] for document in told).encode()))


def windows(ids, seed: int):
    """Batches for `train`: windows of the text at places drawn from the step alone."""

    def batch(step: int):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        starts = torch.randint(len(ids) - LENGTH, (BATCH,), generator=generator)
        rows = torch.stack([ids[start : start + LENGTH + 1] for start in starts])
        return rows[:, :-1], rows[:, 1:]

    return batch


@torch.no_grad()
def loss(model, ids, rows: int = 128) -> float:
    """Nats a byte on the first `rows` windows of a text."""
    cut = ids[: rows * LENGTH + 1]
    inputs, targets = cut[:-1].view(rows, LENGTH), cut[1:].view(rows, LENGTH)
    return F.cross_entropy(model.eval()(inputs).flatten(0, 1), targets.flatten()).item()


def learn(kinds, sizes: Sizes, ids, seed: int, recipe=RECIPE):
    """A model of these mixers after `recipe` on the text."""
    torch.manual_seed(seed)
    model = Mixed(kinds, sizes)
    for _ in train(model, windows(ids, seed), recipe, progress=False):
        pass
    return model


def run(seed: int = 0) -> dict:
    """{model: {"parameters", "kept": {bytes read: numbers}, "loss": nats a byte}}"""
    read, unread = text(0, 6000), text(1, 300)
    size, table = parameters(MODELS["multi-head"], BASE), {}
    for name, kinds in MODELS.items():
        sizes = equal_size(kinds, BASE, size)
        kept = {str(n): sum(numbers_kept(kind, sizes, n) for kind in kinds) for n in (LENGTH, 8192)}
        table[name] = {"parameters": parameters(kinds, sizes), "kept": kept}
    for name, kinds in tqdm(MODELS.items()):
        model = learn(kinds, equal_size(kinds, BASE, size), read, seed)
        table[name]["loss"] = round(loss(model, unread), 4)
    return table
