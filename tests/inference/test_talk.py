"""Talking with a model in the terminal: one question, a conversation, and what is forgotten."""

import builtins

import pytest
import torch

import minimodels
from minimodels.architecture.build import build
from minimodels.architecture.configs import GemmaConfig
from minimodels.data.tokenizer import train_tokenizer
from minimodels.errors import UserError
from minimodels.finetuning.chat import prompt
from minimodels.inference import talk

TEXTS = ["Where does Mira live? She lives in Bergen.\n", "user\n", "model\n"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    return train_tokenizer(TEXTS * 30, 300, folder / "tokenizer.model")


@pytest.fixture
def asked(monkeypatch, tokenizer):
    """The prompts that reach the model, which always answers "in Bergen"."""
    torch.manual_seed(0)
    config = GemmaConfig(vocab_size=300, hidden_size=16, intermediate_size=16, num_layers=1,
                         num_heads=2, num_kv_heads=1, head_dim=8, max_length=128)  # fmt: skip
    prompts = []

    def answer(model, tokenizer, ids, **options):
        prompts.append(ids)
        yield from ["in ", "Bergen"]

    monkeypatch.setattr(minimodels, "load", lambda name: (build(config), tokenizer), raising=False)
    monkeypatch.setattr(minimodels, "generate", answer, raising=False)
    return prompts


def test_one_question(asked, tokenizer, capsys):
    talk.talk("gemma-mini-chat", "Where does Mira live?")
    assert capsys.readouterr().out == "in Bergen\n"
    assert asked == [prompt([{"role": "user", "content": "Where does Mira live?"}], tokenizer)]


def test_a_conversation_remembers_what_was_said(asked, monkeypatch, tokenizer):
    lines = iter(["Where?", "And then?", ""])
    monkeypatch.setattr(builtins, "input", lambda words: next(lines))
    talk.talk("gemma-mini-chat")
    assert len(asked) == 2 and "in Bergen" in tokenizer.decode(asked[1])


def test_the_end_of_the_input_ends_it(asked, monkeypatch):
    def ended(words):
        raise EOFError

    monkeypatch.setattr(builtins, "input", ended)
    talk.talk("gemma-mini-chat")
    assert asked == []


def test_the_oldest_turns_go_when_the_context_is_full(tokenizer):
    messages = [{"role": role, "content": f"turn {n}"} for n in range(20)
                for role in ("user", "assistant")]  # fmt: skip
    messages.append({"role": "user", "content": "the last"})
    ids = talk.fit(messages, tokenizer, 200)
    assert len(ids) + talk.ROOM <= 200 and "the last" in tokenizer.decode(ids)
    assert messages[0]["role"] == "user" and len(messages) % 2 == 1


def test_an_unknown_model_is_one_sentence():
    with pytest.raises(UserError, match="gemma-mini"):
        talk.talk("gemma-mini-chatt", "Hello")
