"""Pictures of the lab that builds Gemma from its config: one for each task. Figures.

Names and numbers stand in the pictures, so that colors only repeat what is written. Sizes are those
of Gemma 3 (arXiv 2503.19786), from the table of configs.
"""

import math

import torch
from matplotlib.patches import FancyBboxPatch
from torch.nn.functional import gelu

from minimodels.architecture.configs import SLIDING, get
from minimodels.architecture.norms import RMSNorm
from minimodels.architecture.rope import frequencies
from minimodels.data.drawing import bare, box, canvas

BLUE, VERMILION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
GRAY = "0.9"


def tensors(name: str = "gemma-3-1b"):
    """The matrices of one layer to scale: a row of a matrix for each number that comes out."""
    config = get(name)
    D, wide = config.hidden_size, config.intermediate_size
    out, kept = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    parts = [("q_proj", out, D, SKY), ("k_proj", kept, D, SKY), ("v_proj", kept, D, SKY),
             ("o_proj", D, out, SKY), ("gate_proj", wide, D, GREEN), ("up_proj", wide, D, GREEN),
             ("down_proj", D, wide, GREEN)]  # fmt: skip
    figure, (axes,) = canvas(9.5, 3.9)
    left = 0.0
    for label, rows, columns, color in parts:
        box(axes, left, 0, columns, rows, color)
        axes.text(left + columns / 2, -160, label, ha="center", va="bottom", fontsize=9)
        left += columns + 450
    axes.set(xlim=(-200, left), ylim=(wide + 150, -900), aspect="equal")
    axes.set_title(f"One layer of {name}, drawn to scale: the MLP (green) holds most of it")
    return bare(figure)


def normed(size: int = 8):
    """A vector before and after RMSNorm with a weight of zeros, twice: x and 100 x."""
    draw = torch.Generator().manual_seed(4)
    x, norm = torch.randn(size, generator=draw), RMSNorm(size, 1e-6)
    figure, panels = canvas(9, 2.6, columns=3)
    rows = [("x", x, GRAY), ("100 x", 100 * x, GRAY), ("normed: x and 100 x alike", norm(x), SKY)]
    for axes, (title, values, color) in zip(panels, rows, strict=True):
        axes.bar(range(size), values.tolist(), color=color, edgecolor="black")
        axes.axhline(0, color="black", lw=0.8)
        root = values.pow(2).mean().sqrt().item()
        axes.set_title(title, fontsize=11)
        axes.set_xlabel(f"root of the mean square {root:.2f}")
        axes.set_xticks(range(size))
    figure.suptitle("A norm keeps the direction of a vector and forgets its length")
    return figure


def gates():
    """gelu, and how far its tanh form is from the exact one."""
    z = torch.linspace(-4, 4, 401)
    exact, tanh = gelu(z), gelu(z, approximate="tanh")
    figure, (left, right) = canvas(9, 2.9, columns=2)
    left.plot(z, z.clamp(min=0), "--", color="0.5", label="max(z, 0)")
    left.plot(z, tanh, color=BLUE, label="gelu(z)")
    left.set(xlabel="z, from gate_proj", title="the gate: what is let through")
    left.legend()
    right.plot(z, 1e4 * (tanh - exact), color=VERMILION)
    right.axhline(0, color="black", lw=0.8)
    right.set(xlabel="z", ylabel="times 10,000", title="tanh form minus exact form")
    figure.suptitle("Two forms of gelu: too close to see, far enough to count")
    return figure


def wavelengths(name: str = "gemma-3-4b"):
    """How many tokens each pair of a head needs for a whole turn, by kind of layer."""
    config = get(name)
    theta, scaling = config.rope(SLIDING)[0], config.rope_scaling
    lines = [("sliding", frequencies(config.rotary_dim, theta), BLUE, "-"),
             ("full, unscaled", frequencies(config.rotary_dim, config.rope_theta), ORANGE, ":"),
             ("full, factor 8", frequencies(config.rotary_dim, config.rope_theta, scaling),
              VERMILION, "--")]  # fmt: skip
    figure, (axes,) = canvas(8.5, 3.5)
    for label, frequency, color, line in lines:
        axes.plot(2 * math.pi / frequency, line, color=color, lw=2, label=label)
    for length, words in ((config.sliding_window, "window"), (config.max_length, "context")):
        axes.axhline(length, color="0.6", lw=1)
        axes.text(0, length * 1.25, f"{words}: {length:,} tokens", fontsize=9)
    axes.set(yscale="log", xlabel="pair of a head", ylabel="tokens for a whole turn")
    axes.legend(loc="lower right")
    axes.set_title(f"{name}: full layers turn more slowly, stretched ones 8 times as slowly")
    return figure


def kinds(names=("gemma-2b", "gemma-3-1b", "gemma-3-4b")):
    """The layers of some models in a row each: s slides, F is full."""
    figure, (axes,) = canvas(9.5, 2.1)
    for row, name in enumerate(names):
        for layer, kind in enumerate(get(name).kinds):
            slides = kind == SLIDING
            box(axes, layer, row * 1.5, 1, 1, SKY if slides else VERMILION,
                "s" if slides else "F", ink="black" if slides else "white", size=9)  # fmt: skip
        axes.text(-0.4, row * 1.5 + 0.5, name, ha="right", va="center")
    longest = max(get(name).num_layers for name in names)
    axes.set(xlim=(-7, longest), ylim=(len(names) * 1.5, -0.3))
    axes.set_title("Layer 0 is left. Five that slide (s), then a full one (F)")
    return bare(figure)


def attention():
    """The attention of Gemma 3 from left to right; what the lab's first four tasks made is blue."""
    figure, (axes,) = canvas(9.8, 3.2)
    stages = [(0, "x", (1,), "white"), (1.6, "{}_proj\nheads", (0, 1, 2), GRAY),
              (3.2, "{}_norm", (0, 1), SKY), (4.8, "rotate", (0, 1), SKY),
              (6.4, "cache\nappend", (1, 2), GRAY), (8, "attend\nmask, scale", (1,), SKY),
              (9.6, "merge\no_proj", (1,), GRAY)]  # fmt: skip
    for row, name in enumerate("qkv"):
        axes.plot([0, 1.6], [1.5, row + 0.5], color="0.5", zorder=0)
        axes.plot([1.6, 6.4], [row + 0.5] * 2, color="0.5", zorder=0)
        axes.plot([6.4, 8], [row + 0.5, 1.5], color="0.5", zorder=0)
        axes.text(5.62, row + 0.4, name, ha="center")
    axes.plot([8, 11], [1.5, 1.5], color="0.5", zorder=0)
    for x, words, rows, color in stages:
        for row in rows:
            _label(axes, x, row + 0.5, words.format("qkv"[row]), color)
    axes.set(xlim=(-0.7, 11.2), ylim=(3, -0.1))
    axes.set_title("Blue: from your tasks 2, 4 and 5. The norms of q and k are new in Gemma 3")
    return bare(figure)


def blocks():
    """A block of Gemma 1 beside one of Gemma 3: where the norms stand, and what they are called."""
    figure, panels = canvas(9.5, 4.6, columns=2)
    first = [("input_layernorm", SKY), ("attention", GRAY), ("+", ""),
             ("post_attention_layernorm", SKY), ("geglu", GRAY), ("+", "")]  # fmt: skip
    third = [("input_layernorm", SKY), ("attention", GRAY), ("post_attention_layernorm", ORANGE),
             ("+", ""), ("pre_feedforward_layernorm", SKY), ("geglu", GRAY),
             ("post_feedforward_layernorm", ORANGE), ("+", "")]  # fmt: skip
    for axes, title, parts in zip(panels, ("Gemma 1", "Gemma 3"), (first, third), strict=True):
        axes.plot([0, 0], [-0.2, len(parts) + 0.1], color="black", lw=2, zorder=0)
        begin = -0.1
        for row, (words, color) in enumerate(parts):
            y = row + 0.45
            if words == "+":
                axes.plot([3, 3, 0], [begin + 0.1, y, y], color="0.5", zorder=0)
                axes.plot([0, 3], [begin + 0.1] * 2, color="0.5", zorder=0)
                axes.plot(0, y, "o", ms=15, color="white", mec="black")
                axes.text(0, y, "+", ha="center", va="center", fontsize=13)
                begin = y + 0.35
            else:
                _label(axes, 3, y, words, color, width=3.6)
        axes.set(xlim=(-0.6, 5.2), ylim=(8.2, -0.4))
        axes.set_title(title)
    figure.suptitle("The stream runs down on the left. One name, two places: orange is new")
    return bare(figure)


def model(name: str = "gemma-3-1b"):
    """Tokens to logits: the embedding stands at both ends."""
    figure, (axes,) = canvas(9.5, 2)
    layers = get(name).num_layers
    parts = [("tokens", "white"), ("embed_tokens\nrows", GREEN), ("× √D", SKY),
             (f"{layers} blocks", GRAY), ("norm", SKY), ("embed_tokens\ntransposed", GREEN),
             ("logits", "white")]  # fmt: skip
    axes.plot([0, 2.0 * (len(parts) - 1)], [0, 0], color="0.5", zorder=0)
    for number, (words, color) in enumerate(parts):
        _label(axes, 2.0 * number, 0, words, color, width=1.6)
    axes.set(xlim=(-1, 2.0 * len(parts) - 1), ylim=(0.8, -0.8))
    axes.set_title("Both green boxes are one matrix: the embedding is tied to the head")
    return bare(figure)


def _label(axes, x, y, words, color, width: float = 1.1) -> None:
    """A rounded box around (x, y) with words in it."""
    style = FancyBboxPatch((x - width / 2, y - 0.33), width, 0.66, facecolor=color,
                           edgecolor="black", boxstyle="round,pad=0.02")  # fmt: skip
    axes.add_patch(style)
    axes.text(x, y, words, ha="center", va="center", fontsize=9)
