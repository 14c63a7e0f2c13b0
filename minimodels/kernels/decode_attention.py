"""Attention of one new token over a long cache: FlashDecoding, two kernels.

    out = softmax(s) v,   s = scale · q kᵀ, or softcap · tanh(scale · q kᵀ / softcap)

One query makes H programs at most, too few to read memory at full speed, so the keys are cut into
parts and each program reads one part of one key head, for all GROUP query heads that share it: a
key is read once, not GROUP times. It leaves the part's own softmax, out_i, and lse_i, the logarithm
of what it divided by. The second kernel merges them,

    out = Σ w_i out_i / Σ w_i,   w_i = exp(lse_i − max lse),

which is exact: the same identity as the online softmax of flash_attention.py (arXiv 2307.08691).
The method is of "Flash-Decoding for long-context inference" (Dao, Haziza, Massa, Sizov, 2023).

Shapes: q (B, H, 1, d), k and v (B, K, S, d), segments (B, S); parts (B, H, P, d) in float32 and
(B, H, P).
"""

import torch

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.attention_tiles import block_d
from minimodels.kernels.checks import autocast, one_dtype, same_place
from minimodels.kernels.compile import Build
from minimodels.kernels.flash_attention import (
    LOG2E,
    check_heads,
    check_segments,
    flash_attention_reference,
)

try:
    import triton
    import triton.language as tl

    from minimodels.kernels.pieces import head, product, rows_of, tanh
except ImportError:  # no Triton on this system: the reference serves
    triton = None

MOST_PARTS = 128  # the second kernel holds them all at once
SMALLEST_PART = 256  # keys: less is not worth a program


def decode_attention_reference(q, k, v, window=None, softcap=None, scale=None, segments=None):
    """Plain steps in float32: the last of S positions looks back."""
    return flash_attention_reference(q, k, v, True, window, softcap, segments, scale)[0]


def decode_attention(q, k, v, window=None, softcap=None, scale=None, segments=None):
    """(B, H, 1, d) by the kernels, where this machine has a way to run them. Has no gradient.

    window: only the last `window` keys are read. scale: in place of 1 / √d. segments (B, S): only
    keys with the id of the last one count, as in `flash_attention`. Raises UserError for more than
    one query, for tensors that do not fit and where a gradient is wanted.
    """
    q, k, v = autocast(q, k, v)
    check("decode_attention", q, k, v, window, softcap, scale)
    check_heads("decode_attention", q, k, v)
    check_segments("decode_attention", q, k, segments)
    if not kernels.on(q) or q.numel() == 0 or k.numel() == 0:
        return decode_attention_reference(q, k, v, window, softcap, scale, segments)
    k, v = (x if x.stride(3) == 1 else x.contiguous() for x in (k, v))
    told = settings(q, k.shape[1], window, softcap, scale)
    B, K, S, _ = k.shape
    parts = parts_for(B * K, S if window is None else min(window, S), q.device)
    outs, lses = room(q, parts)
    ids = q if segments is None else segments.to(torch.int32).contiguous()
    with torch.cuda.device_of(q):  # does nothing on a CPU
        decode_attention_kernel[(B * K, parts)](
            q.contiguous(), k, v, ids, outs, lses, k.stride()[:3], v.stride()[:3], S=S,
            SEGMENTED=segments is not None, **told,
        )  # fmt: skip
    return merge(outs, lses, q)


def check(name: str, q, k, v, window, softcap, scale) -> None:
    same_place(name, q=q, k=k, v=v)
    if q.dim() != 4 or q.shape[2] != 1:
        raise UserError(f"{name}: q has shape {tuple(q.shape)}, not (B, H, 1, d): give one query.")
    one_dtype(name, q=q, k=k, v=v)
    for word, number in (("window", window), ("softcap", softcap), ("scale", scale)):
        if number is not None and number <= 0:
            raise UserError(f"{name}: {word}={number} must be positive or None.")
    if torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v)):
        raise UserError(f"{name}: it has no gradient: call it under torch.no_grad().")


def settings(q, num_kv_heads: int, window, softcap, scale) -> dict:
    """What the first kernel is told beside its tensors.

    A score times log2(e) is factor · raw: raw is q · k, or tanh(bend · q · k) under a cap.
    """
    H, d = q.shape[1], q.shape[3]
    scale = d**-0.5 if scale is None else scale
    group = H // num_kv_heads
    return dict(
        K=num_kv_heads, window=2**30 if window is None else min(window, 2**30),
        bend=scale / (softcap or 1.0), factor=(softcap or scale) * LOG2E, D=d,
        GROUP=group, CAPPED=softcap is not None, WIDE=kernels.INTERPRETED,
        **tile(block_d(d), q.element_size(), group),
    )  # fmt: skip


def tile(BLOCK_D: int, size: int, group: int) -> dict:
    """16 KiB of keys a step, two steps ahead: enough bytes on their way for each program.

    float32 has no tensor cores: its products take registers, so that steps are smaller there.
    """
    step, stages = (8192, 2) if size == 4 else (16384, 3)
    keys = max(16, min(128, step // (BLOCK_D * size)))
    rows = max(16, triton.next_power_of_2(group))  # tl.dot takes 16 rows at least
    warps = 4 if rows < 64 else 8
    return dict(ROWS=rows, BLOCK_D=BLOCK_D, BLOCK_N=keys, num_warps=warps, num_stages=stages)


def parts_for(planes: int, keys: int, device) -> int:
    """Two programs for each processor of the GPU, as far as there are keys."""
    if device.type != "cuda":
        return min(3, -(-keys // 16))
    wanted = 2 * torch.cuda.get_device_properties(device).multi_processor_count
    return max(1, min(-(-wanted // planes), -(-keys // SMALLEST_PART), MOST_PARTS))


def room(q, parts: int):
    """Where the first kernel leaves its parts."""
    B, H, _, d = q.shape
    outs = torch.empty(B, H, parts, d, device=q.device, dtype=torch.float32)
    return outs, torch.empty(B, H, parts, device=q.device, dtype=torch.float32)


def merge(outs, lses, q):
    """(B, H, 1, d) of the parts; 0 where none of them saw a key."""
    B, H, parts, d = outs.shape
    out = torch.empty(q.shape, device=q.device, dtype=q.dtype)
    with torch.cuda.device_of(q):
        merge_kernel[(B * H, triton.cdiv(d, 32))](
            outs, lses, out, parts, d, PARTS=triton.next_power_of_2(parts), COLUMNS=32
        )
    return out


if triton is not None:

    @triton.jit
    def step(acc, m, total, q, k, v, real, bend, factor, CAPPED: tl.constexpr, WIDE: tl.constexpr):
        """One step of the online softmax: some more keys, of which `real` ones count."""
        raw = product(q, tl.trans(k), WIDE)  # (ROWS, BLOCK_N)
        if CAPPED:
            raw = tanh(raw * bend)
        raw = tl.where(real[None, :], raw, float("-inf"))
        higher = tl.maximum(m, tl.max(raw, axis=1) * factor)
        base = tl.where(higher == float("-inf"), 0.0, higher)
        p = tl.math.exp2(raw * factor - base[:, None])
        shrink = tl.math.exp2(m - base)
        acc = acc * shrink[:, None] + product(p.to(v.dtype), v, WIDE)
        return acc, higher, total * shrink + tl.sum(p, axis=1)

    @triton.jit
    def leave(outs_ptr, lses_ptr, acc, m, total, row, part, parts, GROUP: tl.constexpr,
              D: tl.constexpr, BLOCK_D: tl.constexpr):  # fmt: skip
        """Write a part. row: which of the B · H heads; an lse of −∞ says that it saw no key."""
        inside = tl.arange(0, acc.shape[0]) < GROUP
        column = tl.arange(0, BLOCK_D)[None, :]
        safe = tl.where(total == 0, 1.0, total)
        place = row.to(tl.int64) * parts + part
        tl.store(lses_ptr + place, m + tl.math.log2(safe), mask=inside)
        tl.store(outs_ptr + place[:, None] * D + column, acc / safe[:, None],
                 mask=inside[:, None] & (column < D))  # fmt: skip

    @triton.jit
    def decode_attention_kernel(q_ptr, k_ptr, v_ptr, segments_ptr, outs_ptr, lses_ptr, k_strides,
                                v_strides, S, K, window, bend, factor, SEGMENTED: tl.constexpr,
                                D: tl.constexpr, GROUP: tl.constexpr, CAPPED: tl.constexpr,
                                WIDE: tl.constexpr, ROWS: tl.constexpr, BLOCK_D: tl.constexpr,
                                BLOCK_N: tl.constexpr):  # fmt: skip
        plane, part = tl.program_id(0), tl.program_id(1)
        k_head = head(k_ptr, plane // K, plane % K, k_strides)
        v_head = head(v_ptr, plane // K, plane % K, v_strides)
        q = rows_of(q_ptr, D, plane * GROUP, (plane + 1) * GROUP, D, ROWS, BLOCK_D)
        begin = tl.maximum(S - window, 0)
        share = tl.cdiv(tl.cdiv(S - begin, tl.num_programs(1)), BLOCK_N) * BLOCK_N
        start = begin + part * share
        stop = tl.minimum(start + share, S)
        ids_ptr = segments_ptr + tl.cast(plane // K, tl.int64) * S
        m = tl.full((ROWS,), float("-inf"), tl.float32)
        total = tl.zeros((ROWS,), tl.float32)
        acc = tl.zeros((ROWS, BLOCK_D), tl.float32)
        for key in range(start, stop, BLOCK_N):
            k = rows_of(k_head, k_strides[2], key, S, D, BLOCK_N, BLOCK_D)
            v = rows_of(v_head, v_strides[2], key, S, D, BLOCK_N, BLOCK_D)
            column = key + tl.arange(0, BLOCK_N)
            real = column < S
            if SEGMENTED:
                id_column = tl.load(ids_ptr + column, mask=real, other=-1)
                real &= (id_column == tl.load(ids_ptr + S - 1)) & (id_column >= 0)
            acc, m, total = step(acc, m, total, q, k, v, real, bend, factor, CAPPED, WIDE)
        row = plane * GROUP + tl.arange(0, ROWS)
        leave(outs_ptr, lses_ptr, acc, m, total, row, part, tl.num_programs(1), GROUP, D, BLOCK_D)

    @triton.jit
    def merge_kernel(outs_ptr, lses_ptr, out_ptr, parts, D, PARTS: tl.constexpr,
                     COLUMNS: tl.constexpr):  # fmt: skip
        row = tl.program_id(0).to(tl.int64)
        part, column = tl.arange(0, PARTS), tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
        lse = tl.load(lses_ptr + row * parts + part, mask=part < parts, other=float("-inf"))
        most = tl.max(lse, axis=0)
        weight = tl.math.exp2(lse - tl.where(most == float("-inf"), 0.0, most))
        total = tl.sum(weight, axis=0)
        weight = weight / tl.where(total == 0, 1.0, total)
        outs = tl.load(outs_ptr + (row * parts + part[:, None]) * D + column[None, :],
                       mask=(part < parts)[:, None] & (column < D)[None, :],
                       other=0.0)  # fmt: skip
        tl.store(out_ptr + row * D + column, tl.sum(weight[:, None] * outs, axis=0),
                 mask=column < D)  # fmt: skip


def builds() -> list[Build]:
    """For 8 query heads a key head (Llama 3 70B): heads of 128, and padded, capped 256; bf16."""
    names = ("k_strides", "v_strides")
    signature = dict(
        **dict.fromkeys(("q_ptr", "k_ptr", "v_ptr"), "*bf16"), segments_ptr="*i32",
        outs_ptr="*fp32", lses_ptr="*fp32", **dict.fromkeys(names, ("i32",) * 3), S="i32", K="i32",
        window="i32", bend="fp32", factor="fp32",
    )  # fmt: skip
    merging = dict(outs_ptr="*fp32", lses_ptr="*fp32", out_ptr="*bf16", parts="i32", D="i32")
    found = [
        Build("decode_attention merge", merge_kernel, merging, {"PARTS": 128, "COLUMNS": 32}),
    ]
    for d, capped in ((128, False), (256, True)):
        told = dict(D=d, GROUP=8, CAPPED=capped, WIDE=False, SEGMENTED=capped) | tile(d, 2, 8)
        found.append(Build.launched(f"decode_attention {d}", decode_attention_kernel, signature,
                                    told, aligned=names))  # fmt: skip
    return found
