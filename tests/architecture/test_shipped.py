"""The shipped minis: each loads, writes text, and is as small as the house allows."""

import pytest

import minimodels
from minimodels import files
from minimodels.architecture.checkpoint import SHIPPED

NAMES = ("gemma-mini", "gemma-mini-chat", "nemotron-mini", "nemotron-mini-chat")
SEEING = "gemma3-vision-mini"  # tested in vision/test_mini_that_sees.py


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_mini_loads_and_writes(name):
    model, tokenizer = minimodels.load(name)
    text = "".join(minimodels.generate(model, tokenizer, "The favorite food of", max_new_tokens=12))
    assert len(text.split()) >= 2 and "\ufffd" not in text


def test_the_shipped_minis_fit_in_ten_megabytes():
    sizes = [path.stat().st_size for name in NAMES for path in (SHIPPED / name).iterdir()]
    assert max(sizes) <= 6_000_000 and sum(sizes) <= 10_000_000


def test_the_table_marks_what_is_shipped():
    assert {row.name for row in minimodels.models() if row.shipped} == {*NAMES, SEEING}


def test_their_scores_are_those_of_the_stored_run():
    stored = files.repository() / "course" / "00_start" / "results" / "lifecycle.json"
    results = files.read_json(stored)["values"]
    page = (SHIPPED / "README.md").read_text(encoding="utf-8")
    for row, (stage, place) in {
        "facts in unseen wordings": ("training", 0),
        "people finetuning never mentions": ("evaluation", 0),
        "exact answers about those": ("finetuning", 0),
        "question wordings never seen": ("finetuning", 1),
        "int8": ("inference", 2),
        "calculator": ("agents", 0),
        "directory": ("agents", 1),
    }.items():
        line = next(line for line in page.splitlines() if row in line)
        wanted = [results[model][stage]["rows"][place][2]
                  for model in ("gemma-mini", "nemotron-mini")]
        assert line.split("|")[2:4] == [f" {value:.3f} " for value in wanted], row
