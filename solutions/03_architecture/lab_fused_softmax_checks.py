"""Private checks of the lab "fused softmax": never released.

The drivers launch the student's kernels themselves, on views into larger memories, and return the
whole memory, so that a store that goes astray shows in the values. `*_at_the_fence` let numbers
end where the process may read no further: a load behind them ends it, as it may on a GPU. Checks
without points say how often memory is read: a right answer keeps its points and is told.
"""

from minimodels.classroom.lab import Alternative, Check, Mutant

FORBIDDEN = [
    "minimodels.kernels.softmax",
    "minimodels.kernels.lessons",
    "minimodels.kernels.glu",
    "minimodels.kernels.routing",
    "minimodels.kernels.sampling",
    "minimodels.kernels.cross_entropy",
    "minimodels.kernels.flash_attention",
    "minimodels.kernels.flash_attention_backward",
    "minimodels.kernels.attention_tiles",
    "minimodels.kernels.decode_attention",
    "minimodels.kernels.paged_attention",
    "minimodels.architecture.attention",
    "transformers",
    "peft",
    "liger_kernel",
    "triton.ops",
    "triton_kernels",
    "torch.nn.attention",
    "torch.softmax",
    "torch._softmax",
    "torch.log_softmax",
    "torch._log_softmax",
    "torch.logsumexp",
    "torch.special.softmax",
    "torch.special.log_softmax",
    "torch.special.logsumexp",
    "torch.Tensor.softmax",
    "torch.Tensor.log_softmax",
    "torch.Tensor.logsumexp",
    "torch.nn.functional.softmax",
    "torch.nn.functional.log_softmax",
    "torch.nn.functional.gumbel_softmax",
    "torch.nn.functional.scaled_dot_product_attention",
    "torch._C._nn.scaled_dot_product_attention",
    "torch._safe_softmax",
    "torch.sparse.softmax",
]
SECONDS = 20  # Triton is imported by the first cell


def normal(rng, *shape):
    return rng.normal(size=shape).astype("float32")


# 1. scaled_add_kernel: cases of (count, BLOCK)


def whole_blocks(rng):
    return {"x": normal(rng, 64), "y": normal(rng, 64), "scale": 1.5,
            "cases": [[4, 4], [24, 8], [8, 1]]}  # fmt: skip


def hanging_blocks(rng):
    count = int(rng.integers(9, 15))
    return {"x": normal(rng, 64), "y": normal(rng, 64), "scale": -0.75,
            "cases": [[count, 8], [count, 4], [1, 2], [3, 32]]}  # fmt: skip


def added(namespace, inputs):
    import torch

    x, y, written = torch.from_numpy(inputs["x"]), torch.from_numpy(inputs["y"]), {}
    for count, BLOCK in inputs["cases"]:
        memory = torch.full((64,), -7.0)
        grid = (-(-count // BLOCK),)
        namespace["scaled_add_kernel"][grid](x, y, memory, inputs["scale"], count, BLOCK=BLOCK)
        written[f"{count} numbers, blocks of {BLOCK}"] = memory
    return written


def added_at_the_fence(namespace, inputs):
    import ctypes
    import mmap

    import numpy
    import torch

    def fenced(numbers):
        """A tensor whose last number is the last that this process may touch."""
        page = mmap.PAGESIZE
        memory = numpy.frombuffer(mmap.mmap(-1, 2 * page), dtype="float32")
        place = ctypes.c_void_p(memory.ctypes.data + page)
        assert ctypes.CDLL(None).mprotect(place, page, 0) == 0
        part = memory[page // 4 - len(numbers) : page // 4]
        part[:] = numbers
        return torch.from_numpy(part)

    count, BLOCK = inputs["cases"][0]
    x, y = fenced(inputs["x"][:count]), fenced(inputs["y"][:count])
    memory = torch.full((64,), -7.0)
    grid = (-(-count // BLOCK),)
    namespace["scaled_add_kernel"][grid](x, y, memory, inputs["scale"], count, BLOCK=BLOCK)
    return memory[:count]


# 2. rows_kernel: cases of (columns, BLOCK, width of x, width of out)


def packed_rows(rng):
    return {"x": normal(rng, 5, 24), "scale": normal(rng, 5), "bias": normal(rng, 24),
            "cases": [[8, 8, 8, 8], [16, 16, 16, 16]]}  # fmt: skip


def cut_rows(rng):
    columns = int(rng.integers(5, 8))
    return {"x": normal(rng, 5, 24), "scale": normal(rng, 5), "bias": normal(rng, 24),
            "cases": [[columns, 8, 11, 9], [columns, 16, 10, 13], [1, 2, 4, 3]]}  # fmt: skip


def scaled_rows(namespace, inputs):
    import torch

    scale, bias = torch.from_numpy(inputs["scale"]), torch.from_numpy(inputs["bias"])
    written, R = {}, len(inputs["x"])
    for columns, BLOCK, width, room in inputs["cases"]:
        x = torch.from_numpy(inputs["x"][:, :width].copy())
        memory = torch.full((R, room), -7.0)
        namespace["rows_kernel"][(R,)](x, scale, bias, memory, columns, width, room, BLOCK=BLOCK)
        written[f"{columns} columns, strides {width} and {room}, block {BLOCK}"] = memory
    return written


def rows_at_the_fence(namespace, inputs):
    import ctypes
    import mmap

    import numpy
    import torch

    def fenced(numbers):
        """A tensor whose last number is the last that this process may touch."""
        page = mmap.PAGESIZE
        memory = numpy.frombuffer(mmap.mmap(-1, 2 * page), dtype="float32")
        place = ctypes.c_void_p(memory.ctypes.data + page)
        assert ctypes.CDLL(None).mprotect(place, page, 0) == 0
        part = memory[page // 4 - numbers.size : page // 4]
        part[:] = numbers.reshape(-1)
        return torch.from_numpy(part)

    columns, R = inputs["cases"][0][0], len(inputs["x"])
    x, bias = fenced(inputs["x"][:, :columns]), fenced(inputs["bias"][:columns])
    scale, memory = fenced(inputs["scale"]), torch.full((R, 16), -7.0)
    namespace["rows_kernel"][(R,)](x, scale, bias, memory, columns, columns, 16, BLOCK=16)
    return memory[:, :columns]


# 3. softmax_kernel and 6. long_softmax_kernel: x with its first `columns` taken, blocks to try


def plain_rows(rng):
    return {"x": normal(rng, 3, 16), "columns": [16, 9], "blocks": [16, 64]}


def low_rows(rng):
    columns = int(rng.integers(9, 14))
    return {"x": normal(rng, 3, 14) - 20_000, "columns": [columns], "blocks": [16, 32]}


def high_rows(rng):
    return {"x": 300 * normal(rng, 3, 12) + 200, "columns": [12, 7], "blocks": [16]}


def holed_rows(rng):
    x = normal(rng, 4, 13)
    x[0, 0] = x[1, 3:9] = x[2, :11] = -float("inf")
    return {"x": x, "columns": [12, 13], "blocks": [16, 32]}


def shared_out(namespace, inputs):
    import torch

    written = {}
    for columns in inputs["columns"]:
        for BLOCK in inputs["blocks"]:
            R, width = inputs["x"].shape
            x, memory = torch.from_numpy(inputs["x"].copy()), torch.full((R, width + 3), -7.0)
            namespace["softmax_kernel"][(R,)](x, memory, columns, width, width + 3, BLOCK=BLOCK)
            written[f"{columns} columns in a block of {BLOCK}"] = memory
    return written


def softmax_reads(namespace, inputs):
    import torch

    from minimodels.kernels.trace import trace

    x = torch.from_numpy(inputs["x"].copy())
    out, (R, width) = torch.empty_like(x), x.shape
    with trace(x=x) as seen:
        namespace["softmax_kernel"][(R,)](x, out, 9, width, width, BLOCK=16)
    return {"numbers read": seen.bytes("read", "x") // 4}


# 4. weights_kernel


def ranges(rng, rows, columns):
    """first < last for each row, int32."""
    ends = rng.random((rows, columns + 1)).argsort(1)[:, :2].astype("int32")
    return {"first": ends.min(1), "last": ends.max(1)}


def seen_ranges(rng):
    return {"scores": normal(rng, 6, 11), **ranges(rng, 6, 11), "scale": 0.4, "cap": 0.0,
            "blocks": [16]}  # fmt: skip


def seen_by_nobody(rng):
    inputs = {**seen_ranges(rng), "blocks": [16, 32]}
    inputs["last"][[0, 3]] = inputs["first"][[0, 3]] = [0, 11]
    return inputs


def capped(rng):
    last = rng.integers(4, 12, size=5).astype("int32")
    scores = 9 * normal(rng, 5, 11)
    scores[0] *= 50  # exp of twice such a score is infinite, its tanh is 1
    return {"scores": scores, "first": 0 * last, "last": last, "scale": 0.5,
            "cap": float(rng.uniform(0.5, 0.9)), "blocks": [16]}  # fmt: skip


def spoiled(rng):
    inputs = {**seen_ranges(rng), "cap": 3.0, "scale": -1.5}
    for row, first, last in zip(inputs["scores"], inputs["first"], inputs["last"], strict=True):
        row[:first], row[last:] = float("nan"), float("inf")
    return inputs


def huge_scores(rng):
    inputs = seen_by_nobody(rng)
    inputs["scores"] = 2000 * inputs["scores"] - 3000
    return inputs


def weighed(namespace, inputs):
    import torch

    written, (R, S) = {}, inputs["scores"].shape
    first, last = torch.from_numpy(inputs["first"]), torch.from_numpy(inputs["last"])
    for BLOCK in inputs["blocks"]:
        wide = torch.full((R, S + 5), 99.0)
        wide[:, :S] = torch.from_numpy(inputs["scores"])
        memory = torch.full((R, S + 2), -7.0)
        namespace["weights_kernel"][(R,)](
            wide, first, last, memory, S, S + 5, S + 2, inputs["scale"],
            CAP=inputs["cap"], BLOCK=BLOCK,
        )  # fmt: skip
        written[f"a block of {BLOCK}"] = memory
    return written


def weighed_at_the_fence(namespace, inputs):
    import ctypes
    import mmap

    import numpy
    import torch

    page, (R, S) = mmap.PAGESIZE, inputs["scores"].shape
    room = numpy.frombuffer(mmap.mmap(-1, 2 * page), dtype="float32")
    place = ctypes.c_void_p(room.ctypes.data + page)  # what lies behind may not be touched
    assert ctypes.CDLL(None).mprotect(place, page, 0) == 0
    part = room[page // 4 - R * S : page // 4]
    part[:] = inputs["scores"].reshape(-1)
    first, last = torch.from_numpy(inputs["first"]), torch.from_numpy(inputs["last"])
    memory = torch.full((R, S), -7.0)
    namespace["weights_kernel"][(R,)](
        torch.from_numpy(part), first, last, memory, S, S, S, inputs["scale"],
        CAP=inputs["cap"], BLOCK=16,
    )  # fmt: skip
    return memory


def weights_reads(namespace, inputs):
    import torch

    from minimodels.kernels.trace import trace

    scores, (R, S) = torch.from_numpy(inputs["scores"].copy()), inputs["scores"].shape
    first, last = torch.from_numpy(inputs["first"]), torch.from_numpy(inputs["last"])
    with trace(scores=scores) as seen:
        namespace["weights_kernel"][(R,)](
            scores, first, last, torch.empty(R, S), S, S, S, inputs["scale"],
            CAP=inputs["cap"], BLOCK=16,
        )  # fmt: skip
    return {"scores read": seen.bytes("read", "scores") // 4}


# 5. attention_weights: scores (B, H, T, S) whose axes are swapped in memory


def lying_in_a_row(rng):
    first = rng.integers(0, 3, size=(3, 2, 4)).astype("int32")
    return {"scores": normal(rng, 3, 2, 4, 9), "order": [0, 1, 2, 3], "first": first,
            "last": first + rng.integers(0, 7, size=(3, 2, 4)).astype("int32")}  # fmt: skip


def shared_ranges(rng):
    first = rng.integers(0, 3, size=(2, 1, 3)).astype("int32")
    return {"scores": normal(rng, 2, 3, 3, 7), "order": [0, 1, 2, 3], "first": first,
            "last": rng.integers(3, 8, size=3).astype("int32")}  # fmt: skip


def lying_elsewhere(rng):
    inputs = shared_ranges(rng)
    return {**inputs, "scores": normal(rng, 3, 7, 2, 3), "order": [2, 0, 3, 1]}


def launched(namespace, inputs):
    import sys

    import torch

    place, programs = sys.modules["__main__"].__dict__, []
    kernel = place["weights_kernel"]

    class Counting:
        def __getitem__(self, grid):
            count = 1
            for size in grid if isinstance(grid, tuple) else (grid,):
                count *= size
            programs.append(count)
            return kernel[grid]

    place["weights_kernel"] = Counting()
    scores = torch.from_numpy(inputs["scores"]).permute(inputs["order"])
    first, last = torch.from_numpy(inputs["first"]), torch.from_numpy(inputs["last"])
    weights = namespace["attention_weights"](scores, first, last, 0.7, 4.0)
    return {"weights": weights, "scores afterwards": scores, "programs of each launch": programs}


# 6. long_softmax_kernel


def one_step(rng):
    return {"x": normal(rng, 3, 16), "columns": [16, 5, 1], "blocks": [16, 32]}


def many_steps(rng):
    columns = int(rng.integers(17, 23))
    return {"x": 3 * normal(rng, 3, 24), "columns": [24, columns], "blocks": [8, 4]}


def steep_rows(rng):
    x = 60 * normal(rng, 4, 19)
    x[0].sort()
    x[1] = -abs(x[1]) - 500
    x[2, ::-1].sort()
    return {"x": x, "columns": [19], "blocks": [4, 16]}


def empty_steps(rng):
    x = normal(rng, 4, 18) - 120
    x[0, :9] = x[1, 4:12] = x[2, 8:] = x[3, :17] = -float("inf")
    return {"x": x, "columns": [18], "blocks": [4, 8]}


def empty_rows(rng):
    x = normal(rng, 3, 11)
    x[1] = -float("inf")
    return {"x": x, "columns": [11], "blocks": [4, 16]}


def shared_in_steps(namespace, inputs):
    import torch

    written = {}
    for columns in inputs["columns"]:
        for BLOCK in inputs["blocks"]:
            R, width = inputs["x"].shape
            x, memory = torch.from_numpy(inputs["x"].copy()), torch.full((R, width + 3), -7.0)
            namespace["long_softmax_kernel"][(R,)](
                x, memory, columns, width, width + 3, BLOCK=BLOCK
            )
            written[f"{columns} columns in steps of {BLOCK}"] = memory
    return written


def long_reads(namespace, inputs):
    import torch

    from minimodels.kernels.trace import trace

    x = torch.from_numpy(inputs["x"].copy())
    out, (R, width) = torch.empty_like(x), x.shape
    with trace(x=x) as seen:
        namespace["long_softmax_kernel"][(R,)](x, out, 17, width, width, BLOCK=4)
    return {"numbers read": seen.bytes("read", "x") // 4}


# 7. bytes_moved


def sizes(rng):
    rows, columns = int(rng.integers(3, 99)), int(rng.integers(100, 5000))
    return {"cases": [[rows, columns, rows * columns // 3], [1, 1, 0], [7, 7, 28]]}


def steps_bill(namespace, inputs):
    return [namespace["bytes_moved"](*case)["steps"] for case in inputs["cases"]]


def fused_bill(namespace, inputs):
    return [namespace["bytes_moved"](*case)["fused"] for case in inputs["cases"]]


def long_bill(namespace, inputs):
    return [namespace["bytes_moved"](*case)["long"] for case in inputs["cases"]]


ONCE = "Right, but it reads more than it must. Which load is one too many?"
CHECKS = [
    Check("add", added, whole_blocks, 1, why="each program computes a block of its own",
          message="Which numbers are program 0's, which program 1's?"),
    Check("add", added, hanging_blocks, 1, why="nothing behind the end is written",
          message="Which lanes of the last program may write?"),
    Check("add", added_at_the_fence, hanging_blocks, 1, why="nothing behind the end is read",
          message="Which lanes of the last program may read?"),
    Check("affine", scaled_rows, packed_rows, 1, why="a scale for each row, a bias for each column",
          message="Which of the two is one number for a program, and which a block?"),
    Check("affine", scaled_rows, cut_rows, 1, why="rows are a stride apart and nothing else is "
          "written", message="Where does row 1 begin in x, where in out, and where does it end?"),
    Check("affine", rows_at_the_fence, cut_rows, 1, why="nothing behind a row is read",
          message="Which lanes of x, and of bias, may be read?"),
    Check("softmax", shared_out, plain_rows, 1, why="the shares of a row, in blocks of any size",
          message="What do the lanes beyond the row add to the sum, and where are they stored?"),
    Check("softmax", shared_out, high_rows, 1, why="numbers far above 0",
          message="exp(89) is inf. What is subtracted, and when?"),
    Check("softmax", shared_out, low_rows, 1, why="numbers far below 0",
          message="Which lane wins the maximum?"),
    Check("softmax", shared_out, holed_rows, 1, why="some numbers of a row are -inf",
          message="Which of your differences is -inf - (-inf)?"),
    Check("softmax", softmax_reads, plain_rows, 0, why="each number is read once", message=ONCE),
    Check("weights", weighed, seen_ranges, 1, why="scaled, and from first to last - 1",
          message="Is first seen, is last? And when is the scale applied?"),
    Check("weights", weighed, seen_by_nobody, 1, why="rows that see nothing are all 0",
          message="What is -inf - (-inf), and what is 0 / 0?"),
    Check("weights", weighed, capped, 1, why="the cap bounds the scores that are seen",
          message="tanh(a) = 2 sigmoid(2a) - 1. And what does the cap make of a hidden score?"),
    Check("weights", weighed_at_the_fence, spoiled, 1,
          why="what is outside of the range does not matter",
          message="0 times nan is nan. Under which mask do you load, and when do you hide?"),
    Check("weights", weighed, huge_scores, 1, why="scores of any size",
          message="The maximum of which numbers is subtracted, and after which steps?"),
    Check("weights", weights_reads, seen_ranges, 0, why="only what is seen is read", message=ONCE),
    Check("launch", launched, lying_in_a_row, 1, why="one launch, a program for each row",
          message="How many rows are there, and does each read its own range?"),
    Check("launch", launched, shared_ranges, 1, why="ranges are shared by heads or texts",
          message="The kernel reads first at the number of its row. What lies there?"),
    Check("launch", launched, lying_elsewhere, 1, why="scores may be a transposed view",
          message="What does the kernel take for granted about where numbers lie?"),
    Check("long", shared_in_steps, one_step, 1, why="a row in one step",
          message="This is task 3, once around the loop."),
    Check("long", shared_in_steps, many_steps, 1, why="a row in many steps",
          message="What does a step know of those before it?"),
    Check("long", shared_in_steps, steep_rows, 1, why="the maximum moves by hundreds",
          message="Where does the maximum start, and what happens to the sum when it moves?"),
    Check("long", shared_in_steps, empty_steps, 1, why="a step with nothing but -inf",
          message="Which of your differences is -inf - (-inf)?"),
    Check("long", shared_in_steps, empty_rows, 1, why="a row with nothing but -inf is all 0",
          message="By what is it divided, and what is subtracted in the second loop?"),
    Check("long", long_reads, many_steps, 0, why="each number is read twice", message=ONCE),
    Check("bytes", steps_bill, sizes, 1, why="seven steps of torch",
          message="Each reads and writes. How many read a mask as well?"),
    Check("bytes", fused_bill, sizes, 1, why="the fused kernel",
          message="What is read of a row that sees half, and what is written of it?"),
    Check("bytes", long_bill, sizes, 1, why="the kernel in steps",
          message="How many loops read, and how many write?"),
]  # fmt: skip

STORED = "tl.store(out_ptr + i, scale * x + y, mask=inside)"
SHIFTED = 'e = tl.exp(z - tl.where(top > -float("inf"), top, 0.0))'
CAP = "    if CAP > 0:\n        z = CAP * (2.0 * tl.sigmoid(2.0 * z / CAP) - 1.0)\n"
SIGMOID = "2.0 * tl.sigmoid(2.0 * z / CAP) - 1.0"
HIDE = '    z = tl.where(sees, z, -float("inf"))\n'
MENDED = "total = total * tl.exp(top - shift) + tl.sum(tl.exp(x - shift))"
MUTANTS = [
    # every program the same block; a store and a load without a mask; one number too many
    Mutant("add", {"tl.program_id(0) * BLOCK + ": ""}, 0, "Which numbers are program 0's"),
    Mutant("add", {STORED: STORED.replace(", mask=inside", "")}, 2, "may write"),
    Mutant("add", {"tl.load(y_ptr + i, mask=inside)": "tl.load(y_ptr + i)"}, 2, "may read"),
    # the width for the stride; the stride of x for out
    Mutant("affine", {"row * x_stride + column, mask=inside)\n    scale":
                      "row * columns + column, mask=inside)\n    scale"}, 2, "Where does row 1"),
    Mutant("affine", {"row * out_stride + column, scale * x": "row * x_stride + column, scale * x"},
           1, "Where does row 1"),
    # lanes beyond the row are 0; no maximum; read once more for the sum
    Mutant("softmax", {'mask=inside, other=-float("inf"))\n    e = ':
                       "mask=inside, other=0.0)\n    e = "}, 1, "beyond the row add"),
    Mutant("softmax", {"tl.exp(x - tl.max(x))": "tl.exp(x)"}, 2, "exp(89) is inf"),
    # 0 beyond the row, taken out of the sum but not of the maximum
    Mutant("softmax", {'mask=inside, other=-float("inf"))\n    e = tl.exp(x - tl.max(x))':
                       "mask=inside, other=0.0)\n"
                       "    e = tl.where(inside, tl.exp(x - tl.max(x)), 0.0)"},
           3, "wins the maximum"),
    Mutant("softmax", {"    e = tl.exp(x - tl.max(x))":
                       "    top = tl.max(x)\n"
                       "    x = tl.load(x_ptr + row * x_stride + column, mask=inside,"
                       ' other=-float("inf"))\n    e = tl.exp(x - top)'}, 4, "more than it must"),
    # last is seen; no care for rows of nothing; hidden before the cap; a mask that multiplies
    Mutant("weights", {"(column < tl.load(last_ptr + row))": "(column <= tl.load(last_ptr + row))"},
           0, "is last?"),
    Mutant("weights", {SHIFTED: "e = tl.exp(z - top)"}, 3, "what is 0 / 0"),
    Mutant("weights", {CAP + HIDE: HIDE + CAP}, 3, "of a hidden score"),
    # tanh by two exponentials that overflow
    Mutant("weights", {SIGMOID: "(tl.exp(2.0 * z / CAP) - 1.0) / (tl.exp(2.0 * z / CAP) + 1.0)"}, 4,
           "tanh(a) = 2 sigmoid(2a) - 1"),
    # views taken as they lie; ranges not spread out
    Mutant("launch", {"scores = scores.contiguous()\n": "scores = scores.reshape(B, H, T, S)\n"}, 2,
           "take for granted"),
    Mutant("launch", {"first.expand(B, H, T).contiguous()": "first.contiguous()"}, 1,
           "What lies there"),
    # the sum not mended; a maximum that starts at 0; no care for steps of nothing
    Mutant("long", {MENDED: MENDED.replace(" * tl.exp(top - shift)", "")}, 1,
           "of those before it"),
    Mutant("long", {'top, total = -float("inf"), 0.0': "top, total = 0.0, 0.0",
                    "total = tl.maximum(total, 1.0)": "total = tl.where(total > 0, total, 1.0)"}, 3,
           "Where does the maximum start"),
    Mutant("long", {'shift = tl.where(higher > -float("inf"), higher, 0.0)': "shift = higher"}, 3,
           "-inf - (-inf)"),
    # everything is read
    Mutant("bytes", {"4 * seen + ": "4 * size + "}, 2, "sees half"),
]  # fmt: skip

FINITE = "any finite number serves where nothing was seen: every exponential is 0"
ALL_SHIFTED = "all scores of a row are moved by the same, which softmax does not see"
NOT_STORED = "the lanes behind the row are not stored"
TANH = "weights_rows: z = CAP * (2.0 * tl.sigmoid(2.0 * z / CAP) "
HIGHER = 'long_rows: shift = tl.where(higher > -float("inf"), higher, '
TOP = 'top > -float("inf"), top, '
SURVIVORS = {
    TANH + "+ 1.0)": ALL_SHIFTED,
    TANH + "- 2.0)": ALL_SHIFTED,
    TANH + "- 0.0)": ALL_SHIFTED,
    f"weights_rows: e = tl.exp(z - tl.where({TOP}1.0))": FINITE,
    f"weights_rows: e = tl.exp(z - tl.where({TOP}-1.0))": FINITE,
    HIGHER + "1.0)": FINITE,
    HIGHER + "-1.0)": FINITE,
    f"long_rows: shift = tl.where({TOP}1.0)": FINITE,
    f"long_rows: shift = tl.where({TOP}-1.0)": FINITE,
    f"long_rows: without shift = tl.where({TOP}0.0)":
        "in the interpreter the name outlives the loop; a compiler wants it anew",
    'long_rows: top, total = -float("inf"), 1.0': "the first step multiplies it by exp(-inf)",
    'long_rows: top, total = -float("inf"), -1.0': "the first step multiplies it by exp(-inf)",
    "long_rows: x = tl.load(x_ptr + row * x_stride + column, mask=inside)": NOT_STORED,
    "long_rows: x = tl.load(x_ptr + row * x_stride + column, mask=inside, other=float('inf'))":
        NOT_STORED,
}  # fmt: skip

ALTERNATIVES = [
    Alternative("other names, powers of two for exponentials, pointers that move", {
        "i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n    inside = i < count":
            "i = tl.arange(0, BLOCK)\n    x_ptr += tl.program_id(0) * BLOCK\n"
            "    y_ptr += tl.program_id(0) * BLOCK\n    out_ptr += tl.program_id(0) * BLOCK\n"
            "    inside = i < count - tl.program_id(0) * BLOCK",
        "e = tl.exp(x - tl.max(x))":
            "e = tl.exp2(1.4426950408889634 * (x - tl.max(x)))",
        SHIFTED: "e = tl.where(sees, tl.exp(z - top), 0.0)",
        "2.0 * tl.sigmoid(2.0 * z / CAP) - 1.0": "1.0 - 2.0 / (1.0 + tl.exp(2.0 * z / CAP))",
        "first = first.expand(B, H, T).contiguous()":
            "first = torch.broadcast_to(first, (B, H, T)).flatten()",
        "scores = scores.contiguous()\n": "scores = scores.clone("
            "memory_format=torch.contiguous_format)\n",
        '"steps": 7 * 8 * size + 2 * size': '"steps": 58 * rows * columns',
    }),
    Alternative("a maximum and a sum for each lane, joined after the loop", {
        "    row = tl.program_id(0)\n    top, total = -float(\"inf\"), 0.0\n":
            "    row = tl.program_id(0)\n"
            "    top = tl.full((BLOCK,), -float(\"inf\"), tl.float32)\n"
            "    total = tl.zeros((BLOCK,), tl.float32)\n",
        "higher = tl.maximum(top, tl.max(x))": "higher = tl.maximum(top, x)",
        MENDED: MENDED.replace("tl.sum(tl.exp(x - shift))", "tl.exp(x - shift)"),
        '    shift = tl.where(top > -float("inf"), top, 0.0)\n    total = tl.maximum':
            "    shift = tl.max(top)\n"
            '    shift = tl.where(shift > -float("inf"), shift, 0.0)\n'
            "    total = tl.sum(total * tl.exp(top - shift))\n    total = tl.maximum",
    }),
]  # fmt: skip
