"""What each part of a decoder leaves for its backward, in bytes: `kept`, part by part.

Backward needs the inputs of every product and of every bend. Which tensors those are is a matter of
how the layer is written: the lines below follow norms.py, attention.py, mlp.py, moe.py and
mamba2.py, and are tested against autograd's own list.

Legend: N = B · T tokens, s bytes a number (2 for bf16), D hidden, F intermediate, H heads, K key
heads, d head, E experts, k of them used. Float32 islands inside a bf16 model count 4.
"""

from functools import singledispatch

from minimodels.architecture.cost.parts import (
    Attention,
    Embedding,
    Experts,
    Extra,
    Head,
    Mamba,
    Mlp,
    Norm,
    Part,
)
from minimodels.architecture.cost.parts_latent import Latent

WIDE = {
    "gated": 4,
    "cut": 5,
    "squared": 2,
    "plain": 2,
}  # tensors of the inner width that an MLP keeps
NORMS = {  # form: bytes a number and a vector that a float32 norm keeps, None: s
    "rms offset": (8, 4),  # Gemma: its input and the normed vector
    "wide": (8, 8),  # Nemotron-H, Gemma 3n and 4: the mean square and its root
    "wide, no weight": (4, 8),  # their values: nothing is multiplied with the normed vector
}


@singledispatch
def kept(part: Part, batch: int, length: int, s: int) -> int:
    """Bytes that this part leaves behind of `batch` texts of `length` tokens."""
    raise TypeError(part)


@kept.register
def _(part: Embedding, batch, length, s):
    return 8 * batch * length + (s if part.scaled else 0)  # the tokens, int64; Gemma's sqrt(D)


@kept.register
def _(part: Norm, batch, length, s):
    """Its input and, unless it is LayerNorm, the normed vector; a number or two for each vector."""
    numbers, vectors = batch * length * part.rows * part.size, batch * length * part.rows
    if part.form == "rms":  # LLaMA: the normed vector is rounded before the weight
        return (4 + s) * numbers + 4 * vectors
    if part.form in NORMS:
        a_number, a_vector = NORMS[part.form]
        offset = part.form == "rms offset"  # 1 + w is a new tensor
        weight = 4 * part.size if offset or (s != 4 and "no weight" not in part.form) else 0
        known = 4 * numbers if part.again and s == 4 else 0
        return a_number * numbers + a_vector * vectors + weight - known
    return s * (numbers + 2 * vectors) + (s * part.size if part.form == "layer 1p" else 0)


@kept.register
def _(part: Attention, batch, length, s):
    """The normed input, queries, keys, values, what attention read, and a float32 a row of scores.

    A kernel writes its result in the order of its queries. RoPE makes those head by head, so the
    next product needs, and keeps, a copy in the order of tokens.
    """
    N, q, kv = batch * length, part.heads * part.head_dim, part.kv_heads * part.head_dim
    tables = batch * part.heads * length**2
    if part.by_hand:  # keys and values repeated for all heads; two tables, and the mask's
        return s * N * (part.hidden + 4 * q) + 2 * s * tables + length**2
    if part.bias:  # not fused on a CPU: copies and the table in float32
        return s * N * (part.hidden + q) + 4 * (3 * N * q + tables)
    masked = part.window is not None and length > part.window
    mask = s * length**2 if masked else 0  # as numbers: 0 or −∞
    keys, results = 0 if part.shares else 2 * kv, 2 * q if part.turned else q
    return s * N * (part.hidden + q + keys + results) + 4 * N * part.heads + mask


@kept.register
def _(part: Latent, batch, length, s):
    """The normed input, both latents normed, and for the scores copies of all heads in float32.

    Values are narrower than keys, which no kernel for CPUs fuses.
    """
    N, H = batch * length, part.heads
    rows = s * N * (part.hidden + (part.query_rank or 0) + part.rank + H * part.value)
    copies = 4 * N * H * (2 * part.width + part.value)
    return rows + copies + 4 * batch * H * length**2


@kept.register
def _(part: Mlp, batch, length, s):
    """The normed input, and each wide vector that a product or a bend reads."""
    spread = 1 if part.form == "cut" else 0  # the deviation that sets the threshold
    return s * batch * length * (part.hidden + WIDE[part.form] * part.width + spread)


@kept.register
def _(part: Experts, batch, length, s):
    """k times the rows of an MLP, twice their answers, what the router chose; the MLP beside."""
    N, k, D = batch * length, part.used, part.hidden
    inner = k * (3 * part.expert.hidden + WIDE[part.form] * part.width) + (part.latent or 0)
    beside = WIDE[part.form] * part.shared if part.shared else 0
    chosen = 4 * N * part.experts + N * k * (3 * 8 + 2 * 4) + 4 * N
    router = 4 * (N + part.experts) * D if part.sigmoid and s != 4 else 0  # copies in float32
    return s * N * (D + inner + beside) + chosen + router


@kept.register
def _(part: Mamba, batch, length, s):
    """The scan is an attention within chunks: three tables of c × c a head, all in float32."""
    N, H, K, n, inner = batch * length, part.heads, part.channels, part.state, part.inner
    rows = s * N * (part.hidden + K + 2 * H + inner) + s * batch * K * (length + part.kernel - 1)
    float_rows = 4 * N * (H + K + 2 * H * n + 4 * inner + part.groups) + 8 * H
    gate = 4 * N * (inner + K + H) if s == 4 else 4 * N * inner  # a view, or a copy of its part
    scan, pieces = 0, chunks(part, length)
    for c in pieces:
        tables = 4 * batch * H * (3 * c * c + 2 * c + 3 * c * part.head_dim)
        scan += tables + 4 * batch * inner * n + c * c
    scan -= 4 * batch * (H + inner) * pieces[-1]  # nothing reads the last state
    return rows + float_rows + gate + scan


@kept.register
def _(part: Head, batch, length, s):
    """The normed stream, and a number for every word of the vocabulary: often the largest of all.

    The loss keeps the logarithms of all chances, and the targets.
    """
    N = batch * length
    return s * N * (part.hidden + (1 + part.capped) * part.vocabulary) + 8 * N + s


@kept.register
def _(part: Extra, batch, length, s):
    numbers = part.numbers + (part.viewed if s == 4 else part.copied)
    return batch * length * (s * numbers + 4 * part.wide) + s * part.fixed


def chunks(part: Mamba, length: int) -> list[int]:
    """The lengths of the pieces that a scan takes a text in."""
    full, rest = divmod(length, part.chunk)
    return [part.chunk] * full + ([rest] if rest else [])
