"""Two pictures of an agent: the turns of a conversation, and a sum as a tree."""

import ast
import textwrap

import matplotlib.pyplot as plt

from minimodels.agents.tools import calculate

COLORS = {"user": "#DDDDDD", "assistant": "#9ECAE9", "tool": "#F5C78E"}  # told apart by place, too
PLACES = {"user": 0.0, "assistant": 0.28, "tool": 0.56}  # left edge of each speaker's boxes


def conversation(messages: list[dict]):
    """Each turn in a box of its speaker's column, from top to bottom; a Figure."""
    figure, axes = plt.subplots(figsize=(9, 0.75 * len(messages) + 0.8), layout="constrained")
    for row, message in enumerate(messages):
        calls = [call["function"] for call in message.get("tool_calls") or []]
        lines = [f"{call['name']} {call['arguments']}" for call in calls]
        text = "\n".join(([message["content"]] if message["content"] else []) + lines)
        role = message["role"]
        axes.text(PLACES[role], -row, textwrap.fill(text, 52), va="center", fontsize=11,
                  bbox={"boxstyle": "round", "facecolor": COLORS[role], "edgecolor": "0.4"})
    for role, place in PLACES.items():
        axes.text(place, 0.75, role, fontsize=11, weight="bold")
    axes.set(xlim=(-0.03, 1), ylim=(-len(messages) + 0.4, 1.1))
    axes.set_title("The model asks, the program answers")
    axes.axis("off")
    plt.close(figure)  # the caller shows it; a notebook would otherwise show it twice
    return figure


def tree(expression: str):
    """The syntax tree of a sum, and in the title its value or why there is none; a Figure."""
    figure, axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
    _branch(axes, ast.parse(expression, mode="eval").body, 0.0, 0, 1.0)
    try:
        verdict = f"{expression} is {calculate(expression)}"
    except ValueError as error:
        verdict = f"{expression} is refused: {error}"
    axes.set(xlim=(-2.2, 2.2), ylim=(-3.5, 0.5), title=verdict)
    axes.axis("off")
    plt.close(figure)
    return figure


def _branch(axes, node, x: float, y: float, width: float) -> None:
    """Draw a node and, below it, its children; operators stand in their parent's box."""
    children = [child for child in ast.iter_child_nodes(node)
                if isinstance(child, ast.expr) and not isinstance(node, ast.Constant)]
    for number, child in enumerate(children):
        place = x + width * (number - (len(children) - 1) / 2) * 1.6
        axes.plot([x, place], [y, y - 1], color="0.5", zorder=0)
        _branch(axes, child, place, y - 1, width / 2)
    named = getattr(node, "op", None)
    word = type(named or node).__name__ if children else ast.unparse(node)
    axes.text(x, y, word, ha="center", va="center", fontsize=12,
              bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": "#0072B2"})
