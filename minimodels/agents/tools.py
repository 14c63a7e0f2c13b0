"""Tools: a name, a JSON schema of arguments, and a Python function that is called with them.

What the model writes is data, never code: the calculator reads a sum as a syntax tree and computes
only + - * / on numbers, and a bad call comes back to the model as one sentence that it can act on.
"""

import ast
import json
import math
import operator
import random
from collections.abc import Callable
from dataclasses import dataclass

from minimodels.data.snippets import DIRECTORY, directory_entry


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    parameters: dict  # JSON schema: {"type": "object", "properties": {...}, "required": [...]}
    function: Callable  # called with the arguments by name; returns text
    final: bool = False  # its result is the answer, and the model need not repeat it

    def schema(self):
        """The tool as an OpenAI-shaped request lists it."""
        return {"type": "function", "function": {
            "name": self.name, "description": self.description, "parameters": self.parameters}}


def divide(left, right):
    """left / right, and a whole number where it comes out even: no digit of a long one is lost."""
    whole = isinstance(left, int) and isinstance(right, int) and right and left % right == 0
    return left // right if whole else left / right


OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub,
              ast.Mult: operator.mul, ast.Div: divide}


def calculate(expression):
    """The value of a sum such as "348 * 27", as text; raises ValueError on anything else.

    Whole numbers are exact; a value with a decimal point is rounded to ten digits.
    """
    def value(node):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            result = node.value
        elif isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
            result = OPERATIONS[type(node.op)](value(node.left), value(node.right))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            result = -value(node.operand)
        else:
            raise ValueError("only numbers and + - * / can be computed")
        if isinstance(result, float) and not math.isfinite(result):
            raise OverflowError("a number in it is too large")
        return result
    if len(expression) > 200:
        raise ValueError("an expression has at most 200 characters")
    try:
        result = value(ast.parse(expression.strip(), mode="eval").body)
        return str(result) if isinstance(result, int) else f"{result:.10g}"
    except (SyntaxError, ZeroDivisionError, OverflowError, RecursionError) as error:
        raise ValueError(f"“{expression.strip()}” can't be computed: {error}") from None


def text_argument(description, **more):
    return {"type": "string", "description": description, **more}


CALCULATOR = Tool(
    "calculator", "Compute a sum.",
    {"type": "object", "properties": {"expression": text_argument("for example 348 * 27")},
     "required": ["expression"]},
    calculate, final=True)


class Directory:
    """The office directory: extension, room and locker of everyone who is asked about.

    An entry is drawn from the seed and the name, so any name has one, and no document tells it.
    """

    def __init__(self, seed=0):
        self.seed = seed

    def entry(self, person):
        return directory_entry(random.Random(f"directory {self.seed} {person.strip()}"))

    def lookup(self, person, field):
        return self.entry(person)[field.strip()]

    def tool(self):
        return Tool(
            "lookup", "Look up a person in the office directory.",
            {"type": "object", "properties": {
                "person": text_argument("first and last name"),
                "field": text_argument("what to look up", enum=list(DIRECTORY))},
             "required": ["person", "field"]},
            self.lookup, final=True)


def use(tools, tool_call):
    """Run one tool call of a message and return the result, or a sentence about what was wrong."""
    name = tool_call["function"]["name"]
    tool = {tool.name: tool for tool in tools}.get(name)
    if tool is None:
        known = ", ".join(tool.name for tool in tools)
        return f"error: there is no tool called {name}; there are: {known}"
    try:
        arguments = json.loads(tool_call["function"]["arguments"])
        problem = wrong_arguments(tool.parameters, arguments)
        return f"error: {problem}" if problem else tool.function(**arguments)
    except (ValueError, KeyError) as error:
        return f"error: {error}"


def wrong_arguments(parameters, arguments):
    """None if the arguments fit the schema (objects of strings), else one sentence."""
    if not isinstance(arguments, dict):
        return "the arguments are not a JSON object"
    for name in parameters["required"]:
        if name not in arguments:
            return f"the argument “{name}” is missing"
    for name, value in arguments.items():
        known = parameters["properties"].get(name)
        if known is None:
            return f"there is no argument “{name}”"
        if not isinstance(value, str):
            return f"the argument “{name}” is not a string"
        if "enum" in known and value.strip() not in known["enum"]:
            return f"“{name}” must be one of {', '.join(known['enum'])}"
    return None
