import subprocess
import sys

import numpy as np
import pytest
import torch

from minimodels.data.packing import TokenArray, pack
from minimodels.data.tokenizer import train_tokenizer
from minimodels.errors import UserError

PROBE = """
import hashlib, sys
from minimodels.data.packing import TokenArray
batches = TokenArray(sys.argv[1]).windows(16, 3, seed=5)
tokens = b"".join(t.numpy().tobytes() for step in range(7, 40) for t in batches(step))
print(hashlib.sha256(tokens).hexdigest())
"""


def made_up(count):
    for i in range(count):
        text = f"Document {i} tells of a person, number {i * i}.\n" * (i % 4 + 1)
        facts = [f"f-{i % 5}"] if i % 3 else []
        yield {"id": f"d-{i:03d}", "text": text, "lang": "en", "kind": "biography",
               "source": "test", "labels": {}, "facts": facts}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    texts = [document["text"] for document in made_up(60)]
    return train_tokenizer(texts, 320, tmp_path_factory.mktemp("tokenizer") / "t.model")


@pytest.fixture(scope="module")
def array(tokenizer, tmp_path_factory):
    return pack(made_up(40), tokenizer, tmp_path_factory.mktemp("packed") / "array")


def test_every_token_belongs_to_the_document_the_index_says(array, tokenizer):
    position = 0
    for document in made_up(40):
        ids = [tokenizer.bos_id, *tokenizer.encode(document["text"]), tokenizer.eos_id]
        for token in ids:
            row = array.document_at(position)
            assert row["id"] == document["id"] and row["facts"] == document["facts"]
            assert row["start"] <= position < row["stop"]
            assert array.tokens[position] == token
            position += 1
    assert position == len(array) == array.tokens.size
    assert array.tokens.dtype == np.uint16


def test_a_document_reads_back_as_text(array, tokenizer):
    row = array.document_at(len(array) // 2)
    text = tokenizer.decode(array.tokens[row["start"] : row["stop"]])
    assert text == next(d["text"] for d in made_up(40) if d["id"] == row["id"])


def test_documents_in_a_range(array):
    end = len(array)
    for start, stop in [(0, 1), (0, end), (17, 90), (90, 90), (end - 1, end + 9)]:
        ids = {array.document_at(p)["id"] for p in range(start, min(stop, len(array)))}
        assert [row["id"] for row in array.documents_in(start, stop)] == sorted(ids)


def test_positions_of_a_fact(array):
    ranges = array.positions_of_fact("f-2")
    told = [d["id"] for d in made_up(40) if "f-2" in d["facts"]]
    assert [array.document_at(start)["id"] for start, _ in ranges] == told
    assert all(array.document_at(stop - 1)["stop"] == stop for _, stop in ranges)
    assert array.positions_of_fact("f-none") == []


def test_an_epoch_sees_every_window_once(array):
    batches = array.windows(16, 3, seed=5)
    steps = batches.steps_per_epoch
    seen = np.concatenate([batches.starts(step) for step in range(steps)])
    assert len(set(seen)) == steps * 3 and set(seen) <= set(range(0, len(array) - 16, 16))
    assert (len(array) - 1) // 16 - steps * 3 < 3
    again = np.concatenate([batches.starts(steps + step) for step in range(steps)])
    assert (seen != again).any()


def test_a_batch_is_what_the_file_holds(array):
    batches = array.windows(16, 3, seed=5)
    inputs, targets = batches(4)
    assert inputs.shape == targets.shape == (3, 16) and inputs.dtype == targets.dtype == torch.int64
    for row, start in enumerate(batches.starts(4)):
        assert inputs[row].tolist() == array.tokens[start : start + 16].tolist()
        assert targets[row].tolist() == array.tokens[start + 1 : start + 17].tolist()


def test_the_order_is_a_pure_function_of_seed_and_step(array):
    batches = array.windows(16, 3, seed=5)
    forward = [batches(step) for step in range(50)]
    fresh = TokenArray(array.folder).windows(16, 3, seed=5)
    for step in reversed(range(50)):
        assert all(torch.equal(a, b) for a, b in zip(fresh(step), forward[step], strict=True))
    other = array.windows(16, 3, seed=6)
    assert not all(torch.equal(other(step)[0], forward[step][0]) for step in range(50))


def test_the_order_is_the_same_in_another_process(array):
    run = [sys.executable, "-c", PROBE, str(array.folder)]
    runs = [subprocess.run(run, capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout and len(runs[0].stdout) == 65


def test_a_step_knows_its_documents(array):
    batches = array.windows(16, 3, seed=5)
    for step in range(batches.steps_per_epoch):
        truth = {array.document_at(p)["id"] for s in batches.starts(step) for p in range(s, s + 17)}
        assert [row["id"] for row in batches.documents(step)] == sorted(truth)


@pytest.mark.parametrize("fact", ["f-1", "f-2", "f-none"])
def test_steps_with_a_fact(array, fact):
    batches = array.windows(16, 3, seed=5)
    steps = 2 * batches.steps_per_epoch + 1
    truth = [s for s in range(steps) if any(fact in row["facts"] for row in batches.documents(s))]
    assert batches.steps_with_fact(fact, steps) == truth
    assert bool(truth) == (fact != "f-none") and len(truth) < steps


def test_packing_again_gives_the_same_bytes(array, tokenizer, tmp_path):
    again = pack(made_up(40), tokenizer, tmp_path / "again")
    for name in ("tokens.bin", "documents.jsonl", "meta.json"):
        assert (again.folder / name).read_bytes() == (array.folder / name).read_bytes()
    assert (again.starts == array.starts).all()


def test_a_failed_packing_leaves_the_old_folder(array, tokenizer, tmp_path):
    old = pack(made_up(3), tokenizer, tmp_path / "array")

    def breaks():
        yield from made_up(2)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="source broke"):
        pack(breaks(), tokenizer, tmp_path / "array")
    assert len(TokenArray(tmp_path / "array")) == len(old)
    with pytest.raises(UserError, match="no document"):
        pack([], tokenizer, tmp_path / "array")
    assert len(TokenArray(tmp_path / "array")) == len(old)


def test_bad_folders_and_windows(array, tokenizer, tmp_path):
    with pytest.raises(UserError, match="missing"):
        TokenArray(tmp_path / "nothing")
    broken = pack(made_up(3), tokenizer, tmp_path / "broken")
    with open(broken.folder / "tokens.bin", "r+b") as file:
        file.truncate(20)
    with pytest.raises(UserError, match="pack it again"):
        TokenArray(broken.folder)
    with pytest.raises(UserError, match="do not fill a batch of 3000 windows"):
        array.windows(16, 3000)
    with pytest.raises(UserError, match="outside"):
        array.document_at(len(array))
