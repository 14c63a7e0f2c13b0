"""The lifecycle at full size: both families, whose checkpoints are shipped, and three seeds."""

import torch

from minimodels import files, lifecycle
from minimodels.architecture import checkpoint
from minimodels.lifecycle.run import Run

FORMS = {"": "base", "-chat": "chat"}


def minis(seed=0):
    """{model: {stage: result}} of both families, whose base and chat forms go to shipped/."""
    shipped, results = files.repository() / "minimodels" / "shipped", {}
    for model in ("nemotron-mini", "gemma-mini"):  # the last one leaves its report
        results[model] = lifecycle.main(model=model, seed=seed)
        run = Run(model, seed=seed)
        for ending, form in FORMS.items():
            checkpoint.save(run.load(form), run.tokenizer, shipped / f"{model}{ending}",
                            dtype=torch.bfloat16)
    return results


def seeds(seed=0):
    """{seed: {what was measured: [before, after]}} of gemma-mini for three seeds from `seed` on.

    A seed changes the world, the documents, the dirt, the initial weights and the order of data.
    """
    table = {}
    for one in range(seed, seed + 3):
        results = lifecycle.main(model="gemma-mini", seed=one)
        table[str(one)] = {what: [before, after] for result in results.values()
                           for what, before, after in result["rows"]}
    return table
