"""Generating labs/, and `minimodels start`."""

import subprocess
import sys

import pytest

from minimodels.classroom import release
from minimodels.classroom.lab import load
from minimodels.classroom.normalize import read, source, tags
from minimodels.classroom.student.start import labs, start
from minimodels.errors import UserError
from tests.classroom import toys


@pytest.fixture
def clone(tmp_path, monkeypatch):
    toys.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    release.main()
    return tmp_path


def everything(folder):
    return {path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}  # fmt: skip


def test_answers_and_checks_stay_home(clone):
    names = sorted(path.name for path in (clone / "labs" / "00_toy").iterdir())
    assert names == ["lab_mean.ipynb", "picture.svg"]
    text = (clone / "labs" / "00_toy" / "lab_mean.ipynb").read_text(encoding="utf-8")
    assert "kept" not in text and "SOLUTION" not in text and text.count("NotImplementedError") == 2


def test_twice_the_same_bytes_and_old_files_go(clone):
    first = everything(clone / "labs")
    (clone / "labs" / "00_toy" / "lab_gone.ipynb").write_text("{}")
    release.main()
    assert everything(clone / "labs") == first


def test_cells_are_locked_and_tagged(clone):
    cells = read(clone / "labs" / "00_toy" / "lab_mean.ipynb")["cells"]
    setup = next(cell for cell in cells if source(cell) == toys.SETUP)
    assert setup["metadata"]["editable"] is False
    assert sum("visible-check" in tags(cell) for cell in cells) == 2


def test_nbgrader_itself_writes_the_same_bytes(clone):
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", "00_toy",
               "--force", "--no-db",
               "--CourseDirectory.source_directory=solutions",
               "--CourseDirectory.release_directory=theirs",
               "--CourseDirectory.ignore=['*_checks.py']"]  # fmt: skip
    subprocess.run(command, cwd=clone, check=True, capture_output=True)
    ours = read(clone / "labs" / "00_toy" / "lab_mean.ipynb")
    about = ours["metadata"].pop("minimodels")  # the one thing that is added
    assert read(clone / "theirs" / "00_toy" / "lab_mean.ipynb") == ours
    assert about["lab"] == "00_toy/lab_mean" and "colorsys" in about["forbidden"]


def test_another_text_is_another_version(clone):
    path = clone / "solutions" / "00_toy" / "lab_mean.ipynb"
    before = release.version(load(path))
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("kept = x[mask]", "kept = x[mask == True]"), encoding="utf-8")
    assert release.version(load(path)) == before  # the answer is not what students are given
    path.write_text(text.replace("# Means", "# Means of rows"), encoding="utf-8")
    assert release.version(load(path)) != before


def test_start_copies_and_never_overwrites(clone):
    assert labs() == ["mean"]
    path = start("mean")
    assert path == clone / "work" / "00_toy" / "lab_mean.ipynb"
    assert (path.parent / "picture.svg").exists()
    path.write_text("my work")
    with pytest.raises(UserError, match="already there"):
        start("lab_mean.ipynb")
    assert path.read_text() == "my work"


def test_start_with_another_name_tells_the_near_one(clone):
    with pytest.raises(UserError, match="no lab 'maen': choose mean"):
        start("maen")


def test_points_of_checks_and_cells_must_agree(tmp_path):
    master = toys.write(tmp_path)
    checks = master.with_name("lab_mean_checks.py")
    checks.write_text(checks.read_text().replace("points=1", "points=5"))
    with pytest.raises(UserError, match="make them equal"):
        load(master)
    checks.unlink()
    with pytest.raises(UserError, match="is missing"):
        load(master)
