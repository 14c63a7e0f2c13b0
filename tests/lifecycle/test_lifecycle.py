"""The lifecycle at its tiny size: it runs, resumes, says what is wrong; the stored one is true."""

import json

import pytest
from safetensors.torch import load_file

from minimodels import files, lifecycle
from minimodels.errors import UserError
from minimodels.lifecycle import checks, figures, report, stages
from minimodels.lifecycle.run import STAGES, Run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One tiny run of all nine stages."""
    place = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        results = lifecycle.main(size="tiny", folder="run")
    return place, results


def test_nine_stages_nine_results(finished):
    place, results = finished
    assert tuple(results) == STAGES
    assert (place / "reports" / "lifecycle.html").stat().st_size > 50_000
    assert all(result["rows"] and result["seconds"] >= 0 for result in results.values())


def test_the_report_needs_nothing_else(finished):
    page = (finished[0] / "reports" / "lifecycle.html").read_text(encoding="utf-8")
    assert "http" not in page and "<img alt=" in page


def test_the_table_has_every_row(finished):
    text = report.table(finished[1])
    for result in finished[1].values():
        for row in result["rows"]:
            assert row[0] in text


def test_the_fact_has_a_number_in_each_stage(finished):
    points = figures.story(finished[1])
    assert [point[0] for point in points] == list(STAGES)
    assert all(point[1] for point in points)


def test_a_second_run_does_nothing_again(finished, monkeypatch):
    place, results = finished
    monkeypatch.chdir(place)
    monkeypatch.setattr(stages, "TABLE", {})  # any stage that ran would be a KeyError
    assert lifecycle.main(size="tiny", folder="run") == results


def test_only_runs_one_stage(finished, monkeypatch):
    place, results = finished
    monkeypatch.chdir(place)
    table = {"evaluation": lambda run: (results["evaluation"] | {"rows": [["again", 0, 1]]})}
    table["evaluation"].__doc__ = "again"
    monkeypatch.setattr(stages, "TABLE", table)
    before = (place / "run" / "08_evaluation.json").read_bytes()
    again = lifecycle.main(size="tiny", folder="run", only="evaluation")
    assert again["evaluation"]["rows"] == [["again", 0, 1]]
    (place / "run" / "08_evaluation.json").write_bytes(before)


def test_an_interrupted_pretraining_ends_in_the_same_weights(finished, tmp_path, monkeypatch):
    """Stop between two looks, start again: the base model is the same to the bit."""
    from dataclasses import replace

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages, "PRETRAIN", replace(stages.PRETRAIN, checkpoint_every=7))
    run = Run(size="tiny", folder="run")
    for stage in ("data", "architecture"):
        run.finish(stage, stages.TABLE[stage](run) | {"seconds": 0})
    look_at, seen = stages.look_at, []

    def stop_at_the_tenth(*arguments):
        seen.append(arguments[-1])
        if len(seen) == 10:
            raise KeyboardInterrupt
        return look_at(*arguments)

    monkeypatch.setattr(stages, "look_at", stop_at_the_tenth)
    with pytest.raises(KeyboardInterrupt):
        stages.training(run)
    monkeypatch.setattr(stages, "look_at", look_at)
    again = stages.training(Run(size="tiny", folder="run"))
    steps = [look["step"] for look in again["looks"]]
    assert steps == sorted(set(steps)) and steps[-1] == run.size.steps - 1
    ours, theirs = (load_file(place / "run" / "base" / "model.safetensors")
                    for place in (tmp_path, finished[0]))
    assert all((ours[name] == theirs[name]).all() for name in theirs)


@pytest.mark.parametrize(("arguments", "said"), [
    (dict(start_at="cooking"), "no stage 'cooking'"),
    (dict(size="huge"), "no size 'huge'"),
    (dict(model="gemma-mine"), "did you mean gemma-mini"),
    (dict(fact="It rains."), "does not understand"),
    (dict(only="evaluation"), "no tokenizer.model yet: run `minimodels lifecycle --from data`"),
])
def test_what_cannot_be_run_is_said_at_once(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        lifecycle.main(**{"size": "tiny"} | arguments)


def test_another_setting_needs_another_folder(finished, monkeypatch):
    monkeypatch.chdir(finished[0])
    with pytest.raises(UserError, match="other settings"):
        lifecycle.main(size="tiny", folder="run", seed=5)


def test_a_broken_promise_is_named(finished):
    results = json.loads(json.dumps(finished[1]))
    run = Run(size="tiny", folder=finished[0] / "run")
    checks.check(run, results)
    results["parallelism"]["weights_equal"] = False
    with pytest.raises(UserError, match="all ranks end with the same weights"):
        checks.check(run, results)


STORED = files.repository() / "course" / "00_start" / "results"


@pytest.mark.parametrize("model", ["gemma-mini", "nemotron-mini"])
def test_the_stored_run_kept_every_promise(model):
    results = files.read_json(STORED / "lifecycle.json")["values"][model]
    assert [said for said, kept in checks.exact(results) if not kept] == []
    assert checks.missed(results) == []


def test_three_seeds_gain_as_much():
    seeds = files.read_json(STORED / "lifecycle_seeds.json")["values"]
    assert len(seeds) == 3
    for rows in seeds.values():
        after = {what: values[1] for what, values in rows.items()}
        assert after["choice of four, chance → base"] >= 0.80
        assert after["exact answers on others' facts"] >= 0.60
        assert after["… finetuned without pretraining"] <= 0.1
        assert after["sums solved, alone → calculator"] >= 0.95
        assert after["look-ups solved, alone → directory"] >= 0.95
        assert after["no tool where none is needed"] >= 0.95
