"""Pictures of a decoder: its parts and shapes, the sizes of its numbers, and what it costs.

Colors are Okabe & Ito's (2008), told apart by every eye. Each function returns a closed Figure.
Legend: B batch, T time, D hidden, F intermediate, H heads, K kv heads, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from minimodels.architecture.configs import DecoderConfig
from minimodels.architecture.count import SHAPES, cache_bytes, count

BLUE, VERMILION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
MARKERS = ("o", "s", "^", "D")  # so that gray prints read as well


def decoder(config: DecoderConfig):
    """The whole model in one line: a stream that blocks read from and add to."""
    D, V = f"{config.hidden_size:,}", f"{config.vocab_size:,}"
    figure, axes = _drawing(9.2, 3.9, (0, 105), (0, 40))
    axes.annotate(
        "", (96, 29), (11, 29), zorder=1, arrowprops=dict(arrowstyle="-|>", lw=6, color=SKY)
    )
    axes.text(53, 31.2, f"residual stream (B, T, {D})", ha="center", color=BLUE, fontsize=12)
    _box(axes, 1, 25, 12, 8, f"embedding\n{V} × {D}", ORANGE)
    _box(axes, 74, 26, 6, 6, "norm", "0.85")
    _box(axes, 82, 25, 12, 8, f"head\n{D} × {V}", ORANGE if config.tie_embeddings else VERMILION)
    axes.text(96.5, 29, f"logits\n(B, T,\n{V})", va="center", fontsize=10)
    axes.text(7, 22.5, "tokens (B, T)", ha="center", fontsize=10)
    K, H, d = config.num_kv_heads, config.num_heads, config.head_dim
    keys = "1 key/value head" if K == 1 else f"{K} key/value heads"
    _branch(axes, 19, "attention", f"{H} query heads,\n{keys},\neach {d} wide", BLUE)
    width = f"{config.intermediate_size:,}"
    shape = f"{D} → {width} → {D}\n{SHAPES[config.family].matrices} matrices"
    _branch(axes, 45, "MLP", shape, GREEN)
    axes.add_patch(plt.Rectangle((17, 1), 55, 34, fill=False, ls="--", ec="0.5"))
    axes.text(44.5, 37.5, f"one block, {config.num_layers} times", ha="center", fontsize=12)
    return _done(figure)


def _branch(axes, x: float, name: str, shape: str, color: str) -> None:
    """Read the stream at x, norm, compute, add back: the half of a block."""
    arrow = dict(arrowstyle="-|>", lw=1.6, color="0.3")
    axes.annotate("", (x + 3, 18), (x + 3, 28.5), arrowprops=arrow)
    _box(axes, x, 12, 6, 6, "norm", "0.85")
    axes.annotate("", (x + 8, 15), (x + 6, 15), arrowprops=arrow)
    _box(axes, x + 8, 10.5, 12, 9, name, color, "white")
    axes.text(x + 11, 8.7, shape, ha="center", va="top", fontsize=10)
    axes.annotate(
        "",
        (x + 23, 27.5),
        (x + 20, 15),
        arrowprops=arrow | dict(connectionstyle="angle,angleA=0,angleB=90"),
    )
    axes.plot(x + 23, 29, "o", ms=16, mfc="white", mec="0.3")
    axes.text(x + 23, 28.9, "+", ha="center", va="center", fontsize=13)


def heads(groups: Mapping[str, int], queries: int = 8):
    """Which key/value head serves which query head, for {name: number of kv heads}."""
    figure, axes = plt.subplots(1, len(groups), figsize=(9, 2.3), layout="constrained")
    for panel, (name, kv) in zip(axes, groups.items(), strict=True):
        at = np.arange(queries)
        centers = at.reshape(kv, -1).mean(1)
        for query in at:
            panel.plot([query, centers[query * kv // queries]], [1, 0], color="0.6", zorder=0)
        panel.scatter(at, np.ones(queries), 130, color=BLUE, marker="s")
        panel.scatter(centers, np.zeros(kv), 130, color=VERMILION)
        panel.set(title=f"{name}: {kv} of {queries} remembered", xlim=(-1, queries))
        panel.set(ylim=(-0.35, 1.35), xticks=[], yticks=[0, 1], yticklabels=["key, value", "query"])
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0)
    return _done(figure)


def activations(curves: Mapping[str, object]):
    """Scalar functions over −3 … 2; zero lies on the axis."""
    import torch

    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    x = torch.linspace(-3, 2, 501)
    for (name, curve), style in zip(curves.items(), ("-", "--", "-."), strict=False):
        color = {"-": BLUE, "--": ORANGE, "-.": VERMILION}[style]
        axes.plot(x, curve(x), style, color=color, lw=2.2, label=name)
    axes.axhline(0, color="0.7", lw=0.8, zorder=0)
    axes.set(xlabel="input", ylabel="output", ylim=(-0.4, 4.2))
    axes.set_title("Left of zero, the squared ReLU is exactly 0; the others are only small")
    axes.legend(fontsize=11)
    return _done(figure)


def streams(ledgers: Mapping[str, Mapping[str, float]]):
    """Shares of the final stream by who wrote them: {model: {"token", "attention", "MLPs"}}."""
    figure, axes = plt.subplots(figsize=(9, 2.2), layout="constrained")
    colors = dict(zip(next(iter(ledgers.values())), (ORANGE, BLUE, GREEN), strict=True))
    for row, parts in enumerate(ledgers.values()):
        left, total = 0.0, sum(parts.values())
        for part, size in parts.items():
            share = 100 * size / total
            label = part if row == 0 else None
            axes.barh(row, share, left=left, color=colors[part], label=label)
            if share > 3:
                axes.text(
                    left + share / 2,
                    row,
                    f"{share:.0f}%",
                    ha="center",
                    va="center",
                    color="black" if part == "token" else "white",
                    fontsize=12,
                )
            left += share
    axes.set_yticks(range(len(ledgers)), list(ledgers), fontsize=11)
    axes.set(xlim=(0, 100), ylim=(len(ledgers) - 0.5, -0.5), xlabel="% of the final stream")
    axes.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, -0.32), frameon=False)
    tokens = [100 * parts["token"] / sum(parts.values()) for parts in ledgers.values()]
    told = " and ".join(
        f"{share:.0f}% in {name}" for share, name in zip(tokens, ledgers, strict=True)
    )
    axes.set_title(f"Before training, the token itself is {told}")
    return _done(figure)


def lines(
    curves: Mapping[str, tuple[Sequence, Sequence]],
    points: Mapping[str, tuple[Sequence, Sequence]],
    title: str,
    xlabel: str,
    ylabel: str,
    blind: float,
    ticks: Sequence[float],
):
    """Predicted curves, measured points in the same color, and the blind guess; x logarithmic."""
    figure, axes = plt.subplots(figsize=(8, 3.8), layout="constrained")
    for name, color in zip(dict(curves) | dict(points), (BLUE, VERMILION, GREEN), strict=False):
        if name in curves:
            axes.plot(*curves[name], color=color, label=f"{name}, predicted")
        if name in points:
            marker = MARKERS[(BLUE, VERMILION, GREEN).index(color)]
            axes.plot(*points[name], marker, color=color, ms=8, label=f"{name}, measured")
    axes.axhline(blind, color="black", ls=":", lw=1, label=f"blind guess, {blind:.2f}")
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel, xscale="log")
    axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
    axes.minorticks_off()
    axes.legend(fontsize=10)
    return _done(figure)


def by_distance(parts: Mapping[str, Sequence[float]], title: str):
    """Parts of an attention score against the distance 0, 1, … between key and query."""
    figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    styles = ((BLUE, "-"), (VERMILION, "--"), ("black", ":"))
    for (name, values), (color, line) in zip(parts.items(), styles, strict=False):
        axes.plot(range(len(values)), values, line, color=color, lw=2, label=name)
    axes.set(title=title, xlabel="distance of key and query in tokens", ylabel="part of the score")
    axes.set_ylim(0, None)
    axes.legend(fontsize=10, loc="lower left")
    return _done(figure)


def idle(shares: Mapping[str, Mapping[int, float]], title: str):
    """Percent of MLP numbers that are zero for every one of n tokens, {series: {n: share}}."""
    figure, axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
    colors = ("0.5", VERMILION, BLUE)
    for (name, row), color, marker in zip(shares.items(), colors, MARKERS, strict=False):
        percent = [100 * share for share in row.values()]
        axes.plot(list(row), percent, marker=marker, color=color, label=name)
    axes.set(title=title, xlabel="tokens computed together", xscale="log", ylim=(0, 100))
    axes.set_xticks(list(row), [f"{n:,}" for n in row])
    axes.minorticks_off()
    axes.set_ylabel("% zero for all of them")
    axes.legend(fontsize=10)
    return _done(figure)


def parameters(models: Mapping[str, DecoderConfig], title: str):
    """Shares of the parameters by part, one bar a model, its size at the end."""
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.7 * len(models)), layout="constrained")
    colors = {"embedding": ORANGE, "attention": BLUE, "mlp": GREEN}
    for row, config in enumerate(models.values()):
        left, size = 0.0, count(config)
        for part, color in colors.items():
            width = 100 * getattr(size, part) / size.total
            axes.barh(row, width, left=left, color=color, label=part if row == 0 else None)
            if width > 4:
                axes.text(
                    left + width / 2,
                    row,
                    f"{width:.0f}%",
                    ha="center",
                    va="center",
                    color="black" if part == "embedding" else "white",
                    fontsize=11,
                )
            left += width
        unit, letter = (1e9, "B") if size.total >= 1e8 else (1e6, "M")
        axes.text(101, row, f"{size.total / unit:,.2f}{letter}", va="center", fontsize=11)
    axes.set_yticks(range(len(models)), list(models), fontsize=11)
    axes.set(xlim=(0, 112), ylim=(len(models) - 0.5, -0.5), xticks=[])
    axes.spines[:].set_visible(False)
    axes.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.45, 0.0), frameon=False)
    axes.set_title(title)
    return _done(figure)


def memory(config: DecoderConfig, name: str, length: int):
    """GB of weights and of one text's cache in bf16, for each number of kv heads that divides."""
    figure, axes = plt.subplots(figsize=(8.5, 3.4), layout="constrained")
    variants = _kv_variants(config)[::-1]
    weights = np.array([2 * count(one).total / 1e9 for one in variants])
    caches = np.array([cache_bytes(one, length) / 1e9 for one in variants])
    rows = np.arange(len(variants))
    axes.barh(rows, weights, color="0.8", label="weights")
    axes.barh(rows, caches, left=weights, color=BLUE, label=f"cache of {length:,} tokens")
    for row, (weight, cache) in enumerate(zip(weights, caches, strict=True)):
        axes.text(weight + cache, row, f" {weight:.2f} + {cache:.2f}", va="center", fontsize=10)
    axes.set_yticks(rows, [f"{one.num_kv_heads}" for one in variants])
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, 1.35 * (weights + caches).max()))
    axes.set(xlabel="GB in bf16", ylabel="key/value heads")
    axes.legend(loc="center right", fontsize=10)
    cache, weight = caches[variants.index(config)], weights[variants.index(config)]
    axes.set_title(
        f"{name}, {config.num_kv_heads} key/value heads: {length:,} tokens cost "
        f"{cache:.2f} GB, {100 * cache / weight:.0f}% of its weights"
    )
    return _done(figure)


def conversations(config: DecoderConfig, name: str, length: int, memory_gb: float):
    """How many texts of `length` tokens fit beside the weights, for each number of kv heads."""
    figure, axes = plt.subplots(figsize=(8.5, 3.4), layout="constrained")
    variants = _kv_variants(config)
    fitting = [texts_that_fit(one, length, memory_gb) for one in variants]
    here = variants.index(config)
    colors = [VERMILION if one == config else "0.75" for one in variants]
    bars = axes.bar([str(one.num_kv_heads) for one in variants], fitting, color=colors)
    axes.bar_label(bars, [f"{fit:,}" for fit in fitting], fontsize=10)
    axes.set(
        yscale="log",
        xlabel="key/value heads",
        ylabel="texts at once",
        ylim=(max(0.5, min(fitting) / 2), 2.5 * max(fitting)),
    )
    axes.set_title(
        f"{name}, {length:,} tokens a text, {memory_gb:,.0f} GB: "
        f"{fitting[here]:,} texts with {config.num_kv_heads} key/value heads,\n"
        f"{fitting[-1]:,} with one for each of the {config.num_heads} query heads"
    )
    return _done(figure)


def texts_that_fit(config: DecoderConfig, length: int, memory_gb: float) -> int:
    """Caches of `length` tokens that fit beside the weights, both in bf16."""
    return int((memory_gb * 1e9 - 2 * count(config).total) // cache_bytes(config, length))


def _kv_variants(config: DecoderConfig) -> list[DecoderConfig]:
    """The same model with every number of kv heads that divides its query heads."""
    divisors = [kv for kv in range(1, config.num_heads + 1) if config.num_heads % kv == 0]
    return [replace(config, num_kv_heads=kv) for kv in divisors]


def _drawing(width: float, height: float, xlim, ylim):
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    axes.set(xlim=xlim, ylim=ylim)
    axes.axis("off")
    return figure, axes


def _box(axes, x, y, width, height, text, color, ink="black") -> None:
    axes.add_patch(plt.Rectangle((x, y), width, height, fc=color, ec="0.3", zorder=2))
    axes.text(
        x + width / 2,
        y + height / 2,
        text,
        ha="center",
        va="center",
        color=ink,
        fontsize=11,
        zorder=3,
    )


def _done(figure):
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure
