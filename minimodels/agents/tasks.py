"""Tasks that tell if an agent is any good: some can't be solved without a tool, some need none.

An agent is scored on three counts: tasks solved that need a tool (against the same model without
tools), and restraint, the share of the other tasks in which it called nothing.
"""

import random
from dataclasses import dataclass

from minimodels.agents.loop import answer, calls, run_many
from minimodels.agents.tools import CALCULATOR
from minimodels.data.snippets import DIRECTORY, any_name
from minimodels.data.wordings import HELD_OUT_QUESTIONS
from minimodels.evaluation.facts import ask
from minimodels.evaluation.metrics import exact_match
from minimodels.finetuning.conversations import GREETINGS, LOOKUPS, SUMS, long_sum, user


@dataclass(frozen=True)
class Task:
    kind: str  # "calculator", "lookup" or "none": the tool it needs
    messages: tuple
    answer: str | None  # None: any answer will do


def tasks(world, people, directory, each=50, seed=0):
    """`each` tasks that need the calculator, that need the directory, and that need nothing."""
    rng = random.Random(f"tasks {seed}")
    made = []
    for _ in range(each):
        expression, result = long_sum(rng)
        made.append(Task("calculator", (user(rng.choice(SUMS).format(s=expression)),), result))
        name, field = any_name(rng, world), rng.choice(list(DIRECTORY))
        question = rng.choice(LOOKUPS).format(f=DIRECTORY[field], n=name)
        made.append(Task("lookup", (user(question),), directory.lookup(name, field)))
        made.append(_no_tool(world, people, rng))
    return made


def _no_tool(world, people, rng):
    """A fact of somebody finetuning never asked about, in a new wording; at times a greeting."""
    if rng.random() < 0.2:
        return Task("none", (user(rng.choice(list(GREETINGS))),), None)
    fact = rng.choice(list(world.facts_of(rng.choice(people)).values()))
    wording = rng.choice(HELD_OUT_QUESTIONS[fact.attribute])
    question = wording.format(n=world.person(fact.subject).name)
    return Task("none", (user(question),), fact.value)


def score(model, tokenizer, tasks, directory, max_steps=3):
    """{"calculator": share solved, "lookup": share solved, "restraint": no call made, …}."""
    tools = [CALCULATOR, directory.tool()]
    runs = run_many(model, tokenizer, [list(task.messages) for task in tasks], tools, max_steps)
    solved = {"calculator": [], "lookup": [], "none": []}
    quiet = []
    for task, messages in zip(tasks, runs, strict=True):
        solved[task.kind].append(task.answer is None or exact_match(answer(messages), task.answer))
        if task.kind == "none":
            quiet.append(not calls(messages))
    return {"calculator": mean(solved["calculator"]), "lookup": mean(solved["lookup"]),
            "known": mean(solved["none"]), "restraint": mean(quiet)}


def score_without_tools(model, tokenizer, tasks):
    """The same tasks with nothing to call: what the model writes first is its answer."""
    replies = ask(model, tokenizer, [list(task.messages) for task in tasks])
    solved = {"calculator": [], "lookup": [], "none": []}
    for task, reply in zip(tasks, replies, strict=True):
        solved[task.kind].append(task.answer is None or exact_match(reply, task.answer))
    return {kind: mean(values) for kind, values in solved.items()}


def mean(values):
    return sum(map(float, values)) / len(values)
