"""Pictures of masks and positions, and of what reading beyond the trained length costs. Figures.

Colors are Okabe & Ito's (2008); a dot, a number or a marker repeats what a color says.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch

from minimodels.architecture.blanks import NO_TARGET, Blanked
from minimodels.architecture.positions import alibi_slopes, sinusoidal
from minimodels.cluster.demo import live
from minimodels.data.drawing import box, canvas

BLUE, VERMILION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
STYLES = {  # of a scheme: color, line, marker
    "none": ("0.45", ":", "v"),
    "learned": (ORANGE, "-.", "s"),
    "sinusoidal": (GREEN, "--", "^"),
    "alibi": (BLUE, "-", "o"),
    "rope": (VERMILION, "-", "D"),
}


def masks(tables: Mapping[str, torch.Tensor], title: str):
    """A grid for each named mask (T, T): a dot where a row's query sees a column's key."""
    figure, panels = canvas(2.15 * len(tables), 2.75, columns=len(tables))
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        grid(axes, table)
        axes.set_title(name, fontsize=11)
        axes.set_xlabel("key")
    panels[0].set_ylabel("query")
    figure.suptitle(title)
    return figure


def grid(axes, table, color=SKY) -> None:
    """The squares of one mask, row 0 on top."""
    rows, columns = table.shape
    for row in range(rows):
        for column in range(columns):
            seen = bool(table[row, column])
            box(axes, column - 0.5, row - 0.5, 1, 1, color if seen else "white",
                "●" if seen else "", edge="0.6", size=7)  # fmt: skip
    axes.set(xlim=(-0.6, columns - 0.4), ylim=(rows - 0.4, -0.6), aspect="equal")
    axes.set(xticks=[], yticks=[])


def infilling(text: Blanked, words: Sequence[str]):
    """GLM's mask beside what each row reads, where it stands, and what it must say.

    words: how each id is spelled.
    """
    T, A = len(text.tokens), text.context
    figure, (left, right) = canvas(9.5, 0.34 * T + 0.9, columns=2)
    grid(left, text.mask)
    for at in (left.axhline, left.axvline):
        at(A - 0.5, color=VERMILION, lw=2)
    read = [words[token] for token in text.tokens]
    left.set_xticks(range(T), read, rotation=90)
    left.set_yticks(range(T), read)
    left.set_title("who sees whom", fontsize=11)
    right.set(xlim=(0, 10), ylim=left.get_ylim())
    for x, name in ((1.2, "reads"), (4, "position"), (6, "in its span"), (8.6, "must say")):
        right.text(x, -1, name, ha="center", fontweight="bold")
    for row in range(T):
        target = int(text.targets[row])
        cells = (read[row], int(text.positions[row]), int(text.inside[row]),
                 "" if target == NO_TARGET else words[target])  # fmt: skip
        for x, cell in zip((1.2, 4, 6, 8.6), cells, strict=True):
            right.text(x, row, cell, ha="center", va="center",
                       color="black" if row < A else VERMILION)  # fmt: skip
    right.set_axis_off()
    figure.suptitle("Part A, above the line, sees itself; part B sees A and what it has said")
    return figure


def waves(length: int = 64, size: int = 32):
    """The sinusoidal table, and the product of one row with all: it falls with the distance."""
    table = sinusoidal(torch.arange(length), size)
    figure, (left, right) = canvas(9, 3, columns=2)
    left.imshow(table.T.numpy(), cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    left.set(xlabel="position p", ylabel="place in the row", title="each column is the row of p")
    for at, color, line in ((10, BLUE, "-"), (40, VERMILION, "--")):
        right.plot(
            range(length), (table @ table[at]).tolist(), line, color=color, label=f"row {at}"
        )
    right.set(xlabel="position", ylabel="dot product", title="two rows times all rows")
    right.legend()
    figure.suptitle("Two rows know how far apart they are, wherever they stand")
    return figure


def penalties(num_heads: int = 8, longest: int = 64):
    """What ALiBi leaves of a weight by distance: exp(−slope · distance) for each head."""
    figure, (axes,) = canvas(8, 3.2)
    distance = torch.arange(longest)
    for head, slope in enumerate(alibi_slopes(num_heads).tolist()):
        share = head / max(1, num_heads - 1)
        axes.plot(
            distance.tolist(),
            torch.exp(-slope * distance).tolist(),
            color=(0, 0.25 + 0.35 * share, 0.7),
        )
        height = 0.15 + 0.7 * share  # the numbers climb from head to head
        axes.text(-math.log(height) / slope, height, f"1/{1 / slope:.3g}", fontsize=10, ha="center",
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
    axes.set(xlabel="distance of query and key", ylabel="factor on the weight", ylim=(0, 1.03))
    axes.set_title(f"Each of {num_heads} heads forgets at its own rate (numbers: its slope)")
    return figure


def reading_on(curves: Mapping[str, Sequence[Sequence[float]]], size: int, trained: int,
               title: str):  # fmt: skip
    """Nats a token that reading on costs, by position, a line for each scheme and seed.

    size: positions a point stands for. 0 is the price of forgetting all but the trained length.
    """
    figure, (axes,) = canvas(8.5, 4)
    longest = 0
    for name, runs in curves.items():
        color, line, marker = STYLES[name]
        for number, values in enumerate(runs):
            at = [size * (i + 0.5) for i in range(len(values))]
            axes.plot(at, values, line, color=color, marker=marker, ms=4,
                      label=None if number else name)  # fmt: skip
            longest = max(longest, size * len(values))
    axes.axhline(0, color="black", lw=0.8)
    axes.axvspan(0, trained, color="0.92", zorder=0)
    axes.text(trained / 2, 0.98, "trained", ha="center", va="top",
              transform=axes.get_xaxis_transform())  # fmt: skip
    axes.set(xlim=(0, longest), xlabel="position in the text", title=title)
    axes.set_ylabel("nats dearer than cutting\nthe text into pieces")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def filled(rows: Mapping[str, Sequence[float]], title: str):
    """Percent of blanks filled right in the first, middle and last third of a text, by model."""
    figure, (axes,) = canvas(8.5, 3.4)
    colors = ("0.8", SKY, BLUE)
    names = ("blank in the first third", "in the middle", "in the last third")
    for part, (color, name) in enumerate(zip(colors, names, strict=True)):
        at = [row + 0.26 * (part - 1) for row in range(len(rows))]
        values = [thirds[part] for thirds in rows.values()]
        bars = axes.bar(at, values, 0.25, color=color, edgecolor="0.3", label=name)
        axes.bar_label(bars, [f"{value:.0f}" for value in values], fontsize=10)
    axes.set_xticks(range(len(rows)), list(rows))
    axes.set(ylim=(0, 118), ylabel="% filled right", title=title)
    axes.legend(ncols=3, loc="upper center", fontsize=9, frameon=False)
    return figure


def window_slider(cost: Callable[[int], Mapping[str, Sequence[Sequence[float]]]],
                  windows: list[int], first: int, size: int, trained: int):  # fmt: skip
    """The curves of `reading_on` under a slider: how many tokens attention may look back."""

    def draw(window):
        curves = cost(window)
        ends = ", ".join(f"{name} {runs[0][-1]:+.2f}" for name, runs in curves.items())
        return reading_on(
            curves, size, trained, f"Looking back {window} tokens, at the end: {ends}"
        )

    return live(draw, windows, first, "window")
