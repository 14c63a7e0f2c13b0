"""Private checks of the lab "MoE routing with load balancing": never released.

All sizes in a check differ from one another, so that a wrong axis shows. Shapes as in the notebook.
"""

from minimodels.classroom.lab import Alternative, Check, Mutant

FORBIDDEN = [
    "minimodels.architecture.moe",
    "minimodels.architecture.routing",
    "minimodels.architecture.balancing",
    "minimodels.architecture.families.mixtral",
    "minimodels.architecture.families.gemma4",
    "minimodels.architecture.families.nemotron_h",
    "minimodels.experiments",
    "transformers",
    "peft",
    "torch.nn.functional.grouped_mm",
    "torch._grouped_mm",
]
SECONDS = 10


def normal(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def choices(rng, N, E, k):
    """k different experts for each of N tokens, int64 (N, k)."""
    return rng.random((N, E)).argsort(1)[:, :k]


# 1. The route


def two_of_seven(rng):
    return {"logits": normal(rng, 11, 7), "k": [2, 3]}


def one_of_five(rng):
    return {"logits": normal(rng, 6, 5), "k": [1, 5]}


def large_logits(rng):
    return {"logits": 200 + normal(rng, 9, 6), "k": [2]}


def routed(namespace, inputs):
    import torch

    logits, found = torch.from_numpy(inputs["logits"]), {}
    for k in inputs["k"]:
        weights, experts = namespace["route"](logits, k)
        found[f"experts, k={k}"], found[f"weights, k={k}"] = experts, weights
    return found


# 2. The dispatch: expert e is tanh(rows @ maps[e]), and its rows are counted


def pairs(rng, N, E, k, D=5):
    return {"x": normal(rng, N, D), "maps": normal(rng, E, D, D), "experts": choices(rng, N, E, k),
            "weights": rng.random((N, k)).astype("float32")}  # fmt: skip


def two_each(rng):
    return pairs(rng, 13, 4, 2)


def three_each(rng):
    return pairs(rng, 8, 11, 3)  # some experts are idle


def one_token(rng):
    inputs = pairs(rng, 1, 6, 2)
    inputs["experts"][0] = sorted(inputs["experts"][0], reverse=True)  # not as sorting has them
    return inputs


def answers(namespace, inputs):
    import torch

    maps = torch.from_numpy(inputs["maps"])
    x, weights, experts = (torch.from_numpy(inputs[name]) for name in ("x", "weights", "experts"))
    return namespace["dispatch"](x, weights, experts, lambda e, rows: (rows @ maps[int(e)]).tanh())


def rows_asked(namespace, inputs):
    import torch

    asked = [0] * len(inputs["maps"])

    def network(e, rows):
        asked[int(e)] += rows.shape[0]
        return rows

    x, weights, experts = (torch.from_numpy(inputs[name]) for name in ("x", "weights", "experts"))
    namespace["dispatch"](x, weights, experts, network)
    return {"rows by expert": asked}


# 3. The balancing loss


def one_choice(rng):
    return {"logits": 2 * normal(rng, 14, 6), "experts": choices(rng, 14, 6, 1)}


def two_choices(rng):
    return {"logits": 2 * normal(rng, 10, 7), "experts": choices(rng, 10, 4, 2)}  # 4 to 6 idle


def price(namespace, inputs):
    import torch

    logits = torch.from_numpy(inputs["logits"])
    return namespace["balance_loss"](logits, torch.from_numpy(inputs["experts"]))


def pushed(namespace, inputs):
    import torch

    logits = torch.from_numpy(inputs["logits"]).requires_grad_()
    namespace["balance_loss"](logits, torch.from_numpy(inputs["experts"])).backward()
    return {"gradient of the logits": logits.grad}


# 4. Rooms


def single_file(rng):
    return {"experts": choices(rng, 17, 4, 1), "num_experts": 4, "capacities": [1, 3, 5]}


def two_files(rng):
    return {"experts": choices(rng, 12, 5, 2), "num_experts": 5, "capacities": [1, 3, 4]}


def extremes(rng):
    return {"experts": choices(rng, 9, 6, 3), "num_experts": 8, "capacities": [0, 27]}


def kept(namespace, inputs):
    import torch

    experts = torch.from_numpy(inputs["experts"])
    return {f"capacity {capacity}": namespace["keep"](experts, inputs["num_experts"], capacity)
            for capacity in inputs["capacities"]}  # fmt: skip


# 5. The bias


def biased(rng):
    return {"logits": normal(rng, 9, 7), "bias": 0.5 * normal(rng, 7), "k": 3}


def counted(rng):
    counts = rng.permutation([5, 3, 3, 1, 4, 2])  # two experts get the average of 3, which is 18/6
    average = rng.permutation([e for e in range(6) for _ in range(counts[e])])[:, None]
    return {
        "bias": normal(rng, 6),
        "experts": [choices(rng, 20, 6, 2), average, choices(rng, 9, 4, 1)],
        "speed": 0.03,
    }


def chosen(namespace, inputs):
    import torch

    logits, bias = (torch.from_numpy(inputs[name]) for name in ("logits", "bias"))
    weights, experts = namespace["choose"](logits, bias, inputs["k"])
    return {"experts": experts, "weights": weights}


def moved(namespace, inputs):
    import torch

    bias, found = torch.from_numpy(inputs["bias"]), {}
    for number, experts in enumerate(inputs["experts"]):
        after = namespace["update_bias"](bias, torch.from_numpy(experts), inputs["speed"])
        found[f"batch {number}"] = after - torch.from_numpy(inputs["bias"])
    return {**found, "the old bias": bias}


# 6. The layer


def layer(rng, B, T, D, width, E, k):
    return {"x": normal(rng, B, T, D), "sizes": [D, width, E, k], "weights": {
        "gate.weight": normal(rng, E, D), "experts.gate_up_proj": normal(rng, E, 2 * width, D),
        "experts.down_proj": normal(rng, E, D, width) / width**0.5}}  # fmt: skip


def top_two(rng):
    return layer(rng, 2, 7, 10, 6, 5, 2)


def top_three(rng):
    return layer(rng, 3, 4, 8, 9, 7, 3)


def mixed(namespace, inputs):
    import torch

    module = namespace["Mixture"](*inputs["sizes"])
    weights = {name: torch.from_numpy(weight) for name, weight in inputs["weights"].items()}
    module.load_state_dict(weights)
    with torch.no_grad():
        return module(torch.from_numpy(inputs["x"]))


CHECKS = [
    Check("route", routed, two_of_seven, 1, why="the best k experts, weights that add up to 1",
          message="Compare the ratio of two weights of a token with that of their probabilities."),
    Check("route", routed, one_of_five, 1, why="k may be 1 and may be all of them",
          message="For k = E the weights are the whole softmax, sorted."),
    Check("route", routed, large_logits, 1, why="logits may be larger than 100",
          message="exp(89) is inf in float32. Does anything take exp of a logit as it is?"),
    Check("dispatch", answers, two_each, 2, atol=1e-5, why="the weighted sum of two answers",
          message="Take one token: which two answers does it get, and with which weights?"),
    Check("dispatch", rows_asked, two_each, 1, why="each expert sees its own tokens, once",
          message="N tokens with k experts are N·k rows in all."),
    Check("dispatch", answers, three_each, 1, atol=1e-5, why="three choices, some experts idle",
          message="Which number is the expert and which is the place in your list of experts?"),
    Check("dispatch", answers, one_token, 1, atol=1e-5, why="a single token",
          message="Which of your lines squeezes an axis of size 1?"),
    Check("balance", price, one_choice, 1, why="E times the sum of f and p, one choice",
          message="f counts choices, p averages probabilities. Both over the tokens."),
    Check("balance", price, two_choices, 1, why="two choices a token, and idle experts",
          message="f adds up to k. Has it an entry for every expert?"),
    Check("balance", pushed, two_choices, 1, why="the gradient goes through p alone",
          message="Counts have no gradient. What of yours has one?"),
    Check("keep", kept, single_file, 1, why="one choice: first come, first served",
          message="How many pairs of the same expert stand before this one?"),
    Check("keep", kept, two_files, 2, why="all first choices before all second ones",
          message="Write down the order in which the pairs are served, for three tokens."),
    Check("keep", kept, extremes, 1, why="no room, room for all, experts that nobody chose",
          message="With room for nobody every entry is False."),
    Check("bias", chosen, biased, 2, why="chosen with the bias, weighed without it",
          message="Two tensors of shape (N, E): which of them do the weights come from?"),
    Check("bias", moved, counted, 2, atol=1e-5, why="every bias moves by speed, or not at all",
          message="Compare each count with the average count. Is the old bias untouched?"),
    Check("layer", mixed, top_two, 1, atol=1e-4, why="two of five experts",
          message="Compute one token with one expert by hand."),
    Check("layer", mixed, top_three, 2, atol=1e-4, why="three of seven experts",
          message="Does anything in forward assume two choices?"),
]  # fmt: skip

SORTED = """\
    k = experts.shape[1]
    order = experts.flatten().argsort()  # (N·k,), pair n·k + j
    chosen, counts = experts.flatten()[order].unique_consecutive(return_counts=True)
    slices = x[order // k].split(counts.tolist())
    rows = [network(e, part) for e, part in zip(chosen.tolist(), slices)]
    weighed = torch.cat(rows) * weights.flatten()[order, None]
    return torch.zeros_like(x).index_add(0, order // k, weighed)
"""
EVERYBODY = """\
    each = torch.zeros(len(x), int(experts.max()) + 1).scatter(1, experts, weights)
    return sum(each[:, e, None] * network(e, x) for e in range(each.shape[1]))
"""
LOOP = """\
    y = torch.zeros_like(x)
    for e in experts.unique().tolist():
        n, j = torch.where(experts == e)
        y = y.index_add(0, n, network(e, x[n]) * weights[n, j, None])
    return y
"""
OVERWRITTEN = LOOP.replace("y = y.index_add(0, n, network(e, x[n]) * weights[n, j, None])",
                           "y[n] = network(e, x[n]) * weights[n, j, None]")  # fmt: skip
PAIR_BY_PAIR = """\
    rows = []
    for token, names, parts in zip(x, experts.tolist(), weights):
        rows.append(sum(part * network(e, token[None])[0] for e, part in zip(names, parts)))
    return torch.stack(rows)
"""
COUNTED = """\
    line = experts.T.flatten()  # (k·N,): all first choices, then all second ones
    one_hot = F.one_hot(line, num_experts)
    before = one_hot.cumsum(dim=0) - one_hot  # (k·N, E)
    place = before.gather(1, line[:, None]).flatten()
    return (place < capacity).view(experts.T.shape).T
"""
DICTIONARY = """\
    found, taken = torch.zeros_like(experts, dtype=torch.bool), [0] * num_experts
    for j in range(experts.shape[1]):
        for n, e in enumerate(experts[:, j].tolist()):
            found[n, j] = taken[e] < capacity
            taken[e] += 1
    return found
"""

MUTANTS = [
    # softmax over the tokens; weights that are not divided; the worst experts; exp by hand
    Mutant("route", {"values, experts = logits.softmax(dim=-1)":
                     "values, experts = logits.softmax(dim=0)"}, 0, "ratio of two weights"),
    Mutant("route", {"return values / values.sum(dim=-1, keepdim=True), experts":
                     "return values, experts"}, 0, "ratio of two weights"),
    Mutant("route", {"logits.softmax(dim=-1).topk(k)":
                     "logits.softmax(dim=-1).topk(k, largest=False)"}, 0,
           "experts, k=2: 22 of 22 values differ"),
    Mutant("route", {"logits.softmax(dim=-1).topk(k": "logits.exp().topk(k"}, 2, "exp(89)"),
    # weights in the order of the text; answers overwritten; everybody asked; % for //
    Mutant("dispatch", {"weights.flatten()[order, None]": "weights.flatten()[:, None]"}, 1,
           "with which weights?"),
    Mutant("dispatch", {" * weights.flatten()[order, None]": ""}, 1, "with which weights?"),
    Mutant("dispatch", {SORTED: OVERWRITTEN}, 1, "which two answers"),
    Mutant("dispatch", {SORTED: EVERYBODY}, 4, "N·k rows in all"),
    Mutant("dispatch", {"x[order // k]": "x[order % len(x)]"}, 2, "Take one token"),
    Mutant("dispatch", {"for e, part in zip(chosen.tolist(), slices)":
                        "for e, part in enumerate(slices)"}, 3, "the place in your list"),
    # no E; shares of all pairs for f; probabilities for counts; the axes swapped
    Mutant("balance", {"return E * (f * p).sum()": "return (f * p).sum()"}, 0, "f counts choices"),
    Mutant("balance", {"bincount(minlength=E) / N": "bincount(minlength=E) / experts.numel()"}, 1,
           "f adds up to k"),
    Mutant("balance", {"f = experts.flatten().bincount(minlength=E) / N":
                       "f = logits.softmax(dim=-1).mean(dim=0)"}, 0, "f counts choices"),
    Mutant("balance", {"bincount(minlength=E)": "bincount()"}, 1, "an entry for every expert?"),
    Mutant("balance", {"p = logits.softmax(dim=-1)": "p = logits.softmax(dim=0)"}, 0, "p averages"),
    Mutant("balance", {"return E * (f * p).sum()":
                       "return E * (f * p.detach()).sum() + 0 * p.sum()"}, 2,
           "What of yours has one?"),
    # token by token; one too many; one queue for all; the shape read in another order
    Mutant("keep", {"line = experts.T.flatten()": "line = experts.flatten()",
                    ".view(experts.T.shape).T": ".view(experts.shape)"}, 2, "the order in which"),
    Mutant("keep", {"place < capacity": "place <= capacity"}, 0, "stand before this one?"),
    Mutant("keep", {"before = one_hot.cumsum(dim=0) - one_hot": "before = one_hot.cumsum(dim=0)"},
           1, "stand before this one?"),
    Mutant("keep", {".view(experts.T.shape).T": ".view(experts.shape)"}, 2, "the order in which"),
    # the bias in the weights; softmax for sigmoid; the wrong way; by the distance; in place
    Mutant("bias", {"weights = scores.gather(1, experts)":
                    "weights = (scores + bias).gather(1, experts)"}, 2, "the weights come from?"),
    Mutant("bias", {"scores = logits.sigmoid()": "scores = logits.softmax(dim=-1)"}, 2,
           "the weights come from?"),
    Mutant("bias", {"experts = (scores + bias).topk": "experts = scores.topk"}, 2,
           "Two tensors of shape (N, E)"),
    Mutant("bias", {"(counts.mean() - counts).sign()": "(counts - counts.mean()).sign()"}, 2,
           "the average count"),
    Mutant("bias", {"(counts.mean() - counts).sign()": "(counts.mean() - counts)"}, 2,
           "the average count"),
    Mutant("bias", {"return bias + speed * (counts.mean() - counts).sign()":
                    "bias += speed * (counts.mean() - counts).sign()\n    return bias"}, 2,
           "the old bias untouched?"),
    # up in the place of gate; another bend; always two; all tokens of a text by its first
    Mutant("layer", {"gate, up = F.linear": "up, gate = F.linear"}, 0, "one expert by hand"),
    Mutant("layer", {"F.silu(gate)": "F.gelu(gate)"}, 0, "one expert by hand"),
    Mutant("layer", {"route(self.gate(rows), self.top_k)": "route(self.gate(rows), 2)"}, 1,
           "assume two choices?"),
    Mutant("layer", {"rows = x.flatten(0, 1)  # (N, D)": "rows = x.transpose(0, 1).flatten(0, 1)"},
           0, "one expert by hand"),
]  # fmt: skip

ALTERNATIVES = [
    Alternative("softmax of the chosen logits, a loop over experts", {
        "values, experts = logits.softmax(dim=-1).topk(k)":
            "best, experts = logits.topk(k)",
        "return values / values.sum(dim=-1, keepdim=True), experts":
            "return best.softmax(dim=-1), experts",
        SORTED: LOOP,
    }),
    Alternative("sorting by hand, pair by pair, queues counted one by one", {
        "values, experts = logits.softmax(dim=-1).topk(k)":
            "experts = logits.argsort(dim=-1, descending=True)[:, :k]\n"
            "    values = logits.softmax(dim=-1).gather(1, experts)",
        SORTED: PAIR_BY_PAIR,
        COUNTED: DICTIONARY,
    }),
    Alternative("one-hot counts", {
        "f = experts.flatten().bincount(minlength=E) / N":
            "f = F.one_hot(experts, E).sum(1).float().mean(0)",
        "counts = experts.flatten().bincount(minlength=len(bias)).float()":
            "counts = F.one_hot(experts, len(bias)).sum((0, 1)).float()",
    }),
    Alternative("a mean in place of a sum, where in place of sign", {
        "return E * (f * p).sum()": "return E * E * (f * p).mean()",
        "return bias + speed * (counts.mean() - counts).sign()":
            "step = torch.where(counts < counts.mean(), speed, -speed)\n"
            "    return bias + torch.where(counts == counts.mean(), 0.0, step)",
    }),
    Alternative("two products for gate and up, a reshape", {
        "gate, up = F.linear(part, self.experts[\"gate_up_proj\"][e]).chunk(2, dim=-1)":
            "both = self.experts[\"gate_up_proj\"][e]\n"
            "            half = len(both) // 2\n"
            "            gate, up = part @ both[:half].T, part @ both[half:].T",
        "rows = x.flatten(0, 1)  # (N, D)": "rows = x.reshape(-1, x.shape[-1])",
        "dispatch(rows, weights, experts, network).view_as(x)":
            "dispatch(rows, weights, experts, network).reshape(x.shape)",
    }),
]  # fmt: skip
