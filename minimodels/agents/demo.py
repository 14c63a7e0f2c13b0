"""What the chapter on tools turns: expressions, and how the calculator reads them."""

from minimodels.agents import figures
from minimodels.cluster.demo import live

EXPRESSIONS = ["348 * 27", "3 + 4 * 2", "(3 + 4) * 2", "-7 * (2 - 9)", "2 ** 10", "abs(-3)",
               "__import__('os').getcwd()", "1 / (3 - 3)"]  # fmt: skip


def tree_slider(first: int = 1):
    """Show the syntax tree of each of EXPRESSIONS under a slider."""
    return live(lambda number: figures.tree(EXPRESSIONS[number]), list(range(len(EXPRESSIONS))),
                first, "expression")
