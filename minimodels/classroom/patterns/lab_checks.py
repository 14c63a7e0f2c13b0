"""Private checks of this lab: never released. Points of a task add up to its grade cell's."""

from minimodels.classroom.lab import Alternative, Check, Mutant

FORBIDDEN = []


def rows(rng):
    return {"x": rng.normal(size=(5, 16)).astype("float32")}


def scale(namespace, inputs):
    import torch

    return namespace["scaled"](torch.from_numpy(inputs["x"]), 16)


CHECKS = [
    Check("scale", scale, rows, points=2, why="unit variance", message="Which power of d?"),
]

MUTANTS = [
    Mutant("scale", {"math.sqrt(d)": "d"}, 0, "Which power of d?"),
    Mutant("scale", {"x / math": "x * math"}, 0, "values differ"),
    Mutant("scale", {"return x": "return x.double()"}, 0, "dtype"),
]

ALTERNATIVES = [
    Alternative("a power", {"x / math.sqrt(d)": "x * d ** -0.5"}),
]
