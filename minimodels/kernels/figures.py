"""Pictures of kernels: which program touches what, and where kernels stand under the roofline.

Colors are Okabe & Ito's (2008); numbers in the squares repeat what they say.
"""

import matplotlib.pyplot as plt
import numpy as np

COLORS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#0072B2", "#D55E00", "#999999")


def owners(seen, tensors: dict[str, tuple], title: str):
    """Each named tensor as a grid of squares with the programs that touched it, a stripe each.

    tensors: name -> ((rows, columns), "read" or "write"). Programs are numbered as the interpreter
    runs them; a square that several touched has their colors side by side: "0 2".
    """
    tallest = max(shape[0] / shape[1] for shape, _ in tensors.values())
    figure, panels = plt.subplots(
        1,
        len(tensors),
        figsize=(4 * len(tensors), 0.9 + 3.6 * tallest),
        layout="constrained",
        squeeze=False,
    )
    order = sorted({access.program[::-1] for access in seen.all})
    numbers = {program[::-1]: n for n, program in enumerate(order)}
    for axes, (name, (shape, kind)) in zip(panels[0], tensors.items(), strict=True):
        touched = [[] for _ in range(shape[0] * shape[1])]
        for access in seen.accesses(name, kind):
            for index in set(access.indices.tolist()):
                if numbers[access.program] not in touched[index]:
                    touched[index].append(numbers[access.program])
        for index, programs in enumerate(touched):
            _square(axes, *divmod(index, shape[1]), sorted(programs))
        axes.set(xlim=(0, shape[1]), ylim=(shape[0], 0), aspect="equal", title=f"{name} ({kind})")
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle(title)
    plt.close(figure)
    return figure


def _square(axes, row: int, column: int, programs: list[int]) -> None:
    """One number of a tensor: a stripe for each program that touched it, and their numbers."""
    for place, program in enumerate(programs):
        left, width = column + place / len(programs), 1 / len(programs)
        axes.add_patch(plt.Rectangle((left, row), width, 1, fc=COLORS[program % len(COLORS)], lw=0))
    axes.add_patch(plt.Rectangle((column, row), 1, 1, fc="none", ec="0.3"))
    text = " ".join(map(str, programs)) if len(programs) < 4 else f"{len(programs)}×"
    axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9)


def rooflines(rows, machine, title: str):
    """Operations under a machine's two roofs, and below them their names at the same FLOPs a byte.

    rows: name -> (flops, bytes); machine: anything with name, flops and bandwidth. Hollow points
    are held up by memory, filled ones by arithmetic: a list of names on either side of the ridge.
    """
    ridge = machine.flops / machine.bandwidth
    placed = sorted((flops / moved, name) for name, (flops, moved) in rows.items())
    memory = [point for point in placed if point[0] < ridge]
    arithmetic = [point for point in placed if point[0] >= ridge]
    lines = max(len(memory), len(arithmetic))
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8.5, 2.8 + 0.25 * lines), sharex=True, layout="constrained",
        height_ratios=(2.2, 0.25 * (lines + 1)),
    )  # fmt: skip
    low, high = placed[0][0] / 2, 60 * placed[-1][0]  # room for names at the right
    x = np.logspace(np.log10(low), np.log10(high), 200)
    above.plot(x, np.minimum(machine.flops, machine.bandwidth * x) / 1e12, color="0.3", lw=2)
    above.text(ridge * 1.25, 1, f"ridge: {ridge:.0f} FLOPs a byte", fontsize=12)
    for points, color, filled in ((memory, COLORS[5], "white"), (arithmetic, COLORS[6], COLORS[6])):
        style = dict(marker="o", ms=8, mec=color, mfc=filled, ls="")
        for number, (intensity, name) in enumerate(points):
            height = min(machine.flops, machine.bandwidth * intensity) / 1e12
            above.plot(intensity, height, **style)
            below.plot(intensity, number, **style)
            left = ridge / 100 < intensity < ridge  # at the right its name would cross the ridge
            below.text(intensity / 1.4 if left else intensity * 1.4, number, name, fontsize=12,
                       va="center", ha="right" if left else "left")  # fmt: skip
    for axes in (above, below):
        axes.axvline(ridge, color="0.6", ls=":")
        axes.tick_params(labelsize=12)
    for edge, side, limit in (
        (ridge / 1.25, "right", "memory"),
        (ridge * 1.25, "left", "arithmetic"),
    ):
        below.text(
            edge, -1.1, f"held up by {limit}", fontsize=12, ha=side, va="center", weight="bold"
        )
    above.set(yscale="log")
    above.set_ylabel(f"TFLOP/s at best\non {machine.name}", fontsize=12)
    above.set_title(title, fontsize=13)
    below.set(xscale="log", xlim=(low, high), yticks=[], ylim=(lines - 0.3, -1.8))
    below.set_xlabel("FLOPs for each byte moved", fontsize=12)
    plt.close(figure)
    return figure


def tiles(M: int, N: int, K: int, side: int, machine, sides=(16, 32, 64, 128, 256)):
    """Bytes that a product (M, K) (K, N) in bf16 reads by the side of its tile; one bar is dark.

    Above each bar what a program holds: sums in float32 in registers, and three stages of strips
    64 deep of both inputs in shared memory.
    """
    traffic = [2 * M * N * K * 2 / s / 1e9 for s in sides]
    held = [f"sums {4 * s * s // 1024} KiB\nstrips {3 * 2 * 2 * s * 64 // 1024} KiB" for s in sides]
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    colors = ["#D55E00" if s == side else "0.75" for s in sides]
    bars = axes.bar(range(len(sides)), traffic, color=colors)
    labels = [f"{t:,.1f} GB\n{h}" for t, h in zip(traffic, held, strict=True)]
    axes.bar_label(bars, labels, fontsize=11, padding=2)
    axes.set(ylim=(0, 1.5 * max(traffic)), ylabel="GB read", xlabel="side of the tile")
    axes.set_xticks(range(len(sides)), sides)
    memory = traffic[sides.index(side)] * 1e9 / machine.bandwidth
    axes.set_title(
        f"Tiles of {side}, no cache: at least {1000 * memory:,.1f} ms of memory, "
        f"{1000 * 2 * M * N * K / machine.flops:,.1f} ms of arithmetic"
    )
    plt.close(figure)
    return figure
