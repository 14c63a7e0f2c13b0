"""What a model thinks of a text: log-probabilities, perplexity, and the most likely of choices.

Shapes: B batch, T time, V vocabulary. Log-probabilities are natural, in nats.
"""

import math

import numpy as np
import torch

from minimodels.architecture.generate import room
from minimodels.errors import UserError


@torch.no_grad()
def token_logprobs(model, tokens):
    """log p of each token given those before it: tokens (B, T) int64 -> (B, T−1) float32."""
    return _logprobs(model(tokens[:, :-1]), tokens[:, 1:])


@torch.no_grad()
def completion_logprobs(
    model, tokenizer, prompts: list[list[int]], completions: list[list[int]], batch_size: int = 64
) -> list[float]:
    """log p(completion | prompt), summed over its tokens, for each pair of id lists.

    Batches are padded on the right, where a causal model cannot see it. Raises UserError for an
    empty prompt or a pair that does not fit the context.
    """
    pairs = list(zip(prompts, completions, strict=True))
    order = sorted(range(len(pairs)), key=lambda i: sum(map(len, pairs[i])))  # alike go together
    sums = [0.0] * len(pairs)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = _completion_batch(model, tokenizer.pad_id, [pairs[i] for i in rows])
        for i, value in zip(rows, batch, strict=True):
            sums[i] = value
    return sums


def _completion_batch(model, pad_id: int, pairs) -> list[float]:
    for prompt, completion in pairs:
        room(model, [*prompt, *completion] if prompt else [])
    longest = max(len(prompt) + len(completion) for prompt, completion in pairs)
    tokens = torch.full((len(pairs), longest), pad_id)
    scored = torch.zeros(len(pairs), longest, dtype=torch.bool)
    for row, (prompt, completion) in enumerate(pairs):
        end = len(prompt) + len(completion)
        tokens[row, :end] = torch.tensor([*prompt, *completion])
        scored[row, len(prompt) : end] = True
    tokens, scored = tokens.to(model.device), scored[:, 1:].to(model.device)
    hidden = model.hidden(tokens[:, :-1])[scored]  # (N, D): no logits for what is not scored
    sums = torch.zeros(scored.shape, device=model.device)
    sums[scored] = _logprobs(model.logits(hidden), tokens[:, 1:][scored])
    return sums.sum(-1).tolist()


def choose(model, tokenizer, prompts: list[list[int]], choices: list[list[list[int]]]) -> list[int]:
    """For each prompt the number of its most likely choice: how multiple choice is evaluated."""
    flat = [choice for options in choices for choice in options]
    repeated = [p for p, options in zip(prompts, choices, strict=True) for _ in options]
    scores = iter(completion_logprobs(model, tokenizer, repeated, flat))
    best = []
    for options in choices:
        row = [next(scores) for _ in options]
        best.append(row.index(max(row)))
    return best


@torch.no_grad()
def perplexity(model, tokens, window: int, batch_size: int = 16) -> float:
    """exp of the mean negative log p of all `tokens` (a 1-D array of ids) but the first.

    Windows of `window` predictions follow each other; each token is scored once, and sees only
    its own window. Raises UserError for a single token or a window beyond the context.
    """
    if isinstance(tokens, np.ndarray):
        tokens = tokens.astype(np.int64)  # a copy: a mapped file is read-only
    tokens = torch.as_tensor(tokens, dtype=torch.int64)
    total, count = 0.0, len(tokens) - 1
    if count < 1:
        raise UserError("perplexity needs at least two tokens: give a longer text.")
    starts = list(range(0, count, window))
    full = [start for start in starts if start + window <= count]
    batches = [full[i : i + batch_size] for i in range(0, len(full), batch_size)]
    batches += [[start] for start in starts[len(full) :]]  # the shorter rest
    for batch in batches:
        rows = torch.stack([tokens[start : start + window + 1] for start in batch])
        total -= token_logprobs(model, rows.to(model.device)).double().sum().item()
    return math.exp(total / count)


def _logprobs(logits, targets):
    """log p of targets (…) under logits (…, V), in float32."""
    logits = logits.float()
    chosen = logits.gather(-1, targets[..., None])[..., 0]
    return chosen - logits.logsumexp(-1)
