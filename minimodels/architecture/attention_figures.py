"""Pictures of attention: eight for the pieces that the lab builds, one for a chapter. Figures.

Token, head and slot numbers stand in the pictures, so that colors only repeat what is written.
"""

from matplotlib.patches import FancyBboxPatch

from minimodels.architecture.configs import get
from minimodels.architecture.count import cache_bytes
from minimodels.data.drawing import bare, box, canvas

BLUE, VERMILION, GREEN, SKY = "#0072B2", "#D55E00", "#009E73", "#56B4E9"  # Okabe & Ito 2008
HEADS = (BLUE, VERMILION, GREEN, SKY)  # a color for each key head


def masks(cases=((0, 4), (3, 2)), window=None):
    """Who may look at whom: a grid for each (past, present), a dot where the query sees the key.

    window: how many tokens a query sees at most, its own included.
    """
    figure, panels = canvas(8.5, 3.4, columns=len(cases))
    for axes, (past, present) in zip(panels, cases, strict=True):
        for row in range(present):
            for key in range(past + present):
                seen = 0 <= past + row - key < (window or past + present)
                box(axes, key - 0.5, row - 0.5, 1, 1, SKY if seen else "white",
                     "●" if seen else "")  # fmt: skip
        axes.set(xlim=(-0.6, past + present - 0.4), ylim=(present - 0.4, -0.6), aspect="equal")
        axes.set_xticks(range(past + present))
        rows = range(present)
        axes.set_yticks(rows, [f"row {row}: token {past + row}" for row in rows])
        axes.set(xlabel="key of token")
        axes.set_title(f"{past} past, {present} present")
    through = f" through a window of {window}" if window else ""
    figure.suptitle(f"A dot: this row's token may look at this key{through}")
    return figure


def windows():
    """The masks of a layer that slides, without and with a past."""
    return masks(((0, 6), (4, 3)), window=3)


def shapes(T=3, S=5, d=4):
    """Attention of one head as rectangles: q kᵀ is (T, S), its rows become weights, times v."""
    figure, (axes,) = canvas(9, 2.7)
    parts = [
        ("q", T, d, SKY, "@"),
        ("kᵀ", d, S, SKY, "→"),
        ("scores", T, S, "white", "→"),
        ("weights", T, S, "white", "@"),
        ("v", S, d, SKY, "="),
        ("out", T, d, GREEN, ""),
    ]
    left = 0.0
    for name, rows, columns, color, after in parts:
        box(axes, left, -rows / 2, columns, rows, color, name)
        axes.text(left + columns / 2, 3.1, _size(rows, columns, T, S), ha="center")
        axes.text(left + columns + 0.7, 0, after, ha="center", va="center", fontsize=15)
        if name == "weights":
            axes.annotate(
                "",
                (left + columns, -0.9),
                (left, -0.9),
                arrowprops={"arrowstyle": "->", "color": VERMILION, "lw": 2},
            )
            axes.text(left + columns / 2, -2.1, "a row sums to 1", ha="center", color=VERMILION)
        left += columns + 1.4
    axes.set(xlim=(-0.3, left), ylim=(3.5, -2.9), aspect="equal")
    axes.set_title("Every query mixes the values by its own row of weights")
    return bare(figure)


def sharing(num_heads=4, key_heads=(4, 2, 1)):
    """Query heads above, the key and value head each of them reads below: MHA, GQA, MQA."""
    figure, panels = canvas(9, 2.6, columns=len(key_heads))
    for axes, K in zip(panels, key_heads, strict=True):
        group = num_heads // K
        for head in range(num_heads):
            below = (head // group + 0.5) * group - 0.5  # where its key head stands
            axes.plot([head, below], [0.35, 1.65], color=HEADS[head // group], lw=2, zorder=0)
            box(axes, head - 0.4, -0.35, 0.8, 0.7, "white", f"q{head}", HEADS[head // group])
        for key in range(K):
            middle = (key + 0.5) * group - 0.5
            box(axes, middle - 0.4, 1.65, 0.8, 0.7, HEADS[key], f"kv{key}", ink="white")
        name = {num_heads: "multi-head", 1: "multi-query"}.get(K, "grouped-query")
        axes.set(xlim=(-0.7, num_heads - 0.3), ylim=(2.5, -0.6))
        axes.set_title(f"{name}: H={num_heads}, K={K}")
    return bare(figure)


def slots(pieces=(3, 1, 2), room=8):
    """A cache after each append: what lay there, what is new, what is still empty."""
    figure, (axes,) = canvas(8.5, 2.8)
    end = 0
    for row, new in enumerate(pieces):
        start, end = end, end + new
        for slot in range(room):
            color = "white" if slot >= end else VERMILION if slot >= start else SKY
            ink = "white" if color == VERMILION else "black"
            box(axes, slot, row * 1.3, 1, 1, color, f"k{slot}" if slot < end else "", ink=ink)
        axes.text(-0.3, row * 1.3 + 0.5, f"append {new}", ha="right", va="center")
        axes.text(room + 0.3, row * 1.3 + 0.5, f"length {end}", ha="left", va="center")
    axes.set(xlim=(-2.4, room + 2.4), ylim=(len(pieces) * 1.3, -0.3), aspect="equal")
    axes.set_title("Orange is written now, blue was there. An append returns both")
    return bare(figure)


def window_slots(pieces=(5, 1, 2), window: int = 4):
    """What a cache of W − 1 tokens returns at each append, and what it keeps of that."""
    figure, (axes,) = canvas(8.5, 2.8)
    held, end = 0, 0
    for row, new in enumerate(pieces):
        start, end = end, end + new
        kept = min(window - 1, held + new)
        for token in range(start - held, end):
            color = VERMILION if token >= start else SKY
            box(axes, token, row * 1.3, 1, 1, color, f"k{token}",
                ink="white" if token >= start else "black")  # fmt: skip
            if token < end - kept:
                axes.plot([token, token + 1], [row * 1.3 + 1, row * 1.3], color="black", lw=1.5)
        axes.text(-0.3, row * 1.3 + 0.5, f"append {new}", ha="right", va="center")
        held = kept
        axes.text(sum(pieces) + 0.3, row * 1.3 + 0.5, f"keeps {held}", ha="left", va="center")
    axes.set(xlim=(-2.4, sum(pieces) + 2.4), ylim=(len(pieces) * 1.3, -0.3), aspect="equal")
    axes.set_title(f"Window {window}. Orange came in, blue was kept, struck out is forgotten")
    return bare(figure)


def hybrid(name: str = "gemma-3-27b"):
    """Bytes of cache by length: as if all layers were full, and with the layers that slide."""
    config = get(name)
    figure, (axes,) = canvas(8.5, 3.4)
    lengths = [2**power for power in range(7, 18)]
    one = 2 * config.num_kv_heads * config.head_dim * 2  # bytes of a token in a layer, bf16
    full = [config.num_layers * length * one / 2**30 for length in lengths]
    mixed = [cache_bytes(config, length) / 2**30 for length in lengths]
    axes.plot(lengths, full, "--", marker="s", color=VERMILION, label="all layers full")
    axes.plot(lengths, mixed, "-", marker="o", color=BLUE, label="five of six slide")
    axes.axvline(config.sliding_window, color="0.6", lw=1)
    axes.text(config.sliding_window * 1.08, full[-1], f"window: {config.sliding_window:,} tokens",
              va="top", fontsize=9)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="tokens of the text", ylabel="GiB of cache")
    axes.legend(loc="lower right")
    axes.set_title(f"{name}: behind its window, a layer that slides asks for nothing more")
    return figure


def flow():
    """The whole module from left to right: x, three projections, … , o_proj."""
    figure, (axes,) = canvas(9.5, 3)
    stages = [(0, "x", (1,)), (1.6, "{}_proj\nsplit", (0, 1, 2)), (3.2, "rotate", (0, 1)),
              (4.8, "cache\nappend", (1, 2)), (6.4, "share", (1, 2)), (8, "attention\nmask", (1,)),
              (9.6, "merge\no_proj", (1,))]  # fmt: skip
    for row, name in enumerate("qkv"):
        reached = [x for x, _, rows in stages[1:5] if row in rows]
        axes.plot([0.6, reached[0]], [1.5, row + 0.5], color="0.5", zorder=0)
        axes.plot([reached[0], 7.6], [row + 0.5] * 2, color="0.5", zorder=0)
        axes.plot([7.6, 8], [row + 0.5, 1.5], color="0.5", zorder=0)
        axes.text(7.25, row + 0.38, name, ha="center")
    axes.plot([8, 11], [1.5, 1.5], color="0.5", zorder=0)
    for x, words, rows in stages:
        for row in rows:
            color = {"rotate": "0.9", "x": "white"}.get(words, SKY)
            style = FancyBboxPatch((x - 0.55, row + 0.14), 1.1, 0.72, facecolor=color,
                                   edgecolor="black", boxstyle="round,pad=0.02")  # fmt: skip
            axes.add_patch(style)
            axes.text(x, row + 0.5, words.format("qkv"[row]), ha="center", va="center", fontsize=9)
    axes.set(xlim=(-0.7, 11.2), ylim=(3, -0.1))
    axes.set_title("q and k are rotated, k and v are kept. Gray: given")
    return bare(figure)


def weights(table, words, title):
    """Attention weights (T, T) in percent: a row for each query, a column for each key."""
    figure, (axes,) = canvas(8, 4.1)
    table = [[float(share) for share in row] for row in table]
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, shares in enumerate(table):
        for column, share in enumerate(shares[: row + 1]):
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=10,
                      color="white" if share > 0.6 else "black")  # fmt: skip
    axes.set_xticks(range(len(words)), words)
    axes.set_yticks(range(len(words)), words)
    axes.set(xlabel="key of", ylabel="query of", title=title)
    return figure


def _size(rows: int, columns: int, T: int, S: int) -> str:
    names = {T: "T", S: "S"}
    return f"({names.get(rows, 'd')}, {names.get(columns, 'd')})"
