"""What runs of a student's notebook, whatever became of it."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minimodels import files
from minimodels.classroom import lab as labs
from minimodels.classroom.handed_in import reading
from minimodels.classroom.handed_in.magics import defined, plain_python, statements
from minimodels.classroom.handed_in.rebuild import code, rebuild
from minimodels.classroom.normalize import dumps, source
from minimodels.classroom.release import handout, release
from tests.classroom import toys
from tests.classroom.damage import DAMAGE, dump, own, solved

ATTENTION = files.repository() / "solutions" / "03_architecture" / "lab_attention.ipynb"
FEW = settings(max_examples=60, deadline=None, database=None,
               suppress_health_check=list(HealthCheck))  # fmt: skip


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return labs.load(toys.write(tmp_path_factory.mktemp("clone")))


@pytest.fixture(scope="module", params=["toy", "attention"])
def lab(request, toy):
    return toy if request.param == "toy" else labs.load(Path(ATTENTION))


@pytest.fixture(scope="module")
def clean_toy(toy):
    return dump(solved(toy))


def by_name(notebook, name):
    return next(cell for cell in notebook["cells"]
                if cell["metadata"].get("nbgrader", {}).get("grade_id") == name)  # fmt: skip


def built(lab, notebook):
    return rebuild(dump(notebook), lab)


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_mended_or_has_a_reason(lab, name):
    clean = solved(lab)
    rebuilt = rebuild(DAMAGE[name].damaged(clean), lab)
    if DAMAGE[name].becomes == "same":
        assert rebuilt.problem == ""
        assert rebuilt.cells == built(lab, clean).cells
        assert rebuilt.sha256 == built(lab, clean).sha256 != ""
    else:
        assert DAMAGE[name].becomes in rebuilt.problem and rebuilt.problem.endswith(".")
        assert rebuilt.cells == [] and rebuilt.sha256 == ""


def test_there_is_damage_enough():
    assert sum(each.becomes == "same" for each in DAMAGE.values()) >= 25


def test_other_code_has_another_hash(lab):
    """The control: the hash does see what runs."""
    clean = solved(lab)
    hashes = {built(lab, clean).sha256}
    for change in ("x = 1", "x = 2", "def scaled(x, d): return 0"):
        hashes.add(built(lab, {**clean, "cells": [*clean["cells"], own(change)]}).sha256)
    assert len(hashes) == 4


def test_the_clean_copy_runs_what_the_student_sees(toy):
    cells = built(toy, solved(toy)).cells
    assert cells[:2] == [toys.SETUP, "helper = 3\nprint(helper % 2)"]
    assert [sorted(defined(cell)) for cell in cells[2:]] == [["masked_mean"], ["scaled"]]
    assert not any("assert" in cell or "SystemExit" in cell for cell in cells)


def test_notebook_and_bytes_agree(lab):
    for notebook in (lab.master, handout(lab), solved(lab)):
        assert code(lab, notebook) == built(lab, notebook).cells
    assert code(lab, {"cells": []}) == []


def test_answers_are_the_students_words(toy):
    notebook = solved(toy)
    by_name(notebook, "scaled")["source"] = "%%time\ndef scaled(x, d): return 7"
    rebuilt = built(toy, notebook)
    assert rebuilt.answers["scaled"] == "%%time\ndef scaled(x, d): return 7"
    assert "def scaled(x, d): return 7" in rebuilt.cells


def test_the_last_answer_counts_and_a_note_says_so(toy):
    notebook = solved(toy)
    at = notebook["cells"].index(by_name(notebook, "scaled"))
    for value in (1, 2):
        again = copy.deepcopy(by_name(notebook, "scaled"))
        again["source"] = f"def scaled(x, d): return {value}"
        notebook["cells"].insert(at + value, again)
    rebuilt = built(toy, notebook)
    assert rebuilt.answers["scaled"] == "def scaled(x, d): return 2"
    assert sum("def scaled" in cell for cell in rebuilt.cells) == 1
    assert any("more than once: scaled" in note for note in rebuilt.notes)


def test_a_cell_that_was_split_stays_whole(lab):
    """Editors give both halves the same name: neither may be lost."""
    notebook = solved(lab)
    if "attention" in lab.name:
        answer = by_name(notebook, "heads_functions")
        whole = source(answer)
    else:
        answer = by_name(notebook, "scaled")
        whole = f"def half(x): return x\n{source(answer)}"
    at = [n for n, line in enumerate(whole.splitlines()) if line.startswith("def ")][1]
    other = copy.deepcopy(answer)
    answer["source"] = "\n".join(whole.splitlines()[:at])
    other["source"] = "\n".join(whole.splitlines()[at:])
    notebook["cells"].insert(notebook["cells"].index(answer) + 1, other)
    ran = "\n".join(built(lab, notebook).cells)
    assert all(f"def {name}(" in ran for name in defined(whole))


def test_an_answer_in_a_cell_of_its_own_fills_the_stub(toy):
    notebook = handout(toy)
    notebook["cells"].insert(1, own("def scaled(x, d): return x / d ** 0.5"))
    rebuilt = built(toy, notebook)
    assert rebuilt.answers["scaled"].startswith("def scaled(x, d): return x")
    assert sum("def scaled" in cell for cell in rebuilt.cells) == 1


def test_an_added_cell_that_redefines_an_answer_runs_where_it_stands(toy):
    notebook = solved(toy)
    notebook["cells"].append(own("def scaled(x, d): return 0"))
    rebuilt = built(toy, notebook)
    assert rebuilt.cells[-1] == "def scaled(x, d): return 0" != rebuilt.answers["scaled"]


@pytest.mark.parametrize("tag", ["play", "victory", "visible-check"])
def test_an_added_cell_runs_whatever_its_tag(toy, tag):
    notebook = solved(toy)
    notebook["cells"].insert(2, own("half = 0.5", tags=[tag]))
    assert "half = 0.5" in built(toy, notebook).cells


def test_a_name_of_a_test_on_ones_own_helper_does_not_hide_it(toy):
    notebook = solved(toy)
    test = by_name(notebook, "scale")
    mine = copy.deepcopy(test)
    mine["source"] = "def helper(x):\n    return x"
    notebook["cells"].insert(2, mine)
    assert mine["source"] in built(toy, notebook).cells
    test["source"] = "assert scaled(4.0, 4) == 99  # a test that was changed is not the student's"
    assert test["source"] not in built(toy, notebook).cells


def test_a_changed_test_without_a_name_is_still_the_test(lab):
    notebook = solved(lab)
    task = "heads" if "attention" in lab.name else "mean"
    test = by_name(notebook, task)
    test["source"] = f"{source(test)}\ndef mine(): pass"
    assert not any("def mine" in cell for cell in built(lab, notebook).cells) or "toy" in lab.name
    test["metadata"], test["id"] = {}, "other"
    assert not any("def mine" in cell for cell in built(lab, notebook).cells) or "toy" in lab.name


def test_half_a_character_in_code_can_be_written_down(toy):
    notebook = solved(toy)
    by_name(notebook, "scaled")["source"] = "def scaled(x, d): return '\ud83d'"
    rebuilt = built(toy, notebook)
    assert rebuilt.answers["scaled"].encode("utf-8") == b"def scaled(x, d): return '?'"
    assert any("characters" in note for note in rebuilt.notes)


def test_prose_about_an_answer_is_no_answer(toy):
    notebook = handout(toy)
    words = "def scaled(x, d): is hard.\nI did not solve it."
    notebook["cells"].append({"cell_type": "markdown", "metadata": {}, "source": words})
    assert not any("is hard" in cell for cell in built(toy, notebook).cells)


def test_a_missing_answer_is_told(toy):
    notebook = solved(toy)
    notebook["cells"].remove(by_name(notebook, "scaled"))
    assert any("missing: scaled" in note for note in built(toy, notebook).notes)


@pytest.mark.parametrize("before, after", [
    ("x = 1\n%timeit x\ny = 2", "x = 1\ny = 2"),
    ("if x:\n    %matplotlib inline", "if x:\n    pass\n"),
    ("files = !ls -l", "files = []\n"),
    ("x = %pwd", "x = None\n"),
    ("%time y = f(x)", "y = f(x)\n"),
    ("!pip install \\\n  numpy\nx = 1", "x = 1"),
    ("%%time\nx = 1", "x = 1"),
    ("\n%%capture out\nx = 1", "x = 1"),
    ("help?\n?help\nx.y??", ""),
    ("x = (5\n  %y)\n", "x = (5\n  %y)\n"),
    ("x = ((5)\n%y)\n", "x = ((5)\n%y)\n"),
    ("x = '''\n%time\n!ls\n'''\n", "x = '''\n%time\n!ls\n'''\n"),
    ("x = 'it''s (' # (\n%time\n", "x = 'it''s (' # (\n"),
    ("x = 7 \\\n  %y\n", "x = 7 \\\n  %y\n"),
    ("y = x != 3\nz = x %3\nx %= 2", "y = x != 3\nz = x %3\nx %= 2"),
    ("def f(:", "def f(:"),
])  # fmt: skip
def test_magics_go_and_python_stays(before, after):
    assert plain_python(before) == (after, "")


@pytest.mark.parametrize("magic", ["bash", "html", "writefile a.py", "timeit", "unheard_of"])
def test_cells_that_are_no_python_go_with_a_note(magic):
    text, note = plain_python(f"%%{magic}\nx = 1")
    assert text == "" and f"%%{magic.split()[0]}" in note


def test_what_a_source_defines():
    text = '"""\ndef no(): 0\n"""\ndef f(): pass\nclass C:\n    def g(self): 0\nasync  def h(): 0'
    assert defined(text) == {"f", "C", "h"}
    assert defined('x = """\ndef inside(): never closed') == set()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
    | st.sampled_from(["code", "markdown", "scaled", "mean", "def scaled(x, d): 1", "%%bash"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["cells", "source", "metadata", "nbgrader", "grade_id", "id", "cell_type",
                         "tags", "worksheets", "input", "minimodels", "lab", "nbformat"]),
        inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@FEW
@given(st.lists(st.tuples(st.integers(0, 999), JSON), max_size=6))
def test_no_change_of_the_json_raises(toy, clean_toy, changes):
    """Put any value at any place of a clean notebook, some of them one after the other."""
    notebook = json.loads(clean_toy)
    for place, value in changes:
        _put(notebook, place, value)
    rebuilt = built(toy, notebook)
    assert bool(rebuilt.problem) != bool(rebuilt.cells)
    json.dumps([rebuilt.cells, rebuilt.answers, rebuilt.notes]).encode("utf-8")
    "".join([*rebuilt.cells, *rebuilt.notes, *rebuilt.answers.values()]).encode("utf-8")


def _put(tree, place, value):
    """Replace the part number `place` of a tree, counted round and round."""
    places = []

    def walk(node):
        keys = node.keys() if isinstance(node, dict) else range(len(node))
        for key in list(keys):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    walk(tree)
    if places:
        node, key = places[place * 7919 % len(places)]
        node[key] = value


@FEW
@given(st.binary(max_size=300) | JSON.map(lambda value: dump(value)))
def test_no_bytes_raise(toy, raw):
    rebuilt = rebuild(raw, toy)
    assert rebuilt.problem or rebuilt.cells


@FEW
@given(st.text(st.sampled_from("def x(:)[]{}\"'\\#%!?=\n \t")))
def test_no_text_is_lost_between_statements(text):
    assert "".join(statements(text)) == text
    plain_python(text)


@pytest.mark.parametrize("text", [
    "(" * 500_000, "'" * 500_000, '"""' * 150_000, "\\\n" * 250_000, "%" * 500_000, "a " * 250_000,
    "\n" * 500_000, "!\\\n" * 150_000, "x" + " " * 500_000, "-" * 500_000 + "1", "\\" * 500_001,
    "?" * 500_000, "[#" * 250_000, "a=" * 250_000,
])  # fmt: skip
def test_long_texts_do_no_harm(toy, clean_toy, text):
    """Each would take hours if a search started anew at each character."""
    notebook = json.loads(clean_toy)
    notebook["cells"].append(own(text))
    assert built(toy, notebook).problem == ""


def test_sizes_have_ends(toy, monkeypatch):
    raw = dump(solved(toy))
    for name, most, word in (
        ("MOST_BYTES", 999, "larger"),
        ("MOST_PARTS", 50, "more parts"),
        ("MOST_CELLS", 5, "5 cells"),
        ("MOST_SOURCE", 90, "characters"),
    ):
        with monkeypatch.context() as patch:  # fmt: skip
            patch.setattr(reading, name, most)
            assert word in rebuild(raw, toy).problem + " ".join(rebuild(raw, toy).notes), name


def essay(text):
    """A cell that a person marks."""
    about = toys.graded("why", grade=True, solution=True, points=4)
    return {"cell_type": "markdown", "id": "why", "metadata": {"nbgrader": about}, "source": text}


def test_an_answer_in_words_is_kept_and_never_runs(tmp_path):
    path = toys.write(tmp_path)
    master = toys.notebook()
    master["cells"].insert(3, essay("### BEGIN SOLUTION\nimport os\n### END SOLUTION"))
    path.write_text(dumps(master), encoding="utf-8")
    lab = labs.load(path)
    assert lab.points() == {"mean": 3, "scale": 2}  # the judge has nothing to say of it
    handed_in = copy.deepcopy(release(master))
    place = next(n for n, cell in enumerate(handed_in["cells"]) if cell["id"] == "why")
    stub = rebuild(dumps(handed_in).encode(), lab)
    assert stub.answers["why"] == ""
    handed_in["cells"][place]["source"] = "Because padding\nis no token."
    first = rebuild(dumps(handed_in).encode(), lab)
    assert first.answers["why"] == "Because padding\nis no token."
    assert first.cells == stub.cells and not any("padding" in cell for cell in first.cells)
    handed_in["cells"].append(copy.deepcopy(stub_cell := release(master)["cells"][place]))
    assert stub_cell["id"] == "why"
    assert rebuild(dumps(handed_in).encode(), lab).answers["why"] == first.answers["why"]
