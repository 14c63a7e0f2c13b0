"""What holds for every operation: strides, frozen inputs, upstream gradients, empty tensors.

Each operation is given as a function of its tensors and their shapes; the tests go over all.
"""

import pytest
import torch

from minimodels.kernels.adamw import adamw
from minimodels.kernels.cross_entropy import linear_cross_entropy
from minimodels.kernels.decode_attention import decode_attention
from minimodels.kernels.flash_attention import flash_attention
from minimodels.kernels.glu import geglu, squared_relu, swiglu
from minimodels.kernels.grouped_matmul import grouped_matmul
from minimodels.kernels.int_matmul import int_matmul
from minimodels.kernels.layer_norm import layer_norm
from minimodels.kernels.lora import lora
from minimodels.kernels.paged_attention import paged_attention
from minimodels.kernels.quant import Quantized, encode
from minimodels.kernels.rms_norm import rms_norm
from minimodels.kernels.rope import rope
from minimodels.kernels.routing import top_k_routing
from minimodels.kernels.sampling import top_p
from minimodels.kernels.softmax import softmax

GENERATOR = torch.Generator().manual_seed(0)
ANGLES = torch.randn(1, 1, 5, 3, generator=GENERATOR)
TARGETS = torch.tensor([3, -100, 0, 8])
COUNTS = torch.tensor([1, 0, 3])
SMALL = encode(torch.randn(6, 64, generator=GENERATOR), "int4", block=32)

OPERATIONS = {  # name -> function of its tensors, their shapes
    "rms_norm": (lambda x, weight: rms_norm(x, weight, 1e-3), [(3, 2, 10), (10,)]),
    "rms_norm of a sum": (
        lambda x, residual, weight: rms_norm(x, weight, 1e-3, residual=residual),
        [(3, 2, 10), (3, 2, 10), (10,)],
    ),
    "layer_norm": (lambda x, w, b: layer_norm(x, w, b, 1e-3), [(3, 2, 10), (10,), (10,)]),
    "layer_norm of a sum": (
        lambda x, residual, w, b: layer_norm(x, w, b, 1e-3, residual),
        [(3, 2, 10), (3, 2, 10), (10,), (10,)],
    ),
    "softmax": (lambda x: softmax(x, 2.0), [(3, 2, 10)]),
    "geglu": (geglu, [(3, 2, 10), (3, 2, 10)]),
    "swiglu": (swiglu, [(3, 2, 10), (3, 2, 10)]),
    "squared_relu": (squared_relu, [(3, 2, 10)]),
    "rope": (lambda x: rope(x, ANGLES.cos(), ANGLES.sin()), [(2, 3, 5, 8)]),
    "flash_attention": (
        lambda q, k, v: flash_attention(q, k, v, window=4, softcap=2.0)[0],
        [(2, 4, 6, 8), (2, 2, 7, 8), (2, 2, 7, 8)],
    ),
    "linear_cross_entropy": (
        lambda hidden, weight: linear_cross_entropy(hidden, weight, TARGETS, 0.1, 3.0),
        [(4, 6), (9, 6)],
    ),
    "lora": (lambda x, w, A, B: lora(x, w, A, B, 0.5), [(2, 2, 6), (5, 6), (3, 6), (5, 3)]),
    "grouped_matmul": (lambda x, w: grouped_matmul(x, w, COUNTS), [(4, 6), (3, 5, 6)]),
    "int_matmul": (lambda x: int_matmul(x, SMALL), [(3, 2, 64)]),
    "top_k_routing": (lambda logits: top_k_routing(logits, 2)[1], [(4, 6)]),
}
NAMES = pytest.mark.parametrize("name", OPERATIONS)

WAYS = {  # views of a tensor that are not contiguous
    "turned": lambda t: t.transpose(0, -1).contiguous().transpose(0, -1),
    "every second": lambda t: torch.stack((t, t + 1), -1).flatten(-2)[..., ::2],
    "expanded": lambda t: t[:1].expand(t.shape),
}


def draw(shapes, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def run(function, tensors, pull=None):
    """Values, and the gradients of those tensors that want one."""
    out = function(*tensors)
    outs = out if isinstance(out, tuple) else (out,)
    pulls = [torch.ones_like(one) if pull is None else pull(one) for one in outs]
    wanting = [t for t in tensors if t.requires_grad]
    return outs, torch.autograd.grad(outs, wanting, pulls)


def agree(ours, theirs):
    """Also products of plain torch take part, whose last bits depend on strides."""
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
@NAMES
def test_strides(name, way):
    """Of any layout: the values and gradients of the contiguous copy."""
    function, shapes = OPERATIONS[name]
    leaves = draw(shapes)
    views = [WAYS[way](leaf) for leaf in leaves]
    assert not all(view.is_contiguous() for view in views)
    wanted = run(lambda *_: function(*(view.contiguous() for view in views)), leaves)
    for ours, theirs in zip(run(lambda *_: function(*views), leaves), wanted, strict=True):
        agree(ours, theirs)


@NAMES
def test_upstream_gradients(name):
    """Expanded, as .sum() sends it, and turned: the gradients of the contiguous copy."""
    function, shapes = OPERATIONS[name]
    leaves = draw(shapes)
    for way in ("expanded", "turned", "every second"):
        seed = torch.Generator().manual_seed(5)

        def pull(one, way=way, seed=seed):
            return WAYS[way](torch.randn(one.shape or (1,), generator=seed)).reshape(one.shape)

        seed.manual_seed(5)
        wanted = run(function, leaves, lambda one, pull=pull: pull(one).contiguous())[1]
        seed.manual_seed(5)
        agree(run(function, leaves, pull)[1], wanted)
    out = function(*leaves)
    total = sum(one.sum() for one in (out if isinstance(out, tuple) else (out,)))
    agree(torch.autograd.grad(total, leaves), run(function, leaves)[1])


@NAMES
def test_frozen(name):
    """Whichever inputs want a gradient, theirs are the same; without any there is no graph."""
    function, shapes = OPERATIONS[name]
    leaves = draw(shapes)
    outs, gradients = run(function, leaves)
    for i, wanted in enumerate(gradients):
        alone = [leaf.detach().requires_grad_(i == j) for j, leaf in enumerate(leaves)]
        ours, (found,) = run(function, alone)
        agree([found, *ours], [wanted, *outs])
    plain = function(*(leaf.detach() for leaf in leaves))
    with torch.no_grad():
        quiet = function(*leaves)
    for found in (plain, quiet):
        found = found if isinstance(found, tuple) else (found,)
        assert not any(one.requires_grad for one in found)
        assert all(map(torch.equal, found, outs))


@NAMES
def test_same_bits_after_other_shapes(name):
    """Twice the same, with other shapes between: nothing is kept from a call to the next."""
    function, shapes = OPERATIONS[name]
    first = run(function, draw(shapes))
    if name in ("geglu", "swiglu", "squared_relu", "softmax"):
        run(function, draw([(1, 1300)] * len(shapes)))
    second = run(function, draw(shapes))
    for one, other in zip(first, second, strict=True):
        assert all(map(torch.equal, one, other))


@NAMES
def test_second_derivatives_are_refused(name):
    """A kernel's backward has no gradient of its own: better said than silently 0."""
    function, shapes = OPERATIONS[name]
    leaves = draw(shapes)
    out = function(*leaves)
    out = (out[0] if isinstance(out, tuple) else out).square().sum()
    first = torch.autograd.grad(out, leaves[0], create_graph=True)[0].sum()
    if name == "lora":  # its backward is plain torch
        first.backward()
        assert leaves[1].grad.abs().max() > 0
        return
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.backward()


def test_one_tensor_twice():
    """x + x normed, x gated by x, q = k = v: both gradients arrive."""
    for function in (
        lambda x, y: rms_norm(x, torch.ones(8), 1e-3, residual=y)[0],
        lambda x, y: layer_norm(x, torch.ones(8), torch.ones(8), 1e-3, y)[0],
        geglu,
        lambda x, y: flash_attention(x, y, y, causal=False)[0],
    ):
        (x,) = draw([(1, 2, 4, 8)])
        (_, (both,)) = run(lambda x, f=function: f(x, x), [x])
        _, (left, right) = run(function, [x.detach().clone().requires_grad_() for _ in range(2)])
        torch.testing.assert_close(both, left + right, rtol=1e-5, atol=1e-6)


PRODUCTS = ("flash_attention", "linear_cross_entropy", "lora", "grouped_matmul")


@NAMES
def test_autocast(name):
    """Products in autocast's dtype, as torch's own; all else in the dtype of its input. The
    gradients, taken outside as in training, have the dtype of their parameters."""
    function, shapes = OPERATIONS[name]
    leaves = draw(shapes)
    plain, wanted = run(function, leaves)
    with torch.autocast("cpu", torch.bfloat16):
        out = function(*leaves)
    outs = out if isinstance(out, tuple) else (out,)
    gradients = torch.autograd.grad(outs, leaves, [torch.ones_like(one) for one in outs])
    half = name in PRODUCTS and name != "linear_cross_entropy"  # a loss is float32
    assert all(one.dtype == (torch.bfloat16 if half else torch.float32) for one in outs)
    room = 0.1 if name in PRODUCTS else 1e-6
    for one, other in zip([*outs, *gradients], [*plain, *wanted], strict=True):
        assert one.dtype == (torch.bfloat16 if half and one.requires_grad else torch.float32)
        assert (one.float() - other).abs().max() <= room * max(1.0, other.abs().max())


@pytest.mark.parametrize("shape", [(0, 2, 10), (3, 0, 10), (3, 2, 0)], ids=str)
@pytest.mark.parametrize("name", [n for n, (_, s) in OPERATIONS.items() if s[0] == (3, 2, 10)])
def test_no_rows_and_rows_of_nothing(name, shape):
    function, shapes = OPERATIONS[name]
    leaves = draw([shape if len(other) == 3 else shape[-1:] for other in shapes])
    outs, gradients = run(function, leaves)
    assert all(one.shape == shape for one in outs)
    assert [g.shape for g in gradients] == [leaf.shape for leaf in leaves]


def test_no_numbers_in_products():
    none = torch.zeros
    assert rope(none(2, 0, 5, 8), ANGLES.cos(), ANGLES.sin()).shape == (2, 0, 5, 8)
    assert rope(none(0, 3, 5, 8), ANGLES.cos(), ANGLES.sin()).shape == (0, 3, 5, 8)
    assert rope(none(2, 3, 0, 8), *2 * [none(1, 1, 0, 3)]).shape == (2, 3, 0, 8)
    (x,) = draw([(2, 3, 5, 8)])
    assert torch.equal(rope(x, *2 * [none(1, 1, 5, 0)]), x)  # nothing is turned
    for B, H, K, T, S in ((0, 4, 2, 3, 3), (1, 0, 2, 3, 3), (1, 4, 2, 0, 3), (1, 4, 2, 3, 0)):
        out, lse = flash_attention(none(B, H, T, 8), none(B, K, S, 8), none(B, K, S, 8))
        assert out.shape == (B, H, T, 8) and lse.shape == (B, H, T) and (out == 0).all()
    for M, N, K, r in ((0, 5, 6, 3), (4, 0, 6, 3), (4, 5, 0, 3), (4, 5, 6, 0)):
        leaves = [t.requires_grad_() for t in (none(M, K), none(N, K), none(r, K), none(N, r))]
        out = lora(*leaves)
        out.sum().backward()
        assert out.shape == (M, N) and (out == 0).all()
    for counts, N, K in (([], 5, 6), ([0, 0], 5, 6), ([2, 1], 0, 6), ([2, 1], 5, 0)):
        x, weight = none(sum(counts), K), none(len(counts), N, K)
        out = grouped_matmul(x, weight, torch.tensor(counts, dtype=torch.int64))
        assert out.shape == (sum(counts), N) and (out == 0).all()
    assert int_matmul(none(0, 64), SMALL).shape == (0, 6)
    nothing = Quantized(SMALL.format, SMALL.codes[:0], SMALL.scales[:0])
    assert int_matmul(none(3, 64), nothing).shape == (3, 0)
    empty = linear_cross_entropy(none(0, 6), none(9, 6), none(0, dtype=torch.int64))
    assert empty == 0
    flat = linear_cross_entropy(none(4, 0), none(9, 0), TARGETS)
    torch.testing.assert_close(flat, torch.tensor(9.0).log())
    experts, weights = top_k_routing(none(0, 6), 2)
    assert experts.shape == weights.shape == (0, 2)
    assert top_p(none(0, 5), none(0), 0.9).shape == (0,)
    assert decode_attention(none(1, 0, 1, 8), none(1, 2, 5, 8), none(1, 2, 5, 8)).numel() == 0
    pages = none(3, 4, 2, 8)
    for M in (0, 2):
        table, lengths = none(1, M, dtype=torch.int32), none(1, dtype=torch.int32)
        assert (paged_attention(torch.ones(1, 2, 1, 8), pages, pages, table, lengths) == 0).all()
    adamw(none(0, 3), none(0, 3), none(0, 3), none(0, 3), 1, lr=0.1)


def test_strides_without_a_gradient():
    """Decoding in pages, sampling and AdamW: tables, lengths, draws and gradients of any layout."""
    q, pages = torch.randn(2, 4, 1, 8), torch.randn(7, 4, 2, 8)
    table, lengths = torch.tensor([[0, 2, 4], [1, 3, 6]]), torch.tensor([9, 11])
    wanted = paged_attention(q, pages, pages, table, lengths)
    strange = [WAYS["turned"](t) for t in (q, pages, pages, table)]
    found = paged_attention(*strange, WAYS["every second"](lengths))
    assert torch.equal(found, wanted)
    logits, u = torch.randn(3, 40), torch.rand(3)
    ids = top_p(WAYS["turned"](logits), WAYS["every second"](u), 0.8)
    assert torch.equal(ids, top_p(logits, u, 0.8))
    p, m, v = torch.randn(3, 4, 5).unbind()
    found, wanted = p.clone(), p.clone()
    adamw(found, torch.ones(1).expand(4, 5), m.clone(), v.abs(), 1, lr=0.1)
    adamw(wanted, torch.ones(4, 5), m.clone(), v.abs(), 1, lr=0.1)
    assert torch.equal(found, wanted) and not torch.equal(found, p)
