import pytest

from minimodels.errors import UserError
from minimodels.parallelism import demo, figures
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


def test_the_picture_of_data_parallelism_has_a_row_for_each_rank_and_one_mean():
    (axes,) = figures.data_parallel(3).axes
    words = [text.get_text() for text in axes.texts if text.get_text()]
    assert [words.count(box) for box in ("whole model", "same step", "mean")] == [3, 3, 1]
    assert len(axes.patches) == 3 * 4 + 1


def test_the_slider_draws_the_size_it_shows(monkeypatch):
    pytest.importorskip("ipywidgets")
    display = pytest.importorskip("IPython.display")
    drawn = []

    class Handle:
        update = staticmethod(drawn.append)

    def show(what, display_id=None):
        drawn.append(what)
        return Handle

    monkeypatch.setattr(display, "display", show)
    slider = demo.zero_slider()
    slider.value = 70
    titles = [figure.axes[0].get_title() for figure in drawn if hasattr(figure, "axes")]
    assert "7.5 billion" in titles[0] and "70 billion" in titles[1]
    assert "none (stage 2)" in titles[1] and "14 (stage 3)" in titles[1]


def test_utilization_counts_as_the_report_does():
    """Nemotron-4 15B on 768 GPUs: 384 texts, 0.57 s, 34.3% (arXiv 2402.16819, table 2)."""
    share = demo.utilization("nemotron-4-15b", gpus=768, batch=384, seconds=0.57, peak=989e12)
    assert share == pytest.approx(0.343, abs=3e-3)
