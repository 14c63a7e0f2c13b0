"""Stored results: their form, that their command exists, and that stale ones are found."""

import sys
from types import SimpleNamespace

import pytest
from typer.main import get_command

from minimodels import cli, device, files
from minimodels.errors import UserError
from minimodels.experiments import EXPERIMENTS, Experiment, results


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone with one source file and one experiment that depends on it."""
    (tmp_path / "Makefile").touch()
    (tmp_path / "minimodels" / "toy").mkdir(parents=True)
    source = tmp_path / "minimodels" / "toy" / "a.py"
    source.write_text('"""Doc."""\n\n\ndef f():\n    """Doc."""\n    return 1  # one\n')
    monkeypatch.chdir(tmp_path)
    row = Experiment("04_training", "toy_experiment:run", "A toy.", ("minimodels/toy",))
    monkeypatch.setitem(EXPERIMENTS, "toy", row)
    module = SimpleNamespace(run=lambda seed: {"loss": 1.5 + seed})
    monkeypatch.setitem(sys.modules, "toy_experiment", module)
    return source


def test_every_stored_result_has_its_form_and_its_command():
    for path in results.stored():
        stored = files.read_json(path)
        assert set(stored) == results.KEYS, path
        program, verb, *rest = stored["command"].split()
        assert program == "minimodels" and verb in get_command(cli.app).commands, path
        if verb == "experiment":
            assert path == results.result_path(rest[0], EXPERIMENTS[rest[0]])
        assert stored["sources"] and "missing" not in stored["sources"].values(), path


def test_every_experiment_names_a_function_and_sources():
    for name, experiment in EXPERIMENTS.items():
        assert (files.repository() / "course" / experiment.stage).is_dir(), name
        assert results.source_hashes(experiment.sources), name


def test_a_result_is_stale_when_code_changes_but_not_when_words_do(clone):
    path = results.run("toy", seed=2)
    assert path == clone.parents[2] / "course" / "04_training" / "results" / "toy.json"
    stored = files.read_json(path)
    assert set(stored) == results.KEYS and stored["values"] == {"loss": 3.5}
    assert stored["command"] == "minimodels experiment toy --seed 2"
    assert results.stale(path) == []
    clone.write_text("def f():\n    # another comment\n    return (1)\n")
    assert results.stale(path) == []
    clone.write_text("def f():\n    return 2\n")
    assert results.stale(path) == ["minimodels/toy/a.py"]
    clone.unlink()
    assert results.stale(path) == ["minimodels/toy/a.py"]


@pytest.mark.parametrize("count, says", [(1, "1 CPU core ("), (2, "2 CPU cores (")])
def test_the_machine_is_told_by_its_cores_not_by_threads(monkeypatch, count, says):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(device, "_container_cores", lambda: count)
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert results.machine().startswith(says)


def test_an_unknown_name_is_one_sentence(clone):
    with pytest.raises(UserError, match="no experiment 'nothing'"):
        results.run("nothing")
