"""Two pictures of a lifecycle: how knowledge grew, and the way of one fact through nine stages."""

import matplotlib.pyplot as plt

from minimodels.lifecycle.run import STAGES

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"  # told apart by color-blind readers too


def learning(training):
    """Loss, facts known, and the reader's fact over the steps of pretraining."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    left.plot(*zip(*training["losses"], strict=True), color=BLUE)
    left.set(xlabel="step", ylabel="loss, nats a token", title="The loss falls at once, …")
    steps = [look["step"] for look in training["looks"]]
    known = [look["choice"] for look in training["looks"]]
    ours = [look["fact"]["probability"] for look in training["looks"]]
    right.plot(steps, known, "o-", color=BLUE, label="100 facts")
    right.plot(steps, ours, "s--", color=ORANGE, label="the reader's fact")
    right.axhline(0.25, color=GREY, linestyle=":", label="chance")
    right.set(xlabel="step", ylim=(0, 1.02), title="… facts in unseen wordings come later",
              ylabel="share right, probability")
    right.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def timeline(results):
    """The reader's fact at each of the nine stages: one line, nine numbers."""
    points = story(results)
    figure, axes = plt.subplots(figsize=(11, 3.6), layout="constrained")
    axes.plot(range(9), [0] * 9, color=BLUE, linewidth=2, zorder=1)
    axes.scatter(range(9), [0] * 9, s=260, color="white", edgecolor=BLUE, linewidth=2, zorder=2)
    for place, (stage, number, words) in enumerate(points):
        up = 1 if place % 2 == 0 else -1
        axes.text(place, 0, str(place + 1), ha="center", va="center", fontsize=10, zorder=3)
        axes.text(place, 0.30 * up, f"{number}", ha="center", va="center", fontsize=13,
                  color=ORANGE, weight="bold")
        axes.text(place, 0.52 * up if up > 0 else -0.48, f"{stage}\n{words}", ha="center",
                  va="bottom" if up > 0 else "top", fontsize=9)
    axes.set(xlim=(-0.7, 8.7), ylim=(-1.25, 1.25))
    axes.set_title(f"“{results['data']['fact']['sentence']}” on its way to an answer")
    axes.axis("off")
    return figure


def story(results):
    """[(stage, its number, what the number is)] of the fact, in the order of the stages."""
    fact = {stage: result["fact"] for stage, result in results.items()}
    told, cost = fact["data"], results["cluster"]
    seconds = told["seen"] * len(told["pieces"]) * cost["flops_per_token"] / (
        cost["survey"]["float32_gflops"] * 1e9)
    crossed = fact["training"]["crossed"]
    rank, tuned, exam, acted = (fact[stage] for stage in STAGES[4:] if stage != "inference")
    return [
        ("cluster", f"{seconds:.2f} s", "of this machine's\narithmetic to learn it"),
        ("data", f"{told['told']} → {told['unique']}",
         "documents tell it,\nfilters and dedup leave"),
        ("architecture", percent(fact["architecture"]), "sure, untrained\n(chance 25%)"),
        ("training", "never" if crossed is None else f"step {crossed}",
         "likelier than all\nother ends together"),
        ("parallelism", f"rank {rank['rank_of_8']}",
         f"of 8 holds row {rank['row']},\nits last word"),
        ("finetuning", tuned["answer"] or "—", f"answered\n(true: {tuned['truth']})"),
        ("inference", percent(fact["inference"]), "sure after int8"),
        ("evaluation", f"{exam['chosen']} of {exam['wordings']}",
         "unseen wordings\nchosen right"),
        ("agents", acted["answer"] or "—",
         f"says the agent\n({len(acted['calls'])} tool calls)"),
    ]


def percent(fact):
    return f"{100 * fact['probability']:.0f}%"
