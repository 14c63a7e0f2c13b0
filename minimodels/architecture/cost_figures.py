"""Pictures of what a model costs: tensors on their way through a block, budgets, who fits where.

Colors are Okabe & Ito's (2008); what a color says is written beside it. Each function returns a
closed Figure. Legend: B batch, T time, D hidden, F intermediate, H heads, K kv heads, d head.
"""

from collections.abc import Mapping, Sequence

from matplotlib.ticker import EngFormatter

from minimodels.architecture.configs import DecoderConfig
from minimodels.architecture.cost.devices import BOXES, MODELS, Box, holds, tokens_a_second
from minimodels.architecture.cost.flops import flops
from minimodels.architecture.cost.parts import Attention, Mlp, parts
from minimodels.architecture.count import cache_bytes, count
from minimodels.data.drawing import bare, box, canvas

BLUE, VERMILION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
GRAY = "0.82"
FITS = {"bf16": (BLUE, "white"), "int8": (SKY, "black"), "int4": (ORANGE, "black")}
LINES = ((BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), ("black", ":"), (ORANGE, "-"), (SKY, "--"))


def tensors(config: DecoderConfig, length: int, batch: int = 1) -> list[list[tuple]]:
    """[[(name, shape, written, color), …] of the attention, […] of the MLP], in order.

    written: whether the tensor ever lies in memory; scores inside a fused kernel never do.
    """
    attention = next(part for part in parts(config) if isinstance(part, Attention))
    mlp = next(part for part in parts(config) if isinstance(part, Mlp))
    H, K, d = attention.heads, attention.kv_heads, attention.head_dim
    B, T, D, F = batch, length, config.hidden_size, mlp.width
    first = [
        ("stream", (B, T, D), True, SKY), ("normed", (B, T, D), True, GRAY),
        ("queries", (B, H, T, d), True, BLUE), ("keys", (B, K, T, d), True, BLUE),
        ("values", (B, K, T, d), True, BLUE),
        ("scores", (B, H, T, T), attention.by_hand, VERMILION),
        ("mixed values", (B, T, H * d), True, BLUE), ("added", (B, T, D), True, SKY),
    ]  # fmt: skip
    wide = {
        "gated": ["gate", "act(gate)", "up", "product"], "squared": ["relu(up)", "squared"],
        "plain": ["up", "gelu(up)"],
    }[mlp.form]  # fmt: skip
    second = [("stream", (B, T, D), True, SKY), ("normed", (B, T, D), True, GRAY),
              *((name, (B, T, F), True, GREEN) for name in wide),
              ("added", (B, T, D), True, SKY)]  # fmt: skip
    return [first, second]


def block(config: DecoderConfig, name: str, length: int, batch: int = 1, number_bytes: int = 2):
    """Every tensor on its way through one block: height is bytes, dashed is never written down.

    Sides of 1 are left out of the shapes that stand below.
    """
    rows = tensors(config, length, batch)
    sizes = [[number_bytes * _product(shape) for _, shape, _, _ in row] for row in rows]
    top = max(max(row) for row in sizes)
    figure, axes = canvas(9.6, 5.6)
    axes = axes[0]
    for row, (tensors_, bytes_) in enumerate(zip(rows, sizes, strict=True)):
        floor = 2.1 * (1 - row)
        for slot, (tensor, size) in enumerate(zip(tensors_, bytes_, strict=True)):
            _tensor(axes, slot, floor, size / top, size, tensor)
        told = "attention" if row == 0 else "MLP"
        axes.text(-0.75, floor + 0.5, told, rotation=90, ha="center", va="center", fontsize=13)
    axes.set(xlim=(-1, 7.6), ylim=(-0.62, 3.45))
    times, written = sizes[0][5] / sizes[0][0], rows[0][5][2]
    total = sum(map(sum, sizes)) - (0 if written else sizes[0][5])
    axes.set_title(
        f"One block of {name}, {length:,} tokens, {_bytes(total)} in all: the table "
        f"of scores\n{'is' if written else 'would be'} {times:,.4g} times the stream"
        f"{'' if written else '; the fused kernel never writes it down'}"
    )
    return bare(figure)


def _tensor(axes, slot: int, floor: float, height: float, size: int, tensor: tuple) -> None:
    name, shape, written, color = tensor
    style = {"facecolor": color, "edgecolor": "black"}
    if not written:
        style = {"facecolor": "white", "edgecolor": color, "linestyle": "--", "linewidth": 2}
    axes.bar(slot, max(height, 0.004), bottom=floor, width=0.66, zorder=2, **style)
    axes.text(slot, floor + height + 0.04, _bytes(size), ha="center", va="bottom", fontsize=9)
    axes.text(slot, floor - 0.08, name, ha="center", va="top", fontsize=10)
    sides = [f"{n:,}" for n in shape if n > 1]
    words = " × ".join(sides[:-1]) + (" ×\n" if len(sides) > 2 else " × ") + sides[-1]
    axes.text(slot, floor - 0.26, words, ha="center", va="top", fontsize=8, color="0.35")
    if slot:
        axes.annotate("", (slot - 0.36, floor), (slot - 0.64, floor),
                      arrowprops={"arrowstyle": "->", "color": "0.4"})  # fmt: skip


def budget(config: DecoderConfig, name: str, length: int):
    """Parameters by part, FLOPs of a token by cause, bytes, and the boxes that hold the model."""
    figure, (top, middle, bottom) = _stack(9.6, 5.2, (1, 1, 1.5))
    size, work = count(config), flops(config, 1, past=length - 1)
    _shares(top, "parameters", {
        "embedding": (size.embedding, ORANGE), "attention": (size.attention, BLUE),
        "MLP": (size.mlp, GREEN), "norms": (size.norms, "0.6"),
    })  # fmt: skip
    _shares(middle, f"FLOPs of token {length:,}", {
        "head": (work.head, ORANGE), "matrices of the blocks": (work.matrices, GREEN),
        "scores": (work.attention, VERMILION),
    })  # fmt: skip
    _boxes(bottom, config, length)
    cache = cache_bytes(config, length)
    top.set_title(
        f"{name}: {_count(size.total)} parameters, {_bytes(2 * size.total)} in bf16, "
        f"{_bytes(16 * size.total)} to train;\n"
        f"{length:,} tokens leave {_bytes(cache)} of cache, the last one cost "
        f"{_count(work.forward, 'TGMK')}FLOPs", fontsize=12,
    )  # fmt: skip
    return figure


def _shares(axes, what: str, named: Mapping[str, tuple[int, str]]) -> None:
    """One bar of all, cut into its parts; parts that are too thin for words are in the legend."""
    total, left = sum(value for value, _ in named.values()), 0.0
    for name, (value, color) in named.items():
        share = 100 * value / total
        thin = share <= 12
        label = f"{name} {share:.2g}%" if thin else None
        axes.barh(0, share, left=left, color=color, label=label, height=0.6)
        if not thin:
            ink = "black" if color == ORANGE else "white"
            axes.text(left + share / 2, 0, f"{name} {share:.0f}%", ha="center", va="center",
                      color=ink, fontsize=10)  # fmt: skip
        left += share
    axes.set(xlim=(0, 100), ylim=(-0.5, 0.5), xticks=[], yticks=[])
    axes.set_xlabel(what, labelpad=2)
    axes.spines[:].set_visible(False)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="upper center", ncols=4, bbox_to_anchor=(0.5, -0.28), frameon=False,
                    fontsize=9)  # fmt: skip


def _boxes(axes, config: DecoderConfig, length: int, boxes: Sequence[Box] = BOXES) -> None:
    """A tile for each box: the widest format that fits, and how many tokens a second at most."""
    for column, one in enumerate(boxes):
        fits = holds(one, config, length)
        color, ink = FITS.get(fits or "", ("white", "0.4"))
        words = (
            "does not\nfit"
            if fits is None
            else (f"{fits}\n{tokens_a_second(one, config, fits, length):,.0f} tokens/s")
        )
        box(axes, column + 0.03, 0, 0.94, 1, color, words, edge="0.4", ink=ink, size=8)
        axes.text(column + 0.5, 1.08, f"{one.name}\n{one.room / 1e9:,.0f} GB", ha="center",
                  va="bottom", fontsize=9)  # fmt: skip
    axes.set(xlim=(0, len(boxes)), ylim=(-0.05, 1.75))
    axes.axis("off")


def fits(models: Mapping[str, DecoderConfig] = MODELS, length: int = 4096,
         boxes: Sequence[Box] = BOXES):  # fmt: skip
    """The table of models and boxes: the widest format that fits, and tokens a second at most."""

    def tile(one, config):
        held = holds(one, config, length)
        if held is None:
            return "–", ("white", "0.4")
        return f"{held}\n{tokens_a_second(one, config, held, length):,.0f}", FITS[held]

    title = (f"Which box holds which model, with one text of {length:,} tokens:\n"
             "the widest format that fits, and the most tokens a second it can write")  # fmt: skip
    return _table(models, boxes, tile, title)


def trainable(rows: Mapping[str, Mapping[str, str]], title: str):
    """A table of words: {box: {way to train: what it trains}}."""
    ways = list(next(iter(rows.values())))
    figure, axes = canvas(9.6, 0.9 + 0.42 * len(rows))
    for line, (name, found) in enumerate(rows.items()):
        axes[0].text(-0.05, line + 0.5, name, ha="right", va="center", fontsize=10)
        for column, way in enumerate(ways):
            words = found[way]
            color = "white" if words == "–" else (BLUE, SKY, ORANGE)[column % 3]
            ink = "white" if color == BLUE else "black"
            box(axes[0], column + 0.02, line + 0.05, 0.96, 0.9, color, words, "0.4", ink, 10)
    for column, way in enumerate(ways):
        axes[0].text(column + 0.5, -0.1, way, ha="center", va="bottom", fontsize=11)
    axes[0].set(xlim=(-0.75, len(ways)), ylim=(len(rows), -0.6))
    axes[0].set_title(title)
    return bare(figure)


def _table(models, boxes, tile, title: str):
    figure, axes = canvas(10, 0.9 + 0.47 * len(models))
    for line, (name, config) in enumerate(models.items()):
        axes[0].text(-0.08, line + 0.5, f"{name}  {_count(count(config).total)}", ha="right",
                     va="center", fontsize=10)  # fmt: skip
        for column, one in enumerate(boxes):
            words, (color, ink) = tile(one, config)
            box(axes[0], column, line, 1, 1, color, words, edge="0.6", ink=ink, size=9)
    for column, one in enumerate(boxes):
        axes[0].text(column + 0.5, -0.12, f"{one.name}\n{one.room / 1e9:,.0f} GB", ha="center",
                     va="bottom", fontsize=9)  # fmt: skip
    axes[0].set(xlim=(-2.9, len(boxes)), ylim=(len(models), -1.1))
    axes[0].set_title(title)
    return bare(figure)


def curves(
    series: Mapping[str, tuple[Sequence, Sequence]], title: str, ylabel: str, *,
    xlabel: str = "tokens", log: bool = True, marks: Mapping[str, float] | None = None,
):  # fmt: skip
    """One line a model over the length of a text; marks are dotted levels with their names."""
    figure, (axes,) = canvas(8.6, 4.2)
    for (name, (xs, ys)), (color, style) in zip(series.items(), LINES, strict=False):
        axes.plot(xs, ys, style, color=color, lw=2.2, label=name)
    for name, level in (marks or {}).items():
        axes.axhline(level, color="0.5", ls=":", lw=1, zorder=0)
        axes.annotate(name, (1, level), (-4, 3), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="right", fontsize=9)  # fmt: skip
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel, xscale="log")
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.legend(fontsize=10)
    return figure


def kept(rows: Mapping[str, Mapping[str, float]], title: str, unit: float = 1e6,
         label: str = "MB"):  # fmt: skip
    """Bytes kept for backward, one bar a case, cut by where they come from."""
    colors = {"embedding": "0.4", "norms": GRAY, "attention": BLUE, "mlp": GREEN, "head": ORANGE,
              "blocks": SKY, "one block": VERMILION, "scores": VERMILION}  # fmt: skip
    figure, (axes,) = canvas(9, 1.1 + 0.55 * len(rows))
    seen: set[str] = set()
    for line, parts_ in enumerate(rows.values()):
        left = 0.0
        for place, value in parts_.items():
            axes.barh(line, value / unit, left=left, color=colors[place], edgecolor="white",
                      label=None if place in seen else place)  # fmt: skip
            seen.add(place)
            left += value / unit
        axes.text(left, line, f" {left:,.3g} {label}", va="center", fontsize=10)
    axes.set_yticks(range(len(rows)), list(rows), fontsize=10)
    longest = max(sum(row.values()) for row in rows.values()) / unit
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, 1.18 * longest), xlabel=label, title=title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=9, loc="upper center", ncols=6, bbox_to_anchor=(0.5, -0.2), frameon=False)
    return figure


def _stack(width: float, height: float, ratios: Sequence[float]):
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        len(ratios), 1, figsize=(width, height), layout="constrained", height_ratios=ratios
    )
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure, panels


def _product(shape: Sequence[int]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


def _bytes(size: float) -> str:
    """1.5 GB, 20 MB, 300 KB: powers of a thousand."""
    for unit, letters in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if size >= unit:
            return f"{size / unit:,.3g} {letters}"
    return f"{size:,.0f} B"


def _count(number: float, letters: str = "TBMK") -> str:
    """8.54 B, 1.2 M, 3.4 T."""
    for unit, letter in zip((1e12, 1e9, 1e6, 1e3), letters, strict=True):
        if number >= unit:
            return f"{number / unit:,.3g} {letter}"
    return f"{number:,.0f} "
