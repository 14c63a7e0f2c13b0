"""Attention of one new token over keys in pages: PagedAttention (arXiv 2309.06180).

The cache is one pool of pages. A sequence owns some of them in any order, and its row of the block
table says which: its key at position t lies in page table[t // size] at place t % size. The kernel
is decode_attention.py's with that one look-up before each load; its second kernel merges the parts.

Shapes: q (B, H, 1, d), k_pages and v_pages (pages, size, K, d), block_table (B, M), lengths (B,):
sequence b sees its first lengths[b] keys, and its query stands at the last of them.
"""

import torch

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.checks import same_place, same_size
from minimodels.kernels.compile import Build
from minimodels.kernels.decode_attention import check, merge, parts_for, room, settings, tile
from minimodels.kernels.flash_attention import LARGEST_HEAD

try:
    import triton
    import triton.language as tl

    from minimodels.kernels.decode_attention import leave, step
    from minimodels.kernels.pieces import rows_of
except ImportError:  # no Triton on this system: the reference serves
    triton = None


def paged_attention_reference(
    q, k_pages, v_pages, block_table, lengths, window=None, softcap=None, scale=None
):
    """Gather the pages, then plain steps in float32; a sequence of length 0 gets 0."""
    table = block_table.long().clamp(min=0)
    k, v = (x[table].flatten(1, 2).transpose(1, 2).float() for x in (k_pages, v_pages))
    group = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(group, dim=1) for x in (k, v))  # (B, H, M · size, d)
    s = q.float() @ k.transpose(2, 3) * (q.shape[3] ** -0.5 if scale is None else scale)
    if softcap is not None:
        s = softcap * torch.tanh(s / softcap)
    place = torch.arange(k.shape[2], device=q.device)[None]
    seen = place < lengths[:, None]
    if window is not None:
        seen = seen & (place >= lengths[:, None] - window)
    seen = seen[:, None, None]  # (B, 1, 1, M · size)
    weights = s.masked_fill(~seen, torch.finfo(torch.float32).min).softmax(-1) * seen
    return (weights @ v.masked_fill(~seen.transpose(2, 3), 0.0)).to(q.dtype)


def paged_attention(
    q, k_pages, v_pages, block_table, lengths, window=None, softcap=None, scale=None
):
    """(B, H, 1, d) by the kernels, where this machine has a way to run them. Has no gradient.

    block_table and lengths are integers; entries of the table past a sequence's length are never
    read. On a GPU lengths are not compared with the table, which would wait for the GPU.
    """
    check("paged_attention", q, k_pages, v_pages, window, softcap, scale)
    check_pages(q, k_pages, v_pages, block_table, lengths)
    if not kernels.on(q) or q.numel() == 0 or block_table.numel() == 0:
        return paged_attention_reference(
            q, k_pages, v_pages, block_table, lengths, window, softcap, scale
        )
    pages = [x if x.stride(3) == 1 else x.contiguous() for x in (k_pages, v_pages)]
    (_, size, K, _), (B, M) = k_pages.shape, block_table.shape
    told = settings(q, K, window, softcap, scale)
    parts = parts_for(B * K, M * size if window is None else min(window, M * size), q.device)
    outs, lses = room(q, parts)
    with torch.cuda.device_of(q):  # does nothing on a CPU
        paged_attention_kernel[(B * K, parts)](
            q.contiguous(), *pages, block_table.to(torch.int32).contiguous(),
            lengths.to(torch.int32).contiguous(), outs, lses, *(x.stride()[:3] for x in pages),
            M=M, SIZE=size, **told,
        )  # fmt: skip
    return merge(outs, lses, q)


def check_pages(q, k_pages, v_pages, block_table, lengths) -> None:
    name, (B, H, _, d) = "paged_attention", q.shape
    same_place(name, (torch.int32, torch.int64), block_table=block_table, lengths=lengths)
    same_size(name, (*k_pages.shape[:3], d), k_pages=k_pages, v_pages=v_pages)
    same_size(name, (B, block_table.shape[-1]), block_table=block_table)
    same_size(name, (B,), lengths=lengths)
    if lengths.device != q.device:
        raise UserError(f"{name}: lengths is on {lengths.device}, q on {q.device}: move them.")
    if k_pages.shape[2] == 0 or H % k_pages.shape[2] or not 1 <= d <= LARGEST_HEAD:
        raise UserError(
            f"{name}: {H} heads of {d} numbers do not share {k_pages.shape[2]} heads of pages "
            f"evenly, or are not of 1 to {LARGEST_HEAD} numbers."
        )
    held = block_table.shape[1] * k_pages.shape[1]
    if q.device.type == "cpu" and (lengths > held).any():
        raise UserError(f"{name}: lengths has {int(lengths.max())}, the table holds {held} keys.")


if triton is not None:

    @triton.jit
    def page_rows(ptr, page, slot, k_head, real, strides, D: tl.constexpr, BLOCK_D: tl.constexpr):
        """(BLOCK_N, BLOCK_D): of each page one slot, of one key head; zeros where not real."""
        column = tl.arange(0, BLOCK_D)[None, :]
        place = page.to(tl.int64) * strides[0] + slot * strides[1] + k_head * strides[2]
        return tl.load(ptr + place[:, None] + column, mask=real[:, None] & (column < D), other=0.0)

    @triton.jit
    def paged_attention_kernel(q_ptr, k_ptr, v_ptr, table_ptr, lengths_ptr, outs_ptr, lses_ptr,
                               k_strides, v_strides, M, K, window, bend, factor,
                               SIZE: tl.constexpr, D: tl.constexpr, GROUP: tl.constexpr,
                               CAPPED: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr,
                               BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr):  # fmt: skip
        plane, part = tl.program_id(0), tl.program_id(1)
        batch, k_head = plane // K, plane % K
        q = rows_of(q_ptr, D, plane * GROUP, (plane + 1) * GROUP, D, ROWS, BLOCK_D)
        length = tl.minimum(tl.load(lengths_ptr + batch), M * SIZE)
        begin = tl.maximum(length - window, 0)  # each sequence is cut by its own length
        share = tl.cdiv(tl.cdiv(length - begin, tl.num_programs(1)), BLOCK_N) * BLOCK_N
        start = begin + part * share
        stop = tl.minimum(start + share, length)
        m = tl.full((ROWS,), float("-inf"), tl.float32)
        total = tl.zeros((ROWS,), tl.float32)
        acc = tl.zeros((ROWS, BLOCK_D), tl.float32)
        for key in range(start, stop, BLOCK_N):
            place = key + tl.arange(0, BLOCK_N)
            real = place < length
            entry = table_ptr + tl.cast(batch, tl.int64) * M + place // SIZE
            page, slot = tl.load(entry, mask=real, other=0), place % SIZE
            k = page_rows(k_ptr, page, slot, k_head, real, k_strides, D, BLOCK_D)
            v = page_rows(v_ptr, page, slot, k_head, real, v_strides, D, BLOCK_D)
            acc, m, total = step(acc, m, total, q, k, v, real, bend, factor, CAPPED, WIDE)
        row = plane * GROUP + tl.arange(0, ROWS)
        leave(outs_ptr, lses_ptr, acc, m, total, row, part, tl.num_programs(1), GROUP, D, BLOCK_D)


def builds() -> list[Build]:
    """For pages of 16 keys, 8 query heads a key head, heads of 128 numbers, bf16."""
    names = ("k_strides", "v_strides")
    signature = dict(
        **dict.fromkeys(("q_ptr", "k_ptr", "v_ptr"), "*bf16"), table_ptr="*i32",
        lengths_ptr="*i32", outs_ptr="*fp32", lses_ptr="*fp32",
        **dict.fromkeys(names, ("i32",) * 3), M="i32", K="i32", window="i32", bend="fp32",
        factor="fp32",
    )  # fmt: skip
    told = dict(SIZE=16, D=128, GROUP=8, CAPPED=False, WIDE=False) | tile(128, 2, 8)
    return [
        Build.launched("paged_attention", paged_attention_kernel, signature, told, aligned=names)
    ]
