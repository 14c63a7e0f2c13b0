"""Three pictures: which tokens are learned, what was gained and kept, what training must hold."""

import matplotlib.pyplot as plt
import numpy as np

from minimodels.architecture.build import build
from minimodels.finetuning import lora
from minimodels.training.memory import training_memory

BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"  # Okabe & Ito 2008
LINE = 66  # width before the tokens go on below; a letter takes 0.78


def learned_tokens(pieces: list[str], learned: list[bool]):
    """A conversation token by token; those that are learned stand in blue boxes; a Figure."""
    figure, axes = plt.subplots(figsize=(10, 3), layout="constrained")
    x, y = 0.0, 0
    for piece, keep in zip(pieces, learned, strict=True):
        text = piece.replace("\n", "↵").replace("▁", "␣")
        width = 0.78 * len(text) + 1.8
        if x + width > LINE:
            x, y = 0.0, y - 1
        box = {"boxstyle": "round,pad=0.25", "facecolor": BLUE if keep else "#EEEEEE",
               "edgecolor": "0.5"}
        axes.text(x, y, text, color="white" if keep else "black", family="monospace", fontsize=14,
                  weight="bold" if keep else "normal", va="center", bbox=box)
        x = 0.0 if "\n" in piece else x + width
        y -= "\n" in piece
    y = min(text.get_position()[1] for text in axes.texts)
    axes.set(xlim=(-1, LINE), ylim=(y - 0.7, 0.8))
    axes.set_title(f"{len(pieces)} tokens are read, {sum(learned)} are learned (blue)")
    axes.axis("off")
    figure.set_figheight(0.55 * (1.9 - y))
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure


def gained_and_kept(results: dict[str, dict]):
    """Bars for each model: its answers (taught people, others) and its perplexity; a Figure.

    results: name -> {"taught", "others" (shares of exact answers), "perplexity"}.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.8), layout="constrained", width_ratios=(3, 2)
    )
    rows, names = np.arange(len(results)), list(results)
    for shift, key, color in ((-0.2, "taught", "0.65"), (0.2, "others", BLUE)):
        values = [result[key] for result in results.values()]
        bars = left.barh(rows + shift, values, 0.38, color=color, label=key)
        left.bar_label(bars, fmt="{:.0%}", padding=3, fontsize=10)
    left.set(xlim=(0, 1.12), yticks=rows, yticklabels=names, xlabel="share of exact answers")
    left.set_title("Skill: questions about taught people and others")
    left.legend(loc="lower right", fontsize=10)
    perplexities = [result["perplexity"] for result in results.values()]
    bars = right.barh(rows, perplexities, 0.6, color=VERMILION)
    labels = [f"{value:,.1f}" if value < 100 else f"{value:,.0f}" for value in perplexities]
    right.bar_label(bars, labels, padding=3, fontsize=10)
    right.set(xscale="log", yticks=rows, yticklabels=[], xlabel="perplexity of unseen documents")
    right.set_xlim(1, 6 * max(perplexities))
    right.set_title("Knowledge kept: shorter is better")
    for axes in (left, right):
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


def lora_memory(rank: int, name: str = "gemma-7b", memory_gb: float = 80):
    """GB of weights, gradients and AdamW, all weights against LoRA of a rank; a Figure."""
    full, low, trained = memories(rank, name)
    figure, axes = plt.subplots(figsize=(9, 3), layout="constrained")
    for row, memory in enumerate((full, low)):
        left = 0.0
        for part, color in (("weights", "0.7"), ("gradients", VERMILION), ("optimizer", BLUE)):
            size = getattr(memory, part) / 1e9
            axes.barh(row, size, 0.6, left=left, color=color, label=None if row else part)
            left += size
        axes.annotate(f"{left:,.1f} GB", (left, row), (4, 0), textcoords="offset points",
                      va="center")
    axes.axvline(memory_gb, color="black", linewidth=0.8, linestyle=":")
    axes.annotate(f"one H100, {memory_gb:.0f} GB", (memory_gb, -0.42), (3, 0), fontsize=9,
                  textcoords="offset points", va="center")
    axes.set_yticks([0, 1], ["all weights", f"LoRA, rank {rank}"])
    axes.set(xlabel="GB, activations not counted", ylim=(1.5, -0.6), xlim=(0, 170))
    axes.legend(loc="lower right", fontsize=10)
    axes.set_title(f"{name}: rank {rank} trains {trained:,} numbers, "
                   f"in {low.total / full.total:.0%} of the memory")
    plt.close(figure)
    return figure


def memories(rank: int, name: str = "gemma-7b"):
    """Bytes to train all weights, bytes to train LoRA, and how many numbers LoRA trains.

    In bf16 with AdamW in mixed precision; a published size, counted without its weights.
    """
    full = training_memory(build(name, device="meta"), bytes_per_weight=2)
    model = lora.apply(build(name, device="meta"), rank)
    return full, training_memory(model, bytes_per_weight=2), lora.trainable_parameters(model)
