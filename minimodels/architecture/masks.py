"""Who may look at whom: each mask is a bool table, True where a query (row) sees a key (column).

Masks combine as sets do: `causal(T) & documents(ids)` sees what both see, `|` what either sees.
Causal: arXiv 1706.03762. Prefix: T5, arXiv 1910.10683, figure 4. Blank infilling: GLM, arXiv
2103.10360, figure 2. Encoder: BERT, arXiv 1810.04805. Sliding window: Longformer, 2004.05150.
Shapes: (T, S), or (B, 1, T, S) where the rows of a batch differ; T queries end where S keys end.
"""

import torch


def places(T: int, S: int | None = None, device=None):
    """Slots of the T queries as a column (T, 1), of the S keys as a row (1, S); S ≥ T, or S = T."""
    S = T if S is None else S
    keys = torch.arange(S, device=device)
    return keys[S - T :, None], keys[None, :]


def causal(T: int, S: int | None = None, device=None):
    """A token sees itself and what stands before it: (T, S)."""
    query, key = places(T, S, device)
    return key <= query


def window(T: int, size: int, S: int | None = None, device=None):
    """The last `size` tokens up to itself: (T, S). Gemma's local layers."""
    query, key = places(T, S, device)
    return (key <= query) & (key > query - size)


def prefix(T: int, length: int, device=None):
    """The first `length` tokens see each other, the others look back: (T, T). T5, image tokens."""
    _, key = places(T, device=device)
    return causal(T, device=device) | (key < length)


def everything(T: int, device=None):
    """Each token sees all: (T, T). An encoder without padding."""
    return torch.ones(T, T, dtype=torch.bool, device=device)


def padded(real):
    """Each token sees the real ones: `real` (B, T) bool -> (B, 1, T, T). Padding sees itself too.

    A row without any key would make its softmax divide by zero.
    """
    itself = torch.eye(real.shape[1], dtype=torch.bool, device=real.device)
    return (real[:, None, :] | itself)[:, None]


def documents(ids):
    """A token sees its own document: `ids` (B, T) number the documents of packed rows.

    Returns (B, 1, T, T); `& causal(T)` makes it the mask of packed pretraining.
    """
    return (ids[:, :, None] == ids[:, None, :])[:, None]


def blank_infilling(context: int, blanks: int, device=None):
    """GLM: `context` tokens of part A see each other; `blanks` of part B see A and look back.

    (A + B, A + B): a prefix mask whose prefix is part A. What makes it infilling is the order of
    part B and its two positions, see blanks.py.
    """
    return prefix(context + blanks, context, device)
