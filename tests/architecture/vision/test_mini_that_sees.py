"""The mini that sees: how its rows are made, that it learns, and what the shipped one can do."""

import numpy as np
import pytest
import torch

import minimodels
from minimodels import files
from minimodels.architecture import checkpoint
from minimodels.architecture.configs import get
from minimodels.architecture.vision.ask import MARKS
from minimodels.data.pictures import ANSWERS, SPLITS, draw_pictures, questions
from minimodels.experiments import pictures as experiment

NAME = experiment.NAME


@pytest.fixture(scope="module")
def tokenizer():
    return experiment.tokenizer_of_questions()


def test_every_word_is_one_piece(tokenizer):
    config = get(NAME)
    assert tokenizer.vocab_size == config.vocab_size
    own = (config.start_of_picture, config.end_of_picture, config.picture_token)
    assert tuple(tokenizer.control[mark] for mark in MARKS) == own
    for kind in ANSWERS.values():
        for words in kind:
            assert len(tokenizer.encode(words)) == len(words.split())


def test_a_row_counts_answers_only(tokenizer):
    config = get(NAME)
    asked = questions(draw_pictures(1, 0, groups=(2,))[0])[:3]
    ids, targets = experiment.row(config, tokenizer, asked)
    assert len(ids) == len(targets)
    assert ids.count(config.picture_token) == config.picture_tokens
    counted = [target for target in targets if target != experiment.IGNORED]
    wanted = [[*tokenizer.encode(q.answer), tokenizer.eos_id] for q in asked]
    assert counted == sum(wanted, [])
    first = targets.index(wanted[0][0])  # what follows the last token of the question
    assert tokenizer.decode(ids[: first + 1]).endswith(asked[0].text)


def test_no_question_is_answered_by_those_before(monkeypatch):
    monkeypatch.setattr(experiment, "ASKED", 6)
    draw = np.random.default_rng(0)
    for picture in draw_pictures(30, 1):
        asked = experiment.some_questions(picture, draw)
        told = ""
        for question in asked:
            assert question.answer not in told
            told += question.text + question.answer
        assert len(asked) >= 2 * len(picture.groups)


def test_a_batch(tokenizer):
    pictures, tokens, targets = experiment.batch(get(NAME), tokenizer, np.random.default_rng(0))
    assert pictures.shape == (experiment.BATCH, 3, 48, 48)
    assert tokens.shape == targets.shape and len(tokens) == experiment.BATCH
    assert (targets != experiment.IGNORED).sum(1).min() >= 2


def test_it_learns_and_a_seed_repeats_it(monkeypatch):
    monkeypatch.setattr(experiment, "BATCH", 8)
    runs = []
    for _ in range(2):
        losses = []
        experiment.train(3, steps=12, watch=lambda *told, seen=losses: seen.append(told[2]))
        runs.append(losses)
    assert runs[0] == runs[1] and runs[0][-1] < 0.8 * runs[0][0]


def test_chance_and_scores():
    no, yes = [False], [True]
    right = {"count": yes + no, "color": 6 * no, "shape": 2 * yes, "place": 2 * no}
    assert experiment.chance(right) == pytest.approx((2 / 4 + 6 / 6 + 2 / 4 + 2 / 4) / 12)
    table = experiment.scores(right)
    assert (table["all"]["right"], table["all"]["of"]) == (3, 12)
    assert table["color"]["chance"] == pytest.approx(1 / 6) and table["color"]["low"] == 0


@pytest.fixture(scope="module")
def shipped():
    return minimodels.load(NAME, device="cpu")


def test_the_shipped_one_sees(shipped):
    """Far above chance on groups never drawn in training; at chance with another picture."""
    pictures = draw_pictures(8, 5, "combinations", groups=(2,))
    right = experiment.scores(experiment.examine(*shipped, pictures))["all"]
    swapped = experiment.examine(*shipped, pictures, pictures[1:] + pictures[:1])
    blind = experiment.scores(swapped)["all"]
    assert right["low"] > 2.5 * right["chance"]
    assert blind["low"] < 1.3 * blind["chance"] and blind["high"] < right["low"]


def test_the_shipped_folder(shipped):
    model, tokenizer = shipped
    folder = checkpoint.SHIPPED / NAME
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4e6
    assert model.config == get(NAME) and tokenizer.vocab_size == get(NAME).vocab_size
    stored, _ = minimodels.load(NAME, device="cpu", dtype=torch.bfloat16)
    for name, weight in model.state_dict().items():
        assert torch.equal(stored.state_dict()[name].float(), weight), name


def test_what_the_stored_result_says():
    values = files.read_json(files.repository() / "course" / "03_architecture" / "results" /
                             "pictures.json")["values"]  # fmt: skip
    for split in SPLITS:
        told, swapped = values["scores"][split]["all"], values["swapped"][split]["all"]
        assert told["low"] > 2 * told["chance"], split
        assert swapped["high"] < 0.5 * told["low"] + 0.2, split


def test_the_page_of_the_shipped_minis_says_the_same():
    """Its table is the stored result's."""
    path = files.repository() / "course" / "03_architecture" / "results" / "pictures.json"
    values = files.read_json(path)["values"]
    page = (checkpoint.SHIPPED / "README.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith(("| groups", "| new "))]
    for split, line in zip(SPLITS, lines, strict=True):
        rows = [values[which][split]["all"] for which in ("scores", "swapped")]
        told = [f" {row['right']} ({row['low']:.2f} to {row['high']:.2f}) " for row in rows]
        assert line.split("|")[2:4] == told
