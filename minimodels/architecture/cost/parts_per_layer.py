"""The parts of Gemma 3n and 4: a token told to every layer again, keys that layers share.

What their files families/per_layer.py, gemma3n.py, gemma4.py and altup.py add to a decoder stands
here as matrices and as numbers kept a token. Legend: D hidden, L layers, P per-layer numbers, N
streams of Gemma 3n, d head, E experts.
"""

from minimodels.architecture.configs import FULL, SLIDING
from minimodels.architecture.configs.gemma3n import Gemma3nConfig, PerLayerConfig
from minimodels.architecture.cost.parts import (
    Attention,
    Embedding,
    Experts,
    Extra,
    Mlp,
    Norm,
    Part,
    head,
)

FORM, BARE = "wide", "wide, no weight"


def per_layer_parts(config: PerLayerConfig) -> list[Part]:
    """The parts of a model, in the order in which a token meets them."""
    streams = isinstance(config, Gemma3nConfig)
    layer_parts = _gemma3n_layer if streams else _gemma4_layer
    found: list[Part] = [Embedding("embedding", scaled=True), *_told(config)]
    found += [_spread(config)] if streams else []
    for layer in range(config.num_layers):
        found += layer_parts(config, layer)
    found += [_gather(config)] if streams else []
    return [*found, _norm(config), head(config)]


def _norm(config, size: int | None = None, rows: int = 1, form: str = FORM, again=False) -> Norm:
    return Norm("norms", size or config.hidden_size, form, rows, again)


def _told(config) -> list[Part]:
    """The second table: rows looked up, a projection, a norm, and what all layers read of both."""
    D, L, P = config.hidden_size, config.num_layers, config.per_layer_size
    if P is None:
        return []
    scalars = 4 if isinstance(config, Gemma3nConfig) else 1  # that it keeps as tensors
    return [
        Extra("embedding", (("told", D, L * P),), numbers=L * P, wide=2, copied=D, fixed=scalars),
        _norm(config, P, L),
    ]  # fmt: skip


def _attention(config, layer: int) -> list[Part]:
    kind, H = config.kinds[layer], config.num_heads
    d, K, shares = config.head_size(kind), config.kv_heads(kind), config.shares(layer)
    one = getattr(config, "k_eq_v", False) and kind == FULL
    window = config.sliding_window if kind == SLIDING else None
    attention = Attention(
        "attention", config.hidden_size, H, K, d, window, shares=shares, k_eq_v=one
    )
    own = [] if shares else [_norm(config, d, K), _norm(config, d, K, BARE, again=one)]
    return [attention, _norm(config, d, H), *own]


def _gate(config) -> list[Part]:
    """The small MLP whose second branch was looked up, and its norm."""
    D, P = config.hidden_size, config.per_layer_size
    products = (("per-layer gate", D, P), ("per-layer out", P, D))
    return [Extra("mlp", products, numbers=D + 3 * P), _norm(config)]


def _gemma4_layer(config, layer: int) -> list[Part]:
    norm, D = _norm(config), config.hidden_size
    found = [norm, *_attention(config, layer), norm, norm,
             Mlp("mlp", D, config.width(layer), "gated"), norm]  # fmt: skip
    if config.num_experts:
        E, k = config.num_experts, config.experts_per_token
        found += [
            _norm(config, again=True), _norm(config, form=BARE, again=True), norm, norm,
            Extra("mlp", numbers=D + k, wide=k),  # the router's scales
            Experts("mlp", D, config.expert_size, "gated", E, k),
        ]  # fmt: skip
    return found + (_gate(config) if config.per_layer_size else [])


def _gemma3n_layer(config, layer: int) -> list[Part]:
    norm, D, N, r = _norm(config), config.hidden_size, config.num_streams, config.laurel_rank
    predict = Extra(
        "attention",
        (("modality", D, N), ("prediction", N, N * N), ("mix of streams", N, N * D)),
        numbers=D + N * N + N * D, wide=N, copied=N, fixed=N**3 + 1,
    )  # fmt: skip
    correct = Extra(
        "attention", (("modality", D, N), ("correction", N, N)),
        numbers=D + N + D + N * D, wide=N, copied=N, fixed=N * N + 1,
    )  # fmt: skip
    laurel = Extra("attention", (("left", D, r), ("right", r, D)), numbers=r)
    of_predicted = Extra("norms", viewed=(N - 1) * D)  # the norm's input is one stream of N
    form = "cut" if config.cut(layer) else "gated"
    return [
        _norm(config, again=True), predict, norm, of_predicted, *_attention(config, layer),
        laurel, norm, norm, norm, Mlp("mlp", D, config.width(layer), form), norm,
        norm, correct, *_gate(config),
    ]  # fmt: skip


def _spread(config) -> Extra:
    """One vector becomes N: projections, and their sizes set to that of the first."""
    D, N = config.hidden_size, config.num_streams
    products = tuple((f"stream {n}", D, D) for n in range(1, N))
    return Extra("embedding", products, numbers=1 + (N - 1) * (2 * D + 2), viewed=D)


def _gather(config) -> Extra:
    """N vectors become one: the mean of as many projections."""
    D, N = config.hidden_size, config.num_streams
    products = tuple((f"stream {n}", D, D) for n in range(1, N))
    return Extra("head", products, numbers=1 + N * D + (N - 1) * (2 * D + 2))
