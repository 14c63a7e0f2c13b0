"""Pictures of a training run: its losses and its learning rates. Matplotlib axes in and out."""

import numpy as np

from minimodels.training.schedules import warmup_cosine


def _axes(axes):
    import matplotlib.pyplot as plt

    return axes if axes is not None else plt.subplots(figsize=(6, 3.5), layout="constrained")[1]


def loss_curve(rows: list[dict], held_out: list[tuple[int, float]] = (), axes=None):
    """Loss in nats a token over tokens read, with held-out losses [(step, loss), …] as points.

    `rows` come from `train`; the thin line is each batch, the thick one a running mean.
    """
    axes = _axes(axes)
    tokens = np.array([row["tokens"] for row in rows])
    losses = np.array([row["loss"] for row in rows])
    axes.plot(tokens, losses, color="tab:blue", alpha=0.3, linewidth=0.8, label="batch")
    axes.plot(tokens, _running_mean(losses), color="tab:blue", label="running mean")
    if held_out:
        steps, values = zip(*held_out, strict=True)
        place = {row["step"]: row["tokens"] for row in rows}
        axes.plot([place[s] for s in steps], values, "o-", color="tab:orange", label="held out")
    axes.set(xlabel="tokens read", ylabel="loss (nats a token)")
    axes.legend()
    return axes


def schedule_curve(config, axes=None):
    """Learning rate over steps of a TrainConfig."""
    axes = _axes(axes)
    rates = [
        warmup_cosine(step, config.steps, config.learning_rate, config.warmup_steps,
                      config.min_learning_rate_ratio)
        for step in range(config.steps)
    ]
    axes.plot(rates, color="tab:green")
    axes.axvline(config.warmup_steps, color="gray", linestyle=":", label="end of warm-up")
    axes.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    axes.legend()
    return axes


def _running_mean(values, window: int = 20):
    """Mean of the last `window` values, of fewer at the start."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    return (sums[ends] - sums[starts]) / (ends - starts)
