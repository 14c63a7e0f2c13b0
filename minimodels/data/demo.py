"""What the chapters of stage 02 show: precision and recall, and the S-curve under a slider."""

from collections.abc import Callable, Sequence

import numpy as np

from minimodels.cluster.demo import live
from minimodels.data import dedup, figures

BANDS = [2, 4, 8, 16, 32, 64]
SIMILARITIES = (0.3, 0.45, 0.6, 0.7, 0.8, 0.9)


def precision_and_recall(
    objects: Callable[[dict], bool], documents: Sequence[dict], dirt: str | None = None
) -> tuple[float, float, list[dict]]:
    """(precision, recall, documents objected to) against the labels; `dirt` None means any kind."""
    wanted = {d["id"] for d in documents
              if d["labels"].get("dirt") and dirt in (None, d["labels"]["dirt"])}
    found = [d for d in documents if objects(d)]
    right = sum(d["id"] in wanted for d in found)
    return right / max(len(found), 1), right / max(len(wanted), 1), found


def invented_pair(similarity: float, rng, size: int = 200) -> list[np.ndarray]:
    """Two sets of `size` random shingles each that are as alike as asked, by Jaccard."""
    common = round(2 * size * similarity / (1 + similarity))
    drawn = rng.integers(0, 2**63, 2 * size - common, np.uint64)
    return [drawn[:size], np.concatenate([drawn[:common], drawn[size:]])]


def compared(bands: int, pairs: int = 60, seed: int = 0) -> list[tuple[float, float]]:
    """(similarity, share of invented pairs that agree in a whole band of their signatures)."""
    rng, points = np.random.default_rng(seed), []
    for similarity in SIMILARITIES:
        agree = [
            np.equal(*(dedup.signature(part).reshape(bands, -1)
                       for part in invented_pair(similarity, rng))).all(1).any()
            for _ in range(pairs)
        ]  # fmt: skip
        points.append((similarity, float(np.mean(agree))))
    return points


def bands_slider(first: int = dedup.BANDS):
    """The S-curve for a number of bands; dots are measured on invented pairs."""
    def draw(bands):
        rows = dedup.PERMUTATIONS // bands
        return figures.s_curve(bands, rows, dedup.THRESHOLD, compared(bands))

    return live(draw, BANDS, first, "bands")
