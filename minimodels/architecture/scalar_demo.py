"""What the chapter on gradients moves: the step of a nudge, from large to far too small."""

from collections.abc import Callable, Sequence

from minimodels.architecture import scalar_figures
from minimodels.cluster.demo import live

STEPS = [float(f"1e-{power}") for power in range(1, 9)]  # 0.1 … 0.00000001


def step_slider(
    loss_at: Callable[[float], float], weight: float, slope: float,
    curve: tuple[Sequence, Sequence], first: float = 1e-6,
):  # fmt: skip
    """The loss around a weight, as it is computed, under the step of the nudge.

    loss_at(weight): the loss when the weight has another value. slope: the true one. curve: steps
    and their relative errors, drawn beside it. Returns the slider.
    """
    return live(
        lambda step: scalar_figures.zoom(step, loss_at, weight, slope, curve), STEPS, first, "step"
    )
