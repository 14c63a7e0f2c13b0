"""The roofline, drawn: FLOPs a byte across, FLOP/s upwards, both logarithmic."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import EngFormatter

from minimodels.cluster.hardware import accelerator
from minimodels.cluster.layers import Linear, gemma_layers
from minimodels.cluster.roofline import Machine, bound
from minimodels.cluster.survey import survey

BLUE, VERMILION = "#0072B2", "#D55E00"  # Okabe & Ito 2008: told apart by every eye
MARKERS = ("o", "s", "^", "D")  # one for each batch, so that gray prints read as well
LEFT, RIGHT = 0.3, 3000  # FLOPs a byte shown


def roofline(
    machines: Sequence[Machine] | None = None, layers=None, batches: Sequence[int] = (1, 512),
    model: str = "Gemma 7B",
):
    """Each machine's roof and, on it, each layer of `model` at each batch; a matplotlib Figure.

    By default this machine as surveyed and an H100, both in bf16, and the layers of Gemma 7B with
    a full cache of 8,192 tokens. At most four batches.
    """
    machines = machines or [survey().machine("bfloat16"), accelerator("H100").machine()]
    layers = layers or gemma_layers()
    figure, axes = plt.subplots(figsize=(8.5, 4.8), layout="constrained")
    for machine in machines:
        _roof(axes, machine)
        for batch, marker in zip(batches, MARKERS, strict=False):
            for layer in layers:
                _point(axes, machine, layer, batch, marker)
    _legend(axes, batches)
    axes.set(xscale="log", yscale="log", xlim=(LEFT, RIGHT))
    axes.set_ylim(top=2.5 * max(machine.flops for machine in machines))  # room for the ridge's name
    axes.set(xlabel="FLOPs a byte", ylabel="FLOP/s that can be reached")
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_title(f"{model} writing tokens on {machines[-1].name}: "
                   f"{_waiting(machines[-1], layers, batches)}")
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure


def _roof(axes, machine: Machine) -> None:
    intensity = np.array([LEFT, machine.ridge, RIGHT])
    axes.plot(intensity, np.minimum(machine.flops, intensity * machine.bandwidth),
              color="black", linewidth=1, zorder=1)
    axes.axvline(machine.ridge, color="0.8", linewidth=0.8, linestyle=":", zorder=0)
    axes.annotate(f"{machine.name} ", (RIGHT, machine.flops), (0, -14), ha="right",
                  textcoords="offset points", fontweight="bold")
    axes.annotate(f"ridge {machine.ridge:.0f}", (machine.ridge, machine.flops), (0, 5),
                  textcoords="offset points", ha="center", fontsize=9)


def _point(axes, machine: Machine, layer, batch: int, marker: str) -> None:
    """A filled mark for a matrix, a ring for attention: both show where they coincide."""
    flops, bytes = layer.cost(batch)
    reached = flops / bound(flops, bytes, machine).seconds
    if isinstance(layer, Linear):
        axes.scatter(flops / bytes, reached, s=40, color=BLUE, marker=marker, zorder=2)
    else:
        axes.scatter(flops / bytes, reached, s=150, facecolors="none", edgecolors=VERMILION,
                     linewidth=1.8, marker=marker, zorder=3)


def _legend(axes, batches) -> None:
    for batch, marker in zip(batches, MARKERS, strict=False):
        axes.plot([], [], marker, color=BLUE, label=f"weight matrices, batch {batch:,}")
    for batch, marker in zip(batches, MARKERS, strict=False):
        axes.plot([], [], marker, markersize=11, markerfacecolor="none", color=VERMILION,
                  markeredgewidth=1.8, label=f"attention over the cache, batch {batch:,}")
    axes.legend(loc="center right", fontsize=9)


def _waiting(machine: Machine, layers, batches) -> str:
    """What the picture shows: how many parts wait for memory at each batch."""
    counts = [
        sum(bound(*layer.cost(batch), machine).limit == machine.moves for layer in layers)
        for batch in batches
    ]
    told = ", ".join(f"{n} at batch {batch:,}" for n, batch in zip(counts, batches, strict=True))
    return f"of {len(layers)} parts\nthose that wait for {machine.moves}: {told}"


def curves(series: dict, title: str, x: str, y: str, marks: dict[str, float] | None = None):
    """{label: (xs, ys)} on logarithmic axes, and a labeled vertical line at each mark; a Figure.

    The first series is drawn with dots (what was measured), the others as lines (what was said).
    """
    colors, lines = (BLUE, VERMILION, "black"), ("o-", "--", ":")
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for (label, (xs, ys)), color, line in zip(series.items(), colors, lines, strict=False):
        axes.plot(xs, ys, line, color=color, label=label)
    for name, place in (marks or {}).items():
        axes.axvline(place, color="0.7", linewidth=0.8, linestyle=":", zorder=0)
        axes.annotate(f"{name} ", (place, 0.02), xycoords=("data", "axes fraction"), ha="right",
                      fontsize=9)
    axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y, title=title)
    axes.margins(y=0.1)  # room for the names of the marks
    axes.xaxis.set_major_formatter(EngFormatter())  # 100 k, 1 M
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.legend(fontsize=9)
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure
