"""The parts of the mini-world that are not facts: sums, small talk, tool logs and small programs.

Each function takes (rng, world) and returns (text, lang). Everything they state is true: sums add
up, and the programs pass the tests printed below them (tests/data runs them).
"""

import json


def any_name(rng, world):
    """A first and a last name of the world's people, in a pair that nobody has."""
    names = [person.name.split() for person in world.people]
    while True:
        pair = [rng.choice(names)[0], rng.choice(names)[-1]]
        if pair not in names:
            return " ".join(pair)


# ---- arithmetic with worked steps -------------------------------------------------------------

def arithmetic(rng, world=None):
    steps = rng.choice((add_in_columns, add_small, multiply_by_parts, subtract))
    return " ".join(steps(rng) for _ in range(rng.randint(1, 3))), "en"


def add_small(rng):
    a, b = rng.randint(0, 9), rng.randint(0, 9)
    return f"{a} + {b} = {a + b}."


def subtract(rng):
    a, b = sorted((rng.randint(0, 99), rng.randint(0, 99)), reverse=True)
    return f"{a} - {b} = {a - b}, because {b} + {a - b} = {a}."


def add_in_columns(rng):
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    ones, tens = a % 10 + b % 10, a // 10 + b // 10
    carry = f"; carry 1: {tens} + 1 = {tens + 1}" if ones > 9 else ""
    steps = f"ones {a % 10} + {b % 10} = {ones}; tens {a // 10} + {b // 10} = {tens}{carry}"
    return f"{a} + {b}: {steps}. {a} + {b} = {a + b}."


def multiply_by_parts(rng):
    a, b = rng.randint(11, 99), rng.randint(2, 9)
    tens, ones = a // 10 * 10, a % 10
    steps = f"{tens} * {b} = {tens * b}; {ones} * {b} = {ones * b}"
    return f"{a} * {b}: {steps}; {tens * b} + {ones * b} = {a * b}."


# ---- people talking ---------------------------------------------------------------------------

OPENINGS = ["Good morning!", "Hello there.", "How are you today?", "Nice to see you again.",
            "What a day.", "Are you busy?", "Good evening.", "Long time no see."]
REPLIES = ["Very well, thank you.", "Hello! I am well.", "A little tired, but happy.",
           "Nice to see you too.", "Not at all, sit down.", "Good to have you here.",
           "Yes, but come in.", "Fine, and you?"]
TOPICS = ["The rain has stopped at last.", "The market is full of people today.",
          "I read a good book.",
          "The train was late again.", "My sister is coming to visit.", "The bread is still warm.",
          "We painted the door blue.", "The river is high this spring."]
CLOSINGS = ["See you tomorrow.", "Thank you, goodbye.", "I have to go now.", "Until next week.",
            "Have a good day.", "Take care."]


def dialogue(rng, world):
    a, b = rng.sample(world.people, 2)
    first, second = a.name.split()[0], b.name.split()[0]
    lines = [(first, rng.choice(OPENINGS)), (second, rng.choice(REPLIES)),
             (first, rng.choice(TOPICS)), (second, rng.choice(TOPICS)),
             (first, rng.choice(CLOSINGS))]
    return "\n".join(f"{name}: {line}" for name, line in lines), "en"


# ---- tool logs: what was asked, how the tool was called, what it said -------------------------

DIRECTORY = {"extension": "phone extension", "room": "room number", "locker": "locker number"}


def directory_entry(rng):
    """What the office directory knows of a person and no document tells."""
    return {"extension": str(rng.randint(1000, 9999)), "room": str(rng.randint(100, 999)),
            "locker": str(rng.randint(10, 99))}


def log(rng, world):
    entries = [rng.choice((_looked_up, _computed))(rng, world) for _ in range(rng.randint(1, 2))]
    return "\n".join(entries), "en"


def _looked_up(rng, world):
    name, field = any_name(rng, world), rng.choice(list(DIRECTORY))
    return (f"Request: {DIRECTORY[field]} of {name}.\n{_call('lookup', person=name, field=field)}\n"
            f"Result: {directory_entry(rng)[field]}")


def _computed(rng, world):
    a, b = rng.randint(100, 999), rng.randint(100, 999)
    operation = rng.choice("+-*")
    result = {"+": a + b, "-": a - b, "*": a * b}[operation]
    expression = f"{a} {operation} {b}"
    return f"Request: {expression}.\n{_call('calculator', expression=expression)}\nResult: {result}"


def _call(tool, **arguments):
    """One line of JSON; a text begins with a space, so that it has the tokens it has elsewhere."""
    spaced = {key: " " + text for key, text in arguments.items()}
    return json.dumps({"name": tool, "arguments": spaced})


# ---- small programs with tests, in three languages ---------------------------------------------

PYTHON = ("def {name}({args}):\n    return {py}\n\n"
          "assert {name}({call}) == {result}\nassert {name}({call2}) == {result2}")
JAVASCRIPT = ("function {name}({args}) {{\n  return {js};\n}}\n\n"
              "console.assert({name}({call}) === {result});\n"
              "console.assert({name}({call2}) === {result2});")
LUA = ("function {name}({args})\n  return {lua}\nend\n\n"
       "assert({name}({call}) == {result})\nassert({name}({call2}) == {result2})")
LANGUAGES = {"python": PYTHON, "javascript": JAVASCRIPT, "lua": LUA}

#    name, arguments, Python, JavaScript, Lua; {k} is a number from 2 to 9
FUNCTIONS = [
    ("add_{k}", "x", "x + {k}", "x + {k}", "x + {k}"),
    ("times_{k}", "x", "x * {k}", "x * {k}", "x * {k}"),
    ("times_{k}_plus", "x, y", "x * {k} + y", "x * {k} + y", "x * {k} + y"),
    ("rest_{k}", "x", "x % {k}", "x % {k}", "x % {k}"),
    ("at_least_{k}", "x", "max(x, {k})", "Math.max(x, {k})", "math.max(x, {k})"),
    ("at_most_{k}", "x", "min(x, {k})", "Math.min(x, {k})", "math.min(x, {k})"),
    ("distance", "x, y", "abs(x - y)", "Math.abs(x - y)", "math.abs(x - y)"),
    ("larger", "x, y", "max(x, y)", "Math.max(x, y)", "math.max(x, y)"),
    ("smaller", "x, y", "min(x, y)", "Math.min(x, y)", "math.min(x, y)"),
    ("square_plus_{k}", "x", "x * x + {k}", "x * x + {k}", "x * x + {k}"),
]


def code(rng, world=None):
    name, args, python, javascript, lua = rng.choice(FUNCTIONS)
    k = rng.randint(2, 9)
    calls = [[rng.randint(0, 20) for _ in args.split(",")] for _ in range(2)]
    compute = eval(f"lambda {args}: {python.format(k=k)}")  # our own table above, no foreign text
    results = [compute(*call) for call in calls]
    language = rng.choice(list(LANGUAGES))
    text = LANGUAGES[language].format(
        name=name.format(k=k), args=args,
        py=python.format(k=k), js=javascript.format(k=k), lua=lua.format(k=k),
        call=", ".join(map(str, calls[0])), call2=", ".join(map(str, calls[1])),
        result=results[0], result2=results[1])
    return text, language
