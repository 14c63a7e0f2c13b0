"""The small kernels of the chapter on Triton: a sum, an online softmax, a product in tiles.

Only for reading: the kernels that the models use stand in files of their own. Needs Triton.
"""

import torch

try:
    import triton
    import triton.language as tl
except ImportError:  # the chapter says so at its top
    triton = None

if triton is not None:

    @triton.jit
    def add_kernel(x_ptr, y_ptr, out_ptr, count, BLOCK: tl.constexpr):
        program = tl.program_id(0)  # which of the many copies of this code am I?
        i = program * BLOCK + tl.arange(0, BLOCK)  # the BLOCK numbers that are mine
        inside = i < count  # the last program's block may hang over the end
        x = tl.load(x_ptr + i, mask=inside)
        y = tl.load(y_ptr + i, mask=inside)
        tl.store(out_ptr + i, x + y, mask=inside)

    @triton.jit
    def online_softmax_kernel(x_ptr, out_ptr, S, BLOCK: tl.constexpr):
        row = tl.program_id(0)
        i = tl.arange(0, BLOCK)
        top, total = -float("inf"), 0.0
        for start in range(0, S, BLOCK):  # once over the row: maximum and sum, mended as it goes
            x = tl.load(x_ptr + row * S + start + i, mask=start + i < S, other=-float("inf"))
            higher = tl.maximum(top, tl.max(x, axis=0))
            total = total * tl.exp(top - higher) + tl.sum(tl.exp(x - higher), axis=0)
            top = higher
        for start in range(0, S, BLOCK):  # and once more: each number becomes its share
            x = tl.load(x_ptr + row * S + start + i, mask=start + i < S, other=-float("inf"))
            tl.store(out_ptr + row * S + start + i, tl.exp(x - top) / total, mask=start + i < S)

    @triton.jit
    def matmul_kernel(a_ptr, b_ptr, c_ptr, M, N, K, BM: tl.constexpr, BN: tl.constexpr,
                      BK: tl.constexpr):  # fmt: skip
        m = tl.program_id(0) * BM + tl.arange(0, BM)[:, None]  # my rows of C, (BM, 1)
        n = tl.program_id(1) * BN + tl.arange(0, BN)[None, :]  # my columns, (1, BN)
        k = tl.arange(0, BK)
        c = tl.zeros((BM, BN), tl.float32)
        for start in range(0, K, BK):
            row, column = (start + k)[:, None], (start + k)[None, :]
            a = tl.load(a_ptr + m * K + column, mask=(m < M) & (column < K), other=0.0)  # (BM, BK)
            b = tl.load(b_ptr + row * N + n, mask=(row < K) & (n < N), other=0.0)  # (BK, BN)
            c += tl.dot(a, b)
        tl.store(c_ptr + m * N + n, c, mask=(m < M) & (n < N))


def add(x, y, block: int = 4):
    """x + y (any shape, contiguous), a block of numbers a program."""
    out = torch.empty_like(x)
    add_kernel[(triton.cdiv(x.numel(), block),)](x, y, out, x.numel(), BLOCK=block)
    return out


def online_softmax(x, block: int):
    """The softmax of each row of x (rows, S), a row a program, read a block at a time."""
    out = torch.empty_like(x)
    online_softmax_kernel[(x.shape[0],)](x, out, x.shape[1], BLOCK=block)
    return out


def matmul(a, b, tile: int):
    """a (M, K) times b (K, N), a tile of the result (tile, tile) a program."""
    (M, K), N = a.shape, b.shape[1]
    c = torch.empty(M, N, dtype=a.dtype)
    grid = triton.cdiv(M, tile), triton.cdiv(N, tile)
    matmul_kernel[grid](a, b, c, M, N, K, BM=tile, BN=tile, BK=16)
    return c


def moved_by_torch(function, *tensors) -> tuple[int, list[str]]:
    """Bytes that the operations of plain torch read and write, and their names; views move none."""
    from torch.utils._python_dispatch import TorchDispatchMode

    names: list[str] = []

    class Counting(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            out = operation(*args, **(kwargs or {}))
            given = [one for one in args if isinstance(one, torch.Tensor)]
            if isinstance(out, torch.Tensor) and all(out is not one for one in given):
                shared = [one for one in given if one.data_ptr() == out.data_ptr()]
                if not shared:  # a view has the memory of what it views
                    self.total += out.nbytes + sum(one.nbytes for one in given)
                    names.append(str(operation).split(".")[1])
            return out

    with Counting() as counting:
        function(*tensors)
    return counting.total, names
