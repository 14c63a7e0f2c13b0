"""Figures of stage 02: what filters removed, what a fact costs by language, the mixture."""

from collections.abc import Iterable

import matplotlib.pyplot as plt

from minimodels.data.dedup import candidate_probability

BLUE, VERMILION, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "0.6"  # Okabe & Ito 2008
LANGUAGE_NAMES = {"en": "English", "zh": "Chinese", "es": "Spanish", "de": "German"}


def removed(table: dict[str, dict]):
    """Share of each kind of dirt that was removed, and of the clean documents lost with it.

    table: as dirt.truth_table gives it. Returns a matplotlib Figure.
    """
    kinds = sorted(table, key=lambda kind: (kind != "clean", table[kind]["share"]))
    figure, axes = plt.subplots(figsize=(7.5, 0.42 * len(kinds) + 1.2), layout="constrained")
    for row, kind in enumerate(kinds):
        share = table[kind]["share"]
        color, hatch = (VERMILION, "//") if kind == "clean" else (BLUE, None)
        axes.barh(row, share, color=color, hatch=hatch, edgecolor="white")
        text = f" {share:.1%} of {table[kind]['documents']:,}"
        inside = share > 0.75
        axes.text(share, row, text + " " * inside, va="center", fontsize=9,
                  ha="right" if inside else "left", color="white" if inside else "black")
    names = ["lost by mistake: clean" if k == "clean" else k.replace("_", " ") for k in kinds]
    axes.set(yticks=range(len(kinds)), yticklabels=names, xlim=(0, 1))
    dirt = [table[kind] for kind in kinds if kind != "clean"]
    share = sum(row["removed"] for row in dirt) / max(sum(row["documents"] for row in dirt), 1)
    axes.set(xlabel="share of documents removed",
             title=f"Filters removed {share:.0%} of the dirty documents: which kinds?")
    axes.xaxis.set_major_formatter("{x:.0%}")
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure


def tokens_per_fact(tokenizer, documents: Iterable[dict]) -> dict[str, float]:
    """Mean tokens that one fact takes in each language, over documents that tell facts."""
    tokens, facts = {}, {}
    for document in documents:
        if document["facts"]:
            language = document["lang"]
            tokens[language] = tokens.get(language, 0) + len(tokenizer.encode(document["text"]))
            facts[language] = facts.get(language, 0) + len(document["facts"])
    return {language: tokens[language] / facts[language] for language in tokens}


def fertility(costs: dict[str, float]):
    """What the same fact costs in each language; `costs` as tokens_per_fact gives them."""
    languages = sorted(costs, key=costs.get)
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    bars = axes.bar([LANGUAGE_NAMES.get(k, k) for k in languages], [costs[k] for k in languages],
                    color=BLUE, width=0.6)
    axes.bar_label(bars, fmt="%.1f")
    axes.set(ylabel="tokens per fact", title="What one fact costs in each language")
    axes.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


def mixture(report: dict[str, dict]):
    """One bar of all tokens, a part for each group; `report` as mixture.mix gives it."""
    figure, axes = plt.subplots(figsize=(8, 1.9), layout="constrained")
    left = 0.0
    styles = zip((BLUE, GREEN, VERMILION, GRAY) * len(report), ("", "//", "..", "xx") * len(report),
                 strict=True)
    for (name, row), (color, hatch) in zip(report.items(), styles, strict=False):
        axes.barh(0, row["share"], left=left, color=color, hatch=hatch, edgecolor="white")
        epochs = f"{row['epochs']:.2g} epochs"
        axes.text(left + row["share"] / 2, 0, f"{name}\n{row['share']:.1%}\n{epochs}", ha="center",
                  va="center", color="white", fontsize=9, bbox={"color": color, "pad": 1.5})
        axes.axvline(left + row["target"], color="black", linewidth=0.8, linestyle=":")
        left += row["share"]
    total = sum(row["tokens"] for row in report.values())
    axes.set(yticks=[], xlim=(0, 1), title=f"A mixture of {total:,} tokens")
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.spines[["top", "right", "left"]].set_visible(False)
    plt.close(figure)
    return figure


def funnel(steps: dict[str, tuple[int, int]]):
    """Documents after each step; `steps` maps its name to (clean, dirty) documents."""
    figure, axes = plt.subplots(figsize=(8, 0.6 * len(steps) + 1.1), layout="constrained")
    for row, (clean, dirty) in enumerate(steps.values()):
        axes.barh(row, clean, color=BLUE, label="clean" if row == 0 else None)
        axes.barh(row, dirty, left=clean, color=VERMILION, hatch="//", edgecolor="white",
                  label="dirty" if row == 0 else None)
        axes.text(clean + dirty, row, f" {clean:,} + {dirty:,}", va="center", fontsize=11)
    first, last = list(steps.values())[0], list(steps.values())[-1]
    axes.set_yticks(range(len(steps)), list(steps), fontsize=11)
    axes.set(xlabel="documents", xlim=(0, 1.25 * sum(first)))
    axes.set_title(f"Cleaning takes {1 - last[1] / first[1]:.0%} of the dirty documents "
                   f"and {1 - last[0] / first[0]:.1%} of the clean")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right")
    plt.close(figure)
    return figure


def s_curve(bands: int, rows: int, threshold: float, points: Iterable[tuple[float, float]] = ()):
    """How likely LSH compares two documents, by similarity; points: (similarity, share)."""
    grid = [k / 200 for k in range(201)]
    figure, axes = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
    axes.plot(grid, [candidate_probability(s, bands, rows) for s in grid], color=BLUE, linewidth=2,
              label=r"$1-(1-s^r)^b$")
    if points:
        axes.plot(*zip(*points, strict=True), "o", color=VERMILION, label="measured")
    axes.axvline(threshold, color=GRAY, linestyle=":", label=f"duplicate from s = {threshold:g}")
    axes.set(xlabel="similarity s of two documents", ylabel="chance to be compared",
             ylim=(-0.03, 1.05))
    caught = candidate_probability(threshold, bands, rows)
    axes.set_title(f"{bands} bands of {rows}: compares {caught:.0%} of pairs at s = {threshold:g}, "
                   f"{candidate_probability(0.4, bands, rows):.1%} at s = 0.4")
    axes.legend(loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure
