"""A mini of Gemma 3 that sees: trained on the world of pictures, then asked about others.

Each row of a batch is one picture and some questions with their answers, one after the other; the
loss counts the answers. `run` trains it, asks it about pictures of groups that it has never seen,
with the right picture and with another one, and ships it.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from minimodels import files
from minimodels.architecture.build import build
from minimodels.architecture.checkpoint import save
from minimodels.architecture.configs import get
from minimodels.architecture.vision.ask import MARKS, PLACE, ask, prompt
from minimodels.architecture.vision.preprocess import preprocess
from minimodels.data.pictures import (
    ANSWERS,
    QUESTIONS,
    SPLITS,
    Picture,
    Question,
    draw_pictures,
    questions,
)
from minimodels.data.tokenizer import Tokenizer, train_tokenizer
from minimodels.evaluation.metrics import exact_match, wilson_interval

NAME = "gemma3-vision-mini"
STEPS, BATCH, ASKED = 1400, 64, 1
GROUPS = (1, 2, 2, 2)  # one in four drawings has a single group: easy ones, to begin with
MUON, PEAK = 0.02, 3e-3
IGNORED = -1  # a target that the loss leaves out


def tokenizer_of_questions() -> Tokenizer:
    """A vocabulary in which every word of the questions and answers is one piece."""
    words = [word for kind in ANSWERS.values() for word in kind]
    texts = [wording.format(word) for wording, named, _ in QUESTIONS for word in ANSWERS[named]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.model"
        return train_tokenizer(texts + 4 * words, get(NAME).vocab_size, path, MARKS)


def row(config, tokenizer, asked: list[Question]) -> tuple[list[int], list[int]]:
    """Tokens of a picture and questions with answers, and for each token what should follow it."""
    ids = prompt(config, tokenizer, PLACE)
    targets = [IGNORED] * len(ids)
    for question in asked:
        words = tokenizer.encode(question.text)
        answer = [*tokenizer.encode(question.answer), tokenizer.eos_id]
        ids += words + answer
        targets += [IGNORED] * len(words) + answer
    return ids[:-1], targets[1:]


def some_questions(picture: Picture, draw: np.random.Generator) -> list[Question]:
    """Up to ASKED questions, none of which is answered by the words of those before it."""
    known, asked, told = questions(picture), [], ""
    for i in draw.permutation(len(known)):
        if known[i].answer not in told and len(asked) < ASKED:
            asked.append(known[i])
            told += known[i].text + known[i].answer
    return asked


def batch(config, tokenizer, draw: np.random.Generator):
    """Pictures (B, 3, S, S), tokens (B, T) and targets (B, T) of new pictures for training."""
    drawn = draw_pictures(BATCH, draw, groups=GROUPS)
    rows = []
    for picture in drawn:
        rows.append(row(config, tokenizer, some_questions(picture, draw)))
    longest = max(len(ids) for ids, _ in rows)
    tokens = torch.tensor([ids + [tokenizer.eos_id] * (longest - len(ids)) for ids, _ in rows])
    targets = torch.tensor([told + [IGNORED] * (longest - len(told)) for _, told in rows])
    return preprocess([p.pixels for p in drawn], config.vision.image_size), tokens, targets


def soften(model) -> None:
    """Blocks begin by whispering: what each adds is normed to size one, louder than the words are.

    Their last norms begin at a fifth (LayerScale, arXiv 2103.17239, does the same to other models).
    """
    with torch.no_grad():
        for layer in model.layers:
            layer.post_attention_layernorm.weight.fill_(-0.8)
            layer.post_feedforward_layernorm.weight.fill_(-0.8)


def optimizers_for(model) -> dict[torch.optim.Optimizer, float]:
    """{optimizer: highest rate}: Muon for the matrices of the layers, AdamW for all others."""
    matrices, others = [], []
    for name, weight in model.named_parameters():
        hidden = weight.dim() == 2 and "layers." in name
        (matrices if hidden else others).append(weight)
    muon = torch.optim.Muon(matrices, lr=MUON, weight_decay=0.01)
    adam = torch.optim.AdamW(others, lr=PEAK, betas=(0.9, 0.95), weight_decay=0.01)
    return {muon: MUON, adam: PEAK}


def train(seed: int = 0, steps: int = STEPS, watch=None):
    """(model, tokenizer) after `steps` batches; `watch(step, model, loss)` is called after each."""
    torch.manual_seed(seed)
    config, tokenizer = get(NAME), tokenizer_of_questions()
    model, draw = build(config, device="cpu"), np.random.default_rng(seed)
    soften(model)
    optimizers = optimizers_for(model)
    for step in tqdm(range(steps), desc=NAME):
        for optimizer, peak in optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = peak * min(1, (step + 1) / 50, 1.02 - step / steps)
        pictures, tokens, targets = batch(config, tokenizer, draw)
        hidden, counted = model.hidden(tokens, pictures=pictures), targets != IGNORED
        loss = F.cross_entropy(model.logits(hidden[counted]), targets[counted])
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        if watch:
            watch(step, model, loss.item())
    return model.eval(), tokenizer


def examine(model, tokenizer, pictures: list[Picture], shown=None) -> dict[str, list[bool]]:
    """{kind of question: whether each answer was right}; `shown` instead of the pictures meant."""
    shown = pictures if shown is None else shown
    asked = [(s.pixels, q) for p, s in zip(pictures, shown, strict=True) for q in questions(p)]
    answers = ask(model, tokenizer, [pixels for pixels, _ in asked], [q.text for _, q in asked])
    right: dict[str, list[bool]] = {kind: [] for kind in ANSWERS}
    for (_, question), answer in zip(asked, answers, strict=True):
        right[question.kind].append(exact_match(answer, question.answer))
    return right


def scores(right: dict[str, list[bool]]) -> dict[str, dict]:
    """Accuracy with its interval and the chance of a blind guess, by kind and of all."""
    table = {}
    for kind, found in [*right.items(), ("all", sum(right.values(), []))]:
        low, high = wilson_interval(sum(found), len(found))
        table[kind] = {"right": sum(found), "of": len(found), "low": low, "high": high,
                       "chance": chance(right if kind == "all" else {kind: found})}  # fmt: skip
    return table


def chance(right: dict[str, list[bool]]) -> float:
    """How often a guess among a kind's answers is right, over these questions."""
    asked = {kind: len(found) for kind, found in right.items()}
    return sum(count / len(ANSWERS[kind]) for kind, count in asked.items()) / sum(asked.values())


def run(seed: int = 0) -> dict:
    """Train, examine on each split with right and with swapped pictures, and ship the weights."""
    losses: list[float] = []
    model, tokenizer = train(seed, watch=lambda step, model, loss: losses.append(loss))
    curve = [[at, sum(losses[at - 100 : at]) / 100] for at in range(100, STEPS + 1, 100)]
    values: dict = {"steps": STEPS, "curve": curve, "scores": {}, "swapped": {}}
    for split in SPLITS:
        pictures = draw_pictures(60, seed + 1, split, groups=(2,))
        values["scores"][split] = scores(examine(model, tokenizer, pictures))
        swapped = pictures[1:] + pictures[:1]
        values["swapped"][split] = scores(examine(model, tokenizer, pictures, swapped))
    folder = files.repository() / "minimodels" / "shipped" / NAME
    save(model, tokenizer, folder, dtype=torch.bfloat16)
    return values
