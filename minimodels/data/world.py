"""The mini-world: invented people and places whose every truth is known.

A world is drawn from a seed. It holds entities (people, places) and facts about them; documents.py
tells the facts in many wordings. Because the truth is known, every later stage can be measured:
what a filter lost, what a model learned, what quantization damaged, what an agent looked up.

A fact is (subject, attribute, value) with an id such as "f-0042". The id travels with each document
that tells the fact, so one fact can be followed from a sentence to an agent's answer.
"""

import random
import re
from dataclasses import dataclass
from functools import cached_property

from minimodels.data import vocabulary as words
from minimodels.data.wordings import STATEMENTS
from minimodels.errors import UserError


@dataclass(frozen=True)
class Person:
    id: str
    name: str
    gender: str  # "f" or "m": German needs it for professions, English for she and he


@dataclass(frozen=True)
class Place:
    id: str
    name: str
    river: str
    region: str


@dataclass(frozen=True)
class Fact:
    id: str
    subject: str  # the id of a person
    attribute: str  # one of vocabulary.ATTRIBUTES
    value: str  # the English key of the value, or a name


class World:
    """`people` people with six facts each, and the towns they come from, drawn from `seed`.

    Attributes: people, places (lists), facts (dict from fact id to Fact), in order of creation.
    """

    def __init__(self, seed=1, people=200):
        most = len(words.LAST_NAMES) * len(words.FIRST_NAMES["f"]) * 2
        if not 4 <= people <= most // 2:
            raise UserError(f"A world holds 4 to {most // 2} people, not {people}: "
                            "choose another number.")
        self.seed = seed
        rng = random.Random(f"world {seed}")
        self.places = [
            Place(f"t-{i:03d}", city, rng.choice(words.RIVERS), rng.choice(words.REGIONS))
            for i, city in enumerate(words.CITIES)
        ]
        self.people = []
        self.facts = {}
        for _ in range(people):
            self.people.append(self._new_person(rng))
        for person in self.people:
            for attribute in words.ATTRIBUTES:
                self._add(person, attribute, rng.choice(self.values(attribute, besides=person)))

    def _new_person(self, rng):
        taken = {person.name for person in self.people}
        while True:
            gender = rng.choice("fm")
            name = f"{rng.choice(words.FIRST_NAMES[gender])} {rng.choice(words.LAST_NAMES)}"
            if name not in taken:
                return Person(f"p-{len(self.people):04d}", name, gender)

    def _add(self, person, attribute, value):
        fact = Fact(f"f-{len(self.facts):05d}", person.id, attribute, value)
        self.facts[fact.id] = fact
        return fact

    @cached_property
    def _by_id(self):
        return {person.id: person for person in self.people}

    @cached_property
    def _by_subject(self):
        index = {}
        for fact in self.facts.values():
            index.setdefault(fact.subject, {})[fact.attribute] = fact
        return index

    def person(self, person_id):
        return self._by_id[person_id]

    def facts_of(self, person):
        """{attribute: Fact} of a person."""
        return self._by_subject[person.id]

    def values(self, attribute, besides=None):
        """Every value an attribute can take; `besides` leaves a person out of their own mentors."""
        if attribute == "birthplace":
            return [place.name for place in self.places]
        if attribute == "mentor":
            return [person.name for person in self.people if person != besides]
        return list(words.VALUES[attribute])

    def add_fact(self, sentence):
        """Add the reader's own sentence about an invented person; returns its Fact.

        The sentence must be one of the English wordings the world knows, for example
        "Ada Quill keeps an otter as a pet." The person's other facts are drawn as everybody's are.
        Raises UserError with examples when the sentence is not understood.
        """
        name, attribute, value = understand(sentence)
        if any(person.name == name for person in self.people):
            raise UserError(f"{name} already lives in this world: invent another name.")
        rng = random.Random(f"reader {self.seed} {sentence}")
        person = Person(f"p-{len(self.people):04d}", name, rng.choice("fm"))
        self.people.append(person)
        drawn = {a: rng.choice(self.values(a, besides=person)) for a in words.ATTRIBUTES}
        facts = {a: self._add(person, a, v) for a, v in (drawn | {attribute: value}).items()}
        for index in ("_by_id", "_by_subject"):
            self.__dict__.pop(index, None)
        return facts[attribute]


NAME = r"[A-Z][\w'’-]+ [A-Z][\w'’-]+"


def understand(sentence):
    """(name, attribute, value) of an English sentence in one of the wordings of STATEMENTS."""
    text = " ".join(sentence.split()).rstrip(".") + "."
    for attribute, by_language in STATEMENTS.items():
        for wording in by_language["en"]:
            value = NAME if attribute == "mentor" else r"[\w' -]{2,30}"
            pattern = re.escape(wording).replace(r"\{n\}", f"(?P<n>{NAME})", 1)
            pattern = pattern.replace(r"\{v\}", f"(?P<v>{value})", 1)
            found = re.fullmatch(pattern, text)
            if found:
                return found["n"], attribute, _key(attribute, found["v"])
    raise UserError(
        f"The world does not understand “{sentence}”: write a sentence such as "
        "“Ada Quill keeps an otter as a pet.”, “Ada Quill was born in Oakhaven.” or "
        "“Ada Quill plays the violin.” (a first name, a last name, one fact)."
    )


def _key(attribute, text):
    """The key of a value written in English: "an otter" → "otter"; unknown → UserError."""
    if attribute == "mentor":
        return text
    if attribute == "birthplace":
        if text not in words.CITIES:
            raise UserError(f"No town is called {text}: choose one of "
                            f"{', '.join(words.CITIES[:8])}, ….")
        return text
    for key, forms in words.VALUES[attribute].items():
        if text in (key, forms["en"]):
            return key
    known = ", ".join(list(words.VALUES[attribute])[:8])
    raise UserError(f"“{text}” is no {attribute} this world knows: choose one such as {known}.")
