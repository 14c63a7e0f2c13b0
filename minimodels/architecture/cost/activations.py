"""Bytes that a forward pass leaves behind for backward, by formula, for the models of this package.

`kept` (kept.py) says what each part leaves. `megatron` is the published formula for another layer.
"""

from collections import Counter

from minimodels.architecture.configs import DecoderConfig
from minimodels.architecture.configs.gemma3n import PerLayerConfig
from minimodels.architecture.cost.kept import kept
from minimodels.architecture.cost.parts import BLOCKS, parts
from minimodels.errors import UserError


def activations(config: DecoderConfig, length: int, batch: int = 1, number_bytes: int = 2):
    """{"embedding", "norms", "attention", "mlp", "head": bytes} kept of one forward pass and loss.

    On `batch` texts of `length` tokens, in a model whose weights take `number_bytes` each.
    """
    sums: Counter[str] = Counter()
    for part in parts(config):
        sums[part.place] += kept(part, batch, length, number_bytes)
    sums["attention"] += _once(config, length, number_bytes)
    return sums


def recomputed(config: DecoderConfig, length: int, batch: int = 1, number_bytes: int = 2):
    """The same if each block keeps its input only and is computed again on the way back.

    "blocks" are those inputs (full recomputation: 2sbh a layer in bf16, arXiv 2205.05198); "one
    block" is the largest, whose activations exist while its gradients are computed.
    """
    whole = activations(config, length, batch, number_bytes)
    one = sum(whole[place] for place in ("norms", "attention", "mlp")) / config.num_layers
    inputs = config.num_layers * batch * length * config.hidden_size * number_bytes
    return Counter({
        "embedding": whole["embedding"], "blocks": inputs, "one block": round(one),
        "head": whole["head"],
    })  # fmt: skip


def _once(config: DecoderConfig, length: int, s: int) -> int:
    """What all layers share: cosines and sines of each kind of layer, or rows of positions."""
    if config.family in ("gpt2", "bert"):
        return 8 * length  # the numbers of the rows of its table
    if isinstance(config, PerLayerConfig):
        return sum(s * length * config.head_size(kind) for kind in set(config.kinds))
    turned = BLOCKS[config.family].turned
    return len(set(config.kinds)) * s * length * config.rotary_dim if turned else 0


def megatron(s: int, b: int, h: int, a: int, t: int = 1, way: str = "none") -> float:
    """Bytes a layer of GPT-3's kind, 16 bit, dropout, no fused attention (arXiv 2205.05198).

    s tokens, b texts, h hidden, a heads, t GPUs that share the layer. way: "none", "tensor",
    "sequence" (tensor and sequence parallel), "selective" (that, scores computed again), "full".
    """
    scores = 5 * a * s / h
    ways = {
        "none": 34 + scores, "tensor": 10 + 24 / t + scores / t, "sequence": (34 + scores) / t,
        "selective": 34 / t, "full": 2,
    }  # fmt: skip
    if way not in ways:
        raise UserError(
            f"there is no way {way!r} to keep activations: use one of {', '.join(ways)}."
        )
    return s * b * h * ways[way]
