"""Bytes that a forward pass leaves behind for backward, by formula, for the models of this package.

Backward needs the inputs of every product and of every bend. Which tensors those are is a matter of
how the layer is written: the lines below follow norms.py, attention.py, mlp.py and moe.py, and are
tested against autograd's own list. `megatron` is the published formula for another layer.

Legend: N = B · T tokens, s bytes a number (2 for bf16), D hidden, F intermediate, H heads, K key
heads, d head. Float32 islands inside a bf16 model count 4.
"""

from collections import Counter
from functools import singledispatch

from minimodels.architecture.configs import DecoderConfig
from minimodels.architecture.cost.parts import (
    Attention,
    Embedding,
    Experts,
    Head,
    Mlp,
    Norm,
    Part,
    parts,
)
from minimodels.errors import UserError


def activations(config: DecoderConfig, length: int, batch: int = 1, number_bytes: int = 2):
    """{"embedding", "norms", "attention", "mlp", "head": bytes} kept of one forward pass and loss.

    On `batch` texts of `length` tokens, in a model whose weights take `number_bytes` each.
    """
    sums: Counter[str] = Counter()
    for part in parts(config):
        sums[part.place] += kept(part, batch, length, number_bytes)
    sums["attention"] += _angles(config, length, number_bytes)
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


@singledispatch
def kept(part: Part, batch: int, length: int, s: int) -> int:
    """Bytes that this part leaves for its backward."""
    raise TypeError(part)


@kept.register
def _(part: Embedding, batch, length, s):
    return 8 * batch * length + (s if part.scaled else 0)  # the tokens, int64; Gemma's sqrt(D)


@kept.register
def _(part: Norm, batch, length, s):
    """Its input and, unless it is LayerNorm, the normed vector; a number or two for each vector."""
    numbers, vectors = batch * length * part.rows * part.size, batch * length * part.rows
    if part.form == "rms offset":  # both in float32, and 1 + w
        return 8 * numbers + 4 * vectors + 4 * part.size
    if part.form == "rms":  # the normed vector is rounded before the weight
        return (4 + s) * numbers + 4 * vectors
    return s * (numbers + 2 * vectors) + (s * part.size if part.form == "layer 1p" else 0)


@kept.register
def _(part: Attention, batch, length, s):
    """The normed input, queries, keys, values, what attention read, and the same in one row."""
    N, q, kv = batch * length, part.heads * part.head_dim, part.kv_heads * part.head_dim
    if part.by_hand:  # keys and values repeated for all heads; two tables, and the mask's
        tables = batch * part.heads * length**2
        return s * N * (part.hidden + 4 * q) + 2 * s * tables + length**2
    sums = 4 * N * part.heads  # the kernel keeps a logarithm for each row instead of the table
    masked = part.window is not None and length > part.window
    mask = s * length**2 if masked else 0  # as numbers: 0 or −∞
    return s * N * (part.hidden + 3 * q + 2 * kv) + sums + mask


@kept.register
def _(part: Mlp, batch, length, s):
    """The normed input, and each wide vector that a product or a bend reads."""
    wide = {"gated": 4, "squared": 2, "plain": 2}[part.form]
    return s * batch * length * (part.hidden + wide * part.width)


@kept.register
def _(part: Experts, batch, length, s):
    """k times the rows of an MLP, twice its answers, and what the router chose."""
    N, k = batch * length, part.used
    wide = {"gated": 4, "squared": 2, "plain": 2}[part.form]
    rows = s * N * (part.hidden + k * (3 * part.hidden + wide * part.width))
    chosen = 4 * N * part.experts + N * k * (3 * 8 + 2 * 4) + 4 * N
    return rows + chosen


@kept.register
def _(part: Head, batch, length, s):
    """The normed stream, and a number for every word of the vocabulary: often the largest of all.

    The loss keeps the logarithms of all chances, and the targets.
    """
    N = batch * length
    return s * N * (part.hidden + (1 + part.capped) * part.vocabulary) + 8 * N + s


def _angles(config: DecoderConfig, length: int, s: int) -> int:
    """Cosines and sines, once for each kind of layer."""
    if config.family in ("gpt2", "bloom"):
        return 0
    return len(set(config.kinds)) * s * length * config.rotary_dim


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
