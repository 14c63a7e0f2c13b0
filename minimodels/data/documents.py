"""Tell a world: an endless, seeded stream of documents in many wordings and four languages.

A document is {id, text, lang, kind, source, labels, facts}. Its kinds:

    biography   what is true of a person, one to six sentences    carries the ids of its facts
    place       a town, its river and region
    dialogue    two people talking
    arithmetic  sums and products with worked steps
    log         somebody asks, a tool is called in JSON, and what it says
    code        a small function with tests, in Python, JavaScript or Lua
"""

import random

from minimodels.data.snippets import arithmetic, code, dialogue, log
from minimodels.data.vocabulary import form
from minimodels.data.wordings import PLACES, STATEMENTS

KINDS = {"biography": 0.62, "place": 0.03, "dialogue": 0.04,
         "arithmetic": 0.08, "log": 0.12, "code": 0.11}
TONGUES = {"en": 0.72, "zh": 0.12, "es": 0.08, "de": 0.08}
MAKERS = {"dialogue": dialogue, "arithmetic": arithmetic, "log": log, "code": code}
PRONOUN = {"f": "She", "m": "He"}


def tell(world, fact, lang, wording):
    """One sentence: the fact in a language, by the wording with that number."""
    sentences = STATEMENTS[fact.attribute][lang]
    person = world.person(fact.subject)
    value = form(fact.attribute, fact.value, lang, person.gender)
    sentence = sentences[wording % len(sentences)].format(n=person.name, v=value)
    return sentence[0].upper() + sentence[1:]


def documents(world, seed=0, kinds=None, tongues=None, start=0):
    """An endless iterator of clean documents; the same arguments give the same documents.

    kinds, tongues: shares by kind and by language of biographies; the defaults are above.
    start: the number of the first document's id.
    """
    kinds, tongues = kinds or KINDS, tongues or TONGUES
    rng = random.Random(f"documents {world.seed} {seed}")
    number = start
    people = _rounds(world.people, rng)
    while True:
        kind = rng.choices(list(kinds), kinds.values())[0]
        lang = (rng.choices(list(tongues), tongues.values())[0]
                if kind in ("biography", "place") else "en")
        facts = []
        if kind == "biography":
            text, facts = biography(world, next(people), lang, rng)
        elif kind == "place":
            text = place(world, lang, rng)
        else:
            text, lang = MAKERS[kind](rng, world)
        yield {"id": f"d-{number:07d}", "text": text, "lang": lang, "kind": kind, "source": "world",
               "labels": {}, "facts": facts}
        number += 1


def _rounds(items, rng):
    """Every item once, in a new order each round: no person is forgotten by chance."""
    while True:
        yield from rng.sample(items, len(items))


def biography(world, person, lang, rng):
    """Some of a person's facts in random order and wording; returns (text, fact ids)."""
    facts = list(world.facts_of(person).values())
    facts = rng.sample(facts, rng.randint(1, len(facts)))
    sentences = []
    for fact in facts:
        sentence = tell(world, fact, lang, rng.randrange(100))
        if sentences and lang == "en" and sentence.startswith(person.name) and rng.random() < 0.25:
            sentence = PRONOUN[person.gender] + sentence.removeprefix(person.name)
        sentences.append(sentence)
    return ("" if lang == "zh" else " ").join(sentences), [fact.id for fact in facts]


def place(world, lang, rng):
    town = rng.choice(world.places)
    return rng.choice(PLACES[lang]).format(c=town.name, r=town.river, g=town.region)
