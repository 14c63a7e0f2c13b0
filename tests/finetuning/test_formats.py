"""Alpaca and ShareGPT rows become the same messages, and bad rows one sentence."""

import pytest

from minimodels.errors import UserError
from minimodels.finetuning.chat import render
from minimodels.finetuning.formats import from_alpaca, from_sharegpt

ALPACA = {"instruction": "Where does she live?", "input": "Mira Bel", "output": "Bergen"}
SHAREGPT = {"conversations": [{"from": "human", "value": "Where does she live?\n\nMira Bel"},
                              {"from": "gpt", "value": "Bergen"}]}


def test_both_formats_give_the_same_tokens(tokenizer):
    assert from_alpaca(ALPACA) == from_sharegpt(SHAREGPT)
    ids, learned = render(from_alpaca(ALPACA), tokenizer)
    assert [i for i, keep in zip(ids, learned, strict=True) if keep] == [
        *tokenizer.encode("Bergen"), tokenizer.id("<end_of_turn>")]


@pytest.mark.parametrize("nothing", [{}, {"input": ""}, {"input": None}])
def test_an_instruction_needs_no_input(nothing):
    row = {"instruction": "Hello!", "output": "Hi."} | nothing
    assert from_alpaca(row)[0]["content"] == "Hello!"


@pytest.mark.parametrize("convert, row", [
    (from_alpaca, {}), (from_alpaca, {"instruction": "a"}), (from_alpaca, "a"), (from_alpaca, None),
    (from_alpaca, {"instruction": "a", "output": 3}), (from_alpaca, SHAREGPT),
    (from_sharegpt, {}), (from_sharegpt, ALPACA), (from_sharegpt, {"conversations": 3}),
    (from_sharegpt, {"conversations": [{"from": "robot", "value": "x"}]}),
    (from_sharegpt, {"conversations": ["x"]}),
])
def test_other_shapes_are_one_sentence(convert, row):
    with pytest.raises(UserError, match="it needs"):
        convert(row)
