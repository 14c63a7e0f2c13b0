"""A whole batch: records, resuming, regrading, and the same grades on a Ray cluster."""

import copy
import os
import signal
import subprocess
import sys
import time

import pytest

from minimodels.classroom import lab as labs
from minimodels.classroom.cohort import Cohort, Plan
from minimodels.classroom.grading import batch, command, records
from minimodels.classroom.normalize import dumps
from minimodels.errors import UserError
from tests.classroom import toys

TERM = Cohort("toy", 3, {"mean": Plan()})
WRONG = "def scaled(x, d):\n    return x / d"


@pytest.fixture
def clone(tmp_path, monkeypatch):
    toys.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lab(clone):
    return labs.load(clone / "solutions" / "00_toy" / "lab_mean.ipynb")


def hand_in(lab, folder, **students):
    """Write {name: text of the second answer, or bytes of a file} as submissions."""
    for name, answer in students.items():
        place = folder / "in" / name / "lab_mean.ipynb"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(answer if isinstance(answer, bytes) else notebook(lab, answer))
    return folder / "in"


def notebook(lab, answer: str) -> bytes:
    made = copy.deepcopy(lab.master)
    for cell in made["cells"]:
        if answer and cell["metadata"].get("nbgrader", {}).get("grade_id") == "scaled":
            cell["source"] = answer
    return dumps(made).encode("utf-8")


def many(lab, folder, count=6):
    students = {f"s{number}": WRONG if number % 2 else "" for number in range(count)}
    return hand_in(lab, folder, **students)


def marks(found):
    return {(each.student, each.lab, v.task): (v.points, v.status, v.message)
            for each in found for v in each.verdicts}  # fmt: skip


def points(run):
    return {record.student: record.points for record in run.after}


def test_each_student_has_a_record_and_nobody_stops_the_batch(lab, clone):
    place = hand_in(lab, clone, ann="", bob=WRONG, eve="import os; os._exit(0)", gus=b"", joe=b"{")
    run = batch.grade(place, clone / "grades", TERM)
    assert points(run) == {"ann": 5, "bob": 3, "eve": 3, "gus": 0, "joe": 0}
    by_name = {record.student: record for record in run.after}
    ann, joe = by_name["ann"], by_name["joe"]
    assert len(ann.code_sha256) == 64 and ann.lab_version and ann.environment["sandbox"]
    assert ann.code_sha256 != by_name["bob"].code_sha256 and joe.code_sha256 == ""
    assert {verdict.status for verdict in joe.verdicts} == {"invalid"}
    assert joe.verdicts[0].message and batch.answers(clone / "grades", by_name["bob"])["scaled"]
    assert run.after == records.all_in(clone / "grades")


def test_a_second_run_judges_only_what_changed(lab, clone):
    place = many(lab, clone)
    first = batch.grade(place, clone / "grades", TERM)
    assert (first.judged, first.kept) == (6, 0)
    hand_in(lab, clone, s1="")
    second = batch.grade(place, clone / "grades", TERM)
    assert (second.judged, second.kept) == (1, 5)
    assert points(second) == {**points(first), "s1": 5}
    other_seed = Cohort("toy", 4, TERM.labs)
    assert batch.grade(place, clone / "grades", other_seed).judged == 6


def test_a_change_of_the_checks_is_a_regrade_that_says_so(lab, clone, capsys):
    place = hand_in(lab, clone, bob=WRONG)
    words = [str(place), str(clone / "grades"), "", "local", 1, "", ""]
    command.main(*words)
    checks = lab.path.with_name("lab_mean_checks.py")
    text = checks.read_text(encoding="utf-8")
    checks.write_text(text.replace('why="unit variance"', 'rtol=1e9, why="unit variance"'))
    capsys.readouterr()
    command.main(*words)
    assert "bob mean scale 0 → 2 (checks changed)" in capsys.readouterr().out
    csv = (clone / "grades" / "grades.csv").read_text(encoding="utf-8")
    assert csv.startswith("student,lab,task,points,max_points,status,message,lab_version,code_sha")


def test_a_run_that_broke_off_goes_on(lab, clone, capsys):
    place = many(lab, clone)

    def breaks_off(jobs, box):
        yield from batch.local(1)(jobs[:2], box)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.grade(place, clone / "grades", TERM, breaks_off)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit, match="130"):
        patch.setattr(command, "_engine", lambda *_: breaks_off)
        command.main(str(place), "stopped", "", "local", 1, "", "")
    assert "the same command goes on" in capsys.readouterr().err
    run = batch.grade(place, clone / "grades", TERM)
    assert (run.judged, run.kept) == (4, 2) and len(run.after) == 6


def test_a_run_that_was_killed_goes_on_to_the_same_grades(lab, clone):
    place = many(lab, clone, 12)
    whole = marks(batch.grade(place, clone / "whole", TERM).after)
    (clone / "cohort.toml").write_text('name = "toy"\nseed = 3\n[labs.mean]\n', encoding="utf-8")
    program = [sys.executable, "-m", "minimodels.cli", "grade", str(place), "--jobs", "1",
               "--out", "grades", "--cohort", "cohort.toml"]  # fmt: skip
    process = subprocess.Popen(program, cwd=clone, env=os.environ | {"PYTHONPATH": toys.ROOT},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    while not list((clone / "grades").glob("records/mean/*.json")):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(records.all_in(clone / "grades"))
    run = batch.grade(place, clone / "grades", TERM)
    assert 0 < done < 12 and run.judged == 12 - done
    assert marks(run.after) == whole


def test_no_box_no_run(lab, clone, monkeypatch):
    place = hand_in(lab, clone, ann="")
    monkeypatch.setattr(command.sandbox.box, "works", lambda name: False)
    command.sandbox.engine.cache_clear()
    with pytest.raises(UserError, match="no way to run untrusted code safely"):
        command.main(str(place), "grades", "", "local", 1, "", "")
    with pytest.raises(UserError, match="say --without-sandbox"):
        command.main(str(place), "grades", "", "local", 1, "", "yes")
    command.main(str(place), "grades", "", "local", 1, "", command.TRUST)
    (record,) = records.all_in(clone / "grades")
    assert record.points == 5 and record.environment["sandbox"] == "none"


def test_ray_gives_the_same_grades_when_a_worker_is_killed(lab, clone):
    """Two workers with one core each; one machine is lost while the batch runs."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    from minimodels.classroom.grading.cluster import ray as on_ray

    place = many(lab, clone, 16)
    alone = marks(batch.grade(place, clone / "alone", TERM).after)
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        machines = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
        lost = []

        def loses_one(jobs, box):
            for number, graded in enumerate(on_ray(cluster.address)(jobs, box)):
                if number == 3:
                    cluster.remove_node(machines[0], allow_graceful=False)
                    lost.append(number)
                yield graded

        run = batch.grade(place, clone / "spread", TERM, loses_one)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert lost == [3] and run.judged == 16
    assert marks(run.after) == alone


@pytest.mark.nightly
def test_a_hundred_submissions_of_the_attention_lab(tmp_path):
    """On two cores in at most eight minutes, right and wrong ones, each judged once."""
    from minimodels.bench import grading

    path = next(path for path in labs.masters() if path.stem == "lab_attention")
    assert grading.ours(labs.load(path), 100, tmp_path) < 480
