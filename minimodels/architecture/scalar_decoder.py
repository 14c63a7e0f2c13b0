"""A whole decoder of one-number operations, to check every gradient of the real one.

The formulas of Gemma (arXiv 2403.08295) and Nemotron-4 (arXiv 2402.16819) on lists of Scalars. The
weights carry the names of the module's state_dict. Sizes: a dozen tokens, a dozen numbers each.
Shapes: T time, D hidden, F intermediate, H query heads of d numbers, V vocabulary. A vector is a
list, a matrix (out, in) a list of rows.
"""

import math

from minimodels.architecture.configs import DecoderConfig
from minimodels.architecture.scalar import Scalar


def weights_of(model) -> dict[str, list]:
    """The weights of a torch module as leaves: {name: list, or list of lists, of Scalars}."""
    return {name: _nested(weight.tolist(), Scalar) for name, weight in model.named_parameters()}


def gradients(weights: dict[str, list]) -> dict[str, list]:
    """The same lists with the gradients in the place of the Scalars."""
    return {name: _nested(w, lambda scalar: scalar.gradient) for name, w in weights.items()}


def leaves(weights: dict[str, list]) -> list[Scalar]:
    """All Scalars of `weights_of` in one list."""
    found: list[Scalar] = []
    for weight in weights.values():
        _nested(weight, found.append)
    return found


def next_token_loss(config: DecoderConfig, weights: dict[str, list], tokens: list[int]) -> Scalar:
    """Nats that a decoder of this config loses on each next token, averaged over tokens 1, 2, …"""
    logits = logits_of(config, weights, tokens[:-1])
    losses = [cross_entropy(row, token) for row, token in zip(logits, tokens[1:], strict=True)]
    return total(losses) * (1 / len(losses))


def logits_of(config: DecoderConfig, weights: dict[str, list], tokens: list[int]) -> list:
    """(T, V): embed, blocks that add to the stream, norm, head."""
    scale = math.sqrt(config.hidden_size) if config.family == "gemma" else 1.0
    stream = [[number * scale for number in weights["embed_tokens.weight"][t]] for t in tokens]
    for layer in range(config.num_layers):
        stream = block(config, part(weights, f"layers.{layer}."), stream)
    normed = [norm(config, part(weights, "norm."), x) for x in stream]
    head = "embed_tokens.weight" if config.tie_embeddings else "lm_head.weight"
    return [linear(weights[head], x) for x in normed]


def block(config: DecoderConfig, w: dict[str, list], stream: list) -> list:
    """(T, D) -> (T, D): x + attention(norm x), then x + mlp(norm x)."""
    normed = [norm(config, part(w, "input_layernorm."), x) for x in stream]
    added = attention(config, part(w, "self_attn."), normed)
    stream = [add(x, y) for x, y in zip(stream, added, strict=True)]
    mlp = geglu if config.family == "gemma" else squared_relu
    normed = [norm(config, part(w, "post_attention_layernorm."), x) for x in stream]
    return [add(x, mlp(part(w, "mlp."), y)) for x, y in zip(stream, normed, strict=True)]


def norm(config: DecoderConfig, w: dict[str, list], x: list) -> list:
    """RMSNorm of Gemma or LayerNorm1p of Nemotron, both with weights as an offset from one."""
    if config.family == "nemotron":
        mean = total(x) * (1 / len(x))
        x = [number - mean for number in x]
    size = total([number**2 for number in x]) * (1 / len(x))
    shrink = (size + config.norm_eps) ** -0.5
    y = [number * shrink * (weight + 1) for number, weight in zip(x, w["weight"], strict=True)]
    return add(y, w["bias"]) if config.family == "nemotron" else y


def attention(config: DecoderConfig, w: dict[str, list], xs: list) -> list:
    """(T, D) -> (T, D): H causal heads; H / K of them share a key head."""
    q, k, v = ([heads(config, linear(w[f"{name}_proj.weight"], x)) for x in xs] for name in "qkv")
    q, k = ([[rotate(config, head, at) for head in row] for at, row in enumerate(rows)]
            for rows in (q, k))  # fmt: skip
    mixed = []
    for t in range(len(xs)):
        row = []
        for head in range(config.num_heads):
            kv = head * config.num_kv_heads // config.num_heads
            keys, values = ([rows[s][kv] for s in range(t + 1)] for rows in (k, v))  # the past
            row += look(q[t][head], keys, values)
        mixed.append(linear(w["o_proj.weight"], row))  # (H·d,) -> (D,)
    return mixed


def look(query: list, keys: list, values: list) -> list:
    """softmax(q kᵀ / sqrt(d)) v for one query: (d,), (S, d), (S, d) -> (d,)."""
    chances = softmax([dot(query, key) * len(query) ** -0.5 for key in keys])
    return [dot(chances, column) for column in zip(*values, strict=True)]


def heads(config: DecoderConfig, x: list) -> list:
    """(H·d,) -> (H, d)"""
    return [x[at : at + config.head_dim] for at in range(0, len(x), config.head_dim)]


def rotate(config: DecoderConfig, x: list, position: int) -> list:
    """RoPE: numbers i and i + R/2 turn by position · theta^(−2i/R); the angles are constants."""
    R, half = config.rotary_dim, config.rotary_dim // 2
    angles = [position / config.rope_theta ** (2 * i / R) for i in range(half)]
    first = [x[i] * math.cos(a) - x[i + half] * math.sin(a) for i, a in enumerate(angles)]
    second = [x[i + half] * math.cos(a) + x[i] * math.sin(a) for i, a in enumerate(angles)]
    return first + second + x[R:]


def geglu(w: dict[str, list], x: list) -> list:
    """(D,) -> (F,) -> (D,), with the tanh form of gelu."""
    gate, up = linear(w["gate_proj.weight"], x), linear(w["up_proj.weight"], x)
    inner = [gelu(g) * u for g, u in zip(gate, up, strict=True)]
    return linear(w["down_proj.weight"], inner)


def squared_relu(w: dict[str, list], x: list) -> list:
    """(D,) -> (F,) -> (D,)"""
    return linear(w["down_proj.weight"], [u.relu() ** 2 for u in linear(w["up_proj.weight"], x)])


def gelu(x: Scalar) -> Scalar:
    """arXiv 1606.08415, section 2."""
    return x * (((x + x**3 * 0.044715) * math.sqrt(2 / math.pi)).tanh() + 1) * 0.5


def softmax(scores: list) -> list:
    """The largest is subtracted as a plain number: it changes no chance, so it has no gradient."""
    largest = max(score.value for score in scores)
    powers = [(score - largest).exp() for score in scores]
    whole = total(powers)
    return [power / whole for power in powers]


def cross_entropy(logits: list, token: int) -> Scalar:
    """Minus the logarithm of the chance of `token`."""
    largest = max(logit.value for logit in logits)
    whole = total([(logit - largest).exp() for logit in logits])
    return whole.log() + largest - logits[token]


def linear(matrix: list, x: list) -> list:
    """(out, in), (in,) -> (out,)"""
    return [dot(row, x) for row in matrix]


def dot(a, b) -> Scalar:
    return total([x * y for x, y in zip(a, b, strict=True)])


def add(a: list, b: list) -> list:
    return [x + y for x, y in zip(a, b, strict=True)]


def total(numbers: list) -> Scalar:
    return sum(numbers[1:], numbers[0])  # sum() alone would begin with a useless 0


def part(weights: dict[str, list], prefix: str) -> dict[str, list]:
    """The weights below `prefix`, without it."""
    return {name.removeprefix(prefix): weight for name, weight in weights.items()
            if name.startswith(prefix)}  # fmt: skip


def _nested(numbers, function):
    """`function` of every number in nested lists."""
    if isinstance(numbers, list):
        return [_nested(number, function) for number in numbers]
    return function(numbers)
