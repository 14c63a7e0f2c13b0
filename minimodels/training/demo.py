"""What the chapters of stage 04 show: the schedule under a slider, and curves of small runs."""

import matplotlib.pyplot as plt

from minimodels.cluster.demo import live
from minimodels.training import figures
from minimodels.training.trainer import TrainConfig

COLORS = ("#0072B2", "#009E73", "#D55E00", "#000000")  # Okabe & Ito 2008
LINES = ("-", "--", "-.", ":")


def warmup_slider(steps: int, peak: float, first: int):
    """The learning rate over a run; the slider is the length of the warm-up."""
    def draw(warmup):
        figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
        figures.schedule_curve(TrainConfig(steps, peak, warmup_steps=warmup), axes)
        axes.set_title(f"{warmup} of {steps} steps rise to {peak:g}, "
                       "the rest fall to a tenth of it")
        plt.close(figure)
        return figure

    return live(draw, [0, 1, 5, 10, 20, 40, 80], first, "warm-up")


def loss_and_belief(rows: list[dict], beliefs: list[tuple[int, float]]):
    """Loss of each batch, and the chance of a fact's true value [(step, probability), …]."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    left.plot([r["step"] for r in rows], [r["loss"] for r in rows], color=COLORS[0])
    left.set(xlabel="step", ylabel="loss (nats a token)", ylim=(0, None),
             title=f"The loss falls from {rows[0]['loss']:.1f} to {rows[-1]['loss']:.1f}")
    right.plot(*zip(*beliefs, strict=True), "o-", color=COLORS[2])
    right.axhline(0.25, color="0.6", linestyle=":", label="blind guess among four")
    right.set(xlabel="step", ylabel="chance of the true value", ylim=(0, 1),
              title=f"The fact is still at {beliefs[-1][1]:.0%}")
    right.legend()
    plt.close(figure)
    return figure


def curves(runs: dict[str, list[dict]]):
    """Loss over steps of several runs, by name."""
    figure, axes = plt.subplots(figsize=(8, 3.8), layout="constrained")
    for (name, rows), color, line in zip(runs.items(), COLORS, LINES, strict=False):
        axes.plot([r["step"] for r in rows], [r["loss"] for r in rows], line,
                  color=color, label=name)
    axes.set(xlabel="step", ylabel="loss (nats a token)", ylim=(0, 10),
             title="Without warm-up the same rate limps")
    axes.legend()
    plt.close(figure)
    return figure
