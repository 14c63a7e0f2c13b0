"""Pictures of cheap attention: what is kept, how far a window reaches, what it costs and forgets.

Colors are Okabe & Ito's (2008). Each function returns a closed Figure.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

BLUE, VERMILION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
PURPLE, GRAY = "#CC79A7", "0.45"
STYLES = ((BLUE, "o", "-"), (SKY, "v", "--"), (GREEN, "s", "-."), (VERMILION, "D", "-"),
          (ORANGE, "^", "--"), (PURPLE, "X", ":"))  # fmt: skip
LAYERS, TOKENS = 4, 12  # of the drawings


def kept():
    """What four layers hold of twelve tokens, for six ways to pay less: colored cells are kept."""
    figure, panels = plt.subplots(2, 3, figsize=(9.5, 4.6), layout="constrained")
    full = [(layer, token, 0.8) for layer in range(LAYERS) for token in range(TOKENS)]
    ways = {
        "all heads: everything": full,
        "fewer key heads: thinner": [(layer, token, 0.25) for layer, token, _ in full],
        "latent: thinner still": [(layer, token, 0.12) for layer, token, _ in full],
        "windows: the last tokens": [c for c in full if c[0] == 3 or c[1] >= TOKENS - 3],
        "shared: fewer layers": [cell for cell in full if cell[0] < 2],
        "state: one matrix a layer": [],
    }
    for axes, (name, cells) in zip(panels.flat, ways.items(), strict=True):
        for layer, token, height in cells:
            axes.add_patch(Rectangle((token + 0.1, layer + 0.1), 0.8, height, color=BLUE))
        for layer in range(LAYERS):
            axes.add_patch(Rectangle((0, layer), TOKENS, 1, fill=False, ec="0.7"))
            if not cells:
                axes.add_patch(Rectangle((TOKENS - 1.9, layer + 0.1), 1.6, 0.8, color=VERMILION))
        axes.set(xlim=(-0.1, TOKENS + 0.1), ylim=(-0.1, LAYERS + 0.1), xticks=[], yticks=[])
        axes.set_title(name, fontsize=12)
        axes.spines[:].set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("layers")
    for axes in panels[1]:
        axes.set_xlabel("tokens read")
    return _done(figure)


def receptive_field(window: int, layers: int = 4, tokens: int = 32):
    """Which tokens reach the last one through windows: one row a layer, the text at the bottom."""
    figure, axes = plt.subplots(figsize=(9.5, 3.2), layout="constrained")
    last = tokens - 1
    for height in range(layers + 1):  # 0 is the text, `layers` the output
        reach = (layers - height) * (window - 1)
        for token in range(tokens):
            seen = token >= last - reach
            color = VERMILION if token == last else SKY if seen else "white"
            axes.add_patch(Rectangle((token + 0.06, height), 0.88, 0.5, fc=color, ec="0.6"))
        if height < layers:
            first = max(0, last - reach)
            for end in {first + 0.5, last + 0.5}:
                start = min(last + 0.5, end + window - 1)
                axes.plot([end, start], [height + 0.5, height + 1], color="0.4", lw=1)
    names = ["the text", *(f"after layer {height}" for height in range(1, layers + 1))]
    axes.set_yticks([height + 0.25 for height in range(layers + 1)], names, fontsize=11)
    axes.set(xlim=(-0.2, tokens + 0.2), ylim=(-0.15, layers + 0.6), xticks=[])
    axes.set_xlabel(f"{tokens} tokens, the newest on the right")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    reached = min(tokens, 1 + layers * (window - 1))
    axes.set_title(
        f"Window {window}, {layers} layers: the last output depends on "
        f"{reached} tokens, 1 + {layers} · {window - 1}"
        + ("" if reached == 1 + layers * (window - 1) else ", cut by the text")
    )
    return _done(figure)


def quality(table: Mapping[str, Mapping], length: str, title: str):
    """A row a model: the numbers it keeps of a text of `length` bytes, and its held-out loss."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), sharey=True, layout="constrained")
    for at, row in enumerate(table.values()):
        fixed = len(set(row["kept"].values())) == 1  # however long the text
        color, marker = (VERMILION, "D") if fixed else (BLUE, "o")
        left.barh(at, row["kept"][length], color=color, height=0.6)
        right.plot(row["loss"], at, marker, color=color, ms=9)
        right.annotate(f"{row['loss']:.2f}", (row["loss"], at), xytext=(9, 0), fontsize=11,
                       textcoords="offset points", va="center")  # fmt: skip
        right.axhline(at, color="0.9", lw=1, zorder=0)
    left.set(xscale="log", xlabel=f"numbers kept of {int(length):,} bytes")
    left.set_yticks(range(len(table)), list(table), fontsize=11)
    left.invert_yaxis()
    right.set_xlabel("nats a byte, held out")
    low, high = right.get_xlim()
    right.set_xlim(low, high + 0.12 * (high - low))
    figure.suptitle(title)
    return _done(figure)


def recall(
    mixers: Mapping[str, Mapping], title: str, names: Mapping[str, str], blind: float, rows: int
):
    """Percent of values recalled against pairs in the list: a line a mixer, a point a seed."""
    figure, axes = plt.subplots(figsize=(9.5, 4.2), layout="constrained")
    for (kind, row), (color, marker, line) in zip(mixers.items(), STYLES, strict=False):
        pairs = [int(n) for n in row["accuracy"]]
        means = [100 * sum(seeds) / len(seeds) for seeds in row["accuracy"].values()]
        axes.plot(pairs, means, line, color=color, lw=2, marker=marker, label=names[kind])
        for n, seeds in zip(pairs, row["accuracy"].values(), strict=True):
            axes.plot(
                [n] * len(seeds),
                [100 * share for share in seeds],
                marker,
                color=color,
                ms=4,
                mfc="white",
            )
    axes.axvline(rows, color="0.7", lw=1, zorder=0)
    axes.text(rows * 1.03, 10, f"{rows} rows\nin the states", color=GRAY, fontsize=10)
    axes.axhline(100 * blind, color="black", ls=":", lw=1, label="blind guess")
    axes.set(
        xscale="log",
        ylim=(0, 104),
        title=title,
        xlabel="pairs in the list",
        ylabel="% of values recalled",
    )
    axes.set_xticks(pairs, pairs)
    axes.minorticks_off()
    axes.legend(fontsize=10, loc="lower left", bbox_to_anchor=(0.0, 0.12))
    return _done(figure)


def growth(series: Mapping[str, Sequence[float]], lengths: Sequence[int], title: str):
    """GiB kept of one text against its length, both logarithmic: {model: bytes at each length}."""
    figure, axes = plt.subplots(figsize=(9.5, 4.2), layout="constrained")
    for (name, values), (color, marker, line) in zip(series.items(), STYLES, strict=False):
        gib = [value / 2**30 for value in values]
        axes.plot(lengths, gib, line, color=color, marker=marker, ms=5, lw=2, label=name)
    axes.set(
        xscale="log",
        yscale="log",
        title=title,
        xlabel="tokens in the text",
        ylabel="GiB kept",
    )
    axes.set_xticks(lengths[::2], [f"{length:,}" for length in lengths[::2]])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(axis="y", color="0.9")
    axes.legend(fontsize=10)
    return _done(figure)


def _done(figure):
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure
