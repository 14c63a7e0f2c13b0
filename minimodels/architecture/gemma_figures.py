"""Pictures of Gemma's generations: which layers slide, what a cap does, how slowly pairs turn.

Colors are Okabe & Ito's (2008); letters and line styles repeat what they say.
"""

import math
from dataclasses import replace

import matplotlib.pyplot as plt
import torch

from minimodels.architecture.configs.base import FULL, SLIDING, DecoderConfig, pattern
from minimodels.architecture.count import cache_bytes
from minimodels.architecture.rope import frequencies
from minimodels.cluster.demo import live

BLUE, VERMILION, SKY = "#0072B2", "#D55E00", "#56B4E9"
LETTERS = {FULL: "F", SLIDING: "s"}


def layers(configs: dict[str, DecoderConfig]):
    """A row of layers for each model: F sees everything, s slides, pale ones have no keys."""
    figure, axes = plt.subplots(figsize=(9.5, 0.52 * len(configs) + 1.2), layout="constrained")
    for row, (name, config) in enumerate(configs.items()):
        axes.text(-0.8, row + 0.42, name, ha="right", va="center", fontsize=11)
        for place, kind in enumerate(config.kinds):
            pale = config.kv_shape(place) is None
            color = VERMILION if kind == FULL else SKY
            axes.add_patch(
                plt.Rectangle(
                    (place, row), 0.92, 0.8, fc=color, ec="0.4", alpha=0.35 if pale else 1.0
                )
            )
            axes.text(
                place + 0.46,
                row + 0.42,
                LETTERS[kind],
                ha="center",
                va="center",
                fontsize=8,
                color="white" if kind == FULL and not pale else "black",
            )
    longest = max(config.num_layers for config in configs.values())
    axes.set(xlim=(-0.3, longest + 0.2), ylim=(len(configs), -0.2))
    axes.axis("off")
    figure.suptitle(
        "Ever fewer layers keep every token\n"
        "F: keeps every token · s: keeps a window · pale: no keys of its own",
        fontsize=11,
    )
    plt.close(figure)
    return figure


def caps(caps_: tuple[float, ...] = (30.0, 50.0)):
    """cap · tanh(x / cap): the line it follows for small x, the bound it never passes."""
    figure, axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
    x = torch.linspace(-150, 150, 301)
    axes.plot(x, x, color="0.6", lw=1, label="no cap")
    for cap, color, style in zip(caps_, (BLUE, VERMILION), ("-", "--"), strict=True):
        axes.plot(x, cap * torch.tanh(x / cap), style, color=color, lw=2.5, label=f"cap {cap:g}")
        axes.axhline(cap, color=color, lw=0.8, ls=":")
    axes.set(ylim=(-70, 70), xlabel="score or logit", ylabel="what is used")
    axes.legend(fontsize=10)
    axes.set_title("A soft cap bends what is large and leaves what is small")
    plt.close(figure)
    return figure


def wavelengths(config: DecoderConfig):
    """Tokens that each pair of a head needs for one turn, in both kinds of layers."""
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for kind, color, marker in ((SLIDING, SKY, "o"), (FULL, VERMILION, "s")):
        theta, scaling = config.rope(kind)
        turn = 2 * math.pi / frequencies(config.rotary_dim, theta, scaling)
        label = f"{kind.split('_')[0]}: base {theta:,.0f}" + (
            f", slowed {scaling.factor:g} times" if scaling else ""
        )
        axes.plot(turn, marker, ms=3, color=color, label=label)
    axes.axhline(config.sliding_window, color="0.3", lw=1, ls="--")
    axes.text(0, config.sliding_window * 1.2, "the window", fontsize=10)
    axes.axhline(config.max_length, color="0.3", lw=1, ls=":")
    axes.text(0, config.max_length * 1.2, "the context", fontsize=10)
    axes.set(yscale="log", xlabel="pair of a head", ylabel="tokens for one turn")
    axes.legend(fontsize=10, loc="lower right")
    axes.set_title("Sliding layers need no slow pairs: nothing they see is far")
    plt.close(figure)
    return figure


def with_pattern(config: DecoderConfig, every: int, window: int | None = None) -> DecoderConfig:
    """The same model with each `every`-th layer full (1: all) and another window."""
    kinds = pattern(config.num_layers, every) if every > 1 else (FULL,) * config.num_layers
    return replace(config, layer_types=kinds, sliding_window=window or config.sliding_window)


def memory(config: DecoderConfig, name: str, every: int, length: int = 131_072):
    """GB kept of a text by which layers are full, for three windows; the slider's bar is dark."""
    figure, axes = plt.subplots(figsize=(8.5, 3.6), layout="constrained")
    choices, windows = (1, 2, 3, 4, 6, 8, 12), (512, 1024, 4096)
    for n, window in enumerate(windows):
        sizes = [cache_bytes(with_pattern(config, k, window), length) / 1e9 for k in choices]
        colors = [VERMILION if k == every else "0.75" for k in choices]
        bars = axes.bar(
            [i + 0.27 * (n - 1) for i in range(len(choices))],
            sizes,
            0.25,
            color=colors,
            ec="0.4",
            hatch=("", "//", "..")[n],
            label=f"window {window:,}",
        )
        axes.bar_label(bars, [f"{size:.1f}" for size in sizes], fontsize=8)
    labels = ["all full"] + [f"1 in {k}" for k in choices[1:]]
    axes.set_xticks(range(len(choices)), labels)
    axes.set(ylabel="GB in bf16", xlabel="layers that see everything")
    axes.legend(fontsize=10)
    chosen = cache_bytes(with_pattern(config, every), length) / 1e9
    axes.set_title(f"{name}, {length:,} tokens, 1 full layer in {every}: {chosen:.1f} GB")
    plt.close(figure)
    return figure


def pattern_slider(config: DecoderConfig, name: str):
    """`memory` under a slider over the pattern."""
    return live(lambda every: memory(config, name, every), [1, 2, 3, 4, 6, 8, 12], 6, "1 full in")
