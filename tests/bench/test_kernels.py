"""The benchmark of kernels without a GPU: bookkeeping with made-up times, cases interpreted.

Each file of tests/bench/interpreted runs in a process that interprets Triton's kernels.
"""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from minimodels import cli
from minimodels.bench import kernel_clock, kernel_contest, kernels
from minimodels.bench.kernel_case import Case, Cost, Peer, Size, size_of
from minimodels.bench.kernel_clock import Time, data_sheet
from minimodels.bench.kernel_contest import Row, contest
from minimodels.bench.kernel_goals import goals
from minimodels.cluster.roofline import Machine
from minimodels.errors import UserError

FOLDER = Path(__file__).parent / "interpreted"
MACHINE = Machine("made up", 1e12, 1e9)
SIZE = Size("tiny", 8, 8, 1, 1, 8, 8, 9, batch=1, T=4, dtype=torch.float32)
FILES = [
    pytest.param(path.stem, marks=pytest.mark.skipif(
        path.stem == "test_liger" and importlib.util.find_spec("liger_kernel") is None,
        reason="liger-kernel is not installed"))
    for path in sorted(FOLDER.glob("test_*.py"))
]  # fmt: skip


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.parametrize("file", FILES)
def test_interpreted(file):
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", FOLDER / f"{file}.py"]
    environment = os.environ | {
        "TRITON_INTERPRET": "1", "MINIMODELS_DEVICE": "cpu", "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(FOLDER), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout


class MadeUp:
    """A clock by which all takes a millisecond."""

    device = torch.device("cpu")

    def __init__(self):
        self.started = []

    def start(self, work):
        work()
        self.started.append(work)
        return lambda: 1.0

    def wait(self):
        pass

    def fresh(self):
        pass

    def speed(self):
        return "1000 MHz"

    def peak(self, work):
        return len(work()) * 100


def case(ours, peers=None) -> Case:
    return Case("double", "double", "4 numbers", lambda draw: {"x": draw.normal(4, 3)}, ours,
                lambda x: 2 * x, {"forward": Cost(12, 96), "backward": Cost(12, 96)}, ("x",),
                peers or {}, "memory", compiles=False)  # fmt: skip


def test_a_contest_checks_then_measures_both_legs():
    peers = {"Liger": Peer(lambda x: x + x), "off": Peer(lambda x: 2.1 * x),
             "no": Peer(lambda x: 1 / 0)}  # fmt: skip
    forward, backward = contest(case(lambda x: x * 2, peers), SIZE, MadeUp())
    assert (forward.leg, backward.leg) == ("forward", "backward")
    assert set(forward.times) == set(backward.times) == {"ours", "eager", "Liger"}
    assert forward.times["ours"] == Time(1.0, 1.0, 1.0) and forward.speed == "1000 MHz"
    assert forward.peaks == {"ours": 200, "eager": 200, "Liger": 200}  # a value and a gradient
    assert forward.left_out["no"] == "division by zero"
    assert "output 0 differs from its reference in 4 rows" in forward.left_out["off"]


def test_a_wrong_gradient_is_refused_and_nothing_is_measured():
    class Off(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, dy):
            return 2.01 * dy

    clock = MadeUp()
    rows = contest(case(lambda x: Off.apply(x)), SIZE, clock)
    assert all(not row.times and "output 1 differs" in row.left_out["ours"] for row in rows)
    assert not clock.started and goals(rows[0], MACHINE) == []


def row(goal, times, peaks=None) -> Row:
    made = {who: Time(t, t, t) for who, t in times.items()}
    held = dict.fromkeys(times, 1000) | (peaks or {})
    return Row("k", "k", "some", "forward", goal, Cost(1e3, 8e5), made, held, {}, "")  # 0.8 ms


@pytest.mark.parametrize("made, met", [
    (row("memory", {"ours": 1.0, "Liger": 1.0}), [True, True]),
    (row("memory", {"ours": 1.01, "Liger": 1.0}), [False, False]),
    (row("memory", {"ours": 0.9}), [None, True]),
    (row("attention", {"ours": 1.0, "SDPA flash": 0.7, "SDPA cudnn": 0.9}), [True]),
    (row("attention", {"ours": 1.0, "SDPA flash": 0.69, "SDPA cudnn": 0.9}), [False]),
    (row("attention", {"ours": 1.0, "eager": 9.0}), [None]),
    (row("loss", {"ours": 1.0, "eager": 1.0}, {"ours": 100}), [True]),
    (row("loss", {"ours": 1.0, "eager": 1.0}, {"ours": 101}), [False]),
    (row("loss", {"ours": 1.0}), [None]),
    (row("", {"ours": 1.0, "eager": 1.0}), []),
    (row("memory", {}), []),
])  # fmt: skip
def test_goals(made, met):
    assert [goal.met for goal in goals(made, MACHINE)] == met


def test_lines_and_report(monkeypatch):
    monkeypatch.setattr(kernels, "state", lambda: {"driver_version": "1"})
    made = row("memory", {"ours": 1.25, "Liger": 1.0})
    refused = replace(row("loss", {}), left_out={"ours": "refused: wrong"})
    text = "\n".join(kernels.lines(made, MACHINE) + kernels.lines(refused, MACHINE))
    assert "at best 0.800 ms (memory)" in text and "640 MB/s" not in text
    assert "1 GB/s" in text and "64% of the roofline" in text and "left out: refused: wrong" in text
    assert "goal: speed over Liger's at least 1.00: 0.80, MISSED" in text
    about = kernels.report([made, refused], MACHINE, "data sheet", ["k"])
    assert (about["met"], about["missed"], about["refused"]) == (0, 2, 1)
    assert about["command"] == "minimodels bench kernels k" and json.loads(json.dumps(about))
    assert "0 goals met, 2 missed" in kernels.closing(about)


@pytest.mark.parametrize("name, memory, found", [
    ("NVIDIA H100 80GB HBM3", 85.0, "H100"), ("NVIDIA H100 PCIe", 85.0, None),
    ("NVIDIA A100-SXM4-80GB", 85.0, "A100"), ("NVIDIA A100-SXM4-40GB", 42.3, None),
    ("NVIDIA H200", 150.1, "H200"), ("NVIDIA GH200 480GB", 102.0, None),
    ("AMD Instinct MI300X", 206.0, None), ("NVIDIA GeForce RTX 4090", 25.3, None),
])  # fmt: skip
def test_peaks_are_of_this_very_card_or_measured(name, memory, found):
    machine = data_sheet(name, memory)
    assert (machine and machine.name) == found


def test_costs_of_every_kernel():
    costs = kernels.costs("gemma-7b", batch=1)
    measured = {make(size_of("gemma-7b")).kernel for make, _ in kernels.CASES}
    files = {path.stem for path in Path(kernel_clock.__file__).parents[1].glob("kernels/*.py")}
    without = "__init__ attention_tiles checks compile figures lessons pieces quant trace"
    others = {*without.split(), "flash_attention_backward"}  # it has no function of its own
    assert measured == files - others  # each file with a kernel has a case
    T, D, F = 4096, 3072, 24576
    assert costs["geglu"] == (10 * T * F, 6 * T * F)
    assert costs["rms_norm"] == (4 * T * D, 4 * T * D + 2 * D + 4 * T)
    flops, moved = costs["flash_attention"]
    assert flops == 2 * T * (T + 1) * 16 * 256 and moved == 8 * T * 16 * 256 + 4 * T * 16
    assert 1 < costs["cross_entropy"][0] / (6 * T * D * 256_000) < 1.001


def test_without_a_gpu_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(kernels.device, "triton_mode", lambda: "reference")
    told = CliRunner().invoke(cli.app, ["bench", "kernels", "rms_norm", "--json"])
    assert isinstance(told.exception, UserError) and "nothing was measured" in str(told.exception)
    printed = json.loads(told.stdout)
    assert printed["measured"] is False and len(printed["computed"]) == 2
    with pytest.raises(UserError, match="no kernel file 'rms' is measured: choose of rms_norm,"):
        kernels.main(["rms"])


def test_a_whole_run(monkeypatch, capsys):
    """As on a GPU, at tiny sizes, with a made-up clock and machine; nothing is compiled."""
    tiny = Size("tiny", D=64, F=96, H=4, K=2, d=16, R=8, V=50, batch=2, T=12, dtype=torch.float32)
    monkeypatch.setattr(kernels.device, "triton_mode", lambda: "compiled")
    monkeypatch.setattr(kernels.device, "device", lambda: torch.device("cpu"))
    monkeypatch.setattr(kernels, "size_of", lambda name: tiny)
    monkeypatch.setattr(kernels, "Clock", lambda device: MadeUp())
    monkeypatch.setattr(kernels, "roof", lambda device: (MACHINE, "made up"))
    monkeypatch.setattr(kernels, "state", lambda: {})
    monkeypatch.setattr(kernel_contest, "MOST", 2)
    monkeypatch.setattr(kernel_contest, "FEWEST", 2)
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: function)
    names = ["glu", "flash_attention", "cross_entropy", "adamw"]
    assert kernels.main(names) == 1  # a made-up clock meets no goal of memory's speed
    text = capsys.readouterr().out
    assert "geglu forward" in text and "geglu backward" in text and "cross_entropy both" in text
    assert "SDPA cudnn       left out: " in text and "SDPA flash " in text
    assert "torch fused" in text and "goal: speed over SDPA's best at least 0.70: 1.00, met" in text
    assert kernels.main(names, as_json=True) == 1
    about = json.loads(capsys.readouterr().out)
    assert about["measured"] and about["refused"] == 0 and about["missed"] > 0
    times = {row["name"]: set(row["times"]) for row in about["rows"]}
    assert {"ours", "eager", "torch.compile", "SDPA flash"} <= times["flash_attention"]
