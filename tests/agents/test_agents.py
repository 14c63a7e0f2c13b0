"""Tools compute and refuse; the loop calls, reads and stops; tasks tell need from none."""

import json
import random
from dataclasses import replace

import pytest

from minimodels.agents import loop, tasks
from minimodels.agents.tools import CALCULATOR, Directory, calculate, use
from minimodels.data.snippets import DIRECTORY
from minimodels.data.world import World
from minimodels.finetuning.conversations import assistant_course, call, tool_course, user


def test_the_calculator_equals_python_on_random_sums():
    rng = random.Random(0)
    for _ in range(300):
        expression = f"{rng.randint(0, 9999)} {rng.choice('+-*')} {rng.randint(1, 999)}"
        assert calculate(expression) == str(eval(expression))
    assert calculate(" -(2 + 3) * 4 / 8 ") == "-2.5"


@pytest.mark.parametrize(("expression", "value"), [
    ("999999 * 999999", "999998000001"),  # twelve digits
    ("9" * 90 + " * " + "9" * 90, str((10**90 - 1) ** 2)),
    ("1" + "0" * 30 + " / 10 + 1", "1" + "0" * 28 + "1"),  # a quotient that comes out even
    ("-10000000000001 / 1", "-10000000000001"),
    ("0.1 + 0.2", "0.3"), ("2 / 3", "0.6666666667"), ("7.0", "7"), ("1e300 * 10", "1e+301"),
])
def test_whole_numbers_are_exact_and_others_have_ten_digits(expression, value):
    assert calculate(expression) == value


@pytest.mark.parametrize("expression", [
    "1e308 * 10", "1e999", "1 / 1e999", "-1e308 - 1e308", "1e308 * 10 - 1e308 * 10",
    "1" + "0" * 140 + " * 1" + "0" * 30 + " * 1e200",
])
def test_a_number_too_large_is_a_sentence_and_never_inf_or_nan(expression):
    with pytest.raises(ValueError, match="can't be computed: .*too large"):
        calculate(expression)


@pytest.mark.parametrize("text", ["__import__('os').getcwd()", "2 ** 99999", "'a' * 9", "x + 1",
                                  "1 +", "1 / 0", "True + 1", "(" * 90 + ")" * 90, "1" * 300])
def test_the_calculator_computes_nothing_else(text):
    with pytest.raises(ValueError):
        calculate(text)


def test_the_directory_is_the_same_for_a_name_and_differs_between_names():
    directory = Directory(1)
    found = directory.lookup("Ada Quill", "extension")
    assert found == directory.lookup(" Ada Quill ", "extension")
    assert directory.entry("Ada Quill") != directory.entry("Ada Quin")
    assert Directory(2).entry("Ada Quill") != directory.entry("Ada Quill")
    assert set(directory.entry("Ada Quill")) == set(DIRECTORY)


@pytest.mark.parametrize(("name", "arguments", "said"), [
    ("search", {}, "no tool called search"),
    ("calculator", {}, "“expression” is missing"),
    ("calculator", {"expression": 3}, "not a string"),
    ("calculator", {"expression": "1", "mode": "x"}, "no argument “mode”"),
    ("calculator", {"expression": "import os"}, "can't be computed"),
    ("lookup", {"person": "Ada Quill", "field": "salary"}, "must be one of extension"),
])
def test_a_bad_call_comes_back_as_one_sentence(name, arguments, said):
    message = call(name, **arguments)
    answer = use([CALCULATOR, Directory().tool()], message["tool_calls"][0])
    assert answer.startswith("error: ") and said in answer


def test_a_call_that_is_no_json_comes_back_as_one_sentence():
    broken = {"function": {"name": "calculator", "arguments": "{"}}
    assert use([CALCULATOR], broken).startswith("error: ")


class Script:
    """Stands in for a model: says the next line of a script at each turn."""

    def __init__(self, *lines):
        self.lines = list(lines)

    def generate_batch(self, model, tokenizer, prompts, max_new_tokens, stops):
        assert all(prompts)
        return [self.lines.pop(0) for _ in prompts]


class Words:
    """Stands in for a tokenizer: text is its own token ids."""

    eos_id, bos_id, pad_id = 1, 2, 0

    def id(self, piece):
        return {"<start_of_turn>": 4, "<end_of_turn>": 5}.get(piece, 3)

    def encode(self, text):
        return [ord(letter) + 10 for letter in text]

    def decode(self, ids):
        return ids


def play(monkeypatch, *lines, max_steps=3):
    monkeypatch.setattr(loop, "generate_batch", Script(*lines).generate_batch)
    return loop.run(None, Words(), [user("What is 12 * 12?")], [CALCULATOR], max_steps)


CALL = '{"name": "calculator", "arguments": {"expression": "12 * 12"}}'


WRONG = '{"name": "calculator", "arguments": {"expression": "twelve"}}'


def test_a_final_tool_has_the_last_word(monkeypatch):
    talk = play(monkeypatch, CALL, "never asked")
    assert [message["role"] for message in talk] == ["user", "assistant", "tool", "assistant"]
    assert talk[2]["content"] == "144"
    assert loop.answer(talk) == "144" and loop.calls(talk) == ["calculator"]


def test_after_another_tool_the_model_answers(monkeypatch):
    monkeypatch.setattr(loop, "generate_batch", Script(CALL, "a gross").generate_batch)
    talk = loop.run(None, Words(), [user("What is 12 * 12?")], [replace(CALCULATOR, final=False)])
    assert talk[2]["content"] == "144" and loop.answer(talk) == "a gross"


def test_a_complaint_goes_back_to_the_model(monkeypatch):
    talk = play(monkeypatch, WRONG, CALL)
    assert talk[2]["content"].startswith("error: ")
    assert loop.calls(talk) == ["calculator"] * 2 and loop.answer(talk) == "144"


def test_the_loop_leaves_tools_alone_when_the_model_does(monkeypatch):
    talk = play(monkeypatch, "one hundred")
    assert loop.calls(talk) == [] and loop.answer(talk) == "one hundred"


def test_the_loop_ends_after_its_steps(monkeypatch):
    talk = play(monkeypatch, WRONG, WRONG, WRONG, "never said", max_steps=3)
    assert loop.calls(talk) == ["calculator"] * 3 and loop.answer(talk) == ""


def test_tasks_need_what_they_say():
    world, directory = World(1, 20), Directory(0)
    made = tasks.tasks(world, world.people[10:], directory, each=20)
    kinds = [task.kind for task in made]
    assert kinds.count("calculator") == 20 == kinds.count("none")
    for task in made:
        if task.kind == "calculator":
            question = task.messages[0]["content"]
            expression = "".join(c for c in question if c in "0123456789+-* ").strip()
            assert calculate(expression) == task.answer


def test_the_score_tells_a_tool_user_from_the_rest(monkeypatch):
    """An agent that answers right scores one; one that calls for everything lacks restraint."""
    world, directory = World(1, 20), Directory(0)
    exam = tasks.tasks(world, world.people[10:], directory, each=5)

    def right(model, tokenizer, conversations, tools, max_steps):
        return [[*task.messages, {"role": "assistant", "content": task.answer or "Hello!"}]
                for task in exam]

    def calls_always(model, tokenizer, conversations, tools, max_steps):
        unsure = {"role": "assistant", "content": "?"}
        return [[*task.messages, call("calculator", expression="1"), unsure] for task in exam]

    monkeypatch.setattr(tasks, "run_many", right)
    assert tasks.score(None, None, exam, directory) == {
        "calculator": 1, "lookup": 1, "known": 1, "restraint": 1}
    monkeypatch.setattr(tasks, "run_many", calls_always)
    assert tasks.score(None, None, exam, directory)["restraint"] == 0


def test_the_course_asks_only_about_its_people_and_shows_every_tool():
    world = World(1, 20)
    course = assistant_course(world, world.people[:10], 400)
    others = {person.name for person in world.people[10:]}
    asked = [talk[0]["content"] for talk in course + tool_course(world, 400)]
    facts = [text for text in asked if any(person.name in text for person in world.people)]
    assert facts and not [text for text in facts if any(name in text for name in others)]
    used = {c["function"]["name"] for talk in course for m in talk for c in m.get("tool_calls", [])}
    assert used == {"calculator", "lookup"}
    for talk in course:
        for message in talk:
            for c in message.get("tool_calls", []):
                json.loads(c["function"]["arguments"])
