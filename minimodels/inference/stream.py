"""Writing token by token, with a key-value cache and without: the same tokens, other costs.

Without, every step sends the whole text through the model again: for a prompt of P and n new
tokens, P + (P+1) + … + (P+n−1) token-forwards. With it, the prompt goes through once and then each
new token by itself: P + n − 1. The keys of earlier tokens never change, because a token looks only
backwards.

Shapes: B batch (here 1), T time, V vocabulary.
"""

import time
from collections.abc import Iterator

import torch

from minimodels.architecture.cache import KVCache
from minimodels.architecture.generate import next_token, room
from minimodels.errors import UserError


@torch.no_grad()
def with_cache(model, prompt_ids: list[int], new_tokens: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the most likely next token and the logits (V,) it comes from, `new_tokens` times."""
    longest = len(prompt_ids) + new_tokens
    cache = KVCache(model.config, 1, longest, model.device, model.dtype)
    tokens = torch.tensor([prompt_ids], device=model.device)  # (1, P), afterwards (1, 1)
    for _ in range(new_tokens):
        logits = model.logits(model.hidden(tokens, cache)[:, -1])
        tokens = next_token(logits)[:, None]
        yield tokens.item(), logits[0]


@torch.no_grad()
def without_cache(
    model, prompt_ids: list[int], new_tokens: int
) -> Iterator[tuple[int, torch.Tensor]]:
    """The same by computing everything again at every step."""
    tokens = torch.tensor([prompt_ids], device=model.device)  # (1, P), then one longer each time
    for _ in range(new_tokens):
        logits = model.logits(model.hidden(tokens)[:, -1])
        tokens = torch.cat([tokens, next_token(logits)[:, None]], dim=1)
        yield tokens[0, -1].item(), logits[0]


def compare(model, prompt_ids: list[int], new_tokens: int) -> dict:
    """Write `new_tokens` after the prompt both ways, in turns, counting and timing each step.

    Returns "tokens" (ids, of the cached way), "same" (whether the other way wrote the same),
    "logit_difference" (largest absolute, while the texts agree), and "cached" and "uncached": each
    with "token_forwards" (tokens sent through the model), "key_rows" (rows of keys computed, over
    all layers) and "milliseconds" (a list, one a token). The counts are taken by hooks while the
    model runs. Raises UserError if prompt and new tokens do not fit the context.
    """
    _check(model, prompt_ids, new_tokens)
    ways = {"cached": with_cache, "uncached": without_cache}
    streams = {name: way(model, prompt_ids, new_tokens) for name, way in ways.items()}
    costs = {name: dict(token_forwards=0, key_rows=0, milliseconds=[]) for name in ways}
    texts, difference = {name: [] for name in ways}, 0.0
    for _ in range(new_tokens):
        agree, logits = texts["cached"] == texts["uncached"], {}
        for name, stream in streams.items():
            token, logits[name] = _measured(model, stream, costs[name])
            texts[name].append(token)
        if agree:
            apart = (logits["cached"] - logits["uncached"]).abs().max().item()
            difference = max(difference, apart)
    return dict(
        tokens=texts["cached"], same=texts["cached"] == texts["uncached"],
        logit_difference=difference, **costs,
    )


def token_forwards(prompt: int, new_tokens: int, cached: bool) -> int:
    """How many tokens go through the model to write `new_tokens` after `prompt` tokens."""
    if cached:
        return prompt + new_tokens - 1
    return new_tokens * prompt + new_tokens * (new_tokens - 1) // 2


def _measured(model, stream, cost: dict) -> tuple[int, torch.Tensor]:
    """One step of a stream; what it cost is added to `cost`."""
    def rows(inputs) -> int:
        return inputs[0].shape[0] * inputs[0].shape[1]  # (B, T, D)

    def forward(module, inputs):
        cost["token_forwards"] += rows(inputs)

    def keys(module, inputs):
        cost["key_rows"] += rows(inputs)

    hooks = [model.layers[0].register_forward_pre_hook(forward)]
    hooks += [
        module.register_forward_pre_hook(keys)
        for name, module in model.named_modules() if name.endswith("k_proj")
    ]
    try:
        start = time.perf_counter()
        token, logits = next(stream)
        cost["milliseconds"].append((time.perf_counter() - start) * 1e3)
        return token, logits
    finally:
        for hook in hooks:
            hook.remove()


def _check(model, prompt_ids: list[int], new_tokens: int) -> None:
    space = room(model, prompt_ids)
    if not 1 <= new_tokens <= space:
        raise UserError(
            f"{new_tokens} new tokens do not fit: {space} are left behind a prompt of "
            f"{len(prompt_ids)}, ask for 1 to {space}."
        )
