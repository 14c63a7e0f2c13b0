"""The slider of the chapter: a budget, and what each model makes of it."""

from minimodels.architecture.classic import figures
from minimodels.cluster.demo import live

BUDGETS = [1e6, 1e7, 3e10, 1e11, 3e11, 1e12, 3e13]


def budget_slider(values: dict, first: float = 1e11):
    """Perplexity by kind of document for a budget of FLOPs, from the stored results."""
    return live(lambda budget: figures.by_kind(values, budget), BUDGETS, first, "FLOPs")
