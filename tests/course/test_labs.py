"""Every lab there is and will be: solution all points, stub none, mutants as declared."""

import pytest

from minimodels import files
from minimodels.classroom import lab as labs
from minimodels.classroom.grading.judge import Judge
from minimodels.classroom.normalize import tags
from minimodels.classroom.release import generate, release

LEAST_MUTANTS = 3


def pytest_generate_tests(metafunc):
    """One set of tests a lab; `--stage` chooses those of one stage."""
    if "lab" in metafunc.fixturenames:
        paths = labs.masters(metafunc.config.getoption("--stage", default=""))
        names = [f"{path.parent.name}/{path.stem}" for path in paths]
        metafunc.parametrize("lab", paths, ids=names, indirect=True, scope="module")


@pytest.fixture(scope="module")
def lab(request):
    return labs.load(request.param)


@pytest.fixture(scope="module")
def judge():
    with Judge() as judge:
        yield judge


def test_the_solution_gets_all_points(judge, lab):
    for verdict in judge.grade(lab, lab.master):
        assert verdict.status == "pass" and verdict.points == verdict.max_points, verdict


def test_the_stub_gets_none(judge, lab):
    for verdict in judge.grade(lab, release(lab.master)):
        assert verdict.points == 0 and verdict.message, verdict


@pytest.mark.timeout(900)  # up to forty gradings
def test_each_mutant_gets_what_is_declared(judge, lab):
    wrong = []
    for mutant in lab.mutants:
        verdicts = judge.grade(lab, labs.changed(lab.master, mutant.replace))
        verdict = next(each for each in verdicts if each.task == mutant.task)
        if verdict.points != mutant.points or mutant.message not in verdict.message:
            wrong.append(f"{mutant}\n  got {verdict}")
    assert not wrong, "\n".join(wrong)


def test_each_alternative_gets_all_points(judge, lab):
    for alternative in lab.alternatives:
        for verdict in judge.grade(lab, labs.changed(lab.master, alternative.replace)):
            assert verdict.points == verdict.max_points, (alternative.name, verdict)


def test_the_lab_has_what_a_lab_needs(lab):
    assert len(lab.mutants) >= LEAST_MUTANTS and lab.alternatives
    assert {mutant.task for mutant in lab.mutants} == set(lab.points())
    shown = [cell for cell in lab.master["cells"] if "visible-check" in tags(cell)]
    assert len(shown) >= len(lab.points())
    assert any("public checks passed" in "".join(cell["source"]) for cell in shown)
    assert any("victory" in tags(cell) for cell in lab.master["cells"])


def test_labs_are_what_would_be_generated(tmp_path):
    """`make labs` was run after the last change of solutions/."""
    root = files.repository()
    for folder in {path.parent for path in labs.masters()}:
        generate(folder, tmp_path / folder.name)
    assert contents(root / "labs") == contents(tmp_path)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and ".ipynb_checkpoints" not in path.parts}  # fmt: skip
