"""Private checks of the lab "FlashAttention, forward": never released.

Kernels are launched here, so that plain torch around them earns nothing. What they read lies
between nan, and sevens follow what they write: whatever goes beyond the end shows in the values.
"""

from minimodels.classroom.forbidden import TORCH_ATTENTION
from minimodels.classroom.lab import Alternative, Check, Mutant

FORBIDDEN = [
    "minimodels.architecture.attention",
    "minimodels.kernels.attention_tiles",
    "minimodels.kernels.decode_attention",
    "minimodels.kernels.flash_attention",
    "minimodels.kernels.flash_attention_backward",
    "minimodels.kernels.lessons",
    "minimodels.kernels.paged_attention",
    "minimodels.inference",
    "triton.ops",
    "triton_kernels",
    "flash_attn",
    "liger_kernel",
    "xformers",
    "transformers",
    "peft",
    *TORCH_ATTENTION,
]
SECONDS = 10


def normal(rng, *shape):
    return rng.normal(size=shape).astype("float32")


# 1. Two parts: (m, total, acc) of scores (T, n), with −∞ where a query sees nothing


def summary(s, v):
    import numpy as np

    m = s.max(axis=1)
    weights = np.exp(s - np.where(np.isneginf(m), 0, m)[:, None])
    return [m, weights.sum(axis=1), weights @ v]


def two_parts(rng):
    s, v = 3 * normal(rng, 5, 7), normal(rng, 7, 4)
    return {"one": summary(s[:, :3], v[:3]), "other": summary(s[:, 3:], v[3:])}


def far_apart(rng):
    s, v = normal(rng, 4, 6), normal(rng, 6, 3)
    s[:2] += 300
    s[2:] -= 300
    s[::2, :3] += 150  # now the one, now the other part has the larger maximum
    return {"one": summary(s[:, :3], v[:3]), "other": summary(s[:, 3:], v[3:])}


def unseen(rng):
    s, v = normal(rng, 4, 6), normal(rng, 6, 3)
    s[1:3, :2] = s[2:4, 2:] = float("-inf")  # row 1 in the one, row 3 in the other, row 2 in both
    return {"one": summary(s[:, :2], v[:2]), "other": summary(s[:, 2:], v[2:])}


def merged(namespace, inputs):
    import torch

    one, other = (tuple(map(torch.from_numpy, inputs[name])) for name in ("one", "other"))
    names = ("m", "total", "acc")
    found = dict(zip(names, namespace["merge"](one, other), strict=True))
    for which, part in (("one", one), ("other", other)):
        for name, x in zip(names, part, strict=True):
            found[f"{name} of `{which}`, as it was given"] = x
    return found


# 2. A tile of scores


def whole_tiles(rng):
    return {"q": normal(rng, 8, 4), "k": normal(rng, 16, 4), "scale": 0.7,
            "blocks": [[4, 8, 4], [8, 4, 4]]}  # fmt: skip


def hanging_tiles(rng):
    return {"q": normal(rng, 7, 4), "k": normal(rng, 5, 4), "scale": 1.5,
            "blocks": [[4, 4, 4], [16, 2, 4]]}  # fmt: skip


def narrow_heads(rng):
    return {"q": normal(rng, 3, 5), "k": normal(rng, 6, 5), "scale": 5**-0.5,
            "blocks": [[2, 4, 8], [4, 4, 16]]}  # fmt: skip


def tiles(namespace, inputs):
    import torch

    def guarded(x):
        memory = torch.full((x.size + 64,), torch.nan)
        memory[32:-32] = torch.from_numpy(x).flatten()
        return memory[32:-32].view(x.shape)

    q, k, found = guarded(inputs["q"]), guarded(inputs["k"]), {}
    (T, d), S = q.shape, len(k)
    for M, N, D in inputs["blocks"]:
        columns = -(-S // N) * N
        memory = torch.full((T + 20, columns), 7.0)
        out, behind = memory[:T], memory[T:]
        namespace["scores_kernel"][(-(-T // M), columns // N)](
            q, k, out, T, S, d, columns, inputs["scale"], BLOCK_M=M, BLOCK_N=N, BLOCK_D=D
        )
        found[f"tiles of {M} by {N}"] = out
        found[f"memory behind out, tiles of {M} by {N}"] = behind
    return found


# 3. The walk


def one_step(rng):
    return {"q": normal(rng, 4, 4), "k": normal(rng, 6, 4), "v": normal(rng, 6, 4), "scale": 0.5,
            "blocks": [[4, 8, 4], [2, 16, 4]]}  # fmt: skip


def many_steps(rng):
    return {"q": normal(rng, 7, 5), "k": normal(rng, 13, 5), "v": normal(rng, 13, 5), "scale": 1.3,
            "blocks": [[4, 4, 8], [8, 2, 16]]}  # fmt: skip


def single(rng):
    return {"q": normal(rng, 1, 1), "k": normal(rng, 1, 1), "v": normal(rng, 1, 1), "scale": 2.0,
            "blocks": [[2, 2, 1], [4, 8, 2]]}  # fmt: skip


def large_scores(rng):
    q, k = normal(rng, 5, 3), normal(rng, 9, 3)
    q[:, 0], k[:, 0] = 30, rng.permutation(9) - 12  # from −360 to −90, in no order
    q[3:, 0] = -30  # and from 90 to 360
    return {"q": q, "k": k, "v": normal(rng, 9, 3), "scale": 1.0, "blocks": [[4, 2, 4], [8, 4, 4]]}


def walked(namespace, inputs):
    import torch

    def guarded(x):
        memory = torch.full((x.size + 64,), torch.nan)
        memory[32:-32] = torch.from_numpy(x).flatten()
        return memory[32:-32].view(x.shape)

    q, k, v = (guarded(inputs[name]) for name in "qkv")
    (T, d), S, found = q.shape, len(k), {}
    for M, N, D in inputs["blocks"]:
        memory = torch.full((T + 40, d), 7.0)
        out, behind = memory[:T], memory[T:]
        namespace["one_head_kernel"][(-(-T // M),)](
            q, k, v, out, T, S, d, inputs["scale"], BLOCK_M=M, BLOCK_N=N, BLOCK_D=D
        )
        found[f"tiles of {M} by {N}"] = out
        found[f"memory behind out, tiles of {M} by {N}"] = behind
    return found


# 4. Who sees whom: [offset, S, window]; and which blocks: [offset, T, window, BLOCK_M, BLOCK_N]


def causal_pairs(rng):
    past = int(rng.integers(3, 7))
    return {"cases": [[0, 8, 8], [past, past + 4, 99], [0, 6, 16]]}


def narrow_pairs(rng):
    return {"cases": [[0, 8, 1], [5, 7, 3], [int(rng.integers(4, 8)), 16, 2], [-3, 8, 2]]}


def causal_walks(rng):
    past = int(rng.integers(5, 12))
    return {"cases": [[0, 8, 8, 4, 4], [0, 5, 9, 2, 1], [past, 9, past + 9, 2, 4],
                      [past, 1, 99, 8, 4]]}  # fmt: skip


def narrow_walks(rng):
    past = int(rng.integers(9, 20))
    return {"cases": [[past, 14, 5, 4, 4], [past, 3, 1, 8, 2], [0, 16, 6, 2, 4],
                      [past, 7, past - 4, 4, 8], [-5, 13, 3, 4, 2]]}  # fmt: skip


def pairs_seen(namespace, inputs):
    found = {}
    for offset, S, window in inputs["cases"]:
        found[f"offset {offset}, S = {S}, window {window}"] = namespace["numbers"](
            namespace["seen_kernel"], 1, 4, 16, offset, S, window, ROWS=4, KEYS=16
        )
    return found


def blocks_visited(namespace, inputs):
    found = {}
    for offset, T, window, M, N in inputs["cases"]:
        programs = -(-T // M)
        rows = namespace["numbers"](namespace["key_blocks_kernel"], programs, programs, 2,
                                    offset, T, window, BLOCK_M=M, BLOCK_N=N)  # fmt: skip
        name = f"offset {offset}, T = {T}, window {window}, tiles of {M} by {N}"
        found[name] = [list(range(low, high)) for low, high in rows.tolist()]
    return found


# 5. and 6. All heads: q (B, H, T, d), k, v (B, K, S, d), cases [offset, window, BLOCK_M, BLOCK_N]


def heads(rng, B, H, K, T, S, d, cases):
    return {"q": normal(rng, B, H, T, d), "k": normal(rng, B, K, S, d),
            "v": normal(rng, B, K, S, d), "turned": False, "cases": cases}  # fmt: skip


def one_plane(rng):
    return heads(rng, 1, 1, 1, 7, 9, 4, [[2, 9, 4, 4], [2, 99, 8, 2]])


def grouped(rng):
    return heads(rng, 2, 6, 2, 5, 5, 3, [[0, 5, 8, 4]])


def turned(rng):
    return {**heads(rng, 2, 4, 2, 3, 6, 5, [[3, 6, 4, 4]]), "turned": True}


def windows(rng):
    return heads(rng, 1, 2, 1, 9, 14, 4, [[5, 1, 16, 4], [5, 6, 4, 8]])


def poisoned(rng):
    inputs = heads(rng, 1, 2, 2, 4, 20, 4, [[8, 5, 4, 4], [8, 5, 4, 2]])  # they need keys 4 to 11
    for name in "kv":
        inputs[name][:, :, :4] = inputs[name][:, :, 12:] = float("nan")
    return inputs


def all_seen(rng):
    return heads(rng, 2, 2, 1, 5, 8, 3, [[3, 8, 4, 4], [3, 4, 8, 8]])


def some_blind(rng):
    return heads(rng, 1, 2, 1, 9, 4, 4, [[-5, 9, 4, 2], [-9, 9, 16, 4]])


def launched(namespace, inputs):
    import torch

    def guarded(x, turned):  # (B, rows, heads, d) in memory, seen as (B, heads, rows, d)
        x = torch.from_numpy(x)
        x = x.transpose(1, 2) if turned else x
        memory = torch.full((x.numel() + 64,), torch.nan)
        memory[32:-32] = x.flatten()
        x = memory[32:-32].view(x.shape)
        return x.transpose(1, 2) if turned else x

    q, k, v = (guarded(inputs[name], inputs["turned"] and name != "v") for name in "qkv")
    (B, H, T, d), (K, S), found = q.shape, k.shape[1:3], {}
    D = 1 << (d - 1).bit_length()
    for offset, window, M, N in inputs["cases"]:
        shape = (B + 9, T, H, d + 3) if inputs["turned"] else (B + 9, H, T, d + 3)
        memory, lse = torch.full(shape, 7.0), torch.full((B + 9, H, T), 7.0)
        room = memory.transpose(1, 2) if inputs["turned"] else memory
        out = room[:B, ..., :d]
        strides = [x.stride()[:3] for x in (q, k, v, out)]
        namespace["flash_kernel"][(-(-T // M), B * H)](
            q, k, v, out, lse, *strides, H, K, T, S, d, d**-0.5, offset, window,
            BLOCK_M=M, BLOCK_N=N, BLOCK_D=D,
        )  # fmt: skip
        name = f"offset {offset}, window {window}, tiles of {M} by {N}"
        found[name], found[f"memory around out, {name}"] = out, memory
    return found


def left_behind(namespace, inputs):
    import torch

    q, k, v = (torch.from_numpy(inputs[name]) for name in "qkv")
    (B, H, T, d), (K, S), found = q.shape, k.shape[1:3], {}
    for offset, window, M, N in inputs["cases"]:
        out, memory = torch.full((B + 9, H, T, d), 7.0)[:B], torch.full((B * H + 40, T), 7.0)
        strides = [x.stride()[:3] for x in (q, k, v, out)]
        namespace["flash_kernel"][(-(-T // M), B * H)](
            q, k, v, out, memory, *strides, H, K, T, S, d, d**-0.5, offset, window,
            BLOCK_M=M, BLOCK_N=N, BLOCK_D=1 << (d - 1).bit_length(),
        )  # fmt: skip
        name = f"offset {offset}, window {window}, tiles of {M} by {N}"
        found[f"out, {name}"] = out
        found[f"lse, {name}"], found[f"behind lse, {name}"] = memory[: B * H], memory[B * H :]
    return found


def called(rng):
    return {"shapes": [[2, 4, 2, 6, 6, 3], [1, 3, 1, 1, 18, 4], [1, 2, 2, 3, 5, 8]],
            "settings": [{}], "numbers": normal(rng, 2000)}  # fmt: skip


def called_otherwise(rng):
    settings = [{"window": 4}, {"offset": 3}, {"offset": 2, "window": 3, "BLOCK_M": 4},
                {"BLOCK_M": 4, "BLOCK_N": 2}, {"offset": 12}, {"offset": 0}]  # fmt: skip
    return {"shapes": [[1, 2, 1, 6, 9, 5]], "settings": settings, "numbers": normal(rng, 2000)}


def answered(namespace, inputs):
    import torch

    found, row = {}, torch.from_numpy(inputs["numbers"])
    for B, H, K, T, S, d in inputs["shapes"]:
        q = row[: B * H * T * d].view(B, T, H, d).transpose(1, 2)
        k = row[500 : 500 + B * K * S * d].view(B, K, d, S).transpose(2, 3)
        v = row[1000 : 1000 + B * K * S * d].view(B, S, K, d).transpose(1, 2)
        for setting in inputs["settings"]:
            out, lse = namespace["flash_attention"](q, k, v, **setting)
            name = f"q {(B, H, T, d)}, k and v {(B, K, S, d)}, {setting or 'no setting'}"
            found[f"out, {name}"], found[f"lse, {name}"] = out, lse
    return found


CHECKS = [
    Check("merge", merged, two_parts, 1, why="two parts are as good as the whole",
          message="Each sum was taken against a maximum of its own."),
    Check("merge", merged, far_apart, 1, why="scores may be far apart, and beyond 100",
          message="Is every exponent at most 0?"),
    Check("merge", merged, unseen, 1, why="a part may have shown a query nothing",
          message="What is −∞ − (−∞)? And what must come out where neither part showed anything?"),
    Check("scores", tiles, whole_tiles, 1, atol=1e-5, why="tiles that fit",
          message="Where do the queries of program (i, j) begin, and where its keys?"),
    Check("scores", tiles, hanging_tiles, 2, atol=1e-5, why="tiles that hang over both ends",
          message="Which scores become −∞, and which are not stored at all?"),
    Check("scores", tiles, narrow_heads, 1, atol=1e-5, why="heads of 5 numbers",
          message="Rows of q and k lie d numbers apart, rows of out `columns`."),
    Check("loop", walked, one_step, 1, atol=1e-5, why="all keys in one block",
          message="With one step this is a softmax. Which keys does it count?"),
    Check("loop", walked, many_steps, 2, atol=1e-5, why="many blocks, heads of 5 numbers",
          message="When m rises, what happens to the sums taken against the old one?"),
    Check("loop", walked, single, 1, why="one query, one key, one number",
          message="Its weight is 1, so the answer is its value."),
    Check("loop", walked, large_scores, 1, rtol=1e-3, atol=1e-3,
          why="scores from −360 to 360, in any order",
          message="exp(89) is inf and exp(−104) is 0. Does the first block's maximum count?"),
    Check("blocks", pairs_seen, causal_pairs, 1, why="keys up to a query's own position",
          message="Row 0 stands at position offset. Does it see that key, and the next one?"),
    Check("blocks", pairs_seen, narrow_pairs, 1, why="the last `window` keys, the own included",
          message="Window 1 is a query alone. And may a key beyond S be seen?"),
    Check("blocks", blocks_visited, causal_walks, 1, why="blocks up to the last query's own key",
          message="Where does a walk begin, and which is the last query of a tile over T?"),
    Check("blocks", blocks_visited, narrow_walks, 1, why="blocks from the first query's window on",
          message="Which is the oldest key that the first query sees? Can it be below 0?"),
    Check("heads", launched, one_plane, 1, atol=1e-5, why="one head, causal, behind two tokens",
          message="This is task 3 with `seen` for a mask. Is `offset` handed on?"),
    Check("heads", launched, grouped, 2, atol=1e-5, why="2 texts, 6 heads, 2 key heads",
          message="Write down b, h and the key head of the twelve planes."),
    Check("heads", launched, turned, 1, atol=1e-5, why="heads and rows in another order in memory",
          message="Distances come from strides, of each tensor its own, and nowhere else."),
    Check("heads", launched, windows, 1, atol=1e-5, why="rows that see nothing in a block",
          message="−∞ − (−∞) is nan. What did you do in task 1?"),
    Check("heads", launched, poisoned, 1, atol=1e-5, why="blocks that nobody needs are not read",
          message="They hold nan here. Where does your loop begin, and where does it end?"),
    Check("lse", left_behind, all_seen, 1, atol=1e-5, why="the kernel leaves m + ln total",
          message="A natural logarithm; row t of plane n lies at n · T + t."),
    Check("lse", left_behind, some_blind, 1, atol=1e-5,
          why="a query that sees nothing gets 0 and −∞",
          message="Such a row ends with total = 0. What is 0 / 0?"),
    Check("lse", answered, called, 1, atol=1e-5, why="tensors of any shape and order in memory",
          message="Where do the queries stand, and which stride does the kernel not ask for?"),
    Check("lse", answered, called_otherwise, 1, atol=1e-5, why="window, offset and tiles as asked",
          message="Is every argument handed on? What is offset if none is given, and is 0 one?"),
]  # fmt: skip

STORED = "tl.store(out_ptr + row * d + column, acc / total[:, None], mask=(row < T) & (column < d))"
BEGUN = """\
    asking = load_tile(q_ptr, d, first, T, d, BLOCK_M, BLOCK_D)
    m = tl.full((BLOCK_M,), float("-inf"), dtype=tl.float32)
"""
STEP = """\
        m_new = tl.maximum(m, tl.max(s, axis=1))
        p = tl.exp(s - m_new[:, None])
        mend = tl.exp(m - m_new)
        total = total * mend + tl.sum(p, axis=1)
        acc = acc * mend[:, None] + tl.dot(p, told, input_precision="ieee")
        m = m_new
    row, column = first + tl.arange(0, BLOCK_M)[:, None], tl.arange(0, BLOCK_D)[None, :]
"""
GUARDED = 'base = tl.where(m_new == float("-inf"), 0.0, m_new)'
LAST = "(max(newest + 1, 0) + BLOCK_N - 1) // BLOCK_N"

MUTANTS = [
    # sums taken against two maxima, nothing minus nothing, a given tensor spoilt
    Mutant("merge", {"total = one[1] * left + other[1] * right": "total = one[1] + other[1]"}, 0,
           "maximum of its own"),
    Mutant("merge", {"torch.where(m.isneginf(), torch.zeros_like(m), m)": "m"}, 2,
           "What is −∞ − (−∞)?"),
    Mutant("merge", {"total = one[1] * left": "total = one[1].mul_(left)"}, 0, "as it was given"),
    Mutant("merge", {"other[2] * right[:, None]": "other[2].mul_(right[:, None])"}, 1,
           "as it was given"),
    # no scale; padding counted as a score of 0; neighbors overwritten
    Mutant("scores", {"s = scale * tl.dot(asking, tl.trans(asked), input_precision=\"ieee\")"
                      "  # (BLOCK_M, BLOCK_N)\n    row":
                      "s = tl.dot(asking, tl.trans(asked), input_precision=\"ieee\")\n    row"}, 0,
           "Where do the queries"),
    Mutant("scores", {"    s = tl.where(key < S, s, float(\"-inf\"))\n    tl.store":
                      "    tl.store"}, 1, "Which scores become −∞"),
    Mutant("scores", {", s, mask=row < T)": ", s)"}, 1, "not stored at all?"),
    # nothing mended; m from 0; padding counted; columns beyond d
    Mutant("loop", {"acc = acc * mend[:, None] + tl.dot(p, told, input_precision=\"ieee\")\n"
                    "        m = m_new\n    row":
                    "acc = acc + tl.dot(p, told, input_precision=\"ieee\")\n"
                    "        m = m_new\n    row"}, 2, "When m rises"),
    Mutant("loop", {BEGUN: BEGUN.replace("float(\"-inf\")", "0.0")}, 4, "exp(89) is inf"),
    Mutant("loop", {"s = tl.where(key < S, s, float(\"-inf\"))  # (BLOCK_M, BLOCK_N)": "pass"}, 0,
           "Which keys does it count?"),
    Mutant("loop", {STORED: STORED.replace(" & (column < d)", "")}, 1, "heads of 5 numbers"),
    # itself unseen, one key too many, keys that do not exist; the tile's end and begin
    Mutant("blocks", {"key <= position": "key < position"}, 2, "Does it see that key"),
    Mutant("blocks", {"key > position - window": "key >= position - window"}, 3,
           "Window 1 is a query alone"),
    Mutant("blocks", {"(key < S) & (key <= position)": "(key <= position)"}, 3, "beyond S"),
    Mutant("blocks", {"min(first + BLOCK_M, T)": "(first + BLOCK_M)"}, 2, "of a tile over T"),
    Mutant("blocks", {"first - window + 1": "first - window"}, 3, "the oldest key"),
    # key heads in turns; one tensor's strides for another's; −∞ − −∞; all keys
    Mutant("heads", {"kv_head = h // (H // K)": "kv_head = h % K"}, 3, "the twelve planes"),
    Mutant("heads", {"load_tile(v_ptr, v_strides[2]": "load_tile(v_ptr, k_strides[2]"}, 5,
           "of each tensor its own"),
    Mutant("heads", {GUARDED: "base = m_new"}, 4, "What did you do in task 1?"),
    Mutant("heads", {"range(low, high)": "range(0, tl.cdiv(S, BLOCK_N))"}, 5, "They hold nan here"),
    Mutant("heads", {"key[None, :], offset, S": "key[None, :], 0, S"}, 2, "`offset` handed on?"),
    # the wrong logarithm; 0 / 0; the first positions; rows in pieces; d is no power of two
    Mutant("lse", {"m + tl.log(total)": "m + tl.log2(total)"}, 0, "A natural logarithm"),
    Mutant("lse", {"tl.where(total == 0.0, 1.0, total)": "total + 0.0"}, 3, "What is 0 / 0?"),
    Mutant("lse", {"S - T if offset is None": "0 if offset is None"}, 2, "Where do the queries"),
    Mutant("lse", {"S - T if offset is None else offset": "offset or S - T"}, 3, "is 0 one?"),
    Mutant("lse", {"offset + T if window is None": "S if window is None"}, 3, "handed on"),
    Mutant("lse", {"x if x.stride(-1) == 1 else x.contiguous()": "x"}, 2, "which stride"),
    Mutant("lse", {"BLOCK_D=triton.next_power_of_2(d)": "BLOCK_D=d"}, 2, "power of 2"),
]  # fmt: skip

TWO_WALKS = """\
        m_new = tl.maximum(m, tl.max(s, axis=1))
        total = total * tl.exp(m - m_new) + tl.sum(tl.exp(s - m_new[:, None]), axis=1)
        m = m_new
    for start in range(0, S, BLOCK_N):
        asked = load_tile(k_ptr, d, start, S, d, BLOCK_N, BLOCK_D)
        told = load_tile(v_ptr, d, start, S, d, BLOCK_N, BLOCK_D)
        key = start + tl.arange(0, BLOCK_N)[None, :]
        s = tl.where(key < S, scale * tl.dot(asking, tl.trans(asked)), float("-inf"))
        acc += tl.dot(tl.exp(s - m[:, None]), told)
    row, column = first + tl.arange(0, BLOCK_M)[:, None], tl.arange(0, BLOCK_D)[None, :]
"""
ALWAYS_DIVIDED = """\
        m_new = tl.maximum(m, tl.max(s, axis=1))
        p = tl.exp(s - m_new[:, None])
        before = total * tl.exp(m - m_new)
        total = before + tl.sum(p, axis=1)
        acc = (acc * before[:, None] + tl.dot(p, told)) / total[:, None]
        m = m_new
    total = total * 0 + 1
    row, column = first + tl.arange(0, BLOCK_M)[:, None], tl.arange(0, BLOCK_D)[None, :]
"""
MERGED = """\
    m = torch.maximum(one[0], other[0])
    base = torch.where(m.isneginf(), torch.zeros_like(m), m)  # nothing seen yet: −∞ − 0
    left, right = torch.exp(one[0] - base), torch.exp(other[0] - base)
    total = one[1] * left + other[1] * right
    return m, total, one[2] * left[:, None] + other[2] * right[:, None]
"""
STACKED = """\
    m, total, acc = (torch.stack(pair) for pair in zip(one, other))
    most = m.amax(0)
    factor = (m - most).exp().nan_to_num()
    return most, (factor * total).sum(0), torch.einsum("pt,ptd->td", factor, acc)
"""

ALTERNATIVES = [
    Alternative("products by sums, parts stacked, acc divided at every step", {
        MERGED: STACKED,
        "s = scale * tl.dot(asking, tl.trans(asked), input_precision=\"ieee\")"
        "  # (BLOCK_M, BLOCK_N)\n    row":
            "s = tl.sum(asking[:, None, :] * asked[None, :, :], axis=2) * scale\n    row",
        STEP: ALWAYS_DIVIDED,
    }),
    Alternative("two walks, Triton's own minimum and ceiling, keys counted from the query", {
        STEP: TWO_WALKS,
        "    position = offset + row\n": "    behind = offset + row - key\n",
        "(key < S) & (key <= position) & (key > position - window)":
            "(behind >= 0) & (behind < window) & (key < S)",
        "return max(oldest, 0) // BLOCK_N, " + LAST:
            "high = tl.cdiv(tl.maximum(newest + 1, 0), BLOCK_N)\n"
            "    return tl.maximum(oldest, 0) // BLOCK_N, high",
        "min(first + BLOCK_M, T)": "tl.minimum(first + BLOCK_M, T)",
    }),
    Alternative("powers of two, weights masked and not scores, heads in whole groups", {
        "kv_head = h // (H // K)": "kv_head = h * K // H",
        "        s = tl.where(pairs, s, float(\"-inf\"))  # (BLOCK_M, BLOCK_N)\n"
        "        m_new = tl.maximum(m, tl.max(s, axis=1))\n        base":
            "        m_new = tl.maximum(m, tl.max(tl.where(pairs, s, float(\"-inf\")), axis=1))\n"
            "        base",
        "p = tl.exp(s - base[:, None])\n        mend = tl.exp(m - base)":
            "p = tl.where(pairs, tl.exp2((s - base[:, None]) * 1.4426950408889634), 0.0)\n"
            "        mend = tl.exp2((m - base) * 1.4426950408889634)",
        "acc / total[:, None],\n             mask=(row < T)[:, None] & (column < d)[None, :]":
            "acc / tl.maximum(total, 1e-30)[:, None],\n"
            "             mask=(row[:, None] < T) & (column[None, :] < d)",
    }),
    Alternative("every tensor copied, blocks by address, lse from two tensors", {
        "x if x.stride(-1) == 1 else x.contiguous()": "x.contiguous()",
        "out = torch.empty(B, H, T, d, device=q.device)": "out = torch.zeros_like(q)",
        "window = offset + T if window is None else window": "window = window or 2**30",
        "    for block in range(low, high):\n        start = block * BLOCK_N\n":
            "    for start in range(low * BLOCK_N, high * BLOCK_N, BLOCK_N):\n",
        "strides = [x.stride()[:3] for x in (q, k, v, out)]":
            "strides = [(x.stride(0), x.stride(1), x.stride(2)) for x in (q, k, v, out)]",
    }),
]  # fmt: skip

EXACT = "the interpreter multiplies in float32 in any case; a GPU would round to TF32"
COPIES = "copies what need not be copied"
SURVIVORS = {
    "scores_cell: s = scale * tl.dot(asking, tl.trans(asked)) # (BLOCK_M, BLOCK_N)": EXACT,
    "one_head_cell: s = scale * tl.dot(asking, tl.trans(asked))": EXACT,
    "one_head_cell: acc = acc * mend[:, None] + tl.dot(p, told)": EXACT,
    "flash_cell: s = scale * tl.dot(asking, tl.trans(asked))": EXACT,
    "flash_cell: acc = acc * mend[:, None] + tl.dot(p, told)": EXACT,
    "blocks_cell: return max(oldest, 0) // BLOCK_N, "
    "(max(newest + 1, -1) + BLOCK_N - 1) // BLOCK_N": "a walk that ends before it begins is empty",
    'flash_cell: base = tl.where(m_new == float("-inf"), 1.0, m_new) # nothing seen yet: −∞ − 0':
        "−∞ less any number is −∞",
    'flash_cell: base = tl.where(m_new == float("-inf"), -1.0, m_new) # nothing seen yet: −∞ − 0':
        "−∞ less any number is −∞",
    "flash_cell: total = tl.where(total == 0.0, 2.0, total) # saw nothing: 0 / 1":
        "0 / 2 is 0, and −∞ + ln 2 is −∞",
    "launch_function: q, k, v = (x if x.stride(-1) == 2 else x.contiguous() for x in (q, k, v))":
        COPIES,
    "launch_function: q, k, v = (x if x.stride(-1) == 0 else x.contiguous() for x in (q, k, v))":
        COPIES,
    "launch_function: q, k, v = (x if x.stride(0) == 1 else x.contiguous() for x in (q, k, v))":
        COPIES,
    "launch_function: out = torch.empty(B, H, T, d)": "there is no other device here",
    "launch_function: lse = torch.empty(B, H, T)": "there is no other device here",
    "launch_function: strides = [x.stride()[:] for x in (q, k, v, out)]":
        "the kernel asks for the first three",
    "launch_function: strides = [x.stride()[:4] for x in (q, k, v, out)]":
        "the kernel asks for the first three",
}  # fmt: skip
