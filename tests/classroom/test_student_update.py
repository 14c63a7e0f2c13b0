"""`minimodels update`: a newer release beside the student's copy, with what they wrote in it."""

import pytest

from minimodels.classroom import release
from minimodels.classroom.normalize import read, source
from minimodels.classroom.student import copies
from minimodels.classroom.student.update import update, words
from minimodels.errors import UserError
from tests.classroom import desks

STUB = "    # YOUR CODE HERE\n    raise NotImplementedError()"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    desks.clone(tmp_path, monkeypatch)
    return desks.begun()


def publish(*changes):
    """A new release: text of the master replaced."""
    master = copies.files.repository() / "solutions" / "00_toy" / "lab_mean.ipynb"
    text = master.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    master.write_text(text, encoding="utf-8")
    release.main()


def texts(path):
    return [source(cell) for cell in read(path)["cells"]]


def named(path, name):
    return next(source(cell) for cell in read(path)["cells"] if copies.key(cell) == name)


def test_the_newest_release_is_left_alone(mine):
    desks.write(mine, desks.RIGHT)
    before = desks.state(mine.parents[1])
    (done,) = update()
    assert not done.new and done.path == mine and "newest release" in words(done)
    assert desks.state(mine.parents[1]) == before


def test_answers_and_added_cells_go_into_the_new_frame_and_nothing_is_overwritten(mine):
    desks.write(mine, {"masked_mean": desks.RIGHT["masked_mean"], "mean": "print('tampered')"})
    desks.add(mine, "scratch = masked_mean", at=3, id=read(desks.lab())["cells"][1]["id"])
    desks.add(mine, "at_top = 1", at=0)
    publish(("# Means", "# Means of rows"), ("== 2.0", "== 4.0 / 2"))
    before = desks.state(mine.parent)
    (done,) = update("mean")
    after = desks.state(mine.parent)
    assert {path: after[path] for path in before} == before  # bytes and times
    assert set(after) - set(before) == {str(done.path)}
    assert done.path.name == f"lab_mean.new-{copies.about(read(done.path))['version']}.ipynb"
    found = texts(done.path)
    assert found[:3] == ["at_top = 1", "# Means of rows", desks.toys.SETUP]
    assert found[3:5] == [desks.RIGHT["masked_mean"], "scratch = masked_mean"]
    assert named(done.path, "scaled").endswith(STUB)
    assert "tampered" not in "".join(found)
    assert done.kept == ("masked_mean", "at_top = 1", "scratch = masked_mean")
    assert done.changed == ("# Means of rows", "scale")
    ids = [cell["id"] for cell in read(done.path)["cells"]]
    assert len(set(ids)) == len(ids)


def test_check_and_submit_take_the_new_copy_and_a_second_update_does_nothing(mine):
    publish(("# Means", "# Means of rows"))
    with pytest.raises(UserError, match="minimodels update mean"):
        copies.current(desks.lab())
    (done,) = update()
    assert copies.current(desks.lab())[0] == done.path
    before = desks.state(mine.parents[1])
    (again,) = update()
    assert not again.new and again.path == done.path
    assert desks.state(mine.parents[1]) == before


def test_the_copy_worked_on_last_gives_the_answers(mine):
    publish(("# Means", "# Means, once more"))
    (first,) = update()
    desks.write(first.path, {"scaled": desks.RIGHT["scaled"]})
    publish(("# Means, once more", "# Means, twice more"))
    (second,) = update()
    assert second.new and named(second.path, "scaled") == desks.RIGHT["scaled"]


def test_what_both_changed_is_named_and_an_empty_stub_is_the_new_one(mine):
    desks.write(mine, {"masked_mean": desks.RIGHT["masked_mean"]})
    publish(
        ("# x (T, D), mask", "# x is (T, D), mask"), ("def scaled(x, d):", "def scaled(x, d, e=1):")
    )
    (done,) = update()
    assert done.both == ("masked_mean",) and "changed by both" in words(done)
    assert named(done.path, "masked_mean") == desks.RIGHT["masked_mean"]
    assert "e=1" in named(done.path, "scaled") and "scaled" in done.changed


def test_a_copy_made_by_hand_keeps_its_answers_too(mine):
    """No release was kept beside it, so nobody knows what it began as."""
    desks.write(mine, desks.RIGHT)
    copies.base(desks.lab(), copies.about(read(mine))["version"]).unlink()
    publish(("# Means", "# Means of rows"))
    (done,) = update()
    found = texts(done.path)
    assert set(desks.RIGHT.values()) <= set(found) and "# Means of rows" in found


def test_renamed_answers_are_known_by_their_id_and_never_lost(mine):
    def rename(notebook, cells):
        for name in desks.RIGHT:
            cells[name]["metadata"]["nbgrader"]["grade_id"] += "-copy"
        cells["scaled"]["id"] = "another"

    desks.write(mine, desks.RIGHT)
    desks.edit(mine, rename)
    publish(("# Means", "# Means of rows"))
    (done,) = update()
    assert named(done.path, "masked_mean") == desks.RIGHT["masked_mean"]
    assert texts(done.path).count(desks.RIGHT["scaled"]) == 1
    assert named(done.path, "scaled").endswith(STUB)


def test_an_answer_to_a_task_that_is_gone_is_kept(mine):
    desks.write(mine, desks.RIGHT)
    master = copies.files.repository() / "solutions" / "00_toy" / "lab_mean.ipynb"

    def drop(notebook, cells):
        notebook["cells"] = [cell for cell in notebook["cells"]
                             if copies.key(cell) not in {"scaled", "scale"}]  # fmt: skip

    desks.edit(master, drop)
    checks = master.with_name("lab_mean_checks.py")
    text = checks.read_text(encoding="utf-8")
    checks.write_text(text.replace('    Check("scale"', '    # Check("scale"'), encoding="utf-8")
    release.main()
    (done,) = update()
    assert desks.RIGHT["scaled"] in texts(done.path)
    assert "assert scaled(4.0, 4) == 2.0" not in texts(done.path)  # a control: the check is gone


def test_other_files_are_brought_or_named_but_not_touched(mine):
    picture = mine.parent / "picture.svg"
    picture.write_text("<svg>mine</svg>")
    folder = copies.files.repository() / "solutions" / "00_toy"
    (folder / "data.txt").write_text("new")
    publish(("# Means", "# Means of rows"))
    (done,) = update()
    assert done.beside == (picture,) and picture.read_text() == "<svg>mine</svg>"
    assert (mine.parent / "data.txt").read_text() == "new"


def test_without_a_name_all_that_was_started_and_with_one_what_is_known(mine):
    mine.unlink()
    assert update() == []
    with pytest.raises(UserError, match="not started"):
        update("mean")
    with pytest.raises(UserError, match="no lab"):
        update("other")
