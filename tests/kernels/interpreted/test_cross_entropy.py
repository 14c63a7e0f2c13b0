"""Linear and cross-entropy in one, in the interpreter, against float64 with all logits."""

import pytest
import torch
from against import DTYPES, close, same
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from minimodels.errors import UserError
from minimodels.kernels.cross_entropy import WORDS, linear_cross_entropy


def wide_reference(hidden, weight, targets, z_loss=0.0, cap=None):
    z = hidden @ weight.T
    z = z if cap is None else cap * torch.tanh(z / cap)
    counts = targets != -100
    lse = z.logsumexp(-1)
    chosen = z.gather(1, targets.clamp(min=0)[:, None])[:, 0]
    return ((lse - chosen + z_loss * lse**2) * counts).sum() / counts.sum().clamp(min=1)


def inputs(N, D, V, seed=0, ignored=0.2):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *size: torch.randn(size, generator=generator, dtype=torch.float64)  # noqa: E731
    targets = torch.randint(V, (N,), generator=generator)
    targets[torch.rand(N, generator=generator) < ignored] = -100
    return {"hidden": draw(N, D), "weight": draw(V, D) / D**0.5}, targets


CASES = [(1, 4, 7), (5, 8, 33), (12, 3, 100), (9, 16, 2 * WORDS + 1)]


@pytest.mark.parametrize("options", [{}, {"z_loss": 0.01}, {"cap": 2.0, "z_loss": 0.1}], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_float64(case, dtype, options):
    """Four times the usual: logits are rounded before the softmax, as the head's output is."""
    tensors, targets = inputs(*case)
    if (targets == -100).all():
        targets[0] = 1
    same(linear_cross_entropy, wide_reference, tensors, dtype, targets=targets, scale=4, **options)


@given(N=st.integers(1, 20), D=st.integers(1, 30), V=st.integers(2, 300), seed=st.integers(0, 99),
       cap=st.sampled_from([None, 3.0]))  # fmt: skip
@settings(max_examples=20, deadline=None)
def test_random_shapes(N, D, V, seed, cap):
    tensors, targets = inputs(N, D, V, seed)
    same(linear_cross_entropy, wide_reference, tensors, torch.float32, targets=targets, cap=cap,
         z_loss=1e-3, scale=4)  # fmt: skip


def test_nothing_counts():
    tensors, targets = inputs(4, 5, 9)
    hidden = tensors["hidden"].float().requires_grad_()
    loss = linear_cross_entropy(hidden, tensors["weight"].float(), torch.full((4,), -100))
    loss.backward()
    assert loss.item() == 0 and torch.equal(hidden.grad, torch.zeros(4, 5))


def test_huge_logits():
    """exp(3000) is no number; the loss is."""
    tensors, targets = inputs(6, 5, 40)
    tensors["weight"] *= 1000
    same(linear_cross_entropy, wide_reference, tensors, torch.float32, targets=targets, scale=4)


class Largest(TorchDispatchMode):
    """The largest tensor that is made, in numbers."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.numbers = max(self.numbers, out.numel())
        return out


def test_logits_are_never_held():
    """At 64 rows, 16 numbers and 70,000 words the largest tensor is the gradient of the weight."""
    tensors, targets = inputs(64, 16, 70_000)
    hidden, weight = (t.float().requires_grad_() for t in tensors.values())
    with Largest() as watched:
        linear_cross_entropy(hidden, weight, targets).backward()
    assert watched.numbers == weight.numel() < 64 * 70_000 / 3
    with Largest() as control:
        wide_reference(hidden, weight, targets).backward()
    assert control.numbers >= 64 * 70_000


def test_upstream_gradient_and_targets():
    tensors, targets = inputs(6, 5, 40)
    hidden, weight = (t.float().requires_grad_() for t in tensors.values())
    (3 * linear_cross_entropy(hidden, weight, targets)).backward()
    wide = {name: t.clone().requires_grad_() for name, t in tensors.items()}
    (3 * wide_reference(**wide, targets=targets)).backward()
    close(hidden.grad, wide["hidden"].grad, torch.float32, 4, "gradient")
    with pytest.raises(UserError, match="target 40 is no word of 40"):
        linear_cross_entropy(hidden, weight, torch.full((6,), 40))


def test_control():
    tensors, targets = inputs(6, 5, 40)
    with pytest.raises(AssertionError, match="value"):
        same(linear_cross_entropy, lambda **t: wide_reference(**t, z_loss=1e-3), tensors,
             torch.float32, targets=targets, scale=4)  # fmt: skip


def test_a_vocabulary_of_256_000():
    tensors, targets = inputs(2, 3, 256_000, ignored=0.0)
    same(linear_cross_entropy, wide_reference, tensors, torch.float32, targets=targets, z_loss=1e-2,
         cap=30.0, scale=4)  # fmt: skip


def test_all_equal():
    """No weights: the loss is ln V, and the gradient what is left of the target."""
    tensors, targets = inputs(3, 4, 50, ignored=0.0)
    tensors["weight"] *= 0
    same(linear_cross_entropy, wide_reference, tensors, torch.float32, targets=targets, scale=4)


def test_a_scaled_loss_in_half_precision():
    """65,536, where a gradient scaler begins, is more than fp16 can say: the gradients are not."""
    tensors, targets = inputs(40, 5, 30)
    ours = {name: t.half().requires_grad_() for name, t in tensors.items()}
    wide = {name: t.half().double().requires_grad_() for name, t in tensors.items()}
    (2.0**16 * linear_cross_entropy(**ours, targets=targets)).backward()
    (2.0**16 * wide_reference(**wide, targets=targets)).backward()
    for name, tensor in ours.items():
        close(tensor.grad, wide[name].grad, torch.float16, 4, name)


def test_targets_of_32_bits_and_a_row_that_does_not_count():
    """A row of infinities that does not count leaves the loss and the other rows alone."""
    tensors, targets = inputs(4, 5, 9, ignored=0.0)
    tensors = {name: t.float() for name, t in tensors.items()}
    targets[2] = -100
    wanted = linear_cross_entropy(**tensors, targets=targets)
    assert linear_cross_entropy(**tensors, targets=targets.int()) == wanted
    tensors["hidden"][2] = torch.inf
    assert linear_cross_entropy(**tensors, targets=targets) == wanted
