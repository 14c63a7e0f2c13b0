"""The README's commands: every block of shell is run, tried dry, or needs a network, and says so.

    ```bash run        run from the root of the clone
    ```bash dry        `make -n` of make's lines, `--help` of minimodels' lines
    ```bash network    run in a fresh clone by .ci/run ($MINIMODELS_NETWORK=1), else read only
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minimodels import files
from minimodels.classroom.normalize import read, source
from minimodels.classroom.notebooks import every, is_chapter

ROOT = files.repository()
FENCE = re.compile(r"^ *```(\w*) *(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
NETWORK = os.environ.get("MINIMODELS_NETWORK") == "1"
SHELLS = {"bash", "sh", "shell", "console", "zsh"}


def shell(code: str, *options: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(["bash", *options, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "PATH": path}, timeout=280)  # fmt: skip


def blocks(text: str) -> list[tuple[str, str]]:
    """(tag, code) of each block of shell."""
    return [(tag, code) for language, tag, code in FENCE.findall(text) if language in SHELLS]


def try_block(tag: str, code: str) -> str:
    """What is wrong with a block, or ""."""
    if tag == "run":
        done = shell(code, "-euo", "pipefail")
        return "" if done.returncode == 0 else f"exit {done.returncode}: {done.stderr[-500:]}"
    if tag == "dry":
        return "; ".join(wrong for line in commands(code) if (wrong := try_line(line)))
    if tag == "network":
        done = shell(code, "-n")
        return done.stderr
    return "no tag: write ```bash run, dry or network"


def commands(code: str) -> list[str]:
    lines = code.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.strip().startswith("#")]


def try_line(line: str) -> str:
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        done = shell(shlex.join(["make", "-n", *words[1:]]))
        return "" if done.returncode == 0 else f"{line}: {done.stderr}"
    if words[0].endswith("minimodels"):
        shown = shell(shlex.join(["minimodels", words[1], "--help"])).stdout
        options = [word.split("=")[0] for word in words if word.startswith("--")]
        unknown = [option for option in options if option not in shown]
        return f"{line}: no option {unknown[0]}" if unknown or not shown else ""
    return f"{line}: neither make nor minimodels: tag the block run or network"


def test_every_block_of_shell_works():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    wrong = [f"{code.strip()}\n  -> {problem}" for tag, code in blocks(text)
             if (problem := try_block(tag, code))]  # fmt: skip
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def clone(tmp_path):
    """What git would clone from here, today's changes included; its .venv is large."""
    ask = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / "clone" / name)
    yield tmp_path / "clone"
    shutil.rmtree(tmp_path / "clone")


@pytest.mark.timeout(1200)
@pytest.mark.skipif(not NETWORK, reason="only .ci/run has a network")
def test_network_blocks_work_in_a_fresh_clone(clone, tmp_path):
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", tmp_path, "typer"]
    if subprocess.run(pip, capture_output=True, timeout=120).returncode:
        pytest.skip("no package index answers")
    text = (clone / "README.md").read_text(encoding="utf-8")
    codes = [code for tag, code in blocks(text) if tag == "network"]
    for code in codes:
        assert "" == (wrong := run_in(clone, code, seconds=900)), f"{code.strip()}\n  -> {wrong}"
    assert codes and "gemma-mini" in subprocess.run(
        [".venv/bin/minimodels", "models"], cwd=clone, capture_output=True, text=True
    ).stdout  # fmt: skip


def run_in(folder: Path, code: str, seconds: float) -> str:
    """What is wrong with a block that runs in a folder, with all it started, or ""."""
    child = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", code], cwd=folder, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={"TORCH_INDEX": "", **os.environ},
    )  # fmt: skip
    try:
        errors = child.communicate(timeout=seconds)[1]
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return f"more than {seconds} s"
    return f"exit {child.returncode}: {errors[-500:]}" if child.returncode else ""


def test_a_block_that_fails_or_hangs_is_named(tmp_path):
    assert run_in(tmp_path, "test -z \"$TORCH_INDEX\" || true", seconds=60) == ""
    assert run_in(tmp_path, "echo no >&2; exit 3", seconds=60) == "exit 3: no\n"
    assert run_in(tmp_path, "sleep 600 & sleep 600", seconds=0.5) == "more than 0.5 s"


def test_questions_are_the_titles_of_their_chapters():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"\[([^\]]+\?)\]\((course/[^)]+\.ipynb)\)", text)
    assert linked
    for question, path in linked:
        first = source(read(ROOT / path)["cells"][0]).splitlines()[0]
        assert first == f"# {question}", path


def test_every_chapter_is_in_the_table():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    chapters = [path.relative_to(ROOT).as_posix() for path in every() if is_chapter(path)]
    missing = [path for path in chapters if f"({path})" not in text]
    assert not missing, f"not in the README: {', '.join(missing)}"


def test_what_is_wrong_is_found():
    """Controls: each kind of block can fail."""
    text = "```bash run\nfalse\n```\n```bash\nls\n```\n```python\n1/0\n```\n"
    assert [tag for tag, _ in blocks(text)] == ["run", ""]
    assert "exit 1" in try_block("run", "false")
    assert try_block("run", "true") == ""
    assert "no tag" in try_block("", "ls")
    assert "No rule" in try_block("dry", "make no-such-target")
    assert try_block("dry", "make test  # verifies\nminimodels lifecycle --size tiny") == ""
    assert "--colour" in try_block("dry", "minimodels lifecycle --colour")
    assert "syntax error" in try_block("network", "if then")
