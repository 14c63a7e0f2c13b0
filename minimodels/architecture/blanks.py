"""GLM's blank infilling (arXiv 2103.10360, section 2.1): cut spans out, then write them one by one.

    text      x1 x2 x3 x4 x5 x6        spans: x3, and x5 x6
    part A    x1 x2 [M] x4 [M]         the text with one mask for each span
    part B    [S] x5 x6 [S] x3         the spans in a random order, each after a start mark
    targets   x5  x6 [E] x3 [E]        what each token of part B predicts
    position  1 2 3 4 5 | 5 5 5 3 3    in part A; for part B the place of its mask
    inside    0 0 0 0 0 | 1 2 3 1 2    in the span; 0 in part A

The network is never told how long a blank is: it ends when it writes the end mark.
"""

from dataclasses import dataclass

import torch

from minimodels.architecture import masks
from minimodels.errors import UserError

NO_TARGET = -100  # what torch's cross entropy leaves out


@dataclass(frozen=True)
class Marks:
    """Token ids with a meaning of their own."""

    mask: int
    start: int
    end: int


@dataclass(frozen=True)
class Blanked:
    """One text with blanks; all but `mask` have shape (T,), T = context + part B."""

    tokens: torch.Tensor
    targets: torch.Tensor  # NO_TARGET in part A
    positions: torch.Tensor  # counted from 0
    inside: torch.Tensor
    mask: torch.Tensor  # (T, T)
    context: int  # length of part A


def blank(tokens, spans, marks: Marks, order=None) -> Blanked:
    """Cut `spans`, a list of (start, end), out of `tokens`, a list of ids.

    order: in which spans are written, as indices; from left to right by default. Raises UserError
    for spans that overlap, touch nothing or lie outside.
    """
    spans = sorted(spans)
    check(spans, len(tokens))
    context, at, places = [], 0, []
    for start, end in spans:
        context += tokens[at:start]
        places.append(len(context))
        context.append(marks.mask)
        at = end
    context += tokens[at:]
    read, targets = list(context), [NO_TARGET] * len(context)
    positions, inside = list(range(len(context))), [0] * len(context)
    for index in range(len(spans)) if order is None else order:
        span = list(tokens[slice(*spans[index])])
        read += [marks.start, *span]
        targets += [*span, marks.end]
        positions += [places[index]] * (len(span) + 1)
        inside += range(1, len(span) + 2)
    mask = masks.blank_infilling(len(context), len(read) - len(context))
    rows = (torch.tensor(row) for row in (read, targets, positions, inside))
    return Blanked(*rows, mask, len(context))


def check(spans, length: int) -> None:
    """UserError unless the sorted spans are not empty, lie in the text and leave no overlap."""
    ends = [0, *(end for _, end in spans)]
    for (start, end), before in zip(spans, ends, strict=False):
        if not before <= start < end <= length:
            raise UserError(
                f"the span {start}:{end} is empty, overlaps another or leaves the {length} tokens: "
                "give spans as (start, end) inside the text."
            )


def draw_spans(length: int, share: float = 0.15, mean: float = 3.0, generator=None):
    """Random spans that cover at least `share` of `length` tokens, each a Poisson(mean) long.

    No two touch, so each has a mask of its own; empty draws count as one token.
    """
    free, spans, wanted = [True] * length, [], share * length
    for _ in range(20 * length):  # a text that is nearly full refuses most draws
        if sum(end - start for start, end in spans) >= wanted:
            break
        size = max(1, int(torch.poisson(torch.tensor(mean), generator=generator)))
        start = int(torch.randint(length, (1,), generator=generator))
        if start + size <= length and all(free[max(0, start - 1) : start + size + 1]):
            spans.append((start, start + size))
            free[start : start + size] = [False] * size
    return sorted(spans)


def collate(texts: list[Blanked], pad: int = 0):
    """Batch of unequal texts, padded right: tokens, targets, positions, inside (B, T), mask.

    The mask is (B, 1, T, T); padding sees itself and is seen by nobody.
    """
    longest = max(len(text.tokens) for text in texts)
    fills = {"tokens": pad, "targets": NO_TARGET, "positions": 0, "inside": 0}
    batch = {
        name: torch.stack([stretch(getattr(text, name), longest, fill) for text in texts])
        for name, fill in fills.items()
    }
    mask = torch.eye(longest, dtype=torch.bool).repeat(len(texts), 1, 1)  # (B, T, T)
    for row, text in zip(mask, texts, strict=True):
        row[: len(text.tokens), : len(text.tokens)] = text.mask
    return batch | {"mask": mask[:, None]}


def stretch(row, length: int, fill: int):
    """(t,) -> (length,), filled up at the end."""
    return torch.nn.functional.pad(row, (0, length - len(row)), value=fill)
