"""Four rules of multiple choice, against numbers worked out by hand."""

from dataclasses import dataclass

import pytest

from minimodels.errors import UserError
from minimodels.evaluation import choice


@dataclass(frozen=True)
class Item:
    prompt: str
    choices: tuple
    answer: int


ITEM = Item("The town is", ("Ur.", "Köln-Mülheim."), 0)
PRICES = {"The town is": (-4.0, -9.0), "": (-1.0, -8.0)}


@pytest.fixture(autouse=True)
def prices(monkeypatch):
    monkeypatch.setattr(choice, "ending_logprobs", lambda model, tokenizer, items: [
        list(PRICES[item.prompt]) for item in items])


@pytest.mark.parametrize(("rule", "expected"), [
    ("acc", [-4, -9]),
    ("acc_norm", [-4 / 3, -9 / 13]),
    ("acc_bytes", [-4 / 3, -9 / 15]),  # ö and ü are two bytes each
    ("acc_mutual_info", [-3, -1]),
])
def test_rules_by_hand(rule, expected):
    assert choice.values(None, None, [ITEM], rule) == [pytest.approx(expected)]
    assert choice.chosen(None, None, [ITEM], rule) == [expected.index(max(expected))]


def test_an_unknown_rule_is_a_sentence():
    with pytest.raises(UserError, match="choose one of acc, acc_norm"):
        choice.chosen(None, None, [ITEM], "accuracy")


def test_examples_stand_solved_in_front():
    shot = choice.few_shot(ITEM, [Item("One", ("a.", "b."), 1), Item("Two", ("c.", "d."), 0)])
    assert shot.prompt == "One b.\n\nTwo c.\n\nThe town is" and shot.choices == ITEM.choices
    assert choice.few_shot(ITEM, []) == ITEM
