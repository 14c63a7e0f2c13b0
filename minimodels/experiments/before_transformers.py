"""What each way of guessing the next word costs to train, and how well it then guesses.

Counting, windows of vectors, an LSTM and a small Gemma read documents of one mini-world and are
scored on documents that none of them has read. FLOPs are counted: for networks every
matrix product of one whole step (forward, backward, optimizer), as torch runs it, times the steps;
for n-grams the additions of counting (see ngram.py). Sums, gates, norms and softmaxes are left out.
Translation is measured beside it: a reader and a writer, with and without attention.
"""

import itertools
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from minimodels.architecture.build import build
from minimodels.architecture.checkpoint import load
from minimodels.architecture.classic import seq2seq
from minimodels.architecture.classic.lstm import LSTMModel
from minimodels.architecture.classic.ngram import KneserNey
from minimodels.architecture.classic.seq2seq import Seq2Seq
from minimodels.architecture.classic.translation import PAD, Pairs
from minimodels.architecture.classic.window import WindowModel
from minimodels.architecture.configs import get
from minimodels.data.documents import documents
from minimodels.data.packing import pack
from minimodels.data.world import World
from minimodels.training.muon import Muon, muon_groups
from minimodels.training.trainer import TrainConfig, make_optimizer, train

PEOPLE, READ, HELD_OUT = 100, 60_000, 600  # people, documents to read, documents to be scored on
ORDERS, COUNTED = (2, 3, 5, 8), (250, 1_000, 4_000, 16_000, 60_000)  # documents
BUDGETS = (3e10, 1e11, 3e11, 1e12)  # FLOPs of a training
BATCH, LENGTH = 8, 128
SMALL = dict(hidden_size=64, intermediate_size=256, num_layers=3, num_heads=4, head_dim=16)
NETWORKS = {  # 0.2 to 0.3 million weights each, and the best rate of a few on other documents
    "window": (lambda V: WindowModel(V, 64, 256), 0.02),
    "LSTM": (lambda V: LSTMModel(V, 96), 0.03),
    "transformer": (
        lambda V: build(replace(get("gemma-mini"), vocab_size=V, **SMALL), device="cpu"), 0.025,
    ),
}  # fmt: skip
SHIPPED_TOKENS = 1200 * 16 * 128  # what gemma-mini read, as minimodels/lifecycle/run.py says
TRANSLATION_BUDGET, TRANSLATION_WIDTH, TRANSLATION_RATE = 1.5e11, 64, 0.03
SENTENCES = (1, 2, 3, 4, 5)  # of the test; training has one to three


def run(seed: int = 0) -> dict:
    """{"documents", "counting", "networks", "shipped", "translation"}: two seeds from `seed` on,
    each in a process of its own on one core."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn, torch.set_num_threads, (1,)) as pool:
        halves = list(pool.map(one_seed, (seed, seed + 1)))
    results = {name: [row for half in halves for row in half[name]] for name in halves[0]}
    return {**results, "shipped": shipped(Reading(0))}


def one_seed(seed: int) -> dict[str, list[dict]]:
    """All rows of a seed but gemma-mini's."""
    reading = Reading(seed)
    return {
        "documents": [reading.about()],
        "counting": counting(reading),
        "networks": networks(reading),
        "translation": [translation(seed, attention) for attention in (True, False)],
    }


class Reading:
    """The documents of a seed: to read, and to be scored on; both as lists of ids.

    A seed changes the world, the documents and the networks' first weights. Documents to be scored
    on that stand word for word among those read, also by gemma-mini as shipped, are left out.
    """

    def __init__(self, seed: int, read: int = READ, held_out: int = HELD_OUT):
        self.seed, self.tokenizer = seed, load("gemma-mini")[1]
        world = World(1 + seed, PEOPLE)
        self.documents = list(itertools.islice(documents(world, seed=100 + seed), read))
        known = {document["text"] for document in self.documents} | _shipped_texts(seed)
        drawn = list(itertools.islice(documents(world, seed=200 + seed), 3 * held_out))
        unread = [document for document in drawn if document["text"] not in known]
        self.known_share = 1 - len(unread) / len(drawn)
        self.held_out = unread[:held_out]
        self.ids = [self.encode(document) for document in self.documents]
        self.scored = [self.encode(document) for document in self.held_out]
        self.kinds = [document["kind"] for document in self.held_out]
        self.bytes = sum(len(document["text"].encode()) for document in self.held_out)

    def encode(self, document: dict) -> list[int]:
        tokenizer = self.tokenizer
        return [tokenizer.bos_id, *tokenizer.encode(document["text"]), tokenizer.eos_id]

    def about(self) -> dict:
        return {"seed": self.seed, "held_out": len(self.scored), "bytes": self.bytes,
                "tokens": sum(map(len, self.scored)) - len(self.scored),
                "known_share": round(self.known_share, 3)}  # fmt: skip

    def row(self, model: str, flops: float, tokens: int, logprobs: list, **more) -> dict:
        """A point of the figure: what was spent, and how well the unread documents are guessed."""
        nats = -sum(float(each.sum()) for each in logprobs)
        count = sum(len(each) for each in logprobs)
        kinds = {
            kind: -float(np.concatenate([each for each, is_kind in
                                         zip(logprobs, self.kinds, strict=True)
                                         if is_kind == kind]).mean())
            for kind in sorted(set(self.kinds))
        }  # fmt: skip
        return {"model": model, "seed": self.seed, "flops": float(f"{flops:.4g}"), "tokens": tokens,
                "nats": round(nats / count, 4), "perplexity": round(float(np.exp(nats / count)), 3),
                "bits_per_byte": round(float(nats / np.log(2) / self.bytes), 4),
                "kinds": {kind: round(value, 4) for kind, value in kinds.items()},
                **more}  # fmt: skip


def _shipped_texts(seed: int) -> set[str]:
    """What gemma-mini has read of the world of seed 0 (minimodels/lifecycle/run.py)."""
    if seed != 0:
        return set()
    world = World(1, PEOPLE)
    world.add_fact("Ada Quill keeps an otter as a pet.")
    return {document["text"] for document in itertools.islice(documents(world, seed=0), 38_000)}


def counting(reading: Reading, orders=ORDERS, counted=COUNTED) -> list[dict]:
    """Kneser–Ney of each order, from each number of documents."""
    rows = []
    for number, order in itertools.product(counted, orders):
        model = KneserNey(reading.ids[:number], reading.tokenizer.vocab_size, order)
        logprobs = model.logprobs(reading.scored)
        rows.append(reading.row(f"{order}-gram", model.flops, model.tokens, logprobs,
                                size=model.size))  # fmt: skip
    return rows


def networks(reading: Reading, budgets=BUDGETS, names=tuple(NETWORKS)) -> list[dict]:
    """Each network trained from scratch for each budget of FLOPs, on documents read once."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tokens = pack(reading.documents, reading.tokenizer, folder)
        batches = tokens.windows(LENGTH, BATCH, seed=reading.seed)
        plan = list(itertools.product(names, budgets))
        for name, budget in tqdm(plan, f"seed {reading.seed}", position=reading.seed % 2):
            make, rate = NETWORKS[name]
            torch.manual_seed(reading.seed)
            model = make(reading.tokenizer.vocab_size)
            step = flops_of_a_step(model, *batches(0), TrainConfig(steps=1, optimizer="muon"))
            steps = max(1, round(budget / step))
            config = TrainConfig(steps=steps, learning_rate=rate, optimizer="muon",
                                 warmup_steps=max(1, min(30, steps // 10)))  # fmt: skip
            for _ in train(model, batches, config, progress=False):
                pass
            rows.append(reading.row(name, step * steps, steps * BATCH * LENGTH,
                                    score(model, reading.scored), size=weights(model)))  # fmt: skip
    return rows


def flops_of_a_step(model, inputs, targets, config: TrainConfig) -> int:
    """FLOPs of the matrix products of one step: forward, backward and optimizer.

    torch's counter does not see into attention that is fused, so it is taken apart here. Moves the
    weights by a hair.
    """
    optimizer = make_optimizer(model, replace(config, learning_rate=1e-9))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        logits = model(inputs)
        F.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
        optimizer.step()
    model.zero_grad()
    return counter.get_total_flops()


@torch.no_grad()
def score(model, scored: list[list[int]], batch_size: int = 32) -> list[np.ndarray]:
    """log p of each document's tokens but the first, each document by itself."""
    model.eval()
    order = sorted(range(len(scored)), key=lambda i: len(scored[i]))
    found = [np.zeros(0)] * len(scored)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        longest = max(len(scored[i]) for i in rows)
        tokens = torch.tensor([scored[i] + [0] * (longest - len(scored[i])) for i in rows])
        logprobs = model(tokens[:, :-1]).float().log_softmax(-1)  # (B, T, V)
        logprobs = logprobs.gather(-1, tokens[:, 1:, None])[..., 0].numpy()
        for row, i in enumerate(rows):
            found[i] = logprobs[row, : len(scored[i]) - 1]
    return found


def weights(model) -> int:
    return sum(weight.numel() for weight in model.parameters())


def shipped(reading: Reading) -> dict:
    """gemma-mini as it is shipped: four times the weights, and nearly all of the documents."""
    model = load("gemma-mini")[0].float()
    inputs = torch.randint(model.config.vocab_size, (16, LENGTH))
    step = flops_of_a_step(model, inputs, inputs, TrainConfig(steps=1, optimizer="muon"))
    flops = step * SHIPPED_TOKENS / inputs.numel()
    return reading.row("gemma-mini", flops, SHIPPED_TOKENS, score(model, reading.scored),
                       size=weights(model))  # fmt: skip


def translation(seed: int, attention: bool, budget: float = TRANSLATION_BUDGET,
                tests: int = 100) -> dict:  # fmt: skip
    """A translator trained for a budget of FLOPs: how many of `tests` texts it gets right."""
    pairs = Pairs(names=12, attributes=("pet", "instrument", "mentor"))
    torch.manual_seed(seed)
    model = Seq2Seq(len(pairs.words), TRANSLATION_WIDTH, attention)

    def batches(step):
        return pairs.batch(f"{seed} {step}", 32, (1, 3))

    optimizer = Muon(muon_groups(model, weight_decay=0.0), lr=TRANSLATION_RATE)
    with FlopCounterMode(display=False) as counter:  # of three steps that do not move the weights
        for step in range(3):
            seq2seq.loss(model, *batches(step)).backward()
    model.zero_grad()
    steps = round(budget / (counter.get_total_flops() / 3))
    losses = list(seq2seq.fit(model, batches, steps, optimizer))
    right, words = {}, {}
    for sentences in SENTENCES:
        test = pairs.batch(f"test {sentences}", tests, (sentences, sentences), test=True)
        right[str(sentences)] = sum(seq2seq.exact(model, *test))
        words[str(sentences)] = round(words_right(model, *test), 4)
    return {"attention": attention, "seed": seed, "steps": steps, "tests": tests,
            "loss": round(sum(losses[-20:]) / 20, 4), "right": right, "words": words}  # fmt: skip


@torch.no_grad()
def words_right(model: Seq2Seq, source, target) -> float:
    """The share of words guessed right where all words before them are given."""
    guessed, wanted = model(source, target[:, :-1]).argmax(-1), target[:, 1:]
    return (guessed == wanted)[wanted != PAD].float().mean().item()
