"""FlashAttention-2 (arXiv 2307.08691), forward: Algorithm 1. The scores never reach memory.

    out = softmax(s) v,   s = scale · q kᵀ, or softcap · tanh(scale · q kᵀ / softcap)

A program owns BLOCK_M queries and walks over the keys, BLOCK_N at a time. It keeps the maximum m of
what it has seen, total = Σ exp(s − m) and acc = Σ exp(s − m) v; when m rises, both sums are scaled
down (online softmax, arXiv 1805.02867). At the end out = acc / total, and lse = m + ln total is all
that the backward pass keeps of T · S scores (flash_attention_backward.py). Powers are of two:
log2(e) goes into the scale, and exp2 is what the hardware has.

Shapes: q (B, H, T, d), k and v (B, K, S, d) with H a multiple of K: query head h reads key head
h // (H / K). The queries are the last T of the S positions. lse (B, H, T), natural logarithm.
"""

import math

import torch
from torch.autograd.function import once_differentiable

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.attention_tiles import FORWARD, block_d, builds_for, tile_for
from minimodels.kernels.checks import autocast, dimensions, one_dtype, same_place, same_size
from minimodels.kernels.compile import Build, target_of

try:
    import triton
    import triton.language as tl

    from minimodels.kernels.pieces import head, product, rows_of, tanh, write
except ImportError:  # no Triton on this system: the reference serves
    triton = None

LOG2E = math.log2(math.e)
LARGEST_HEAD = 256


def flash_attention_reference(
    q, k, v, causal=True, window=None, softcap=None, segments=None, scale=None
):
    """Plain steps in float32, (out, lse); a query that sees no key gets 0 and −∞."""
    k, v = (x.float().repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    s = q.float() @ k.transpose(2, 3) * (q.shape[3] ** -0.5 if scale is None else scale)
    if softcap is not None:
        s = softcap * torch.tanh(s / softcap)
    seen = seen_reference(q.shape[2], k.shape[2], causal, window, segments, q.device)
    blind = ~seen.any(-1, keepdim=True)
    s = s.masked_fill(~seen, float("-inf")).masked_fill(blind, 0.0)  # (B, H, T, S)
    lse = s.logsumexp(-1).masked_fill(blind[..., 0], float("-inf"))
    return (s.softmax(-1).masked_fill(blind, 0.0) @ v).to(q.dtype), lse


def seen_reference(T: int, S: int, causal=True, window=None, segments=None, device=None):
    """(B or 1, 1, T, S), bool: which keys a query sees. The kernels never build it."""
    row = torch.arange(S - T, S, device=device)[:, None]
    column = torch.arange(S, device=device)[None]
    seen = (column <= row if causal else column == column)[None].expand(1, T, S)
    if window is not None:
        seen = seen & (column > row - window)
    if segments is not None:
        ours, theirs = segments[:, S - T :, None], segments[:, None, :]
        seen = seen & (ours == theirs) & (theirs >= 0)
    return seen[:, None]


def flash_attention(q, k, v, causal=True, window=None, softcap=None, segments=None, scale=None):
    """(out, lse) by the kernels, where this machine has a way to run them. Differentiable in both.

    window: a query sees the last `window` keys, its own included. segments (B, S), integers: only
    equal ids see each other, and a negative id (padding) is seen by nobody. scale: in place of
    1 / √d. Raises UserError for what does not fit or is not supported.
    """
    q, k, v = autocast(q, k, v)
    check(q, k, v, causal, window, softcap, segments, scale)
    if not kernels.on(q) or q.numel() == 0 or k.numel() == 0:
        return flash_attention_reference(q, k, v, causal, window, softcap, segments, scale)
    scale = q.shape[3] ** -0.5 if scale is None else scale
    return _FlashAttention.apply(q, k, v, causal, window, softcap, segments, scale)


def check(q, k, v, causal, window, softcap, segments, scale) -> None:
    name = "flash_attention"
    same_place(name, q=q, k=k, v=v)
    check_heads(name, q, k, v)
    one_dtype(name, q=q, k=k, v=v)
    if window is not None and not (causal and window >= 1):
        raise UserError(f"{name}: window={window} needs causal=True and at least one key.")
    if scale is not None and scale <= 0 or softcap is not None and softcap <= 0:
        raise UserError(f"{name}: scale={scale} and softcap={softcap} must be positive or None.")
    check_segments(name, q, k, segments)


def check_segments(name: str, q, k, segments) -> None:
    """UserError unless segments, where given, hold an id for each key and for each query."""
    if segments is not None:
        same_place(name, (torch.int32, torch.int64), segments=segments)
        same_size(name, (k.shape[0], k.shape[2]), segments=segments)
        if segments.device != q.device or q.shape[2] > k.shape[2]:
            raise UserError(f"{name}: segments need the device of q and no more queries than keys.")


def check_heads(name: str, q, k, v) -> None:
    """UserError unless q (B, H, T, d) fits k and v (B, K, S, d)."""
    dimensions(name, "(B, H, T, d)", q=q)
    B, H, _, d = q.shape
    same_size(name, (B, *k.shape[1:3], d), k=k, v=v)
    if k.shape[1] == 0 or H % k.shape[1]:
        raise UserError(f"{name}: {H} heads of q do not share {k.shape[1]} heads of k evenly.")
    if not 1 <= d <= LARGEST_HEAD:
        raise UserError(f"{name}: q has heads of {d} numbers: 1 to {LARGEST_HEAD} work.")


class _FlashAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, causal: bool, window, softcap, segments, scale: float):
        ctx.scale, ctx.told = scale, settings(q, k, causal, window, softcap, segments, scale)
        q, k, v = (x if x.stride(3) == 1 else x.contiguous() for x in (q, k, v))
        segments = q if segments is None else segments.to(torch.int32).contiguous()
        out, lse = _forward(q, k, v, segments, ctx.told)
        ctx.save_for_backward(q, k, v, segments, out, lse)
        return out, lse

    @staticmethod
    @once_differentiable
    def backward(ctx, dout, dlse):
        from minimodels.kernels.flash_attention_backward import backward  # it imports this file

        return *backward(*ctx.saved_tensors, dout, dlse, ctx.scale, ctx.told), *[None] * 5


def settings(q, k, causal, window, softcap, segments, scale) -> dict:
    """What every kernel is told beside its tensors.

    A score times log2(e) is factor · raw: raw is q · k, or tanh(bend · q · k) under a cap.
    """
    return dict(
        H=q.shape[1], GROUP=q.shape[1] // k.shape[1], T=q.shape[2], S=k.shape[2],
        window=0 if window is None else min(window, 2**30), bend=scale / (softcap or 1.0),
        factor=(softcap or scale) * LOG2E, D=q.shape[3], CAUSAL=causal,
        WINDOWED=window is not None, CAPPED=softcap is not None, SEGMENTED=segments is not None,
        BLOCK_D=block_d(q.shape[3]), WIDE=kernels.INTERPRETED,
    )  # fmt: skip


def like(x):
    """Room for a tensor like x, in the order of x's memory."""
    y = torch.empty_like(x)
    return y if y.stride(3) == 1 else torch.empty(x.shape, dtype=x.dtype, device=x.device)


def _forward(q, k, v, segments, told: dict):
    B, H, T, _ = q.shape
    out, lse = like(q), torch.empty(B, H, T, device=q.device, dtype=torch.float32)
    tile = tile_for(told["BLOCK_D"], q.dtype, target_of(q.device), FORWARD)
    with torch.cuda.device_of(q):  # does nothing on a CPU
        flash_attention_kernel[(triton.cdiv(T, tile["BLOCK_M"]) * B * H,)](
            q, k, v, segments, out, lse, *(x.stride()[:3] for x in (q, k, v, out)), **told,
            **tile,
        )  # fmt: skip
    return out, lse


if triton is not None:

    @triton.jit
    def seen(row, column, id_row, id_column, S, window, CAUSAL: tl.constexpr,
             WINDOWED: tl.constexpr, SEGMENTED: tl.constexpr):  # fmt: skip
        """Which pairs of a query at position `row` and a key at `column` there are."""
        pairs = (column < S) & (row == row)
        if CAUSAL:
            pairs &= column <= row
        if WINDOWED:
            pairs &= column > row - window
        if SEGMENTED:
            pairs &= (id_row == id_column) & (id_column >= 0)
        return pairs

    @triton.jit
    def key_ranges(first, S, window, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr,
                   SEGMENTED: tl.constexpr, BLOCK_M: tl.constexpr,
                   BLOCK_N: tl.constexpr):  # fmt: skip
        """Where the queries at first … first + BLOCK_M − 1 look: four block borders.

        Between the first two and the last two borders some pairs are masked, in the middle none.
        Blocks outside of them are never visited.
        """
        low, inner, outer, high = S * 0, S * 0, S // BLOCK_N * BLOCK_N, S
        if CAUSAL:
            outer = tl.minimum(outer, tl.maximum(first + 1, 0) // BLOCK_N * BLOCK_N)
            high = tl.minimum(S, tl.maximum(first + BLOCK_M, 0))
        if WINDOWED:
            low = tl.maximum(first - window + 1, 0) // BLOCK_N * BLOCK_N
            inner = tl.cdiv(tl.maximum(first + BLOCK_M - window, 0), BLOCK_N) * BLOCK_N
        if SEGMENTED:
            inner, outer = low, low
        return low, inner, tl.maximum(inner, outer), high

    @triton.jit
    def flash_attention_kernel(q_ptr, k_ptr, v_ptr, segments_ptr, out_ptr, lse_ptr, q_strides,
                               k_strides, v_strides, out_strides, H, GROUP, T, S, window, bend,
                               factor, D: tl.constexpr, CAUSAL: tl.constexpr,
                               WINDOWED: tl.constexpr, CAPPED: tl.constexpr,
                               SEGMENTED: tl.constexpr, BLOCK_D: tl.constexpr,
                               WIDE: tl.constexpr, BLOCK_M: tl.constexpr,
                               BLOCK_N: tl.constexpr):  # fmt: skip
        blocks = tl.cdiv(T, BLOCK_M)
        block = blocks - 1 - tl.program_id(0) % blocks  # under a causal mask the longest first
        plane = tl.program_id(0) // blocks
        batch, h = plane // H, plane % H
        first = block * BLOCK_M
        row = first + tl.arange(0, BLOCK_M)
        k_head = head(k_ptr, batch, h // GROUP, k_strides)
        v_head = head(v_ptr, batch, h // GROUP, v_strides)
        q = rows_of(head(q_ptr, batch, h, q_strides), q_strides[2], first, T, D, BLOCK_M, BLOCK_D)
        ids_ptr = segments_ptr + tl.cast(batch, tl.int64) * S
        id_row = row
        if SEGMENTED:
            id_row = tl.load(ids_ptr + S - T + row, mask=row < T, other=-1)
        m = tl.full((BLOCK_M,), float("-inf"), tl.float32)
        total = tl.zeros((BLOCK_M,), tl.float32)
        acc = tl.zeros((BLOCK_M, BLOCK_D), tl.float32)
        low, inner, outer, high = key_ranges(
            first + S - T, S, window, CAUSAL, WINDOWED, SEGMENTED, BLOCK_M, BLOCK_N
        )
        for key in range(low, high, BLOCK_N):
            k = rows_of(k_head, k_strides[2], key, S, D, BLOCK_N, BLOCK_D)
            raw = product(q, tl.trans(k), WIDE)  # (BLOCK_M, BLOCK_N)
            if CAPPED:
                raw = tanh(raw * bend)
            if key < inner or key >= outer:  # a branch that the whole program takes or leaves
                column = key + tl.arange(0, BLOCK_N)
                id_column = column
                if SEGMENTED:
                    id_column = tl.load(ids_ptr + column, mask=column < S, other=-1)
                pairs = seen(row[:, None] + S - T, column[None, :], id_row[:, None],
                             id_column[None, :], S, window, CAUSAL, WINDOWED,
                             SEGMENTED)  # fmt: skip
                raw = tl.where(pairs, raw, float("-inf"))
            higher = tl.maximum(m, tl.max(raw, axis=1) * factor)
            base = tl.where(higher == float("-inf"), 0.0, higher)  # no key so far: not −∞ − −∞
            p = tl.math.exp2(raw * factor - base[:, None])
            shrink = tl.math.exp2(m - base)
            total = total * shrink + tl.sum(p, axis=1)
            v = rows_of(v_head, v_strides[2], key, S, D, BLOCK_N, BLOCK_D)
            acc = acc * shrink[:, None] + product(p.to(v.dtype), v, WIDE)
            m = higher
        safe = tl.where(total == 0, 1.0, total)
        lse = (m + tl.math.log2(safe)) * 0.6931471805599453  # ln 2
        tl.store(lse_ptr + tl.cast(plane, tl.int64) * T + row, lse, mask=row < T)
        write(head(out_ptr, batch, h, out_strides), out_strides[2], acc / safe[:, None], first, T,
              D, BLOCK_M, BLOCK_D)  # fmt: skip


def builds() -> list[Build]:
    """Heads of 64 with documents, of 128, and Gemma 2's: 256, capped, a window; in bf16."""
    give = lambda d, **on: builds_for(  # noqa: E731
        "flash_attention", flash_attention_kernel, {}, "q k v out", d, FORWARD, **on
    )
    return give(64, SEGMENTED=True) + give(128) + give(256, CAPPED=True, WINDOWED=True)
