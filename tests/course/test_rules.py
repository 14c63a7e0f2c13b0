"""The rules of the house: imports go up only, one style, sizes a reader can hold in mind."""

import ast
import subprocess
import sys
from pathlib import Path

from minimodels import files

ROOT = files.repository()
LINES_A_FILE, LINES_A_FUNCTION = 450, 60


def run(*words):
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)


def test_imports_go_up_only():
    done = run("-c", "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])")
    assert done.returncode == 0, done.stdout


def test_the_contract_can_fail(tmp_path):
    """A control: the same contract on a package in which data imports cli."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    for path in (ROOT / "minimodels").rglob("*.py"):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (tmp_path / "minimodels" / "data" / "wrong.py").write_text("import minimodels.cli\n")
    code = "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"
    words = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, '.'); {code}"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "minimodels.data is not allowed to import" in done.stdout


def test_style():
    done = run("-m", "ruff", "check", "--no-cache", ".")
    assert done.returncode == 0, done.stdout


def package():
    return sorted((ROOT / "minimodels").rglob("*.py"))


def test_files_and_functions_stay_small():
    large = []
    for path in package():
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT)
        if len(text.splitlines()) > LINES_A_FILE:
            large.append(f"{name} has {len(text.splitlines())} lines: perhaps two ideas")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = node.end_lineno - node.lineno + 1
                if length > LINES_A_FUNCTION:
                    large.append(f"{name}: {node.name} has {length} lines")
    assert not large, "\n".join(large)


def test_each_file_says_what_it_is():
    silent = [str(path.relative_to(ROOT)) for path in package()
              if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]  # fmt: skip
    assert not silent, f"no docstring: {', '.join(silent)}"


def test_text_files_are_read_as_utf8():
    """open, read_text and write_text without an encoding read another text on Windows."""
    wrong = []
    for path in package():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _reads_text(node):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not wrong, f"say encoding='utf-8': {', '.join(wrong)}"


def _reads_text(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name not in {"open", "read_text", "write_text"} or name == "open" and _is_method(call):
        return False
    if any(word.arg in {"encoding", None} for word in call.keywords):
        return False
    if name == "write_text" and not _is_path(call):
        return False
    mode = [arg.value for arg in call.args[1:2] if isinstance(arg, ast.Constant)]
    mode += [word.value.value for word in call.keywords
             if word.arg == "mode" and isinstance(word.value, ast.Constant)]  # fmt: skip
    return name != "open" or not any("b" in str(each) for each in mode)


def _is_method(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute)


def _is_path(call: ast.Call) -> bool:
    """Whether it is a path's own write_text, and not the one of minimodels.files."""
    return _is_method(call) and getattr(call.func.value, "id", "") != "files"


def test_the_package_has_no_other_root():
    assert Path(files.__file__).resolve().parent.parent == ROOT.resolve()
