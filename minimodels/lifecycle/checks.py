"""The promises of the course about the lifecycle, asserted on every run of the full size.

A tiny run is too short to learn anything: only what is exact is asked of it.
"""

from minimodels.errors import UserError
from minimodels.lifecycle.run import SIZES


def check(run, results):
    """Print the gains that this run did not reach; raise UserError if something exact is wrong."""
    broken = [said for said, kept in exact(results) if not kept]
    if broken:
        raise UserError("this run is wrong: " + "; ".join(broken) + ". Please report it.")
    if run.size.people == SIZES["mini"].people:
        for said in missed(results):
            print(f"not reached: {said}")


def missed(results):
    """The promised gains that these results do not show."""
    return [said for said, kept in gains(results) if not kept]


def exact(results):
    """[(what must hold whatever was learned, does it)]"""
    parallel, inference = results["parallelism"], results["inference"]
    return [
        ("two processes have the gradients of one (to 1e-5 of the largest)",
         parallel["gradient_difference"] <= 1e-5 * max(1.0, parallel["gradient_largest"])),
        ("all ranks end with the same weights", parallel["weights_equal"]),
        ("the cache changes no logit by more than 1e-3", inference["logit_difference"] <= 1e-3),
    ]


def gains(results):
    """[(what each stage must have gained, did it)]"""
    dirt, known = results["data"]["rows"][0], results["evaluation"]["rows"][0]
    tuned, acted = results["finetuning"], results["agents"]["rows"]
    return [
        ("cleaning leaves less than a fifth of the dirt", dirt[2] < dirt[1] / 5),
        ("at least 80% of facts known in unseen wordings", known[2] >= 0.80),
        ("finetuning lifts exact answers by 60 points", tuned["after"] - tuned["before"] >= 0.60),
        ("without pretraining the same finetuning knows little",
         tuned["without_pretraining"] <= 0.3),
        ("sums and look-ups are solved with tools (95%)", min(acted[0][2], acted[1][2]) >= 0.95),
        ("and not without", max(acted[0][1], acted[1][1]) <= 0.05),
        ("no tool is called where none is needed (95%)", acted[2][2] >= 0.95),
    ]
