import sys

import psutil
import pytest
from safetensors.torch import load_file

from minimodels import files
from minimodels.errors import UserError
from minimodels.parallelism import launch, train_ddp
from minimodels.parallelism.launch import compare_with_one, run_two_processes, torchrun
from minimodels.parallelism.train_ddp import Recipe


def test_two_processes_under_torchrun_equal_one(monkeypatch):
    monkeypatch.setenv("MINIMODELS_DEVICE", "cpu")
    result = compare_with_one(Recipe(steps=2, batch_size=4, length=16))
    assert result["two"]["processes"] == 2 and result["one"]["processes"] == 1
    assert result["loss_difference"] < 1e-5
    assert result["gradient_difference"] < 1e-6 < 1e-3 < result["gradient_largest"]
    assert len(set(result["two"]["weights"])) == 1
    assert result["two"]["bytes_reduced"] > 0 == result["one"]["bytes_reduced"]


def test_a_mistake_in_the_recipe_is_one_sentence_after_one_try(monkeypatch):
    tries = []
    once = launch._once
    monkeypatch.setattr(launch, "_once", lambda *given: tries.append(1) or once(*given))
    with pytest.raises(UserError, match="gemma-mini") as error:
        run_two_processes(Recipe(model="gema-mini"))
    assert len(str(error.value).splitlines()) == 1 and len(tries) == 1


def fails(times):
    outcomes = [(False, "Traceback\nRuntimeError: port\nE failed (exitcode: 1)\nboiler")] * times
    return lambda *given: outcomes.pop() if outcomes else (True, "fine")


def test_one_failure_is_tried_again(monkeypatch):
    monkeypatch.setattr(launch, "_once", fails(1))
    assert torchrun("any.module", []) == "fine"


def test_two_failures_show_what_the_workers_said(monkeypatch):
    monkeypatch.setattr(launch, "_once", fails(2))
    with pytest.raises(UserError, match="RuntimeError: port") as error:
        torchrun("any.module", ["--steps=3"], processes=4)
    assert "boiler" not in str(error.value)
    assert "torchrun --standalone --nproc-per-node 4 -m any.module --steps=3" in str(error.value)


HANGS = """
import pathlib, subprocess, sys, time
child = [sys.executable, "-c", "import time; time.sleep(600)"]
print(subprocess.Popen(child, start_new_session=True).pid, flush=True)
time.sleep(600)
"""


def test_a_run_that_hangs_ends_with_all_it_started():
    done, output = launch._once([sys.executable, "-c", HANGS], {}, timeout=4)
    assert not done and "no end after 4 s" in output
    worker = int(output.split()[0])
    assert not psutil.pid_exists(worker) or psutil.Process(worker).status() == "zombie"


def test_workers_inherit_no_outer_torchrun(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("MINIMODELS_DEVICE", "cpu")
    environment = launch._environment(2)
    assert "RANK" not in environment and environment["OMP_NUM_THREADS"] == "1"
    assert environment["MINIMODELS_DEVICE"] == "cpu"


def test_the_script_alone_is_one_process(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINIMODELS_DEVICE", "cpu")
    for name in launch.OUTER:
        monkeypatch.delenv(name, raising=False)
    given = ["--steps=1", "--batch-size=2", "--length=8", f"--out={tmp_path}"]
    assert train_ddp.main(given) == 0
    report = files.read_json(tmp_path / "report.json")
    assert report["processes"] == 1 and len(report["losses"]) == 1
    assert "embed_tokens.weight" in load_file(tmp_path / "gradients.safetensors")
    assert train_ddp.main(["--model=toaster", f"--out={tmp_path}"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
