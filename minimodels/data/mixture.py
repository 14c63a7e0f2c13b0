"""How much of what? A mixture by tokens: 70% English, 15% other languages, 15% code, as in
Nemotron-4 15B (Parmar et al. 2024, arXiv:2402.16819, section 2).

Where a group has fewer tokens than its share asks for, its documents are repeated; up to about four
epochs that costs little (Muennighoff et al. 2023, arXiv:2305.16264), so the report counts them.
"""

import random
from collections.abc import Callable, Iterable

from minimodels.errors import UserError

SHARES = {"english": 0.70, "multilingual": 0.15, "code": 0.15}


def group_of(document: dict) -> str:
    """"code" by kind, else "english" or "multilingual" by language."""
    if document["kind"] == "code":
        return "code"
    return "english" if document["lang"] == "en" else "multilingual"


def mix(
    documents: Iterable[dict],
    tokens_of: Callable[[dict], int],
    shares: dict[str, float] | None = None,
    total_tokens: int = 1_000_000,
    seed: int = 0,
) -> tuple[list[dict], dict[str, dict]]:
    """Choose documents so that each group has its share of about `total_tokens`, in random order.

    tokens_of: how many tokens a document becomes. Returns (documents, report), the report by group:
    {"target": share, "share": reached, "tokens", "documents", "epochs": times its documents are
    seen}. Raises UserError for shares that do not add up to 1 and for a group without documents.
    """
    shares = SHARES if shares is None else shares
    if abs(sum(shares.values()) - 1) > 1e-9 or min(shares.values()) < 0:
        raise UserError(f"the shares {shares} do not add up to 1, or one is negative: change them.")
    groups = {name: [] for name in shares}
    for document in documents:
        if group_of(document) in groups:
            groups[group_of(document)].append((document, tokens_of(document)))
    chosen = {}
    for name, share in shares.items():
        rng = random.Random(f"mixture {seed} {name}")
        chosen[name] = _fill(name, groups[name], share * total_tokens, rng)
    mixed = [document for taken in chosen.values() for document, _ in taken]
    random.Random(f"mixture {seed}").shuffle(mixed)
    return mixed, _report(shares, groups, chosen)


def _fill(name: str, group: list, target: float, rng: random.Random) -> list:
    """Take the group's documents in random order, round after round, up to `target` tokens."""
    taken, lacking = [], target
    if target > 0 and not any(tokens for _, tokens in group):
        raise UserError(f"there is no {name} document to mix: add some or set its share to 0.")
    while True:
        before = len(taken)
        for document, tokens in rng.sample(group, len(group)):
            if 0 < tokens < 2 * lacking:  # brings the sum closer to the target
                taken.append((document, tokens))
                lacking -= tokens
        if len(taken) == before:
            return taken


def _report(shares: dict, groups: dict, chosen: dict) -> dict[str, dict]:
    tokens = {name: sum(count for _, count in taken) for name, taken in chosen.items()}
    rows = {}
    for name, target in shares.items():
        available = sum(count for _, count in groups[name])
        rows[name] = {
            "target": target,
            "share": tokens[name] / max(sum(tokens.values()), 1),
            "tokens": tokens[name],
            "documents": len(chosen[name]),
            "epochs": tokens[name] / max(available, 1),
        }
    return rows
