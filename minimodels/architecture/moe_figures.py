"""Pictures of mixtures of experts: who is asked, how tokens are sorted, who is busy. Figures.

Names and numbers stand in the pictures, so that colors only repeat what is written.
Legend: N tokens, E experts, k of them used by a token.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt

from minimodels.architecture.figures import BLUE, GREEN, MARKERS, ORANGE, SKY, VERMILION
from minimodels.data.drawing import bare, box, canvas

EXPERTS = (SKY, ORANGE, GREEN, "#CC79A7", "#F0E442", BLUE, VERMILION, "0.6")
METHODS = {"none": "nothing", "loss": "balancing loss", "bias": "bias", "one": "one expert"}
COLORS = {"none": VERMILION, "loss": BLUE, "bias": GREEN, "one": "0.4"}


def mixture(D: int, E: int = 8, weights: Mapping[int, float] | None = None):
    """One token through a mixture: the router asks the experts in `weights`, the others rest."""
    weights = weights or {2: 0.7, 5: 0.3}
    figure, (axes,) = canvas(9, 3.9)
    box(axes, 0, 3.2, 1.7, 1.2, ORANGE, f"token\n({D:,})", size=11)
    box(axes, 2.6, 3.2, 1.9, 1.2, "0.85", f"router\n{E} × {D:,}", size=11)
    axes.annotate("", (2.6, 3.8), (1.7, 3.8), arrowprops={"arrowstyle": "-|>"})
    for expert in range(E):
        y, asked = 7.3 - 7.3 * expert / (E - 1), expert in weights
        box(axes, 6.2, y, 1.9, 0.75, GREEN if asked else "white", f"expert {expert}", size=11,
            edge="black" if asked else "0.7", ink="white" if asked else "0.6")  # fmt: skip
        if asked:
            line = {"arrowstyle": "-|>", "lw": 1 + 3 * weights[expert], "color": "0.3"}
            axes.annotate("", (6.2, y + 0.4), (4.5, 3.8), arrowprops=line)
            axes.annotate("", (10.1, 3.9), (8.1, y + 0.4), arrowprops=line)
            above = y > 3.2  # on the outer side of its arrow
            axes.text(8.5, y + (0.5 if above else 0.25), f"× {weights[expert]}", fontsize=12,
                      va="bottom" if above else "top")  # fmt: skip
    axes.plot(10.35, 3.8, "o", ms=22, mfc="white", mec="0.3")
    axes.text(10.35, 3.78, "+", ha="center", va="center", fontsize=15)
    axes.annotate("", (11.4, 3.8), (10.6, 3.8), arrowprops={"arrowstyle": "-|>"})
    box(axes, 11.4, 3.2, 1.7, 1.2, ORANGE, f"answer\n({D:,})", size=11)
    axes.set(xlim=(-0.2, 13.3), ylim=(-0.4, 8.4))
    axes.set_title(f"All {E} experts are in memory, {len(weights)} are computed for this token")
    return bare(figure)


def dispatch(words: Sequence[str], experts: Sequence[Sequence[int]], E: int):
    """Pairs of token and expert as the text has them, and sorted by expert."""
    pairs = [(word, expert) for word, chosen in zip(words, experts, strict=True)
             for expert in chosen]  # fmt: skip
    order = sorted(range(len(pairs)), key=lambda at: pairs[at][1])
    figure, (axes,) = canvas(9, 3.1)
    for at, (word, expert) in enumerate(pairs):
        box(axes, at, 3, 0.94, 0.8, EXPERTS[expert], f"{word}\n{expert}", size=10)
    for place, at in enumerate(order):
        word, expert = pairs[at]
        box(axes, place, 0.9, 0.94, 0.8, EXPERTS[expert], f"{word}\n{expert}", size=10)
        axes.plot([at + 0.47, place + 0.47], [3, 1.7], color="0.6", lw=1, zorder=0)
    for expert in range(E):
        places = [place for place, at in enumerate(order) if pairs[at][1] == expert]
        if places:
            axes.plot([places[0] + 0.05, places[-1] + 0.9], [0.75, 0.75], color="0.2", lw=2)
            axes.text(sum(places) / len(places) + 0.47, 0.6, f"expert {expert}: {len(places)}",
                      ha="center", va="top", fontsize=10)  # fmt: skip
    axes.set(xlim=(-0.1, len(pairs)), ylim=(0, 4.1))
    axes.set_title("Sorted by expert (below each word), the tokens of an expert lie side by side")
    return bare(figure)


def rooms(words: Sequence[str], experts: Sequence[Sequence[int]], E: int, capacity: int):
    """The same pairs in rooms of `capacity`: empty slots are computed too, the rest is dropped."""
    queues: dict[int, list[str]] = {expert: [] for expert in range(E)}
    for choice in range(len(experts[0])):  # all first choices before all second ones
        for word, chosen in zip(words, experts, strict=True):
            queues[chosen[choice]].append(word)
    figure, (axes,) = canvas(9, 0.6 + 0.55 * E)
    dropped = 0
    for expert, queue in queues.items():
        axes.text(-0.15, expert + 0.45, f"expert {expert}", ha="right", va="center", fontsize=11)
        for slot in range(max(capacity, len(queue))):
            word = queue[slot] if slot < len(queue) else "empty"
            out = slot >= capacity
            dropped += out
            color = "white" if out or word == "empty" else EXPERTS[expert]
            box(axes, slot + 0.4 * out, expert, 0.94, 0.85, color, word, size=11,
                edge="0.7" if word == "empty" else VERMILION if out else "black",
                ink="0.6" if word == "empty" else VERMILION if out else "black")  # fmt: skip
    axes.set(xlim=(-1.3, max(map(len, queues.values())) + 1), ylim=(E, -0.1))
    axes.set_title(f"Room for {capacity} a queue: {dropped} of {sum(map(len, queues.values()))} "
                   "pairs find none")  # fmt: skip
    return bare(figure)


def loads(shares: Mapping[str, Sequence[float]], title: str):
    """The share of the tokens that each expert gets, a panel for each case, busiest first."""
    figure, panels = plt.subplots(1, len(shares), figsize=(9.4, 2.9), sharey=True,
                                  layout="constrained", squeeze=False)  # fmt: skip
    plt.close(figure)
    for axes, (name, load) in zip(panels[0], shares.items(), strict=True):
        percent = [100 * share for share in sorted(load, reverse=True)]
        axes.bar(range(len(load)), percent, color=BLUE)
        axes.axhline(100 / len(load), color=VERMILION, ls="--", lw=1.5)
        axes.set(xticks=range(len(load)), xlabel="experts, busiest first", ylim=(0, 105))
        axes.set_xticklabels([])
        axes.set_title(name, fontsize=11)
    panels[0][0].set_ylabel("% of the tokens")
    panels[0][-1].text(len(load) - 0.5, 100 / len(load) + 3, "even", color=VERMILION, ha="right")
    figure.suptitle(title)
    return figure


def queues(load: Sequence[float], factor: float, title: str):
    """What experts get against the room they have: `factor` times their even share."""
    figure, (axes,) = canvas(8.6, 3.3)
    even = 100 / len(load)
    percent = [100 * share for share in sorted(load, reverse=True)]
    kept = [min(share, factor * even) for share in percent]
    axes.bar(range(len(load)), kept, color=BLUE, label="finds room")
    over = [share - there for share, there in zip(percent, kept, strict=True)]
    axes.bar(range(len(load)), over, bottom=kept, color="white", edgecolor=VERMILION, hatch="//",
             label="is dropped")  # fmt: skip
    axes.axhline(factor * even, color="black", lw=1.2, ls="--")
    axes.text(len(load) - 0.55, factor * even + 1.5, f"room: {factor:g} × even", ha="right")
    axes.set(ylim=(0, 105), xlabel="experts, busiest first", ylabel="% of the tokens")
    axes.set_xticks([])
    axes.set_title(title)
    axes.legend(fontsize=10)
    return figure


def against_common(rows: Sequence[Mapping], E: int = 8):
    """Experts in use and error after training by what tokens have in common; a dot is a seed."""
    figure, panels = canvas(9.4, 3.5, columns=2)
    methods = [method for method in METHODS if any(row["method"] == method for row in rows)]
    for shift, method in enumerate(methods):
        mine = [row for row in rows if row["method"] == method]
        at = [row["common"] + 0.12 * (shift - 1) for row in mine]
        for axes, key in zip(panels, ("in_use", "loss"), strict=True):
            axes.plot(at, [row[key] for row in mine], MARKERS[shift], color=COLORS[method], ms=8,
                      label=METHODS[method], alpha=0.85)  # fmt: skip
    sizes = sorted({row["common"] for row in rows})
    for axes in panels:
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.set_xlabel("what all tokens have in common")
    panels[0].set(ylabel="experts in use", ylim=(0, E + 0.5))
    panels[1].set(ylabel="error (1: answers 0)", ylim=(0, None))
    panels[0].set_title("Left alone, fewer and fewer experts work")
    panels[1].set_title("and with eight kinds of tokens that costs")
    panels[1].legend(fontsize=10, title="balanced by")
    return figure


def in_text(curves: Mapping[str, Mapping], E: int, step: int):
    """Experts in use in the last layer of a language model; by layer, against common vectors."""
    figure, panels = canvas(9.4, 3.5, columns=2)
    for (method, found), marker in zip(curves.items(), MARKERS, strict=False):
        last = [numbers[-1] for numbers in found["in_use"]]
        panels[0].plot(found["steps"], last, marker=marker, ms=5, color=COLORS[method],
                       label=METHODS[method])  # fmt: skip
        at = found["steps"].index(step)
        panels[1].plot(found["common"][at], found["in_use"][at], marker, ms=8,
                       color=COLORS[method])  # fmt: skip
        for layer, place in enumerate(zip(found["common"][at], found["in_use"][at], strict=True)):
            if method == "none":
                panels[1].annotate(f"layer {layer}", place, (0, 8 if layer % 2 else -17),
                                   textcoords="offset points", ha="center")  # fmt: skip
    panels[0].legend(fontsize=9, title="balanced by", loc="lower center", ncols=3)
    panels[0].set(xlabel="step", ylabel="experts in use", ylim=(0, E + 0.5))
    panels[0].set_title(f"The last layer of a LLaMA with {E} experts")
    panels[1].set(xlabel="share of the squared length that is common", ylim=(0, E + 0.5),
                  xlim=(0, 1))  # fmt: skip
    panels[1].set_title(f"Step {step}: the more in common, the fewer in use")
    return figure


def touched(counts: Mapping[str, Sequence[float]], batches: Sequence[int], title: str):
    """Percent of the expert weights that a step reads, by the tokens computed together."""
    figure, (axes,) = canvas(8.6, 3.4)
    for (name, row), color, marker in zip(counts.items(), (BLUE, VERMILION, GREEN), MARKERS,
                                          strict=False):  # fmt: skip
        axes.plot(batches, [100 * share for share in row], marker=marker, color=color, label=name)
    axes.set(xscale="log", xlabel="tokens computed together", ylabel="% of the experts read",
             ylim=(0, 105), title=title)  # fmt: skip
    axes.set_xticks(batches, [f"{batch:,}" for batch in batches])
    axes.minorticks_off()
    axes.legend(fontsize=10)
    return figure
