"""Pictures of a model that sees: patches, the way to tokens, who sees whom, answers, sound.

Colors are Okabe & Ito's (2008). Each function returns a closed Figure.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.patches import Rectangle

from minimodels.architecture.configs.gemma3_vision import Gemma3VisionConfig
from minimodels.data.drawing import bare, box, canvas

BLUE, VERMILION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
LINE = "0.55"
ARROW = {"arrowstyle": "-|>", "lw": 1.6, "color": "0.3"}


def way(config: Gemma3VisionConfig, pixels):
    """The whole model in one line: pixels, patches, tokens, and where they stand in a text."""
    vision, M, D = config.vision, config.picture_tokens, config.hidden_size
    S, n, m = vision.image_size, vision.side, round(config.picture_tokens**0.5)
    figure, (axes,) = canvas(10, 4.2)
    _picture(axes, pixels, 0, 14, 10)
    _grid(axes, 16, 14, 10, n)
    _grid(axes, 36, 15.5, 7, m, ORANGE)
    for x, words in [(5, f"{S} × {S} pixels\n{3 * S * S:,} numbers"),
                     (21, f"{n} × {n} = {n * n:,} patches\nof {vision.hidden_size:,} numbers"),
                     (39.5, f"{M:,} tokens\nof {D:,} numbers")]:  # fmt: skip
        axes.text(x, 12.8, words, ha="center", va="top", fontsize=11)
    for x, words in [(10.6, "cut"), (27, f"encoder, {vision.num_layers} layers;\nthen averages of\n"
                                         f"{config.pool} × {config.pool} patches")]:  # fmt: skip
        end = 15.4 if x < 20 else 35.4
        axes.annotate("", (end, 19), (x if x < 20 else 26.6, 19), arrowprops=ARROW)
        axes.text((x + end) / 2, 20, words, ha="center", va="bottom", fontsize=10)
    row = ["<bos>", "<start>", "▢", "▢", "…", "▢", "<end>", "Where", "are", "…"]
    for i, word in enumerate(row):
        inside = word in ("▢", "…") and i < 6
        box(axes, 1 + 4.5 * i, 1.5, 4.2, 3, ORANGE if inside else SKY, word, size=10)
    axes.annotate("", (12, 4.8), (39, 9), arrowprops=ARROW)
    axes.text(1, 0.9, f"what the decoder reads: rows of its embedding (blue), and {M:,} vectors "
              "that are made of the picture", va="top", fontsize=11)  # fmt: skip
    axes.set(xlim=(-0.5, 46.5), ylim=(-1, 25))
    axes.set_title(f"A picture becomes {M:,} tokens, whatever it shows")
    return bare(figure)


def patches(pixels, size: int):
    """A picture whole, and cut into patches of `size` pixels in the order in which they go in."""
    figure, (whole, cut) = canvas(8, 4, columns=2)
    side = len(pixels) // size
    whole.imshow(pixels)
    whole.set_title(f"{len(pixels)} × {len(pixels)} pixels")
    gap = 1.3 * size
    for number in range(side * side):
        row, column = divmod(number, side)
        patch = pixels[row * size : (row + 1) * size, column * size : (column + 1) * size]
        _picture(cut, patch, column * gap, -row * gap, size)
        cut.text(column * gap + 0.4, -row * gap + size - 0.3, number, va="top", fontsize=8,
                 color="0.35")  # fmt: skip
    cut.set(xlim=(-1, side * gap), ylim=(-(side - 1) * gap - 1, size + 1), aspect="equal")
    cut.set_title(f"{side * side} patches, in reading order")
    return bare(figure)


def mask(seen, words: Sequence[str], numbers):
    """Who sees whom: (T, T) bool, a dot where the row's token sees the column's.

    Orange: seen although it comes later, which only tokens of one picture may.
    """
    figure, (axes,) = canvas(7, 6.6)
    T = len(words)
    for query in range(T):
        for key in range(T):
            later = seen[query][key] and key > query
            color = ORANGE if later else SKY if seen[query][key] else "white"
            box(axes, key - 0.5, query - 0.5, 1, 1, color, "●" if seen[query][key] else "",
                edge="0.7", size=7)  # fmt: skip
    for number in sorted(set(numbers) - {0}):
        at = [i for i in range(T) if numbers[i] == number]
        axes.add_patch(Rectangle((at[0] - 0.5, at[0] - 0.5), len(at), len(at), fill=False, lw=2.5,
                                 edgecolor=VERMILION))  # fmt: skip
    axes.set(xlim=(-0.6, T - 0.4), ylim=(T - 0.4, -0.6), aspect="equal")
    axes.set_xticks(range(T), words, rotation=90)
    axes.set_yticks(range(T), words)
    axes.set(xlabel="key of", ylabel="query of")
    axes.set_title("Inside a picture all see all (orange: forward). Words look back")
    return figure


def answers(pictures: Sequence, lines: Sequence[str], title: str):
    """Pictures side by side, each over what was asked and answered."""
    figure, panels = canvas(2.9 * len(pictures), 3.8, columns=len(pictures))
    for axes, pixels, words in zip(panels, pictures, lines, strict=True):
        axes.imshow(pixels)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(words, fontsize=10, loc="left")
    figure.suptitle(title)
    return figure


def scores(groups: Mapping[str, Mapping[str, Mapping]], title: str):
    """{series: {kind: {right, of, low, high, chance}}}: bars with intervals, lines at chance."""
    figure, (axes,) = canvas(9, 3.9)
    kinds = list(next(iter(groups.values())))
    width = 0.8 / len(groups)
    for i, (series, table) in enumerate(groups.items()):
        at = np.arange(len(kinds)) + (i - (len(groups) - 1) / 2) * width
        rates = [table[kind]["right"] / table[kind]["of"] for kind in kinds]
        low = [rate - table[kind]["low"] for kind, rate in zip(kinds, rates, strict=True)]
        high = [table[kind]["high"] - rate for kind, rate in zip(kinds, rates, strict=True)]
        look = {"color": (BLUE, SKY, GREEN, ORANGE)[i], "hatch": ("", "//", "..", "xx")[i]}
        axes.bar(at, rates, 0.92 * width, label=series, edgecolor="black", **look)
        axes.errorbar(at, rates, np.abs([low, high]), fmt="none", ecolor="black", capsize=3)
    for x, kind in enumerate(kinds):
        level = next(iter(groups.values()))[kind]["chance"]
        axes.plot([x - 0.45, x + 0.45], [level, level], color="black", ls="--", lw=1.5,
                  label="a blind guess" if x == 0 else None)  # fmt: skip
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set(ylim=(0, 1.05), ylabel="right answers", title=title)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def moving(pixels, shares: Mapping[str, Sequence[float]], at: int, title: str):
    """A picture, and the chance that a model gives to answers while a shape moves to the right."""
    figure, (left, right) = canvas(9, 3.4, columns=2)
    left.imshow(pixels)
    left.set_xticks([])
    left.set_yticks([])
    for (answer, curve), style in zip(shares.items(), ("-", "--", "-.", ":"), strict=False):
        right.plot(curve, style, lw=2.2, label=answer)
    right.axvline(at, color="0.6", zorder=0)
    right.set(xlabel="pixels from the left edge", ylabel="chance of the answer", ylim=(-0.03, 1.03))
    right.legend(frameon=False, fontsize=9)
    right.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    return figure


def bills(table: Mapping[str, Mapping[str, float]], title: str):
    """{model: {part: TFLOP}}: stacked bars, one a model, with their numbers inside."""
    figure, (axes,) = canvas(9, 0.8 + 0.7 * len(table))
    for y, (_, parts) in enumerate(table.items()):
        left = 0.0
        for (part, size), color in zip(parts.items(), (BLUE, SKY, ORANGE), strict=False):
            axes.barh(y, size, left=left, color=color, edgecolor="black", height=0.6,
                      label=part if y == 0 else None)  # fmt: skip
            axes.text(left + size / 2, y, f"{size:.1f}", ha="center", va="center", fontsize=10,
                      color="white" if color == BLUE else "black")  # fmt: skip
            left += size
    axes.set_yticks(range(len(table)), list(table))
    axes.invert_yaxis()
    axes.set(xlabel="TFLOP for one picture", title=title)
    axes.legend(frameon=False, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def sound(wave, loud, rate: int, hop: int, frames: int):
    """A sound as a curve, and as a table of loudness by pitch and time, cut into tokens."""
    figure, (left, right) = canvas(9.5, 3.4, columns=2)
    seconds = len(wave) / rate
    few = wave[: rate // 40]
    left.plot(np.arange(len(few)) / rate * 1000, few, ".-", ms=3, lw=0.8, color=BLUE)
    left.set(xlabel="milliseconds", yticks=[])
    left.set_title(f"The first {len(few)} of {len(wave):,} numbers")
    right.imshow(loud, origin="lower", aspect="auto", cmap="magma",
                 extent=(0, seconds, 0, rate / 2000))  # fmt: skip
    for cut in np.arange(0, seconds + 1e-9, frames * hop / rate):
        right.axvline(cut, color="white", lw=1)
    right.set(xlabel="seconds", ylabel="kHz")
    right.set_title(f"{loud.shape[1]} frames: a token for each {frames}")
    return figure


def _picture(axes, pixels, x: float, y: float, size: float) -> None:
    """Pixels as an image whose lower left corner is at (x, y)."""
    axes.imshow(pixels, extent=(x, x + size, y, y + size), interpolation="nearest")
    axes.add_patch(Rectangle((x, y), size, size, fill=False, edgecolor=LINE))


def _grid(axes, x: float, y: float, size: float, cells: int, color="white") -> None:
    """A square cut into cells × cells."""
    axes.add_patch(Rectangle((x, y), size, size, facecolor=color, edgecolor=LINE))
    cuts, lines = np.linspace(0, size, cells + 1), 0.2 if cells > 20 else 0.8
    axes.hlines(y + cuts, x, x + size, LINE, lw=lines)
    axes.vlines(x + cuts, y, y + size, LINE, lw=lines)
