"""What a measurement of a kernel is told: inputs, contestants, and what the work must cost.

FLOPs are counted by the formula, one for each sum, product, quotient and power; of a product of
matrices 2 · M · N · K. Bytes are the least that can move: each tensor once in and once out, as if
a cache served whoever reads it again. Both at best give the roofline's bound.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from minimodels.architecture import configs

MODELS = {"gemma-2b": "Gemma 2B", "gemma-7b": "Gemma 7B", "nemotron-4-15b": "Nemotron-4 15B"}


@dataclass(frozen=True)
class Size:
    """A model's shapes and how many tokens it is given; the letters of the kernels' docstrings."""

    model: str
    D: int  # the stream
    F: int  # the MLP
    H: int  # query heads
    K: int  # key heads
    d: int  # numbers of a head
    R: int  # of them turned by RoPE
    V: int  # words
    batch: int = 4
    T: int = 4096  # tokens of a text
    dtype: torch.dtype = torch.bfloat16

    @property
    def tokens(self) -> int:
        return self.batch * self.T

    @property
    def b(self) -> int:
        """Bytes a number."""
        return self.dtype.itemsize

    def at(self, **changes) -> "Size":
        """The same with some numbers changed."""
        return replace(self, **changes)


def size_of(name: str) -> Size:
    """The size of a model in the table of configs: four texts of 4,096 tokens in bf16."""
    c = configs.get(name)
    turned = int(c.rotary_fraction * c.head_dim)
    return Size(MODELS[name], c.hidden_size, c.intermediate_size, c.num_heads, c.num_kv_heads,
                c.head_dim, turned, c.vocab_size)  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """FLOPs and least bytes of one call."""

    flops: float
    bytes: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.flops + other.flops, self.bytes + other.bytes)


class Draw:
    """Random inputs, the same for the same seed."""

    def __init__(self, size: Size, device, seed: int = 0):
        self.dtype, self.device = size.dtype, torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def normal(self, *shape, scale: float = 1.0, dtype=None):
        drawn = torch.randn(shape, generator=self.generator, device=self.device)
        return drawn.mul_(scale).to(dtype or self.dtype)

    def below(self, high: int, *shape):
        return torch.randint(high, shape, generator=self.generator, device=self.device)

    def uniform(self, *shape):
        return torch.rand(shape, generator=self.generator, device=self.device)


@dataclass(frozen=True)
class Peer:
    """Another's way to compute the same; `prepare` changes our inputs into its, unmeasured."""

    run: Callable
    prepare: Callable[[dict], dict] = dict


@dataclass(frozen=True)
class Case:
    """One operation at one size. All functions take the inputs by name.

    kernel: the file in minimodels/kernels. legs: cost of "forward" and "backward", or of "both"
    where forward makes the gradients. learns: the inputs that get one. goal: see kernel_goals.py.
    differ: the share of rows and whole numbers that may differ (a tie, or a sum in another order,
    moves a draw).
    """

    kernel: str
    name: str
    size: str
    inputs: Callable[[Draw], dict]
    ours: Callable
    reference: Callable
    legs: dict[str, Cost]
    learns: tuple[str, ...] = ()
    peers: dict[str, Peer] = field(default_factory=dict)
    goal: str = ""
    differ: float = 0.0
    compiles: bool = True  # whether torch.compile is asked to try the reference

    @property
    def cost(self) -> Cost:
        """Of forward, or of both where they are one."""
        return self.legs.get("forward") or self.legs["both"]
