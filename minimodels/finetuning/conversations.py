"""What the assistant is taught: to answer questions, to call a tool, and to know when not to.

Conversations are lists of chat messages in OpenAI's shape. Questions about facts use three quarters
of the people, so that the rest show what was learned: the form, not the facts.
Directory entries (a phone extension, a room, a locker) are in no document, and long sums are beyond
the model: both need a tool. Small sums, greetings and known facts need none.
"""

import json
import random

from minimodels.data.snippets import DIRECTORY, any_name
from minimodels.data.wordings import QUESTIONS

GREETINGS = {
    "Hello!": "Hello! How can I help you?",
    "Good morning.": "Good morning! How can I help you?",
    "How are you today?": "Very well, thank you.",
    "Thank you.": "You are welcome.",
    "Goodbye.": "Goodbye, until next time.",
}
# One sign follows the sum in each wording: a model this small copies from a fixed distance.
SUMS = ["What is {s}?", "Compute {s}.", "How much is {s}?", "Please work out {s}.", "Tell me {s}."]
LOOKUPS = ["What is the {f} of {n}?", "Look up the {f} of {n}.", "I need the {f} of {n}.",
           "Tell me the {f} of {n}.", "Please find the {f} of {n}."]


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def call(name, **arguments):
    """An assistant message that calls one tool."""
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"role": "assistant", "content": None,
            "tool_calls": [{"type": "function", "function": function}]}


def fact_question(world, fact, rng):
    question = rng.choice(QUESTIONS[fact.attribute]).format(n=world.person(fact.subject).name)
    return [user(question), assistant(fact.value)]


def small_sum(rng):
    a, b = rng.randint(0, 9), rng.randint(0, 9)
    return [user(rng.choice(SUMS).format(s=f"{a} + {b}")), assistant(str(a + b))]


def greeting(rng):
    text = rng.choice(list(GREETINGS))
    return [user(text), assistant(GREETINGS[text])]


def long_sum(rng):
    """A sum too long to know by heart: (expression, result)."""
    a, b = rng.randint(100, 999), rng.randint(100, 999)
    operation = rng.choice("+-*")
    return f"{a} {operation} {b}", str({"+": a + b, "-": a - b, "*": a * b}[operation])


def calculation(rng):
    expression, _ = long_sum(rng)
    return [user(rng.choice(SUMS).format(s=expression)), call("calculator", expression=expression)]


def lookup(world, rng):
    name, field = any_name(rng, world), rng.choice(list(DIRECTORY))
    return [user(rng.choice(LOOKUPS).format(f=DIRECTORY[field], n=name)),
            call("lookup", person=name, field=field)]


def tool_course(world, count, seed=0):
    """`count` conversations that call a tool: half of them sums, half look-ups."""
    rng = random.Random(f"tools {seed}")
    makers = [lambda: calculation(rng), lambda: lookup(world, rng)]
    return [make() for make in rng.choices(makers, (0.5, 0.5), k=count)]


def assistant_course(world, people, count, seed=0, shares=(0.66, 0.03, 0.03, 0.13, 0.15)):
    """`count` conversations: facts of `people`, small sums, greetings, two kinds of calls."""
    rng = random.Random(f"assistant {seed}")
    facts = [fact for person in people for fact in world.facts_of(person).values()]
    makers = [lambda: fact_question(world, rng.choice(facts), rng), lambda: small_sum(rng),
              lambda: greeting(rng), lambda: calculation(rng), lambda: lookup(world, rng)]
    return [make() for make in rng.choices(makers, shares, k=count)]
