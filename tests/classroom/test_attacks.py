"""The attack set through the judge: no points for nothing, nothing gets out, the batch goes on."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from minimodels import files
from minimodels.classroom import lab as labs
from minimodels.classroom.grading.judge import Judge
from minimodels.classroom.handed_in.rebuild import code
from minimodels.errors import UserError
from minimodels.sandbox import box
from tests.classroom import toys
from tests.classroom.attacks import bombs, borrowing, escapes, lies, open, reading

TOY = [*lies.ATTACKS, *reading.ATTACKS, *escapes.ATTACKS, *bombs.ATTACKS]
OUT = [*reading.ATTACKS, *escapes.ATTACKS]
QUICK = [*OUT, *(each for each in lies.ATTACKS if "repl" in each.name or "message" in each.name)]
ATTENTION = files.repository() / "solutions" / "03_architecture" / "lab_attention.ipynb"
SECRET, CANARY = "MINIMODELS_CANARY", "CANARY-3141592653"


class World:
    """What lies around a judge and is nobody's business, and signs of who touched it."""

    def __init__(self, folder: Path):
        master = toys.write(folder / "clone")
        checks = master.with_name("lab_mean_checks.py")
        checks.write_text(f"{checks.read_text()}\nWORD = {CANARY!r}\n")
        self.lab = dataclasses.replace(labs.load(master), seconds=2.0)
        self.honest = code(self.lab, self.lab.master)
        others = folder / "submissions" / "roe.ipynb"
        others.parent.mkdir()
        others.write_text(json.dumps({"cells": [], "metadata": {"word": CANARY}}))
        (folder / "gradebook.db").write_text(CANARY)
        self.places = [str(each) for each in (checks, others, folder / "gradebook.db")]
        self.target = folder / "written-from-inside"
        self.victim = subprocess.Popen(["sleep", "600"])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind("\0minimodels-canary-" + str(self.victim.pid))
        self.abstract.listen()
        for each in (self.listener, self.abstract):
            each.setblocking(False)

    def cells(self, attack) -> list[str]:
        """A notebook whose last answer is the attack."""
        words = {"PLACES": self.places, "TARGET": str(self.target), "SECRET": SECRET,
                 "PORT": self.listener.getsockname()[1], "VICTIM": self.victim.pid,
                 '"\\0minimodels-canary"': f"\0minimodels-canary-{self.victim.pid}"}  # fmt: skip
        cell = attack.cell
        for word, value in words.items():
            cell = cell.replace(word, repr(value))
        return [*self.honest[:-1], cell]

    def touched(self) -> list[str]:
        """Signs that something from inside was outside."""
        signs = ["a file was written"] * self.target.exists()
        signs += ["a process was killed"] * (self.victim.poll() is not None)
        for name, each in (("tcp", self.listener), ("unix", self.abstract)):
            try:
                each.accept()[0].close()
                signs.append(f"{name} connection")
            except BlockingIOError:
                pass
        return signs

    def close(self):
        self.victim.kill()
        self.victim.wait()
        self.listener.close()
        self.abstract.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    os.environ[SECRET] = CANARY
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()
    del os.environ[SECRET]


@pytest.fixture(scope="module")
def batch(world):
    """One batch through one judge: every attack, an honest notebook after each ten; then its end.

    {name: (verdicts, what was touched)}, marks of the honest, processes that were left at the end.
    """
    done, honest, left = {}, [], []
    with Judge() as judge:
        honest.append(judge.judge(world.lab, world.honest))
        for number, attack in enumerate(TOY):
            verdicts = judge.judge(world.lab, world.cells(attack))
            done[attack.name] = verdicts, world.touched()
            if number % 10 == 9 or attack is TOY[-1]:
                honest.append(judge.judge(world.lab, world.honest))
        left += below(judge) if judge._server else []
    return done, honest, left


def below(judge) -> list[str]:
    """The processes of a judge's server but for the box and the server itself."""
    tree = psutil.Process(judge._server._process.pid).children(recursive=True)
    return [str(each) for each in tree if each.children() == []][1:]


def check(world, attack, verdicts, touched):
    got = {verdict.task: verdict for verdict in verdicts}
    scale, mean = got["scale"], got["mean"]
    assert scale.points == 0, f"{attack.name}: {scale}"
    assert scale.status in attack.status.split("|"), f"{attack.name}: {scale}"
    assert attack.says in scale.message, scale
    words = json.dumps([dataclasses.asdict(each) for each in verdicts])
    assert "SUCCESS" not in words and CANARY not in words, f"{attack.name}: {words}"
    assert len(words) < 6000 and not touched, f"{attack.name}: {touched}"
    assert attack.loses_all or mean.status == "pass", f"{attack.name}: {mean}"


@pytest.mark.parametrize("attack", TOY, ids=lambda attack: attack.name)
def test_an_attack_gets_nothing_and_reaches_nothing(world, batch, attack):
    check(world, attack, *batch[0][attack.name])


def test_honest_marks_are_those_of_a_clean_batch(world, batch):
    with Judge() as judge:
        clean = judge.judge(world.lab, world.honest)
    assert all(each.points == each.max_points for each in clean)
    assert len(batch[1]) > 5 and all(each == clean for each in batch[1])


def test_nothing_is_left_of_a_batch(world, batch):
    assert batch[2] == []
    assert [each.pid for each in psutil.Process().children()] == [world.victim.pid]
    for name in ("left-here", "0", "own.zip", "0-link"):
        assert not Path("/tmp", name).exists() and not Path("/dev/shm", name).exists()


@pytest.mark.parametrize("name", ["namespaces"])
def test_the_other_box_holds_as_well(world, name):
    if not box.works(name):
        pytest.skip("this machine has no such box")
    with Judge(name) as judge:
        for attack in [each for each in QUICK if not each.slow]:
            check(world, attack, judge.judge(world.lab, world.cells(attack)), world.touched())


def test_a_control_without_a_box_attacks_win(world):
    """The same cells get out where nothing holds them: so a test above can fail."""
    with Judge(box.NONE) as judge:
        for attack in [each for each in OUT if each.wins_openly]:
            words = str(judge.judge(world.lab, world.cells(attack)))
            assert "SUCCESS" in words or world.touched(), f"{attack.name}: {words}"


def test_a_control_lies_win_where_objects_are_compared():
    names = {"torch": torch}
    for attack in [each for each in lies.ATTACKS if "equals everything" in each.name]:
        exec(attack.cell, names)
        assert names["scaled"](1.0, 16) == 0.25, attack.name
    liar = next(each for each in lies.ATTACKS if "comparisons lie" in each.name)
    exec(liar.cell, names)
    assert torch.allclose(names["scaled"](1.0, 16), torch.tensor(0.25))
    early = next(each for each in lies.ATTACKS if each.name == "os._exit(0) in the cell")
    done = subprocess.run([sys.executable, "-c", f"{early.cell}\nassert scaled(1, 16) == 0.25"])
    assert done.returncode == 0


def test_without_a_box_there_is_no_judge(world, monkeypatch):
    monkeypatch.setattr(box, "works", lambda name: False)
    box.engine.cache_clear()
    try:
        with pytest.raises(UserError, match="no way to run untrusted code"), Judge() as judge:
            judge.judge(world.lab, world.honest)
    finally:
        box.engine.cache_clear()


def test_a_server_that_ends_costs_nobody_a_mark(world):
    with Judge() as judge:
        first = judge.judge(world.lab, world.honest)
        judge._server._process.kill()
        assert judge.judge(world.lab, world.honest) == first


@pytest.fixture(scope="module")
def attention():
    """The attention lab with its first two tasks: the mask, answered honestly, and attention."""
    lab = labs.load(ATTENTION)
    checks = tuple(check for check in lab.checks if check.task in ("mask", "attention"))
    return dataclasses.replace(lab, checks=checks)


@pytest.fixture(scope="module")
def borrower():
    with Judge() as judge:
        yield judge


def borrowed(lab, judge, attack) -> dict:
    """The verdicts of the master's first cells with the attack in the place of attention."""
    cells = [cell for cell in code(lab, lab.master) if "import math" in cell or "_mask(p" in cell]
    verdicts = judge.judge(lab, [*cells[:2], attack.cell])
    return {verdict.task: verdict for verdict in verdicts}


@pytest.mark.parametrize("attack", borrowing.ATTACKS, ids=lambda attack: attack.name)
def test_somebody_elses_attention_gets_nothing(attention, borrower, attack):
    verdicts = borrowed(attention, borrower, attack)
    assert verdicts["attention"].points == 0, verdicts["attention"]
    assert verdicts["attention"].status in attack.status.split("|")
    assert verdicts["mask"].status == "pass", verdicts["mask"]


SAMPLE = [attack for attack in borrowing.ATTACKS if not attack.slow][::5]


@pytest.mark.parametrize(
    "attacks", [SAMPLE, pytest.param(borrowing.ATTACKS, marks=pytest.mark.nightly)]
)
def test_a_control_it_wins_where_nothing_is_forbidden(attention, attacks):
    free = dataclasses.replace(attention, forbidden=())
    with Judge() as judge:
        for attack in attacks:
            got = borrowed(free, judge, attack)["attention"]
            assert got.points == got.max_points, f"{attack.name}: {got}"


def test_the_set_is_large_and_says_what_it_leaves_open():
    names = [attack.name for attack in [*TOY, *borrowing.ATTACKS]]
    assert len(names) == len(set(names)) >= 40
    assert all(len(text) > 40 for text in open.OPEN.values())
