"""Routers left to themselves, and two cures: one layer on tokens of known kinds, a small LLaMA.

    rows = train_kinds("none", common=4.0)        # {step, loss, load, model} as it goes
    rows = train_language("bias", texts(folder))  # {step, loss, in_use, common, model}

Kinds: a token is one of eight centers, noise, and a vector that all tokens have in common; what is
asked of it is another map for each kind, so that a layer does well if each kind has its expert.
Methods: "none", "loss" (the balancing loss), "bias" (sigmoid router with a bias); "one" is a single
expert and no choice. Shapes: N tokens, D hidden, F one expert's width, E experts.
"""

import itertools
import tempfile
from collections.abc import Iterator

import torch
from torch.nn import functional as F
from tqdm.auto import tqdm

import minimodels
from minimodels.architecture.balancing import balance_loss, in_use, load, update_bias
from minimodels.architecture.configs import LlamaConfig
from minimodels.architecture.decoder import Decoder
from minimodels.architecture.moe import GatedExperts, MoE
from minimodels.architecture.routing import SigmoidRouter, SoftmaxRouter, watch
from minimodels.data.documents import documents
from minimodels.data.packing import Batches, pack
from minimodels.data.world import World

METHODS = ("none", "loss", "bias")
COMMON = (0.0, 2.0, 4.0)  # size of what all tokens share, beside 1 of a kind's center
D, WIDTH, E = 32, 32, 8  # of the layer on kinds
SIZES = dict(hidden_size=64, num_layers=4, num_heads=4, num_kv_heads=2, head_dim=16)
LANGUAGE_E, LANGUAGE_K, LANGUAGE_WIDTH = 16, 2, 64
LENGTH, TEXTS = 64, 8  # tokens of a text, texts of a step
PEOPLE, DOCUMENTS = 100, 6000
BETAS = (0.9, 0.95)


class Kinds:
    """Tokens (N, D) of eight kinds, what each should become, and its kind."""

    def __init__(self, common: float, seed: int = 0, noise: float = 0.5):
        self.random = torch.Generator().manual_seed(100 + seed)
        self.noise = noise
        self.centers = self.normal(E, D)
        self.common = common * self.normal(D)
        self.maps = self.normal(E, D, D) / D**0.5  # one for each kind

    def normal(self, *shape):
        return torch.randn(shape, generator=self.random)

    def batch(self, size: int = 512):
        kind = torch.randint(E, (size,), generator=self.random)
        own = self.centers[kind] + self.noise * self.normal(size, D)  # (N, D)
        wanted = torch.einsum("nij,nj->ni", self.maps[kind], own.tanh())
        return self.common + own, wanted, kind


def layer(method: str, seed: int = 0) -> MoE:
    """A mixture of eight experts of which a token uses one; "one": a single expert."""
    torch.manual_seed(seed)
    if method == "one":
        return MoE(SoftmaxRouter(D, 1, 1), GatedExperts(1, D, WIDTH))
    if method == "bias":
        return MoE(SigmoidRouter(D, E, 1, renormalize=False), GatedExperts(E, D, WIDTH))
    return MoE(SoftmaxRouter(D, E, 1, renormalize=False), GatedExperts(E, D, WIDTH))


def train_kinds(method: str, common: float = 4.0, steps: int = 600, seed: int = 0,
                weight: float = 0.1, speed: float = 0.01) -> Iterator[dict]:  # fmt: skip
    """Train `layer(method)`; yields {step, loss, load, model} before each step.

    loss: squared error, where 1 is what answering 0 would give. weight: of the balancing loss.
    """
    tokens, model = Kinds(common, seed), layer(method, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, betas=BETAS)
    for step in range(steps):
        x, wanted, _ = tokens.batch()
        with watch(model) as routes:
            error = (model(x) - wanted).square().mean() / wanted.square().mean()
        penalty = weight * balance_loss(routes) if method == "loss" else 0.0
        optimizer.zero_grad()
        (error + penalty).backward()
        optimizer.step()
        if method == "bias":
            update_bias(model.gate, routes[0], speed)
        yield {"step": step, "loss": error.item(), "load": load(routes[0]).tolist(),
               "model": model}  # fmt: skip


def language_model(method: str, seed: int = 0) -> Decoder:
    """A LLaMA of four blocks with a mixture of 16 experts in each, of which a token uses two."""
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=2048, intermediate_size=LANGUAGE_K * LANGUAGE_WIDTH,
                         max_length=512, init_std=0.05, **SIZES)  # fmt: skip
    model = minimodels.build(config, device="cpu")
    router = SigmoidRouter if method == "bias" else SoftmaxRouter
    for block in model.layers:
        block.mlp = MoE(router(64, LANGUAGE_E, LANGUAGE_K),
                        GatedExperts(LANGUAGE_E, 64, LANGUAGE_WIDTH))  # fmt: skip
    model.initialize()  # the experts as the rest of the model
    return model


def texts(folder, count: int = DOCUMENTS, seed: int = 0) -> Batches:
    """Packed documents of the mini-world in the vocabulary of the minis."""
    told = documents(World(seed=1, people=PEOPLE), seed=seed)
    _, tokenizer = minimodels.load("gemma-mini", device="cpu")
    array = pack(itertools.islice(told, count), tokenizer, folder)
    return array.windows(seq_len=LENGTH, batch_size=TEXTS, seed=seed)


def train_language(method: str, batches: Batches, steps: int = 150, seed: int = 0,
                   weight: float = 0.01, speed: float = 0.01) -> Iterator[dict]:  # fmt: skip
    """Train `language_model(method)`; yields {step, loss, in_use, common, model}.

    in_use and common have a number for each layer: experts in use, and `common_share` of what
    the router read.
    """
    model = language_model(method, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, betas=BETAS)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 5e-3 * min(1.0, (step + 1) / 20)  # warm-up
        inputs, targets = batches(step)
        logits, routes, read = seen_by_routers(model, inputs)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        penalty = weight * sum(balance_loss([route]) for route in routes)  # layer by layer
        optimizer.zero_grad()
        (loss + penalty if method == "loss" else loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if method == "bias":
            for block, route in zip(model.layers, routes, strict=True):
                update_bias(block.mlp.gate, route, speed)
        yield {"step": step, "loss": loss.item(), "in_use": [in_use(load(r)) for r in routes],
               "common": [common_share(x) for x in read], "model": model}  # fmt: skip


def seen_by_routers(model: Decoder, tokens):
    """The logits, and of each layer its Route and the vectors that its router read."""
    read: list[torch.Tensor] = []
    hooks = [block.mlp.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
             for block in model.layers]  # fmt: skip
    with watch(model) as routes:
        logits = model(tokens)
    for hook in hooks:
        hook.remove()
    return logits, routes, read


def common_share(x) -> float:
    """How much of the vectors x (…, D) is the same in all of them: |mean x|² / mean |x|²."""
    rows = x.detach().flatten(0, -2)
    return (rows.mean(0).square().sum() / rows.square().sum(-1).mean()).item()


@torch.no_grad()
def held_out_loss(model: Decoder, batches: Batches, steps: int = 20) -> float:
    losses = []
    for inputs, targets in map(batches, range(steps)):
        losses.append(F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).item())
    return sum(losses) / len(losses)


def run(seed: int = 0) -> dict:
    """{"kinds": rows of method, common, seed; "language": {method: its curves}}."""
    torch.set_num_threads(1)
    return {"kinds": kinds(seed), "language": language(seed)}


def kinds(seed: int, steps: int = 600, last: int = 20) -> list[dict]:
    """Every method on every size of the common part, two seeds; means over the last steps."""
    table = []
    cases = list(itertools.product(METHODS, COMMON, (seed, seed + 1)))
    cases += [("one", COMMON[-1], seed), ("one", COMMON[-1], seed + 1)]
    for method, common, one in tqdm(cases, desc="kinds"):
        rows = list(train_kinds(method, common, steps, one))
        ends = torch.tensor([row["load"] for row in rows[-last:]]).mean(0)
        table.append({
            "method": method, "common": common, "seed": one,
            "loss": round(sum(row["loss"] for row in rows[-last:]) / last, 4),
            "first_in_use": round(in_use(torch.tensor(rows[0]["load"])), 2),
            "in_use": round(in_use(ends), 2),
            "load": [round(share, 3) for share in ends.tolist()],
        })  # fmt: skip
    return table


def language(seed: int, steps: int = 150, every: int = 5) -> dict:
    """The small LLaMA with every method: curves, and the loss on documents it has not read."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        seen, unseen = texts(f"{folder}/seen"), texts(f"{folder}/unseen", 600, seed=1)
        for method in METHODS:
            training = train_language(method, seen, steps, seed)
            rows = list(tqdm(training, total=steps, desc=method))
            found[method] = {
                "held_out_loss": round(held_out_loss(rows[-1]["model"], unseen), 3),
                "steps": [row["step"] for row in rows[::every]],
                **{key: [[round(value, 3) for value in row[key]] for row in rows[::every]]
                   for key in ("in_use", "common")},
            }  # fmt: skip
    return found
