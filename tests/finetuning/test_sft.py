"""Batches of conversations: what is learned, the padding, the order."""

import numpy as np
import pytest
import torch

from minimodels.errors import UserError
from minimodels.finetuning.chat import prompt, render
from minimodels.finetuning.sft import conversation_batches, with_documents
from minimodels.training.trainer import IGNORED, TrainConfig, train


def conversation(number):
    question = "Where does Mira live? " + "And Tomas? " * (number % 5)
    return [{"role": "user", "content": f"{question}{number}"},
            {"role": "assistant", "content": f"Bergen {number}"}]


CONVERSATIONS = [conversation(i) for i in range(37)]


def test_targets_are_the_next_tokens_of_the_assistant_only(tokenizer):
    batches = conversation_batches(CONVERSATIONS, tokenizer, batch_size=4)
    inputs, targets = batches(3)
    assert inputs.shape == targets.shape and inputs.dtype == targets.dtype == torch.int64
    for row, number in enumerate(batches.rows(3)):
        ids, learned = render(CONVERSATIONS[number], tokenizer)
        n = len(ids) - 1
        assert inputs[row, :n].tolist() == ids[:-1]
        assert inputs[row, n:].eq(tokenizer.pad_id).all() and targets[row, n:].eq(IGNORED).all()
        kept = [i for i, keep in zip(ids, learned, strict=True) if keep]
        assert targets[row][targets[row] != IGNORED].tolist() == kept
        assert targets[row][targets[row] != IGNORED][0] == ids[learned.index(True)]


def test_each_conversation_once_an_epoch_and_few_lengths(tokenizer):
    batches = conversation_batches(CONVERSATIONS, tokenizer, batch_size=4, seed=1)
    assert batches.steps_per_epoch == 10
    epochs = [np.concatenate([batches.rows(e * 10 + s) for s in range(10)]) for e in range(2)]
    for rows in epochs:
        assert set(rows) == set(range(37)) and len(rows) == 40
    assert epochs[0].tolist() != epochs[1].tolist()
    lengths = {batches(step)[0].shape[1] for step in range(20)}
    assert all(length % 32 == 0 for length in lengths) and len(lengths) <= 3


def test_a_batch_depends_on_its_step_and_seed_alone(tokenizer):
    one = conversation_batches(CONVERSATIONS, tokenizer, 4, seed=1)
    two = conversation_batches(CONVERSATIONS, tokenizer, 4, seed=1)
    other = conversation_batches(CONVERSATIONS, tokenizer, 4, seed=2)
    two(25), two(3)
    assert torch.equal(one(12)[0], two(12)[0])
    assert one.rows(12).tolist() != other.rows(12).tolist()


def test_fewer_conversations_than_a_batch(tokenizer):
    inputs, _ = conversation_batches(CONVERSATIONS[:3], tokenizer, 8)(5)
    assert len(inputs) == 8
    with pytest.raises(UserError, match="at least one"):
        conversation_batches([], tokenizer, 8)


def test_finetuning_teaches_an_answer(tokenizer, tiny):
    model = tiny()
    batches = conversation_batches([conversation(0), conversation(7)], tokenizer, 4)
    settings = TrainConfig(steps=120, learning_rate=1e-2, warmup_steps=5)
    rows = list(train(model, batches, settings, progress=False))
    assert rows[-1]["loss"] < 0.1 < 4 < rows[0]["loss"]
    ids = prompt(conversation(7)[:1], tokenizer)
    answer = tokenizer.encode("Bergen 7") + [tokenizer.id("<end_of_turn>")]
    for token in answer:
        assert model(torch.tensor([ids]))[0, -1].argmax() == token
        ids.append(token)


@pytest.mark.parametrize("T", [20, 200])
def test_documents_stand_under_the_conversations(tokenizer, T):
    talks = conversation_batches(CONVERSATIONS, tokenizer, batch_size=4)

    def documents(step):
        windows = torch.arange(3 * (T + 1)).view(3, T + 1) % 250 + step
        return windows[:, :-1], windows[:, 1:]

    inputs, targets = with_documents(talks, documents, tokenizer.pad_id)(2)
    asked, wanted = talks(2)
    long = max(asked.shape[1], T)
    assert inputs.shape == targets.shape == (7, long)
    assert inputs[:4, : asked.shape[1]].equal(asked) and inputs[4:, :T].equal(documents(2)[0])
    assert targets[:4, : asked.shape[1]].equal(wanted) and targets[4:, :T].equal(documents(2)[1])
    assert targets[:4, asked.shape[1] :].eq(IGNORED).all() and targets[4:, T:].eq(IGNORED).all()
