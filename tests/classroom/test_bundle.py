"""`minimodels release`: what is in a bundle, what is not, and when none is written."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from minimodels import files
from minimodels.classroom import bundle, leaks, release
from minimodels.classroom import lab as labs
from minimodels.classroom.normalize import dumps, read
from minimodels.cli import app
from minimodels.errors import UserError
from tests.classroom import toys

ROOT = files.repository()
NOW = datetime(2026, 9, 1, tzinfo=UTC)
TERM = """\
name = "toys-2026"
seed = 481516
[late]
per_day = 0.1
days = 5
[labs.mean]
due = 2026-12-01T23:59:00+01:00
[labs.mean.points]
scale = 2.5
"""
README = """\
# A course

For everyone.

<!-- clone only -->
The solutions are here.
<!-- /clone only -->
## Three commands

You need make.

make lab
make test  # it refuses there
minimodels solution mean
"""


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A course of one lab and one chapter, with what should stay home lying about."""
    root = tmp_path / "clone"
    toys.write(root)
    monkeypatch.chdir(root)
    release.main()
    words = {"README.md": README, "minimodels/__init__.py": "", "tests/test_a.py": "",
             "course/00_toy/results/a.json": "{}", "course/00_toy/.cache/a": "",
             "minimodels/__pycache__/a.cpython-311.pyc": "", "work/00_toy/lab_mean.ipynb": "{}",
             "grades/records/a.json": "{}", "deploy/overrides.csv": "", "notes.md": "mine",
             ".ci/system": "#!/bin/sh\n", ".ci/run": "", "cohort.toml": TERM}  # fmt: skip
    for name, text in words.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    (root / ".ci" / "system").chmod(0o755)
    return root


def make(clone, term=TERM, **more):
    path = clone / "cohort.toml"
    path.write_text(term, encoding="utf-8")
    return bundle.release(path, clone.parent / "out", now=NOW, **more)


def opened(path):
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


WANTED = {
    ".ci/system", "Makefile", "README.md", "course/00_toy/results/a.json",
    "labs/00_toy/lab_mean.ipynb", "labs/00_toy/picture.svg", "minimodels/__init__.py",
    "release.json",
}  # fmt: skip


def test_a_bundle_holds_the_course_and_nothing_else(clone):
    (path,), warnings = make(clone)
    assert path == clone.parent / "out" / "toys-2026.zip" and not warnings
    assert set(opened(path)) == WANTED
    with zipfile.ZipFile(path) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    assert modes["toys-2026/.ci/system"] == 0o755 and modes["toys-2026/README.md"] == 0o644


def test_in_a_clone_of_git_only_what_git_tracks_goes_out(clone):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (clone / "minimodels" / "scratch.py").write_text("mine")
    tracked = [name for name in WANTED - {"release.json"} if "labs" not in name]
    subprocess.run([*git, "add", "-f", "cohort.toml", "labs/00_toy/picture.svg", *tracked],
                   check=True)  # fmt: skip
    assert set(opened(make(clone)[0][0])) == WANTED


def test_the_same_files_give_the_same_bytes(clone):
    first = make(clone)[0][0].read_bytes()
    for path in clone.rglob("*"):
        os.utime(path, (0, 0))
    assert make(clone)[0][0].read_bytes() == first
    (clone / "README.md").write_text("# Another")
    assert make(clone)[0][0].read_bytes() != first


def test_the_term_is_told_and_the_seed_is_not(clone):
    inside = opened(make(clone)[0][0])
    about = json.loads(inside["release.json"])
    assert about["late"] == {"per_day": 0.1, "days": 5} and about["made"] == "2026-09-01"
    version = read(clone / "labs/00_toy/lab_mean.ipynb")["metadata"]["minimodels"]["version"]
    assert about["labs"] == {"mean": {"due": "2026-12-01T23:59:00+01:00", "version": version,
                                      "points": {"mean": 3.0, "scale": 2.5},
                                      "stage": "00_toy"}}  # fmt: skip
    assert not any(b"481516" in data for data in inside.values())


def test_nbgrader_sees_the_points_of_the_term(clone):
    import nbformat
    from nbgrader.utils import compute_checksum

    inside = opened(make(clone)[0][0])["labs/00_toy/lab_mean.ipynb"].decode("utf-8")
    cells = nbformat.reads(inside, as_version=4).cells
    graded = [cell for cell in cells if cell.metadata.get("nbgrader", {}).get("grade")]
    assert [cell.metadata.nbgrader["points"] for cell in graded] == [3, 2.5]
    for cell in graded:
        assert cell.metadata.nbgrader["checksum"] == compute_checksum(cell)
    plain = json.loads(inside)
    before = json.loads(dumps(release.handout(labs.load(labs.masters()[0]))))
    plain["cells"][-2]["metadata"] = before["cells"][-2]["metadata"]
    assert plain == before  # nothing else has changed


def test_the_table_of_tasks_says_the_points_of_the_term(clone):
    table = "| task | you write | points |\n|---|---|---|\n| 1 | a | 3 |\n| 2 | b: 1 \\| 2 | 2 |\n"
    text = {"cell_type": "markdown", "metadata": {}}
    cells = [{**text, "source": table}, {**text, "source": "| 2 | no task | 9 |"}]
    graded = [cell for cell in release.handout(labs.load(labs.masters()[0]))["cells"]
              if cell["metadata"].get("nbgrader", {}).get("grade")]  # fmt: skip
    first, second, *_ = bundle._with_points({"cells": [*cells, *graded]}, {"scale": 2.5})["cells"]
    assert "".join(first["source"]) == table.replace("| 2 |\n", "| 2.5 |\n")  # task 1 as it was
    assert second["source"] == "| 2 | no task | 9 |"


def test_the_readme_is_for_students(clone):
    text = opened(make(clone)[0][0])["README.md"].decode("utf-8")
    assert "solutions" not in text and "clone only" not in text
    assert text.index("For everyone") < text.index("## toys-2026") < text.index("## Three commands")
    assert "make test" not in text and "minimodels solution" not in text and "make lab" in text
    assert "| mean | 2026-12-01 23:59+01:00 | mean 3, scale 2.5 |" in text
    assert "10% of the points, and after 5 days nothing counts" in text


def test_a_lab_that_was_not_chosen_stays_home(clone):
    other = clone / "solutions" / "01_other"
    shutil.copytree(clone / "solutions" / "00_toy", other)
    for path in other.iterdir():
        path.rename(path.with_name(path.name.replace("mean", "other")))
    release.main()
    assert {path.name for path in (clone / "labs").iterdir()} == {"00_toy", "01_other"}
    assert set(opened(make(clone)[0][0])) == WANTED


@pytest.mark.parametrize("old, new, words", [
    ("[labs.mean]", "[labs.meen]", "there is no lab 'meen': choose of mean"),
    ("scale = 2.5", "scales = 2.5", "lab mean has no task 'scales': its tasks are mean, scale"),
    ("toys-2026", "../toys", "becomes a file name"),
    ("481516", "20261", "is the example's, and public"),
    (TERM[TERM.index("[labs.mean]") :], "[labs]\n", "the term has no lab: add .* for some of mean"),
])  # fmt: skip
def test_a_term_that_does_not_fit_is_told_and_nothing_written(clone, old, new, words):
    term = TERM.replace("[labs.mean.points]\nscale = 2.5\n", "") if "meen" in new else TERM
    with pytest.raises(UserError, match=words.replace("(", r"\(")):
        make(clone, term.replace(old, new), unpacked=True)
    assert not (clone.parent / "out").exists()


def test_a_date_that_is_past_and_a_short_seed_are_warned_of(clone):
    term = TERM.replace("2026-12-01", "2025-12-01").replace("481516", "7")
    (path,), warnings = make(clone, term)
    assert path.exists()
    assert warnings == ["lab mean was due on 2025-12-01, which is past.",
                        "seed 7 can be guessed: take one of five digits or more."]  # fmt: skip


@pytest.mark.parametrize("text", ["return kept.sum(0) / mask.sum()", "seed = 481516"])
def test_a_bundle_that_leaks_is_not_written(clone, text):
    (clone / "course" / "00_toy" / "notes.md").write_text(text)
    with pytest.raises(UserError, match="nothing was written, for .*notes.md"):
        make(clone, unpacked=True)
    assert not (clone.parent / "out").exists()


def test_the_folder_is_the_zip(clone):
    (zipped, folder), _ = make(clone, unpacked=True)
    there = {path.relative_to(folder).as_posix(): path.read_bytes()
             for path in folder.rglob("*") if path.is_file()}  # fmt: skip
    assert there == opened(zipped) and os.access(folder / ".ci" / "system", os.X_OK)
    make(clone, unpacked=True)  # a bundle is replaced
    (folder / "release.json").unlink()
    with pytest.raises(UserError, match="is no bundle"):
        make(clone, unpacked=True)


def test_a_bundle_makes_no_bundle(clone):
    (_, folder), _ = make(clone, unpacked=True)
    os.chdir(folder)
    (folder / "minimodels").mkdir(exist_ok=True)
    with pytest.raises(UserError, match="no folder solutions/ here"):
        make(clone)
    with pytest.raises(UserError, match="no folder solutions/ here"):
        release.main()
    assert (folder / "labs" / "00_toy" / "lab_mean.ipynb").exists()


def test_the_example_is_a_term(clone):
    table = tomllib.loads(bundle.EXAMPLE)
    (clone / "cohort.toml").write_text(bundle.EXAMPLE)
    assert bundle.cohorts.read(clone / "cohort.toml").plan("attention").points == {"mask": 5}
    assert table["seed"] == bundle.EXAMPLE_SEED


def test_the_command_says_what_went_out_and_what_stays(clone):
    run = CliRunner().invoke
    assert run(app, ["release", "--example"]).stdout == bundle.EXAMPLE
    done = run(app, ["release", "cohort.toml", "--out", "../out"])
    assert done.exit_code == 0 and "wrote ../out/toys-2026.zip" in done.stdout
    assert "Keep to yourself: cohort.toml" in done.stdout
    assert isinstance(run(app, ["release"]).exception, UserError)


# The real course


def test_every_tree_of_the_clone_is_kept_or_left():
    """A new file at the root is listed in KEPT or LEFT: somebody has thought about it."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    paths = [line for line in done.stdout.split("\n") if line]
    sorted_out = bundle.KEPT | bundle.LEFT
    assert not [path for path in paths if not sorted_out & {path, path.split("/")[0]}]


def test_the_real_bundle_has_no_leak_and_works(tmp_path):
    term = bundle.EXAMPLE.replace(str(bundle.EXAMPLE_SEED), "481516")
    (tmp_path / "cohort.toml").write_text(term, encoding="utf-8")
    (zipped, folder), _ = bundle.release(tmp_path / "cohort.toml", tmp_path, True, NOW)
    assert leaks.scan(zipped, [labs.load(path) for path in labs.masters()]) == []
    assert [path.name for path in folder.glob("labs/*/*.ipynb")] == ["lab_attention.ipynb"]
    assert "on honor" not in (folder / "README.md").read_text(encoding="utf-8")
    for target in ("test", "check", "labs"):
        done = subprocess.run(["make", target], cwd=folder, capture_output=True, text=True)
        assert done.returncode != 0 and "has no tests and no solutions" in done.stdout
    assert (folder / "labs" / "03_architecture" / "lab_attention.ipynb").exists()
    code = "import minimodels; print(minimodels.__file__, len(minimodels.models()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert str(folder) in done.stdout, done.stderr
