"""One small decoder, five ways to tell it positions: trained on 64 bytes, read to 512.

    none         nothing; the causal mask alone tells a token how many came before it
    learned      a row for each position, of which only the first 64 are ever trained
    sinusoidal   waves added to the embedding
    alibi        a penalty on the scores that grows with the distance
    rope         queries and keys turned by their position

Everything else is the same: weights, data, order. What counts is not the loss of a late byte but
how much dearer it is than in the same text cut into pieces of 64: forgetting is always possible.
Shapes: B batch, T time, D hidden, H heads.
"""

import pydoc_data.topics

import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from minimodels.architecture import masks, positions
from minimodels.architecture.attention import attend
from minimodels.architecture.mlp import GeGLU
from minimodels.architecture.norms import RMSNorm
from minimodels.architecture.rope import rotate, rotation

SCHEMES = ("none", "learned", "sinusoidal", "alibi", "rope")
D, LAYERS, HEADS = 64, 2, 4
TRAINED, LONGEST, BIN = 64, 512, 32  # tokens trained, tokens read, tokens a point of the curve
STEPS, BATCH, PEAK = 1000, 16, 5e-3


class Reader(nn.Module):
    """A causal byte model of two layers that differs from the others in its positions alone."""

    def __init__(self, scheme: str):
        super().__init__()
        self.scheme = scheme
        self.embed = nn.Embedding(256, D)
        self.layers = nn.ModuleList(Layer(scheme) for _ in range(LAYERS))
        self.norm, self.head = RMSNorm(D, 1e-6), nn.Linear(D, 256, bias=False)
        nn.init.normal_(self.embed.weight, std=0.5)
        self.table = nn.Embedding(LONGEST, D)  # of "learned"; drawn by all, so that all begin alike
        nn.init.normal_(self.table.weight, std=0.5)

    def forward(self, tokens, window: int | None = None):
        """(B, T) -> logits (B, T, 256). window: how many tokens back attention may look."""
        at = torch.arange(tokens.shape[1])
        x = self.embed(tokens)
        if self.scheme == "learned":
            x = x + self.table(at)
        if self.scheme == "sinusoidal":
            x = x + positions.sinusoidal(at, D)
        seen = masks.window(len(at), window or len(at))  # (T, T)
        if self.scheme == "alibi":
            bias = positions.alibi(HEADS, at, at)  # (H, T, T)
            seen = bias.masked_fill(~seen, float("-inf"))
        turn = rotation(at[None], D // HEADS, 10_000.0, x.dtype)
        for layer in self.layers:
            x = layer(x, turn, seen)
        return self.head(self.norm(x))


class Layer(nn.Module):
    """Norm, attention, norm, MLP, as everywhere; only "rope" turns queries and keys."""

    def __init__(self, scheme: str):
        super().__init__()
        self.turns = scheme == "rope"
        self.attention_norm, self.mlp_norm = RMSNorm(D, 1e-6), RMSNorm(D, 1e-6)
        self.qkv, self.out = nn.Linear(D, 3 * D, bias=False), nn.Linear(D, D, bias=False)
        self.mlp = GeGLU(D, 2 * D)

    def forward(self, x, turn, seen):
        heads = self.qkv(self.attention_norm(x)).unflatten(-1, (3, HEADS, -1))
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # (3, B, H, T, d)
        if self.turns:
            q, k = rotate(q, *turn), rotate(k, *turn)
        x = x + self.out(attend(q, k, v, seen).transpose(1, 2).flatten(2))
        return x + self.mlp(self.mlp_norm(x))


def prose():
    """English that is on every machine, Python's help texts, as bytes: (train, held out)."""
    text = " ".join(" ".join(pydoc_data.topics.topics.values()).split())
    data = torch.tensor(list(text.encode("utf-8")))
    return data[: -len(data) // 6], data[-len(data) // 6 :]


def trained(scheme: str, seed: int = 0, steps: int = STEPS, length: int = TRAINED) -> Reader:
    """A Reader after `steps` steps on `length` bytes; one seed gives all schemes the same data."""
    data, _ = prose()
    torch.manual_seed(seed)
    model = Reader(scheme)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, steps, pct_start=0.1)
    draw = torch.Generator().manual_seed(seed)
    for _ in tqdm(range(steps), scheme, leave=False, disable=steps < 500):
        start = torch.randint(len(data) - length, (BATCH, 1), generator=draw)
        batch = data[start + torch.arange(length + 1)]  # (B, T+1)
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def by_position(model, length: int = LONGEST, window: int | None = None, texts: int = 96):
    """Loss in nats of each byte of held-out texts, by its position: (texts, length)."""
    read = held_out(length, texts)
    losses = [nats(model, some, window) for some in read.split(32)]
    return torch.cat(losses)


@torch.no_grad()
def recut(model, length: int = LONGEST, trained: int = TRAINED, texts: int = 96):
    """The same bytes where the model forgets: it reads pieces of `trained` bytes that overlap by
    half, and each byte counts where it has more context. (texts, length)
    """
    half = trained // 2
    pieces = held_out(length, texts).unfold(1, trained + 1, half)  # (texts, pieces, trained + 1)
    losses = torch.stack([nats(model, piece) for piece in pieces.unbind(1)], dim=1)
    return torch.cat((losses[:, 0], losses[:, 1:, half:].flatten(1)), dim=1)


def held_out(length: int, texts: int):
    """Texts the model was not trained on, spread evenly: (texts, length + 1)."""
    _, data = prose()
    start = torch.linspace(0, len(data) - length - 1, texts).long()[:, None]
    return data[start + torch.arange(length + 1)]


def nats(model, texts, window: int | None = None):
    """Loss of each byte that follows: (B, T + 1) -> (B, T)."""
    logits = model(texts[:, :-1], window)  # (B, T, V)
    return F.cross_entropy(logits.transpose(1, 2), texts[:, 1:], reduction="none")


def cost_of_reading_on(model, window: int | None = None, trained: int = TRAINED,
                       length: int = LONGEST, texts: int = 96):  # fmt: skip
    """Nats by which each position is dearer than with the text cut into pieces: (length,)."""
    whole = by_position(model, length, window, texts)
    return (whole - recut(model, length, trained, texts)).mean(0)


def binned(values, size: int = BIN) -> list[float]:
    """The curve in points of `size` positions, rounded for a file."""
    return [round(value, 3) for value in values.unflatten(0, (-1, size)).mean(1).tolist()]


def run(seed: int = 0) -> dict:
    """{scheme: [what a seed found, …]}: the loss inside, and curves of what reading on costs."""
    found = {scheme: [] for scheme in SCHEMES}
    for scheme in SCHEMES:
        for one in (seed, seed + 1):
            model = trained(scheme, one)
            found[scheme].append({
                "inside": round(by_position(model, TRAINED).mean().item(), 3),
                "whole": binned(cost_of_reading_on(model)),
                "window": binned(cost_of_reading_on(model, window=TRAINED)),
            })  # fmt: skip
    return {"bin": BIN, "trained": TRAINED, "schemes": found}
