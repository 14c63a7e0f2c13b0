"""Two pictures of a score: what each token cost, and how often an interval holds the truth."""

import matplotlib.pyplot as plt

BLUE, VERMILION, GRAY = "#0072B2", "#D55E00", "0.45"  # Okabe & Ito 2008


def token_costs(pieces: list[str], bits: dict[str, list[float]]):
    """Bars of the bits that each piece of a text cost each of two models; a Figure."""
    figure, axes = plt.subplots(figsize=(8.5, 3.8), layout="constrained")
    rows = range(len(pieces))
    for (name, costs), color, shift in zip(bits.items(), (GRAY, BLUE), (-0.2, 0.2), strict=True):
        label = f"{name}: {sum(costs):.0f} bits in all"
        axes.bar([row + shift for row in rows], costs, 0.4, color=color, label=label)
    axes.set_xticks(rows, [piece.replace("▁", "·") for piece in pieces], fontsize=11)
    axes.set(ylabel="bits", ylim=(0, 1.3 * max(map(max, bits.values()))),
             title="After training, the cost is in what could not be known")
    axes.legend()
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure


def coverages(sizes: list[int], shares: dict[str, list[float]], truth: float):
    """Share of exams whose 95% interval holds the truth, by number of questions; a Figure."""
    figure, axes = plt.subplots(figsize=(8.5, 3.8), layout="constrained")
    for (name, row), color, mark in zip(shares.items(), (VERMILION, BLUE), "so", strict=True):
        axes.plot(sizes, row, marker=mark, color=color, label=name)
    axes.axhline(0.95, color="black", linewidth=0.8, linestyle=":")
    axes.annotate("promised", (sizes[0], 0.95), (0, 4), textcoords="offset points", fontsize=10)
    axes.set(xscale="log", ylim=(0, 1.03), xlabel="questions in the exam",
             ylabel="share that hold the truth")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    name, row = next(iter(shares.items()))
    axes.set_title(f"A model that is right {truth:.0%} of the time: "
                   f"as few as {min(row):.0%} of the {name} intervals hold it")
    axes.legend(loc="lower right")
    plt.close(figure)
    return figure
