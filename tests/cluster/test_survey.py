import errno
import json
import time

import pytest
import torch

from minimodels.cluster import survey as module
from minimodels.cluster.survey import Survey, survey
from minimodels.errors import UserError


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIMODELS_HOME", str(tmp_path))
    monkeypatch.setenv("MINIMODELS_DEVICE", "cpu")
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """Counts measurements instead of making them."""
    made = []
    monkeypatch.setattr(module, "matmul_flops", lambda dtype, where: made.append(dtype) or 2e9)
    monkeypatch.setattr(module, "copy_bandwidth", lambda where: 1e9)
    monkeypatch.setattr(module, "disk_speed", lambda folder: 3e6)
    monkeypatch.setattr(module.psutil, "cpu_percent", lambda interval: 25.0)
    return made


def test_measured_once_then_read(quick):
    first = survey()
    assert quick == ["float32", "bfloat16"]
    assert survey() == first and len(quick) == 2
    assert survey(fresh=True) == first and len(quick) == 4
    assert (first.float32_gflops, first.copy_gbs, first.disk_mbs) == (2.0, 1.0, 3.0)


def test_another_number_of_cores_is_another_machine(quick, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    survey()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert survey().cores == 2 and len(quick) == 4


@pytest.mark.parametrize("left", ["{", "{}", "[]", '{"instruction_sets": [], "old": 1}'])
def test_a_broken_or_old_file_is_measured_again(quick, home, left):
    survey()
    (path,) = home.glob("survey-*.json")
    path.write_text(left, encoding="utf-8")
    survey()
    assert len(quick) == 4 and "processor" in json.loads(path.read_text(encoding="utf-8"))


def test_its_roofline(quick):
    machine = survey().machine("bfloat16")
    assert machine.flops == 2e9 and machine.bandwidth == 1e9 and "bfloat16" in machine.name
    with pytest.raises(UserError, match="float32 or bfloat16"):
        survey().machine("int4")


def test_what_it_says_of_the_hardware(quick):
    result = survey()
    assert isinstance(result, Survey) and result.device == "cpu"
    assert result.processor and result.cores >= 1 and result.memory_gb > 0
    assert result.busy == 0.25
    levels = [result.caches[name] for name in sorted(result.caches) if name != "L1d"]
    assert levels == sorted(levels)


def test_speeds_are_counts_over_time(monkeypatch):
    """The formula, with a clock that counts: each product, each copy takes one second."""
    cpu = torch.device("cpu")
    monkeypatch.setattr(module, "_fastest", lambda work, where, seconds: work() is None or 1.0)
    assert module.matmul_flops("float32", cpu, seconds=100) == 2 * 2048**3
    assert module.matmul_flops("float32", cpu, seconds=1) == 2 * 512**3  # too slow for the next
    monkeypatch.setattr(module, "caches", lambda: {"L3": 80 * module.MIB})
    assert module.copy_bandwidth(cpu) == 2 * 320 * module.MIB  # four times the largest cache


def test_the_best_try_counts():
    naps = iter([0.03, 0.0, 0.03])
    cpu = torch.device("cpu")
    assert module._fastest(lambda: time.sleep(next(naps, 0.0)), cpu, 0) < 0.03


def test_a_real_measurement_is_in_a_sane_range(home):
    cpu = torch.device("cpu")
    assert 1e8 < module.matmul_flops("float32", cpu, 0.1) < 1e14
    assert 1e8 < module.copy_bandwidth(cpu, 0.1) < 1e13
    assert module.disk_speed(home, module.MIB) > 1e5


def test_a_full_disk_is_one_sentence(monkeypatch, home):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(UserError, match="is full"):
        module.disk_speed(home, module.MIB)
