"""One network, three masks: which of them fills a blank in a text?

    causal    predicts each word from those before it
    encoder   BERT (arXiv 1810.04805): three words in ten are masked and predicted from both sides
    glm       GLM (arXiv 2103.10360): spans are cut out and written behind the text, one by one

The network is families/bert.py with the same weights at the start; the texts are sentences of the
mini-world, a word a token. Shapes: B texts, T words, V vocabulary.
"""

import random
import re
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from tqdm import tqdm

from minimodels.architecture import masks
from minimodels.architecture.blanks import NO_TARGET, Marks, blank, collate, draw_spans
from minimodels.architecture.build import build
from minimodels.architecture.configs import BertConfig
from minimodels.data.documents import tell
from minimodels.data.wordings import STATEMENTS
from minimodels.data.world import World

KINDS = ("causal", "encoder", "glm")
PAD, MARKS, FIRST = 0, Marks(mask=1, start=2, end=3), 4  # FIRST stands before each text
LENGTH, BATCH, STEPS, PEAK, SHARE = 32, 64, 700, 4e-3, 0.3
CANDIDATES = 16  # words that a causal model may try in a blank


@dataclass(frozen=True)
class Texts:
    """Sentences as word ids; each of `test` tells a fact that `train` tells in other words."""

    words: list[str]  # by id
    train: list[list[int]]
    test: list[list[int]]

    def spell(self, ids) -> str:
        return " ".join(self.words[int(i)] for i in ids)


def texts(people: int = 40, seed: int = 0) -> Texts:
    """Every fact about `people` people in every English wording; a tenth is kept for the test."""
    world = World(people=people)
    told = [
        re.findall(r"\w+|[^\w\s]", tell(world, fact, "en", number))
        for fact in world.facts.values()
        for number in range(len(STATEMENTS[fact.attribute]["en"]))
    ]
    random.Random(seed).shuffle(told)
    known = sorted({word for one in told for word in one})
    words = ["[pad]", "[mask]", "[start]", "[end]", "[first]", *known]
    index = {word: i for i, word in enumerate(words)}
    ids = [[FIRST, *(index[word] for word in one)] for one in told]
    return Texts(words, ids[len(ids) // 10 :], ids[: len(ids) // 10])


def network(vocab_size: int, seed: int = 0):
    """The same small encoder for all three; its token types are GLM's places in a span."""
    config = BertConfig(
        vocab_size=vocab_size, hidden_size=96, intermediate_size=384, num_layers=2, num_heads=4,
        num_kv_heads=4, head_dim=24, max_length=LENGTH, num_token_types=LENGTH, init_std=0.05,
    )  # fmt: skip
    torch.manual_seed(seed)
    return build(config, device="cpu")


def batch_of(kind: str, some: list[list[int]], draw) -> dict:
    """What a kind of model reads and what it must say: tokens, targets, … of `some` texts."""
    if kind == "glm":
        return collate([blank(one, shifted(draw_spans(len(one) - 1, SHARE, 2.0, draw)), MARKS)
                        for one in some], PAD)  # fmt: skip
    tokens = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(one) for one in some], batch_first=True, padding_value=PAD
    )  # (B, T)
    real = tokens != PAD
    if kind == "causal":
        targets = F.pad(tokens, (0, 1))[:, 1:]
        targets = targets.masked_fill(targets == PAD, NO_TARGET)
        return {"tokens": tokens, "targets": targets, "mask": masks.causal(tokens.shape[1])}
    hidden = (torch.rand(tokens.shape, generator=draw) < SHARE) & real & (tokens != FIRST)
    targets = tokens.masked_fill(~hidden, NO_TARGET)
    masked = tokens.masked_fill(hidden, MARKS.mask)
    return {"tokens": masked, "targets": targets, "mask": masks.padded(real)}


def shifted(spans):
    """The mark in front of a text is never cut out."""
    return [(start + 1, end + 1) for start, end in spans]


def states(model, batch: dict):
    """Hidden states (B, T, D) of a batch, whatever kind it is."""
    return model.hidden(batch["tokens"], token_types=batch.get("inside"),
                        positions=batch.get("positions"), seen=batch["mask"])  # fmt: skip


def trained(kind: str, data: Texts, seed: int = 0, steps: int = STEPS):
    """The network after `steps` batches of its own kind."""
    model = network(len(data.words), seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, steps, pct_start=0.1)
    draw = torch.Generator().manual_seed(seed)
    for _ in tqdm(range(steps), kind, leave=False, disable=steps < 500):
        chosen = torch.randint(len(data.train), (BATCH,), generator=draw).tolist()
        batch = batch_of(kind, [data.train[i] for i in chosen], draw)
        asked = batch["targets"] != NO_TARGET  # logits only where they count
        logits = model.logits(states(model, batch)[asked])
        loss = F.cross_entropy(logits, batch["targets"][asked])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def places(data: Texts, seed: int = 0) -> list[int]:
    """A word to take out of each test text, never the mark in front."""
    draw = torch.Generator().manual_seed(seed)
    return [1 + int(torch.randint(len(one) - 1, (1,), generator=draw)) for one in data.test]


@torch.no_grad()
def fill(model, kind: str, text: list[int], place: int) -> int:
    """The word that a model puts in the place of the one at `place`, which it does not see."""
    if kind == "causal":
        return int(left_scores(model, text, place).argmax())
    if kind == "encoder":
        tokens = torch.tensor([text])
        tokens[0, place] = MARKS.mask
        return int(model(tokens)[0, place].argmax())
    one = blank(text, [(place, place + 1)], MARKS)
    batch = collate([one])
    return int(model.logits(states(model, batch))[0, one.context].argmax())


def left_scores(model, text: list[int], place: int):
    """A causal model's logits (V,) for the word at `place`, from what stands before it."""
    before = torch.tensor([text[:place]])
    return model(before, seen=masks.causal(place))[0, -1]


@torch.no_grad()
def tried(model, text: list[int], place: int) -> int:
    """The candidate with which a causal model finds the whole text likeliest: sees both sides, too.

    It costs a forward pass for each candidate.
    """
    candidates = left_scores(model, text, place).topk(CANDIDATES).indices
    tokens = torch.tensor([text]).repeat(CANDIDATES, 1)
    tokens[:, place] = candidates
    logits = model(tokens, seen=masks.causal(len(text)))[:, :-1]
    loss = F.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none").sum(1)
    return int(candidates[loss.argmin()])


def right(model, kind: str, data: Texts, seed: int = 0, way=None) -> list[bool]:
    """For each test text, whether its blank is filled with the word that stood there."""
    fills = way or (lambda model, text, place: fill(model, kind, text, place))
    return [fills(model, text, place) == text[place]
            for text, place in zip(data.test, places(data, seed), strict=True)]  # fmt: skip


def run(seed: int = 0) -> dict:
    """Percent of blanks filled right by each kind, of all and in each third of the texts."""
    data, found = texts(), {}
    thirds = [3 * (place - 1) // (len(text) - 1)
              for text, place in zip(data.test, places(data), strict=True)]  # fmt: skip
    for kind in KINDS:
        for one in (seed, seed + 1):
            model = trained(kind, data, one)
            rows = {kind: right(model, kind, data)}
            if kind == "causal":
                rows["causal, tried"] = right(model, kind, data, way=tried)
            for name, hits in rows.items():
                found.setdefault(name, []).append(shares(hits, thirds))
    return {"blanks": len(data.test), "filled": found}


def shares(hits: list[bool], thirds: list[int]) -> dict:
    """Percent right of all blanks, and of those in each third of a text."""

    def percent(some):
        return round(100 * sum(some) / len(some), 1)

    by_third = [[hit for hit, third in zip(hits, thirds, strict=True) if third == part]
                for part in range(3)]  # fmt: skip
    return {"all": percent(hits), "thirds": [percent(some) for some in by_third]}
