"""Cases of kernels around products: attention, experts, LoRA, and choosing.

Each function takes a Size and gives a Case. Causal attention does half of its square.
"""

import torch

from minimodels.bench import kernel_liger as peers
from minimodels.bench.kernel_case import Case, Cost, Draw, Size
from minimodels.bench.kernel_rows import WIDE
from minimodels.kernels.decode_attention import decode_attention, decode_attention_reference
from minimodels.kernels.flash_attention import flash_attention, flash_attention_reference
from minimodels.kernels.grouped_matmul import grouped_matmul, grouped_matmul_reference
from minimodels.kernels.lora import lora, lora_reference
from minimodels.kernels.paged_attention import paged_attention, paged_attention_reference
from minimodels.kernels.routing import top_k_routing, top_k_routing_reference
from minimodels.kernels.sampling import top_p, top_p_reference

DECODERS = 8  # texts that are written at once
PAGE = 16  # keys
EXPERTS, CHOSEN = 8, 2  # of a mixture
RANK = 16
DRAWS, NUCLEUS = 32, 0.9


def flash_attention_case(s: Size) -> Case:
    """One text, causal. Backward does five products of that size where forward does two."""
    pairs, q, kv = s.T * (s.T + 1) / 2, s.T * s.H * s.d * s.b, s.T * s.K * s.d * s.b
    forward = Cost(4 * pairs * s.H * s.d, 2 * q + 2 * kv + s.T * s.H * WIDE)
    backward = Cost(2.5 * forward.flops, 4 * q + 4 * kv + s.T * s.H * WIDE)

    def inputs(draw: Draw) -> dict:
        heads = {"q": s.H, "k": s.K, "v": s.K}
        return {n: draw.normal(1, s.T, h, s.d).transpose(1, 2) for n, h in heads.items()}

    return Case(
        "flash_attention", "flash_attention", f"{s.model}, {s.H}/{s.K} heads × {s.T:,} × {s.d}",
        inputs, lambda q, k, v: flash_attention(q, k, v)[0],
        lambda q, k, v: flash_attention_reference(q, k, v)[0],
        {"forward": forward, "backward": backward}, ("q", "k", "v"), peers.attention(True),
        "attention",
    )  # fmt: skip


def decode_attention_case(s: Size) -> Case:
    cache = DECODERS * s.K * s.T * s.d
    ends = 2 * DECODERS * s.H * s.d
    heads = f"{DECODERS} × {s.H}/{s.K} heads × {s.T:,} × {s.d}"

    def inputs(draw: Draw) -> dict:
        q = draw.normal(DECODERS, s.H, 1, s.d)
        return {"q": q} | {n: draw.normal(DECODERS, s.K, s.T, s.d) for n in "kv"}

    return Case(
        "decode_attention", "decode_attention", f"{s.model}, {heads}", inputs, decode_attention,
        decode_attention_reference,
        {"forward": Cost(4 * DECODERS * s.H * s.T * s.d, (2 * cache + ends) * s.b)},
        peers=peers.attention(False),
    )  # fmt: skip


def paged_attention_case(s: Size) -> Case:
    pages = -(-s.T // PAGE)
    like = decode_attention_case(s)

    def inputs(draw: Draw) -> dict:
        shape = DECODERS * pages, PAGE, s.K, s.d
        order = torch.randperm(shape[0], generator=draw.generator, device=draw.device)
        return {
            "q": draw.normal(DECODERS, s.H, 1, s.d), "k_pages": draw.normal(*shape),
            "v_pages": draw.normal(*shape), "block_table": order.view(DECODERS, pages).int(),
            "lengths": torch.full((DECODERS,), s.T, device=draw.device, dtype=torch.int32),
        }  # fmt: skip

    table = 4 * DECODERS * (pages + 1)
    return Case(
        "paged_attention", "paged_attention", f"{like.size}, pages of {PAGE}", inputs,
        paged_attention, paged_attention_reference, {"forward": like.cost + Cost(0, table)},
    )  # fmt: skip


def grouped_matmul_case(s: Size) -> Case:
    """An eighth of the MLP's width in each of eight experts, unequal shares of the tokens."""
    S, N, K = s.tokens * CHOSEN, max(32, s.F // EXPERTS), s.D

    def inputs(draw: Draw) -> dict:
        counts = torch.bincount(draw.below(EXPERTS, S), minlength=EXPERTS)
        return {"x": draw.normal(S, K), "weight": draw.normal(EXPERTS, N, K, scale=K**-0.5),
                "counts": counts}  # fmt: skip

    forward = Cost(2 * S * N * K, (S * K + EXPERTS * N * K + S * N) * s.b + 8 * EXPERTS)
    backward = Cost(2 * forward.flops, 2 * forward.bytes - S * N * s.b)
    return Case(
        "grouped_matmul", "grouped_matmul", f"{EXPERTS} experts, {S:,} × {K:,} × {N:,}", inputs,
        grouped_matmul, grouped_matmul_reference, {"forward": forward, "backward": backward},
        ("x", "weight"), compiles=False,
    )  # fmt: skip


def lora_case(s: Size) -> Case:
    """Beside the query projection; backward is plain products, and makes no gradient of W."""
    M, N, K, r = s.tokens, s.H * s.d, s.D, RANK
    read = (M * K + N * K + r * K + N * r) * s.b

    def inputs(draw: Draw) -> dict:
        shapes = {"x": (M, K), "weight": (N, K), "A": (r, K), "B": (N, r)}
        return {n: draw.normal(*shape, scale=shape[-1] ** -0.5) for n, shape in shapes.items()}

    forward = Cost(2 * M * (N * K + r * K + r * N), read + M * N * s.b)
    backward = Cost(2 * M * (N * K + r * (3 * K + 2 * N)),
                    read + (M * N + M * K + r * (K + N)) * s.b)  # fmt: skip
    return Case(
        "lora", "lora", f"{s.model}, {M:,} × {K:,} × {N:,}, rank {r}", inputs,
        lambda x, weight, A, B: lora(x, weight, A, B, 2.0),
        lambda x, weight, A, B: lora_reference(x, weight, A, B, 2.0),
        {"forward": forward, "backward": backward}, ("x", "A", "B"),
    )  # fmt: skip


def routing_case(s: Size) -> Case:
    N, E, k = s.tokens, 128, 8
    return Case(
        "routing", "top_k_routing", f"{N:,} tokens, {k} of {E} experts",
        lambda draw: {"logits": draw.normal(N, E, dtype=torch.float32)},
        lambda logits: top_k_routing(logits, k), lambda logits: top_k_routing_reference(logits, k),
        {"forward": Cost(k * N * E, N * E * WIDE + N * k * (8 + WIDE))}, differ=0.001,
    )  # fmt: skip


def sampling_case(s: Size) -> Case:
    """Rows stay in the cache while the threshold is searched for: read once from memory."""
    B, V = DRAWS, s.V

    def inputs(draw: Draw) -> dict:
        logits = draw.normal(B, V, scale=4.0, dtype=torch.float32)
        return {"logits": logits, "u": draw.uniform(B)}

    return Case(
        "sampling", "top_p", f"{B} × {V:,} words", inputs,
        lambda logits, u: top_p(logits, u, NUCLEUS),
        lambda logits, u: top_p_reference(logits, u, NUCLEUS),
        {"forward": Cost(36 * 3 * B * V, B * V * WIDE + B * (WIDE + 8))}, differ=0.1,
    )  # fmt: skip
