"""Text to token ids and back, without loss: SentencePiece BPE (Kudo and Richardson 2018,
arXiv:1808.06226) with Gemma's settings: byte fallback, split digits, no normalization.

    "Mira is 27.\n"  ->  ▁Mira ▁is ▁ 2 7 . \n

A space is written ▁ inside the pieces. A text gets one in front (the dummy prefix), so that a word
is the same token at the start of a text as in its middle; decoding takes it off again. What the
vocabulary lacks falls back to its UTF-8 bytes, and a newline is a piece of its own.
"""

import io
import os
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

from minimodels.errors import UserError
from minimodels.files import atomic

PAD, EOS, BOS, UNK = "<pad>", "<eos>", "<bos>", "<unk>"  # ids 0 to 3, in Gemma's order
START_OF_TURN, END_OF_TURN = "<start_of_turn>", "<end_of_turn>"
ROLES = ("user", "model", "tool")  # whole pieces, as Gemma's vocabulary has them
SPACE_MARK = "▁"  # U+2581, how SentencePiece writes a space


class Tokenizer:
    """A SentencePiece model, from its file or its bytes.

    Control tokens (`control`: piece -> id) never come out of `encode`, whatever the text says, and
    `decode` leaves them out. Raises UserError if the model is missing or broken.
    """

    def __init__(self, source: str | os.PathLike | bytes):
        self.model_bytes = source if isinstance(source, bytes) else _read(source)
        self._sp = _load(self.model_bytes, "these bytes" if isinstance(source, bytes) else source)
        self.vocab_size = self._sp.vocab_size()
        self.pad_id, self.eos_id = self._sp.pad_id(), self._sp.eos_id()
        self.bos_id, self.unk_id = self._sp.bos_id(), self._sp.unk_id()
        self.control = {
            self._sp.id_to_piece(i): i for i in range(self.vocab_size) if self._sp.is_control(i)
        }
        newline = self._sp.encode("\n")
        self._own_newline = newline if self._sp.encode("\n\n") == newline + newline[-1:] else None

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without <bos> or <eos>."""
        try:
            if SPACE_MARK in text and self._own_newline:
                return self._encode_marked(text)
            return self._sp.encode(text)
        except RuntimeError:
            raise UserError(
                "the text holds half a character (a lone surrogate): replace or drop it first."
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids; control tokens are left out, bytes that are no UTF-8 become U+FFFD."""
        try:
            return self._sp.decode([int(i) for i in ids])
        except IndexError:
            raise UserError(
                f"a token id lies outside this tokenizer's vocabulary of {self.vocab_size}: "
                "use the tokenizer that belongs to the model."
            ) from None

    def pieces(self, text: str) -> list[str]:
        """The pieces that `encode` stands for, to look at."""
        return [self._sp.id_to_piece(i) for i in self.encode(text)]

    def id(self, piece: str) -> int:
        """Id of one piece, control tokens included; UserError if the vocabulary lacks it."""
        found = self._sp.piece_to_id(piece)
        if found == self.unk_id and piece != self._sp.id_to_piece(found):
            raise UserError(f"this tokenizer has no piece {piece!r}: is it the one you meant?")
        return found

    def piece(self, token: int) -> str:
        """The piece behind one id."""
        return self._sp.id_to_piece(int(token))

    def save(self, path: str | os.PathLike) -> None:
        """Write the SentencePiece model, atomically."""
        with atomic(path, "wb") as file:
            file.write(self.model_bytes)

    def _encode_marked(self, text: str) -> list[int]:
        """A ▁ of the text itself would come back as a space: it goes through its bytes instead."""
        first, *rest = text.split(SPACE_MARK)
        ids = self._sp.encode(first)
        mark = [self._sp.piece_to_id(f"<0x{byte:02X}>") for byte in SPACE_MARK.encode()]
        for part in rest:  # after a newline there is no dummy prefix
            ids += mark + self._sp.encode("\n" + part)[len(self._own_newline) :]
        return ids


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, path: str | os.PathLike, marks: Iterable[str] = ()
) -> Tokenizer:
    """Learn a BPE vocabulary from texts and write it to `path`; the same texts give the same file.

    The rarest characters, one in 10,000 of the text, fall back to bytes. `marks` become control
    tokens, such as those around a picture. Raises UserError if the texts are empty, too small for
    the vocabulary, or need a larger one.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(text for text in texts if text),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            byte_fallback=True,
            character_coverage=0.9999,  # 0.9995 would spell one Chinese token in ten as bytes
            split_digits=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True,  # runs of spaces: the indents of code
            pad_id=0, pad_piece=PAD, eos_id=1, eos_piece=EOS,
            bos_id=2, bos_piece=BOS, unk_id=3, unk_piece=UNK,
            control_symbols=[START_OF_TURN, END_OF_TURN, *marks],
            user_defined_symbols=["\n", *ROLES],
            max_sentence_length=1 << 24,  # longer texts would be left out without a word
            num_threads=1,  # the count is written into the file
            minloglevel=2,
        )  # fmt: skip
    except RuntimeError as error:
        raise UserError(_why_not_trained(str(error), vocab_size)) from None
    tokenizer = Tokenizer(model.getvalue())
    tokenizer.save(path)
    return tokenizer


def _why_not_trained(message: str, vocab_size: int) -> str:
    if "too high" in message:
        most = message.rsplit("<=", 1)[-1].strip(" .")
        return f"the texts are too few for {vocab_size} pieces: ask for at most {most}."
    if "smaller than required_chars" in message:
        return f"{vocab_size} pieces cannot hold the texts' characters and bytes: ask for more."
    if "sentences_.empty" in message:
        return "there is no text to train a tokenizer on: give at least one document."
    return f"SentencePiece could not train: {message}"


def _read(path: str | os.PathLike) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"the tokenizer {path} cannot be read ({error.strerror}): check the path."
        ) from None


def _load(model: bytes, source: str | os.PathLike) -> sentencepiece.SentencePieceProcessor:
    try:  # of no bytes at all SentencePiece would print a complaint of its own
        processor = sentencepiece.SentencePieceProcessor(model_proto=model) if model else None
    except RuntimeError:
        processor = None
    if processor is None or processor.vocab_size() == 0:
        raise UserError(f"{source} is not a SentencePiece model: write or download it again.")
    return processor
