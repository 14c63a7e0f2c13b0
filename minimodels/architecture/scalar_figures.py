"""Pictures of gradients: a graph with its numbers, the error of a nudge, what a run learns.

Each function returns a closed Figure. Colors are Okabe & Ito's (2008); words repeat what they say.
"""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from minimodels.architecture.scalar import Scalar, history

BLUE, VERMILION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
STYLES = ((BLUE, "o-"), (VERMILION, "s--"), (GREEN, "^:"))
WIDTH, HEIGHT = 1.5, 1.1  # of a node's box, in columns and rows


def graph(root: Scalar, names: Mapping[str, Scalar], title: str):
    """Everything behind `root`, from left to right: value and gradient in a box, slopes on arrows.

    names: what to write on leaves; other nodes show their operation. For a dozen nodes at most.
    """
    nodes = history(root)
    called = {id(node): name for name, node in names.items()}
    places = _places(nodes)
    columns = max(x for x, _ in places.values()) + 1
    rows = max(y for _, y in places.values()) + 1
    figure, axes = plt.subplots(figsize=(1.6 * columns, 1.55 * rows + 0.9), layout="constrained")
    for node in nodes:
        words = called.get(id(node), node.operation.replace("+ -", "− "))
        color = ORANGE if not node.parents else GREEN if node is root else SKY
        _node(axes, places[id(node)], words, node, color)
        for parent, slope in node.parents:
            _arrow(axes, places[id(parent)], places[id(node)], slope)
    axes.set(xlim=(-0.95, 2.2 * (columns - 1) + 0.95), ylim=(2 * rows - 1.1, -0.9), title=title)
    axes.axis("off")
    return _done(figure)


def _places(nodes: list[Scalar]) -> dict[int, tuple[int, float]]:
    """Column: the longest way from a leaf; a leaf stands one before its first child."""
    column: dict[int, int] = {}
    for node in nodes:
        column[id(node)] = 1 + max((column[id(parent)] for parent, _ in node.parents), default=-1)
    for node in reversed(nodes):
        children = [child for child in nodes if any(p is node for p, _ in child.parents)]
        if not node.parents and children:
            column[id(node)] = min(column[id(child)] for child in children) - 1
    columns: dict[int, list[int]] = {}
    for node in nodes:
        columns.setdefault(column[id(node)], []).append(id(node))
    most = max(len(ids) for ids in columns.values())
    return {i: (x, row + (most - len(ids)) / 2)
            for x, ids in columns.items() for row, i in enumerate(ids)}  # fmt: skip


def _node(axes, place: tuple[int, float], words: str, node: Scalar, color: str) -> None:
    x, y = 2.2 * place[0], 2 * place[1]
    axes.add_patch(plt.Rectangle((x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, fc="white",
                                 ec="0.3", zorder=2))  # fmt: skip
    axes.add_patch(plt.Rectangle((x - WIDTH / 2, y - HEIGHT / 2), WIDTH, 0.42, fc=color, ec="0.3",
                                 zorder=2))  # fmt: skip
    axes.text(x, y - 0.32, words, ha="center", va="center", fontsize=12, zorder=3,
              color="white" if color == GREEN else "black")  # fmt: skip
    axes.text(x, y + 0.05, f"value {node.value:.4g}", ha="center", va="center", zorder=3)
    axes.text(x, y + 0.36, f"gradient {node.gradient:.4g}", ha="center", va="center", zorder=3,
              color=VERMILION)  # fmt: skip


def _arrow(axes, start: tuple[int, float], end: tuple[int, float], slope: float) -> None:
    """From parent to child, with the slope in the middle; a long arrow bows around other boxes."""
    begin = (2.2 * start[0] + WIDTH / 2, 2 * start[1])
    finish = (2.2 * end[0] - WIDTH / 2, 2 * end[1])
    lift, shape = 0.0, "arc3"
    if end[0] - start[0] > 1:
        finish = (2.2 * end[0], 2 * end[1] - HEIGHT / 2)
        lift, shape = 0.12 * (finish[0] - begin[0]), "arc3,rad=-0.24"  # its top: half the bow
    style = {"arrowstyle": "-|>", "color": "0.4", "lw": 1.4, "connectionstyle": shape}
    axes.annotate("", finish, begin, zorder=1, arrowprops=style)
    middle = ((begin[0] + finish[0]) / 2, (begin[1] + finish[1]) / 2 - lift)
    axes.text(*middle, f"{slope:.3g}", ha="center", va="center", fontsize=10, zorder=3,
              bbox={"fc": "white", "ec": "none", "pad": 1})  # fmt: skip


def errors(curves: Mapping[str, tuple[Sequence, Sequence]], title: str):
    """{name: (steps, relative errors of the nudged gradient)}, both axes logarithmic."""
    figure, axes = plt.subplots(figsize=(8, 3.9), layout="constrained")
    for (name, (steps, wrong)), (color, style) in zip(curves.items(), STYLES, strict=False):
        axes.loglog(steps, wrong, style, color=color, ms=4, label=name)
    _error_axes(axes, title)
    axes.legend(fontsize=10, loc="upper left")
    return _done(figure)


def _error_axes(axes, title: str) -> None:
    axes.set(xlabel="step", ylabel="relative error", title=title, ylim=(1e-12, 1e3))
    axes.invert_xaxis()  # as one tries them: from large to small


def zoom(
    step: float, loss_at: Callable[[float], float], weight: float, slope: float,
    curve: tuple[Sequence, Sequence],
):  # fmt: skip
    """The loss around one weight at the scale of a step, and that step on its curve of errors."""
    figure, (near, axes) = plt.subplots(1, 2, figsize=(9.5, 3.7), layout="constrained")
    offsets = np.linspace(-1.5, 1.5, 151)
    losses = np.array([loss_at(weight + step * offset) for offset in offsets])
    here = losses[len(losses) // 2]
    near.plot(offsets, losses - here, color=BLUE, lw=1.5, label="loss as computed")
    near.plot(offsets, slope * step * offsets, "--", color=GREEN, lw=1.5, label="true slope")
    ends = np.array([loss_at(weight - step), loss_at(weight + step)])
    nudged = (ends[1] - ends[0]) / (2 * step)
    near.plot([-1, 1], ends - here, "s-", color=VERMILION, ms=7, label="nudged slope")
    near.set(xlabel="steps away from the weight", ylabel="loss, minus that at the weight")
    near.legend(fontsize=9)
    wrong = abs(nudged - slope) / abs(slope)
    near.set_title(f"step {step:g}: slope {nudged:.3g} instead of {slope:.3g}")
    axes.loglog(*curve, "o-", color="0.6", ms=3, label="all weights of its matrix")
    axes.plot(step, wrong, "s", color=VERMILION, ms=10, label="this weight, this step")
    axes.legend(fontsize=9, loc="lower right")
    _error_axes(axes, f"wrong by {100 * wrong:.2g}%")
    axes.set_ylim(1e-5, 1e2)
    return _done(figure)


def runs(losses: Mapping[str, Sequence[float]], title: str):
    """{name: loss after 0, 1, 2, … steps}."""
    figure, axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
    for (name, run), (color, style) in zip(losses.items(), STYLES, strict=False):
        axes.plot(run, style, color=color, ms=4, label=name)
    axes.set(xlabel="step", ylabel="nats a token", title=title)
    axes.legend(fontsize=10)
    return _done(figure)


def sizes(widths: Sequence[int], nodes: Mapping[str, Sequence[int]], title: str):
    """{kind of graph: nodes at each width of the model}, both axes logarithmic."""
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for (name, counts), (color, style) in zip(nodes.items(), STYLES, strict=False):
        axes.loglog(widths, counts, style, color=color, ms=6, label=name)
        axes.text(widths[-1] * 1.07, counts[-1], f"{counts[-1]:,}", va="center", fontsize=10)
    axes.set(xlabel="width D", ylabel="nodes", title=title, xlim=(None, widths[-1] * 1.6))
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.minorticks_off()
    axes.legend(fontsize=10, loc="upper left")
    return _done(figure)


def _done(figure):
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure
