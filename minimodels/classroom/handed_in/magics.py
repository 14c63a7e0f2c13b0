"""Notebook commands out of Python: what `%`, `!` and `?` do in Jupyter, a plain interpreter cannot.

The scanner goes by lines that begin a statement, so that a `%` which goes on an expression in
brackets, or stands in a long string, stays what it is. It never parses: text that is no Python
comes out as it went in.
"""

import re

RUN_THE_REST = {"time", "capture", "prun"}  # cell magics whose cell is Python of this notebook
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"?|\'(?:\\.|[^\'\\\n])*\'?', re.DOTALL)
PART = re.compile(r"\"\"\"|'''|[\"'#()\[\]{}\n\\]")  # what a scanner has to stop at
ASKED = re.compile(r"\s*(\?{1,2}[\w.*%]+|%{0,2}[\w.*]+\?{1,2})\s*(#.*)?")
COMMAND = r"(\s*)(?:([A-Za-z_][\w., ]*)=\s*)?(?:(!)|%{1,2}([A-Za-z]\w*))(.*)"
LINE = re.compile(COMMAND, re.DOTALL)
DEFINES = re.compile(r"(?:async[ \t]+def|def|class)[ \t]+(\w+)")
ASSIGNS = re.compile(r"([A-Za-z_]\w*)[ \t]*(?::[^=\n]*)?=(?!=)")


def plain_python(source: str) -> tuple[str, str]:
    """(the cell as plain Python, what was left out and why, or "").

    `%%time`, `%%capture` and `%%prun` are taken off and the rest of the cell stays. A cell of any
    other cell magic (`%%bash`, `%%html`, `%%writefile`, …) is no Python and comes back empty. Line
    magics, shell lines and questions are cut, or become `pass` where a block may need a line;
    `x = !ls` becomes `x = []`, and `%time y = f(x)` becomes `y = f(x)`.
    """
    first = re.match(r"\s*%%(\w*)[^\n]*\n?", source)
    if first and first[1] not in RUN_THE_REST:
        return "", f"a cell of %%{first[1]} is not Python and was left out"
    lines = [_plain(line) for line in statements(source[first.end() :] if first else source)]
    return "".join(lines), ""


def statements(source: str) -> list[str]:
    """The source cut into statements as lines: each piece begins where Python begins a new one."""
    pieces, start = [], 0
    while start < len(source):
        line_end = source.find("\n", start) + 1 or len(source)
        if _is_command(source[start:line_end]):
            end = line_end
            while source.endswith("\\\n", start, end) and end < len(source):
                end = source.find("\n", end) + 1 or len(source)
        else:
            end = _end(source, start)
        pieces.append(source[start:end])
        start = end
    return pieces


def defined(source: str) -> set[str]:
    """The functions and classes that a source defines at its top level."""
    found = (DEFINES.match(piece) for piece in statements(source))
    return {match[1] for match in found if match}


def assigned(source: str) -> set[str]:
    """The variables that a source assigns at its top level, one a statement."""
    found = (ASSIGNS.match(piece) for piece in statements(source))
    return {match[1] for match in found if match}


def _end(source: str, at: int) -> int:
    """Where the statement that begins at `at` ends, its newline included."""
    depth = 0
    while match := PART.search(source, at):
        mark, at = match.group(), match.end()
        if mark in ('"""', "'''"):
            at = _behind(source, mark, at)
        elif mark in "\"'":
            at = STRING.match(source, match.start()).end()
        elif mark == "#":
            at = source.find("\n", at)
            if at < 0:
                break
        elif mark == "\\":
            at += 1
        elif mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth = max(0, depth - 1)
        elif depth == 0:  # a newline
            return at
    return len(source)


def _behind(source: str, mark: str, at: int) -> int:
    """The place behind the end of a long string; the end of the source if it never ends."""
    close = re.compile(rf"\\.|{mark}", re.DOTALL)
    while match := close.search(source, at):
        at = match.end()
        if match.group() == mark:
            return at
    return len(source)


def _is_command(line: str) -> bool:
    return bool(ASKED.fullmatch(line.rstrip("\n")) or LINE.match(line))


def _plain(statement: str) -> str:
    """One statement without what only a notebook understands."""
    if ASKED.fullmatch(statement.rstrip("\n")):
        return _nothing(statement)
    match = LINE.match(statement)
    if not match:
        return statement
    indent, target, shell, magic, rest = match.groups()
    if target:
        return f"{indent}{target.rstrip()} = {'[]' if shell else None}\n"
    if magic == "time" and rest.strip():
        return f"{indent}{rest.strip()}\n"
    return _nothing(statement)


def _nothing(statement: str) -> str:
    indent = re.match(r"[ \t]*", statement).group()
    return f"{indent}pass\n" if indent else ""
