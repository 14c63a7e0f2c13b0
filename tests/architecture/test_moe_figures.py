"""Pictures of mixtures say what was computed; the experiment's tokens are what it claims."""

import pytest
import torch

from minimodels.architecture import moe_demo, moe_figures
from minimodels.architecture.balancing import in_use
from minimodels.experiments import router_collapse as experiment

WORDS = "Ada met Ben near our lake".split()
CHOSEN = [(0, 2), (3, 1), (2, 0), (0, 1), (0, 2), (3, 0)]


def words(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_the_picture_of_sorting_counts_each_expert():
    told = words(moe_figures.dispatch(WORDS, CHOSEN, E=4))
    assert [text for text in told if text.startswith("expert")] == [
        "expert 0: 5", "expert 1: 2", "expert 2: 3", "expert 3: 2"]  # fmt: skip


def test_the_picture_of_rooms_drops_what_with_capacity_drops():
    from minimodels.architecture.moe import queue
    from minimodels.architecture.routing import Route

    experts = torch.tensor(CHOSEN)
    route = Route(torch.zeros(6, 4), experts, torch.ones(6, 2))
    lost = [WORDS[n] for n, _ in (queue(route) >= 3).nonzero().tolist()]
    figure = moe_figures.rooms(WORDS, CHOSEN, E=4, capacity=3)
    red = [text.get_text() for text in figure.axes[0].texts
           if text.get_color() == moe_figures.VERMILION]  # fmt: skip
    assert red == lost == ["Ben", "lake"]
    assert "2 of 12 pairs" in figure.axes[0].get_title()


@pytest.mark.parametrize("load, factor, lost", [
    ([1.0] + [0.0] * 7, 1.25, 1 - 1.25 / 8), ([1 / 8] * 8, 1.0, 0.0), ([0.5, 0.5], 0.8, 0.2),
])  # fmt: skip
def test_dropped_is_what_stands_above_the_room(load, factor, lost):
    assert moe_demo.dropped(load, factor) == pytest.approx(lost)


def test_experts_in_use():
    assert in_use(torch.full((8,), 1 / 8)) == pytest.approx(8)
    assert in_use(torch.tensor([1.0, 0.0, 0.0])) == pytest.approx(1)
    assert in_use(torch.tensor([0.5, 0.5, 0.0])) == pytest.approx(2)


def test_kinds_share_what_they_are_said_to_share():
    shares = []
    for common in experiment.COMMON:
        x, wanted, kind = experiment.Kinds(common).batch(2000)
        assert x.shape == wanted.shape == (2000, experiment.D) and kind.max() == experiment.E - 1
        shares.append(experiment.common_share(x))
    assert shares[0] < 0.2 < 0.5 < shares[1] < shares[2]
    assert experiment.common_share(torch.ones(5, 3)) == pytest.approx(1)


def test_left_alone_few_experts_work_and_the_loss_calls_the_others():
    used = {}
    for method in ("none", "loss"):
        rows = list(experiment.train_kinds(method, common=2.0, steps=60, seed=1, weight=1.0))
        used[method] = in_use(torch.tensor(rows[-1]["load"]))
    assert used["none"] < 4 and used["loss"] > 6


def test_figures_of_results_draw_what_they_are_given():
    rows = [{"method": method, "common": 4.0, "in_use": 2.0, "loss": 0.1} for method in
            experiment.METHODS]  # fmt: skip
    left, right = moe_figures.against_common(rows).axes
    assert len(left.lines) == len(right.lines) == 3
    curve = {
        "steps": [0, 5],
        "in_use": [[9.0, 3.0], [8.0, 2.0]],
        "common": [[0.1, 0.4], [0.2, 0.6]],
    }
    left, right = moe_figures.in_text({"none": curve}, E=16, step=5).axes
    assert list(left.lines[0].get_ydata()) == [3.0, 2.0]
    assert list(right.lines[0].get_xdata()) == [0.2, 0.6]
