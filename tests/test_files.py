import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from minimodels import files
from minimodels.errors import UserError


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_atomic_writes_text_and_bytes(tmp_path):
    with files.atomic(tmp_path / "deep" / "a.txt") as file:
        file.write("naïve 你好\n")
    with files.atomic(tmp_path / "b.bin", "wb") as file:
        file.write(b"\x00\xff")
    assert (tmp_path / "deep" / "a.txt").read_bytes() == "naïve 你好\n".encode()
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\xff"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    files.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), files.atomic(tmp_path / "a.txt") as file:
        file.write("new")
        1 / 0  # noqa: B018
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_sentence_and_the_old_file_stays(tmp_path, monkeypatch, error):
    files.write_json(tmp_path / "a.json", [1])

    def full(_):
        raise OSError(error, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="disk is full.*free some space"):
        files.write_json(tmp_path / "a.json", [2])
    assert files.read_json(tmp_path / "a.json") == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_other_errors_keep_their_kind(tmp_path, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="broken"):
        files.write_text(tmp_path / "a.txt", "new")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_a_disk_that_is_really_full(tmp_path, monkeypatch):
    import builtins

    real = builtins.open

    def full(path, *rest, **more):
        return real("/dev/full" if "partial" in str(path) else path, *rest, **more)

    monkeypatch.setattr(builtins, "open", full)
    with pytest.raises(UserError, match="disk is full"):
        files.write_text(tmp_path / "a.txt", "x" * 100_000)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys, time
from minimodels import files
with files.{writer}({path!r}) as out:
    {write}
    print("half", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    "writer, write",
    [
        ("atomic", "out.write('half'); out.flush()"),
        ("atomic_folder", "(out / 'part').write_text('half')"),
    ],
)
def test_a_killed_write_leaves_the_old_one_and_the_next_write_cleans_up(tmp_path, writer, write):
    target = tmp_path / "thing"
    code = KILLED.format(writer=writer, path=str(target), write=write)
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not target.exists()
    assert len(list(tmp_path.iterdir())) == 1  # the partial, under its own name
    if writer == "atomic":
        files.write_text(target, "whole")
    else:
        with files.atomic_folder(target) as folder:
            (folder / "part").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_a_partial_of_a_living_writer_is_left_alone(tmp_path):
    with files.atomic(tmp_path / "a.txt") as slow:
        slow.write("slow")
        files.write_text(tmp_path / "a.txt", "quick")
        assert (tmp_path / "a.txt").read_text() == "quick"
    assert (tmp_path / "a.txt").read_text() == "slow"


def test_folder_replaces_the_old_one_whole(tmp_path):
    for number in (1, 2):
        with files.atomic_folder(tmp_path / "model") as folder:
            (folder / f"weights-{number}").write_text("w")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["weights-2"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_folder_is_replaced_without_exchange_too(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_exchange", lambda *_: False)
    test_folder_replaces_the_old_one_whole(tmp_path)


def test_an_error_or_a_full_disk_leaves_the_old_folder(tmp_path):
    with files.atomic_folder(tmp_path / "model") as folder:
        (folder / "weights").write_text("old")
    with pytest.raises(UserError, match="disk is full"):
        with files.atomic_folder(tmp_path / "model") as folder:
            (folder / "weights").write_text("new")
            full_disk()
    assert (tmp_path / "model" / "weights").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_readers_never_see_a_folder_missing(tmp_path):
    """Swap a folder fifty times while another process looks; only where exchange exists."""
    target = tmp_path / "model"
    with files.atomic_folder(target) as folder:
        (folder / "weights").write_text("0")
    if not files._exchange(target, target):
        pytest.skip("this file system cannot exchange two names in one step")
    look = f"import os\nprint('go', flush=True)\nwhile os.path.exists({str(target)!r}): pass\n"
    watcher = subprocess.Popen([sys.executable, "-c", look], stdout=subprocess.PIPE)
    watcher.stdout.readline()
    for number in range(50):
        with files.atomic_folder(target) as folder:
            (folder / "weights").write_text(str(number))
    time.sleep(0.1)
    assert watcher.poll() is None
    watcher.kill()
    watcher.wait()


def test_json_round_trip_and_what_is_wrong_with_it(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"name": "你好", "n": 1})
    assert "你好" in path.read_text(encoding="utf-8")
    assert files.read_json(path) == {"name": "你好", "n": 1}
    with pytest.raises(TypeError):
        files.write_json(path, {"tensor": object()})
    assert json.loads(path.read_text(encoding="utf-8"))["n"] == 1
    path.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="not valid JSON"):
        files.read_json(path)
    with pytest.raises(UserError, match="is missing"):
        files.read_json(tmp_path / "none.json")


def test_sha256_of_the_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    assert files.sha256(tmp_path / "empty").startswith("e3b0c44298fc1c149afb")


def test_cache_dir_follows_its_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIMODELS_HOME", str(tmp_path / "home"))
    assert files.cache_dir() == tmp_path / "home" and files.cache_dir().is_dir()
    monkeypatch.delenv("MINIMODELS_HOME")
    monkeypatch.setattr(files.Path, "home", lambda: tmp_path)
    assert files.cache_dir() == tmp_path / ".cache" / "minimodels"


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has a umask")
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_modes_follow_the_umask(tmp_path, umask):
    """As plain writes would have it, also of a file that a library made with mode 0600."""
    before = os.umask(umask)
    try:
        with files.atomic_folder(tmp_path / "ours") as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / "file").touch(mode=0o600)
        (tmp_path / "theirs" / "deep").mkdir(parents=True)
        (tmp_path / "theirs" / "deep" / "file").write_text("x")
        files.write_text(tmp_path / "ours.txt", "x")
        (tmp_path / "theirs.txt").write_text("x")
    finally:
        os.umask(before)
    for name in ("", "/deep", "/deep/file", ".txt"):
        ours, theirs = ((tmp_path / f"{who}{name}").stat().st_mode for who in ("ours", "theirs"))
        assert oct(ours) == oct(theirs), name
