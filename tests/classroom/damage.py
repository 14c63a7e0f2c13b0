"""What happens to a notebook between a student's screen and the grader, by name.

Each damage makes the bytes of a file out of a clean notebook, and says what must become of it:
"same" for the same code and so the same grade, or a word of the reason why it cannot be graded.
"""

import copy
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minimodels.classroom.lab import Lab
from minimodels.classroom.normalize import source
from minimodels.classroom.release import handout

MB = 2**20


@dataclass(frozen=True)
class Damage:
    damaged: Callable[[dict], bytes]
    becomes: str  # "same", or a word of the reason


DAMAGE: dict[str, Damage] = {}


def solved(lab: Lab) -> dict:
    """A clean notebook: the release with the master's answers, and a cell that was added."""
    notebook = handout(lab)
    answers = {cell["id"]: cell for cell in lab.master["cells"]}
    for cell in notebook["cells"]:
        if _about(cell).get("solution"):
            text = source(answers[cell["id"]])
            cell["source"] = "\n".join(x for x in text.splitlines() if not x.startswith("    ###"))
    at = next(n for n, cell in enumerate(notebook["cells"]) if _about(cell).get("locked")) + 1
    notebook["cells"].insert(at, own("helper = 3\nprint(helper % 2)"))
    return notebook


def own(text: str, **about: Any) -> dict:
    """A code cell as a student adds it."""
    return {"cell_type": "code", "id": f"own-{zlib.crc32(text.encode())}", "metadata": about,
            "source": text, "execution_count": None, "outputs": []}  # fmt: skip


def dump(notebook: Any, **how: Any) -> bytes:
    return json.dumps(notebook, **how).encode("utf-8")


def damage(name: str, becomes: str = "same") -> Callable:
    """Enter a function from bytes, or one that changes a copy of the notebook, into the table."""

    def enter(change: Callable[[dict], bytes | None]) -> Callable:
        def damaged(notebook: dict) -> bytes:
            notebook = copy.deepcopy(notebook)
            made = change(notebook)
            return dump(notebook) if made is None else made

        DAMAGE[name] = Damage(damaged, becomes)
        return change

    return enter


def _about(cell: dict) -> dict:
    return cell["metadata"].get("nbgrader", {})


def _those(notebook: dict, what: str) -> list[dict]:
    return [cell for cell in notebook["cells"] if _about(cell).get(what)]


@damage("none at all")
def _(notebook):
    pass


@damage("cells copied")
def _(notebook):
    notebook["cells"] = [copy.deepcopy(c) for c in notebook["cells"] for _ in range(2)]


@damage("an old answer stands before the new one")
def _(notebook):
    new = _those(notebook, "solution")[0]
    old = copy.deepcopy(new)
    old["source"] = source(old).replace("return", "return None and")
    notebook["cells"].insert(notebook["cells"].index(new), old)


@damage("a stub pasted behind the answer")
def _(notebook):
    answer = _those(notebook, "solution")[-1]
    stub = copy.deepcopy(answer)
    first = source(answer).splitlines()[0]
    stub["source"] = f"{first}\n    # YOUR CODE HERE\n    raise NotImplementedError()"
    notebook["cells"].insert(notebook["cells"].index(answer) + 1, stub)


@damage("locked cells deleted")
def _(notebook):
    gone = _those(notebook, "locked")[1:]
    notebook["cells"] = [cell for cell in notebook["cells"] if cell not in gone]


@damage("locked cells changed")
def _(notebook):
    for cell in _those(notebook, "locked"):
        cell["source"] = "print('all passed')"


@damage("test cells swapped")
def _(notebook):
    tests = _those(notebook, "grade")
    tests[0]["source"], tests[1]["source"] = tests[1]["source"], tests[0]["source"]


@damage("cells reordered")
def _(notebook):
    cells = notebook["cells"]
    at = next(n for n, cell in enumerate(cells) if cell["id"].startswith("own-"))
    blocks = [[cell] for n, cell in enumerate(cells) if n not in (at - 1, at)]
    blocks.append(cells[at - 1 : at + 1])
    random.Random(1).shuffle(blocks)
    notebook["cells"] = [cell for block in blocks for cell in block]


@damage("answers retyped as markdown")
def _(notebook):
    for cell in _those(notebook, "solution"):
        cell["cell_type"] = "markdown"
        del cell["outputs"], cell["execution_count"]


@damage("answers retyped as raw")
def _(notebook):
    for cell in _those(notebook, "solution"):
        cell["cell_type"] = "raw"


@damage("ids lost")
def _(notebook):
    for cell in notebook["cells"]:
        del cell["id"]


@damage("ids made anew")
def _(notebook):
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"c{number}"


@damage("all metadata lost")
def _(notebook):
    notebook["metadata"] = {}
    for cell in notebook["cells"]:
        cell["metadata"] = {}


@damage("ids and metadata lost")
def _(notebook):
    notebook["metadata"] = None
    for cell in notebook["cells"]:
        del cell["id"], cell["metadata"]


@damage("one id for all cells")
def _(notebook):
    for cell in notebook["cells"]:
        cell["id"] = "x"


@damage("names of answers swapped")
def _(notebook):
    one, other = _those(notebook, "solution")[:2]
    for key in ("metadata", "id"):
        one[key], other[key] = other[key], one[key]


@damage("every name moved to the cell before")
def _(notebook):
    names = [(cell["id"], cell["metadata"]) for cell in notebook["cells"]]
    for cell, (name, about) in zip(notebook["cells"], names[1:] + names[:1], strict=True):
        cell["id"], cell["metadata"] = name, about


@damage("a test's name on an answer")
def _(notebook):
    answer, test = _those(notebook, "solution")[0], _those(notebook, "grade")[0]
    answer["metadata"] = copy.deepcopy(test["metadata"])
    answer["id"] = test["id"]


@damage("an answer marked locked")
def _(notebook):
    for cell in _those(notebook, "solution"):
        _about(cell).update(locked=True, solution=False, grade=True, points=100)


@damage("a test marked unlocked")
def _(notebook):
    for cell in _those(notebook, "grade"):
        _about(cell).update(locked=False, grade=False, solution=True)
        cell["source"] = "print('mine now')"


@damage("points and checksums forged")
def _(notebook):
    for cell in _those(notebook, "grade"):
        _about(cell).update(points=1000, checksum="0" * 32)


@damage("tags on other cells")
def _(notebook):
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"]["tags"] = [["play", "victory", "visible-check"][number % 3]]


@damage("tags taken off")
def _(notebook):
    for cell in notebook["cells"]:
        cell["metadata"].pop("tags", None)


@damage("another lab and version claimed")
def _(notebook):
    notebook["metadata"]["minimodels"] = {"lab": "09_agents/lab_other", "version": "0" * 12}


@damage("claims of strange types")
def _(notebook):
    notebook["metadata"] = [1]
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"]["tags"] = [None, 7, {}, "x", [[]]][number % 5]
        cell["id"] = [cell["id"], 5, None, {}, []][number % 5]


@damage("outputs of 50 MB")
def _(notebook):
    texts = ["0.123 " * 20 + "\n"] * (50 * MB // 120)
    output = {"output_type": "stream", "name": "stdout", "text": texts}
    _those(notebook, "solution")[0]["outputs"] = [output]


@damage("Windows newlines in the file")
def _(notebook):
    return dump(notebook, indent=1).replace(b"\n", b"\r\n")


@damage("Windows newlines in the cells")
def _(notebook):
    for cell in notebook["cells"]:
        cell["source"] = source(cell).replace("\n", "\r\n")


@damage("old Mac newlines in the cells")
def _(notebook):
    for cell in notebook["cells"]:
        cell["source"] = source(cell).replace("\n", "\r")


@damage("sources as lists")
def _(notebook):
    for cell in notebook["cells"]:
        cell["source"] = source(cell).splitlines(keepends=True)


@damage("nbformat 3")
def _(notebook):
    return dump(_third(notebook, with_metadata=True))


@damage("nbformat 3 without metadata")
def _(notebook):
    return dump(_third(notebook, with_metadata=False))


def _third(notebook: dict, with_metadata: bool) -> dict:
    cells = []
    for cell in notebook["cells"]:
        text = "input" if cell["cell_type"] == "code" else "source"
        about = cell["metadata"] if with_metadata else {}
        cells.append({"cell_type": cell["cell_type"], text: source(cell), "metadata": about,
                      "language": "python", "outputs": [], "prompt_number": 3})  # fmt: skip
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""},
            "worksheets": [{"cells": cells, "metadata": {}}]}  # fmt: skip


@damage("nbformat 4.0")
def _(notebook):
    notebook["nbformat_minor"] = 0
    for cell in notebook["cells"]:
        del cell["id"]


@damage("a byte order mark")
def _(notebook):
    return b"\xef\xbb\xbf" + dump(notebook)


@damage("UTF-16")
def _(notebook):
    return json.dumps(notebook, ensure_ascii=False).encode("utf-16")


@damage("Latin-1")
def _(notebook):
    words = {"cell_type": "markdown", "id": "mine", "metadata": {}, "source": "Grüße"}
    notebook["cells"].append(words)
    text = json.dumps(notebook, ensure_ascii=False)
    # as an old editor saves it: what Latin-1 lacks is written as an escape
    return "".join(c if ord(c) < 256 else json.dumps(c)[1:-1] for c in text).encode("latin-1")


@damage("NaN and infinity")
def _(notebook):
    notebook["metadata"]["loss"] = [float("nan"), float("inf")]


@damage("keys that stand twice")
def _(notebook):
    return b'{"cells": [], "nbformat": 3, ' + dump(notebook)[1:]


@damage("null where something should be")
def _(notebook):
    notebook["nbformat"] = notebook["metadata"] = None
    for cell in notebook["cells"]:
        cell["outputs"] = cell["execution_count"] = cell["id"] = None


@damage("entries that are no cells")
def _(notebook):
    for strange in (None, 5, "text", [], [{}], {}, {"cell_type": "code"}, {"source": 4}):
        notebook["cells"].insert(2, strange)


@damage("empty cells")
def _(notebook):
    notebook["cells"] = [c for cell in notebook["cells"] for c in (cell, own(" \n\n"))]


@damage("a bare tab in a string")
def _(notebook):
    notebook["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "this\tthat"})
    return dump(notebook).replace(rb"this\tthat", b"this\tthat")


@damage("half a character")
def _(notebook):
    notebook["cells"].append({"cell_type": "markdown", "source": "\ud83d", "metadata": {}})


@damage("magics added")
def _(notebook):
    first, last = _those(notebook, "solution")[0], _those(notebook, "solution")[-1]
    first["source"] = f"%matplotlib inline\n!pip install numpy\n{source(first)}\ntorch.mean?\n"
    last["source"] = f"%%time\n{source(last)}"
    notebook["cells"] += [own("%%bash\nrm -rf /"), own("%%html\n<b>done</b>"), own("?print")]


@damage("widgets added")
def _(notebook):
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    output = {"output_type": "display_data", "metadata": {}, "data": view}
    for cell in notebook["cells"]:
        cell["outputs"] = [output]
    notebook["metadata"]["widgets"] = {"state": {"1": {"layout": {}}}}


@damage("empty file", "empty")
def _(notebook):
    return b""


@damage("only spaces", "empty")
def _(notebook):
    return b" \r\n\t"


@damage("cut off", "not valid JSON")
def _(notebook):
    return dump(notebook)[:-200]


@damage("Git's conflict marks", "conflict")
def _(notebook):
    return dump(notebook, indent=1).replace(b"\n", b"\n<<<<<<< HEAD\n", 1)


@damage("JSON 100,000 deep", "deeper")
def _(notebook):
    return b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@damage("a zip called notebook", "zip")
def _(notebook):
    return b"PK\x03\x04" + bytes(range(200))


@damage("a web page called notebook", "web page")
def _(notebook):
    return b"<!DOCTYPE html><title>Log in</title>"


@damage("a list", "no notebook")
def _(notebook):
    return dump([notebook])


@damage("no cells", "no cells")
def _(notebook):
    notebook["cells"] = []


@damage("another notebook", "none of its answer cells")
def _(notebook):
    notebook["cells"] = [own("print('my holidays')")]


@damage("bytes of chance", "not valid JSON")
def _(notebook):
    return random.Random(1).randbytes(5_000)
