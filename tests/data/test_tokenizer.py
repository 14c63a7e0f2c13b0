import pydoc_data.topics

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from minimodels.data.tokenizer import Tokenizer, train_tokenizer
from minimodels.errors import UserError

TEXTS = list(pydoc_data.topics.topics.values()) + ["米拉出生在橡港。她的老师是陶艺师。"] * 400


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_tokenizer(TEXTS, 1024, tmp_path_factory.mktemp("tokenizer") / "tokenizer.model")


WORDS = st.sampled_from(
    ["  ", " ", "\t", "\n", "\r\n", "▁", "你好", "米拉", "😀", "é", "é", "the", "def f():", "1234",
     "<bos>", "<start_of_turn>", "<0x41>", "<s>", "\x00", "\u3000", "\u00a0", "\ufeff", "\u2028"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(WORDS).map("".join)))
@settings(max_examples=500, deadline=None)
def test_text_comes_back_exactly(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.unk_id not in ids
    assert not set(ids) & set(tokenizer.control.values())


def test_gemmas_order_of_control_tokens(tokenizer):
    names = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    assert [tokenizer.id(name) for name in names] == [0, 1, 2, 3, 4, 5]
    ids = (tokenizer.pad_id, tokenizer.eos_id, tokenizer.bos_id, tokenizer.unk_id)
    assert ids == (0, 1, 2, 3)
    assert tokenizer.control == {n: tokenizer.id(n) for n in names if n != "<unk>"}
    assert tokenizer.vocab_size == 1024


def test_control_tokens_are_not_decoded(tokenizer):
    turn = [tokenizer.bos_id, tokenizer.id("<start_of_turn>"), *tokenizer.encode("user"), 5, 1]
    assert tokenizer.decode(turn) == "user"


def test_pieces(tokenizer):
    assert tokenizer.pieces("the 27") == ["▁the", "▁", "2", "7"]
    assert tokenizer.pieces("the\n\nthe")[1:3] == ["\n", "\n"]
    assert tokenizer.pieces("ß")[1:] == ["<0xC3>", "<0x9F>"]
    assert "".join(tokenizer.pieces("米拉")) == "▁米拉"  # no bytes: both were in the texts
    assert max(map(len, tokenizer.pieces("the        x"))) > 2  # an indent is one piece
    assert [tokenizer.piece(i) for i in tokenizer.encode("the 27")] == tokenizer.pieces("the 27")


def test_same_texts_same_file(tmp_path, tokenizer):
    again = train_tokenizer(iter(TEXTS), 1024, tmp_path / "again.model")
    assert again.model_bytes == tokenizer.model_bytes
    assert (tmp_path / "again.model").read_bytes() == tokenizer.model_bytes
    other = train_tokenizer(TEXTS[:40], 1024, tmp_path / "other.model")
    assert other.model_bytes != tokenizer.model_bytes


def test_ids_are_sentencepieces_own(tokenizer):
    reference = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model_bytes)
    for text in TEXTS[:20]:
        assert tokenizer.encode(text) == reference.encode(text)


def test_a_tokenizer_without_own_newline_keeps_sentencepieces_ways(tmp_path):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS[:40]), model_prefix=str(tmp_path / "plain"), vocab_size=512,
        model_type="bpe", byte_fallback=True, minloglevel=2,
    )  # fmt: skip
    plain = Tokenizer(tmp_path / "plain.model")
    assert plain.decode(plain.encode("a▁b")) == "a b"


def test_broken_and_missing_models(tmp_path, tokenizer):
    (tmp_path / "broken.model").write_bytes(b"garbage" * 10)
    (tmp_path / "empty.model").write_bytes(b"")
    for name in ("broken.model", "empty.model"):
        with pytest.raises(UserError, match=f"{name} is not a SentencePiece model"):
            Tokenizer(tmp_path / name)
    with pytest.raises(UserError, match="cannot be read"):
        Tokenizer(tmp_path / "absent.model")
    with pytest.raises(UserError, match="not a SentencePiece model"):
        Tokenizer(tokenizer.model_bytes[: len(tokenizer.model_bytes) // 2])


def test_bad_input(tmp_path, tokenizer):
    with pytest.raises(UserError, match="vocabulary of 1024"):
        tokenizer.decode([1024])
    with pytest.raises(UserError, match="no piece '<nothing>'"):
        tokenizer.id("<nothing>")
    with pytest.raises(UserError, match="surrogate"):
        tokenizer.encode("a\ud800")
    with pytest.raises(UserError, match="too few for 4000 pieces: ask for at most"):
        train_tokenizer(["hello world"], 4000, tmp_path / "t.model")
    with pytest.raises(UserError, match="ask for more"):
        train_tokenizer(TEXTS, 100, tmp_path / "t.model")
    with pytest.raises(UserError, match="no text"):
        train_tokenizer([], 300, tmp_path / "t.model")
    assert not list(tmp_path.iterdir())
