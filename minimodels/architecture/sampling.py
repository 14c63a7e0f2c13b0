"""Which token comes next: from logits (B, V) to ids (B,).

What is repeated is made less likely (CTRL, arXiv 1909.05858), the temperature sharpens or flattens,
then unlikely tokens are cut off: all but k (1805.04833), all beyond a mass of p (nucleus,
1904.09751), all under a share of the best (min-p, 2407.01082). In the order of Transformers.
"""

from dataclasses import dataclass, fields

import torch

from minimodels.errors import UserError

RANGES = {  # field -> what is allowed, in words and as a test
    "temperature": ("at least 0", lambda value: value >= 0),
    "top_k": ("a whole number from 1 on", lambda value: value >= 1 and value == int(value)),
    "top_p": ("above 0 and at most 1", lambda value: 0 < value <= 1),
    "min_p": ("from 0 to 1", lambda value: 0 <= value <= 1),
    "repetition_penalty": ("above 0 (1 changes nothing)", lambda value: value > 0),
}


@dataclass(frozen=True)
class Sampling:
    """How to choose. temperature 0 takes the most likely; None is off. UserError for nonsense."""

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None

    def __post_init__(self):
        for field in fields(self):
            value, (words, allowed) = getattr(self, field.name), RANGES[field.name]
            if value is not None and not allowed(value):
                raise UserError(f"{field.name} = {value} is not possible: it must be {words}.")


GREEDY = Sampling()


def next_token(
    logits, temperature: float = 0.0, top_k: int | None = None, top_p: float | None = None,
    min_p: float | None = None, repetition_penalty: float | None = None, seen=None, generator=None,
):  # fmt: skip
    """Token ids (B,) drawn from logits (B, V); temperature 0 takes the most likely. See Sampling.

    seen (B, V) bool marks the tokens that each row holds already, for the repetition penalty.
    generator: a CPU torch.Generator.
    """
    logits = logits.float()
    if repetition_penalty is not None and seen is not None:
        logits = torch.where(seen, penalized(logits, repetition_penalty), logits)
    if temperature == 0:
        return logits.argmax(-1)
    probabilities = filtered(logits / temperature, top_k, top_p, min_p).softmax(-1)
    drawn = torch.multinomial(probabilities.cpu(), 1, generator=generator)
    return drawn[:, 0].to(logits.device)


def penalized(logits, penalty: float):
    """Divided where positive, multiplied where negative: always less likely for penalty > 1."""
    return torch.where(logits > 0, logits / penalty, logits * penalty)


def filtered(logits, top_k: int | None = None, top_p: float | None = None, min_p=None):
    """Logits with −∞ at all that is cut off, one filter after the other."""
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    if min_p is not None:
        logits = keep_min_p(logits, min_p)
    return logits


def keep_top_k(logits, k: int):
    """The k largest; all that tie with the last of them stay."""
    least = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < least, float("-inf"))


def keep_top_p(logits, p: float):
    """The fewest tokens whose probabilities sum to p or more: the nucleus."""
    ordered, order = logits.sort(descending=False)
    below = ordered.softmax(-1).cumsum(-1)  # of each token, with all less likely ones
    cut = below <= 1 - p
    cut[:, -1] = False  # one always stays
    return logits.masked_fill(torch.zeros_like(cut).scatter(-1, order, cut), float("-inf"))


def keep_min_p(logits, share: float):
    """Tokens at least `share` times as likely as the most likely one."""
    probabilities = logits.softmax(-1)
    least = share * probabilities.max(-1, keepdim=True).values
    return logits.masked_fill(probabilities < least, float("-inf"))
