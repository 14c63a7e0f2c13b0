"""Supervised finetuning: batches of conversations in which only the assistant's words are learned.

The loop is `training.trainer.train`, on all weights or, after `lora.apply`, on an adapter.
Legend: B batch, T time.
"""

import numpy as np
import torch
import torch.nn.functional as F

from minimodels.errors import UserError
from minimodels.finetuning.chat import render
from minimodels.training.trainer import IGNORED

LENGTH_STEP = 32  # lengths are rounded up to it: few shapes, so torch.compile compiles few times
POOL = 16  # batches whose conversations are sorted by length among themselves


class ConversationBatches:
    """step -> (inputs, targets), (B, T) int64; a pure function of the step, as `train` wants it."""

    def __init__(self, examples: list[tuple[np.ndarray, np.ndarray]], batch_size, seed, pad_id):
        self.examples, self.batch_size, self.seed, self.pad_id = examples, batch_size, seed, pad_id
        self.steps_per_epoch = -(-len(examples) // batch_size)
        self._epoch = (-1, [])

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = [self.examples[i] for i in self.rows(step)]
        longest = max(len(inputs) for inputs, _ in chosen)
        T = -(-longest // LENGTH_STEP) * LENGTH_STEP
        batch_inputs = torch.full((len(chosen), T), self.pad_id)
        batch_targets = torch.full((len(chosen), T), IGNORED)
        for row, (inputs, targets) in enumerate(chosen):
            batch_inputs[row, : len(inputs)] = torch.from_numpy(inputs)
            batch_targets[row, : len(targets)] = torch.from_numpy(targets)
        return batch_inputs, batch_targets

    def rows(self, step: int) -> np.ndarray:
        """Which conversations a step reads, (B,)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._order(epoch))
        return self._epoch[1][place]

    def _order(self, epoch: int) -> list[np.ndarray]:
        """Each conversation once an epoch; a batch holds similar lengths, and so little padding."""
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(len(self.examples))
        order = np.resize(order, self.steps_per_epoch * self.batch_size)  # the last batch is full
        lengths = np.array([len(inputs) for inputs, _ in self.examples])
        batches = []
        for start in range(0, len(order), POOL * self.batch_size):
            pool = order[start : start + POOL * self.batch_size]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches += [pool[i : i + self.batch_size] for i in range(0, len(pool), self.batch_size)]
        return [batches[i] for i in random.permutation(len(batches))]


def conversation_batches(conversations, tokenizer, batch_size: int, seed: int = 0):
    """Batches of chat conversations; targets are −100 outside the assistant's turns and on padding.

    Raises UserError if there is no conversation, or one is of another shape (`chat.render`).
    """
    examples = [_example(messages, tokenizer) for messages in conversations]
    if not examples or batch_size < 1:
        raise UserError("there is nothing to learn: give at least one conversation a batch.")
    return ConversationBatches(examples, batch_size, seed, tokenizer.pad_id)


def with_documents(conversations, documents, pad_id: int):
    """Batches of conversations with windows of documents under them: what pretraining taught is
    rehearsed while something new is learned. Both are step -> (inputs, targets), (B, T) int64."""

    def batches(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        parts = [conversations(step), documents(step)]
        T = max(inputs.shape[1] for inputs, _ in parts)
        inputs, targets = zip(*parts, strict=True)
        return _stack(inputs, T, pad_id), _stack(targets, T, IGNORED)  # (B1 + B2, T) each

    return batches


def _stack(parts, T: int, filler: int) -> torch.Tensor:
    """(B1, T1) and (B2, T2) -> (B1 + B2, T), filled up on the right."""
    return torch.cat([F.pad(part, (0, T - part.shape[1]), value=filler) for part in parts])


def _example(messages, tokenizer) -> tuple[np.ndarray, np.ndarray]:
    ids, learned = render(messages, tokenizer)
    ids, learned = np.array(ids, dtype=np.int64), np.array(learned)
    return ids[:-1], np.where(learned[1:], ids[1:], IGNORED)
