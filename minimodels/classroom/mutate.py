"""Every small mistake that can be made in a piece of code, one at a time.

Each mutation changes one place of the text between nbgrader's solution markers: another
comparison or operator, a number off by one, two neighbors in the other order, a keyword, a bound
or a statement left out, a condition negated, nothing returned. The rest of the text stays as it
is, so that a mutation reads as its author would have typed it.

After Offutt et al., "An experimental determination of sufficient mutant operators", 1996.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
OTHER = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
EITHER = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)  # OTHER negates them
SYMMETRIC = {"transpose", "swapaxes", "max", "min", "maximum", "minimum", "equal", "allclose"}
GONE = ast.Pass()


@dataclass(frozen=True)
class Mutation:
    """One changed place. `number` is the line of the text, from 1."""

    number: int
    before: str  # the lines that changed, as they were
    after: str  # and as they are; "" for a statement that is gone
    text: str  # the whole text, changed

    @property
    def name(self) -> str:
        """How a survivor is listed: the new line, or what it is without."""
        return " ".join((self.after or f"without {self.before}").split())


def mutations(text: str) -> list[Mutation]:
    """Every mutation of the answers in the source of a cell, in the order of the text."""
    inside = _answers(text)
    made: dict[str, Mutation] = {}
    nodes = list(ast.walk(ast.parse(text)))
    signed = {
        node.operand
        for node in nodes
        if isinstance(node, ast.UnaryOp) and _number(node) is not None
    }
    for node in nodes:
        if getattr(node, "lineno", 0) in inside and node not in signed:
            for place, new in _changes(node):
                mutation = _mutation(text, place, new)
                if mutation:
                    made.setdefault(mutation.text, mutation)
    return sorted(made.values(), key=lambda each: each.number)


def answers(text: str) -> list[str]:
    """The lines between the markers."""
    inside = _answers(text)
    return [line for number, line in enumerate(text.splitlines(), start=1) if number in inside]


def _answers(text: str) -> set[int]:
    """The numbers of the lines between the markers."""
    inside, numbers = False, set()
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() == BEGIN:
            inside = True
        elif line.strip() == END:
            inside = False
        elif inside:
            numbers.add(number)
    return numbers


def _changes(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """What may change at a node: (the part of it that goes, what comes in its place)."""
    for test in _tests(node):
        yield test, ast.UnaryOp(ast.Not(), test)
    for new in _others(node):
        yield node, new


def _tests(node: ast.AST) -> list[ast.expr]:
    """The conditions that a node asks, less those that another change turns around as well."""
    tests = [test for part in getattr(node, "generators", []) for test in part.ifs]
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        tests.append(node.test)
    return [test for test in tests if not _turned_elsewhere(test)]


def _turned_elsewhere(test: ast.expr) -> bool:
    if isinstance(test, ast.Compare):
        return len(test.ops) == 1 and isinstance(test.ops[0], EITHER)
    return isinstance(test, ast.UnaryOp | ast.Constant)


def _others(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of a whole node."""
    if isinstance(node, ast.stmt):
        yield from _statements(node)
    if isinstance(node, ast.Constant | ast.UnaryOp):
        yield from _numbers(node)
    if isinstance(node, ast.Compare | ast.BinOp | ast.BoolOp | ast.AugAssign):
        yield from _operators(node)
    if isinstance(node, ast.Call):
        yield from _calls(node)
    if isinstance(node, ast.Tuple | ast.List) and isinstance(node.ctx, ast.Load):
        for elements in _swapped(node.elts):
            yield _with(node, elts=elements)
    if isinstance(node, ast.Subscript):
        yield from _subscripts(node)


def _statements(node: ast.stmt) -> Iterator[ast.AST]:
    """Nothing returned; another statement gone."""
    if isinstance(node, ast.Return):
        if node.value is not None:
            yield ast.Return(ast.Constant(None))
        return
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if not docstring and not isinstance(node, ast.Pass | ast.Import | ast.ImportFrom):
        yield GONE


def _operators(node: ast.expr | ast.stmt) -> Iterator[ast.AST]:
    """Another operator; for a matrix product, the factors in the other order."""
    if isinstance(node, ast.Compare):
        for at, op in enumerate(node.ops):
            if type(op) in OTHER:
                ops = [*node.ops[:at], OTHER[type(op)](), *node.ops[at + 1 :]]
                yield _with(node, ops=ops)
    elif type(node.op) in OTHER:
        yield _with(node, op=OTHER[type(node.op)]())
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield _with(node, left=node.right, right=node.left)


def _numbers(node: ast.Constant | ast.UnaryOp) -> Iterator[ast.AST]:
    """The neighbors of a number, the other of True and False; a `-`, `~` or `not` left out."""
    value = _number(node)
    if value is not None:
        yield _literal(value + 1)
        yield _literal(value - 1)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif type(node.value) is bool:
        yield ast.Constant(not node.value)


def _number(node: ast.Constant | ast.UnaryOp) -> float | None:
    """The number that is written there, with its sign; None if there is none."""
    if isinstance(node, ast.UnaryOp):
        value = getattr(node.operand, "value", None)
        return -value if isinstance(node.op, ast.USub) and type(value) in (int, float) else None
    return node.value if type(node.value) in (int, float) else None


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    called = getattr(node.func, "attr", getattr(node.func, "id", ""))
    for at in range(len(node.keywords)):
        yield _with(node, keywords=node.keywords[:at] + node.keywords[at + 1 :])
    for args in _swapped(node.args) if called not in SYMMETRIC else ():
        yield _with(node, args=args)


def _swapped(row: list[ast.expr]) -> Iterator[list[ast.expr]]:
    """A row with two neighbors in the other order."""
    for at in range(len(row) - 1):
        if not any(isinstance(each, ast.Starred) for each in row[at : at + 2]):
            yield [*row[:at], row[at + 1], row[at], *row[at + 2 :]]


def _subscripts(node: ast.Subscript) -> Iterator[ast.AST]:
    """A bound of a slice left out, or off by one if no number in it is changed anyway."""
    many = isinstance(node.slice, ast.Tuple)
    axes = node.slice.elts if many else [node.slice]
    for at, axis in enumerate(axes):
        if not isinstance(axis, ast.Slice):
            continue
        for bound in ("lower", "upper"):
            for new in _bounds(getattr(axis, bound)):
                changed = [*axes[:at], _with(axis, **{bound: new}), *axes[at + 1 :]]
                yield _with(node, slice=ast.Tuple(changed, ast.Load()) if many else changed[0])


def _bounds(bound: ast.expr | None) -> Iterator[ast.expr | None]:
    if bound is None:
        return
    yield None
    if not any(isinstance(part, ast.Constant) for part in ast.walk(bound)):
        yield ast.BinOp(bound, ast.Add(), ast.Constant(1))
        yield ast.BinOp(bound, ast.Sub(), ast.Constant(1))


def _with(node: ast.AST, **fields) -> ast.AST:
    """A copy of a node with some fields replaced."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _literal(number: float) -> ast.expr:
    return ast.UnaryOp(ast.USub(), ast.Constant(-number)) if number < 0 else ast.Constant(number)


def _mutation(text: str, place: ast.AST, new: ast.AST) -> Mutation | None:
    """The text with a part replaced; None if Python reads the same in it, or nothing."""
    changed = _replaced(text, place, ast.unparse(new))
    try:
        if ast.dump(ast.parse(changed)) == ast.dump(ast.parse(text)):
            return None
    except SyntaxError:
        return None
    first, last = place.lineno - 1, place.end_lineno
    before = "\n".join(text.splitlines()[first:last])
    last += changed.count("\n") - text.count("\n")
    after = "\n".join(changed.splitlines()[first:last])
    gone = new is GONE and after.split()[0] == "pass"
    return Mutation(place.lineno, before, "" if gone else after, changed)


def _replaced(text: str, place: ast.AST, written: str) -> str:
    """The text with other words at the place of a node, whose columns count bytes."""
    lines = text.encode("utf-8").splitlines(keepends=True)
    head = b"".join(lines[: place.lineno - 1]) + lines[place.lineno - 1][: place.col_offset]
    tail = lines[place.end_lineno - 1][place.end_col_offset :] + b"".join(lines[place.end_lineno :])
    return (head + written.encode("utf-8") + tail).decode("utf-8")
