"""Removing copies: exact ones by hash, near ones by MinHash and locality-sensitive hashing.

A document becomes the set of its shingles (all runs of SHINGLE characters of the normalized text).
Two documents are as alike as their sets, by the Jaccard similarity s = |A ∩ B| / |A ∪ B|.
MinHash (Broder 1997): under a random hash the smallest shingle of A and of B is the same one with
probability s, so a signature of P such minima estimates s with standard error √(s(1−s)/P).
LSH (Indyk and Motwani 1998): cut the signature into b bands of r rows; two documents become
candidates if any band agrees, which happens with probability

    1 − (1 − s^r)^b          b = 16, r = 8: 0.06 at s = 0.5, 0.95 at 0.8, 1.00 at 0.9

Candidates are then compared by their true similarity, so that no chance merges two documents, and
must not contradict each other: one digit makes another sum, one name another biography, however
alike the wording.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

SHINGLE = 5  # characters
BANDS, ROWS = 16, 8
PERMUTATIONS = BANDS * ROWS
THRESHOLD = 0.75  # at least this similarity is a near duplicate


def deduplicate(
    documents: Iterable[dict], threshold: float = THRESHOLD
) -> tuple[list[dict], dict[str, str]]:
    """Drop exact, then near duplicates: (kept documents, {dropped id: kept id}).

    Of each group the first document survives. A document is compared with survivors only, so that
    a chain of small changes never merges two documents that are unlike.
    """
    kept, merged = exact(documents)
    kept, near = near_duplicates(kept, threshold)
    merged = {dropped: near.get(survivor, survivor) for dropped, survivor in merged.items()}
    return kept, merged | near


def exact(documents: Iterable[dict]) -> tuple[list[dict], dict[str, str]]:
    """Drop documents whose normalized text occurred before: (kept, {dropped id: kept id})."""
    first, kept, merged = {}, [], {}
    for document in documents:
        key = hashlib.sha256(normalize(document["text"]).encode()).digest()
        if key in first:
            merged[document["id"]] = first[key]
        else:
            first[key] = document["id"]
            kept.append(document)
    return kept, merged


def near_duplicates(
    documents: Sequence[dict], threshold: float = THRESHOLD
) -> tuple[list[dict], dict[str, str]]:
    """Drop near duplicates of earlier documents by MinHash-LSH: (kept, {dropped id: kept id})."""
    buckets: dict[bytes, list[int]] = {}  # band and its rows -> survivors
    sets, kept, merged = {}, [], {}
    for index, document in enumerate(documents):
        shingles = shingle_set(document["text"])
        keys = band_keys(signature(shingles))
        candidates = {other for key in keys for other in buckets.get(key, ())}
        survivor = _most_alike(document, shingles, candidates, documents, sets, threshold)
        if survivor is not None:
            merged[document["id"]] = documents[survivor]["id"]
            continue
        kept.append(document)
        sets[index] = shingles
        for key in keys:
            buckets.setdefault(key, []).append(index)
    return kept, merged


def _most_alike(document, shingles, candidates, documents, sets, threshold) -> int | None:
    best, found = threshold, None
    for other in sorted(candidates):
        alike = jaccard(shingles, sets[other])
        same_language = document["lang"] == documents[other]["lang"]  # of people or of programs
        if alike < best or not same_language:
            continue
        if not contradict(document["text"], documents[other]["text"]):
            best, found = alike, other
    return found


def normalize(text: str) -> str:
    """What a copy may change for nothing: case, spaces, punctuation, forms of one character."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[^\w+*/%<>=-]+", " ", text).split())


def contradict(one: str, other: str) -> bool:
    """Do the numbers differ, or has each a name (a word with a capital) that the other lacks?"""
    if sorted(re.findall(r"\d+", one)) != sorted(re.findall(r"\d+", other)):
        return True
    (names, words), (other_names, other_words) = _names(one), _names(other)
    return not names <= other_words and not other_names <= words


def _names(text: str) -> tuple[set[str], set[str]]:
    """Words with a capital and all words, letters sorted: two swapped ones are a slip."""
    words = re.findall(r"[^\W\d_\u4e00-\u9fff]+", text)
    keys = ["".join(sorted(word.casefold())) for word in words]
    capital = {key for key, word in zip(keys, words, strict=True) if word[0].isupper()}
    return capital, set(keys)


def shingle_set(text: str) -> np.ndarray:
    """Hashes of all runs of SHINGLE characters of the normalized text, sorted, without repeats."""
    letters = normalize(text).ljust(SHINGLE)
    letters = np.frombuffer(letters.encode("utf-32-le"), np.uint32).astype(np.uint64)
    runs = np.lib.stride_tricks.sliding_window_view(letters, SHINGLE)  # (shingles, SHINGLE)
    weights = np.array([0x100000001B3**k % 2**64 for k in range(SHINGLE)], np.uint64)
    return np.unique(_mix((runs * weights).sum(1)))


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """|A ∩ B| / |A ∪ B| of two arrays without repeats."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)


def signature(shingles: np.ndarray) -> np.ndarray:
    """The smallest shingle under each of PERMUTATIONS hash functions, (PERMUTATIONS,) uint32.

    Hash k is the upper half of (a_k · x + b_k) mod 2^64, multiply-shift (Dietzfelbinger 1996).
    """
    hashed = (shingles[:, None] * FACTORS + OFFSETS) >> np.uint64(32)  # (shingles, P)
    return hashed.min(0).astype(np.uint32)


def band_keys(minima: np.ndarray) -> list[bytes]:
    """One key a band: its number and its rows."""
    return [bytes([band]) + rows.tobytes() for band, rows in enumerate(minima.reshape(BANDS, ROWS))]


def candidate_probability(similarity, bands: int = BANDS, rows: int = ROWS):
    """1 − (1 − s^r)^b: how likely LSH compares two documents of similarity s."""
    return 1 - (1 - similarity**rows) ** bands


def _mix(x: np.ndarray) -> np.ndarray:
    """Scatter 64 bits (the finalizer of SplitMix64, Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


_draw = np.random.default_rng(20210)
FACTORS = _draw.integers(0, 2**63, PERMUTATIONS, np.uint64) * np.uint64(2) + np.uint64(1)
OFFSETS = _draw.integers(0, 2**63, PERMUTATIONS, np.uint64)
