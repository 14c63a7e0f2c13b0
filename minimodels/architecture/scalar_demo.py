"""What the chapter on gradients moves and measures: a nudge, PyTorch's graph and what it keeps."""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from minimodels.architecture import scalar_figures
from minimodels.architecture.build import build
from minimodels.architecture.configs import DecoderConfig
from minimodels.cluster.demo import live

STEPS = [float(f"1e-{power}") for power in range(1, 9)]  # 0.1 … 0.00000001


def step_slider(
    loss_at: Callable[[float], float], weight: float, slope: float,
    curve: tuple[Sequence, Sequence], first: float = 1e-6,
):  # fmt: skip
    """The loss around a weight, as it is computed, under the step of the nudge.

    loss_at(weight): the loss when the weight has another value. slope: the true one. curve: steps
    and their relative errors, drawn beside it. Returns the slider.
    """
    return live(
        lambda step: scalar_figures.zoom(step, loss_at, weight, slope, curve), STEPS, first, "step"
    )


def behind(loss) -> set:
    """The boxes of PyTorch's own graph from which `loss` was computed."""
    found, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found:
            found.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    return found


def step_of(model, ids):
    """A function without hidden parts: (weights,) -> [loss, the gradient of each weight].

    ids (T+1,): each token is guessed from those before it.
    """
    names = [name for name, _ in model.named_parameters()]

    def step(*weights):
        replaced = dict(zip(names, weights, strict=True))
        logits = torch.func.functional_call(model, replaced, (ids[None, :-1],))
        loss = F.cross_entropy(logits[0], ids[1:])
        return [loss, *torch.autograd.grad(loss, weights)]

    return step


def waiting(config: DecoderConfig, length: int):
    """What `backward` of a model in bf16 needs, for one text; counted without any memory.

    Returns (boxes of the graph, {shape and dtype: bytes of the tensors that wait, without the
    weights}, operations of the forward pass, operations of the backward pass).
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with FakeTensorMode():  # tensors with shapes and no content
            model = build(config, device="cpu")
            text, kept = torch.zeros(length + 1, dtype=torch.long), Kept(model)
            with FlopCounterMode(display=False) as forward, kept.listening():
                logits = model(text[None, :-1]).float()
                loss = F.cross_entropy(logits[0], text[1:])
            boxes = len(behind(loss))
            with FlopCounterMode(display=False) as backward:
                loss.backward()
    finally:
        torch.set_default_dtype(usual)
    return boxes, kept.bytes(), forward.get_total_flops(), backward.get_total_flops()


class Kept:
    """The tensors that the boxes of a graph hold on to: each memory once, the weights never."""

    def __init__(self, model):
        self.weights = {weight.untyped_storage()._cdata for weight in model.parameters()}
        self.tensors: dict[int, torch.Tensor] = {}

    def listening(self):
        return torch.autograd.graph.saved_tensors_hooks(self.add, lambda tensor: tensor)

    def add(self, tensor):
        place = tensor.untyped_storage()._cdata  # views of one tensor share it
        if place not in self.weights:
            self.tensors[place] = tensor
        return tensor

    def bytes(self) -> dict[str, int]:
        """By dtype and shape, the largest sum first."""
        sums: dict[str, int] = {}
        for tensor in self.tensors.values():
            name = f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
            sums[name] = sums.get(name, 0) + tensor.untyped_storage().nbytes()
        return dict(sorted(sums.items(), key=lambda item: -item[1]))
