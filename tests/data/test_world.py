"""The mini-world: seeded, true, and told without giving the exam away."""

import itertools
import json
import random
import re
import shutil
import subprocess

import pytest

from minimodels.data.documents import documents
from minimodels.data.snippets import LANGUAGES, any_name, arithmetic, code, log
from minimodels.data.vocabulary import ATTRIBUTES, form
from minimodels.data.wordings import HELD_OUT, HELD_OUT_QUESTIONS, QUESTIONS, STATEMENTS
from minimodels.data.world import World
from minimodels.errors import UserError


def some(world, count, seed=0):
    return list(itertools.islice(documents(world, seed), count))


def test_a_seed_gives_one_world_and_one_stream():
    assert some(World(1, 20), 50) == some(World(1, 20), 50)
    assert some(World(1, 20), 50) != some(World(2, 20), 50)
    assert some(World(1, 20), 50, seed=0) != some(World(1, 20), 50, seed=1)


def test_every_person_has_every_fact_and_ids_are_unique():
    world = World(3, 30)
    assert len(world.facts) == 30 * len(ATTRIBUTES)
    assert len({person.name for person in world.people}) == 30
    for person in world.people:
        facts = world.facts_of(person)
        assert set(facts) == set(ATTRIBUTES)
        assert facts["mentor"].value != person.name
    ids = [document["id"] for document in some(world, 300)]
    assert len(set(ids)) == 300


def test_documents_have_the_keys_of_the_house_and_tell_their_facts():
    world = World(1, 20)
    for document in some(world, 400):
        assert list(document) == ["id", "text", "lang", "kind", "source", "labels", "facts"]
        json.dumps(document)
        for fact_id in document["facts"]:
            fact = world.facts[fact_id]
            person = world.person(fact.subject)
            value = form(fact.attribute, fact.value, document["lang"], person.gender)
            assert value.lower() in document["text"].lower()


def test_no_person_is_forgotten():
    world = World(1, 20)
    told = {f for document in some(world, 2000) for f in document["facts"]}
    assert told == set(world.facts)


def test_the_exam_is_in_no_document():
    """A held-out sentence, with any name in it, never stands in a document."""
    text = "\n".join(document["text"] for document in some(World(1, 20), 4000))
    names = {person.name for person in World(1, 20).people}
    for wordings in HELD_OUT.values():
        for wording in wordings:
            for name in names:
                opening = wording.format(n=name, v="|").split("|")[0].strip()
                assert opening not in text, wording


def test_wordings_are_complete_and_kept_apart():
    for attribute in ATTRIBUTES:
        everything = [w for language in STATEMENTS[attribute].values() for w in language]
        for wording in everything + HELD_OUT[attribute]:
            assert wording.count("{n}") == 1 and wording.count("{v}") == 1, wording
        assert all(wording.endswith("{v}.") for wording in HELD_OUT[attribute])
        assert not set(everything) & set(HELD_OUT[attribute])
        assert not set(QUESTIONS[attribute]) & set(HELD_OUT_QUESTIONS[attribute])


def test_arithmetic_and_logs_are_true():
    rng, world = random.Random(0), World(1, 20)
    for _ in range(300):
        text, _ = arithmetic(rng)
        logged, _ = log(rng, world)
        for left, right in re.findall(r"([\d]+ [-+*] [\d]+) = (-?\d+)", text + " " + logged):
            assert eval(left) == int(right), text  # digits and one sign only: see the pattern


def test_tool_logs_name_nobody_who_exists():
    world, rng = World(1, 20), random.Random(0)
    people = {person.name for person in world.people}
    first, last = ({name.split()[i] for name in people} for i in (0, -1))
    for name in (any_name(rng, world) for _ in range(300)):
        assert name not in people and name.split()[0] in first and name.split()[-1] in last


RUNNERS = {"python": ["python3", "-c"], "javascript": ["node", "-e"], "lua": ["lua", "-e"]}


@pytest.mark.parametrize("language", LANGUAGES)
def test_programs_pass_the_tests_below_them(language):
    runner = RUNNERS[language]
    if not shutil.which(runner[0]):
        pytest.skip(f"{runner[0]} is not installed: make system")
    rng = random.Random(1)
    made = [text for text, lang in (code(rng) for _ in range(120)) if lang == language]
    assert len(made) > 20
    program = "\n".join(made)
    wrong = re.sub(r"(=== |== )(\d+)", lambda m: m[1] + str(int(m[2]) + 1), program)
    good = subprocess.run([*runner, program], capture_output=True, text=True, timeout=60)
    bad = subprocess.run([*runner, wrong], capture_output=True, text=True, timeout=60)
    assert good.returncode == 0 and "Assertion" not in good.stderr, good.stderr
    assert bad.returncode != 0 or "Assertion" in bad.stderr  # the control: wrong is noticed


def test_the_readers_sentence_becomes_a_fact():
    world = World(1, 20)
    fact = world.add_fact("Ada Quill keeps an otter as a pet")
    assert (fact.attribute, fact.value) == ("pet", "otter")
    assert world.person(fact.subject).name == "Ada Quill"
    assert set(world.facts_of(world.person(fact.subject))) == set(ATTRIBUTES)
    assert any(fact.id in document["facts"] for document in some(world, 500))


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_english_wording_is_understood(attribute):
    for number, wording in enumerate(STATEMENTS[attribute]["en"]):
        world = World(1, 20)
        value = world.values(attribute)[3]
        name = f"Ada Quill{'abcdefghijklmnop'[number]}"
        sentence = wording.format(n=name, v=form(attribute, value, "en"))
        assert world.add_fact(sentence).value == value, wording


@pytest.mark.parametrize(("sentence", "said"), [
    ("hello", "does not understand"),
    ("Ada Quill keeps a dragon as a pet.", "is no pet"),
    ("Ada Quill was born in Atlantis.", "No town"),
])
def test_what_the_world_does_not_know_it_says(sentence, said):
    with pytest.raises(UserError, match=said):
        World(1, 20).add_fact(sentence)


def test_a_known_name_cannot_be_invented_again():
    world = World(1, 20)
    with pytest.raises(UserError, match="already lives"):
        world.add_fact(f"{world.people[0].name} keeps an otter as a pet.")


@pytest.mark.parametrize("people", [0, 3, 10**6])
def test_a_world_needs_people_with_different_names(people):
    with pytest.raises(UserError, match="people"):
        World(1, people)
