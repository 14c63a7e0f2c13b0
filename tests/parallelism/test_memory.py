import pytest

from minimodels.errors import UserError
from minimodels.parallelism import figures
from minimodels.parallelism.memory import memory_per_gpu, traffic_per_step


@pytest.mark.parametrize("stage, gigabytes", [(0, 120), (1, 31.4), (2, 16.6), (3, 1.9)])
def test_the_published_row(stage, gigabytes):
    """7.5B on 64 GPUs, arXiv 1910.02054, figure 1."""
    assert round(memory_per_gpu(7_500_000_000, 64, stage) / 1e9, 1) == pytest.approx(gigabytes)


def test_one_gpu_holds_everything_at_every_stage():
    assert {memory_per_gpu(1000, 1, stage) for stage in range(4)} == {16_000}


def test_only_stage_three_pays_in_traffic():
    assert [traffic_per_step(10, stage) / 20 for stage in range(4)] == [2, 2, 2, 3]


def test_bad_stage():
    with pytest.raises(UserError, match="no stage 4"):
        memory_per_gpu(1, 1, 4)
    with pytest.raises(UserError, match="no stage -1"):
        traffic_per_step(1, -1)
    with pytest.raises(UserError, match="GPUs"):
        memory_per_gpu(1, 0, 1)


def test_the_figure_tells_where_it_fits():
    (axes,) = figures.zero_memory(15_700_000_000, name="15B").axes
    # 80 GB: 62.8 + 188.4/N, 31.4 + 219.8/N, 251.2/N
    assert axes.get_title() == (
        "Fewest GPUs of 80 GB that hold 15B:\n"
        "none (stage 0), 11 (stage 1), 5 (stage 2), 4 (stage 3)"
    )
    assert len(axes.get_legend().get_texts()) == 4
