"""Memory on each GPU under ZeRO, drawn against the number of GPUs."""

import matplotlib.pyplot as plt

from minimodels.parallelism.memory import STAGES, memory_per_gpu

COLORS = ("#000000", "#0072B2", "#009E73", "#D55E00")  # Okabe & Ito 2008
LINES = ("-", "--", "-.", ":")


def zero_memory(parameters: int, gpu_gb: float = 80, name: str = "the model"):
    """GB of model state on each of 1 to 1,024 GPUs, by stage, and a GPU's size; a Figure."""
    worlds = [2**power for power in range(11)]
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for stage, color, line in zip(STAGES, COLORS, LINES, strict=True):
        gigabytes = [memory_per_gpu(parameters, world, stage) / 1e9 for world in worlds]
        axes.plot(worlds, gigabytes, line, color=color, label=f"{stage}: {STAGES[stage]}")
    axes.axhline(gpu_gb, color="0.6", linewidth=0.8)
    axes.annotate(f"one GPU, {gpu_gb:.0f} GB", (1024, gpu_gb), (0, 4), ha="right",
                  textcoords="offset points", fontsize=9)
    axes.set(xscale="log", yscale="log", xlabel="GPUs", ylabel="GB of model state on each")
    axes.set_xticks(worlds, [f"{world:,}" for world in worlds])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.legend(title="ZeRO stage", fontsize=9)
    axes.set_title(f"Fewest GPUs of {gpu_gb:.0f} GB that hold {name}:\n"
                   f"{_fewest(parameters, gpu_gb)}")
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure


def _fewest(parameters: int, gpu_gb: float) -> str:
    """The fewest GPUs that hold it at each stage, in words."""
    told = []
    for stage in STAGES:
        fits = (n for n in range(1, 1025) if memory_per_gpu(parameters, n, stage) <= gpu_gb * 1e9)
        told.append(f"{next(fits, 'none')} (stage {stage})")
    return ", ".join(told)


def data_parallel(world: int = 4):
    """One batch cut by rows, a whole model on each rank, one averaged gradient; a Figure."""
    figure, axes = plt.subplots(figsize=(8.5, 3.6), layout="constrained")
    for rank in range(world):
        y = world - 1 - rank
        _box(axes, 0, y, f"rows of rank {rank}", "#56B4E9")
        _box(axes, 3, y, "whole model", "0.88")
        _box(axes, 6, y, f"gradient {rank}", "#E69F00")
        _box(axes, 12, y, "same step", "0.88")
        for start, end in ((2.2, 3), (5.2, 6)):
            _arrow(axes, (start, y), (end, y))
        _arrow(axes, (8.2, y), (9.3, (world - 1) / 2))
        _arrow(axes, (11.1, (world - 1) / 2), (12, y))
    _box(axes, 9.3, (world - 1) / 2, "mean", "#009E73", width=1.8)
    axes.set(xlim=(-0.2, 14.4), ylim=(-0.6, world - 0.4))
    axes.set_axis_off()
    axes.set_title("Everything is done by each rank alone, but for one mean")
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure


def _box(axes, x: float, y: float, text: str, color: str, width: float = 2.2) -> None:
    axes.add_patch(plt.Rectangle((x, y - 0.3), width, 0.6, facecolor=color, edgecolor="black"))
    axes.text(x + width / 2, y, text, ha="center", va="center", fontsize=10)


def _arrow(axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops=dict(arrowstyle="->"))
