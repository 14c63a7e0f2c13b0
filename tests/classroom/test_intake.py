"""What students hand in, in every form it comes, with every trick at the door."""

import hashlib
import io
import json
import os
import stat
import unicodedata
import zipfile
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minimodels.classroom import lab as labs
from minimodels.classroom.handed_in import forms, intake, unpack
from minimodels.classroom.handed_in.intake import collect
from minimodels.classroom.handed_in.rebuild import rebuild
from minimodels.errors import UserError
from tests.classroom import toys
from tests.classroom.damage import DAMAGE, dump, own, solved

LABS = {"mean": "v1", "attention": "v2"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of the course that holds the toy lab, and the bytes of a solved notebook."""
    root = tmp_path_factory.mktemp("clone")
    lab = labs.load(toys.write(root))
    notebook = solved(lab)
    notebook["metadata"]["minimodels"]["version"] = "v1"
    return root, notebook


@pytest.fixture
def raw(clone, monkeypatch):
    monkeypatch.chdir(clone[0])
    return dump(clone[1])


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "submissions"
    folder.mkdir()
    return folder


@pytest.fixture
def take(place, tmp_path):
    """Collect a place (the folder if none is named) into a fresh scratch folder."""

    def collected(what=None, labs=LABS):
        scratch = tmp_path / "scratch"
        found = collect(what or place, labs, scratch)
        for each in found:
            assert each.problem or each.path.is_file()
            assert each.path.name == "" or each.path.parent.parent == scratch
            each.student.encode("utf-8"), each.source.encode("utf-8"), each.problem.encode("utf-8")
            assert each.problem == "" or each.problem.endswith(".")
        return found

    return collected


def put(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def zipped(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def inside(files):
    whole = io.BytesIO()
    zipped(whole, files)
    return whole.getvalue()


def packed(raw, **said):
    """What `minimodels submit` packs."""
    receipt = {"lab": "mean", "sha256": hashlib.sha256(raw).hexdigest(),
               "time": "2026-11-21T22:10:03+01:00", **said}  # fmt: skip
    return inside({"lab_mean.ipynb": raw, "receipt.json": json.dumps(receipt)})


def one(found):
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("name, student", [
    ("doe/lab_mean.ipynb", "doe"),
    ("doe/week 3/final/copy.ipynb", "doe"),
    ("doe_lab_mean.ipynb", "doe"),
    ("van_der_berg-lab_mean.ipynb", "van_der_berg"),
    ("doe.ipynb", "doe"),
    ("doe/lab_mean.ipynb.txt", "doe"),
    ("doe/lab_mean.json", "doe"),
    ("doe/lab_mean", "doe"),
    ("doe/LAB.IPYNB", "doe"),
    ("submitted/doe/00_toy/lab_mean.ipynb", "doe"),
    ("inbound/doe+00_toy+2026-11-20 10:11:12.5 UTC/lab_mean.ipynb", "doe"),
    ("nlp/inbound/doe+00_toy+2026-11-20 10:11:12.5 UTC+aB3_-x/lab_mean.ipynb", "doe"),
    ("doe+00_toy+2026-11-20 10:11:12.5 UTC/lab_mean.ipynb", "doe"),
    ("doejane_12345_67890_lab_mean-2.ipynb", "doejane"),
    ("doejane_LATE_12345_67890_Untitled_1_2_3.ipynb", "doejane"),
    ("Jane Doe_1234567_assignsubmission_file_/lab_mean.ipynb", "Jane Doe"),
    ("Jane Doe_1234567_assignsubmission_file_lab_mean.ipynb", "Jane Doe"),
])  # fmt: skip
def test_each_form_as_folder_and_as_zip(place, take, tmp_path, raw, name, student):
    put(place, {name: raw, "README.md": b"", "roster.csv": b""})
    found = one(take())
    assert (found.student, found.lab, found.problem) == (student, "mean", ""), found
    assert found.path.read_bytes() == raw
    found = one(take(zipped(tmp_path / "all.zip", {name: raw})))
    assert (found.student, found.lab, found.problem) == (student, "mean", "")
    assert found.source.startswith("all.zip: ")


def test_zips_of_submit(place, take, tmp_path, raw):
    put(place, {"doe/attention-20261121.zip": packed(raw), "ray.zip": packed(raw),
                "eve.zip": packed(raw, sha256="0" * 64)})  # fmt: skip
    doe, eve, ray = take()
    assert [each.student for each in (doe, eve, ray)] == ["doe", "eve", "ray"]
    assert all(each.lab == "mean" and each.path.read_bytes() == raw for each in (doe, eve, ray))
    assert doe.source == "submissions: doe/attention-20261121.zip: lab_mean.ipynb"
    assert any("does not fit" in note for note in eve.notes)
    assert not any("does not fit" in note for note in doe.notes)
    assert doe.submitted is None and any("clock said 2026-11-21" in note for note in doe.notes)
    alone = tmp_path / "moe.zip"
    alone.write_bytes(packed(raw))
    assert one(take(alone)).student == "moe"
    within = {"doe_1_2_mean.zip": packed(raw)}
    assert one(take(zipped(tmp_path / "canvas.zip", within))).ids == {"canvas": "1"}


def test_one_notebook(tmp_path, take, raw):
    path = tmp_path / "doe.ipynb"
    path.write_bytes(raw)
    assert (one(take(path)).student, one(take(path, {"mean": "v1"})).source) == ("doe", "doe.ipynb")


def test_what_the_lms_says(tmp_path, take, raw):
    files = {"doejane_LATE_12345_67890_lab_mean.ipynb": raw,
             "anon_Xy3Zq_777_lab_mean.ipynb": raw, "roe_5_6_essay.pdf": b"%PDF"}  # fmt: skip
    anon, doe, roe = take(zipped(tmp_path / "canvas.zip", files))
    assert doe.ids == {"canvas": "12345"} and "Canvas marks it as late" in doe.notes
    assert doe.submitted is None
    assert (anon.student, anon.ids) == ("anon_Xy3Zq", {})
    assert roe.problem == "no notebook was handed in." and roe.ids == {"canvas": "5"}
    name = "Jane Doe_1234567_assignsubmission_file_/a.ipynb"
    moodle = one(take(zipped(tmp_path / "moodle.zip", {name: raw})))
    assert moodle.ids == {"moodle": "Participant 1234567"}


def test_two_students_of_one_name_stay_two(tmp_path, take, raw):
    files = {f"doejane_{number}_9_lab_mean.ipynb": raw for number in (1, 2)}
    assert [each.student for each in take(zipped(tmp_path / "c.zip", files))] == [
        "doejane (1)", "doejane (2)"]  # fmt: skip


def test_time_comes_from_nbgrader_alone(place, take, raw):
    put(place, {"submitted/doe/00_toy/lab_mean.ipynb": raw,
                "submitted/doe/00_toy/timestamp.txt": b"2026-11-20 10:11:12.123456 UTC",
                "submitted/roe/00_toy/lab_mean.ipynb": raw,
                "submitted/roe/00_toy/timestamp.txt": b"\xff never",
                "submitted/sly/00_toy/lab_mean.ipynb": raw,
                "submitted/sly/00_toy/old/timestamp.txt": b"2020-01-01 00:00:00 UTC",
                "source/00_toy/lab_mean.ipynb": raw, "gradebook.db": b""})  # fmt: skip
    doe, roe, sly = take()
    assert doe.submitted == datetime(2026, 11, 20, 10, 11, 12, tzinfo=UTC)
    assert roe.submitted is None and sly.submitted is None


def test_one_students_collected_folder(place, take, raw):
    put(place / "submitted" / "doe", {"00_toy/lab_mean.ipynb": raw})
    assert one(take(place / "submitted" / "doe")).student == "doe"


@pytest.mark.parametrize("text, iso", [
    ("2026-11-20 10:11:12.123456 UTC", "2026-11-20T10:11:12+00:00"),
    ("2026-11-20 10:11:12 +0100", "2026-11-20T09:11:12+00:00"),
    ("2026-11-20 10:11:12", "2026-11-20T10:11:12+00:00"),
    ("2026-13-40 10:11:12 UTC", None), ("0001-01-01 00:00:00 +1400", None), ("soon", None),
])  # fmt: skip
def test_moments(text, iso):
    found = forms.moment(text)
    assert (found.isoformat() if found else None) == iso


def test_the_exchange_keeps_the_latest(place, take, clone, raw):
    later = dump({**clone[1], "cells": [*clone[1]["cells"], own("later = 1")]})
    put(place, {"inbound/doe+00_toy+2026-11-20 10:00:00 UTC/lab_mean.ipynb": later,
                "inbound/doe+00_toy+2026-11-19 10:00:00 UTC/lab_mean.ipynb": raw,
                "outbound/00_toy/lab_mean.ipynb": raw,
                "feedback/x/lab_mean.ipynb": raw})  # fmt: skip
    found = one(take())
    assert found.path.read_bytes() == later and found.submitted.day == 20
    assert any(note.startswith("handed in 2 times") for note in found.notes)


def test_a_student_twice_and_two_notebooks(place, take, clone, raw):
    few = dump({**clone[1], "cells": clone[1]["cells"][:2]})
    put(place, {"doe/a.ipynb": few, "doe/b.ipynb": raw, "doe.ipynb": b"{",
                "doe/holidays.ipynb": dump({"cells": [own("1")], "nbformat": 4})})  # fmt: skip
    os.utime(place / "doe" / "a.ipynb", (2e9, 2e9))  # later, but hardly a lab any more
    found = one(take())
    assert found.path.read_bytes() == raw and found.problem == ""
    told = " ".join(found.notes)
    assert "b.ipynb counts" in told and "a.ipynb" in told
    assert "holidays.ipynb is none of the labs" in told


def test_canvas_counts_uploads(tmp_path, take, clone, raw):
    later = dump({**clone[1], "cells": [*clone[1]["cells"], own("later = 1")]})
    files = {"doe_1_8_lab_mean-2.ipynb": later, "doe_1_9_lab_mean-1.ipynb": raw}
    assert one(take(zipped(tmp_path / "c.zip", files))).path.read_bytes() == later


def test_a_name_in_two_spellings_is_one_student(place, take, raw):
    for form in ("NFC", "NFD"):
        put(place, {f"{unicodedata.normalize(form, 'Zoë')}/lab_mean.ipynb": raw})
    assert one(take()).student == unicodedata.normalize("NFC", "Zoë")


def test_names_of_other_encodings(place, take, tmp_path, raw):
    folder = os.fsencode(place) + b"/Zo\xeb"
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    with open(folder + b"/lab_\xff\n.ipynb", "wb") as file:
        file.write(raw)
    assert one(take()).student == "Zoë"
    utf8_unmarked = zipped(tmp_path / "u.zip", {"Zo__/a.ipynb": raw})
    swapped = utf8_unmarked.read_bytes().replace(b"Zo__/", "Zoë/".encode())
    utf8_unmarked.write_bytes(swapped)
    assert one(take(utf8_unmarked)).student == "Zoë"
    utf8_unmarked.write_bytes(swapped.replace("Zoë/".encode(), b"Z\x94e_/"))
    assert one(take(utf8_unmarked)).student == "Zöe_"  # cp437


@pytest.mark.parametrize("claim, held, lab", [
    ("00_toy/lab_mean", True, "mean"), ("03_architecture/lab_attention", True, "mean"),
    ("", True, "mean"), ("x/lab_unknown", True, "mean"), ("00_toy/lab_mean", False, "mean"),
])  # fmt: skip
def test_what_is_in_it_tells_the_lab_before_what_it_claims(place, take, clone, raw,
                                                           claim, held, lab):  # fmt: skip
    cells = clone[1]["cells"] if held else [own("x = 1")]
    about = {"minimodels": {"lab": claim, "version": "v0"}}
    put(place, {"doe/x.ipynb": dump({**clone[1], "cells": cells, "metadata": about})})
    found = one(take())
    assert found.lab == lab
    assert any("made from release v0" in note for note in found.notes)
    forged = "attention" in claim
    assert any("it says it is lab attention" in note for note in found.notes) == forged


def test_a_broken_file_is_known_by_its_name(place, take, raw):
    put(place, {"doe/lab_attention-1.ipynb": b"{", "roe/lab.ipynb": b"", "moe/x.pdf": b""})
    doe, moe, roe = take()
    assert doe.lab == "attention" and "not valid JSON" in doe.problem
    assert roe.lab == "" and "empty" in roe.problem
    assert moe.problem == "no notebook was handed in."
    assert take(labs={"mean": "v1"})[2].lab == "mean"  # the only one there is


def test_every_damage_comes_through_the_door(place, take, clone, raw):
    """One folder of all damages: none stops the others, each has a path or a problem."""
    for number, each in enumerate(DAMAGE.values()):
        put(place, {f"s{number:02d}/lab_mean.ipynb": each.damaged(clone[1])})
    put(place, {"zz/lab_mean.ipynb": raw})
    lab = labs.load(clone[0] / "solutions" / "00_toy" / "lab_mean.ipynb")
    found = take()
    assert len(found) == len(DAMAGE) + 1 and found[-1].problem == ""
    for each, damage in zip(found, DAMAGE.values(), strict=False):
        if damage.becomes == "same":
            assert (each.problem, each.lab) == ("", "mean")
        else:
            raw = each.path.read_bytes() if each.path.name else b""
            assert damage.becomes in (each.problem or rebuild(raw, lab).problem)


def test_links_pipes_and_locked_files_are_never_followed(place, take, tmp_path, raw):
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(raw)
    put(place, {"zoe/lab_mean.ipynb": raw})
    for name in ("a", "b"):
        (place / name).mkdir()
    (place / "a" / "lab_mean.ipynb").symlink_to(secret)
    (place / "b" / "lab_mean.ipynb").symlink_to("/etc/passwd")
    (place / "c").symlink_to(tmp_path)
    (place / "d").symlink_to(place)  # a circle
    (place / "e").mkdir()
    os.mkfifo(place / "e" / "lab_mean.ipynb")
    os.mkfifo(place / "f.ipynb")
    found = {each.student: each for each in take()}
    assert set(found) == {"a", "b", "c", "d", "e", "f", "zoe"}
    for name in "abcd":
        assert "link" in found[name].problem and found[name].path.name == ""
    for name in "ef":
        assert "pipe" in found[name].problem
    assert found["zoe"].problem == ""


def test_a_file_that_becomes_a_link_after_it_was_seen(place, tmp_path, raw):
    """The control for what is opened, not only what is listed; and for folders on the way."""
    put(place, {"doe/lab_mean.ipynb": raw, "roe/lab_mean.ipynb": raw})
    entries = [entry for entry in unpack.in_folder(place) if not entry.folder]
    (tmp_path / "elsewhere").mkdir()
    put(tmp_path, {"elsewhere/lab_mean.ipynb": b"secret"})
    (place / "doe" / "lab_mean.ipynb").unlink()
    (place / "doe" / "lab_mean.ipynb").symlink_to(tmp_path / "elsewhere" / "lab_mean.ipynb")
    (place / "roe").rename(tmp_path / "old")
    (place / "roe").symlink_to(tmp_path / "elsewhere")
    for number, entry in enumerate(entries):
        assert "cannot be read" in unpack.copy(entry, tmp_path / f"copy{number}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(place, take, raw):
    put(place, {"doe/lab_mean.ipynb": raw})
    (place / "doe" / "lab_mean.ipynb").chmod(0)
    assert "cannot be read" in one(take()).problem


@pytest.mark.parametrize("name, says", [
    ("../../evil/lab_mean.ipynb", "leads out"), ("/etc/lab_mean.ipynb", "absolute"),
    ("C:\\x\\lab_mean.ipynb", "absolute"), ("doe\\..\\..\\lab_mean.ipynb", "leads out"),
])  # fmt: skip
def test_names_that_lead_elsewhere(tmp_path, take, raw, name, says):
    path = zipped(tmp_path / "all.zip", {name: raw, "roe/lab_mean.ipynb": raw})
    before = {each for each in tmp_path.rglob("*")}
    evil, roe = sorted(take(path), key=lambda each: each.problem == "")
    assert says in evil.problem and roe.problem == ""
    after = {each.relative_to(tmp_path).parts[0] for each in set(tmp_path.rglob("*")) - before}
    assert after == {"scratch"} and not (tmp_path.parent / "evil").exists()


def test_links_in_a_zip(tmp_path, take, raw):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("doe/lab_mean.ipynb")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("roe/lab_mean.ipynb", raw)
    doe, roe = take(path)
    assert "link" in doe.problem and doe.path.name == "" and roe.problem == ""


def test_names_that_collide_in_a_zip(tmp_path, take, clone, raw):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for _ in range(2):
            archive.writestr("doe/lab_mean.ipynb", raw)
    found = one(take(path))
    assert found.problem == "" and any("2 times" in note for note in found.notes)


def test_bombs(place, take, tmp_path, raw, monkeypatch):
    zeros = b" " * 3_000_000
    monkeypatch.setattr(unpack, "MOST_RATIO", 100)
    monkeypatch.setattr(unpack, "MOST_UNPACKED", 5_000_000)
    monkeypatch.setattr(unpack, "MOST_MEMBERS", 50)
    monkeypatch.setattr(unpack, "MOST_DIRECTORY", 20_000)
    put(place, {
        "a.zip": inside({"lab_mean.ipynb": zeros}),
        "b.zip": inside({f"{n}.ipynb": os.urandom(1_500_000) for n in range(4)}),
        "c.zip": inside({f"{n}.ipynb": b"" for n in range(60)}),
        "d.zip": inside({"x" * 400 + f"{n}": b"" for n in range(60)}),
        "e.zip": inside({"lab_mean.zip": packed(raw)}),
        "f.zip": packed(raw)[:-30],
        "g.zip": b"PK\3\4 no zip at all",
        "h.zip": packed(raw),
    })  # fmt: skip
    says = {"a": "bomb", "b": "MB", "c": "50 files", "d": "50 files", "e": "zip within a zip",
            "f": "cut off", "g": "cut off", "h": ""}  # fmt: skip
    for each in take():
        assert says[each.student] in each.problem, each
        assert (each.student == "h") == (each.problem == "")


def test_a_header_that_lies_about_the_size(tmp_path, take, monkeypatch):
    """Nothing is believed: what counts are the bytes that come out."""
    data = inside({"lab_mean.ipynb": b" " * 1_000_000})
    short = data.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert short != data
    path = tmp_path / "doe.zip"
    path.write_bytes(inside({"doe/a.zip": short, "roe/lab.ipynb": b"{"}))
    doe, roe = take(path)
    assert "cannot be read" in doe.problem and "JSON" in roe.problem


def test_a_notebook_of_2_gb_and_a_student_who_fills_the_disk(place, take, raw, monkeypatch):
    (place / "doe").mkdir()
    with open(place / "doe" / "lab_mean.ipynb", "wb") as file:
        file.truncate(2 * 2**30)  # takes no room: it has holes
    put(place, {f"roe/{number}.ipynb": raw for number in range(9)})
    put(place, {"zoe/a.ipynb": raw})
    monkeypatch.setattr(intake, "MOST_STUDENT", 3 * len(raw))
    doe, roe, zoe = take()
    assert "too large (2,048 MB)" in doe.problem
    assert roe.problem == "" and "too much" in " ".join(roe.notes) and zoe.problem == ""


def test_a_file_that_grows_while_it_is_read(tmp_path):
    entry = unpack.Entry(("a.ipynb",), lambda: io.BytesIO(b" " * 5_000_000), size=10)
    assert "too large" in unpack.copy(entry, tmp_path / "a", most=1_000_000)
    assert (tmp_path / "a").stat().st_size <= 1_000_000


def test_a_student_called_submitted(place, take, raw):
    put(place, {"submitted/lab_mean.ipynb": raw, "doe/lab_mean.ipynb": raw})
    assert [each.student for each in take()] == ["doe", "submitted"]


def test_very_many_files_of_one_student(place, take, raw, monkeypatch):
    monkeypatch.setattr(intake, "MOST_FILES", 5)
    put(place, {f"roe/{number}.ipynb": raw for number in range(50)})
    put(place, {"zoe/a.ipynb": raw})
    roe, zoe = take()
    assert roe.problem == zoe.problem == "" and len(" ".join(roe.notes)) < 1000


def test_a_very_deep_folder(place, take, raw):
    deep = place / "doe"
    for _ in range(60):
        deep = deep / "d"
    deep.mkdir(parents=True)
    put(place, {"roe/a.ipynb": raw})
    doe, roe = take()
    assert doe.problem == "no notebook was handed in." and roe.problem == ""


def test_a_student_cannot_hand_in_for_another(place, take, tmp_path, clone, raw):
    """Only the outermost name says whose it is; all below was chosen by the student."""
    put(place, {"doe/smith_1_2_lab_mean.ipynb": raw,
                "eve/smith_7_assignsubmission_file_/lab_mean.ipynb": raw,
                "fay/inbound/smith+00_toy+2026-01-01 00:00:00 UTC/lab_mean.ipynb": raw,
                "gus/submitted/smith/00_toy/lab_mean.ipynb": raw})  # fmt: skip
    assert [each.student for each in take()] == ["doe", "eve", "fay", "gus"]
    assert all(each.ids == {} and each.submitted is None for each in take())
    sly = "fay/inbound/smith+x+2026-01-01 00:00:00/a.ipynb"
    put(place / "flat", {"doe_lab_mean.ipynb": raw, sly: raw})
    assert [each.student for each in take(place / "flat")] == ["doe", "fay"]
    named = {
        "Jane_1_assignsubmission_file_/smith_7_8_lab_mean.ipynb": raw,
        "Joe_2_assignsubmission_file_/smith_9_assignsubmission_file_/a.ipynb": raw,
    }
    assert [each.student for each in take(zipped(tmp_path / "m.zip", named))] == ["Jane", "Joe"]


def test_a_class_zip_among_students_is_not_one_student(place, take, raw):
    put(place, {"canvas.zip": inside({f"s{n}_{n}_9_lab_mean.ipynb": raw for n in range(3)})})
    assert "whole class" in one(take()).problem


def test_junk_is_left_where_it_is(place, take, tmp_path, raw):
    put(place, {"doe/lab_mean.ipynb": raw, "doe/.ipynb_checkpoints/lab_mean-checkpoint.ipynb": b"",
                "__MACOSX/doe/._lab_mean.ipynb": b"", ".DS_Store": b"", "doe/data.json": b"{}",
                "doe/notes.txt": b"hello"})  # fmt: skip
    found = one(take())
    assert found.student == "doe" and found.notes == ()
    assert len(list((tmp_path / "scratch").rglob("*.ipynb"))) == 1


def test_a_zip_of_the_folder_itself(tmp_path, take, raw):
    files = {"submissions/doe/lab_mean.ipynb": raw, "submissions/roe/lab_mean.ipynb": raw}
    assert [each.student for each in take(zipped(tmp_path / "s.zip", files))] == ["doe", "roe"]


def test_what_is_the_lecturers_to_mend(place, take, tmp_path, raw):
    with pytest.raises(UserError, match="is not there"):
        take(tmp_path / "gone")
    with pytest.raises(UserError, match="holds nothing"):
        take()
    path = tmp_path / "a.zip"
    path.write_bytes(b"no zip")
    with pytest.raises(UserError, match="no folder, zip or notebook"):
        take(path)
    whole = zipped(path, {f"{n}/lab_mean.ipynb": raw for n in range(3)}).read_bytes()
    path.write_bytes(whole[:50] + b"\xff" * 40 + whole[90:])
    assert sorted(each.problem != "" for each in take(path)) == [False, False, True]


NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=30) | st.sampled_from(
    ["..", ".", "a+b+2026-01-01 00:00:00", "x_1_2_y", "x_1_assignsubmission_file_", "inbound",
     "submitted", "01_x", "\udcff.ipynb", "‮evil.ipynb", "=cmd().ipynb"])  # fmt: skip


@settings(max_examples=200, deadline=None, database=None)
@given(st.lists(st.lists(NAMES, min_size=1, max_size=4).map(tuple), min_size=1, max_size=5),
       st.booleans())  # fmt: skip
def test_no_name_raises(paths, zipped):
    depth = forms.inner(paths, zipped)
    for parts in paths:
        found = forms.who(parts[depth:] or parts, "place")
        assert found.student and found.student.isprintable()
        (found.student + found.name).encode("utf-8")
