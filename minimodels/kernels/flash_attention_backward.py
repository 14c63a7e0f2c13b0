"""FlashAttention-2 (arXiv 2307.08691), backward: Algorithm 2, with its sums in a fixed order.

With p = exp(s − lse), computed again from q, k and the lse that forward kept:

    dv = pᵀ dout,   dp = dout vᵀ,   ds = p · (dp − delta),   dq = scale · ds k,   dk = scale · dsᵀ q

where delta = Σ over d of out · dout − dlse, one number a query: the first term equals Σ over keys
of p · dp, which the gradient of a softmax takes off. A soft-cap multiplies ds by the slope of its
bend, 1 − tanh². Algorithm 2 walks over keys and adds to dq from many programs at once, in an order
that varies. Here two kernels walk: one owns keys and sums dk and dv, one owns queries and sums dq.
That is seven products in place of five, and the same bits every time. Query heads that share a key
head are summed by its program.

Shapes: q, out, dout, dq (B, H, T, d); k, v, dk, dv (B, K, S, d); lse, delta (B, H, T).
"""

import torch

from minimodels.kernels.attention_tiles import (
    EXACT_BACKWARD,
    KEYS,
    QUERIES,
    builds_for,
    tile_for,
)
from minimodels.kernels.compile import Build, target_of
from minimodels.kernels.flash_attention import like

try:
    import triton
    import triton.language as tl

    from minimodels.kernels.flash_attention import key_ranges, seen
    from minimodels.kernels.pieces import head, product, rows_of, tanh, write
except ImportError:  # no Triton on this system: the reference serves
    triton = None


def backward(q, k, v, segments, out, lse, dout, dlse, scale: float, told: dict):
    """(dq, dk, dv) of what `flash_attention` kept; dlse is the gradient of lse."""
    dout = dout if dout.stride(3) == 1 else dout.contiguous()
    given = (q, k, v, segments, dout, lse, _delta(out, dout, dlse, told))
    strides = [x.stride()[:3] for x in (q, k, v, dout)]
    dq, dk, dv = like(q), like(k), like(v)
    (B, H, T), (K, S) = lse.shape, k.shape[1:3]
    keys, queries = (
        tile_for(told["BLOCK_D"], q.dtype, target_of(q.device), table, EXACT_BACKWARD)
        for table in (KEYS, QUERIES)
    )
    with torch.cuda.device_of(q):
        keys_backward_kernel[(triton.cdiv(S, keys["BLOCK_N"]) * B * K,)](
            *given, dk, dv, *strides, dk.stride()[:3], dv.stride()[:3], scale=scale, **told, **keys
        )
        queries_backward_kernel[(triton.cdiv(T, queries["BLOCK_M"]) * B * H,)](
            *given, dq, *strides, dq.stride()[:3], scale=scale, **told, **queries
        )
    return dq, dk, dv


def _delta(out, dout, dlse, told: dict):
    B, H, T, D = out.shape
    delta = torch.empty(B, H, T, device=out.device, dtype=torch.float32)
    with torch.cuda.device_of(out):
        delta_kernel[(triton.cdiv(T, 32) * B * H,)](
            out, dout, dlse.contiguous(), delta, out.stride()[:3], dout.stride()[:3], H, T, D=D,
            BLOCK_D=told["BLOCK_D"], BLOCK_M=32,
        )  # fmt: skip
    return delta


if triton is not None:

    @triton.jit
    def delta_kernel(out_ptr, dout_ptr, dlse_ptr, delta_ptr, out_strides, dout_strides, H, T,
                     D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_M: tl.constexpr):  # fmt: skip
        blocks = tl.cdiv(T, BLOCK_M)
        plane = tl.program_id(0) // blocks
        batch, h = plane // H, plane % H
        first = tl.program_id(0) % blocks * BLOCK_M
        row = first + tl.arange(0, BLOCK_M)
        out = rows_of(head(out_ptr, batch, h, out_strides), out_strides[2], first, T, D, BLOCK_M,
                      BLOCK_D)  # fmt: skip
        dout = rows_of(head(dout_ptr, batch, h, dout_strides), dout_strides[2], first, T, D,
                       BLOCK_M, BLOCK_D)  # fmt: skip
        place = tl.cast(plane, tl.int64) * T + row
        dlse = tl.load(dlse_ptr + place, mask=row < T, other=0.0)
        delta = tl.sum(out.to(tl.float32) * dout.to(tl.float32), axis=1) - dlse
        tl.store(delta_ptr + place, delta, mask=row < T)

    @triton.jit
    def keys_backward_kernel(q_ptr, k_ptr, v_ptr, segments_ptr, dout_ptr, lse_ptr, delta_ptr,
                             dk_ptr, dv_ptr, q_strides, k_strides, v_strides, dout_strides,
                             dk_strides, dv_strides, H, GROUP, T, S, window, bend, factor,
                             scale, D: tl.constexpr, CAUSAL: tl.constexpr,
                             WINDOWED: tl.constexpr, CAPPED: tl.constexpr,
                             SEGMENTED: tl.constexpr, BLOCK_D: tl.constexpr,
                             WIDE: tl.constexpr, BLOCK_M: tl.constexpr,
                             BLOCK_N: tl.constexpr):  # fmt: skip
        """One block of keys: dk and dv, summed over the queries that see it, head by head."""
        blocks = tl.cdiv(S, BLOCK_N)
        first = tl.program_id(0) % blocks * BLOCK_N  # under a causal mask the longest first
        plane = tl.program_id(0) // blocks
        batch, k_head = plane // (H // GROUP), plane % (H // GROUP)
        column = first + tl.arange(0, BLOCK_N)
        k = rows_of(head(k_ptr, batch, k_head, k_strides), k_strides[2], first, S, D, BLOCK_N,
                    BLOCK_D)  # fmt: skip
        v = rows_of(head(v_ptr, batch, k_head, v_strides), v_strides[2], first, S, D, BLOCK_N,
                    BLOCK_D)  # fmt: skip
        ids_ptr = segments_ptr + tl.cast(batch, tl.int64) * S
        id_column = column
        if SEGMENTED:
            id_column = tl.load(ids_ptr + column, mask=column < S, other=-1)
        dk = tl.zeros((BLOCK_N, BLOCK_D), tl.float32)
        dv = tl.zeros((BLOCK_N, BLOCK_D), tl.float32)
        low, inner, outer, high = query_ranges(
            first, T, S, window, CAUSAL, WINDOWED, SEGMENTED, BLOCK_M, BLOCK_N
        )
        for shared in range(0, GROUP):
            h = k_head * GROUP + shared
            q_head = head(q_ptr, batch, h, q_strides)
            dout_head = head(dout_ptr, batch, h, dout_strides)
            numbers = (tl.cast(batch, tl.int64) * H + h) * T
            for query in range(low, high, BLOCK_M):
                row = query + tl.arange(0, BLOCK_M)
                q = rows_of(q_head, q_strides[2], query, T, D, BLOCK_M, BLOCK_D)
                raw = product(k, tl.trans(q), WIDE)  # (BLOCK_N, BLOCK_M)
                if CAPPED:
                    raw = tanh(raw * bend)
                lse = tl.load(lse_ptr + numbers + row, mask=row < T, other=0.0)
                p = tl.math.exp2(raw * factor - lse[None, :] * 1.4426950408889634)  # log2(e)
                if query < inner or query >= outer:  # a branch the whole program takes or leaves
                    id_row = row
                    if SEGMENTED:
                        id_row = tl.load(ids_ptr + S - T + row, mask=row < T, other=-1)
                    pairs = seen(row[None, :] + S - T, column[:, None], id_row[None, :],
                                 id_column[:, None], S, window, CAUSAL, WINDOWED,
                                 SEGMENTED)  # fmt: skip
                    p = tl.where(pairs, p, 0.0)
                dout = rows_of(dout_head, dout_strides[2], query, T, D, BLOCK_M, BLOCK_D)
                dv += product(p.to(dout.dtype), dout, WIDE)
                delta = tl.load(delta_ptr + numbers + row, mask=row < T, other=0.0)
                ds = p * (product(v, tl.trans(dout), WIDE) - delta[None, :])
                if CAPPED:
                    ds *= 1 - raw * raw
                dk += product(ds.to(q.dtype), q, WIDE)  # past T all of dout and q is 0
        write(head(dk_ptr, batch, k_head, dk_strides), dk_strides[2], dk * scale, first, S, D,
              BLOCK_N, BLOCK_D)  # fmt: skip
        write(head(dv_ptr, batch, k_head, dv_strides), dv_strides[2], dv, first, S, D, BLOCK_N,
              BLOCK_D)  # fmt: skip

    @triton.jit
    def query_ranges(first, T, S, window, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr,
                     SEGMENTED: tl.constexpr, BLOCK_M: tl.constexpr,
                     BLOCK_N: tl.constexpr):  # fmt: skip
        """Which queries see the keys first … first + BLOCK_N − 1: four borders, as `key_ranges`."""
        low, inner, outer, high = T * 0, T * 0, tl.cdiv(T, BLOCK_M) * BLOCK_M, T
        near = first - (S - T)  # the query at the place of the first key
        if CAUSAL:
            low = tl.maximum(near, 0) // BLOCK_M * BLOCK_M
            inner = tl.cdiv(tl.maximum(near + BLOCK_N - 1, 0), BLOCK_M) * BLOCK_M
        if WINDOWED:
            high = tl.minimum(T, tl.maximum(near + BLOCK_N - 1 + window, 0))
            outer = tl.minimum(outer, tl.maximum(near + window, 0) // BLOCK_M * BLOCK_M)
        if SEGMENTED:
            inner, outer = low, low
        return low, inner, tl.maximum(inner, outer), high

    @triton.jit
    def queries_backward_kernel(q_ptr, k_ptr, v_ptr, segments_ptr, dout_ptr, lse_ptr, delta_ptr,
                                dq_ptr, q_strides, k_strides, v_strides, dout_strides, dq_strides,
                                H, GROUP, T, S, window, bend, factor, scale, D: tl.constexpr,
                                CAUSAL: tl.constexpr, WINDOWED: tl.constexpr,
                                CAPPED: tl.constexpr, SEGMENTED: tl.constexpr,
                                BLOCK_D: tl.constexpr, WIDE: tl.constexpr,
                                BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):  # fmt: skip
        """One block of queries: dq, summed over the keys they see."""
        blocks = tl.cdiv(T, BLOCK_M)
        block = blocks - 1 - tl.program_id(0) % blocks
        plane = tl.program_id(0) // blocks
        batch, h = plane // H, plane % H
        first = block * BLOCK_M
        row = first + tl.arange(0, BLOCK_M)
        k_head = head(k_ptr, batch, h // GROUP, k_strides)
        v_head = head(v_ptr, batch, h // GROUP, v_strides)
        q = rows_of(head(q_ptr, batch, h, q_strides), q_strides[2], first, T, D, BLOCK_M, BLOCK_D)
        dout = rows_of(head(dout_ptr, batch, h, dout_strides), dout_strides[2], first, T, D,
                       BLOCK_M, BLOCK_D)  # fmt: skip
        numbers = tl.cast(plane, tl.int64) * T
        lse = tl.load(lse_ptr + numbers + row, mask=row < T, other=0.0) * 1.4426950408889634
        delta = tl.load(delta_ptr + numbers + row, mask=row < T, other=0.0)
        ids_ptr = segments_ptr + tl.cast(batch, tl.int64) * S
        id_row = row
        if SEGMENTED:
            id_row = tl.load(ids_ptr + S - T + row, mask=row < T, other=-1)
        dq = tl.zeros((BLOCK_M, BLOCK_D), tl.float32)
        low, inner, outer, high = key_ranges(
            first + S - T, S, window, CAUSAL, WINDOWED, SEGMENTED, BLOCK_M, BLOCK_N
        )
        for key in range(low, high, BLOCK_N):
            k = rows_of(k_head, k_strides[2], key, S, D, BLOCK_N, BLOCK_D)
            v = rows_of(v_head, v_strides[2], key, S, D, BLOCK_N, BLOCK_D)
            raw = product(q, tl.trans(k), WIDE)  # (BLOCK_M, BLOCK_N)
            if CAPPED:
                raw = tanh(raw * bend)
            p = tl.math.exp2(raw * factor - lse[:, None])
            if key < inner or key >= outer:
                column = key + tl.arange(0, BLOCK_N)
                id_column = column
                if SEGMENTED:
                    id_column = tl.load(ids_ptr + column, mask=column < S, other=-1)
                pairs = seen(row[:, None] + S - T, column[None, :], id_row[:, None],
                             id_column[None, :], S, window, CAUSAL, WINDOWED,
                             SEGMENTED)  # fmt: skip
                p = tl.where(pairs, p, 0.0)
            ds = p * (product(dout, tl.trans(v), WIDE) - delta[:, None])
            if CAPPED:
                ds *= 1 - raw * raw
            dq += product(ds.to(k.dtype), k, WIDE)
        write(head(dq_ptr, batch, h, dq_strides), dq_strides[2], dq * scale, first, T, D, BLOCK_M,
              BLOCK_D)  # fmt: skip


def builds() -> list[Build]:
    """Heads of 128 with documents, and Gemma 2's: 256, capped, a window; in bf16."""
    delta = dict(out_ptr="*bf16", dout_ptr="*bf16", dlse_ptr="*fp32", delta_ptr="*fp32",
                 out_strides=("i32",) * 3, dout_strides=("i32",) * 3, H="i32",
                 T="i32")  # fmt: skip
    constants = dict(D=128, BLOCK_D=128, BLOCK_M=32)
    aligned = ("out_strides", "dout_strides")
    found = [Build("attention's delta", delta_kernel, delta, constants, aligned=aligned)]
    also = dict(delta_ptr="*fp32", scale="fp32")
    for d, on in ((128, {"SEGMENTED": True}), (256, {"CAPPED": True, "WINDOWED": True})):
        found += builds_for("flash_attention's dk and dv", keys_backward_kernel, also,
                            "q k v dout dk dv", d, KEYS, **on)  # fmt: skip
        found += builds_for("flash_attention's dq", queries_backward_kernel, also,
                            "q k v dout dq", d, QUERIES, **on)  # fmt: skip
    return found
