"""Products grouped by expert, and top-k routing, in the interpreter."""

import pytest
import torch
from against import DTYPES, same

from minimodels.errors import UserError
from minimodels.kernels.grouped_matmul import grouped_matmul
from minimodels.kernels.routing import top_k_routing, top_k_routing_reference

CASES = [([3, 0, 40, 1], 10, 20), ([0, 0, 5], 70, 33), ([1], 3, 4), ([33, 32, 31], 65, 32)]


def wide_reference(x, weight, counts):
    expert = torch.arange(len(counts)).repeat_interleave(counts)
    return torch.einsum("sk,snk->sn", x, weight[expert])


def inputs(counts, N, K):
    generator = torch.Generator().manual_seed(sum(counts))
    draw = lambda *size: torch.randn(size, generator=generator, dtype=torch.float64)  # noqa: E731
    return {"x": draw(sum(counts), K), "weight": draw(len(counts), N, K)}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_grouped_equals_float64(case, dtype):
    counts = torch.tensor(case[0])
    same(grouped_matmul, wide_reference, inputs(*case), dtype, counts=counts, scale=2)


def test_grouped_edges():
    given = {name: t.float() for name, t in inputs([3, 2], 5, 6).items()}
    counts = torch.tensor([3, 2])
    y = grouped_matmul(**given, counts=counts)
    turned = given["weight"].transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(grouped_matmul(given["x"], turned, counts), y)
    assert (grouped_matmul(**given, counts=torch.tensor([2, 3])) - y).abs().max() > 0.1  # control
    with pytest.raises(UserError, match="counts sum to 4, but x has 5 rows"):
        grouped_matmul(**given, counts=torch.tensor([2, 2]))


@pytest.mark.parametrize("N, E, k", [(1, 1, 1), (5, 8, 2), (7, 100, 6), (3, 5, 5)])
def test_routing_equals_torch(N, E, k):
    logits = 2 * torch.randn(N, E, generator=torch.Generator().manual_seed(E))
    ours, theirs = logits.clone().requires_grad_(), logits.double().requires_grad_()
    experts, weights = top_k_routing(ours, k)
    wanted = top_k_routing_reference(logits.double(), k)
    assert torch.equal(experts, wanted[0])
    torch.testing.assert_close(weights.double(), wanted[1].double(), rtol=0, atol=1e-6)
    pull = torch.randn(N, k, generator=torch.Generator().manual_seed(1))
    weights.backward(pull)
    wide = theirs.softmax(-1).gather(1, experts)
    (wide / wide.sum(-1, keepdim=True)).backward(pull.double())
    torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=0, atol=1e-6)


def test_routing_edges():
    """All equal: the first ones. Huge: no overflow."""
    experts, weights = top_k_routing(torch.zeros(2, 6), 3)
    assert experts.tolist() == [[0, 1, 2]] * 2 and torch.allclose(
        weights, torch.full((2, 3), 1 / 3)
    )
    _, weights = top_k_routing(torch.tensor([[1e30, 0.0, -1e30]]), 2)
    assert weights.tolist() == [[1.0, 0.0]]
    with pytest.raises(UserError, match="k = 7 of 6 experts"):
        top_k_routing(torch.zeros(2, 6), 7)
