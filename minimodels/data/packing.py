"""Documents end to end in one file of token ids that knows which document each token came from.

    tokens.bin        <bos> document <eos> <bos> document <eos> …, uint16 or uint32, memory-mapped
    index.npz         starts: the first token of each document, and the end of the last
    documents.jsonl   id, facts, kind and lang of each document
    meta.json         how to read them

Training cuts the file into windows without regard to documents (no token is padding), takes them
in an order drawn anew each epoch, and can say of any step which documents it holds.
Legend: B batch, T window length.
"""

import json
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np

from minimodels.data.tokenizer import Tokenizer
from minimodels.errors import UserError
from minimodels.files import atomic_folder, read_json, write_json


def pack(
    documents: Iterable[dict], tokenizer: Tokenizer, folder: str | os.PathLike
) -> "TokenArray":
    """Tokenize documents into `folder` (replaced as a whole); each becomes <bos> tokens <eos>.

    Raises UserError if there is no document, and on a full disk.
    """
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32)
    starts = [0]
    with atomic_folder(folder) as partial:
        with (
            open(partial / "tokens.bin", "wb") as tokens,
            open(partial / "documents.jsonl", "w", encoding="utf-8", newline="\n") as rows,
        ):
            for document in documents:
                ids = [tokenizer.bos_id, *tokenizer.encode(document["text"]), tokenizer.eos_id]
                tokens.write(np.array(ids, dtype).tobytes())
                row = {key: document[key] for key in ("id", "facts", "kind", "lang")}
                rows.write(json.dumps(row, ensure_ascii=False) + "\n")
                starts.append(starts[-1] + len(ids))
        if len(starts) == 1:
            raise UserError("there is no document to pack: give at least one.")
        np.savez(partial / "index.npz", starts=np.array(starts, np.int64))
        meta = {"dtype": dtype.name, "tokens": starts[-1], "documents": len(starts) - 1}
        write_json(partial / "meta.json", meta | {"vocab_size": tokenizer.vocab_size})
    return TokenArray(folder)


class TokenArray:
    """A packed folder, opened. `tokens` is a memory map; a document row is
    {"index", "id", "facts", "kind", "lang", "start", "stop"}, with token positions start to stop.

    Raises UserError if a file is missing or does not fit the others.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self.meta = read_json(self.folder / "meta.json")
        try:
            self.starts = np.load(self.folder / "index.npz")["starts"]  # (documents + 1,)
            self.tokens = np.memmap(self.folder / "tokens.bin", self.meta["dtype"], mode="r")
        except (OSError, ValueError, KeyError):
            raise UserError(f"{folder} is not a whole packed folder: pack it again.") from None
        if not len(self.tokens) == self.meta["tokens"] == self.starts[-1]:
            raise UserError(f"{folder}: tokens.bin does not fit its index: pack it again.")

    def __len__(self) -> int:
        return len(self.tokens)

    def document_at(self, position: int) -> dict:
        """The row of the document that the token at `position` belongs to."""
        if not 0 <= position < len(self):
            raise UserError(f"position {position} is outside the {len(self)} packed tokens.")
        return self._row(int(np.searchsorted(self.starts, position, side="right")) - 1)

    def documents_in(self, start: int, stop: int) -> list[dict]:
        """Rows of all documents with a token in positions start to stop (exclusive)."""
        start, stop = max(start, 0), min(stop, len(self))
        if start >= stop:
            return []
        first, last = np.searchsorted(self.starts, [start, stop - 1], side="right") - 1
        return [self._row(index) for index in range(first, last + 1)]

    def positions_of_fact(self, fact_id: str) -> list[tuple[int, int]]:
        """Token ranges (start, stop) of the documents that tell a fact; empty if none does."""
        found = self._documents_of_fact.get(fact_id, [])
        return [(int(self.starts[i]), int(self.starts[i + 1])) for i in found]

    def windows(self, seq_len: int, batch_size: int, seed: int = 0) -> "Batches":
        """Batches of B = batch_size windows of T = seq_len tokens."""
        return Batches(self, seq_len, batch_size, seed)

    def _row(self, index: int) -> dict:
        place = {"start": int(self.starts[index]), "stop": int(self.starts[index + 1])}
        return {"index": int(index), **self._rows[index], **place}

    @cached_property
    def _rows(self) -> list[dict]:
        lines = (self.folder / "documents.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        if len(lines) != len(self.starts) - 1:
            raise UserError(f"{self.folder}: documents.jsonl does not fit: pack it again.")
        return [json.loads(line) for line in lines]

    @cached_property
    def _documents_of_fact(self) -> dict[str, list[int]]:
        found = {}
        for index, row in enumerate(self._rows):
            for fact in row["facts"]:
                found.setdefault(fact, []).append(index)
        return found


class Batches:
    """`batches(step)` -> (inputs, targets), each (B, T) int64; targets are the inputs one later.

    A pure function of the step, for any step from 0 on: a run that resumes sees what it would have
    seen. An epoch is all windows in an order drawn from (seed, epoch); the few that do not fill a
    batch are left out of that epoch.
    """

    def __init__(self, array: TokenArray, seq_len: int, batch_size: int, seed: int = 0):
        self.array, self.seq_len, self.batch_size, self.seed = array, seq_len, batch_size, seed
        self.count = (len(array) - 1) // seq_len  # the last target needs one token more
        self.steps_per_epoch = self.count // batch_size
        self._epoch, self._drawn = None, None
        if self.steps_per_epoch == 0:
            raise UserError(
                f"{len(array)} tokens do not fill a batch of {batch_size} windows of {seq_len}: "
                "pack more documents, or ask for fewer or shorter windows."
            )

    def __call__(self, step: int):
        import torch  # here: data work needs no torch

        starts = self.starts(step)[:, None]  # (B, 1)
        tokens = self.array.tokens[starts + np.arange(self.seq_len + 1)]  # (B, T + 1)
        tokens = torch.from_numpy(tokens.astype(np.int64))
        return tokens[:, :-1], tokens[:, 1:]

    def starts(self, step: int) -> np.ndarray:
        """Position of each window's first token at this step, (B,)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        first = place * self.batch_size
        return self._order(epoch)[first : first + self.batch_size] * self.seq_len

    def documents(self, step: int) -> list[dict]:
        """Rows of all documents that the step's windows touch, each once, in file order."""
        rows = {}
        for start in np.sort(self.starts(step)):
            for row in self.array.documents_in(start, start + self.seq_len + 1):
                rows[row["index"]] = row
        return list(rows.values())

    def steps_with_fact(self, fact_id: str, steps: int) -> list[int]:
        """Those of the first `steps` steps with a token of a document that tells the fact."""
        windows = set()
        for start, stop in self.array.positions_of_fact(fact_id):
            # window w reads tokens w*T to w*T + T: the last one is a target only
            first, last = max(start - 1, 0) // self.seq_len, (stop - 1) // self.seq_len
            windows.update(range(first, last + 1))
        inside = np.isin(np.arange(self.count), list(windows))  # (count,)
        return [s for s in range(steps) if inside[self.starts(s) // self.seq_len].any()]

    def _order(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            self._epoch = epoch
            self._drawn = np.random.default_rng((self.seed, epoch)).permutation(self.count)
        return self._drawn
