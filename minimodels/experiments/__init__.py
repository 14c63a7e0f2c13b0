"""Experiments that run too long for a notebook; each writes one small result file for its chapter.

An experiment is a function `run(seed) -> dict` of plain values. `minimodels experiment NAME` runs
it and stores what it returns beside the chapter (see results.py).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Experiment:
    """One row of the table below."""

    stage: str  # the folder of course/ that its result belongs to, "04_training"
    function: str  # "module:function", imported only when it runs
    about: str  # one sentence: what it measures, and how long it takes on two cores
    sources: tuple[str, ...]  # files or folders of the package whose code the result depends on


EXPERIMENTS: dict[str, Experiment] = {
    "before_transformers": Experiment(
        "03_architecture", "minimodels.experiments.before_transformers:run",
        "counting, windows, an LSTM and a transformer at equal FLOPs, twice; 6 minutes",
        ("minimodels/experiments/before_transformers.py",
         "minimodels/architecture/classic/ngram.py", "minimodels/architecture/classic/window.py",
         "minimodels/architecture/classic/lstm.py", "minimodels/architecture/classic/seq2seq.py",
         "minimodels/architecture/classic/translation.py", "minimodels/data/world.py",
         "minimodels/data/documents.py", "minimodels/data/wordings.py"),
    ),
    "blanks": Experiment(
        "03_architecture", "minimodels.experiments.blanks:run",
        "one network trained with a causal, an encoder's and GLM's mask fills blanks; 4 minutes",
        ("minimodels/experiments/blanks.py", "minimodels/architecture/families/bert.py",
         "minimodels/architecture/blanks.py", "minimodels/architecture/masks.py",
         "minimodels/data/wordings.py"),
    ),
    "cheaper_attention": Experiment(
        "03_architecture", "minimodels.experiments.cheaper_attention:run",
        "ten decoders of one size that keep more or less of a text, and their loss; 5 minutes",
        ("minimodels/experiments/cheaper_attention.py", "minimodels/experiments/mixers.py",
         "minimodels/architecture/mla.py", "minimodels/architecture/linear_attention.py",
         "minimodels/architecture/delta_rule.py", "minimodels/architecture/mamba2.py"),
    ),
    "cohort": Experiment(
        "00_start", "minimodels.experiments.cohort:run",
        "thirty invented students hand in a lab and are graded, beside nbgrader; 5 minutes",
        ("minimodels/experiments/cohort.py", "solutions/03_architecture/lab_attention_checks.py",
         "minimodels/classroom/grading/judge.py",
         "minimodels/classroom/handed_in/rebuild.py", "minimodels/classroom/grading/child.py"),
    ),
    "extrapolation": Experiment(
        "03_architecture", "minimodels.experiments.extrapolation:run",
        "a decoder with five kinds of positions, trained on 64 bytes, read to 512; 5 minutes",
        ("minimodels/experiments/extrapolation.py", "minimodels/architecture/positions.py",
         "minimodels/architecture/masks.py", "minimodels/architecture/rope.py"),
    ),
    "lifecycle": Experiment(
        "00_start", "minimodels.experiments.lifecycle:minis",
        "both families through all nine stages, and their checkpoints into the package; 15 minutes",
        ("minimodels/lifecycle/stages.py", "minimodels/data/world.py",
         "minimodels/data/documents.py", "minimodels/data/wordings.py",
         "minimodels/finetuning/conversations.py"),
    ),
    "lifecycle_seeds": Experiment(
        "00_start", "minimodels.experiments.lifecycle:seeds",
        "the lifecycle of gemma-mini with three seeds; 20 minutes",
        ("minimodels/lifecycle/stages.py", "minimodels/data/world.py",
         "minimodels/data/documents.py", "minimodels/data/wordings.py",
         "minimodels/finetuning/conversations.py"),
    ),
    "parity": Experiment(
        "03_architecture", "minimodels.experiments.parity:run",
        "every family in four shapes against Transformers: logits, gradients, caches; a minute",
        ("minimodels/experiments/parity.py", "minimodels/experiments/peers.py",
         "minimodels/architecture/attention.py", "minimodels/architecture/decoder.py"),
    ),
    "pictures": Experiment(
        "03_architecture", "minimodels.experiments.pictures:run",
        "a mini that sees, trained on drawn pictures, asked about others and shipped; 3 minutes",
        ("minimodels/experiments/pictures.py", "minimodels/data/pictures.py",
         "minimodels/architecture/vision/siglip.py", "minimodels/architecture/vision/projector.py",
         "minimodels/architecture/families/gemma3_vision.py"),
    ),
    "recall": Experiment(
        "03_architecture", "minimodels.experiments.recall:run",
        "which value stood behind a key, asked of attention and of fixed memories; 4 minutes",
        ("minimodels/experiments/recall.py", "minimodels/experiments/mixers.py",
         "minimodels/architecture/mla.py", "minimodels/architecture/linear_attention.py",
         "minimodels/architecture/delta_rule.py", "minimodels/architecture/mamba2.py"),
    ),
    "router_collapse": Experiment(
        "03_architecture", "minimodels.experiments.router_collapse:run",
        "mixtures of experts with and without balancing, on known kinds and on text; 4 minutes",
        ("minimodels/experiments/router_collapse.py", "minimodels/architecture/moe.py",
         "minimodels/architecture/routing.py", "minimodels/architecture/balancing.py"),
    ),
}
