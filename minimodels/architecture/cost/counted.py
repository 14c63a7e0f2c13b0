"""What a run costs, counted while it runs: FLOPs, bytes kept for backward, bytes at the peak.

FLOPs: torch's FlopCounterMode, with what its table lacks or has wrong put right. Bytes kept: the
hooks through which autograd saves tensors. Peak: every storage that an operation makes, until it
dies. Nothing here knows a formula; flops.py, activations.py and memory.py are tested against it.

All three work on any device, and on models that are too large for this one: see `pretend`.
"""

import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten


def _attention(query, key, value, *rest, out_val=None, **options) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


def _attention_backward(gradient, query, key, value, *rest, out_val=None, **options) -> int:
    return sdpa_backward_flop_count(gradient.shape, query.shape, key.shape, value.shape)


def _convolution_backward(gradient, x, weight, *rest, out_val=None, **options) -> int:
    """Twice the forward pass; torch's own formula forgets that groups keep channels apart."""
    wanted = sum(options.get("output_mask", rest[-1])[:2])
    return wanted * 2 * gradient.numel() * weight[0].numel()


for _formula in (_attention, _attention_backward, _convolution_backward):
    _formula._get_raw = True  # torch then passes tensors, and not their shapes

MISSING = {  # what torch's table lacks, or has wrong: attention fused for CPUs counts as nothing
    aten.convolution_backward: _convolution_backward,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


def counted_flops(run: Callable[[], object], as_torch_does: bool = False) -> Counter:
    """FLOPs of run() by operation ("mm", "bmm", …); a multiplication and an addition are two.

    Attention counts every score of its T × S table, the masked ones too. as_torch_does leaves out
    the kernels in MISSING, which torch's own counter does not know.
    """
    with FlopCounterMode(display=False, custom_mapping={} if as_torch_does else MISSING) as counter:
        run()
    counts = counter.get_flop_counts().get("Global", {})
    return Counter({str(operation).removeprefix("aten."): n for operation, n in counts.items()})


@dataclass(frozen=True)
class Saved:
    """One storage that backward will need."""

    maker: str  # the operation that made the tensor, "GeluBackward0"; "" for what none made
    shape: tuple[int, ...]
    dtype: torch.dtype
    bytes: int  # of the whole storage, of which the tensor may be a part


class _Kept:
    """What autograd is given in the place of a tensor: it lives as long as the graph wants it."""

    def __init__(self, tensor):
        self.tensor = tensor.detach()  # the same storage, without a way back into the graph
        self.maker = tensor.grad_fn.name() if tensor.grad_fn is not None else ""


def saved_tensors(run: Callable[[], object], model: torch.nn.Module | None = None) -> list[Saved]:
    """What autograd still keeps when run() has gone forward, each storage once, in order.

    The weights and buffers of `model` are there anyway and left out.
    """
    held = [*model.parameters(), *model.buffers()] if model is not None else []
    known, given, saved = {_storage(tensor)[0] for tensor in held}, [], []

    def keep(tensor):
        kept = _Kept(tensor)
        given.append(weakref.ref(kept))
        return kept

    with saved_tensors_hooks(keep, lambda kept: kept.tensor):
        result = run()
    for kept in filter(None, (reference() for reference in given)):
        number, storage = _storage(kept.tensor)
        if number not in known:
            known.add(number)
            shape, dtype = tuple(kept.tensor.shape), kept.tensor.dtype
            saved.append(Saved(kept.maker, shape, dtype, storage.nbytes()))
    del result  # only now may the graph go
    return saved


def saved_bytes(run: Callable[[], object], model: torch.nn.Module | None = None) -> int:
    """The sum of saved_tensors."""
    return sum(one.bytes for one in saved_tensors(run, model))


class _Living(TorchDispatchMode):
    """Adds up the storages that operations make, and takes off those that die."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.known: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        given = {_storage(x)[0] for x in tree_leaves((args, kwargs)) if torch.is_tensor(x)}
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if torch.is_tensor(tensor):
                self._made(*_storage(tensor), given)
        return result

    def _made(self, number, storage, given) -> None:
        if number in self.known or number in given:
            return
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)

        def gone(_):
            del self.known[number]
            self.now -= size

        self.known[number] = weakref.ref(storage, gone)


def peak_bytes(run: Callable[[], object]) -> int:
    """The most bytes that tensors made by run() occupied at once.

    What was there before is not counted, nor what one operation takes and gives back inside.
    """
    with _Living() as living:
        run()
    return living.peak


def _storage(tensor):
    storage = tensor.untyped_storage()
    return storage._cdata, storage  # its address; data_ptr() would be 0 for pretended tensors


@contextmanager
def pretend(dtype=torch.float32):
    """Inside, tensors have shapes and no numbers, so that a 340B model can be built and counted.

    New models are made in `dtype`. What depends on numbers (which expert a token goes to) fails.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with FakeTensorMode():
            yield
    finally:
        torch.set_default_dtype(usual)
