"""A slider for the load of a router: what tokens have in common, and who finds no room."""

from collections.abc import Callable, Sequence

from minimodels.architecture import moe_figures
from minimodels.cluster.demo import live

COMMON = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]


def dropped(load: Sequence[float], factor: float) -> float:
    """Share of the tokens that finds no room where each expert has `factor` times an even share."""
    return sum(max(0.0, share - factor / len(load)) for share in load)


def load_slider(fresh_load: Callable[[float], Sequence[float]], first: float = 2.0,
                factor: float = 1.25):  # fmt: skip
    """Loads of an untrained router under a slider: the size of what all tokens have in common.

    `fresh_load(common)` gives the share of each expert.
    """

    def draw(common):
        load = fresh_load(common)
        return moe_figures.queues(
            load, factor,
            f"Common part {common:g}: the busiest of {len(load)} experts gets "
            f"{100 * max(load):.0f}% of the tokens, {100 * dropped(load, factor):.0f}% are dropped",
        )  # fmt: skip

    return live(draw, COMMON, first, "common")
