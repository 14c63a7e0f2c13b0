"""A new chapter passes the lint; a new lab passes what every lab must."""

import json

import pytest

from minimodels import files
from minimodels.classroom import lab as labs
from minimodels.classroom.grading.judge import Judge
from minimodels.classroom.lint import lint
from minimodels.classroom.new import new
from minimodels.classroom.normalize import read
from minimodels.classroom.release import release
from minimodels.errors import UserError


@pytest.fixture(autouse=True)
def clone(tmp_path, monkeypatch):
    (tmp_path / "course" / "04_training").mkdir(parents=True)
    (tmp_path / "minimodels").mkdir()
    (tmp_path / "Makefile").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_chapter_passes_the_lint(clone):
    (path,) = new("chapter", "04_training/03_schedules", 'Why "warm up"?')
    assert path == clone / "course" / "04_training" / "03_schedules.ipynb"
    notebook = read(path)
    assert lint(notebook) == []
    assert notebook["cells"][0]["source"][0] == '# Why "warm up"?\n'


def test_its_cells_run(clone):
    (path,) = new("chapter", "04_training/03_schedules")
    names = {}
    for cell in read(path)["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)


def test_a_new_lab_is_a_whole_lab(clone):
    master, _ = new("lab", "04_training/adam")
    assert master == clone / "solutions" / "04_training" / "lab_adam.ipynb"
    lab = labs.load(master)
    assert lint(lab.master, chapter=False) == []
    with Judge() as judge:
        for mutant in lab.mutants:
            (verdict,) = judge.grade(lab, labs.changed(lab.master, mutant.replace))
            assert verdict.points == mutant.points and mutant.message in verdict.message
        for alternative in lab.alternatives:
            (verdict,) = judge.grade(lab, labs.changed(lab.master, alternative.replace))
            assert verdict.status == "pass"
        (verdict,) = judge.grade(lab, release(lab.master))
        assert verdict.points == 0


@pytest.mark.parametrize(
    "kind, name, says",
    [
        ("essay", "04_training/01_a", "neither chapter nor lab"),
        ("chapter", "training", "write it as 04_training/03_schedules"),
        ("chapter", "44_drawing/01_a", "there is no stage 44_drawing: choose one of 04_training"),
        ("lab", "../x", "write it as 04_training/adam"),
    ],
)
def test_wrong_names_are_one_sentence(kind, name, says):
    with pytest.raises(UserError, match=says):
        new(kind, name)


def test_nothing_is_overwritten(clone):
    (path,) = new("chapter", "04_training/03_schedules")
    path.write_text("mine")
    with pytest.raises(UserError, match="already there"):
        new("chapter", "04_training/03_schedules")
    assert path.read_text() == "mine"


def test_patterns_are_normalized():
    folder = files.Path(files.__file__).parent / "classroom" / "patterns"
    for path in folder.glob("*.ipynb"):
        assert json.loads(path.read_text(encoding="utf-8"))["nbformat"] == 4
        assert not [word for word in lint(read(path)) if "normalized" in word]
