"""Learning-rate schedules: a step in, a learning rate out; no state to save."""

import math


def warmup_cosine(
    step: int, steps: int, peak: float, warmup_steps: int = 0, min_ratio: float = 0.1
) -> float:
    """Linear warm-up to `peak`, then half a cosine down to `peak · min_ratio` at the last step.

    `step` counts from 0, `steps` is the whole run. Loshchilov & Hutter 2017 (arXiv 1608.03983).
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps  # step 0 already learns
    progress = min(1.0, (step - warmup_steps) / max(1, steps - 1 - warmup_steps))
    return peak * (min_ratio + (1 - min_ratio) * 0.5 * (1 + math.cos(math.pi * progress)))
