"""What remembering costs: bytes of the key-value cache, and the speed that they leave.

    bytes = 2 · L · K · d · T · B · (bytes a number)

Two for keys and values, L layers, K kv heads of size d, T tokens, B texts.
"""

from dataclasses import dataclass

from minimodels.architecture.configs import CONFIGS
from minimodels.architecture.count import count
from minimodels.cluster.roofline import Bound, Machine, bound


@dataclass(frozen=True)
class CacheShape:
    """The numbers of a model that set its cache, and its size."""

    name: str
    num_layers: int
    num_kv_heads: int
    head_dim: int
    parameters: int

    def bytes(self, length: int, batch: int = 1, bytes_per_number: float = 2) -> float:
        """Bytes of the cache of `batch` texts of `length` tokens; 2 bytes a number is bf16."""
        numbers = 2 * self.num_layers * self.num_kv_heads * self.head_dim
        return numbers * length * batch * bytes_per_number


def _ours(name: str) -> CacheShape:
    config = CONFIGS[name]
    heads = config.num_kv_heads, config.head_dim
    return CacheShape(name, config.num_layers, *heads, count(config).total)


SHAPES = (
    _ours("gemma-2b"),
    _ours("gemma-7b"),
    # LLaMA arXiv 2302.13971, Llama 3 arXiv 2407.21783; the 7B is as large as Llama 2's
    CacheShape("Llama-1 7B", 32, 32, 128, 6_738_415_616),
    CacheShape("Llama-3 8B", 32, 8, 128, 8_030_261_248),
    CacheShape("Llama-3 70B", 80, 8, 128, 70_553_706_496),
    _ours("nemotron-4-15b"),
    _ours("nemotron-4-340b"),
)


def step_bound(
    shape: CacheShape, length: int, batch: int, machine: Machine, number_bytes: float = 2
) -> Bound:
    """The least seconds in which `machine` writes one token for each of `batch` texts.

    Bytes: all weights once and every text's cache. FLOPs: two a weight and token.
    """
    weights = number_bytes * shape.parameters
    cache = shape.bytes(length, batch, number_bytes)
    return bound(2 * shape.parameters * batch, weights + cache, machine)
