"""RoPE's kernel in the interpreter: forward, and backward as the rotation back."""

import pytest
import torch
from against import DTYPES, same

from minimodels.kernels.rope import rope

CASES = [  # B, H, T, d, turned numbers, angles a text
    (1, 1, 1, 2, 2, 1), (2, 3, 5, 8, 8, 1), (2, 3, 5, 12, 6, 2), (1, 2, 7, 80, 80, 1),
    (3, 1, 4, 20, 10, 3), (1, 17, 2, 256, 256, 1), (2, 2, 3, 7, 4, 2), (1, 1, 300, 6, 2, 1),
]  # fmt: skip


def wide_reference(x, cos, sin):
    """By complex numbers: a turn is a product."""
    half = cos.shape[-1]
    turned = torch.complex(x[..., :half], x[..., half : 2 * half]) * torch.complex(cos, sin)
    return torch.cat((turned.real, turned.imag, x[..., 2 * half :]), dim=-1)


def inputs(B, H, T, d, turned, texts):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(B, H, T, d, generator=generator, dtype=torch.float64)
    angle = 10 * torch.randn(texts, 1, T, turned // 2, generator=generator, dtype=torch.float64)
    return x, angle.cos(), angle.sin()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_float64(case, dtype):
    x, cos, sin = inputs(*case)
    angles = {"cos": cos.to(dtype), "sin": sin.to(dtype)}
    wide = {name: table.double() for name, table in angles.items()}
    same(lambda x: rope(x, **angles), lambda x: wide_reference(x, **wide), {"x": x}, dtype)


def test_strange_strides():
    """As attention makes it: (B, T, H, d) transposed."""
    x, cos, sin = (t.float() for t in inputs(2, 3, 5, 8, 8, 1))
    other = x.transpose(1, 2).contiguous().transpose(1, 2)
    assert not other.is_contiguous() and torch.equal(rope(other, cos, sin), rope(x, cos, sin))


def test_a_turn_and_back():
    x, cos, sin = (t.float() for t in inputs(2, 3, 5, 12, 6, 2))
    torch.testing.assert_close(rope(rope(x, cos, sin), cos, -sin), x, rtol=0, atol=1e-6)
    assert (rope(rope(x, cos, sin), cos, sin) - x).abs().max() > 0.1  # control


def test_angles_of_another_dtype():
    """Under autocast q is bf16 and its angles are float32: the result has the dtype of q."""
    x, cos, sin = (t.float() for t in inputs(2, 3, 5, 8, 8, 1))
    found = rope(x.bfloat16(), cos, sin)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), rope(x.bfloat16().float(), cos, sin), rtol=8e-3,
                               atol=8e-3)  # fmt: skip


def test_the_largest_numbers():
    """1e38 turns without overflow, and what is no number stays in its pair."""
    x = torch.tensor([1e38, torch.nan, -1e38, 1.0]).view(1, 1, 1, 4)
    y = rope(x, torch.full((1, 1, 1, 2), 0.6), torch.full((1, 1, 1, 2), 0.8))[0, 0, 0]
    torch.testing.assert_close(y[::2], torch.tensor([1.4e38, 0.2e38]))
    assert y[1::2].isnan().all()
