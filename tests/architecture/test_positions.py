"""Positions against other forms of their formulas, and what each promises."""

import math

import pytest
import torch

from minimodels.architecture.positions import alibi, alibi_slopes, geometric, sinusoidal


@pytest.mark.parametrize("size, length", [(2, 1), (6, 9), (64, 513)])
def test_sinusoidal_number_by_number(size, length):
    table = sinusoidal(torch.arange(length), size)
    assert table.shape == (length, size)
    for position in range(0, length, 7):
        for i in range(0, size, 2):
            angle = position / 10_000 ** (i / size)
            assert abs(table[position, i].item() - math.sin(angle)) < 1e-4
            assert abs(table[position, i + 1].item() - math.cos(angle)) < 1e-4


def test_sinusoidal_products_see_only_distances():
    """The dot product of two rows is a sum of cosines of the distance: the same at 3 and 403."""
    table = sinusoidal(torch.arange(500), 64)
    near, far = table[7] @ table[3], table[407] @ table[403]
    assert abs(near - far) < 1e-3
    assert abs(near - table[8] @ table[3]) > 0.1


def test_sinusoidal_of_a_batch():
    positions = torch.tensor([[0, 1, 2], [5, 6, 7]])
    table = sinusoidal(positions, 8)
    assert torch.equal(table[1, 2], sinusoidal(torch.tensor([7]), 8)[0])
    assert abs(sinusoidal(positions, 8, base=100.0) - table).max() > 0.01


def transformers_slopes(num_heads):
    """What Transformers' BLOOM multiplies with key 1."""
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    return build_alibi_tensor(torch.ones(1, 2), num_heads, torch.float32)[:, 0, 1]


@pytest.mark.parametrize("num_heads", [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 32, 40, 112])
def test_slopes_equal_transformers(num_heads):
    slopes, theirs = alibi_slopes(num_heads), transformers_slopes(num_heads)
    assert slopes.shape == (num_heads,)
    assert ((slopes - theirs) / theirs).abs().max() < 1e-6
    if num_heads & (num_heads - 1):  # control: the rule for powers of two
        assert ((geometric(num_heads) - theirs) / theirs).abs().max() > 0.01


def test_slopes_of_the_paper():
    """arXiv 2108.12409, section 3: eight heads have 1/2, 1/4, …, 1/256; sixteen 2^(−0.5), …."""
    assert torch.equal(alibi_slopes(8), 0.5 ** torch.arange(1.0, 9.0))
    assert torch.allclose(alibi_slopes(16)[:3], torch.tensor([2**-0.5, 0.5, 2**-1.5]))


def test_alibi_is_the_distance():
    bias = alibi(8, torch.arange(3, 5), torch.arange(5))
    assert bias.shape == (8, 2, 5)
    assert bias[0].tolist() == [[-1.5, -1.0, -0.5, 0.0, 0.5], [-2.0, -1.5, -1.0, -0.5, 0.0]]
    moved = alibi(8, torch.arange(103, 105), torch.arange(100, 105))
    assert torch.equal(bias, moved)


def test_alibi_equals_transformers_behind_the_softmax():
    """They add slope · key position, we take off slope · distance: a row differs by one number."""
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    theirs = build_alibi_tensor(torch.ones(1, 9), 6, torch.float32)  # (6, 1, 9)
    ours = alibi(6, torch.arange(9), torch.arange(9))
    difference = ours - theirs
    assert (difference - difference[..., :1]).abs().max() < 1e-5
    assert difference.abs().max() > 0.5
