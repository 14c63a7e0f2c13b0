"""What does a model know of the world? Two measurements that share nothing with its training text.

Choice of four: a sentence in a held-out wording is completed by the true value or by three values
that other people have; the model knows the fact when it finds the true one likeliest; chance: 1/4.
Exact match: a chat model answers a question; its answer must be the value and nothing else.
"""

import random
from dataclasses import dataclass

import torch

from minimodels.architecture.generate import generate_batch
from minimodels.architecture.score import completion_logprobs
from minimodels.data.vocabulary import form
from minimodels.data.wordings import HELD_OUT, HELD_OUT_QUESTIONS, QUESTIONS
from minimodels.evaluation.choice import chosen
from minimodels.evaluation.metrics import exact_match
from minimodels.finetuning.chat import prompt


@dataclass(frozen=True)
class Choice:
    fact: str  # the fact's id
    prompt: str  # a held-out sentence up to its last words, the value
    choices: tuple  # four ways to end it
    answer: int  # the index of the true one


def choice_items(world, facts, seed=0):
    """One four-way Choice a fact, in a held-out wording; wrong values are true of others.

    Each fact draws with a seed of its own, so its item is the same whatever else is asked, and
    items asked for one at a time do not all hold the truth in one place.
    """
    used = {}
    for fact in world.facts.values():
        used.setdefault(fact.attribute, set()).add(fact.value)
    items = []
    for fact in facts:
        rng = random.Random(f"choices {seed} {fact.id}")
        person = world.person(fact.subject)
        wrong = sorted(used[fact.attribute] - {fact.value, person.name})
        values = [fact.value, *rng.sample(wrong, 3)]
        rng.shuffle(values)
        wording = rng.choice(HELD_OUT[fact.attribute])
        opening = wording.format(n=person.name, v="|").split("|")[0].rstrip()
        endings = tuple(form(fact.attribute, value, "en") + "." for value in values)
        items.append(Choice(fact.id, opening, endings, values.index(fact.value)))
    return items


def choice_hits(model, tokenizer, items):
    """1.0 where the model chose right, else 0.0: a list as long as `items`."""
    return [float(got == item.answer)
            for got, item in zip(chosen(model, tokenizer, items), items, strict=True)]


def belief(model, tokenizer, world, fact, seed=0):
    """How firmly a model holds one fact, over the held-out wordings of its attribute.

    Returns {"probability": its mean share among four endings, "logprob": mean log-probability of
    the true ending, "chosen": in how many wordings it wins, "wordings": of how many}.
    """
    person, rng = world.person(fact.subject), random.Random(f"belief {seed} {fact.id}")
    wrong = sorted({other.value for other in world.facts.values()
                    if other.attribute == fact.attribute} - {fact.value, person.name})
    values = [fact.value, *rng.sample(wrong, 3)]
    openings = [wording.format(n=person.name, v="|").split("|")[0].rstrip()
                for wording in HELD_OUT[fact.attribute]]
    prompts = [[tokenizer.bos_id, *tokenizer.encode(o)] for o in openings for _ in values]
    endings = [tokenizer.encode(form(fact.attribute, v, "en") + ".")
               for _ in openings for v in values]
    scores = torch.tensor(completion_logprobs(model, tokenizer, prompts, endings))
    scores = scores.view(-1, 4)  # (wordings, 4)
    return {"probability": scores.softmax(1)[:, 0].mean().item(),
            "logprob": scores[:, 0].mean().item(),
            "chosen": int((scores.argmax(1) == 0).sum()), "wordings": len(openings)}


def questions(world, facts, seed=0, held_out=True):
    """(messages, answer) pairs: one question a fact, in wordings finetuning saw or never saw."""
    rng = random.Random(f"questions {seed}")
    wordings = HELD_OUT_QUESTIONS if held_out else QUESTIONS
    pairs = []
    for fact in facts:
        text = rng.choice(wordings[fact.attribute]).format(n=world.person(fact.subject).name)
        pairs.append(([{"role": "user", "content": text}], fact.value))
    return pairs


def ask(model, tokenizer, conversations, max_new_tokens=24):
    """The model's next turn in each conversation, as text (greedy)."""
    prompts = [prompt(messages, tokenizer) for messages in conversations]
    stops = [tokenizer.id("<end_of_turn>"), tokenizer.eos_id]
    replies = generate_batch(model, tokenizer, prompts, max_new_tokens, stops)
    return [tokenizer.decode(ids).strip() for ids in replies]


def answer_hits(model, tokenizer, pairs, max_new_tokens=24):
    """1.0 where the answer is exactly the value (spaces and case aside), else 0.0."""
    replies = ask(model, tokenizer, [messages for messages, _ in pairs], max_new_tokens)
    return [float(exact_match(reply, answer))
            for reply, (_, answer) in zip(replies, pairs, strict=True)]
