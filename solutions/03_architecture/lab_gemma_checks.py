"""Private checks of the lab "build Gemma from its config": never released.

All sizes in a check differ from one another, so that a wrong axis shows, and no number of a config
is the published one, so that a constant shows. Shapes as in the notebook.
"""

from minimodels.classroom.forbidden import TORCH_RMS_NORM
from minimodels.classroom.lab import Alternative, Check, Mutant

FORBIDDEN = [
    "minimodels.architecture",
    "minimodels.kernels",
    "minimodels.training",
    "minimodels.parallelism",
    "minimodels.finetuning",
    "minimodels.inference",
    "minimodels.evaluation",
    "minimodels.experiments",
    "minimodels.lifecycle",
    "transformers",
    "peft",
    *TORCH_RMS_NORM,
]
SECONDS = 10

FULL, SLIDING = "full_attention", "sliding_attention"
THIRD = {"model_type": "gemma3_text", "vocab_size": 31, "hidden_size": 20, "intermediate_size": 26,
         "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 8,
         "rms_norm_eps": 1e-3, "rope_theta": 3000.0, "rope_local_base_freq": 70.0,
         "rope_scaling": {"rope_type": "linear", "factor": 3.0}, "sliding_window": 3,
         "layer_types": [SLIDING, FULL, SLIDING], "query_pre_attn_scalar": 3.0}  # fmt: skip
FIRST = {"model_type": "gemma", "vocab_size": 29, "hidden_size": 22, "intermediate_size": 18,
         "num_hidden_layers": 2, "num_attention_heads": 5, "num_key_value_heads": 1, "head_dim": 6,
         "rms_norm_eps": 1e-3, "rope_theta": 500.0}  # fmt: skip


def normal(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def layer_weights(rng, config):
    """Random tensors of one layer, large enough that each of them matters."""
    D, d, wide = config["hidden_size"], config["head_dim"], config["intermediate_size"]
    H, K = config["num_attention_heads"], config["num_key_value_heads"]
    matrices = {"self_attn.q_proj": (H * d, D), "self_attn.k_proj": (K * d, D),
                "self_attn.v_proj": (K * d, D), "self_attn.o_proj": (D, H * d),
                "mlp.gate_proj": (wide, D), "mlp.up_proj": (wide, D),
                "mlp.down_proj": (D, wide)}  # fmt: skip
    vectors = {"input_layernorm": D, "post_attention_layernorm": D}
    if config["model_type"] != "gemma":
        vectors |= {"self_attn.q_norm": d, "self_attn.k_norm": d, "pre_feedforward_layernorm": D,
                    "post_feedforward_layernorm": D}  # fmt: skip
    found = {f"{name}.weight": normal(rng, *shape) / shape[1] ** 0.5
             for name, shape in matrices.items()}  # fmt: skip
    return found | {f"{name}.weight": 0.5 * normal(rng, size) for name, size in vectors.items()}


def whole_weights(rng, config):
    """Random tensors of a whole model, under the names of the file."""
    D = config["hidden_size"]
    found = {"model.embed_tokens.weight": 0.5 * normal(rng, config["vocab_size"], D),
             "model.norm.weight": 0.5 * normal(rng, D)}  # fmt: skip
    for n in range(config["num_hidden_layers"]):
        layer = layer_weights(rng, config)
        found |= {f"model.layers.{n}.{name}": tensor for name, tensor in layer.items()}
    return found


# 1. The tensors of the file


def small_gemma_1(rng):
    return {"configs": {"a Gemma 1": FIRST}, "only_count": False}


def small_gemma_3(rng):
    layers = int(rng.integers(4, 13))
    untold = {**THIRD, "num_hidden_layers": layers, "sliding_window_pattern": 2}
    del untold["layer_types"]
    return {"configs": {"a Gemma 3": untold}, "only_count": False}


def drawn_sizes(rng):
    configs = {}
    for name, config in (("a Gemma 1", FIRST), ("a Gemma 3", THIRD)):
        fields = ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads",
                  "num_key_value_heads", "head_dim")  # fmt: skip
        sizes = {field: int(rng.integers(2, 99)) for field in fields}
        configs[f"{name} of drawn sizes"] = {**config, **sizes}
    return {"configs": configs, "only_count": True}


def published_sizes(rng):
    rows = {"270M": (262_144, 640, 2048, 18, 4, 1, 256),
            "12B": (262_208, 3840, 15_360, 48, 16, 8, 256),
            "27B": (262_208, 5376, 21_504, 62, 32, 16, 128)}  # fmt: skip
    fields = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
              "num_attention_heads", "num_key_value_heads", "head_dim")  # fmt: skip
    configs = {f"Gemma 3 {name}": {**THIRD, **dict(zip(fields, row, strict=True))}
               for name, row in rows.items()}  # fmt: skip
    return {"configs": configs, "only_count": True}


def listed(namespace, inputs):
    results = {}
    for name, config in inputs["configs"].items():
        results[f"parameters of {name}"] = namespace["parameters"](config)
        if not inputs["only_count"]:
            found = namespace["shapes"](config)
            results = {key: [int(size) for size in shape] for key, shape in found.items()}
    return results


# 2. The norm


def vectors(rng):
    return {"x": normal(rng, 2, 3, 7), "weight": normal(rng, 7), "eps": 1e-6, "dtype": "float32"}


def heads(rng):
    x = 0.5 * normal(rng, 2, 3, 4, 5)
    return {"x": x, "weight": normal(rng, 5), "eps": 0.3, "dtype": "float32"}


def short_numbers(rng):
    return {**vectors(rng), "dtype": "bfloat16"}


def normed(namespace, inputs):
    import torch

    dtype = getattr(torch, inputs["dtype"])
    x, weight = (torch.from_numpy(inputs[name]).to(dtype) for name in ("x", "weight"))
    y = namespace["rms_norm"](x, weight, inputs["eps"])
    return {"dtype": str(y.dtype), "normed": y, "x afterwards": x}


# 3. The MLP


def large_tokens(rng):
    return {"x": 8 * normal(rng, 2, 3, 7), "gate": normal(rng, 9, 7) / 7**0.5,
            "up": normal(rng, 9, 7) / 7**0.5, "down": normal(rng, 7, 9) / 3}  # fmt: skip


def tokens_in_the_bend(rng):
    return {**large_tokens(rng), "x": 2 * normal(rng, 2, 4, 7)}


def gated(namespace, inputs):
    import torch

    names = ("x", "gate", "up", "down")
    return namespace["geglu"](*(torch.from_numpy(inputs[name]) for name in names))


# 4. Positions


def unscaled(rng):
    none = {**THIRD, "rope_scaling": None}
    return {"cases": [["a Gemma 3", none, FULL], ["a Gemma 1", FIRST, FULL]]}


def stretched(rng):
    factor = float(rng.integers(2, 9))
    scaled = {**THIRD, "rope_scaling": {"rope_type": "linear", "factor": factor}, "head_dim": 10}
    return {"cases": [["a stretched Gemma 3", scaled, FULL]]}


def sliding(rng):
    return {"cases": [["a stretched Gemma 3", THIRD, SLIDING],
                      ["a Gemma 3", {**THIRD, "rope_scaling": None}, SLIDING]]}  # fmt: skip


def turning(namespace, inputs):
    return {f"{kind} of {name}": namespace["frequencies"](config, kind)
            for name, config, kind in inputs["cases"]}  # fmt: skip


def first_tokens(rng):
    return {"x": normal(rng, 2, 3, 5, 8), "positions": [0, 1, 2, 3, 4],
            "frequency": normal(rng, 4)}  # fmt: skip


def later_tokens(rng):
    start = int(rng.integers(20, 60))
    return {"x": normal(rng, 2, 3, 4, 10), "positions": [start, start + 1, start + 7, 9],
            "frequency": normal(rng, 5)}  # fmt: skip


def turned(namespace, inputs):
    import torch

    x, frequency = torch.from_numpy(inputs["x"]), torch.from_numpy(inputs["frequency"])
    positions = torch.tensor(inputs["positions"])
    return {"turned": namespace["rotate"](x, positions, frequency), "x afterwards": x}


# 5. Kinds and masks


def spelled_kinds(rng):
    both = {**THIRD, "sliding_window_pattern": 3}
    drawn = {**THIRD, "num_hidden_layers": 13, "sliding_window_pattern": int(rng.integers(3, 7))}
    del drawn["layer_types"]
    return {"configs": {"a list": both, "a pattern": drawn, "Gemma 1": FIRST}}


def kinds(namespace, inputs):
    found = {}
    for name, config in inputs["configs"].items():
        found[name] = [str(kind) for kind in namespace["layer_kinds"](config)]
    return found


def no_window(rng):
    past = int(rng.integers(2, 9))
    return {"cases": [[0, 5, None], [past, 3, None], [past, 1, None]]}


def windows_of_whole_texts(rng):
    return {"cases": [[0, 9, int(rng.integers(2, 6))], [0, 4, 1], [0, 3, 3], [0, 3, 8]]}


def windows_with_a_past(rng):
    past = int(rng.integers(4, 9))
    return {"cases": [[past, 4, 3], [past, 1, 2], [1, 5, 4], [past, 2, 99]]}


def masks(namespace, inputs):
    found = {}
    for past, present, window in inputs["cases"]:
        more = () if window is None else (window,)
        name = f"visible({', '.join(map(str, (past, present, *more)))})"
        found[name] = namespace["visible"](past, present, *more)
    return found


# 6 and 7. Attention and block: `pieces` of one batch of texts, or of two in turns


def layer_of(rng, config, kind, T, pieces, texts=1):
    return {"config": config, "kind": kind, "weights": layer_weights(rng, config),
            "x": normal(rng, texts, 2, T, config["hidden_size"]), "pieces": pieces}  # fmt: skip


def gemma_1_layer(rng):
    return layer_of(rng, FIRST, FULL, 7, [])


def full_layer(rng):
    return layer_of(rng, THIRD, FULL, 7, [])


def sliding_layer(rng):
    return layer_of(rng, THIRD, SLIDING, 9, [])


def full_layer_in_pieces(rng):
    return layer_of(rng, THIRD, FULL, 8, [[0, 0, 3], [0, 3, 4], [0, 4, 8]])


def sliding_layer_in_turns(rng):
    return layer_of(rng, THIRD, SLIDING, 8, [[0, 0, 5], [1, 0, 2], [0, 5, 6], [1, 2, 8], [0, 6, 8]],
                    texts=2)  # fmt: skip


def attended(namespace, inputs):
    import torch

    config, kind, x = inputs["config"], inputs["kind"], torch.from_numpy(inputs["x"])
    weights = {name.removeprefix("self_attn."): torch.from_numpy(tensor)
               for name, tensor in inputs["weights"].items() if "self_attn." in name}  # fmt: skip
    if not inputs["pieces"]:
        return namespace["attention"](x[0], weights, config, kind)
    caches = [namespace["LayerCache"]() for _ in x]
    return {f"text {text}, tokens {start} to {end - 1}":
            namespace["attention"](x[text][:, start:end], weights, config, kind, caches[text])
            for text, start, end in inputs["pieces"]}  # fmt: skip


def blocked(namespace, inputs):
    import torch

    config, kind, x = inputs["config"], inputs["kind"], torch.from_numpy(inputs["x"])
    weights = {name: torch.from_numpy(tensor) for name, tensor in inputs["weights"].items()}
    if not inputs["pieces"]:
        return {"out": namespace["block"](x[0], weights, config, kind), "x afterwards": x[0]}
    caches = [namespace["LayerCache"]() for _ in x]
    return {f"text {text}, tokens {start} to {end - 1}":
            namespace["block"](x[text][:, start:end], weights, config, kind, caches[text])
            for text, start, end in inputs["pieces"]}  # fmt: skip


# 8. The model


def model_of(rng, config, T, pieces):
    tokens = rng.integers(config["vocab_size"], size=(2, T)).astype("int64")
    return {"config": config, "weights": whole_weights(rng, config), "tokens": tokens,
            "pieces": pieces}  # fmt: skip


def gemma_1_model(rng):
    return model_of(rng, FIRST, 6, [])


def gemma_3_model(rng):
    deep = {**THIRD, "num_hidden_layers": 11, "sliding_window_pattern": 3}
    del deep["layer_types"]  # and layer 1 is the beginning of the name of layer 10
    return model_of(rng, deep, 7, [])


def model_in_pieces(rng):
    return model_of(rng, THIRD, 8, [[0, 4], [4, 5], [5, 8]])


def modeled(namespace, inputs):
    import torch

    config, tokens = inputs["config"], torch.from_numpy(inputs["tokens"])
    weights = {name: torch.from_numpy(tensor) for name, tensor in inputs["weights"].items()}
    if not inputs["pieces"]:
        return namespace["gemma"](tokens, config, weights)
    caches = [namespace["LayerCache"]() for _ in range(config["num_hidden_layers"])]
    return {f"tokens {start} to {end - 1}":
            namespace["gemma"](tokens[:, start:end], config, weights, caches)
            for start, end in inputs["pieces"]}  # fmt: skip


CHECKS = [
    Check("shapes", listed, small_gemma_1, 1, why="each tensor of a Gemma 1, and no other",
          message="What comes out of this matrix, and what goes in? And what has only Gemma 3?"),
    Check("shapes", listed, small_gemma_3, 1, why="each tensor of a Gemma 3, and no other",
          message="Gemma 3 has four tensors more in each layer, and layers count from 0."),
    Check("shapes", listed, drawn_sizes, 1, why="every size comes from the config",
          message="A head's numbers are its own choice: H times d need not be D."),
    Check("shapes", listed, published_sizes, 1, why="the counts of three published members",
          message="Divide yours by the published count: which part is there too often?"),
    Check("norm", normed, vectors, 1, atol=1e-5, why="a vector is divided by its root mean square",
          message="Do it by hand for one vector of two numbers and a weight of zeros."),
    Check("norm", normed, heads, 1, atol=1e-5, why="eps stands inside the root, for any shape of x",
          message="Compare the place of eps with the formula, and the axis of the mean."),
    Check("norm", normed, short_numbers, 1, rtol=1e-2, atol=1e-2, why="bf16 in, bf16 out",
          message="You compute in float32. What comes back?"),
    Check("mlp", gated, large_tokens, 1, rtol=1e-2, atol=0.2, why="one branch gates the other",
          message="Which branch goes through gelu, and how do the two meet?"),
    Check("mlp", gated, tokens_in_the_bend, 1, atol=1e-4, why="the tanh form of gelu",
          message="gelu has an argument that chooses its form."),
    Check("rope", turning, unscaled, 1, why="full layers take rope_theta",
          message="Pair 0 turns by 1 radian, pair i by theta to the power of -2i/d."),
    Check("rope", turning, stretched, 1, why="a stretched text turns slower by its factor",
          message="Eight times as many tokens for the same turn: which way does the factor go?"),
    Check("rope", turning, sliding, 1, why="sliding layers take the local base, unstretched",
          message="Which field has their base, and whom does rope_scaling concern?"),
    Check("rope", turned, first_tokens, 1, atol=1e-5, why="pair i is number i and number i + d/2",
          message="Follow one pair at position 1: which two numbers are it, and with which signs?"),
    Check("rope", turned, later_tokens, 1, rtol=1e-3, atol=1e-3,
          why="a token turns by its own position",
          message="Positions are given. They need not begin at 0, nor follow one another."),
    Check("mask", kinds, spelled_kinds, 1, why="the kind of each layer, however it is said",
          message="A list counts before a pattern. In a pattern of n, which layers are full?"),
    Check("mask", masks, no_window, 1, why="without a window, all up to itself",
          message="Row 0 is token number `past`. How many keys does it see?"),
    Check("mask", masks, windows_of_whole_texts, 1, why="the last `window` tokens up to itself",
          message="Count the dots in a row of the left picture: how many are there at most?"),
    Check("mask", masks, windows_with_a_past, 1, why="a window that reaches into the past",
          message="Compare with the right picture: which column is the first that row 0 sees?"),
    Check("attention", attended, gemma_1_layer, 1, atol=1e-5, why="a layer of Gemma 1",
          message="Which two fields or tensors does it lack, and what holds then?"),
    Check("attention", attended, full_layer, 1, atol=1e-5, why="a full layer of Gemma 3",
          message="Follow row 1 of one head: norm, turn, scale. In which order?"),
    Check("attention", attended, sliding_layer, 1, atol=1e-5, why="a layer that slides",
          message="Two things depend on the kind of a layer. Which?"),
    Check("attention", attended, full_layer_in_pieces, 1, atol=1e-5,
          why="a full layer in pieces through the cache, the same rows",
          message="What must a later piece know of the earlier ones: positions, keys, mask?"),
    Check("attention", attended, sliding_layer_in_turns, 1, atol=1e-5,
          why="two texts in turns through a layer that slides, a cache each",
          message="Does the window of a later piece reach back into the earlier one?"),
    Check("block", blocked, gemma_1_layer, 1, atol=1e-5, why="a block of Gemma 1",
          message="Two norms, each in front of what reads; the stream is added to twice."),
    Check("block", blocked, sliding_layer, 1, atol=1e-5, why="a block of Gemma 3",
          message="Four norms: which of them stand behind something, before it is added?"),
    Check("block", blocked, sliding_layer_in_turns, 1, atol=1e-5,
          why="two texts in turns, a cache each", message="Who inside the block needs the cache?"),
    Check("model", modeled, gemma_1_model, 1, atol=1e-4, why="a whole Gemma 1",
          message="What happens to the rows of the embedding, and what happens at the end?"),
    Check("model", modeled, gemma_3_model, 2, atol=1e-4, why="a Gemma 3 of eleven layers",
          message="Does each layer get its own kind, and its own tensors?"),
    Check("model", modeled, model_in_pieces, 1, atol=1e-4,
          why="a text in pieces, a cache for each layer",
          message="Which cache does layer 1 get?"),
]  # fmt: skip

NORMS = """\
    if "q_norm.weight" in weights:
        q = rms_norm(q, weights["q_norm.weight"], eps)
        k = rms_norm(k, weights["k_norm.weight"], eps)
"""
TURN = "    q, k = rotate(q, positions, frequency), rotate(k, positions, frequency)\n"
WINDOW = 'config["sliding_window"] if kind == SLIDING else None'
APPENDED = "        k, v = cache.append(k, v)  # (B, K, S, d)\n"
ATTENDED = "y = attend(q, k, v, visible(past, T, window), scale)  # (B, H, T, d)"
PROJECTED = """\
    q, k, v = (
        (x @ weights[f"{name}_proj.weight"].T).unflatten(-1, (-1, d)).transpose(1, 2)
        for name in "qkv"
    )  # (B, H, T, d), (B, K, T, d), (B, K, T, d)
"""
SQUARED = "wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)"
OPENED = 'nn.functional.gelu(x @ gate.T, approximate="tanh")'
BEHIND_ATTENTION = '(y if first else norm("post_attention_layernorm", y))'
BEHIND_MLP = '(y if first else norm("post_feedforward_layernorm", y))'
BEFORE_MLP = '"post_attention_layernorm" if first else "pre_feedforward_layernorm"'
GIVEN = 'part(weights, "self_attn."), config, kind, cache)\n    x = x'
ROTATED = "torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)"
SEEN = """\
    seen = torch.ones(present, past + present, dtype=torch.bool).tril(past)
    if window is not None:
        seen = seen.triu(past - window + 1)
    return seen
"""
BLOCK = """\
    y = attention(norm("input_layernorm", x), part(weights, "self_attn."), config, kind, cache)
    x = x + (y if first else norm("post_attention_layernorm", y))
    y = norm("post_attention_layernorm" if first else "pre_feedforward_layernorm", x)
"""

MUTANTS = [
    # transposed; heads of D / H numbers; as many key heads as query heads; a head of its own
    Mutant("shapes", {'"self_attn.q_proj.weight": (H * d, D)':
                      '"self_attn.q_proj.weight": (D, H * d)'}, 2, "What comes out"),
    Mutant("shapes", {'"self_attn.q_proj.weight": (H * d, D)': '"self_attn.q_proj.weight": (D, D)',
                      '"self_attn.o_proj.weight": (D, H * d)': '"self_attn.o_proj.weight": (D, D)'},
           0, "What comes out of this matrix"),
    Mutant("shapes", {'"self_attn.k_proj.weight": (K * d, D)':
                      '"self_attn.k_proj.weight": (H * d, D)'}, 0, "What comes out"),
    Mutant("shapes", {'        "model.norm.weight": (D,),\n': '        "model.norm.weight": (D,),\n'
                      '        "lm_head.weight": (config["vocab_size"], D),\n'}, 0,
           "'lm_head.weight' should not be there"),
    # Gemma 3's norms in both, in none; layers from 1; one number where a head has d
    Mutant("shapes", {'if config["model_type"] != "gemma":': "if True:"}, 2, "has only Gemma 3?"),
    Mutant("shapes", {'if config["model_type"] != "gemma":': "if False:"}, 1, "is missing"),
    Mutant("shapes", {'range(config["num_hidden_layers"])':
                      'range(1, config["num_hidden_layers"] + 1)'}, 2, "is missing"),
    Mutant("shapes", {'"self_attn.k_norm.weight": (d,)': '"self_attn.k_norm.weight": (K * d,)'}, 1,
           "Gemma 3 has four tensors more"),
    # w for 1 + w; the mean over everything; mean subtracted; no square root
    Mutant("norm", {"(1.0 + weight.float())": "weight.float()"}, 0, "weight of zeros"),
    Mutant("norm", {"mean(-1, keepdim=True)": "mean()"}, 0, "for one vector"),
    Mutant("norm", {"wide = x.float()": "wide = x.float() - x.float().mean(-1, keepdim=True)"}, 0,
           "for one vector"),
    Mutant("norm", {"torch.rsqrt(": "1 / ("}, 0, "for one vector"),
    # eps outside the root, another dtype back, x written into
    Mutant("norm", {"keepdim=True) + eps)": "keepdim=True)) + eps"}, 2, "the place of eps"),
    Mutant("norm", {".type_as(x)": ""}, 2, "What comes back?"),
    Mutant("norm", {"wide = wide * torch": "wide *= torch"}, 1, "x afterwards"),
    # branches swapped, the exact gelu, SwiGLU, a sum of branches, both through gelu
    Mutant("mlp", {"x @ gate.T, app": "x @ up.T, app", "(x @ up.T)) @": "(x @ gate.T)) @"}, 0,
           "Which branch goes through gelu"),
    Mutant("mlp", {', approximate="tanh"': ""}, 1, "chooses its form"),
    Mutant("mlp", {OPENED: "nn.functional.silu(x @ gate.T)"}, 0, "Which branch"),
    Mutant("mlp", {"opened * (x": "opened + (x"}, 0, "how do the two meet?"),
    # one base for both, bases swapped; stretched everywhere, the wrong way; half the exponent
    Mutant("rope", {'config["rope_local_base_freq"] if kind == SLIDING else config["rope_theta"]':
                    'config["rope_theta"]'}, 4, "Which field has their base"),
    Mutant("rope", {"if kind == SLIDING else config[": "if kind == FULL else config["}, 2,
           "KeyError"),
    Mutant("rope", {"if kind == FULL and scaling is not None": "if scaling is not None"}, 4,
           "whom does rope_scaling concern?"),
    Mutant("rope", {'frequency / scaling["factor"]': 'frequency * scaling["factor"]'}, 4,
           "which way does the factor go?"),
    Mutant("rope", {"torch.arange(0, d, 2) / d)": "torch.arange(0, d, 2) / (2 * d))"}, 2, "Pair 0"),
    Mutant("rope", {'config.get("rope_scaling")': 'config["rope_scaling"]'}, 4, "KeyError"),
    # neighbors as pairs, the other direction, positions counted anew, halves in the other order
    Mutant("rope", {"x.chunk(2, dim=-1)": "(x[..., ::2], x[..., 1::2])"}, 3, "which two numbers"),
    Mutant("rope", {ROTATED: "torch.cat((a * cos + b * sin, b * cos - a * sin), dim=-1)"}, 3,
           "with which signs?"),
    Mutant("rope", {"positions[:, None].float()": "torch.arange(len(positions))[:, None]"}, 4,
           "They need not begin at 0"),
    # a pattern that is one off, that wins over the list, a Gemma 1 that slides
    Mutant("mask", {"(layer + 1) % every": "layer % every"}, 3, "which layers are full?"),
    Mutant("mask", {"is not None:\n        return list": "is not None and "
                    '"sliding_window_pattern" not in config:\n        return list'}, 3,
           "A list counts before a pattern"),
    Mutant("mask", {"return [FULL] * L": "return [SLIDING] * L"}, 3, "Gemma 1"),
    # windows one too wide and too narrow, that forget the past; a row that does
    Mutant("mask", {"past - window + 1": "past - window"}, 2, "how many are there at most?"),
    Mutant("mask", {"past - window + 1": "past - window + 2"}, 2, "how many are there at most?"),
    Mutant("mask", {"past - window + 1": "1 - window"}, 3, "which column is the first"),
    Mutant("mask", {".tril(past)": ".tril()"}, 2, "Row 0 is token number `past`"),
    Mutant("mask", {"dtype=torch.bool": "dtype=torch.float32"}, 1, "must be bool"),
    # no norms, norms behind the turn, one weight for both, values normed
    Mutant("attention", {NORMS: ""}, 1, "norm, turn, scale"),
    Mutant("attention", {NORMS: "", TURN: TURN + NORMS}, 1, "In which order?"),
    Mutant("attention", {'rms_norm(k, weights["k_norm.weight"], eps)':
                         'rms_norm(k, weights["q_norm.weight"], eps)'}, 1, "Follow row 1"),
    Mutant("attention", {'if "q_norm.weight" in weights:': "if True:"}, 4, "KeyError"),
    # the scale of the head, without its root; windows everywhere, nowhere; one base
    Mutant("attention", {'config.get("query_pre_attn_scalar", d)': "d"}, 1, "scale"),
    Mutant("attention", {'scalar", d) ** -0.5': 'scalar", d) ** -1'}, 0, "Which two fields"),
    Mutant("attention", {WINDOW: "None"}, 3, "depend on the kind"),
    Mutant("attention", {WINDOW: 'config.get("sliding_window")'}, 3, "Follow row 1"),
    Mutant("attention", {"past + T), frequencies(config, kind)":
                         "past + T), frequencies(config, FULL)"}, 3, "depend on the kind"),
    # positions from 0, no past in the mask, a cache that is not read, length asked for too late
    Mutant("attention", {"torch.arange(past, past + T)": "torch.arange(T)"}, 3, "positions, keys"),
    Mutant("attention", {"visible(past, T, window)": "visible(0, T, window)"}, 3, "RuntimeError"),
    Mutant("attention", {APPENDED: "        cache.append(k, v)\n"}, 3, "RuntimeError"),
    Mutant("attention", {APPENDED: APPENDED + "        past = cache.length\n"}, 3, "RuntimeError"),
    Mutant("attention", {".unflatten(-1, (-1, d)).transpose(1, 2)":
                         ".reshape(len(x), -1, T, d)"}, 0, "Which two fields"),
    # what is written is not normed, one norm behind the sum, the trap, the old stream
    Mutant("block", {BEHIND_ATTENTION: "y"}, 1, "behind something"),
    Mutant("block", {BEHIND_MLP: "y"}, 1, "behind something"),
    Mutant("block", {f"x = x + {BEHIND_ATTENTION}":
                     'x = x + y if first else norm("post_attention_layernorm", x + y)'}, 1,
           "before it is added"),
    Mutant("block", {BEFORE_MLP: '"post_attention_layernorm"'}, 1, "Four norms"),
    Mutant("block", {f"return x + {BEHIND_MLP}": f"return {BEHIND_MLP}"}, 0, "added to twice"),
    Mutant("block", {"x = x + (y if first": "x = (y if first"}, 0, "added to twice"),
    Mutant("block", {GIVEN: GIVEN.replace(", cache", "")}, 2, "needs the cache?"),
    # no root of D, D itself, the root at the head too, no last norm
    Mutant("model", {' * config["hidden_size"] ** 0.5': ""}, 0, "rows of the embedding"),
    Mutant("model", {'config["hidden_size"] ** 0.5': 'config["hidden_size"]'}, 0, "rows of the"),
    Mutant("model", {"return x @ embedding.T":
                     'return x @ (embedding * config["hidden_size"] ** 0.5).T'}, 0, "at the end"),
    Mutant("model", {'    x = rms_norm(x, weights["model.norm.weight"], config["rms_norm_eps"])\n':
                     ""}, 0, "at the end"),
    # one kind for all, one cache for all, names cut too early, layers backwards
    Mutant("model", {"config, kind, cache)\n    x = rms": "config, FULL, cache)\n    x = rms"}, 1,
           "its own kind"),
    Mutant("model", {"caches[n]": "caches[0]"}, 3, "Which cache does layer 1 get?"),
    Mutant("model", {'f"model.layers.{n}."': 'f"model.layers.{len(layer_kinds(config)) - 1 - n}."'},
           0, "rows of the embedding"),
]  # fmt: skip

ALTERNATIVES = [
    Alternative("norm by division, MLP by linear, complex turns, masks by comparison", {
        SQUARED: "wide / (wide.square().sum(-1, keepdim=True) / x.shape[-1] + eps).sqrt()",
        OPENED: "nn.functional.linear(x, gate)\n    opened = opened / 2 * (1 + torch.tanh("
                "(2 / math.pi) ** 0.5 * (opened + 0.044715 * opened**3)))",
        "    a, b = x.chunk(2, dim=-1)  # (B, N, T, d/2) each\n":
            "    half = x.shape[-1] // 2\n"
            "    z = torch.complex(x[..., :half], x[..., half:]) * torch.complex(cos, sin)\n",
        ROTATED: "torch.cat((z.real, z.imag), dim=-1)",
        SEEN: """\
    apart = torch.arange(past, past + present)[:, None] - torch.arange(past + present)
    return (apart >= 0) & (apart < (window or math.inf))
""",
    }),
    Alternative("frequencies one by one, kinds in a loop, shapes counted by part", {
        "theta ** (-torch.arange(0, d, 2) / d)":
            "torch.tensor([1 / theta ** (2 * i / d) for i in range(d // 2)])",
        "[SLIDING if (layer + 1) % every else FULL for layer in range(L)]":
            "(([SLIDING] * (every - 1) + [FULL]) * L)[:L]",
        "sum(math.prod(shape) for shape in shapes(config).values())":
            "sum(torch.empty(shape, device='meta').numel() for shape in shapes(config).values())",
    }),
    Alternative("attention written out, keys shared by repetition", {
        ATTENDED: """\
k, v = (each.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for each in (k, v))
    scores = torch.einsum("bhtd,bhsd->bhts", q * scale, k)
    scores = scores.masked_fill(~visible(past, T, window), -torch.inf)
    y = scores.softmax(dim=-1) @ v""",
    }),
    Alternative("three projections by name, a scaled query", {
        PROJECTED: """\
    def heads(name):
        y = nn.functional.linear(x, weights[name + "_proj.weight"])
        return y.view(*x.shape[:2], -1, d).permute(0, 2, 1, 3)

    q, k, v = heads("q"), heads("k"), heads("v")
""",
        ATTENDED: "y = attend(q * scale, k, v, visible(past, T, window), 1.0)",
    }),
    Alternative("a block of two halves", {
        BLOCK: """\
    heard = attention(norm("input_layernorm", x), part(weights, "self_attn."), config, kind, cache)
    if first:
        x = x + heard
        y = norm("post_attention_layernorm", x)
    else:
        x = x + norm("post_attention_layernorm", heard)
        y = norm("pre_feedforward_layernorm", x)
""",
    }),
    Alternative("logits by linear, a root from math", {
        "return x @ embedding.T": "return nn.functional.linear(x, embedding)",
        'embedding[tokens] * config["hidden_size"] ** 0.5':
            'nn.functional.embedding(tokens, embedding) * math.sqrt(embedding.shape[1])',
    }),
]  # fmt: skip
