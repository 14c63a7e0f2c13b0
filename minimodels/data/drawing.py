"""What the pictures of labs are drawn with: an empty canvas, and boxes with words in them."""

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle


def canvas(width: float, height: float, columns: int = 1):
    """(figure, its axes side by side), sizes in inches."""
    figure, panels = plt.subplots(1, columns, figsize=(width, height), layout="constrained",
                                  squeeze=False)  # fmt: skip
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure, panels[0]


def bare(figure):
    """The figure without axes, ticks and frames."""
    for axes in figure.axes:
        axes.set_axis_off()
    return figure


def box(axes, x, y, width, height, color, words="", edge="black", ink="black", size=None) -> None:
    """A rectangle at (x, y) with words in its middle."""
    axes.add_patch(Rectangle((x, y), width, height, facecolor=color, edgecolor=edge))
    axes.text(x + width / 2, y + height / 2, words, ha="center", va="center", color=ink,
              fontsize=size)  # fmt: skip
