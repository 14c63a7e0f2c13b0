"""The price of a long conversation under a slider."""

from minimodels.cluster.demo import live
from minimodels.inference import figures

LENGTHS = [2**power for power in range(7, 21)]  # 128 to 1,048,576 tokens


def cache_slider(first: int = 8192):
    """Show the cache of each published model by context length."""
    return live(figures.cache_sizes, LENGTHS, first, "tokens")
