"""All ways to compute one case, checked against one reference, then measured in turns.

Each contestant has its own copy of the inputs, since some write into theirs. The reference computes
in float32 from the same numbers. Who differs from it is not measured: a fast wrong kernel has won
nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from minimodels.bench.kernel_case import Case, Cost, Draw, Peer, Size
from minimodels.bench.kernel_clock import Clock, Time
from minimodels.errors import UserError

TOLERANCE = {torch.float32: 1e-4, torch.float16: 4e-3, torch.bfloat16: 2e-2}
WARM, FEWEST, MOST, SECONDS = 5, 20, 200, 2.0  # calls, and about how long a leg may take
OURS, REFUSED = "ours", "refused: "


@dataclass(frozen=True)
class Row:
    """One leg of one case: what was measured, and who was left out for which reason."""

    kernel: str
    name: str
    size: str
    leg: str
    goal: str
    cost: Cost
    times: dict[str, Time]
    peaks: dict[str, int]  # bytes beyond the inputs, forward and backward together
    left_out: dict[str, str]
    speed: str  # the GPU's clock while it worked


class Contestant:
    """One way to compute a case, with inputs of its own."""

    def __init__(self, run: Callable, given: dict, learns: tuple[str, ...]):
        self.run, self.given, self.pulls = run, given, None
        self.leaves = [given[name].requires_grad_() for name in learns]

    def forward(self) -> list:
        """What comes out, as a list."""
        with torch.set_grad_enabled(bool(self.leaves)):
            out = self.run(**self.given)
        return list(out) if isinstance(out, tuple) else [out]

    def backward(self, outs: list) -> list:
        """Gradients of the leaves for the same random pull at each call."""
        outs = [out for out in outs if out.requires_grad]
        if self.pulls is None:
            generator = torch.Generator(outs[0].device).manual_seed(1)
            self.pulls = [torch.randn(out.shape, generator=generator, device=out.device)
                          for out in outs]  # fmt: skip
            self.pulls = [pull.bfloat16().to(out.dtype)
                          for pull, out in zip(self.pulls, outs, strict=True)]  # fmt: skip
        return list(torch.autograd.grad(outs, self.leaves, self.pulls))

    def all(self) -> list:
        """Values, and gradients where there are some."""
        outs = self.forward()
        gradients = self.backward(outs) if self.leaves else []
        return [out.detach() for out in outs] + gradients

    def ready(self, leg: str) -> Callable:
        """The work to measure; what must be done before it is done here."""
        if leg == "backward":
            outs = self.forward()
            return lambda: self.backward(outs)
        return self.forward if leg == "forward" else self.all


def contest(case: Case, size: Size, clock: Clock) -> list[Row]:
    """Check and measure all contestants of one case: a row for each leg."""
    clock.fresh()
    entered, left_out, peaks = {}, {}, {}
    try:
        wanted, dtype = reference(case, size, clock.device)
    except torch.OutOfMemoryError:
        left_out[OURS] = "its reference does not fit into memory: neither checked nor measured"
        return [_row(case, leg, ({}, ""), {}, left_out) for leg in case.legs]
    for name, peer in contestants(case).items():
        try:
            one = enter(case, peer, size, clock.device)
            if wrong := differs(one.all(), wanted, dtype, case.differ):
                left_out[name] = REFUSED + wrong
                continue
            peaks[name] = clock.peak(one.all)
            entered[name] = one
        except UserError as error:  # ours says what this GPU lacks
            left_out[name] = str(error)
        except Exception as error:  # a backend that this GPU lacks, a compiler's refusal, no memory
            why = str(error).strip() or type(error).__name__
            left_out[name] = (REFUSED if name == OURS else "") + why.splitlines()[0][:100]
        one = None  # its memory is the next one's
    del wanted
    if OURS not in entered:
        entered = {}
    return [_row(case, leg, in_turns(entered, leg, clock), peaks, left_out) for leg in case.legs]


def _row(case: Case, leg: str, measured, peaks, left_out) -> Row:
    times, speed = measured
    return Row(case.kernel, case.name, case.size, leg, case.goal, case.legs[leg], times, peaks,
               left_out, speed)  # fmt: skip


def contestants(case: Case) -> dict[str, Peer]:
    """Ours, plain torch, plain torch compiled, and the case's own peers."""
    found = {OURS: Peer(case.ours), "eager": Peer(case.reference)}
    if case.compiles:
        torch._dynamo.reset()  # each case is compiled for itself
        compiled = torch.compile(lambda **given: case.reference(**given), dynamic=False)
        found["torch.compile"] = Peer(compiled)
    return found | case.peers


def enter(case: Case, peer: Peer, size: Size, device) -> Contestant:
    """With inputs drawn afresh: the same numbers for all."""
    given = peer.prepare(case.inputs(Draw(size, device)))
    return Contestant(peer.run, {n: t.detach() for n, t in given.items()}, case.learns)


def reference(case: Case, size: Size, device) -> tuple[list, torch.dtype]:
    """Values and gradients in float32, and the smallest dtype of the numbers they are made from."""
    given = case.inputs(Draw(size, device))
    floats = [tensor.dtype for tensor in given.values() if tensor.is_floating_point()]
    wide = {n: t.float() if t.is_floating_point() else t for n, t in given.items()}
    wanted = Contestant(case.reference, wide, case.learns).all()
    return wanted, min(floats, key=lambda dtype: dtype.itemsize)


def differs(got: list, wanted: list, dtype, share: float = 0.0) -> str:
    """A sentence if a row is further from the reference than rounding explains; "" if none is.

    The allowed distance of a row grows with its own length and with that of a typical row. Of whole
    numbers `share` may differ, and of rows as many.
    """
    for number, (one, other) in enumerate(zip(got, wanted, strict=True)):
        if one.shape != other.shape:
            return f"output {number} has another shape than its reference: not measured"
        if not one.is_floating_point():
            wrong = one != other
        else:
            one, other = (
                t.float().reshape(-1, t.shape[-1] if t.dim() else 1) for t in (one, other)
            )
            length = other.norm(dim=1)
            allowed = TOLERANCE[dtype] * (length + length.square().mean().sqrt())
            wrong = ~((one - other).norm(dim=1) <= allowed)  # NaN is wrong too
        if wrong.float().mean() > share:
            return f"output {number} differs from its reference in {int(wrong.sum()):,} rows: wrong"
    return ""


def in_turns(entered: dict[str, Contestant], leg: str, clock: Clock) -> tuple[dict, str]:
    """({who: Time}, the GPU's clock): they take turns, so that a hot GPU is hot for all."""
    names = list(entered)
    once = 0.0
    for _ in range(WARM):
        taken = [clock.start(entered[name].ready(leg)) for name in names]
        clock.wait()
        once = sum(read() for read in taken) / 1000
    rounds = int(min(MOST, max(FEWEST, SECONDS / max(once, 1e-9))))
    reads = {name: [] for name in names}
    for turn in range(rounds):
        for name in names if turn % 2 else reversed(names):
            reads[name].append(clock.start(entered[name].ready(leg)))
    speed = clock.speed() if names else ""  # the queue is still being worked off
    clock.wait()
    return {name: Time.of([read() for read in taken]) for name, taken in reads.items()}, speed
