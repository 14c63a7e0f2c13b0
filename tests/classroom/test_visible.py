"""What a student reads under a check."""

import numpy as np
import pytest
import torch

from minimodels.classroom.visible import NotYet, expect


def test_a_right_answer_says_nothing():
    expect("numbers", torch.ones(2, 3) + 1e-7, torch.ones(2, 3), "none")
    expect("a length", 3, 3, "none")


def test_a_wrong_one_names_property_place_form_and_hint():
    got = torch.zeros(1, 3, 2)
    got[0, 2, 1] = 0.5
    with pytest.raises(NotYet) as caught:
        expect("zeros stay zeros", got, torch.zeros(1, 3, 2), "Look at row 2.")
    assert str(caught.value) == (
        "zeros stay zeros: values differ from row 2 on (largest error 0.5 at [0, 2, 1]).\n"
        "Yours has shape (1, 3, 2) and dtype float32. Hint: Look at row 2."
    )
    assert caught.value._render_traceback_() == [str(caught.value)]


@pytest.mark.parametrize("got, says, hint", [
    (torch.zeros(3, 2), "the shape is (3, 2) and must be (2, 3)", "Hint: look"),
    (torch.zeros(2, 3, dtype=torch.bool), "the dtype is bool and must be float32",
     "chooses the dtype"),
    (None, "it is None and must be a tensor or array of shape (2, 3)", "`return`"),
    (np.zeros((2, 3), "float32"), "", ""),
])  # fmt: skip
def test_shapes_and_dtypes_come_before_values(got, says, hint):
    if not says:
        return expect("zeros", got, torch.zeros(2, 3), "none")
    with pytest.raises(NotYet) as caught:
        expect("zeros", got, torch.zeros(2, 3), "look")
    assert says in str(caught.value) and hint in str(caught.value)


def test_a_wrong_number_is_shown():
    with pytest.raises(NotYet) as caught:
        expect("the cache holds the text", 0, 8, "Each token is appended once.")
    assert str(caught.value) == (
        "the cache holds the text: it is too small.\nYours is 0. Hint: Each token is appended once."
    )
