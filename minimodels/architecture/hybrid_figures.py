"""Pictures of hybrids: the order of their blocks, and what attention among them costs.

Colors are Okabe & Ito's (2008); every block also carries its letter.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
from matplotlib.patches import Patch

from minimodels.architecture.configs.base import FULL
from minimodels.architecture.configs.nemotron_h import LETTERS, MAMBA, NemotronHConfig
from minimodels.architecture.count import cache_bytes
from minimodels.cluster.demo import live

COLORS = {"M": "#56B4E9", "*": "#D55E00", "-": "0.85", "E": "#E69F00"}
NAMES = {"M": "Mamba-2", "*": "attention", "-": "MLP", "E": "mixture of experts"}
WIDTH = 59  # blocks in a row of the picture


def letters(config: NemotronHConfig) -> str:
    """The word that spells a hybrid: "M-M-M-M*-…"."""
    back = {kind: letter for letter, kind in LETTERS.items()}
    return "".join(back[kind] for kind in config.kinds)


def words(configs: dict[str, NemotronHConfig]):
    """Each hybrid as a row of blocks, from the embedding on the left to the head on the right."""
    figure, axes = plt.subplots(figsize=(9.5, 0.75 * len(configs) + 1.4), layout="constrained")
    row, used = 0, set()
    for name, config in configs.items():
        word = letters(config)
        axes.text(
            -0.8,
            row + 0.45,
            f"{name}\n{word.count('*')} of {len(word)} attend",
            ha="right",
            va="center",
            fontsize=10,
        )
        for start in range(0, len(word), WIDTH):
            for place, letter in enumerate(word[start : start + WIDTH]):
                axes.add_patch(plt.Rectangle((place, row), 0.94, 0.8, fc=COLORS[letter], ec="0.4"))
                axes.text(
                    place + 0.47,
                    row + 0.43,
                    letter,
                    ha="center",
                    va="center",
                    fontsize=9,
                    color="white" if letter == "*" else "black",
                )
                used.add(letter)
            row += 1
        row += 0.25
    axes.set(xlim=(-0.3, WIDTH), ylim=(row, -0.2))
    axes.axis("off")
    handles = [Patch(fc=COLORS[one], ec="0.4", label=f"{one}  {NAMES[one]}") for one in COLORS]
    axes.legend(
        handles=[h for h, one in zip(handles, COLORS, strict=True) if one in used],
        loc="upper center",
        bbox_to_anchor=(0.4, 0.02),
        ncols=4,
        frameon=False,
        fontsize=10,
    )
    figure.suptitle("A letter a block: few of them look back at every token")
    plt.close(figure)
    return figure


def with_attention(config: NemotronHConfig, attending: int) -> NemotronHConfig:
    """The same hybrid with `attending` of its mixers attending, evenly spread, and the rest M."""
    mixers = [n for n, kind in enumerate(config.kinds) if kind in (MAMBA, FULL)]
    chosen = {mixers[round((i + 0.5) * len(mixers) / attending - 0.5)] for i in range(attending)}
    kinds = [FULL if n in chosen else MAMBA if n in mixers else kind
             for n, kind in enumerate(config.kinds)]  # fmt: skip
    return replace(config, layer_types=tuple(kinds))


def memory(config: NemotronHConfig, name: str, attending: int, longest: int = 2**20):
    """Bytes kept of one text against its length: as released, and with so many attentions."""
    lengths = [2**power for power in range(9, longest.bit_length())]
    figure, axes = plt.subplots(figsize=(8.5, 3.8), layout="constrained")
    chosen = with_attention(config, attending)
    total = sum(kind in (MAMBA, FULL) for kind in config.kinds)
    rows = [(with_attention(config, total), "0.6", "--", f"all {total} attend"),
            (config, "#0072B2", "-", f"as released: {config.kinds.count(FULL)} attend"),
            (chosen, "#D55E00", ":", f"the slider: {attending} attend")]  # fmt: skip
    for one, color, style, label in rows:
        sizes = [cache_bytes(one, length) / 1e9 for length in lengths]
        axes.plot(lengths, sizes, style, color=color, lw=2.5, label=label)
    axes.set(xscale="log", yscale="log", xlabel="tokens of the text", ylabel="GB kept")
    axes.yaxis.set_major_formatter(lambda gb, _: f"{gb:g}")
    axes.set_xticks([2**9, 2**12, 2**15, 2**18, 2**20], ["512", "4k", "32k", "256k", "1M"])
    axes.legend(fontsize=10)
    grown = cache_bytes(chosen, 1_000_000) / 1e9
    axes.set_title(f"{name} with {attending} attentions keeps {grown:,.1f} GB of a million tokens")
    plt.close(figure)
    return figure


def attention_slider(config: NemotronHConfig, name: str):
    """`memory` under a slider over the number of attentions."""
    total = sum(kind in (MAMBA, FULL) for kind in config.kinds)
    choices = [n for n in (0, 1, 2, 4, 6, 8, 12, 16, 20, 24, total) if n <= total]
    return live(lambda n: memory(config, name, n), sorted(set(choices)), 12, "attentions")
