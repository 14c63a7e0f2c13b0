"""What counts: points of the term, groups, overrides; and the tables that leave the house."""

import csv
import io
from dataclasses import replace
from datetime import datetime

import pytest

from minimodels.classroom.cohort import Cohort, Plan
from minimodels.classroom.grading.records import Verdict
from minimodels.classroom.reports import grades, late, lms, people, regrade, tables
from minimodels.errors import UserError
from tests.classroom.graded import LATE, NAMES, record, records

DUE = datetime.fromisoformat("2026-12-01T23:59:00+01:00")
COHORT = Cohort("nlp", 7, {"mean": Plan(DUE, {"scale": 4.0})}, per_day=0.1, days=5)
TASKS = {"mean": ["mean", "scale"]}


def table(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def write(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def test_grades_csv_has_a_row_for_each_task_and_no_formula(tmp_path):
    path = grades.write_csv(tmp_path / "grades.csv", grades.rows(records()))
    raw = path.read_bytes()
    assert not raw.startswith(b"\xef\xbb\xbf") and raw.count(b"\r\n") == 21
    header = "student,lab,task,points,max_points,status,message,lab_version,code_sha256"
    assert raw.decode("utf-8").splitlines()[0] == header
    rows = table(path)
    assert {tables.plain(row["student"]) for row in rows} == set(NAMES)
    assert not [cell for row in rows for cell in row.values() if cell.startswith(tables.FORMULA)]
    assert [row["student"] for row in rows if "cmd" in row["student"]] == ["'=cmd()"] * 2
    [row] = [row for row in rows if row["student"] == "Müller, Jörg" and row["task"] == "mean"]
    assert (row["points"], row["max_points"], row["status"]) == ("3", "3", "pass")


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", " =1", "＝1", "\ufeff=1", "\n=1"])
def test_no_text_is_run_by_a_spreadsheet_and_all_come_back(text):
    assert tables.cell(text).startswith("'")
    assert tables.plain(tables.cell(text)) == tables.one_line(text)
    assert tables.cell("a=1") == "a=1" and tables.cell(-1.5) == "-1.5"  # numbers are numbers


def test_numbers_are_short():
    assert [tables.number(value) for value in (3.0, 2.5, 1 / 3, 0.0, -0.0, 1234567.0)] == [
        "3", "2.5", "0.3333", "0", "0", "1234567",
    ]  # fmt: skip


def test_half_a_surrogate_pair_and_turned_writing_do_not_stop_a_table(tmp_path):
    path = tables.write_table(tmp_path / "a.csv", ["a"], [["a\udce4\u202eb\x00c\nd"]])
    assert path.read_bytes() == b"a\r\na?bc d\r\n"


def test_points_of_the_term_scale_and_lateness_touches_the_final_alone():
    done = people.scaled(records(), COHORT, TASKS)
    rows = {(row.student, row.task): row for row in grades.rows(done)}
    assert rows["Müller, Jörg", "scale"].points == 4 and rows["doe", "mean"].points == 1
    finals = {row.student: row for row in grades.finals(done, COHORT)}
    late, in_time = finals["Müller, Jörg"], finals["Zoë Ångström"]
    assert (late.points, late.max_points, late.late_days, late.final) == (7, 7, 2, 5.6)
    assert (in_time.points, in_time.late_days, in_time.final) == (7, 0, 7)
    assert grades.finals(done, Cohort())[0].late_days == 0


def test_a_task_the_lab_does_not_have_is_said():
    wrong = Cohort(labs={"mean": Plan(points={"maen": 3.0})})
    with pytest.raises(UserError, match="'maen', which is no task of mean"):
        people.scaled(records(), wrong, TASKS)


def test_a_group_gets_its_last_submission():
    first = record("ann", 3, 2, submitted="2026-12-01T09:00:00+00:00")
    last = record("bob", 1, 2, submitted="2026-12-01T10:30:00+01:00")  # half an hour later
    untimed = record("cy", 3, 2)
    groups = {"ann": "red", "bob": "red", "cy": "red", "dan": "red", "eve": "blue"}
    done = {each.student: each for each in people.shared([first, last, untimed], groups)}
    assert sorted(done) == ["ann", "bob", "cy", "dan"]  # blue handed nothing in
    assert {each.points for each in done.values()} == {3}
    assert {each.code_sha256 for each in done.values()} == {"c-bob"}
    assert done["bob"].notes == ("group red: this submission counts for every member",)
    assert "10:30" in done["dan"].notes[0] and "bob" not in "".join(done["dan"].notes)


def test_groups_keep_each_members_own_ids():
    one, two = record("ann", ids={"canvas": "1"}), record("bob", ids={"canvas": "2"})
    done = people.shared([one, two], {"ann": "red", "bob": "red"})
    assert [each.ids["canvas"] for each in done] == ["1", "2"]


def test_overrides_of_a_task_and_of_the_lab(tmp_path):
    text = "student,lab,task,points,reason\ndoe,mean,mean,2.5,appeal\ndoe,mean,,6,oral\n"
    overrides = people.read_overrides(write(tmp_path, "overrides.csv", text))
    [doe] = people.overridden([record("doe", 0, 2)], overrides)
    assert doe.points == 6 and doe.max_points == 5
    assert [(row.task, row.points, row.status) for row in doe.verdicts] == [
        ("mean", 2.5, "override"), ("scale", 2, "pass"), ("", 1.5, "override"),
    ]  # fmt: skip
    assert doe.verdicts[0].message == "appeal"


def test_an_override_for_somebody_who_handed_in_nothing():
    other = replace(record("ann"), lab="other")
    one = people.Override("ann", "mean", "mean", 2, "sick note", "line 2")
    done = people.overridden([other, record("doe")], [one])
    [made] = [each for each in done if each.student == "ann" and each.lab == "mean"]
    assert made.points == 2 and made.verdicts[1].status == "invalid" and not made.code_sha256


@pytest.mark.parametrize("line, says", [
    ("doe,mean,mean,2,", "line 2 has no reason"),
    ("doo,mean,mean,2,why", "line 2: no student is called 'doo'"),
    ("doe,maen,mean,2,why", "line 2: no lab 'maen'"),
    ("doe,mean,maen,2,why", "line 2: mean has no task 'maen'"),
    ("doe,mean,mean,4,why", "mean has 3 points at most"),
    ("doe,mean,mean,two,why", "line 2: points are 'two'"),
    ("doe,mean,mean,-1,why", "line 2: points are '-1'"),
    ("doe,mean,mean,nan,why", "line 2: points are 'nan'"),
    ("doe,mean,mean,2,a, b", "line 2 has 6 cells and needs 5"),
    ("doe,mean,mean,2,a\ndoe,mean,mean,1,b", "line 3 repeats overrides.csv, line 2"),
])  # fmt: skip
def test_a_wrong_override_names_its_line(tmp_path, line, says):
    text = f"student,lab,task,points,reason\n{line}\n"
    with pytest.raises(UserError, match=says):
        overrides = people.read_overrides(write(tmp_path, "overrides.csv", text))
        people.overridden([record("doe")], overrides)


def test_tables_from_spreadsheets_are_read(tmp_path):
    text = "\ufeffgroup;student\r\nred;Müller, Jörg\r\n\r\nred;'=cmd()\r\n"
    assert people.read_groups(write(tmp_path, "groups.csv", text)) == {
        "Müller, Jörg": "red", "=cmd()": "red",
    }  # fmt: skip
    assert people.read_groups(tmp_path / "none.csv") == {}
    with pytest.raises(UserError, match="line 3: ann is in red already"):
        people.read_groups(write(tmp_path, "g.csv", "student,group\nann,red\nann,blue\n"))
    with pytest.raises(UserError, match="line 1 must be `student,group`"):
        people.read_groups(write(tmp_path, "g.csv", "name,group\nann,red\n"))
    (tmp_path / "g.csv").write_bytes("student,group\nJörg,red\n".encode("latin-1"))
    with pytest.raises(UserError, match="save it as CSV in UTF-8"):
        people.read_groups(tmp_path / "g.csv")


def test_files_for_canvas_and_moodle(tmp_path):
    done = people.scaled(records(), COHORT, TASKS)
    (tmp_path / "moodle-old.csv").write_text("of an earlier run", encoding="utf-8")
    written = lms.write_lms(tmp_path, done, grades.finals(done, COHORT))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["canvas.csv", "moodle-mean.csv"]
    canvas = table(written[0])
    assert list(canvas[0]) == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "mean"]
    assert canvas[0]["Student"] == "    Points Possible" and canvas[0]["mean"] == "7"
    assert {row["ID"]: row["mean"] for row in canvas[1:]} == {"4711": "5.6", "4712": "4"}
    moodle = {row["Identifier"]: row["Grade"] for row in table(written[1])}
    assert moodle == {"Participant 99": "7", "Participant 100": "1"}
    assert lms.write_lms(tmp_path, [record("doe")], []) == []


@pytest.mark.parametrize("about, why", [
    ({"lab_version": "v2"}, "lab version changed"),
    ({"checks_sha256": "k2"}, "checks changed"),
    ({"code_sha256": "other"}, "code changed"),
    ({"environment": {"torch": "2.14"}}, "environment changed"),
    ({}, "nothing known changed: the answer may depend on chance or time"),
])  # fmt: skip
def test_a_regrade_says_what_changed_and_why(about, why):
    before, after = record("doe", 3), record("doe", 1, **about)
    [change] = regrade.changes([before, record("ann")], [after, record("ann", **about)])
    assert str(change).startswith(f"doe mean mean 3 → 1 ({why}): mean: values differ")


def test_a_regrade_tells_of_overrides_and_of_who_came_and_went():
    doe = record("doe", 1)
    [mended] = people.overridden([doe], [people.Override("doe", "mean", "mean", 3, "appeal")])
    assert str(*regrade.changes([doe], [mended])) == "doe mean mean 1 → 3 (override): appeal"
    assert "(override withdrawn)" in str(*regrade.changes([mended], [doe]))
    assert [change.why for change in regrade.changes([], [doe])] == [("handed in",)] * 2
    assert "3 → none (no longer handed in)" in str(regrade.changes([record("a")], [])[0])
    crash = replace(doe, verdicts=(Verdict("mean", 1, 3, "crash", "gone"), doe.verdicts[1]))
    assert "1 partial → 1 crash" in str(*regrade.changes([doe], [crash]))


def test_a_regrade_tells_of_a_group():
    records = [record("ann", 3, submitted=LATE), record("doe", 0)]
    shared = people.shared(records, {"ann": "red", "doe": "red"})
    assert str(*regrade.changes(records, shared)) == "doe mean mean 0 → 3 (group changed)"
    assert regrade.changes(shared, shared) == []


def test_days_that_a_person_knows_go_before_the_clock(tmp_path):
    path = write(tmp_path, "late.csv", "student,lab,days\ndoe,mean,0\nann,mean,3\n")
    told = replace(COHORT, told=late.read(path))
    assert late.read(tmp_path / "none.csv") == {}
    assert grades.late(record("doe", submitted=LATE), told) == (0, 1.0)  # an extension
    assert grades.late(record("doe", submitted=LATE), COHORT) == (2, 0.8)
    assert grades.late(record("ann"), told) == (3, pytest.approx(0.7))
    assert grades.late(record("ann"), replace(COHORT, told={("ann", "mean"): 6})) == (6, 0.0)


@pytest.mark.parametrize("line, says", [
    ("doe,mean,-1", "line 2: days are '-1'"),
    ("doe,mean,1.5", "a whole number"),
    ("doe,mean,1\ndoe,mean,2", "line 3 repeats doe mean"),
])  # fmt: skip
def test_a_wrong_line_of_late_csv_is_named(tmp_path, line, says):
    with pytest.raises(UserError, match=says):
        late.read(write(tmp_path, "late.csv", f"student,lab,days\n{line}\n"))


def test_what_a_lecturer_should_look_at():
    marked = record("doe", notes=("Canvas marks it as late",))
    here = [marked, record("ann", submitted=LATE), record("bob")]
    [one] = late.warnings(here, COHORT, {})
    assert one.startswith("2 came without a time (1 of them marked late by Canvas)")
    told = replace(COHORT, told={("doe", "mean"): 1, ("bob", "mean"): 0})
    assert late.warnings(here, told, {"doe": "red"}) == []
    assert late.warnings(here, Cohort("nlp", 7, {"mean": Plan(DUE)}), {}) == []  # no price
    typos = replace(told, told={**told.told, ("dow", "mean"): 1})
    found = late.warnings(here, typos, {"bbo": "red"})
    assert found[0] == "late.csv: dow handed in no mean"
    assert found[1:] == ["groups.csv: bbo handed in nothing and gets what the group handed in"]


def test_late_says_when(tmp_path):
    assert grades.late(record("doe", submitted=LATE), COHORT) == (2, 0.8)
    assert grades.late(record("doe"), COHORT) == (0, 1.0)
