"""What several kernels are made of: a tile read and written, a product, a bend.

A tile is ROWS rows of a matrix (count, D) in memory, beginning at row `first`; D is padded to
BLOCK_D. Where an offset may pass 2³¹ it is computed in 64 bits: to the head, and to the tile's
first row; from there on 32 bits are enough. Needs Triton.
"""

try:
    import triton
    import triton.language as tl
except ImportError:  # who needs these names does not find them, and knows
    triton = None

if triton is not None:

    @triton.jit
    def head(ptr, batch, head, strides):
        """Where the matrix of one head of one text begins."""
        return ptr + tl.cast(batch, tl.int64) * strides[0] + tl.cast(head, tl.int64) * strides[1]

    @triton.jit
    def rows_of(ptr, stride, first, count, D: tl.constexpr, ROWS: tl.constexpr,
                BLOCK_D: tl.constexpr):  # fmt: skip
        """(ROWS, BLOCK_D) from row `first` on, zeros outside of the matrix."""
        row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, BLOCK_D)[None, :]
        inside = (first + row < count) & (column < D)
        return tl.load(ptr + tl.cast(first, tl.int64) * stride + row * stride + column, mask=inside,
                       other=0.0)  # fmt: skip

    @triton.jit
    def write(ptr, stride, tile, first, count, D: tl.constexpr, ROWS: tl.constexpr,
              BLOCK_D: tl.constexpr):  # fmt: skip
        """Write what `rows_of` would read."""
        row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, BLOCK_D)[None, :]
        inside = (first + row < count) & (column < D)
        start = tl.cast(first, tl.int64) * stride
        tl.store(ptr + start + row * stride + column, tile, mask=inside)

    @triton.jit
    def product(a, b, WIDE: tl.constexpr):
        """a @ b, summed in float32. The interpreter's is wrong in bf16: widened there."""
        if WIDE:
            a, b = a.to(tl.float32), b.to(tl.float32)
        return tl.dot(a, b, input_precision="ieee")

    @triton.jit
    def tile_place(program, rows, columns, TALL: tl.constexpr):
        """Which tile of a result with so many rows and columns of tiles a program makes.

        Programs are numbered down a column of TALL tiles, then down the next column to the right.
        Those that run at the same time thus cover a block, not a strip of one row: the block needs
        fewer rows and columns of the inputs, few enough for the cache.
        """
        band = program // (TALL * columns)
        tall = tl.minimum(rows - band * TALL, TALL)
        within = program - band * TALL * columns
        return band * TALL + within % tall, within // tall

    @triton.jit
    def tanh(x):
        return 2.0 * tl.sigmoid(2.0 * x) - 1.0
