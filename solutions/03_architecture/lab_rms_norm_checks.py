"""Private checks of the lab "RMSNorm forward and backward": never released.

Where a kernel is the task, the check launches it, with room of -7 behind what it may write and of
nan behind what it may read. Shapes as in the notebook; no check has as many rows as columns.
"""

from minimodels.classroom.forbidden import TORCH_RMS_NORM
from minimodels.classroom.lab import Alternative, Check, Mutant

FORBIDDEN = [
    "minimodels.architecture",
    "minimodels.kernels.rms_norm",
    "minimodels.kernels.layer_norm",
    "minimodels.kernels.lessons",
    "minimodels.training",
    "minimodels.parallelism",
    "minimodels.finetuning",
    "minimodels.inference",
    "minimodels.evaluation",
    "minimodels.experiments",
    "minimodels.bench",
    "transformers",
    "peft",
    "liger_kernel",
    "flash_attn",
    "triton.ops",
    *TORCH_RMS_NORM,
]
SECONDS = 10


def normal(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def rows_of(rng, R, D, blocks, offset, eps=0.3, size=1.0, dtypes=("float32", "float32")):
    """Rows x, a dy and a residual, a weight, and an r that need not belong to x."""
    return {"x": size * normal(rng, R, D), "dy": normal(rng, R, D), "weight": normal(rng, D),
            "residual": size * normal(rng, R, D), "r": rng.random(R).astype("float32") + 0.5,
            "blocks": blocks, "offset": offset, "eps": eps, "dtypes": dtypes}  # fmt: skip


# 1. Forward


def full_blocks(rng):
    return {"cases": [rows_of(rng, 3, 8, [8], 1.0), rows_of(rng, 2, 16, [16], 1.0, eps=1e-6)]}


def part_blocks(rng):
    return {"cases": [rows_of(rng, 4, 5, [8, 64], 1.0), rows_of(rng, 1, 11, [16], 1.0),
                      rows_of(rng, 3, 1, [1, 4], 1.0)]}  # fmt: skip


def no_offset(rng):
    zeros = rows_of(rng, 3, 6, [8], 0.0, eps=0.04)
    zeros["x"][1] = 0
    return {"cases": [zeros, rows_of(rng, 5, 4, [4], 0.0, eps=2.0)]}


def half_precision(rng):
    cases = [rows_of(rng, 3, 6, [8], 1.0, size=size, dtypes=(dtype, dtype))
             for size in (1.0, 900.0) for dtype in ("float16", "bfloat16")]  # fmt: skip
    return {"cases": cases}


def half_weights(rng):
    cases = [rows_of(rng, 3, 6, [8], 1.0, dtypes=("float32", dtype))
             for dtype in ("float16", "bfloat16")]  # fmt: skip
    for case in cases:
        case["weight"] *= 1e-3  # 1 + weight needs more digits than half precision has
    return {"cases": cases}


def normed(namespace, inputs):
    import torch

    found = {}
    for number, case in enumerate(inputs["cases"]):
        R, D = case["x"].shape
        of_x, of_weight = (getattr(torch, name) for name in case["dtypes"])
        for block in case["blocks"]:
            x = torch.full((R * block + block,), torch.nan, dtype=of_x)
            weight = torch.full((D + block,), torch.nan, dtype=of_weight)
            x[: R * D], weight[:D] = (torch.from_numpy(case[n]).flatten() for n in ("x", "weight"))
            y = torch.full((R * block + block + 3,), -7.0, dtype=of_x)
            r = torch.full((R + block + 2,), -7.0)
            given = x, weight, y[3:], r[1:], D, case["eps"]
            namespace["rms_norm_kernel"][(R,)](*given, OFFSET=case["offset"], BLOCK=block)
            said = f"{R} rows of {D} in blocks of {block}, {case['dtypes'][0]}, case {number}"
            found[f"y, {said}"] = y[3 : 3 + R * D].view(R, D).float()
            found[f"around y, {said}"] = torch.cat((y[:3], y[3 + R * D :])).float()
            found[f"r, {said}"] = r
    return found


# 2. The formula


def many_rows(rng):
    return {"cases": [rows_of(rng, 4, 6, [], 1.0), rows_of(rng, 3, 9, [], 1.0)]}


def few_rows(rng):
    return {"cases": [rows_of(rng, 1, 5, [], 0.0), rows_of(rng, 2, 1, [], 0.0)]}


def derived(namespace, inputs):
    import torch

    found = {}
    for case in inputs["cases"]:
        dy, x, weight, r = (torch.from_numpy(case[name]) for name in ("dy", "x", "weight", "r"))
        with torch.inference_mode():  # autograd rests
            dx = namespace["rms_norm_dx"](dy, x, weight, r, case["offset"])
        found[f"dx, {len(x)} rows of {x.shape[1]}, offset {case['offset']:.0f}"] = dx
    return found


# 3. dx as a kernel


def half_dx(rng):
    cases = [rows_of(rng, 3, 6, [8], 1.0, size=30.0, dtypes=(dtype, dtype))
             for dtype in ("float16", "bfloat16")]  # fmt: skip
    for case in cases:
        case["dy"] *= 900  # dy · x is beyond float16
        case["r"] /= 30
    return {"cases": cases}


def part_dx(rng):
    return {"cases": [rows_of(rng, 4, 5, [8, 64], 1.0), rows_of(rng, 1, 11, [16], 0.0),
                      rows_of(rng, 3, 1, [1, 4], 1.0)]}  # fmt: skip


def full_dx(rng):
    return {"cases": [rows_of(rng, 3, 8, [8], 1.0), rows_of(rng, 5, 4, [4], 0.0)]}


def pulled(namespace, inputs):
    import torch

    found = {}
    for number, case in enumerate(inputs["cases"]):
        R, D = case["x"].shape
        of_x, of_weight = (getattr(torch, name) for name in case["dtypes"])
        for block in case["blocks"]:
            dy, x = torch.full((2, R * block + block), torch.nan, dtype=of_x)
            weight = torch.full((D + block,), torch.nan, dtype=of_weight)
            for room, name in ((dy, "dy"), (x, "x"), (weight, "weight")):
                room[: case[name].size] = torch.from_numpy(case[name]).flatten()
            dx = torch.full((R * block + block + 3,), -7.0, dtype=of_x)
            given = dy, x, weight, torch.from_numpy(case["r"]), dx[3:], D
            namespace["rms_norm_dx_kernel"][(R,)](*given, OFFSET=case["offset"], BLOCK=block)
            said = f"{R} rows of {D} in blocks of {block}, {case['dtypes'][0]}, case {number}"
            found[f"dx, {said}"] = dx[3 : 3 + R * D].view(R, D).float()
            found[f"around dx, {said}"] = torch.cat((dx[:3], dx[3 + R * D :])).float()
    return found


# 4. dx and the parts of dw


def shared(rng):
    return {"cases": [rows_of(rng, 6, 8, [8], 1.0), rows_of(rng, 6, 4, [4], 0.0)],
            "programs": [1, 3]}  # fmt: skip


def uneven(rng):
    return {"cases": [rows_of(rng, 7, 5, [8, 32], 1.0)], "programs": [3, 5]}


def idle(rng):
    return {"cases": [rows_of(rng, 2, 6, [8], 1.0), rows_of(rng, 1, 3, [4], 0.0)],
            "programs": [2, 4]}  # fmt: skip


def half_parts(rng):
    return half_dx(rng) | {"programs": [2]}


def half_weight_parts(rng):
    return half_weights(rng) | {"programs": [2]}


def back(namespace, inputs):
    import torch

    found = {}
    for number, case in enumerate(inputs["cases"]):
        R, D = case["x"].shape
        of_x, of_weight = (getattr(torch, name) for name in case["dtypes"])
        for block, P in [(b, p) for b in case["blocks"] for p in inputs["programs"]]:
            dy, x = torch.full((2, R * block + block), torch.nan, dtype=of_x)
            weight = torch.full((D + block,), torch.nan, dtype=of_weight)
            for room, name in ((dy, "dy"), (x, "x"), (weight, "weight")):
                room[: case[name].size] = torch.from_numpy(case[name]).flatten()
            dx = torch.full((R * block + block + 3,), -7.0, dtype=of_x)
            parts = torch.full((P * block + block + 3,), -7.0)
            given = dy, x, weight, torch.from_numpy(case["r"]), dx[3:], parts[3:], R, D
            namespace["rms_norm_backward_kernel"][(P,)](*given, OFFSET=case["offset"], BLOCK=block)
            said = f"{R} rows of {D}, {P} programs, a block of {block}, case {number}"
            found[f"dx, {said}"] = dx[3 : 3 + R * D].view(R, D).float()
            found[f"parts, {said}"] = parts[3 : 3 + P * D].view(P, D)
            around = dx[:3], dx[3 + R * D :], parts[:3], parts[3 + P * D :]
            found[f"around both, {said}"] = torch.cat(around).float()
    return found


# 5. Autograd


def texts(rng):
    shapes = {(2, 3, 5): 1.0, (4, 7): 0.0, (3,): 1.0, (1, 1, 2, 9): 0.0}
    return {"cases": [text(rng, offset, *shape) for shape, offset in shapes.items()]}


def long_texts(rng):
    return {"cases": [text(rng, 1.0, 13, 6), text(rng, 0.0, 2, 5, 11)]}


def text(rng, offset, *shape):
    return {"x": normal(rng, *shape), "dy": normal(rng, *shape), "offset": offset,
            "weight": normal(rng, shape[-1])}  # fmt: skip


def views(rng):
    return {"x": normal(rng, 6, 4), "dy": normal(rng, 6, 4), "weight": normal(rng, 6),
            "short": normal(rng, 4)}  # fmt: skip


def dtypes(rng):
    return {"x": normal(rng, 6, 5), "weight": normal(rng, 5), "pairs": [
        ["float16", "float16"], ["bfloat16", "float32"], ["float32", "float16"]]}  # fmt: skip


def both_ways(namespace, inputs):
    import torch

    found = {}
    for case in inputs["cases"]:
        x, weight = (torch.from_numpy(case[name]).requires_grad_() for name in ("x", "weight"))
        y = namespace["rms_norm"](x, weight, 0.3, case["offset"])
        (y * torch.from_numpy(case["dy"])).sum().backward()
        said = f"x {tuple(x.shape)}"
        found |= {f"y, {said}": y, f"dx, {said}": x.grad, f"dw, {said}": weight.grad}
    return found


def not_in_a_row(namespace, inputs):
    import torch

    found = {}
    x, weight, short = (torch.from_numpy(inputs[name]).requires_grad_()
                        for name in ("x", "weight", "short"))  # fmt: skip
    dy = torch.from_numpy(inputs["dy"])
    norm = namespace["rms_norm"]
    ways = {
        "a sum": lambda: norm(x, short, 0.3).sum(),
        "x.T": lambda: (norm(x.T, weight, 0.3) * dy.T).sum(),
        "y.T": lambda: (norm(x, short, 0.3).T * dy.T.contiguous()).sum(),
        "every second row": lambda: (norm(x[::2], short, 0.3) * dy[::2]).sum(),
    }
    for way, loss in ways.items():
        x.grad = weight.grad = short.grad = None
        loss().backward()
        grads = {"dx": x.grad, "dw": short.grad if weight.grad is None else weight.grad}
        found |= {f"{name}, {way}": grad for name, grad in grads.items()}
    return found


def rounded(namespace, inputs):
    import torch

    found = {}
    for pair in inputs["pairs"]:
        x, weight = (torch.from_numpy(inputs[name]).to(getattr(torch, dtype)).requires_grad_()
                     for name, dtype in zip(("x", "weight"), pair, strict=True))  # fmt: skip
        y = namespace["rms_norm"](x, weight, 0.3)
        y.sum().backward()
        for name, value in (("y", y), ("dx", x.grad), ("dw", weight.grad)):
            found[f"{name} for x {pair[0]}, weight {pair[1]}"] = value.float()
            found[f"dtype of {name} for x {pair[0]}, weight {pair[1]}"] = str(value.dtype)
    return found


def wide_between(namespace, inputs):
    import torch

    found = {}
    for dtype in (torch.float16, torch.bfloat16):
        x = torch.from_numpy(inputs["x"]).to(dtype).requires_grad_()
        weight = torch.from_numpy(inputs["weight"]).requires_grad_()
        namespace["rms_norm"](x, weight, 0.3).sum().backward()
        found[f"float32 dw for x {dtype}"] = weight.grad
    return found


# 6. The residual


def sums(rng):
    return {"cases": [rows_of(rng, 3, 8, [8], 1.0), rows_of(rng, 4, 5, [8, 32], 0.0),
                      rows_of(rng, 2, 1, [2], 1.0)]}  # fmt: skip


def rounded_sums(rng):
    half = {"dtypes": ("float16", "float16")}
    return {"cases": [rows_of(rng, 5, 3, [4], 1.0, **half),
                      rows_of(rng, 4, 1, [1], 1.0, 1e-6, 40.0, **half)]}  # fmt: skip


def added(namespace, inputs):
    import torch

    found = {}
    for number, case in enumerate(inputs["cases"]):
        R, D = case["x"].shape
        dtype = getattr(torch, case["dtypes"][0])
        for block in case["blocks"]:
            x, residual = torch.full((2, R * block + block), torch.nan, dtype=dtype)
            weight = torch.full((D + block,), torch.nan, dtype=dtype)
            for room, name in ((x, "x"), (residual, "residual"), (weight, "weight")):
                room[: case[name].size] = torch.from_numpy(case[name]).flatten()
            y, total = torch.full((2, R * block + block + 3), -7.0, dtype=dtype)
            r = torch.full((R + block + 2,), -7.0)
            given = x, residual, weight, y[3:], total[3:], r[1:], D, case["eps"]
            namespace["add_rms_norm_kernel"][(R,)](*given, OFFSET=case["offset"], BLOCK=block)
            said = f"{R} rows of {D} in blocks of {block}, {case['dtypes'][0]}, case {number}"
            for name, room in (("total", total), ("y", y)):
                found[f"{name}, {said}"] = room[3 : 3 + R * D].view(R, D).float()
                found[f"around {name}, {said}"] = torch.cat((room[:3], room[3 + R * D :])).float()
            found[f"r, {said}"] = r
    return found


def kept_r(namespace, inputs):
    import torch

    found = {}
    for case in inputs["cases"]:
        R, D = case["x"].shape
        x, residual = (torch.from_numpy(case[name]).half() for name in ("x", "residual"))
        y, total, r = torch.empty_like(x), torch.empty_like(x), torch.empty(R)
        given = x, residual, torch.zeros(D).half(), y, total, r, D, case["eps"]
        namespace["add_rms_norm_kernel"][(R,)](*given, OFFSET=1.0, BLOCK=case["blocks"][0])
        found |= {f"r, {R} rows of {D} in float16": r, f"total, {R} rows of {D}": total.float()}
    return found


def streams(rng):
    def case(*shape, offset):
        names = ("x", "residual", "dy", "dtotal")
        return {name: normal(rng, *shape) for name in names} | {
            "weight": normal(rng, shape[-1]), "offset": offset}  # fmt: skip

    return {"cases": [case(2, 2, 3, offset=1.0), case(5, 4, offset=0.0)]}


def through_both(namespace, inputs):
    import torch

    found = {}
    for case in inputs["cases"]:
        names = ("x", "residual", "weight")
        leaves = [torch.from_numpy(case[name]).requires_grad_() for name in names]
        y, total = namespace["add_rms_norm"](*leaves, 0.3, case["offset"])
        dy, dtotal = torch.from_numpy(case["dy"]), torch.from_numpy(case["dtotal"])
        ((y * dy).sum() + (total * dtotal).sum()).backward()
        said = f"x {tuple(case['x'].shape)}"
        found |= {f"y, {said}": y, f"total, {said}": total}
        for name, leaf in zip(names, leaves, strict=True):
            found[f"gradient of {name}, {said}"] = leaf.grad
    return found


def through_one(namespace, inputs):
    import torch

    found = {}
    for case in inputs["cases"]:
        for used in (0, 1):
            names = ("x", "residual", "weight")
            leaves = [torch.from_numpy(case[name]).requires_grad_() for name in names]
            turned = [leaf.transpose(0, -1) if leaf.dim() > 1 else leaf for leaf in leaves]
            weight = leaves[2][:1].expand(len(case["x"]))
            namespace["add_rms_norm"](*turned[:2], weight.contiguous(), 0.3)[used].sum().backward()
            for name, leaf in zip(names, leaves, strict=True):
                what = f"{name}, {('y', 'the sum')[used]} alone, x {tuple(case['x'].shape)}"
                grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
                found[f"gradient of {what}"] = grad
        x, residual = (torch.from_numpy(case[name]).half() for name in ("x", "residual"))
        weight = torch.from_numpy(case["weight"]).requires_grad_()
        namespace["add_rms_norm"](x, residual, weight, 0.3)[0].sum().backward()
        found[f"float32 dw for float16 x {tuple(x.shape)}"] = weight.grad
    return found


CHECKS = [
    Check("forward", normed, full_blocks, 1, atol=1e-5, why="y and r of rows that fill the block",
          message="Compute one row of four numbers by hand. Where does eps stand?"),
    Check("forward", normed, part_blocks, 1, atol=1e-5, why="rows shorter than the block",
          message="Lanes from D on belong to nobody: what do they load, and who stores there?"),
    Check("forward", normed, no_offset, 1, atol=1e-5, why="OFFSET 0, a row of zeros, a large eps",
          message="With OFFSET 0 a weight is used as it is, and a row of zeros stays one."),
    Check("forward", normed, half_precision, 0.5, rtol=1e-2, atol=1e-2,
          why="float32 inside, whatever comes in",
          message="Squares beyond 65,504 are inf in float16. Which load is not widened?"),
    Check("forward", normed, half_weights, 0.5, atol=1e-5, why="a weight in half precision",
          message="OFFSET + weight needs float32 too. Is the weight widened?"),
    Check("formula", derived, many_rows, 2, atol=1e-5, why="both ways of x into the loss",
          message="Write the derivative of r by one number of the row. Is the mean over one row?"),
    Check("formula", derived, few_rows, 1, atol=1e-5, why="one row, one column, offset 0",
          message="r is one number a row: which axis do you give it?"),
    Check("dx", pulled, full_dx, 1, atol=1e-5, why="the formula of task 2",
          message="Compare with rms_norm_dx of task 2, term by term. r is read, not computed."),
    Check("dx", pulled, part_dx, 1, atol=1e-5, why="rows shorter than the block",
          message="What is the mean over, and what do lanes from D on load and store?"),
    Check("dx", pulled, half_dx, 0.5, rtol=1e-2, atol=1e-1, why="float32 inside",
          message="A product of dy and x can be beyond 65,504. Which load is not widened?"),
    Check("dx", pulled, half_weights, 0.5, atol=1e-5, why="a weight in half precision",
          message="OFFSET + weight needs float32 too. Is the weight widened?"),
    Check("backward", back, shared, 1, atol=1e-5, why="dx and the parts, rows shared evenly",
          message="Program 1 of 3 takes rows 1 and 4 of six. What does its part add up?"),
    Check("backward", back, uneven, 1, atol=1e-5, why="P does not divide the rows",
          message="Which is the last row of each program, of seven rows and three programs?"),
    Check("backward", back, idle, 1, atol=1e-5, why="programs without rows leave zeros",
          message="What does a program store whose first row is beyond the last?"),
    Check("backward", back, half_parts, 0.5, rtol=1e-2, atol=1e-1, why="float32 inside",
          message="A product of dy and x can be beyond 65,504. Which load is not widened?"),
    Check("backward", back, half_weight_parts, 0.5, atol=1e-5, why="a weight in half precision",
          message="OFFSET + weight needs float32 too. Is the weight widened?"),
    Check("autograd", both_ways, texts, 1, atol=1e-5, why="y, dx and dw for x with any axes",
          message="How many rows has x? What is saved, and in which order do gradients return?"),
    Check("autograd", both_ways, long_texts, 1, atol=1e-5, why="more rows than programs",
          message="Does anything assume a number of rows?"),
    Check("autograd", not_in_a_row, views, 1, atol=1e-5, why="x and dy may be views",
          message="A kernel sees an address and no strides. Which tensors reach it as they came?"),
    Check("autograd", rounded, dtypes, 0.5, rtol=1e-2, atol=1e-2,
          why="y and dx like x, dw like weight",
          message="Which of your tensors is made with which dtype?"),
    Check("autograd", wide_between, dtypes, 0.5, atol=1e-5, why="r and the parts are float32",
          message="dw is a sum of many rows: which of your tensors is made with which dtype?"),
    Check("residual", added, sums, 1, atol=1e-5, why="the sum, its norm and r",
          message="total is the sum, y its norm. Masks as in task 1."),
    Check("residual", kept_r, rounded_sums, 1, rtol=1e-5, why="the norm of the sum as it is kept",
          message="Compare r with that of total, as it stands in memory."),
    Check("residual", through_both, streams, 1, atol=1e-5, why="two gradients reach both inputs",
          message="What does total save for backward, and where is dtotal added?"),
    Check("residual", through_one, streams, 1, atol=1e-5, why="y alone or the sum alone, and views",
          message="A gradient that nobody pulls is zeros. Is every tensor a kernel gets in a row?"),
]  # fmt: skip

# Kernels repeat one another's lines, so a mutant names the whole body that it changes.
FORWARD = '''\
    """Program i: row i of y (R, D) = x · r · (OFFSET + weight), and number i of r (R,)."""
    ### BEGIN SOLUTION
    i = tl.program_id(0)
    j = tl.arange(0, BLOCK)
    valid = j < D
    x = tl.load(x_ptr + i * D + j, mask=valid, other=0.0).to(tl.float32)  # (BLOCK,)
    weight = tl.load(weight_ptr + j, mask=valid, other=0.0).to(tl.float32)
    r = tl.rsqrt(tl.sum(x * x) / D + eps)
    tl.store(y_ptr + i * D + j, x * r * (OFFSET + weight), mask=valid)
    tl.store(r_ptr + i, r)
'''
DX = '''\
    """Program i: row i of dx (R, D), from row i of dy and x, the weight and number i of r."""
    ### BEGIN SOLUTION
    i = tl.program_id(0)
    j = tl.arange(0, BLOCK)
    valid = j < D
    x = tl.load(x_ptr + i * D + j, mask=valid, other=0.0).to(tl.float32)  # (BLOCK,)
    dy = tl.load(dy_ptr + i * D + j, mask=valid, other=0.0).to(tl.float32)
    weight = tl.load(weight_ptr + j, mask=valid, other=0.0).to(tl.float32)
    r = tl.load(r_ptr + i)
    g = dy * (OFFSET + weight)
    dx = r * (g - x * r * r * tl.sum(g * x) / D)
    tl.store(dx_ptr + i * D + j, dx, mask=valid)
'''
BACKWARD = '''\
    """Program p of P: rows p, p + P, … of dx (rows, D), and row p of parts (P, D)."""
    ### BEGIN SOLUTION
    p = tl.program_id(0)
    j = tl.arange(0, BLOCK)
    valid = j < D
    weight = tl.load(weight_ptr + j, mask=valid, other=0.0).to(tl.float32)  # (BLOCK,)
    part = tl.zeros((BLOCK,), tl.float32)
    for i in range(p, rows, tl.num_programs(0)):
        x = tl.load(x_ptr + i * D + j, mask=valid, other=0.0).to(tl.float32)
        dy = tl.load(dy_ptr + i * D + j, mask=valid, other=0.0).to(tl.float32)
        r = tl.load(r_ptr + i)
        g = dy * (OFFSET + weight)
        dx = r * (g - x * r * r * tl.sum(g * x) / D)
        tl.store(dx_ptr + i * D + j, dx, mask=valid)
        part += dy * x * r
    tl.store(parts_ptr + p * D + j, part, mask=valid)
'''
BOTH_WAYS = "r * (g - x * r * r * (g * x).mean(dim=-1, keepdim=True))"
ROWS = "range(p, rows, tl.num_programs(0))"
KEPT = """\
    total = x.to(total_ptr.dtype.element_ty)
    tl.store(total_ptr + i * D + j, total, mask=valid)
    x = total.to(tl.float32)
"""


def but(body, **changes):
    """{body: body with text replaced}: `but(DX, old=…, new=…)`."""
    old, new = changes["old"], changes["new"]
    if body.count(old) != 1:
        raise ValueError(f"{old!r} stands {body.count(old)} times in this body")
    return {body: body.replace(old, new)}


X = "x = tl.load(x_ptr + i * D + j, mask=valid, other=0.0).to(tl.float32)"
DY = X.replace("x", "dy", 1).replace("x_ptr", "dy_ptr")
WEIGHT = "weight = tl.load(weight_ptr + j, mask=valid, other=0.0).to(tl.float32)"
WIDE = ".to(tl.float32)"
HALF_X, HALF_DY, HALF_WEIGHT = (each.removesuffix(WIDE) for each in (X, DY, WEIGHT))
MINUS = "g - x * r * r * tl.sum(g * x) / D"

MUTANTS = [
    # no mask in a load, in a store; the mean over the block; eps outside; another r; no OFFSET
    Mutant("forward", but(FORWARD, old=X, new="x = tl.load(x_ptr + i * D + j)" + WIDE), 1,
           "Lanes from D on"),
    Mutant("forward", but(FORWARD, old="(OFFSET + weight), mask=valid)", new="(OFFSET + weight))"),
           1, "around y"),
    Mutant("forward", but(FORWARD, old="/ D + eps", new="/ BLOCK + eps"), 1, "Lanes from D on"),
    Mutant("forward", but(FORWARD, old="tl.rsqrt(tl.sum(x * x) / D + eps)",
                          new="1 / (tl.sqrt(tl.sum(x * x) / D) + eps)"), 0, "eps stand?"),
    Mutant("forward", but(FORWARD, old="tl.store(r_ptr + i, r)",
                          new="tl.store(r_ptr + i, 1 / r)"), 0, "r, 3 rows"),
    Mutant("forward", but(FORWARD, old="(OFFSET + weight), mask", new="(1 + weight), mask"), 3,
           "used as it is"),
    Mutant("forward", but(FORWARD, old="y_ptr + i * D", new="y_ptr + i * BLOCK"), 1,
           "Lanes from D on"),
    Mutant("forward", but(FORWARD, old=X, new=HALF_X), 3.5, "Which load is not widened?"),
    Mutant("forward", but(FORWARD, old=WEIGHT, new=HALF_WEIGHT), 3, "is not widened?"),
    # its own way alone; r to another power; the mean over all; the sign; without the weight
    Mutant("formula", {BOTH_WAYS: "r * g"}, 0, "derivative of r"),
    Mutant("formula", {BOTH_WAYS: BOTH_WAYS.replace("x * r * r", "x * r")}, 0, "derivative of r"),
    Mutant("formula", {BOTH_WAYS: BOTH_WAYS.replace("dim=-1, keepdim=True", "")}, 0,
           "over one row?"),
    Mutant("formula", {BOTH_WAYS: BOTH_WAYS.replace("(g - x", "(g + x")}, 0, "derivative of r"),
    Mutant("formula", {"g, r = dy * (offset + weight), r[:, None]": "g, r = dy, r[:, None]"}, 0,
           "derivative of r"),
    Mutant("formula", {"g, r = dy * (offset + weight), r[:, None]":
                       "g, r = dy * (offset + weight), x.square().mean(1, True).rsqrt()"}, 0,
           "derivative of r"),
    # the sum for the mean; over the block; dy for g; not widened; no mask
    Mutant("dx", but(DX, old=MINUS, new=MINUS.removesuffix(" / D")), 0, "term by term"),
    Mutant("dx", but(DX, old=MINUS, new=MINUS.replace("/ D", "/ BLOCK")), 1, "the mean over"),
    Mutant("dx", but(DX, old="tl.sum(g * x", new="tl.sum(dy * x"), 0, "term by term"),
    Mutant("dx", but(DX, old="j, dx, mask=valid)", new="j, dx)"), 1, "around dx"),
    Mutant("dx", but(DX, old="r = tl.load(r_ptr + i)", new="r = tl.load(r_ptr)"), 0, "is read"),
    Mutant("dx", but(DX, old=WEIGHT, new=HALF_WEIGHT), 2, "is not widened?"),
    # one part for all; rows in a block for each program; the last part lost; g for dy; only one row
    Mutant("backward", but(BACKWARD, old="parts_ptr + p * D", new="parts_ptr"), 0,
           "part add up?"),
    Mutant("backward", but(BACKWARD, old=ROWS,
                           new="range(p * (rows // tl.num_programs(0)), "
                               "(p + 1) * (rows // tl.num_programs(0)))"), 0, "part add up?"),
    Mutant("backward", but(BACKWARD, old=ROWS,
                           new="range(p, rows // tl.num_programs(0) * tl.num_programs(0), "
                               "tl.num_programs(0))"), 1, "the last row of each program"),
    Mutant("backward", but(BACKWARD, old="part += dy * x * r", new="part += g * x * r"), 0,
           "part add up?"),
    Mutant("backward", but(BACKWARD, old="part += dy", new="part = dy"), 1, "part add up?"),
    Mutant("backward", but(BACKWARD, old="j, part, mask=valid)", new="j, part)"), 1,
           "around both"),
    Mutant("backward", but(BACKWARD, old="    tl.store(parts_ptr + p * D + j, part, mask"
                                         "=valid)", new="        tl.store(parts_ptr + p * D "
                                         "+ j, part, mask=valid)"), 3, "beyond the last?"),
    # views that reach the kernel as they came; two rows alone; float32 for all; wrong order
    Mutant("autograd", {"dy, x, D = dy.contiguous(), x.contiguous(), x.shape[-1]":
                        "x, D = x.contiguous(), x.shape[-1]"}, 2, "no strides"),
    Mutant("autograd", {"        x, D = x.contiguous(), x.shape[-1]\n":
                        "        D = x.shape[-1]\n"}, 3, "no strides"),
    Mutant("autograd", {"    rows = x.numel() // D\n    dx":
                        "    rows = len(x)\n    dx"}, 2, "How many rows has x?"),
    Mutant("autograd", {"return dx, dw, None, None": "return dw, dx, None, None"}, 0,
           "in which order"),
    Mutant("autograd", {"parts.sum(dim=0)": "parts[0]"}, 0, "How many rows has x?"),
    Mutant("autograd", {"parts = x.new_empty(PROGRAMS, D, dtype=torch.float32)":
                        "parts = x.new_empty(PROGRAMS, D)"}, 3.5, "a sum of many rows"),
    # no dtotal; none for the residual; x saved; the norm of the sum before it was rounded
    Mutant("residual", {"        dx = dx + dtotal\n": ""}, 2, "where is dtotal added?"),
    Mutant("residual", {"return dx, dx, dw, None, None": "return dx, dtotal, dw, None, None"}, 2,
           "where is dtotal added?"),
    Mutant("residual", {"ctx.save_for_backward(total": "ctx.save_for_backward(x"}, 2,
           "What does total save"),
    Mutant("residual", {KEPT: KEPT.replace("    x = total.to(tl.float32)\n", "")}, 2,
           "as it stands in memory"),
    Mutant("residual", {"x, residual, D = x.contiguous(), residual.contiguous(), x.shape[-1]":
                        "x, D = x.contiguous(), x.shape[-1]"}, 3, "in a row?"),
]  # fmt: skip

ALTERNATIVES = [
    Alternative("sqrt and a division, where in place of masks that fill, x̂ kept in mind",
        but(FORWARD, old="tl.rsqrt(tl.sum(x * x) / D + eps)",
            new="1.0 / tl.sqrt(tl.sum(tl.where(valid, x * x, 0.0)) / D + eps)")
        | but(DX, old=f"dx = r * ({MINUS})",
              new="normed = x * r\n    dx = (g - normed * (tl.sum(g * normed) / D)) * r")
        | but(BACKWARD, old=f"dx = r * ({MINUS})",
              new="dx = r * g - x * (r * r * r) * (tl.sum(g * x) / D)")
        | {BOTH_WAYS: "g * r - x * r**3 * (g * x).sum(1)[:, None] / x.shape[1]"}),
    Alternative("steps counted, pointers moved, other names",
        but(BACKWARD, old=f"    for i in {ROWS}:\n",
            new="    for step in range(0, tl.cdiv(rows - p, tl.num_programs(0))):\n"
                "        i = p + step * tl.num_programs(0)\n")
        | but(FORWARD, old="    tl.store(y_ptr + i * D + j, x * r * (OFFSET + weight), ",
              new="    y_ptr += i * D\n"
                  "    tl.store(y_ptr + j, (OFFSET + weight) * (x * r), ")),
    Alternative("a program a row at all times, rows as a matrix", {
        "    rows = x.numel() // D\n    dx = torch.empty_like(x)\n":
            "    x = x.view(-1, D)\n    rows = P = len(x)\n    dx = torch.zeros_like(x)\n",
        "x.new_empty(PROGRAMS, D, dtype": "x.new_empty(P, D, dtype",
        "rms_norm_backward_kernel[(PROGRAMS,)](dy": "rms_norm_backward_kernel[(P,)](dy",
        "return dx, parts.sum(dim=0).to(weight.dtype)":
            "return dx.view(dy.shape), parts.sum(dim=0).to(weight.dtype)"}),
    Alternative("the sum by torch, then the kernel of task 1", {
        "        y, total = torch.empty_like(x), torch.empty_like(x)\n":
            "        total = x + residual\n        y = torch.empty_like(x)\n",
        "add_rms_norm_kernel[(rows,)](x, residual, weight, y, total, r, D, eps, OFFSET=offset,\n"
        "                                     BLOCK=triton.next_power_of_2(D))":
            "rms_norm_kernel[(rows,)](total, weight, y, r, D, eps, OFFSET=offset,\n"
            "                                     BLOCK=2 * triton.next_power_of_2(D))"}),
    Alternative("dx by the kernel of task 3, dw by torch", {
        "    parts = x.new_empty(PROGRAMS, D, dtype=torch.float32)\n"
        "    rms_norm_backward_kernel[(PROGRAMS,)](dy, x, weight, r, dx, parts, rows, D, "
        "OFFSET=offset,\n"
        "                                          BLOCK=triton.next_power_of_2(D))\n"
        "    return dx, parts.sum(dim=0).to(weight.dtype)":
            "    rms_norm_dx_kernel[(rows,)](dy, x, weight, r, dx, D, OFFSET=offset,\n"
            "                                BLOCK=triton.next_power_of_2(D))\n"
            "    each = dy.float() * x.float() * r.view(*x.shape[:-1], 1)\n"
            "    return dx, each.view(rows, D).sum(0).to(weight.dtype)"}),
]  # fmt: skip

NO_OTHER = "the interpreter reads 0 in masked lanes anyway; a GPU promises nothing"
NEVER_SEEN = "these lanes are multiplied by another 0, or not stored"
SURVIVORS = {
    "add_rms_norm_function: x, residual, D = (residual.contiguous(), x.contiguous(), x.shape[-1])":
        "a sum of the two, and both get the same gradient",
    "add_rms_norm_function: add_rms_norm_kernel[rows,](residual, x, weight, y, total, r, D, eps, "
    "OFFSET=offset, BLOCK=triton.next_power_of_2(D))": "a sum of the two",
}  # fmt: skip
RESIDUAL = "x += " + X.removeprefix("x = ").replace("x_ptr", "residual_ptr")
MASKED = {
    "rms_norm_kernel": (f"{X} # (BLOCK,)", WEIGHT),
    "rms_norm_dx_kernel": (f"{X} # (BLOCK,)", DY, WEIGHT),
    "rms_norm_backward_kernel": (X, DY, f"{WEIGHT} # (BLOCK,)"),
    "add_rms_norm_function": (f"{X} # (BLOCK,)", RESIDUAL, WEIGHT),
}
for cell, loads in MASKED.items():
    for load in loads:
        SURVIVORS[f"{cell}: {load.replace(', other=0.0', '')}"] = NO_OTHER
        if load.startswith("weight") or DY in loads:
            for other in ("other=1.0", "other=-1.0"):
                SURVIVORS[f"{cell}: {load.replace('other=0.0', other)}"] = NEVER_SEEN
