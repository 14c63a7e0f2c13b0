"""Mutations: each small mistake is made once, and what the checks do not notice is told."""

import json
from dataclasses import replace

import pytest

from minimodels.classroom import lab as labs
from minimodels.classroom import mutation
from minimodels.classroom.grading.records import Verdict
from minimodels.classroom.lab import load
from minimodels.classroom.mutate import mutations
from minimodels.classroom.normalize import source
from minimodels.errors import UserError
from tests.classroom import toys

CELL = """\
def f(a, b):
    c = 7
    ### BEGIN SOLUTION
    {}
    ### END SOLUTION
    return c
"""
CASES = {
    "if a < b: c = 1": [
        "without if a < b: c = 1", "if not a < b: c = 1", "if a <= b: c = 1",
        "if a < b: pass", "if a < b: c = 2", "if a < b: c = 0",
    ],
    "return a + b": ["return None", "return a - b"],
    "return a == b": ["return None", "return a != b"],
    "return a and b": ["return None", "return a or b"],
    "return a @ b": ["return None", "return b @ a"],
    "return a // b * 2": [
        "return None", "return a // b / 2", "return a * b * 2", "return a // b * 3",
        "return a // b * 1",
    ],
    "return a.sum(-1, keepdim=True)": [
        "return None", "return a.sum(-1)", "return a.sum(0, keepdim=True)",
        "return a.sum(-2, keepdim=True)", "return a.sum(-1, keepdim=False)",
    ],
    "return g(a, b)": ["return None", "return g(b, a)"],
    "return a.transpose(c, b)": ["return None"],
    "return a, b": ["return None", "return (b, a)"],
    "return -a": ["return None", "return a"],
    "return a[:b]": ["return None", "return a[:]", "return a[:b + 1]", "return a[:b - 1]"],
    "return a[1:]": ["return None", "return a[:]", "return a[2:]", "return a[0:]"],
    "a += b": ["without a += b", "a -= b"],
    "for _ in a: break": ["without for _ in a: break", "for _ in a: pass"],
    "while True: a()": ["without while True: a()", "while False: a()", "while True: pass"],
    "return [x for x in a if x > b]": [
        "return None", "return [x for x in a if not x > b]", "return [x for x in a if x >= b]",
    ],
    "'''How.'''": [],
    "é = a + b": ["without é = a + b", "é = a - b"],
}  # fmt: skip


@pytest.mark.parametrize("code", CASES)
def test_each_small_mistake_is_made_once(code):
    made = mutations(CELL.format(code))
    assert sorted(each.name for each in made) == sorted(CASES[code])
    assert all("c = 7" in each.text and "return c" in each.text for each in made)
    for each in made:
        compile(each.text, "cell", "exec")


def test_what_is_given_is_left_alone():
    assert mutations("def f(a):\n    return a + 1\n") == []


def test_a_line_that_python_reads_the_same_is_no_mutation():
    names = [each.name for each in mutations(CELL.format("a, b = g(), g()"))]
    assert names == ["without a, b = g(), g()"]


@pytest.fixture
def toy(tmp_path, monkeypatch):
    master = toys.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return load(master)


def with_answer(lab, old, new):
    """The lab with other words in its answers."""
    cells = json.loads(json.dumps(lab.master["cells"]))
    for cell in cells:
        cell["source"] = source(cell).replace(old, new)
    return replace(lab, master={**lab.master, "cells": cells})


LOOP = """\
while d == 17:
        d = 16
    return x / math.sqrt(d)"""


def test_gaps_in_the_checks_show_and_hung_mutants_are_killed(toy):
    """The control: the checks ask for d = 16 alone, so that nobody notices what is done with 17."""
    lab = with_answer(toy, "return x / math.sqrt(d)", LOOP)
    outcomes = mutation.run(lab, workers=1)
    statuses = {each.name: each.status for each in outcomes}
    alive = {name for name, status in statuses.items() if not status}
    assert alive == {"scaled: without while d == 17: d = 16", "scaled: without d = 16",
                     "scaled: while d == 18:", "scaled: d = 15", "scaled: d = 17"}  # fmt: skip
    assert statuses["scaled: while d != 17:"] == statuses["scaled: while d == 16:"] == "timeout"
    assert statuses["masked_mean: return kept.sum(0) * mask.sum()"] == "fail"
    assert {sentence.split("'")[1] for sentence in mutation.problems(lab, outcomes)[:-1]} == alive


def outcomes(*statuses):
    made = mutations(CELL.format("return a + b * 2"))
    return [mutation.Outcome("f", *row) for row in zip(made, statuses, strict=False)]


def test_nine_of_ten_must_die_and_each_survivor_is_explained(toy):
    good, bad = outcomes("fail", "fail", "timeout"), outcomes("fail", "", "partial")
    assert mutation.problems(toy, good) == [] and mutation.share(good) == 1
    survives, share = mutation.problems(toy, bad)
    assert "'f: return a - b * 2' survives" in survives and "66.7% are killed" in share
    explained = replace(toy, survivors={"f: return a - b * 2": "b is 0"})
    (share,) = mutation.problems(explained, bad)
    assert "66.7% are killed" in share  # a reason does not make it a kill
    text = mutation.report(explained, bad)
    assert "2 of 3 killed, 66.7% (fail 1, partial 1, survived 1)" in text
    assert "f, line 4: b is 0\n  -     return a + b * 2\n  +     return a - b * 2" in text
    assert "NOT LISTED" in mutation.report(toy, bad)


def test_a_listed_mutation_that_dies_is_told(toy):
    listed = replace(toy, survivors={"scaled: return None": "never"})
    (sentence,) = mutation.problems(listed, outcomes("fail"))
    assert "does not survive: remove it" in sentence


def test_a_master_that_fails_is_told(toy, monkeypatch):
    class Strict(mutation.Judge):
        def grade(self, lab, notebook, seed=0):
            return [Verdict("mean", 2, 3, "partial", "")]

    monkeypatch.setattr(mutation, "Judge", Strict)
    with pytest.raises(UserError, match="does not get all points"):
        mutation.run(toy, workers=1)


def test_survivors_are_read_from_the_checks(tmp_path):
    master = toys.write(tmp_path)
    checks = master.with_name("lab_mean_checks.py")
    with checks.open("a") as file:
        file.write('SURVIVORS = {"scaled: return x": "because"}\n')
    assert labs.load(master).survivors == {"scaled: return x": "because"}
