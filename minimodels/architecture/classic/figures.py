"""Pictures of what each model sees of a text, what vectors know, and what everything cost.

Colors are Okabe & Ito's (2008). Each function returns a closed Figure. Rows of results are those
of minimodels/experiments/before_transformers.py.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

BLUE, VERMILION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
STYLES = {"counting": ("0.35", "D"), "window": (ORANGE, "^"), "LSTM": (GREEN, "s"),
          "transformer": (BLUE, "o"), "gemma-mini": (VERMILION, "*")}  # fmt: skip
SENTENCE = "Hugo Lind keeps a fox . Asked about animals , Hugo Lind tells of a".split()


def views(words: Sequence[str] = SENTENCE, answer: str = "fox"):
    """What four models read of a text when they guess its next word."""
    figure, axes = plt.subplots(figsize=(10, 4.2), layout="constrained")
    n = len(words)
    rows = ["table: the last 4 words", "window: their vectors", "state: one vector of all",
            "attention: every word, weighted"]  # fmt: skip
    for row, name in enumerate(rows):
        y = 3 - row
        axes.text(-0.8, y, name, ha="right", va="center", fontsize=11)
        axes.text(n, y, "?", ha="center", va="center", fontsize=15, color=VERMILION)
        for x in range(n):
            seen = x >= n - 4 or row > 1
            draw = (_word, _vector, _state, _looked_at)[row]
            draw(axes, x, y, seen, words[x] == answer)
    axes.text(n, 4.0, answer, ha="center", fontsize=12, color=VERMILION, weight="bold")
    for x, word in enumerate(words):
        color = VERMILION if word == answer else "black"
        axes.text(x, 4.0, word, ha="center", fontsize=10, color=color, rotation=20)
    axes.set(xlim=(-5.6, n + 0.6), ylim=(-0.6, 4.6))
    axes.axis("off")
    axes.set_title("A state and attention reach the first fox; a table and a window do not")
    return _done(figure)


def _word(axes, x, y, seen, answer):
    color = "0.35" if seen else "0.9"
    axes.add_patch(plt.Rectangle((x - 0.4, y - 0.2), 0.8, 0.4, fc=color, ec="none"))


def _vector(axes, x, y, seen, answer):
    heights = np.random.default_rng(x).uniform(0.1, 0.5, 5)
    for i, height in enumerate(heights):
        color = ORANGE if seen else "0.9"
        axes.add_patch(plt.Rectangle((x - 0.4 + 0.16 * i, y - 0.25), 0.13, height, fc=color))


def _state(axes, x, y, seen, answer):
    axes.plot(x, y, "o", ms=11, color=GREEN, alpha=min(0.25 + 0.05 * x, 1))
    axes.annotate("", (x + 0.72, y), (x + 0.28, y), arrowprops=dict(arrowstyle="-|>", color="0.4"))


def _looked_at(axes, x, y, seen, answer):
    axes.plot(x, y - 0.1, "o", ms=9, color=BLUE)
    if x < len(SENTENCE) - 1:
        bow = dict(arrowstyle="-", color=BLUE, lw=3.5 if answer else 0.7,
                   connectionstyle="arc3,rad=-0.12")  # fmt: skip
        axes.annotate("", (x, y), (len(SENTENCE) - 0.2, y), arrowprops=bow)


def unread(shares: Mapping[int, Sequence[float]]):
    """{documents read: share of unread texts' contexts of 1, 2, … words that were never read}."""
    figure, axes = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
    grays = ("0.65", SKY, BLUE)
    for (documents, values), color, marker in zip(shares.items(), grays, "^so", strict=False):
        axes.plot(range(1, len(values) + 1), values, marker + "-", color=color,
                  label=f"{documents:,} documents read")  # fmt: skip
    axes.set(xlabel="words of context", ylabel="contexts never read", ylim=(0, 1))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    read, last = list(shares.items())[-1]
    axes.set_title(
        f"After {read:,} documents {last[-1]:.0%} of contexts of {len(last)} words are new"
    )
    axes.legend(fontsize=10)
    return _done(figure)


def map_of_words(vectors, groups: Mapping[str, Sequence[str]]):
    """Words by the two directions in which their vectors differ most, translations joined: as they
    are, and with the mean of each language taken off.

    vectors: (languages, words, D). groups: {language: words}; word i of each means the same.
    """
    rows = np.asarray(vectors, float)
    rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    figure, panels = plt.subplots(1, 2, figsize=(10.5, 4.8), layout="constrained")
    for axes, shown in zip(panels, (rows, rows - rows.mean(1, keepdims=True)), strict=True):
        flat = shown.reshape(-1, rows.shape[-1])
        flat = flat - flat.mean(0)
        directions = np.linalg.svd(flat, full_matrices=False)[2][:2]  # (2, D)
        flat = (flat @ directions.T).reshape(*rows.shape[:2], 2)
        for meaning in range(flat.shape[1]):
            axes.plot(*flat[:, meaning].T, color="0.8", lw=1, zorder=0)
        for (language, words), spots, color, marker in zip(
            groups.items(), flat, (BLUE, VERMILION, GREEN), "os^", strict=False
        ):
            axes.plot(*spots.T, marker, color=color, label=language)
            if axes is panels[1]:  # on the left the words of a language lie too close to be read
                for word, spot, away in zip(words, spots, spots - flat.mean(0), strict=True):
                    x, y = away / np.linalg.norm(away)  # labels stand away from the other names
                    axes.annotate(word, spot, (9 * x, 11 * np.sign(y)), textcoords="offset points",
                                  ha="left" if x > 0 else "right", va="center", fontsize=10,
                                  color=color)  # fmt: skip
        axes.set(xticks=[], yticks=[])
        axes.margins(0.15)
    panels[0].set_title("The languages lie apart, each arranged alike")
    panels[1].set_title("Moved onto each other, translations meet")
    panels[0].legend(fontsize=10)
    return _done(figure)


def memory(curves: Mapping[str, Sequence[float]], title: str):
    """{model: how strongly the last output depends on the word 0, 1, … places back}."""
    figure, axes = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
    for (name, values), color, line in zip(
        curves.items(), (VERMILION, ORANGE, GREEN, BLUE), ("-", "--", "-.", ":"), strict=False
    ):
        axes.plot(range(len(values)), values, line, color=color, lw=2, label=name)
    axes.set(yscale="log", xlabel="words back", ylabel="size of the gradient", title=title)
    axes.legend(fontsize=10)
    return _done(figure)


def alignment(weights, source: Sequence[str], target: Sequence[str], title: str):
    """Where the writer looked (columns: what was read) for each word it wrote (rows)."""
    figure, axes = plt.subplots(figsize=(0.55 * len(source) + 2, 0.36 * len(target) + 1.6),
                                layout="constrained")  # fmt: skip
    shown = axes.imshow(np.asarray(weights), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=45, ha="right")
    axes.set_yticks(range(len(target)), target)
    axes.set_title(title, fontsize=11)
    figure.colorbar(shown, label="weight")
    return _done(figure)


def translated(rows: Sequence[dict]):
    """Whole texts translated rightly against their number of sentences; a dot for each seed."""
    figure, axes = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
    for attention, color, marker in ((True, BLUE, "o"), (False, GREEN, "s")):
        found = [row for row in rows if row["attention"] == attention]
        lengths = [int(length) for length in found[0]["right"]]
        shares = np.array([[n / row["tests"] for n in row["right"].values()] for row in found])
        name = "with attention" if attention else "without: the last state only"
        axes.plot(lengths, shares.mean(0), color=color, label=name)
        for row in shares:
            axes.plot(lengths, row, marker, color=color)
    axes.axvspan(3.5, lengths[-1] + 0.3, color="0.92", zorder=0)
    axes.text(3.6, 0.92, "longer than in training", fontsize=10)
    axes.set(xlabel="sentences", ylabel="texts all right", ylim=(-0.03, 1.03), xticks=lengths)
    axes.set_xlim(0.8, lengths[-1] + 0.3)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_title("For equal FLOPs, the writer that looks back gets whole texts right")
    axes.legend(fontsize=10, loc=(0.63, 0.4))
    return _done(figure)


def bill(values: dict):
    """Perplexity on unread documents against the FLOPs of training: the chapter's answer."""
    figure, axes = plt.subplots(figsize=(9.5, 5), layout="constrained")
    groups: dict[str, list[dict]] = {}
    for row in values["counting"] + values["networks"] + [values["shipped"]]:
        groups.setdefault(row["model"], []).append(row)
    for name, rows in groups.items():
        color, marker = STYLES.get(name, STYLES["counting"])
        line = {"2": ":", "3": "-.", "5": "--", "8": "-"}.get(name.removesuffix("-gram"), "-")
        flops, mean = mean_by_cost(rows)
        axes.plot(flops, mean, line, color=color, lw=1.8)
        axes.plot([row["flops"] for row in rows], [row["perplexity"] for row in rows], marker,
                  color=color, ms=15 if marker == "*" else 5, ls="none")  # fmt: skip
        place = {"window": (9, 6), "transformer": (9, -10), "gemma-mini": (12, -8)}.get(
            name, (9, -3)
        )
        axes.annotate(name if marker != "*" else "gemma-mini,\nas shipped", (flops[-1], mean[-1]),
                      place, textcoords="offset points", color=color, fontsize=10)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="FLOPs of training", xlim=(1e4, 1e15))
    axes.set(ylabel="perplexity on unread documents")
    axes.set_yticks([2, 3, 5, 10, 20, 50], ["2", "3", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.grid(axis="y", color="0.9")
    axes.set_title("A table leads up to 10¹² FLOPs; on the way the networks change places")
    return _done(figure)


def mean_by_cost(rows: Sequence[dict]) -> tuple[list[float], list[float]]:
    """Cost and perplexity (geometric mean over seeds) of the rows' 1st, 2nd, … budget."""
    seeds: dict[int, list[dict]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], []).append(row)
    steps = list(zip(*(sorted(each, key=_cost) for each in seeds.values()), strict=True))
    flops = [float(np.mean([row["flops"] for row in step])) for step in steps]
    return flops, [float(np.exp(np.mean([row["nats"] for row in step]))) for step in steps]


def _cost(row: dict) -> float:
    return row["flops"]


def by_kind(values: dict, budget: float):
    """Perplexity by kind of document of the best of each model that `budget` FLOPs pay for."""
    figure, axes = plt.subplots(figsize=(9, 3.8), layout="constrained")
    bought = affordable(values, budget)
    kinds = sorted(next(iter(values["networks"]))["kinds"])
    width = 0.8 / max(len(bought), 1)
    for place, (name, rows) in enumerate(bought.items()):
        mean = [np.exp(np.mean([row["kinds"][kind] for row in rows])) for kind in kinds]
        spots = np.arange(len(kinds)) + (place - (len(bought) - 1) / 2) * width
        bars = axes.bar(spots, mean, width, color=STYLES[name][0], label=name)
        axes.bar_label(bars, fmt="%.3g", fontsize=8)
    axes.set_xticks(range(len(kinds)), kinds, fontsize=11)
    axes.set(yscale="log", ylim=(1, 400), ylabel="perplexity")
    axes.set_yticks([1, 2, 5, 10, 50, 200], ["1", "2", "5", "10", "50", "200"])
    axes.minorticks_off()
    told = {name: np.exp(np.mean([row["nats"] for row in rows])) for name, rows in bought.items()}
    best = min(told, key=told.get)
    axes.set_title(
        f"For {_power(budget)} FLOPs the best buy is {best}, perplexity {told[best]:.2f} over all"
    )
    axes.legend(fontsize=10, ncols=4, loc="upper right")
    return _done(figure)


def _power(number: float) -> str:
    """3e10 as 3·10¹⁰."""
    digit, _, exponent = f"{number:.0e}".partition("e+")
    raised = str(int(exponent)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if digit == "1" else f"{digit}·10{raised}"


def affordable(values: dict, budget: float) -> dict[str, list[dict]]:
    """For each model the rows, one a seed, of its best training that costs at most `budget`.

    All orders and all numbers of documents together are one model, "counting".
    """
    bought: dict[str, list[dict]] = {}
    for row in values["counting"] + values["networks"] + [values["shipped"]]:
        name = "counting" if row["model"].endswith("-gram") else row["model"]
        if row["flops"] <= 1.05 * budget:
            same = [r for r in bought.setdefault(name, []) if r["seed"] == row["seed"]]
            if same and same[0]["nats"] > row["nats"]:
                bought[name].remove(same[0])
            if not same or same[0]["nats"] > row["nats"]:
                bought[name].append(row)
    return bought


def _done(figure):
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure
