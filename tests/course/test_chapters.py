"""Chapters and lab masters: the lint, links that resolve, words that the glossary has."""

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

from minimodels import files
from minimodels.classroom.lint import lint
from minimodels.classroom.normalize import read, source
from minimodels.classroom.notebooks import every, is_chapter

ROOT = files.repository()
LINK = re.compile(r"\]\(((?:[^()\s]|\([^()]*\))+)(?: +\"[^\"]*\")?\)"  # [words](link "title")
                  r"|(?:href|src)=\"([^\"]+)\"")  # fmt: skip
CODE = re.compile(r"```.*?```|`[^`\n]*`|\$\$.*?\$\$", re.DOTALL)


def name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", every(), ids=name)
def test_lint(path):
    problems = lint(read(path), chapter=is_chapter(path))
    assert not problems, "\n".join(problems)


def pages() -> dict[Path, str]:
    """Every page of the course and its Markdown: .md files, and cells of notebooks."""
    ask = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
    texts = {}
    for path in sorted(ROOT / line for line in set(listed) if line.endswith((".md", ".ipynb"))):
        if not path.exists() or {"patterns", "work"} & set(path.relative_to(ROOT).parts):
            continue
        if path.suffix == ".md":
            texts[path] = path.read_text(encoding="utf-8")
        else:
            cells = (cell for cell in read(path)["cells"] if cell["cell_type"] == "markdown")
            texts[path] = "\n\n".join(source(cell) for cell in cells)
    return texts


def test_every_relative_link_resolves():
    texts = pages()
    broken = []
    for path, text in texts.items():
        for match in LINK.finditer(CODE.sub("", text)):
            link = next(group for group in match.groups() if group)
            if not re.match(r"[a-z]+:", link) and (why := problem(path, link, texts)):
                broken.append(f"{name(path)}: {link} ({why})")
    assert not broken, "\n".join(broken)


def problem(path: Path, link: str, texts: dict[Path, str]) -> str:
    """Why a relative link does not resolve, or ""."""
    place, _, anchor = unquote(link).partition("#")
    target = (path.parent / place).resolve() if place else path
    if not target.exists():
        return "no such file"
    if anchor and target in texts and anchor.lower() not in anchors(texts[target]):
        return "no such heading"
    return ""


def anchors(text: str) -> set[str]:
    """The anchors of a page: headings as GitHub and JupyterLab name them, and explicit ids."""
    found = set(re.findall(r"(?:id|name)=\"([^\"]+)\"", text.lower()))
    for heading in re.findall(r"^#+ +(.*?)\s*$", text, re.MULTILINE):
        plain = re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        found.add(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))  # GitHub
        found.add(plain.lower().replace(" ", "-"))  # JupyterLab
    return found


def test_links_are_found_and_anchors_checked(tmp_path):
    """A control: what is broken is called broken."""
    page = tmp_path / "a.md"
    page.write_text("# The mask's cost\n")
    texts = {page: page.read_text()}
    assert problem(page, "#the-masks-cost", texts) == ""
    assert problem(page, "#other", texts) == "no such heading"
    assert problem(page, "b.md", texts) == "no such file"
    found = LINK.findall('[a](x.md) ![b](y.png) <a href="z.md"> [c](u_(v).md)')
    assert ["".join(groups) for groups in found] == ["x.md", "y.png", "z.md", "u_(v).md"]


def test_every_chapter_links_the_glossary():
    chapters = [path for path in every() if is_chapter(path)]
    silent = [name(path) for path in chapters if "glossary.md" not in pages()[path]]
    assert not silent, f"no link to the glossary: {', '.join(silent)}"
