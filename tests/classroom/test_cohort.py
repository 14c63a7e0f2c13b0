"""A term's file, what lateness costs, and the thirty invented students."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from minimodels.classroom import cohort as cohorts
from minimodels.classroom import demo
from minimodels.classroom import lab as labs
from minimodels.classroom.bundle import EXAMPLE
from minimodels.classroom.cohort import Cohort, Plan
from minimodels.classroom.handed_in.rebuild import code, rebuild
from minimodels.errors import UserError
from minimodels.experiments import cohort as invented

DUE = datetime(2026, 12, 1, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def written(folder, text):
    path = folder / "cohort.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_is_read(tmp_path):
    term = cohorts.read(written(tmp_path, EXAMPLE))
    assert term.labs["attention"].points == {"mask": 5.0} and term.per_day == 0.1
    assert term.plan("attention").due.utcoffset() == timedelta(hours=1)
    assert term.plan("another") is None and Cohort().plan("another") == Plan()


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("seed = 20261", "", "'seed'"),
        ("[late]", "[lateness]", "'lateness', which is none of"),
        ("per_day = 0.1", "per_day = 10", "a share between 0 and 1"),
        ("per_day = 0.1", "per_hour = 0.1", r"\[late\] holds 'per_hour'"),
        ("2026-12-01T23:59:00+01:00", "2026-12-01T23:59:00", "needs a time zone"),
        ("due = 2026-12-01T23:59:00+01:00", 'due = "soon"', "needs a time zone"),
        ("mask = 5", "mask = -5", "not negative"),
        ("[labs.attention]", "[labs.attention", "cannot be read"),
        ("[labs.attention]", "[labs.attention]\nweight = 2", "'weight'"),
    ],
)
def test_a_mistake_in_it_is_one_sentence(tmp_path, old, new, says):
    assert old in EXAMPLE
    with pytest.raises(UserError, match=says):
        cohorts.read(written(tmp_path, EXAMPLE.replace(old, new, 1)))


def test_no_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="is missing"):
        cohorts.read(tmp_path / "cohort.toml")


@pytest.mark.parametrize(
    "late, per_day, days, expected",
    [
        (-MINUTE, 0.1, 5, (0, 1.0)),
        (0 * MINUTE, 0.1, 5, (0, 1.0)),
        (MINUTE, 0.1, 5, (1, 0.9)),
        (DAY, 0.1, 5, (1, 0.9)),
        (DAY + MINUTE, 0.1, 5, (2, 0.8)),
        (5 * DAY, 0.1, 5, (5, 0.5)),
        (5 * DAY + MINUTE, 0.1, 5, (6, 0.0)),
        (5 * DAY, 0.25, None, (5, 0.0)),
        (50 * DAY, 0.0, None, (50, 1.0)),
    ],
)
def test_a_day_begun_is_a_day(late, per_day, days, expected):
    term = Cohort("t", 1, {"mean": Plan(DUE)}, per_day, days)
    found = term.late("mean", DUE + late)
    assert found == (expected[0], pytest.approx(expected[1]))
    assert demo.left(per_day, days, late) == pytest.approx(expected[1])


def test_no_date_costs_nothing():
    assert Cohort("t", 1, {"mean": Plan()}).late("mean", DUE) == (0, 1.0)
    assert Cohort("t", 1, {"mean": Plan(DUE)}, 0.5).late("mean", None) == (0, 1.0)


@pytest.fixture(scope="module")
def lab():
    return labs.load(next(path for path in labs.masters() if path.stem == "lab_attention"))


def test_thirty_students_of_every_kind(lab):
    students = invented.invented(lab)
    kinds = Counter(each.kind for each in students)
    assert len(students) == 30 == len({invented.login(each) for each in students})
    assert set(kinds) == {"right", "wrong", "unfinished", "damaged", "unreadable", "hostile"}
    assert kinds["hostile"] == len(invented.HOSTILE) and kinds["damaged"] == len(invented.DAMAGE)
    assert all(set(each.fair) <= set(lab.points()) and each.fair for each in students)
    assert invented.invented(lab, 1)[0].name != students[0].name


def test_who_is_right_or_damaged_wrote_what_the_master_says(lab):
    lines = "\n".join(code(lab, lab.master)).splitlines()
    master = code(lab, invented.solved(lab))
    assert "\n".join(master).splitlines() == [line for line in lines if "### " not in line]
    for student in invented.invented(lab):
        if student.kind == "damaged":
            assert rebuild(student.file, lab).cells == master, student.about
        if student.kind in ("wrong", "hostile", "unfinished"):
            assert rebuild(student.file, lab).cells != master, student.about
