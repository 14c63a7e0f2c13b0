"""From logits to text: choose a token, append it, ask again, with a cache for what is past.

How a token is chosen stands in sampling.py. Shapes: B batch, T time, V vocabulary.
"""

from collections.abc import Iterator, Sequence

import torch

from minimodels.architecture.cache import KVCache
from minimodels.architecture.sampling import GREEDY, Sampling, next_token
from minimodels.errors import UserError


def generate(
    model, tokenizer, prompt: str | list[int], max_new_tokens: int = 64, temperature: float = 0.0,
    top_k: int | None = None, top_p: float | None = None, min_p: float | None = None,
    repetition_penalty: float | None = None, stop: str | Sequence[str] = (),
    seed: int | None = None,
) -> Iterator[str]:  # fmt: skip
    """Pieces of text that continue the prompt, as they come.

    A string is preceded by <bos>; a list of ids is taken as it is. Ends at <eos> or <end_of_turn>,
    before a string of `stop`, after max_new_tokens, or where the context is full. Raises UserError,
    at once, for a prompt longer than the context or a setting that is not possible.
    """
    if tokenizer is None:
        raise UserError("this model has no tokenizer: load a folder that holds tokenizer.model.")
    how = Sampling(temperature, top_k, top_p, min_p, repetition_penalty)
    ids = [tokenizer.bos_id, *tokenizer.encode(prompt)] if isinstance(prompt, str) else list(prompt)
    room(model, ids)
    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(seed)
    stops = [stop] if isinstance(stop, str) else list(stop)
    tokens = _tokens(model, ids, max_new_tokens, how, generator)
    return _until(stops, _text(tokenizer, ids, tokens))


def _tokens(model, ids: list[int], max_new_tokens: int, how: Sampling, generator) -> Iterator[int]:
    """New token ids, one at a time: the prompt goes through the model once, then each by itself."""
    steps = min(max_new_tokens, room(model, ids))
    cache = KVCache(model.config, 1, len(ids) + steps, model.device, model.dtype)
    tokens = torch.tensor([ids], device=model.device)  # (1, T), afterwards (1, 1)
    seen = _none_seen(model, 1, how)
    for _ in range(steps):
        with torch.no_grad():
            logits = model.logits(model.hidden(tokens, cache)[:, -1])  # (1, V)
        seen = _mark(seen, tokens)
        tokens = next_token(logits, **vars(how), seen=seen, generator=generator)[:, None]
        yield tokens.item()


def _none_seen(model, batch_size: int, how: Sampling):
    """An empty record (B, V) of the tokens each row holds, or None where nobody asks for it."""
    if how.repetition_penalty is None:
        return None
    shape = batch_size, model.config.vocab_size
    return torch.zeros(shape, dtype=torch.bool, device=model.device)


def _mark(seen, tokens, real=None):
    """The record with `tokens` (B, T) in it, but for those that are padding."""
    if seen is None:
        return None
    real = torch.ones_like(tokens, dtype=torch.bool) if real is None else real
    return seen.scatter_reduce(1, tokens, real, "amax")


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


def _until(stops: list[str], pieces: Iterator[str]) -> Iterator[str]:
    """The pieces up to the first of the stop strings; what could begin one waits."""
    waiting = ""
    for piece in pieces:
        waiting += piece
        ends = [waiting.index(stop) for stop in stops if stop in waiting]
        if ends:
            waiting = waiting[: min(ends)]
            break
        safe = len(waiting) - max((_overlap(waiting, stop) for stop in stops), default=0)
        if safe:
            yield waiting[:safe]
            waiting = waiting[safe:]
    if waiting:
        yield waiting


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text with which `stop` begins."""
    lengths = range(min(len(text), len(stop)), 0, -1)
    return next((n for n in lengths if text.endswith(stop[:n])), 0)


@torch.no_grad()
def generate_batch(
    model, tokenizer, prompts: list[list[int]], max_new_tokens: int, stop_ids=None, batch_size=64,
    how: Sampling = GREEDY, seed: int | None = None,
) -> list[list[int]]:  # fmt: skip
    """A continuation of each prompt (token ids in, new token ids out), the most likely by default.

    A row ends before the first of `stop_ids` (default: <eos>, <end_of_turn>); all rows of a batch
    end where the longest fills the context. Otherwise equal to one prompt at a time. Raises
    UserError for a prompt that is empty or longer than the context.
    """
    stop = default_stops(tokenizer) if stop_ids is None else set(stop_ids)
    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(seed)
    answers: list[list[int]] = []
    for start in range(0, len(prompts), batch_size):
        rows = prompts[start : start + batch_size]
        answers += _batch(model, rows, tokenizer.pad_id, max_new_tokens, stop, how, generator)
    return answers


def _batch(
    model, prompts, pad_id: int, max_new_tokens: int, stop: set[int], how: Sampling, generator
) -> list[list[int]]:
    steps = min(max_new_tokens, *(room(model, prompt) for prompt in prompts))
    tokens, real = _pad_left(prompts, pad_id, steps, model.device)
    cache = KVCache(model.config, *real.shape, model.device, model.dtype)
    answers, running = [[] for _ in prompts], set(range(len(prompts)))
    seen = _none_seen(model, len(prompts), how)
    for _ in range(steps):
        mask = real[:, : cache.length + tokens.shape[1]]
        logits = model.logits(model.hidden(tokens, cache, mask)[:, -1])  # (B, V)
        seen = _mark(seen, tokens, mask[:, -tokens.shape[1] :])
        tokens = next_token(logits, **vars(how), seen=seen, generator=generator)[:, None]
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
