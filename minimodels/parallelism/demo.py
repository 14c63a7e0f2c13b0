"""Memory under ZeRO with a slider: choose a model and see how many GPUs hold it."""

from minimodels.architecture.configs import get
from minimodels.architecture.count import count
from minimodels.cluster.demo import live
from minimodels.parallelism import figures

BILLIONS = [1, 2, 4, 7.5, 15, 30, 70, 175, 340, 1000]  # parameters


def zero_slider(first: float = 7.5):
    """Show the memory on each GPU by ZeRO stage for a model of so many billion parameters."""
    return live(
        lambda size: figures.zero_memory(int(size * 1e9), name=f"{size:g} billion parameters"),
        BILLIONS, first, "billion",
    )


def utilization(name: str, gpus: int, batch: int, seconds: float, peak: float) -> float:
    """Share of the GPUs' peak FLOP/s that a training step used, as Nemotron-4's reports count it.

    FLOPs a token: 6 for each parameter (the input embedding does no arithmetic and is left out,
    where it is not tied) and 12·L·H·d·T for full attention. `batch` texts of the longest length.
    """
    config = get(name)
    lookup = 0 if config.tie_embeddings else config.vocab_size * config.hidden_size
    scores = config.num_layers * config.num_heads * config.head_dim * config.max_length
    flops = 6 * (count(config).total - lookup) + 12 * scores
    return flops * batch * config.max_length / (seconds * gpus * peak)
