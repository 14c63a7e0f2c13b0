"""The README's commands: every block of shell is run, tried dry, or needs a network, and says so.

    ```bash run        run from the root of the clone
    ```bash dry        `make -n` of make's lines, `--help` of minimodels' lines
    ```bash network    downloads or opens something; read by the shell only
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from minimodels import files

ROOT = files.repository()
FENCE = re.compile(r"^ *```(\w*) *(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
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
