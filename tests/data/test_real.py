import itertools
import json
import pydoc
import textwrap

from minimodels.data.real import docstrings, passages, python_prose


def test_a_megabyte_of_english_prose_twice_the_same():
    documents = list(python_prose())
    texts = [document["text"] for document in documents]
    assert sum(len(text.encode()) for text in texts) >= 1_000_000
    assert len(set(texts)) == len(texts) == len({document["id"] for document in documents})
    assert all(document["kind"] == "prose" and document["lang"] == "en" for document in documents)
    joined = "\n\n".join(texts)
    for phrase in ("Tuples are immutable sequences", "JSON (JavaScript Object Notation)"):
        assert phrase in joined
    assert documents[:300] == list(itertools.islice(python_prose(), 300))


def test_docstrings_are_those_that_help_shows():
    with open(json.__file__, "rb") as file:
        found = docstrings(file.read())
    assert found[0] == pydoc.getdoc(json)
    assert pydoc.getdoc(json.dumps) in found and len(found) == 5
    assert docstrings(b"def broken(:\n") == [] and docstrings(b"x = 1\n") == []


def test_passages_keep_paragraphs_whole():
    paragraphs = [textwrap.fill(f"Paragraph {i}. " + "word " * (20 + 30 * i), 70) for i in range(8)]
    cut = list(passages("\n\n\n".join(paragraphs) + "\n"))
    assert "\n\n".join(cut) == "\n\n".join(paragraphs)
    assert len(cut) > 3 and all(len(passage) >= 600 for passage in cut[:-1])
    assert list(passages("too short")) == []
