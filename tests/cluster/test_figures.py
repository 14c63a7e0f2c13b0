import pytest

from minimodels.cluster import demo, figures
from minimodels.cluster.hardware import accelerator
from minimodels.cluster.layers import gemma_layers
from minimodels.cluster.roofline import Machine

MACHINES = [Machine("a laptop", 1e11, 1e10), accelerator("H100").machine()]


def test_every_point_lies_on_its_roof():
    (axes,) = figures.roofline(MACHINES).axes
    points = [tuple(dots.get_offsets()[0]) for dots in axes.collections]
    assert len(points) == len(MACHINES) * len(gemma_layers()) * 2
    for intensity, flops in points:
        roofs = [min(m.flops, intensity * m.bandwidth) for m in MACHINES]
        assert any(flops == pytest.approx(roof) for roof in roofs)


def test_the_title_counts():
    (axes,) = figures.roofline(MACHINES).axes
    assert "6 at batch 1, 1 at batch 512" in axes.get_title()


def test_the_roofs_have_room_for_the_name_of_the_ridge():
    (axes,) = figures.roofline(MACHINES).axes
    assert axes.get_ylim()[1] == 2.5 * 989e12


def test_curves_draw_dots_first_then_lines_and_name_their_marks():
    series = {"measured": ([1, 2, 4], [3, 4, 5]), "bound": ([1, 2, 4], [2, 2, 3])}
    (axes,) = figures.curves(series, "what to see", "rows", "ms", {"crossover": 3}).axes
    dots, line, mark = axes.lines
    assert list(dots.get_ydata()) == [3, 4, 5] and dots.get_marker() == "o"
    assert line.get_linestyle() == "--" and list(mark.get_xdata()) == [3, 3]
    assert [text.get_text().strip() for text in axes.texts] == ["crossover"]
    assert axes.get_title() == "what to see" and axes.get_xscale() == axes.get_yscale() == "log"


def test_the_slider_draws_again(monkeypatch):
    pytest.importorskip("ipywidgets")
    display = pytest.importorskip("IPython.display")
    shown = []

    class Handle:
        update = staticmethod(shown.append)

    monkeypatch.setattr(display, "display", lambda what, display_id=None: Handle)
    slider = demo.live(lambda batch: f"picture {batch}", [1, 2, 4], 2, "batch")
    assert slider.value == 2 and shown == []
    slider.value = 4
    assert shown == ["picture 4"]


def test_the_batch_slider_opens(monkeypatch):
    pytest.importorskip("ipywidgets")

    class ThisMachine:
        machine = staticmethod(lambda dtype: MACHINES[0])

    monkeypatch.setattr(demo, "survey", ThisMachine)
    assert demo.batch_slider().value == 1
