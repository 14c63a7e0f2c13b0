import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minimodels.data.jsonl import read_documents, write_documents
from minimodels.errors import UserError


def document(text="a\tb\n\u2028c 你好", **changes):
    clean = {"id": "d-1", "text": text, "lang": "en", "kind": "prose", "source": "test",
             "labels": {"dirt": "pii"}, "facts": ["f-1"]}  # fmt: skip
    return clean | changes


@given(st.lists(st.text(), max_size=5))
@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_documents_come_back(tmp_path, texts):
    documents = [document(text, extra=[1]) for text in texts]
    assert write_documents(tmp_path / "d.jsonl", iter(documents)) == len(documents)
    assert list(read_documents(tmp_path / "d.jsonl")) == documents


def test_plain_utf8_and_empty_lines(tmp_path):
    write_documents(tmp_path / "d.jsonl", [document("你好")])
    raw = (tmp_path / "d.jsonl").read_bytes()
    assert "你好".encode() in raw and raw.count(b"\n") == 1
    (tmp_path / "d.jsonl").write_bytes(b"\n" + raw + b"\r\n \n" + raw)
    assert len(list(read_documents(tmp_path / "d.jsonl"))) == 2


GOOD = json.dumps(document()).encode()


@pytest.mark.parametrize(
    "line, says",
    [
        (b"{broken", "line 3 is not JSON"),
        (b"\xff\xfe", "line 3 is not JSON"),
        (b"[1]", "line 3 is no JSON object"),
        (b'{"id": "d-1"}', "line 3 has no 'text' of type str"),
        (json.dumps(document(facts="f-1")).encode(), "line 3 has no 'facts' of type list"),
        (json.dumps(document("\ud800")).encode(), "line 3: the text holds half a character"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, says):
    (tmp_path / "d.jsonl").write_bytes(GOOD + b"\n\n" + line + b"\n")
    read = read_documents(tmp_path / "d.jsonl")
    assert next(read) == document()
    with pytest.raises(UserError, match=says):
        next(read)


def test_a_bad_document_leaves_the_old_file(tmp_path):
    write_documents(tmp_path / "d.jsonl", [document("old")])
    with pytest.raises(UserError, match="document 2 has no 'text'"):
        write_documents(tmp_path / "d.jsonl", [document(), {"id": "x"}])
    assert [d["text"] for d in read_documents(tmp_path / "d.jsonl")] == ["old"]
    with pytest.raises(UserError, match="cannot be read"):
        next(read_documents(tmp_path / "absent.jsonl"))
