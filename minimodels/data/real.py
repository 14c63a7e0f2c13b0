"""Real text beside the invented: the prose that ships with Python itself, about 1.5 MB of it.

The language reference as `help()` prints it, the license, and the docstrings of the standard
library, read from their source files without importing them. The same Python gives the same
documents.
"""

import ast
import hashlib
import pydoc_data.topics
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

ENOUGH = 600  # characters after which a document ends with its paragraph
SHORTEST = 80  # shorter documents say nothing
NOT_PROSE = {"test", "tests", "site-packages", "dist-packages", "idlelib", "lib2to3", "__pycache__"}


def python_prose() -> Iterator[dict]:
    """English documents of a few paragraphs each, without repeats, as an iterator to take from.

    {id: "p-000000", text, lang: "en", kind: "prose", source: "python", labels: {}, facts: []}
    """
    seen, number = set(), 0
    for text in texts():
        for passage in passages(text):
            key = hashlib.sha256(" ".join(passage.split()).encode()).digest()
            if key in seen:
                continue
            seen.add(key)
            yield {"id": f"p-{number:06d}", "text": passage, "lang": "en", "kind": "prose",
                   "source": "python", "labels": {}, "facts": []}  # fmt: skip
            number += 1


def texts() -> Iterator[str]:
    """The reference by topic, the license, then docstrings in order of their files."""
    for _, text in sorted(pydoc_data.topics.topics.items()):
        yield text
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.glob("LICENSE*")):
        yield path.read_text(encoding="utf-8", errors="replace")
    for path in sorted(library.rglob("*.py")):
        if not NOT_PROSE & set(path.relative_to(library).parts):
            yield from docstrings(path.read_bytes())


def docstrings(source: bytes) -> list[str]:
    """Docstrings of a Python source: the module's, and those of its classes and functions."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # a template, or a file for another Python
        return []
    tells = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, tells))
    return [text for text in found if text]


def passages(text: str) -> Iterator[str]:
    """Cut a text at blank lines into documents of a few paragraphs."""
    text = "\n".join(line.rstrip() for line in text.expandtabs().splitlines())
    gathered = ""
    for paragraph in re.split(r"\n{2,}", text.strip("\n")):
        gathered = f"{gathered}\n\n{paragraph}" if gathered else paragraph
        if len(gathered) >= ENOUGH:
            yield gathered
            gathered = ""
    if len(gathered) >= SHORTEST:
        yield gathered
