"""Nucleus sampling without a sort: the draws of the reference, and their frequencies."""

import pytest
import torch

from minimodels.errors import UserError
from minimodels.kernels.sampling import top_p, top_p_reference


def inputs(B, V, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(B, V, generator=generator), torch.rand(B, generator=generator)


@pytest.mark.parametrize("p, temperature", [(0.05, 1.0), (0.5, 0.7), (0.9, 2.0), (1.0, 1.0)])
@pytest.mark.parametrize("shape", [(2, 1), (3, 7), (2, 300), (1, 5000)], ids=str)
def test_draws_of_the_reference(shape, p, temperature):
    logits, u = inputs(*shape)
    assert torch.equal(top_p(logits, u, p, temperature), top_p_reference(logits, u, p, temperature))


def test_reference_keeps_what_the_models_sampler_keeps():
    """With u from a fine grid, every word of the nucleus is drawn and no other."""
    from minimodels.architecture.sampling import keep_top_p

    logits, _ = inputs(1, 12, seed=3)
    grid = (torch.arange(4000) + 0.5) / 4000
    drawn = top_p_reference(logits.expand(4000, -1), grid, 0.8).unique()
    assert drawn.tolist() == keep_top_p(logits, 0.8)[0].isfinite().nonzero()[:, 0].tolist()


def test_frequencies():
    logits, _ = inputs(1, 20, seed=4)
    grid = (torch.arange(50) + 0.5) / 50
    counts = top_p(logits.expand(50, -1), grid, 0.9).bincount(minlength=20) / 50
    from minimodels.architecture.sampling import keep_top_p

    wanted = keep_top_p(logits, 0.9).softmax(-1)[0]
    assert (counts - wanted).abs().max() <= 1 / 50 + 1e-6  # an even grid misses by a step at most


def test_edges():
    """All equal: everything is kept. Huge: one word. bf16 and fp16: the same words."""
    u = torch.tensor([0.0, 0.5, 0.999])
    assert top_p(torch.zeros(3, 8), u, 0.3).tolist() == [0, 4, 7]
    assert top_p(torch.tensor([[0.0, 1e4, -1e4]]), u[:1], 0.9).tolist() == [1]
    logits, u = inputs(3, 40)
    for dtype in (torch.bfloat16, torch.float16):
        small = logits.to(dtype)
        assert torch.equal(top_p(small, u, 0.8), top_p_reference(small, u, 0.8))
    assert torch.equal(top_p(logits.T.contiguous().T, u, 0.8), top_p(logits, u, 0.8))


def test_control_and_bad_input():
    logits, u = inputs(12, 50)
    assert not torch.equal(top_p(logits, u, 0.2), top_p(logits, u, 0.95))
    for p, temperature in ((0.0, 1.0), (1.2, 1.0), (0.5, 0.0)):
        with pytest.raises(UserError, match="must lie in"):
            top_p(logits, u, p, temperature)


def test_never_beyond_the_vocabulary():
    """u as near to 1 as float32 can say, where sums may round to below it; barred and NaN words."""
    last = torch.full((40,), 1 - 2.0**-24)
    logits = torch.randn(40, 777, generator=torch.Generator().manual_seed(6))
    logits[:, 700:] = -torch.inf
    for p in (0.5, 1.0):
        assert top_p(logits, last, p).max() < 700
        assert top_p(logits, 0 * last, p).max() < 700
    strange = torch.stack((torch.full((9,), torch.nan), torch.full((9,), -torch.inf)))
    assert ((0 <= top_p(strange, last[:2], 0.9)) & (top_p(strange, last[:2], 0.9) < 9)).all()


def test_the_largest_numbers():
    """3e38 at any temperature: the differences count, and they are finite."""
    logits = torch.tensor([[3e38, 0.0, 3e38, -3e38]])
    for temperature in (1e-6, 1.0, 100.0):
        ids = [top_p(logits, torch.tensor([u]), 0.9, temperature).item() for u in (0.1, 0.9)]
        assert ids == [0, 2]


def test_a_long_vocabulary():
    """Steps of 4,096 over 20,000 words: the draw of the reference."""
    logits, u = inputs(1, 20_000, seed=7)
    assert torch.equal(top_p(logits, u, 0.9), top_p_reference(logits, u, 0.9))
