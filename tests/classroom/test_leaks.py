"""The scanner: each kind of leak in each kind of place, and none in what is handed out."""

import base64
import gzip
import html
import io
import json
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from minimodels import files
from minimodels.classroom import lab as labs
from minimodels.classroom import leaks
from minimodels.classroom.leaks import LEAST, lines, scan, unwanted
from minimodels.classroom.normalize import dumps, read
from minimodels.classroom.opened import parts
from minimodels.errors import UserError
from tests.classroom import toys

ROOT = files.repository()
PLANTED = "the seed is 481516"
LINE = "return kept.sum(0) / mask.sum()"  # of the toy's solution
HINT = "unit variance, and nothing but unit variance"  # in the toy's checks
SECRETS = {
    "planted": (PLANTED, "planted"),
    "solution": (f"    {LINE}\n", "solution of 00_toy/lab_mean"),
    "literal": (HINT, "private checks of 00_toy/lab_mean"),
    "mark": ("    ### BEGIN SOLUTION\n", "a mark"),
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    master = toys.write(tmp_path_factory.mktemp("clone"))
    checks = master.with_name("lab_mean_checks.py")
    text = checks.read_text(encoding="utf-8").replace('"unit variance"', f'"{HINT}"')
    checks.write_text(text, encoding="utf-8")
    return labs.load(master)


def found(place, toy):
    return scan(place, [toy], [PLANTED])


def notebook(toy, **more):
    """The toy's release with something added to a cell."""
    whole = json.loads(dumps(leaks.handout(toy)))
    cell = next(cell for cell in whole["cells"] if cell["cell_type"] == "code")
    cell["metadata"] |= more.get("metadata", {})
    cell["outputs"] = more.get("outputs", [])
    cell["attachments"] = more.get("attachments", {})
    return dumps(whole)


def zipped(name, data):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return packed.getvalue()


def tarred(name, data, mode):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def coded(secret):
    return base64.b64encode(b"\x89PNG a picture\n" + secret.encode()).decode()


def stream(text):
    return {"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}


def page(secret):
    words = html.escape(secret).replace(" ", "<span> </span>")
    return {"output_type": "display_data", "metadata": {}, "data": {"text/html": words}}


PLACES = {
    "a file": lambda toy, s: ("course/notes.md", s.encode()),
    "a file of bytes": lambda toy, s: ("model.safetensors", b"\0\1\2" + s.encode() + b"\0"),
    "an output": lambda toy, s: ("lab.ipynb", notebook(toy, outputs=[stream(s)]).encode()),
    "metadata": lambda toy, s: ("lab.ipynb", notebook(toy, metadata={"old": [s]}).encode()),
    "an attachment": lambda toy, s: (
        "lab.ipynb", notebook(toy, attachments={"a.png": {"image/png": coded(s)}}).encode()),
    "rows of JSON": lambda toy, s: (
        "runs.jsonl", (json.dumps({"a": 1}) + "\n" + json.dumps({"text": s})).encode()),
    "a colored traceback": lambda toy, s: (
        "lab.ipynb", notebook(toy, outputs=[stream(s.replace(" ", "\x1b[1m \x1b[0m"))]).encode()),
    "another encoding": lambda toy, s: ("notes.txt", s.encode("utf-16")),
    "gzip": lambda toy, s: ("notes.gz", gzip.compress(s.encode())),
    "a zip in a zip": lambda toy, s: ("deep.zip", zipped("a.zip", zipped("b.txt", s.encode()))),
    "a wheel": lambda toy, s: ("m-1-py3-none-any.whl", zipped("minimodels/a.py", s.encode())),
    "an sdist": lambda toy, s: ("m-1.tar.gz", tarred("m-1/a.py", s.encode(), "w:gz")),
    "a git archive": lambda toy, s: ("HEAD.tar", tarred("course/a.md", s.encode(), "w")),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", SECRETS)
def test_each_kind_is_found_in_each_place(tmp_path, toy, place, kind):
    secret, what = SECRETS[kind]
    name, data = PLACES[place](toy, secret)
    tmp_path.joinpath(name).parent.mkdir(exist_ok=True)
    tmp_path.joinpath(name).write_bytes(data)
    (tmp_path / "lab.ipynb").exists() or (tmp_path / "lab.ipynb").write_text(notebook(toy))
    leak = found(tmp_path, toy)
    assert any(each.file.startswith(name) and each.what.startswith(what) for each in leak), leak
    harmless = PLACES[place](toy, "what anybody may read, long as it is")
    tmp_path.joinpath(name).write_bytes(harmless[1])
    assert not found(tmp_path, toy)


def test_a_page_with_colored_code_is_read(tmp_path, toy):
    (tmp_path / "lab.ipynb").write_text(notebook(toy, outputs=[page(LINE)]))
    assert [leak.what[:8] for leak in found(tmp_path, toy)] == ["solution"]


@pytest.mark.parametrize("path", [
    "solutions/03_architecture/lab_attention.ipynb", "labs/lab_mean_checks.py", "tests/test_cli.py",
    "term/cohort.toml", "grades/records/a.json", "minimodels/__pycache__/a.cpython-311.pyc",
])  # fmt: skip
def test_files_that_stay_home_are_found_in_every_archive(tmp_path, toy, path):
    (tmp_path / "a.zip").write_bytes(zipped(path, b"x"))
    (tmp_path / "a.tar.gz").write_bytes(tarred(f"m-1/{path}", b"x", "w:gz"))
    assert unwanted(path)
    for archive in ("a.zip", "a.tar.gz"):
        assert [leak.what for leak in found(tmp_path / archive, toy)] == [unwanted(path)]


def test_the_pattern_of_a_lab_may_go_out(tmp_path, toy):
    """`minimodels new lab` starts from it: it has marks and checks, and no answer to a lab."""
    patterns = tmp_path / "minimodels" / "classroom" / "patterns"
    patterns.mkdir(parents=True)
    for name in ("lab.ipynb", "lab_checks.py"):
        (patterns / name).write_bytes((ROOT / "minimodels/classroom/patterns" / name).read_bytes())
    assert not found(tmp_path, toy)
    (patterns / "lab.ipynb").write_text(LINE)
    assert found(tmp_path, toy)


def test_a_sentence_may_speak_of_the_marks(tmp_path, toy):
    (tmp_path / "a.md").write_text("Answers stand between `### BEGIN SOLUTION` and its end.")
    assert not found(tmp_path, toy)


def test_short_lines_are_found_by_twos(tmp_path, toy):
    master = json.loads(json.dumps(toy.master))
    cell = next(each for each in master["cells"] if "scaled" in leaks.source(each))
    answer = "### BEGIN SOLUTION\n    r = math.sqrt(d)\n    return x / r\n    ### END SOLUTION"
    cell["source"] = f"def scaled(x, d):\n    {answer}\n"
    short = labs.Lab(toy.name, master, toy.checks, path=toy.path)
    assert "r=math.sqrt(d)returnx/r" not in lines(short)  # together too short for anyone
    cell["source"] = cell["source"].replace("r = ", "root = ").replace("/ r", "/ root")
    assert "root=math.sqrt(d)returnx/root" in lines(short)
    assert all(len(words) >= LEAST for words in lines(short))


def test_an_archive_that_cannot_be_opened_is_told(tmp_path, toy):
    whole = gzip.compress(b"some text")
    (tmp_path / "a.gz").write_bytes(whole[:-6])
    assert [leak.what for leak in found(tmp_path, toy)] == ["this archive cannot be opened"]
    deep = b"some text"
    for _ in range(9):
        deep = gzip.compress(deep)
    (tmp_path / "a.gz").write_bytes(deep)
    assert [leak.what for leak in found(tmp_path, toy)] == ["this archive cannot be opened"]
    with pytest.raises(UserError, match="is missing"):
        found(tmp_path / "b.gz", toy)


def test_all_of_a_deep_archive_is_named(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped("b.tar.gz", tarred("c/d.txt", b"x", "w:gz")))
    names = [part.name for part in parts(tmp_path / "a.zip")]
    assert "a.zip!b.tar.gz!unpacked!c/d.txt" in names


# What this repository hands out


@pytest.fixture(scope="module")
def real():
    return [labs.load(path) for path in labs.masters()]


def test_the_scanner_knows_the_answers_of_every_lab(real):
    """A control: each master leaks most of its lines, so that few are excused as public."""
    for lab in real:
        leak = scan(lab.path, real)
        solution = {each.what for each in leak if each.what.startswith("solution of")}
        known = {words[:60] for words in lines(lab)}
        assert len(solution) > 0.8 * len(known), lab.name
        assert any(each.what.startswith("a mark") for each in leak)


def test_no_leak_in_labs(real):
    assert not scan(ROOT / "labs", real)


def test_no_leak_in_an_archive_of_git(real, tmp_path):
    """`git archive HEAD` with today's .gitattributes, of a HEAD that has the solutions."""
    place = tmp_path / "head.tar"
    archive = ["git", "archive", "-o", place, "--worktree-attributes", "HEAD"]
    subprocess.run(archive, cwd=ROOT, check=True)
    assert not scan(place, real)
    asked = ["git", "ls-tree", "--name-only", "HEAD"]
    tree = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"solutions", "tests"} <= set(tree.split())
    names = {Path(part.path).parts[0] for part in parts(place) if part.path != place.name}
    assert {"minimodels", "course", "labs", "Makefile"} <= names


def test_the_command_says_what_leaks(real, capsys):
    assert leaks.main([str(ROOT / "labs")]) == 0
    assert capsys.readouterr().out == "No leak found.\n"
    assert leaks.main([str(real[0].path)]) == 1
    assert "a mark: ### BEGIN SOLUTION" in capsys.readouterr().out
    assert read(real[0].path)["cells"]
