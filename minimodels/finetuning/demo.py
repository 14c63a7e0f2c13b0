"""The price of a rank under a slider: full finetuning of Gemma 7B against LoRA."""

from minimodels.cluster.demo import live
from minimodels.finetuning import figures

RANKS = [2**power for power in range(11)]  # 1 to 1024


def rank_slider(first: int = 8):
    """Show the memory of training by rank."""
    return live(figures.lora_memory, RANKS, first, "rank")
