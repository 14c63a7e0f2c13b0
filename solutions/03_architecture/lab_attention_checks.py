"""Private checks of the lab "attention with GQA and KV caches": never released.

All sizes in a check differ from one another, so that a wrong axis shows. Shapes as in the notebook.
"""

from minimodels.classroom.forbidden import TORCH_ATTENTION
from minimodels.classroom.lab import Alternative, Check, Mutant

FORBIDDEN = [
    "minimodels.architecture.attention",
    "minimodels.architecture.cache",
    "minimodels.architecture.masks",
    "minimodels.architecture.count",
    "minimodels.architecture.cost",
    "minimodels.kernels.flash_attention",
    "minimodels.inference",
    "transformers",
    "peft",
    *TORCH_ATTENTION,
]
SECONDS = 10


def normal(rng, *shape):
    return rng.normal(size=shape).astype("float32")


# 1. The mask


def whole_texts(rng):
    return {"sizes": [[0, 1], [0, int(rng.integers(3, 6))], [0, int(rng.integers(7, 12))]]}


def continued_texts(rng):
    past = int(rng.integers(2, 9))
    return {"sizes": [[past, 1], [past, 3], [1, int(rng.integers(4, 9))]]}


def masks(namespace, inputs):
    return {f"causal_mask({past}, {present})": namespace["causal_mask"](past, present)
            for past, present in inputs["sizes"]}  # fmt: skip


# 2. Attention


def open_scores(rng):
    q, k, v = normal(rng, 2, 3, 4, 7), normal(rng, 2, 3, 6, 7), normal(rng, 2, 3, 6, 7)
    return {"q": q, "k": k, "v": v, "mask": [[True] * 6] * 4}


def masked_scores(rng):
    mask = rng.random((4, 6)) < 0.5
    mask[:, 1] = True  # each query sees a key
    mask[0, 2] = False  # and one of them not all
    return {**open_scores(rng), "mask": mask.tolist()}


def large_scores(rng):
    inputs = masked_scores(rng)
    inputs["q"][..., 0] = 100  # 400 / sqrt(7) > 104: exp is inf in text 0, and 0 in text 1
    inputs["k"][..., 0] = [[[4]], [[-4]]]
    inputs["k"][:, :, 2, 0] = 12  # forbidden to query 0, and by far the best key
    return inputs


def attended(namespace, inputs):
    import torch

    q, k, v = (torch.from_numpy(inputs[name]) for name in "qkv")
    return namespace["attention"](q, k, v, torch.tensor(inputs["mask"]))


# 3. Heads


def tokens(rng):
    return {"x": normal(rng, 2, 5, 12), "head_dim": 4}


def answers(rng):
    return {"y": normal(rng, 2, 3, 5, 4)}


def keys(rng):
    cases = [[3, 6], [2, 8], [1, 4], [5, 5]]  # K, H
    return {"x": [normal(rng, 2, K, 3, 4) for K, _ in cases], "heads": [H for _, H in cases]}


def split(namespace, inputs):
    import torch

    return namespace["split_heads"](torch.from_numpy(inputs["x"]), inputs["head_dim"])


def merged(namespace, inputs):
    import torch

    return namespace["merge_heads"](torch.from_numpy(inputs["y"]))


def shared(namespace, inputs):
    import torch

    cases = zip(inputs["x"], inputs["heads"], strict=True)
    return {f"share_heads, K={x.shape[1]}, H={heads}":
            namespace["share_heads"](torch.from_numpy(x), heads) for x, heads in cases}  # fmt: skip


# 4. The cache: `pieces` of `texts`, each text with a cache of its own


def one_append(rng):
    return {"k": normal(rng, 1, 2, 3, 5, 4), "v": normal(rng, 1, 2, 3, 5, 4), "room": 9,
            "pieces": [[0, 0, 5]]}  # fmt: skip


def appends(rng):
    return {"k": normal(rng, 1, 2, 3, 9, 4), "v": normal(rng, 1, 2, 3, 9, 4), "room": 9,
            "pieces": [[0, 0, 4], [0, 4, 5], [0, 5, 7], [0, 7, 9]]}  # fmt: skip


def turns(rng):
    return {"k": normal(rng, 2, 2, 3, 6, 4), "v": normal(rng, 2, 2, 3, 6, 4), "room": 7,
            "pieces": [[0, 0, 3], [1, 0, 2], [0, 3, 4], [1, 2, 6], [0, 4, 6]]}  # fmt: skip


def cached(namespace, inputs):
    import torch

    k, v = torch.from_numpy(inputs["k"]), torch.from_numpy(inputs["v"])  # (texts, B, K, T, d)
    texts, B, K, _, d = k.shape
    caches = [namespace["LayerCache"](B, K, inputs["room"], d) for _ in range(texts)]
    returned = {}
    for text, start, end in inputs["pieces"]:
        keys, values = caches[text].append(k[text, :, :, start:end], v[text, :, :, start:end])
        returned[f"text {text}, tokens {start} to {end - 1}"] = {
            "length": caches[text].length, "keys": keys.clone(), "values": values.clone(),
        }  # fmt: skip
    return returned


# 5. The module: `pieces` of `texts`, each text with a cache of its own or without one


def layer(rng, num_kv_heads):
    D, d, H = 20, 8, 6
    shape = {"vocab_size": 9, "hidden_size": D, "intermediate_size": 9, "num_layers": 1,
             "num_heads": H, "num_kv_heads": num_kv_heads, "head_dim": d, "max_length": 64,
             "rotary_fraction": 0.5}  # fmt: skip
    rows = {"q_proj": H * d, "k_proj": num_kv_heads * d, "v_proj": num_kv_heads * d}
    weights = {f"{name}.weight": normal(rng, n, D) / D**0.5 for name, n in rows.items()}
    weights["o_proj.weight"] = normal(rng, D, H * d) / (H * d) ** 0.5
    return {"config": shape, "weights": weights}


def at_once(rng):
    return {**layer(rng, 3), "texts": normal(rng, 1, 2, 7, 20), "cached": False,
            "pieces": [[0, 0, 7]]}  # fmt: skip


def in_pieces(rng):
    return {**layer(rng, 2), "texts": normal(rng, 1, 2, 9, 20), "cached": True,
            "pieces": [[0, 0, 3], [0, 3, 4], [0, 4, 5], [0, 5, 7], [0, 7, 9]]}  # fmt: skip


def two_requests(rng):
    return {**layer(rng, 1), "texts": normal(rng, 2, 1, 6, 20), "cached": True,
            "pieces": [[0, 0, 3], [1, 0, 4], [0, 3, 5], [1, 4, 5], [1, 5, 6],
                       [0, 5, 6]]}  # fmt: skip


def module(namespace, inputs):
    import torch

    from minimodels.architecture.configs import NemotronConfig

    config = NemotronConfig(**inputs["config"])
    layer = namespace["Attention"](config)
    weights = {name: torch.from_numpy(weight) for name, weight in inputs["weights"].items()}
    layer.load_state_dict(weights, strict=False)
    texts = torch.from_numpy(inputs["texts"])  # (texts, B, T, D)
    sizes = texts.shape[1], config.num_kv_heads, texts.shape[2], config.head_dim
    caches = [namespace["LayerCache"](*sizes) if inputs["cached"] else None for _ in texts]
    with torch.no_grad():
        return {f"text {text}, tokens {start} to {end - 1}":
                layer(texts[text][:, start:end], caches[text])
                for text, start, end in inputs["pieces"]}  # fmt: skip


# 6. The window: masks, and `pieces` of `texts`, each text with a cache of its own


def windows_of_whole_texts(rng):
    return {"sizes": [[0, 9, int(rng.integers(2, 6))], [0, 4, 1], [0, 3, 3], [0, 3, 8]]}


def windows_with_a_past(rng):
    past = int(rng.integers(4, 9))
    return {"sizes": [[past, 4, 3], [past, 1, 2], [1, 5, 4], [past, 2, 99]]}


def window_masks(namespace, inputs):
    return {f"window_mask({past}, {present}, {window})":
            namespace["window_mask"](past, present, window)
            for past, present, window in inputs["sizes"]}  # fmt: skip


def token_by_token(rng):
    return {"k": normal(rng, 1, 2, 3, 7, 4), "v": normal(rng, 1, 2, 3, 7, 4), "window": 4,
            "pieces": [[0, n, n + 1] for n in range(7)]}  # fmt: skip


def long_pieces_in_turns(rng):
    window = int(rng.integers(3, 5))
    return {"k": normal(rng, 2, 2, 3, 9, 4), "v": normal(rng, 2, 2, 3, 9, 4), "window": window,
            "pieces": [[0, 0, 6], [1, 0, 1], [0, 6, 7], [1, 1, 9], [0, 7, 9]]}  # fmt: skip


def windows_of_one(rng):
    return {"k": normal(rng, 1, 1, 2, 5, 4), "v": normal(rng, 1, 1, 2, 5, 4), "window": 1,
            "pieces": [[0, 0, 2], [0, 2, 3], [0, 3, 5]]}  # fmt: skip


def window_cached(namespace, inputs):
    import torch

    k, v = torch.from_numpy(inputs["k"]), torch.from_numpy(inputs["v"])  # (texts, B, K, T, d)
    texts, B, K, _, d = k.shape
    caches = [namespace["WindowCache"](B, K, inputs["window"], d) for _ in range(texts)]
    returned = {"length at first": caches[0].length}
    for text, start, end in inputs["pieces"]:
        keys, values = caches[text].append(k[text, :, :, start:end], v[text, :, :, start:end])
        returned[f"text {text}, tokens {start} to {end - 1}"] = {
            "length": caches[text].length, "keys": keys.clone(), "values": values.clone(),
        }  # fmt: skip
    return returned


# 7. Bytes


def long_texts(rng):
    kinds = ["sliding"] * 5 + ["full"] + ["sliding"] * int(rng.integers(1, 5))
    return {"cases": [[kinds, 5000, 1024, 3, 80, 2], [["full"] * 7, 999, 10, 5, 64, 2]]}


def short_texts(rng):
    kinds = ["full", "sliding", "sliding"]
    return {"cases": [[kinds, int(rng.integers(3, 9)), 100, 3, 7, 4], [kinds, 0, 9, 1, 2, 2],
                      [["sliding"] * 4, 10, 11, 1, 6, 1]]}  # fmt: skip


def counted(namespace, inputs):
    return {f"{len(kinds)} layers, {length} tokens, window {window}, {size} bytes a number":
            namespace["cache_bytes"](kinds, length, window, heads, dim, size)
            for kinds, length, window, heads, dim, size in inputs["cases"]}  # fmt: skip


CHECKS = [
    Check("mask", masks, whole_texts, 1,
          why="a token sees itself and what stands before it, in a new text",
          message="Which keys may row 0 see, which row 1? Compare with the left picture."),
    Check("mask", masks, continued_texts, 2,
          why="a token sees itself and what stands before it, after a past",
          message="Row 0 belongs to token number `past`. Compare with the right picture."),
    Check("attention", attended, open_scores, 2, atol=1e-5,
          why="every query may look at every key",
          message="Check the axis of the softmax first, then the size of the scores."),
    Check("attention", attended, masked_scores, 2, atol=1e-5,
          why="a forbidden key has weight 0 and the others sum to 1",
          message="When is a key taken out, before or after the softmax, and by which score?"),
    Check("attention", attended, large_scores, 1, rtol=1e-3, atol=1e-3,
          why="scores may be larger than 100 and smaller than -100",
          message="exp(89) is inf and exp(-104) is 0. Is a forbidden score below all others?"),
    Check("heads", split, tokens, 1, why="head n holds its numbers of each token",
          message="Follow one token: which of its numbers belong to head 0?"),
    Check("heads", merged, answers, 1, why="merge_heads undoes split_heads",
          message="Which axes did splitting swap?"),
    Check("heads", shared, keys, 2, why="neighboring query heads share a key head",
          message="Which key head does query head 1 read when there are half as many?"),
    Check("cache", cached, one_append, 1, why="the first append returns what came in",
          message="Keys and values that are filled are returned, empty slots are not."),
    Check("cache", cached, appends, 1, why="later appends return the past as well, in order",
          message="Which slot is the first free one?"),
    Check("cache", cached, turns, 1, why="two requests in turns share nothing",
          message="What belongs to the class and what to one cache?"),
    Check("module", module, at_once, 2, atol=1e-5, why="a text at once, without a cache",
          message="Compare the order of your steps with the picture."),
    Check("module", module, in_pieces, 2, atol=1e-5,
          why="a text in pieces through the cache, the same rows",
          message="What must a later piece know of the earlier ones: positions, keys, mask?"),
    Check("module", module, two_requests, 1, atol=1e-5, why="two texts in turns, a cache each",
          message="Does one text read what the other one wrote?"),
    Check("window", window_masks, windows_of_whole_texts, 1,
          why="a token sees the last `window` tokens up to itself",
          message="Count the dots in a row of the left picture: how many are there at most?"),
    Check("window", window_masks, windows_with_a_past, 1, why="a window reaches into the past",
          message="Compare with the right picture: which column is the first that row 0 sees?"),
    Check("window", window_cached, token_by_token, 1, why="window - 1 tokens are kept, the last",
          message="What does the next token look at, itself not counted?"),
    Check("window", window_cached, long_pieces_in_turns, 0.5,
          why="a piece may be longer than the window, and two texts share nothing",
          message="What is returned is more than what is kept. Which of the two do you shorten?"),
    Check("window", window_cached, windows_of_one, 0.5, why="a window of 1 keeps nothing",
          message="What is x[:, :, -0:]?"),
    Check("bytes", counted, long_texts, 1, why="a full layer keeps all, a sliding one W - 1",
          message="Keys and values, K heads of d numbers: what does one token leave in one layer?"),
    Check("bytes", counted, short_texts, 1, why="nobody keeps what is not there",
          message="Is the text longer than the window? And how many bytes has a number?"),
]  # fmt: skip

SCALED = " / math.sqrt(q.shape[-1])"
MASKED = "scores.masked_fill(~mask, -math.inf).softmax(dim=-1)"
CUT = "x.view(B, T, width // head_dim, head_dim).transpose(1, 2)"
APPENDED = "            k, v = cache.append(k, v)  # (B, K, S, d)\n"
CLASS_DOC = '''"""Keys and values of one layer, for one batch of texts."""'''
MAKE = """\
        shape = (batch_size, num_kv_heads, max_length, head_dim)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)
        self.length = 0
"""
STORE = """\
        start, end = self.length, self.length + k.shape[2]
        self.keys[:, :, start:end] = k
        self.values[:, :, start:end] = v
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]
"""
SHARED_LISTS = {  # lists of the class, which all caches see
    CLASS_DOC: CLASS_DOC + "\n\n    keys, values = [], []",
    MAKE: "        self.length = 0\n",
    STORE: """\
        self.keys.append(k)
        self.values.append(v)
        self.length += k.shape[2]
        return torch.cat(self.keys, dim=2), torch.cat(self.values, dim=2)
""",
}
SHARED_ROOM = {  # one room for all caches, each with its own length
    CLASS_DOC: CLASS_DOC + "\n\n    rooms = {}",
    MAKE: MAKE.replace(
        "        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)\n",
        "        room = self.rooms.setdefault(shape, (torch.zeros(shape), torch.zeros(shape)))\n"
        "        self.keys, self.values = room\n",
    ),
}

WINDOW = "(behind >= 0) & (behind < window)"
KEEP = """\
        k, v = torch.cat((self.keys, k), dim=2), torch.cat((self.values, v), dim=2)
        self.length = min(self.most, k.shape[2])
        start = k.shape[2] - self.length
        self.keys = k[:, :, start:].clone()  # a mere view would hold the others in memory
        self.values = v[:, :, start:].clone()
        return k, v
"""
EMPTY = """\
        self.keys = torch.zeros(batch_size, num_kv_heads, 0, head_dim)
        self.values = torch.zeros(batch_size, num_kv_heads, 0, head_dim)
"""
TOKENS = 'sum(min(length, window - 1) if kind == "sliding" else length for kind in kinds)'

MUTANTS = [
    # off by one, both ways; the row of a cached step; floats for bools
    Mutant("mask", {".tril(past)": ".tril(past - 1)"}, 0, "Which keys may row 0 see"),
    Mutant("mask", {".tril(past)": ".tril(past + 1)"}, 0, "Which keys may row 0 see"),
    Mutant("mask", {".tril(past)": ".tril()"}, 1, "Row 0 belongs to token number `past`"),
    Mutant("mask", {", dtype=torch.bool)": ")"}, 0, "the dtype is float32 and must be bool"),
    # scale missing, scale without its root, softmax over the queries
    Mutant("attention", {SCALED: ""}, 0, "the size of the scores"),
    Mutant("attention", {SCALED: " / q.shape[-1]"}, 0, "the size of the scores"),
    Mutant("attention", {"softmax(dim=-1)": "softmax(dim=-2)"}, 0, "the axis of the softmax"),
    # a mask of zeros, a mask turned around, a mask that comes too late; exp by hand
    Mutant("attention", {"-math.inf": "0.0"}, 2, "and by which score?"),
    Mutant("attention", {"~mask": "mask"}, 0, "values are not finite"),
    Mutant("attention", {MASKED: "scores.softmax(dim=-1) * mask"}, 2, "before or after"),
    Mutant("attention", {MASKED: "scores.exp() * mask\n    weights /= weights.sum(-1, True)"}, 4,
           "not finite"),
    # right for small scores only: a forbidden score that is not small enough, or taken out late
    Mutant("attention", {"-math.inf": "-100.0"}, 4, "below all others"),
    Mutant("attention", {MASKED: "scores.softmax(dim=-1) * mask\n    weights /= "
                                 "weights.sum(-1, True)"}, 4, "below all others"),
    # the right shape by reading memory in another order; repeat for repeat_interleave
    Mutant("heads", {CUT: "x.view(B, width // head_dim, T, head_dim)"}, 3, "Follow one token"),
    Mutant("heads", {"y.transpose(1, 2).flatten(2)": "y.reshape(len(y), y.shape[2], -1)"}, 3,
           "Which axes did splitting swap?"),
    Mutant("heads", {"x.repeat_interleave(num_heads // x.shape[1], dim=1)":
                     "x.repeat(1, num_heads // x.shape[1], 1, 1)"}, 2, "query head 1"),
    # always slot 0; the empty slots as well; keys for values; only what is new; two that share
    Mutant("cache", {"self.keys, self.values = torch.zeros(shape), torch.zeros(shape)":
                     "self.keys = self.values = torch.zeros(shape)"}, 0, "keys: values differ"),
    Mutant("cache", {"start, end = self.length, self.length + k": "start, end = 0, 0 + k"}, 1,
           "first free one"),
    Mutant("cache", {"self.keys[:, :, :end], self.values[:, :, :end]": "self.keys, self.values"}, 0,
           "empty slots are not"),
    Mutant("cache", {"self.values[:, :, start:end] = v": "self.values[:, :, start:end] = k"}, 0,
           "values: values differ"),
    Mutant("cache", {"return self.keys[:, :, :end], self.values[:, :, :end]": "return k, v"}, 1,
           "first free one"),
    Mutant("cache", SHARED_LISTS, 2, "what to one cache?"),
    Mutant("cache", SHARED_ROOM, 2, "what to one cache?"),
    # no offset; cache not used, or filled and not read; no past in the mask; keys not turned
    Mutant("module", {"torch.arange(past, past + T)": "torch.arange(T)"}, 2, "positions, keys"),
    Mutant("module", {APPENDED: "            pass\n"}, 2, "What must a later piece know"),
    Mutant("module", {APPENDED: "            cache.append(k, v)\n"}, 2, "RuntimeError"),
    Mutant("module", {"causal_mask(past, T)": "causal_mask(0, T)"}, 2, "RuntimeError"),
    Mutant("module", {"rotate(q, *angles), rotate(k, *angles)": "rotate(q, *angles), k"}, 0,
           "Compare the order of your steps"),
    Mutant("module", {"(merge_heads(y))": "(y.reshape(*x.shape[:2], -1))"}, 0, "of your steps"),
    # windows one too wide, one too narrow, that forget the past, that look ahead
    Mutant("window", {WINDOW: "(behind >= 0) & (behind <= window)"}, 2, "are there at most?"),
    Mutant("window", {WINDOW: "(behind >= 0) & (behind < window - 1)"}, 2, "at most?"),
    Mutant("window", {"tokens[past:, None]": "tokens[:present, None]"}, 3, "which column is"),
    Mutant("window", {WINDOW: "behind.abs() < window"}, 2, "how many are there at most?"),
    # W tokens kept, W - 2, all; the first ones; only what is kept returned; -0; what is new only
    Mutant("window", {"self.most, self.length = window - 1, 0":
                      "self.most, self.length = window, 0"}, 2, "itself not counted?"),
    Mutant("window", {"self.most, self.length = window - 1, 0":
                      "self.most, self.length = max(0, window - 2), 0"}, 2.5, "itself not counted"),
    Mutant("window", {"min(self.most, k.shape[2])": "k.shape[2]"}, 2, "itself not counted?"),
    Mutant("window", {"        self.keys = k[:, :, start:].clone()":
                      "        self.keys = k[:, :, : self.length].clone()"}, 2.5, "keys: values"),
    Mutant("window", {"        return k, v\n": "        return self.keys, self.values\n"}, 2,
           "the shape is"),
    Mutant("window", {"self.keys = k[:, :, start:].clone()  # a mere view":
                      "self.keys = k[:, :, -self.length :].clone()  # a mere view"}, 3.5, "-0:"),
    Mutant("window", {KEEP: "        self.length = min(self.most, k.shape[2])\n"
                            "        return k, v\n"}, 2.5, "itself not counted?"),
    # keys alone, W for W - 1, everything, no shorter texts, query heads, always bf16
    Mutant("bytes", {"tokens * 2 * num": "tokens * num"}, 0, "one token leave in one layer"),
    Mutant("bytes", {"min(length, window - 1)": "min(length, window)"}, 1, "one token leave"),
    Mutant("bytes", {TOKENS: "len(kinds) * length"}, 1, "one token leave"),
    Mutant("bytes", {"min(length, window - 1)": "window - 1"}, 1, "longer than the window?"),
    Mutant("bytes", {"head_dim * bytes_per_number": "head_dim * 2"}, 1, "bytes has a number?"),
    Mutant("bytes", {"num_kv_heads * head_dim * bytes_per_number":
                     "num_kv_heads * head_dim * bytes_per_number / 1"}, 0, "must be an int"),
]  # fmt: skip

ALTERNATIVES = [
    Alternative("products by einsum, positions compared", {
        "torch.ones(present, past + present, dtype=torch.bool).tril(past)":
            "torch.arange(past + present)[None] <= torch.arange(past, past + present)[:, None]",
        "q @ k.transpose(-2, -1)": "torch.einsum('bhtd,bhsd->bhts', q, k)",
        "weights @ v ": "torch.einsum('bhts,bhsd->bhtd', weights, v) ",
    }),
    Alternative("softmax by hand, scaled queries, a mask that is added", {
        "q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])":
            "(q * q.shape[-1] ** -0.5) @ k.mT + torch.zeros_like(mask, dtype=q.dtype)"
            ".masked_fill(~mask, -1e30)",
        MASKED: "(scores - scores.amax(-1, True)).exp()\n    weights /= weights.sum(-1, True)",
    }),
    Alternative("loops over heads", {
        CUT: "torch.stack([x[..., n * head_dim : (n + 1) * head_dim]"
             " for n in range(width // head_dim)], dim=1)",
        "y.transpose(1, 2).flatten(2)": "torch.cat([y[:, n] for n in range(y.shape[1])], dim=-1)",
        "x.repeat_interleave(num_heads // x.shape[1], dim=1)":
            "torch.stack([x[:, h * x.shape[1] // num_heads] for h in range(num_heads)], dim=1)",
    }),
    Alternative("expanded keys, permuted heads", {
        CUT: "x.reshape(B, T, -1, head_dim).permute(0, 2, 1, 3).contiguous()",
        "x.repeat_interleave(num_heads // x.shape[1], dim=1)":
            "x[:, :, None].expand(-1, -1, num_heads // x.shape[1], -1, -1).flatten(1, 2)",
    }),
    Alternative("a cache that grows", {
        MAKE: "        self.kept, self.length = None, 0\n",
        STORE: """\
        both = torch.stack((k, v))
        self.kept = both if self.kept is None else torch.cat((self.kept, both), dim=3)
        self.length = self.kept.shape[3]
        return self.kept[0], self.kept[1]
""",
    }),
    Alternative("other names and a helper", {
        "        y = attention(q, k, v, causal_mask(past, T))  # (B, H, T, d)\n":
            "        blended = look(q, k, v, past)\n",
        "self.o_proj(merge_heads(y))": "self.o_proj(merge_heads(blended))",
        "class Attention(nn.Module):":
            "def look(asking, found, told, before):\n"
            "    table = causal_mask(before, asking.shape[2])\n"
            "    return attention(asking, found, told, table)\n\n\nclass Attention(nn.Module):",
    }),
    Alternative("keys shared before they are grouped, no repetition", {
        "k, v = share_heads(k, config.num_heads), share_heads(v, config.num_heads)":
            "q = q.unflatten(1, (k.shape[1], -1)).flatten(2, 3)  # (B, K, H/K·T, d)",
        "y = attention(q, k, v, causal_mask(past, T))":
            "groups = q.shape[2] // T\n"
            "        y = attention(q, k, v, causal_mask(past, T).repeat(groups, 1))\n"
            "        y = y.unflatten(2, (groups, T)).flatten(1, 2)",
    }),
    Alternative("a window by triangles, keys and values in one tensor, layers counted", {
        WINDOW: "causal_mask(past, present).triu(past - window + 1)",
        EMPTY: "        self.kept = torch.zeros(2, batch_size, num_kv_heads, 0, head_dim)\n",
        KEEP: """\
        both = torch.cat((self.kept, torch.stack((k, v))), dim=3)
        self.kept = both[:, :, :, max(0, both.shape[3] - self.most) :]
        self.length = self.kept.shape[3]
        return both[0], both[1]
""",
        TOKENS: 'kinds.count("full") * length + kinds.count("sliding") * min(length, window - 1)',
    }),
    Alternative("a room of W - 1 tokens that is taken once", {
        EMPTY: "        shape = 2, batch_size, num_kv_heads, self.most, head_dim\n"
               "        self.room = torch.zeros(shape)\n",
        KEEP: """\
        both = torch.cat((self.room[:, :, :, : self.length], torch.stack((k, v))), dim=3)
        last = both[:, :, :, max(0, both.shape[3] - self.most) :]
        self.length = last.shape[3]
        self.room[:, :, :, : self.length] = last
        return both[0], both[1]
""",
    }),
]  # fmt: skip
