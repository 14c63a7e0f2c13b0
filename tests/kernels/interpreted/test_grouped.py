"""Products grouped by expert, and top-k routing, in the interpreter."""

import pytest
import torch
from against import DTYPES, close, same

from minimodels.errors import UserError
from minimodels.kernels import grouped_matmul as file
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


def test_wide_tiles(monkeypatch):
    """What a GPU takes for many rows an expert, gradients too."""
    tiles = {id(file.SMALL): file.MANY, id(file.SMALL_OUTER): file.MANY_OUTER}
    chosen = lambda rows, dtype, target, small=file.SMALL, many=None: tiles[id(small)]  # noqa: E731
    monkeypatch.setattr(file, "tile_for", chosen)
    counts = torch.tensor([130, 0, 129, 1])
    same(grouped_matmul, wide_reference, inputs(counts.tolist(), 131, 70), torch.float32,
         counts=counts, scale=4)  # fmt: skip


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


def test_grouped_long_equal_and_huge():
    """2,049 numbers a row; all equal; 1e18; counts of 32 bits and of any layout."""
    counts = torch.tensor([2, 0, 1])
    same(grouped_matmul, wide_reference, inputs([2, 0, 1], 3, 2049), torch.float32, counts=counts,
         scale=4)  # fmt: skip
    ones = {"x": torch.ones(3, 20).double(), "weight": torch.ones(3, 4, 20).double()}
    same(grouped_matmul, wide_reference, ones, torch.float32, counts=counts)
    given = inputs([2, 0, 1], 5, 20)
    huge = given | {"x": 1e18 * given["x"]}
    strange = torch.stack((counts.int(), counts.int()), -1).flatten()[::2]
    same(grouped_matmul, lambda counts, **t: wide_reference(counts=counts.long(), **t), huge,
         torch.float32, counts=strange, scale=2)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_routing_in_all_dtypes(dtype):
    """Weights are float32 of the rounded logits; the gradient has the dtype of the logits."""
    logits = 2 * torch.randn(5, 12, generator=torch.Generator().manual_seed(3))
    small = logits.to(dtype)
    ours, wide = small.clone().requires_grad_(), small.double().requires_grad_()
    experts, weights = top_k_routing(ours, 3)
    chosen = wide.softmax(-1).gather(1, experts)
    wanted = chosen / chosen.sum(-1, keepdim=True)
    pull = torch.randn(5, 3, generator=torch.Generator().manual_seed(4))
    weights.backward(pull), wanted.backward(pull.double())
    close(weights, wanted, torch.float32, 1, "weights")
    close(ours.grad, wide.grad, dtype, 1, "gradient")
    assert weights.dtype == torch.float32 and ours.grad.dtype == dtype
    turned = logits.to(dtype).T.contiguous().T
    assert torch.equal(top_k_routing(turned, 3)[0], experts)


def test_routing_never_takes_an_expert_twice():
    """−∞ bars an expert; where fewer than k are left, barred ones follow, with weight 0. NaN comes
    to light in the weights; the experts are still numbers of experts."""
    inf = torch.inf
    experts, weights = top_k_routing(torch.tensor([[-inf, 2.0, -inf, 1.0, -inf]]), 4)
    assert experts.tolist() == [[1, 3, 0, 2]] and weights[0, 2:].tolist() == [0.0, 0.0]
    strange = torch.tensor([[-inf] * 5, [torch.nan] * 5, [0.0, torch.nan, 1.0, inf, 2.0]])
    experts, weights = top_k_routing(strange, 3)
    assert all(len(set(row)) == 3 and max(row) < 5 for row in experts.tolist())
    assert weights.isnan().any(-1).all()
    many = torch.randn(2, 1000, generator=torch.Generator().manual_seed(5))
    assert torch.equal(top_k_routing(many, 8)[0], many.topk(8)[1])
