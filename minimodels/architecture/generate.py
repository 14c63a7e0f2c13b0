"""From logits to text: choose a token, append it, ask again, with a cache for what is past.

Shapes: B batch, T time, V vocabulary.
"""

from collections.abc import Iterator
from functools import partial

import torch

from minimodels.architecture.cache import KVCache
from minimodels.errors import UserError


def next_token(logits, temperature: float = 0.0, top_k: int | None = None, generator=None):
    """Token ids (B,) drawn from logits (B, V); temperature 0 takes the most likely.

    top_k keeps the k most likely tokens before drawing. generator: a CPU torch.Generator.
    """
    if temperature <= 0:
        return logits.argmax(-1)
    logits = logits.float() / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    drawn = torch.multinomial(logits.softmax(-1).cpu(), 1, generator=generator)
    return drawn[:, 0].to(logits.device)


def generate(
    model,
    tokenizer,
    prompt: str | list[int],
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    top_k: int | None = None,
    seed: int | None = None,
) -> Iterator[str]:
    """Pieces of text that continue the prompt, as they come.

    A string is preceded by <bos>; a list of ids is taken as it is. Ends at <eos> or <end_of_turn>,
    after max_new_tokens, or where the context is full. Raises UserError, at once, for a prompt
    longer than the context.
    """
    if tokenizer is None:
        raise UserError("this model has no tokenizer: load a folder that holds tokenizer.model.")
    ids = [tokenizer.bos_id, *tokenizer.encode(prompt)] if isinstance(prompt, str) else list(prompt)
    room(model, ids)
    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(seed)
    choose = partial(next_token, temperature=temperature, top_k=top_k, generator=generator)
    return _text(tokenizer, ids, _tokens(model, ids, max_new_tokens, choose))


def _tokens(model, ids: list[int], max_new_tokens: int, choose) -> Iterator[int]:
    """New token ids, one at a time: the prompt goes through the model once, then each by itself."""
    steps = min(max_new_tokens, room(model, ids))
    cache = KVCache(model.config, 1, len(ids) + steps, model.device, model.dtype)
    tokens = torch.tensor([ids], device=model.device)  # (1, T), afterwards (1, 1)
    for _ in range(steps):
        with torch.no_grad():
            logits = model.logits(model.hidden(tokens, cache)[:, -1])  # (1, V)
        tokens = choose(logits)[:, None]
        yield tokens.item()


def _text(tokenizer, ids: list[int], tokens: Iterator[int]) -> Iterator[str]:
    """What each token adds to the decoded text; a character waits until its bytes are complete."""
    stop, shown = default_stops(tokenizer), tokenizer.decode(ids)
    for token in tokens:
        if token in stop:
            break
        ids.append(token)
        text = tokenizer.decode(ids)
        if len(text) > len(shown) and not text.endswith("\ufffd"):
            yield text[len(shown) :]
            shown = text
    rest = tokenizer.decode(ids)[len(shown) :]
    if rest:
        yield rest


@torch.no_grad()
def generate_batch(
    model, tokenizer, prompts: list[list[int]], max_new_tokens: int, stop_ids=None, batch_size=64
) -> list[list[int]]:
    """The most likely continuation of each prompt (token ids in, new token ids out), cached.

    A row ends before the first of `stop_ids` (default: <eos>, <end_of_turn>); all rows of a batch
    end where the longest fills the context. Otherwise equal to one prompt at a time. Raises
    UserError for a prompt that is empty or longer than the context.
    """
    stop = default_stops(tokenizer) if stop_ids is None else set(stop_ids)
    answers: list[list[int]] = []
    for start in range(0, len(prompts), batch_size):
        rows = prompts[start : start + batch_size]
        answers += _greedy(model, rows, tokenizer.pad_id, max_new_tokens, stop)
    return answers


def _greedy(model, prompts, pad_id: int, max_new_tokens: int, stop: set[int]) -> list[list[int]]:
    steps = min(max_new_tokens, *(room(model, prompt) for prompt in prompts))
    tokens, real = _pad_left(prompts, pad_id, steps, model.device)
    cache = KVCache(model.config, *real.shape, model.device, model.dtype)
    answers, running = [[] for _ in prompts], set(range(len(prompts)))
    for _ in range(steps):
        mask = real[:, : cache.length + tokens.shape[1]]
        tokens = next_token(model.logits(model.hidden(tokens, cache, mask)[:, -1]))[:, None]
        for row, token in enumerate(tokens[:, 0].tolist()):
            if token in stop:
                running.discard(row)
            elif row in running:
                answers[row].append(token)
        if not running:
            break
    return answers


def _pad_left(prompts: list[list[int]], pad_id: int, steps: int, device):
    """Tokens (B, T) that end together, and which are real (B, T + steps)."""
    longest = max(len(prompt) for prompt in prompts)
    padding = [longest - len(prompt) for prompt in prompts]
    rows = [[pad_id] * n + list(prompt) for n, prompt in zip(padding, prompts, strict=True)]
    real = torch.arange(longest + steps)[None] >= torch.tensor(padding)[:, None]
    return torch.tensor(rows, device=device), real.to(device)


def default_stops(tokenizer) -> set[int]:
    """Where an answer ends: <eos> and, if the tokenizer has it, <end_of_turn>."""
    end_of_turn = tokenizer.control.get("<end_of_turn>", tokenizer.eos_id)
    return {tokenizer.eos_id, end_of_turn}


def room(model, prompt: list[int]) -> int:
    """How many tokens fit behind the prompt; UserError if it is empty or already too long."""
    longest = model.config.max_length
    if not prompt:
        raise UserError("the prompt is empty: give at least one token, such as <bos>.")
    if len(prompt) > longest:
        raise UserError(
            f"the prompt has {len(prompt)} tokens but the model reads {longest}: shorten it."
        )
    return longest - len(prompt)
