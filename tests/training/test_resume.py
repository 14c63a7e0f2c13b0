"""A run that is killed with SIGKILL and started again equals one that was never interrupted."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import TinyModel, batches, config

from minimodels.errors import UserError
from minimodels.training.checkpoints import FILE
from minimodels.training.trainer import past_rows, train


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # another split of a sum is another rounding
    yield
    torch.set_num_threads(threads)


def child(folder, deadly):
    script = Path(__file__).parent / "tiny.py"
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), str(deadly)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ),
    )


def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    whole_model, settings = TinyModel(), config(checkpoint_every=3)
    whole = list(train(whole_model, batches, settings, tmp_path / "whole", progress=False))

    folder = tmp_path / "killed"
    first = child(folder, deadly=0)
    for _ in range(8):  # rows 0 to 7; the checkpoint holds 0 to 5
        assert first.stdout.readline()
    first.send_signal(signal.SIGKILL)
    assert first.wait(60) == -signal.SIGKILL
    assert len(past_rows(folder)) == 6

    second = child(folder, deadly=2)  # dies while it writes rows 0 to 11
    second.communicate(timeout=120)
    assert second.returncode == -signal.SIGKILL
    assert len(past_rows(folder)) == 9

    model = TinyModel(seed=5)  # other weights: the checkpoint must bring them all back
    list(train(model, batches, settings, folder, progress=False))
    assert losses(past_rows(folder)) == losses(whole) and len(whole) == 20
    for ours, theirs in zip(model.parameters(), whole_model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert [path.name for path in folder.iterdir()] == [FILE]  # nothing half-written stays


def losses(rows):
    return [(r["step"], r["loss"], r["grad_norm"], r["learning_rate"], r["tokens"]) for r in rows]


def stopped_after(steps, folder, model=None, **changes):
    run = train(model or TinyModel(), batches, config(**changes), folder, progress=False)
    for row in run:
        if row["step"] + 1 == steps:
            run.close()
    return folder


def test_without_the_optimizer_the_resumed_run_would_differ(tmp_path, monkeypatch):
    whole = list(train(TinyModel(), batches, config(), progress=False))
    stopped_after(10, tmp_path, checkpoint_every=5)
    monkeypatch.setattr(torch.optim.Optimizer, "load_state_dict", lambda *_: None)
    list(train(TinyModel(), batches, config(checkpoint_every=5), tmp_path, progress=False))
    assert losses(past_rows(tmp_path))[:10] == losses(whole)[:10]
    assert losses(past_rows(tmp_path))[11:] != losses(whole)[11:]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path, optimizer):
    whole = list(train(TinyModel(), batches, config(optimizer=optimizer), progress=False))
    changes = dict(optimizer=optimizer, checkpoint_every=5)
    stopped_after(12, tmp_path, **changes)
    rows = list(train(TinyModel(seed=5), batches, config(**changes), tmp_path, progress=False))
    assert losses(rows) == losses(whole)[10:]


def test_a_finished_run_is_loaded_not_repeated(tmp_path):
    trained = TinyModel()
    list(train(trained, batches, config(), tmp_path, progress=False))
    again = TinyModel(seed=9)
    assert list(train(again, batches, config(), tmp_path, progress=False)) == []
    assert torch.equal(again.lm_head.weight, trained.lm_head.weight)


@pytest.mark.parametrize(
    "change", [dict(learning_rate=1e-3), dict(steps=30), dict(betas=(0.8, 0.9))]
)
def test_other_settings_do_not_resume(tmp_path, change):
    stopped_after(10, tmp_path, checkpoint_every=5)
    with pytest.raises(UserError, match=next(iter(change))):
        next(train(TinyModel(), batches, config(**change), tmp_path, progress=False))


def test_other_data_or_model_do_not_resume(tmp_path):
    stopped_after(10, tmp_path, checkpoint_every=5)
    with pytest.raises(UserError, match="other data"):
        next(train(TinyModel(), lambda s: batches(s + 1), config(), tmp_path, progress=False))
    wider = TinyModel()
    wider.lm_head = torch.nn.Linear(32, 2 * 64)
    with pytest.raises(UserError, match="no checkpoint of this model"):
        next(train(wider, batches, config(), tmp_path, progress=False))


@pytest.mark.parametrize("bytes_kept", [0, 5, 2000])
def test_a_broken_file_is_one_sentence(tmp_path, bytes_kept):
    stopped_after(10, tmp_path, checkpoint_every=5)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:bytes_kept])
    with pytest.raises(UserError, match="broken"):
        next(train(TinyModel(), batches, config(), tmp_path, progress=False))


def test_a_full_disk_leaves_the_older_checkpoint_whole(tmp_path, monkeypatch):
    stopped_after(5, tmp_path, checkpoint_every=5)
    shutil.copy(tmp_path / FILE, tmp_path / "copy")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="disk is full"):
        list(train(TinyModel(), batches, config(checkpoint_every=5), tmp_path, progress=False))
    assert (tmp_path / FILE).read_bytes() == (tmp_path / "copy").read_bytes()
