"""What is remembered in work/, what the table shows, and how a kernel knows that a chapter ran."""

import json
import multiprocessing
import os
import subprocess
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from minimodels import cli, files
from minimodels.classroom.student import kernel, memory, progress
from tests.classroom import desks

CONFIG = files.repository() / "deploy" / "ipython" / "ipython_kernel_config.py"


@pytest.fixture
def clone(tmp_path, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    for stage, name in (("00_toy", "01_first"), ("00_toy", "02_second"), ("01_more", "01_third")):
        page(tmp_path / "course" / stage / f"{name}.ipynb", [("a", "x = 1"), ("b", "y = x")])
    return desks.clone(tmp_path, monkeypatch)


def page(path, cells, tags=()):
    """Write a chapter of code cells (id, source)."""
    text = {"cell_type": "markdown", "id": "t", "metadata": {}, "source": "# Why?"}
    more = {"cell_type": "code", "metadata": {"tags": list(tags)}, "outputs": []}
    codes = [{**more, "id": name, "source": source.splitlines(True)} for name, source in cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"nbformat": 4, "cells": [text, *codes]}), encoding="utf-8")
    return path


def test_a_table_by_stage_and_the_next_thing_to_do(clone):
    assert progress.text().splitlines() == [
        "stage           chapters    labs   next",
        "toy               0 of 2  0 of 1   01_first",
        "more              0 of 1       –   01_third",
        "all               0 of 3  0 of 1",
        "next: course/00_toy/01_first.ipynb",
    ]
    steps = []
    for done in (lambda: memory.ran("00_toy/01_first"), lambda: memory.ran("00_toy/02_second"),
                 desks.begun, lambda: memory.tried("mean", "v", "a", 2, 2),
                 lambda: memory.ran("01_more/01_third")):  # fmt: skip
        done()
        steps.append(progress.text().splitlines()[-1])
    assert steps == [
        "next: course/00_toy/02_second.ipynb", "next: minimodels start mean",
        "next: minimodels check mean", "next: course/01_more/01_third.ipynb", "all is done",
    ]  # fmt: skip


def test_students_of_a_term_are_not_sent_to_the_lecturers_chapter(clone, monkeypatch):
    page(clone / "course" / "01_more" / "00_for_lecturers.ipynb", [("a", "x = 1")])
    assert "more              0 of 2       –   00_for_lecturers" in progress.text()
    monkeypatch.setattr(progress.copies, "term", lambda: {"name": "term", "labs": {}})
    assert "for_lecturers" not in progress.text()


def test_the_command_prints_the_table_or_json(clone):
    memory.ran("00_toy/01_first")
    shown = CliRunner().invoke(cli.app, ["progress"])
    assert shown.exit_code == 0 and "toy               1 of 2" in shown.output
    rows = json.loads(CliRunner().invoke(cli.app, ["progress", "--json"]).output)
    assert rows[0]["chapters_run"] == 1 and rows[1]["stage"] == "more"


def test_showing_writes_nothing_and_a_chapter_that_is_gone_does_not_count(clone):
    progress.text()
    assert not (clone / "work").exists()
    memory.ran("00_toy/09_gone")
    assert progress.rows()[0].chapters_run == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"chapters": [], "labs": {}}', "\x00\xff", "{}"])
def test_a_damaged_file_is_set_aside_and_not_lost(clone, text, capsys):
    path = clone / "work" / "progress.json"
    path.parent.mkdir()
    path.write_text(text, encoding="latin-1")
    assert memory.read() == {"chapters": {}, "labs": {}}
    assert path.read_text(encoding="latin-1") == text  # to look changes nothing
    memory.ran("00_toy/01_first")
    assert set(memory.read()["chapters"]) == {"00_toy/01_first"}
    (aside,) = path.parent.glob("progress.damaged-*.json")
    assert aside.read_text(encoding="latin-1") == text and aside.name in capsys.readouterr().err


def _note(folder, name):
    os.chdir(folder)
    for number in range(10):
        memory.ran(f"{name}/{number}")


def test_several_writers_lose_nothing(clone):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_note, args=(clone, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(memory.read()["chapters"]) == 30


def test_a_lock_that_nobody_gives_back_is_not_waited_for_long(clone, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(memory, "PATIENCE", 0.05)
    (clone / "work").mkdir()
    with open(clone / "work" / ".progress.lock", "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        memory.ran("00_toy/01_first")
    assert set(memory.read()["chapters"]) == {"00_toy/01_first"}


class Shell:
    """As much of IPython's shell as the extension uses."""

    def __init__(self, **names):
        self.user_ns, self.calls = names, []
        self.events = SimpleNamespace(register=lambda event, call: self.calls.append(call))
        kernel.load_ipython_extension(self)

    def run(self, source, success=True, cell_id=None):
        info = SimpleNamespace(raw_cell=source, cell_id=cell_id)
        for call in self.calls:
            call(SimpleNamespace(info=info, success=success))


def ran():
    return set(memory.read()["chapters"])


def test_a_chapter_has_run_when_each_of_its_cells_has(clone, monkeypatch):
    path = clone / "course" / "00_toy" / "01_first.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    shell = Shell()
    shell.run("x = 1\n")
    shell.run("y = x", success=False)
    assert ran() == set()
    Shell().run("y = x")  # another kernel: it has not run the first cell
    assert ran() == set()
    shell.run("y = x + 1", cell_id="b")  # edited and not saved, but the same cell
    assert ran() == {"00_toy/01_first"}


def test_a_cell_that_fails_later_counts_as_failed(clone, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", str(clone / "course" / "00_toy" / "01_first.ipynb"))
    shell = Shell()
    shell.run("x = 1")
    shell.run("x = 1", success=False)
    shell.run("y = x")
    assert ran() == set()


def test_vs_code_names_the_notebook_in_a_variable(clone):
    shell = Shell()
    shell.user_ns["__vsc_ipynb_file__"] = str(clone / "course" / "01_more" / "01_third.ipynb")
    shell.run("x = 1")
    shell.run("y = x")
    assert ran() == {"01_more/01_third"}


@pytest.mark.parametrize("tags, expected", [(["raises-exception"], True), ([], False)])
def test_a_cell_that_is_meant_to_fail_may(clone, tags, expected):
    path = page(clone / "course" / "00_toy" / "01_first.ipynb", [("a", "1/0")], tags)
    shell = Shell(__vsc_ipynb_file__=str(path))
    shell.run("1/0", success=False)
    assert bool(ran()) == expected


def test_a_kernel_without_a_chapter_writes_nothing_and_never_fails(clone, tmp_path, monkeypatch):
    lab = desks.begun()
    (clone / "work" / "progress.json").unlink()
    loose = page(tmp_path / "elsewhere" / "course" / "00_x" / "01_a.ipynb", [("a", "x = 1")])
    broken = clone / "course" / "00_toy" / "03_broken.ipynb"
    broken.write_text("{", encoding="utf-8")
    for name in ("", str(lab), str(loose), str(broken), "console-1", "/nowhere/a.ipynb", "a.ipynb"):
        monkeypatch.setenv("JPY_SESSION_NAME", name)
        Shell().run("x = 1")
    Shell(__vsc_ipynb_file__=3).run("x = 1")
    kernel.load_ipython_extension(None)
    assert not list((tmp_path).rglob("progress.json"))


@pytest.mark.parametrize("named", [True, False])
def test_a_real_kernel_with_our_configuration(clone, named):
    """As `make lab` sets it up; without a session's name, as nbval and `make notebooks` run."""
    from jupyter_client.manager import start_new_kernel

    path = clone / "course" / "00_toy" / "01_first.ipynb"
    environment = {**os.environ, **({"JPY_SESSION_NAME": str(path)} if named else {})}
    manager, client = start_new_kernel(env=environment, cwd=str(path.parent),
                                       extra_arguments=["--config", str(CONFIG)])  # fmt: skip
    try:
        for source in ("x = 1", "y = x"):
            reply = client.execute_interactive(source, timeout=60, output_hook=lambda _: None)
            assert reply["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert ran() == ({"00_toy/01_first"} if named else set())


def test_make_lab_and_make_install_set_kernels_up():
    for target in ("lab", "install"):
        command = ["make", "-n", "-B", "-o", ".venv/.lab", target]
        shown = subprocess.run(command, cwd=CONFIG.parents[2], capture_output=True, text=True)
        copied = f"cp {CONFIG.relative_to(CONFIG.parents[2])} .venv/etc/ipython/{CONFIG.name}"
        assert copied in shown.stdout, shown.stderr
