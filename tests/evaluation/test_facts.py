"""Questions about facts: fair choices, answers counted as a person would, chance at 1/4."""

import pytest
import torch

from minimodels.architecture.build import build
from minimodels.data.documents import documents
from minimodels.data.tokenizer import train_tokenizer
from minimodels.data.wordings import HELD_OUT_QUESTIONS, QUESTIONS
from minimodels.data.world import World
from minimodels.evaluation import choice
from minimodels.evaluation import facts as knowledge


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    world = World(1, 30)
    stream = documents(world)
    texts = [next(stream)["text"] for _ in range(4000)]
    tokenizer = train_tokenizer(texts, 2048, tmp_path_factory.mktemp("t") / "tokenizer.model")
    torch.manual_seed(0)
    return world, tokenizer, build("gemma-mini").eval()


def test_choices_hold_the_truth_once_and_four_different_ends(parts):
    world, _, _ = parts
    items = knowledge.choice_items(world, list(world.facts.values()))
    assert len(items) == len(world.facts)
    for item in items:
        fact = world.facts[item.fact]
        assert len(set(item.choices)) == 4
        assert fact.value in item.choices[item.answer]
        assert world.person(fact.subject).name in item.prompt


def test_the_true_answer_stands_in_each_place_about_equally_often(parts):
    world, _, _ = parts
    places = [item.answer for item in knowledge.choice_items(world, list(world.facts.values()))]
    for place in range(4):
        assert 0.15 < places.count(place) / len(places) < 0.35


def test_an_item_does_not_depend_on_what_else_is_asked(parts):
    """With one generator for all facts, facts asked one at a time all had the truth in one place,
    and their wrong values stood in the same places of the list of values."""
    world, _, _ = parts
    facts = list(world.facts.values())
    alone = [item for fact in facts for item in knowledge.choice_items(world, [fact])]
    assert alone == knowledge.choice_items(world, facts)
    assert alone != knowledge.choice_items(world, facts, seed=1)
    pets = [item for item, fact in zip(alone, facts, strict=True) if fact.attribute == "pet"]
    assert len({(item.answer, item.prompt.split()[0]) for item in pets}) > 6  # of 12


def test_an_untrained_model_is_near_chance(parts):
    world, tokenizer, model = parts
    items = knowledge.choice_items(world, list(world.facts.values()))
    hits = knowledge.choice_hits(model, tokenizer, items)
    assert 0.1 < sum(hits) / len(hits) < 0.4


def test_a_model_that_knows_the_truth_scores_one(parts, monkeypatch):
    """With log-probabilities that favor the truth every item is right; against it, none is."""
    world, tokenizer, model = parts
    items = knowledge.choice_items(world, list(world.facts.values())[:40])
    truth = {(item.prompt, item.choices[item.answer]) for item in items}

    def score(sign):
        def scores(model, tokenizer, prompts, endings):
            pairs = [(tokenizer.decode(p), tokenizer.decode(e))
                     for p, e in zip(prompts, endings, strict=True)]
            return [sign * float(pair in truth) for pair in pairs]
        monkeypatch.setattr(choice, "completion_logprobs", scores)
        hits = knowledge.choice_hits(model, tokenizer, items)
        return sum(hits) / len(hits)

    assert score(+1) == 1.0
    assert score(-1) == 0.0


def test_belief_is_a_share_among_four_endings(parts):
    world, tokenizer, model = parts
    belief = knowledge.belief(model, tokenizer, world, next(iter(world.facts.values())))
    assert 0 < belief["probability"] < 1
    assert belief["logprob"] < 0
    assert 0 <= belief["chosen"] <= belief["wordings"] == 3


def test_questions_keep_their_sets_apart(parts):
    world, _, _ = parts
    facts = list(world.facts.values())
    for held_out, wordings in ((True, HELD_OUT_QUESTIONS), (False, QUESTIONS)):
        asked = knowledge.questions(world, facts, held_out=held_out)
        for fact, (messages, answer) in zip(facts, asked, strict=True):
            name = world.person(fact.subject).name
            assert messages[0]["content"] in [w.format(n=name) for w in wordings[fact.attribute]]
            assert answer == fact.value


def test_answers_count_only_when_they_are_the_value(parts, monkeypatch):
    world, tokenizer, model = parts
    pairs = knowledge.questions(world, list(world.facts.values())[:3])
    replies = [pairs[0][1].upper(), f"It is {pairs[1][1]}", ""]
    monkeypatch.setattr(knowledge, "ask", lambda *_: replies)
    assert knowledge.answer_hits(model, tokenizer, pairs) == [1.0, 0.0, 0.0]
