"""The roofline under a slider: move the batch and watch the layers climb."""

from minimodels.cluster import figures
from minimodels.cluster.hardware import accelerator
from minimodels.cluster.survey import survey
from minimodels.errors import UserError

BATCHES = [2**power for power in range(13)]  # 1 to 4096


def batch_slider(name: str = "H100"):
    """Show Gemma 7B's layers on the roofs of this machine and of accelerator `name`, by batch."""
    machines = [survey().machine("bfloat16"), accelerator(name).machine()]
    return live(
        lambda batch: figures.roofline(machines, batches=(batch,)), BATCHES, 1, "batch"
    )


def live(draw, choices: list, first, label: str):
    """Show `draw(first)` under a slider over `choices`, and draw anew when it moves.

    The figure is a plain output of the cell, so a page without a kernel shows it too. Returns the
    slider.
    """
    try:
        from ipywidgets import SelectionSlider
    except ImportError:
        raise UserError(
            "the sliders need ipywidgets: install minimodels with its extra [lab]."
        ) from None
    from IPython.display import display

    slider = SelectionSlider(
        options=[(f"{choice:,}", choice) for choice in choices], value=first, description=label,
        continuous_update=False,
    )
    display(slider)
    shown = display(draw(first), display_id=True)
    slider.observe(lambda change: shown.update(draw(change["new"])), names="value")
    return slider
