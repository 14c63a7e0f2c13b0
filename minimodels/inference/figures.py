"""Two pictures of the cache: what it saves at each token, and what it costs in memory."""

import matplotlib.pyplot as plt
import numpy as np

from minimodels.inference.caches import SHAPES

BLUE, VERMILION = "#0072B2", "#D55E00"  # Okabe & Ito 2008


def stream_times(comparison: dict):
    """Milliseconds of each token with and without cache, from `stream.compare`; a Figure."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for way, color, line in (("uncached", VERMILION, "--"), ("cached", BLUE, "-")):
        cost = comparison[way]
        numbers = range(1, len(cost["milliseconds"]) + 1)
        label = f"{way}: {cost['token_forwards']:,} tokens through the model"
        axes.plot(numbers, cost["milliseconds"], line, color=color, label=label)
    axes.set(xlabel="new token", ylabel="ms for this token", ylim=(0, None))
    axes.legend()
    axes.set_title("Without a cache, the price of a token climbs")
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure


def cache_sizes(length: int, batch: int = 1, memory_gb: float = 80):
    """GB of weights and of cache in bf16 for each model of `caches.SHAPES`; a Figure."""
    figure, axes = plt.subplots(figsize=(8.5, 4.2), layout="constrained")
    rows = np.arange(len(SHAPES))
    weights = np.array([2 * shape.parameters / 1e9 for shape in SHAPES])
    caches = np.array([shape.bytes(length, batch) / 1e9 for shape in SHAPES])
    axes.barh(rows + 0.2, weights, 0.38, color="0.75", label="weights")
    axes.barh(rows - 0.2, caches, 0.38, color=BLUE, label="cache")
    for row, size in zip(rows, caches, strict=True):
        axes.annotate(f"{size:.3g}", (size, row - 0.2), (3, 0), textcoords="offset points",
                      va="center", fontsize=10)
    axes.axvline(memory_gb, color="black", linewidth=0.8, linestyle=":")
    axes.annotate(f"one H100, {memory_gb:.0f} GB", (memory_gb, -0.75), (3, 0), fontsize=10,
                  textcoords="offset points", va="center")
    axes.set_yticks(rows, [shape.name for shape in SHAPES])
    axes.set(xscale="log", xlim=(1e-3, 3e4), ylim=(len(SHAPES) - 0.4, -1), xlabel="GB in bf16")
    axes.legend(loc="lower right", fontsize=10)
    larger = int((caches > weights).sum())
    texts = "One text" if batch == 1 else f"{batch} texts"
    axes.set_title(f"{texts} of {length:,} tokens: the cache outweighs the weights of "
                   f"{larger} of {len(SHAPES)} models")
    plt.close(figure)
    return figure
