"""Normalizing, linting and running again, on small notebooks written here."""

import base64
import copy
import io
import json
import subprocess

import nbformat
import pytest
from typer.testing import CliRunner

from minimodels.classroom import notebooks
from minimodels.classroom.lint import lint
from minimodels.classroom.normalize import dumps, normalize, read, write
from minimodels.errors import UserError

TITLE = "# Why?\n`0 s · 0 GB · two cores`"


def code(source, *outputs, tags=(), count=7, name="", slide="-"):
    metadata = {"tags": list(tags), "slideshow": {"slide_type": slide}, "execution": {"x": 1}}
    return {"cell_type": "code", "id": name, "source": source, "metadata": metadata,
            "execution_count": count, "outputs": list(outputs)}  # fmt: skip


def text(source, name="", slide="slide"):
    metadata = {"slideshow": {"slide_type": slide}}
    return {"cell_type": "markdown", "id": name, "source": source, "metadata": metadata}


def says(words, name="stdout"):
    return {"output_type": "stream", "name": name, "text": words}


def fails(name):
    return {"output_type": "error", "ename": name, "evalue": "", "traceback": []}


def picture(value):
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (value, value, value)).save(buffer, "PNG")
    png = base64.b64encode(buffer.getvalue()).decode()
    data = {"image/png": png, "text/plain": "<Figure size 640x480 with 1 Axes>"}
    return {"output_type": "display_data", "metadata": {"needs_background": "light"}, "data": data}


def notebook(*cells):
    metadata = {"kernelspec": {"name": "my-env", "display_name": "Mine"}, "widgets": {"a": 1}}
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": list(cells)}


def chapter(*cells):
    return normalize(notebook(text(TITLE), *cells, code("assert True")))


def test_normalizing_is_stable_and_valid():
    widget = {"output_type": "display_data", "metadata": {},
              "data": {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}}  # fmt: skip
    raw = notebook(text("a\nb\n"), code("1", says("x\n"), says("y\n"), widget), code("2", count=9))
    once = normalize(copy.deepcopy(raw))
    assert dumps(normalize(copy.deepcopy(once))) == dumps(once) == dumps(normalize(raw))
    nbformat.validate(nbformat.from_dict(once))
    assert nbformat.writes(nbformat.from_dict(once)) + "\n" == dumps(once)  # as JupyterLab saves
    first, second = once["cells"][1:]
    assert (first["execution_count"], second["execution_count"]) == (1, 2)
    assert first["outputs"] == [{**says("x\ny\n"), "text": ["x\n", "y\n"]}]
    assert "execution" not in first["metadata"]
    assert once["metadata"]["kernelspec"]["name"] == "python3"


def test_ids_are_kept_made_and_mended():
    cells = [text("same"), text("same"), text("kept", "my-id"), text("twice", "my-id")]
    ids = [cell["id"] for cell in normalize(notebook(*cells))["cells"]]
    assert len(set(ids)) == 4 and ids[2] == "my-id"
    assert ids == [cell["id"] for cell in normalize(notebook(*cells))["cells"]]


def test_progress_bars_leave_their_last_drawing():
    shown = normalize(notebook(code("1", says(" 1%\r50%\r100%\nnext\n"))))["cells"][0]
    assert shown["outputs"][0]["text"] == ["100%\n", "next\n"]


def test_writing_reports_change_and_reading_refuses_other_formats(tmp_path):
    path = tmp_path / "a.ipynb"
    once = chapter()
    assert write(path, once) and not write(path, once)
    assert read(path) == once
    path.write_text(json.dumps({"nbformat": 3, "worksheets": []}), encoding="utf-8")
    with pytest.raises(UserError, match="format 4"):
        read(path)


@pytest.mark.parametrize(
    "cell, says_so",
    [
        (code("1", says("loss 2.31\n")), "decimal"),
        (code("1", says("1e-05\n")), "decimal"),
        (code("1", says("at 0x7f3a2b\n")), "memory address"),
        (code("1", says("/home/me/a\n")), "place of one machine"),
        (code("1", says("a\n" * 60)), "more than a screen"),
        (code("1", count=None), "never run"),
        (code("draw();"), "does not heed"),
        (code("1", slide="huge"), "no slide type"),
        (code("1", fails("KeyError")), "KeyError"),
        (text("![](a.png)"), "alt text"),
        (text("![a](https://example.org/a.png)"), "network"),
        (text("Ask the room. 2 minutes.", slide="notes"), "speaker notes"),
    ],
)  # fmt: skip
def test_lint_names_what_is_wrong(cell, says_so):
    assert any(says_so in problem for problem in lint(chapter(cell)))


@pytest.mark.parametrize(
    "cell",
    [
        code("1", says("3 layers, (2, 8, 128), torch 2.13.0, step 4e8\n")),
        code("1", says("3.5 GiB\n"), tags=["exact"]),
        code("1", says("2.31\n"), tags=["nbval-ignore-output"]),  # followed by an assert
        code("1", picture(0)),
        code("1", fails("KeyError"), tags=["raises-exception"]),
    ],
)  # fmt: skip
def test_lint_lets_pass_what_is_right(cell):
    assert lint(chapter(cell)) == []


def test_ignored_numbers_want_an_assert():
    free = code("1", says("2.31\n"), tags=["nbval-ignore-output"])
    assert any("no assert" in problem for problem in lint(chapter(free, code("2"))))


def test_lint_of_the_whole():
    problems = "\n".join(lint(notebook(text("Hello"), code("1"))))
    for words in ("not normalized", "no title", "lacks `0 s", "nothing is asserted"):
        assert words in problems


def test_keep_old_numbers_but_new_words():
    loose = {"tags": ["nbval-ignore-output"], "name": "a"}
    old = chapter(code("1", says("loss 2.31 in 5 s\n"), picture(0), **loose))
    alike = chapter(code("1", says("loss 2.29 in 12 s\n"), picture(255), **loose))
    other = chapter(code("1", says("perplexity 2.29 in 12 s\n"), picture(255), **loose))
    assert notebooks.keep(copy.deepcopy(alike), old) == old
    assert notebooks.keep(copy.deepcopy(other), old) == other


def test_strict_cells_keep_only_what_looks_the_same():
    old = chapter(code("1", picture(100), name="a"))
    assert notebooks.keep(chapter(code("1", picture(101), name="a")), old) == old
    changed = chapter(code("1", picture(200), name="a"))
    assert notebooks.keep(copy.deepcopy(changed), old) == changed
    words = chapter(code("1", says("3 layers\n"), name="a"))
    fewer = chapter(code("1", says("2 layers\n"), name="a"))
    assert notebooks.keep(copy.deepcopy(fewer), words) == fewer


def test_outputs_after_a_changed_cell_are_new():
    loose = {"tags": ["nbval-ignore-output"]}
    old = chapter(code("x = 1", name="a"), code("x", says("1.5\n"), name="b", **loose))
    new = chapter(code("x = 2", name="a"), code("x", says("2.5\n"), name="b", **loose))
    assert notebooks.keep(copy.deepcopy(new), old) == new


def test_stamp_rounds():
    once = chapter()
    notebooks.stamp(once, seconds=17, peak=int(0.7 * 2**30))
    assert "`20 s · 0.5 GB · " in "".join(once["cells"][0]["source"])
    notebooks.stamp(once, seconds=2, peak=1)
    assert "`10 s · 0.5 GB · " in "".join(once["cells"][0]["source"])


def test_running_twice_leaves_git_clean(tmp_path):
    """The whole command: run, commit, run again; times, random numbers and pictures vary."""
    path = tmp_path / "course" / "00_start" / "01_try.ipynb"
    drawing = "import matplotlib.pyplot as plt, time\n_ = plt.plot([1, 2])"
    timing = "import time; now = time.time(); print(now)"
    loose = code(timing, tags=["nbval-ignore-output"])
    raw = notebook(text(TITLE), loose, code("assert now > 1.0"), code(drawing),
                   code("open('beside.txt').read()"))  # fmt: skip
    path.parent.mkdir(parents=True)
    (path.parent / "beside.txt").write_text("hello")
    path.write_text(json.dumps(raw), encoding="utf-8")
    result = CliRunner().invoke(notebooks.app, ["run", "--times", str(path)])
    assert result.exit_code == 0 and "changed" in result.output, result.output
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    result = CliRunner().invoke(notebooks.app, ["run", "--times", str(path)])
    assert "as it was" in result.output, result.output
    assert subprocess.run([*git, "status", "-s"], cwd=tmp_path, capture_output=True).stdout == b""
    result = CliRunner().invoke(notebooks.app, ["run", "--fresh", str(path)])
    assert "changed" in result.output
