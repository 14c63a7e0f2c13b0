"""The slider of the chapter: a budget, and what each model makes of it."""

from minimodels.architecture.classic import figures
from minimodels.cluster.demo import live

BUDGETS = [10**6, 10**7, 3 * 10**10, 10**11, 3 * 10**11, 10**12, 3 * 10**13]


def budget_slider(values: dict, first: int = 10**11):
    """Perplexity by kind of document for a budget of FLOPs, from the stored results."""
    return live(lambda budget: figures.by_kind(values, budget), BUDGETS, first, "FLOPs")
