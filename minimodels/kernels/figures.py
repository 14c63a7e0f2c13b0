"""Pictures of kernels: which program touches what, and where kernels stand under the roofline.

Colors are Okabe & Ito's (2008); numbers in the squares repeat what they say.
"""

import matplotlib.pyplot as plt
import numpy as np

COLORS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#0072B2", "#D55E00", "#999999")


def owners(seen, tensors: dict[str, tuple], title: str):
    """Each named tensor as a grid of squares with the number of the program that touched it.

    tensors: name -> ((rows, columns), "read" or "write"); several programs a square: "a,b".
    """
    figure, panels = plt.subplots(
        1,
        len(tensors),
        figsize=(2.2 + 3.4 * len(tensors), 3.4),
        layout="constrained",
        squeeze=False,
    )
    for axes, (name, (shape, kind)) in zip(panels[0], tensors.items(), strict=True):
        rows, columns = shape
        touched = [[] for _ in range(rows * columns)]
        for access in seen.accesses(name, kind):
            for index in set(access.indices.tolist()):
                if access.program[0] not in touched[index]:
                    touched[index].append(access.program[0])
        for index, programs in enumerate(touched):
            row, column = divmod(index, columns)
            color = COLORS[programs[0] % len(COLORS)] if programs else "white"
            axes.add_patch(plt.Rectangle((column, row), 1, 1, fc=color, ec="0.3"))
            text = ",".join(map(str, programs)) if len(programs) < 4 else f"{len(programs)}×"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8)
        axes.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal", title=f"{name} ({kind})")
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle(title)
    plt.close(figure)
    return figure


def rooflines(rows, machine, title: str):
    """Points (FLOPs a byte, FLOP/s at best) of operations under a machine's two roofs.

    rows: name -> (flops, bytes); machine: anything with name, flops and bandwidth.
    """
    figure, axes = plt.subplots(figsize=(8.5, 4), layout="constrained")
    x = np.logspace(-2, 4, 200)
    roof = np.minimum(machine.flops, machine.bandwidth * x) / 1e12
    axes.plot(x, roof, color="0.3", lw=2)
    ridge = machine.flops / machine.bandwidth
    axes.axvline(ridge, color="0.6", ls=":")
    axes.text(ridge * 1.1, roof.min() * 2, f"{ridge:.0f} FLOPs a byte", fontsize=10)
    for number, (name, (flops, moved)) in enumerate(rows.items()):
        intensity = flops / moved
        y = min(machine.flops, machine.bandwidth * intensity) / 1e12
        axes.plot(intensity, y, "os^Dv<>P"[number % 8], color=COLORS[number % 7], ms=10, label=name)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="FLOPs for each byte moved",
        ylabel=f"TFLOP/s at best on {machine.name}",
        title=title,
    )
    axes.legend(fontsize=9, loc="lower right")
    plt.close(figure)
    return figure
