"""One run of the lifecycle: its settings, its folder, and what its stages have left there.

    runs/gemma-mini-mini/
        run.json              the settings; another setting needs another folder
        01_cluster.json …     what each finished stage measured
        tokenizer.model  tokens/  heldout/  pretraining/  base/  chat/
"""

import shutil
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from minimodels import files
from minimodels.architecture import checkpoint, configs
from minimodels.data.tokenizer import Tokenizer
from minimodels.data.world import World
from minimodels.errors import UserError

STAGES = ("cluster", "data", "architecture", "training", "parallelism", "finetuning", "inference",
          "evaluation", "agents")
DEFAULT_FACT = "Ada Quill keeps an otter as a pet."


@dataclass(frozen=True)
class Size:
    """How much of everything: what two cores do in minutes (mini), or in one (tiny)."""

    people: int
    documents: int  # clean ones, before dirt is added
    steps: int  # of pretraining
    batch_size: int  # windows a step
    seq_len: int
    tool_steps: int  # of finetuning: calling tools
    conversations: int  # to learn answers from
    finetune_steps: int  # on them
    items: int  # questions of each kind in evaluations
    tasks: int  # of each kind for the agent


SIZES = {
    "mini": Size(100, 38_000, 1200, 16, 128, 120, 8000, 240, 200, 60),
    "tiny": Size(20, 3_000, 40, 8, 64, 10, 300, 20, 24, 6),
}
LONGER = {"nemotron-mini": 1.5}  # without gates, and half of it vocabulary: it learns more slowly


class Run:
    """A run in its folder. Raises UserError if the folder holds a run with other settings."""

    def __init__(self, model="gemma-mini", size="mini", fact=None, seed=0,
                 folder=None, fresh=False):
        configs.get(model)  # an unknown name is told before anything runs
        if size not in SIZES:
            raise UserError(f"There is no size {size!r}: use {' or '.join(SIZES)}.")
        self.model, self.size, self.seed = model, SIZES[size], seed
        if model in LONGER:
            self.size = replace(self.size, steps=int(self.size.steps * LONGER[model]))
        self.sentence = " ".join((fact or DEFAULT_FACT).split())
        self.folder = Path(folder or default_folder(model, size, fact, seed))
        settings = {"model": model, "size": size, "seed": seed, "fact": self.sentence,
                    "numbers": asdict(self.size)}
        self.world, self.fact  # noqa: B018 – a sentence that is not understood is told now
        if fresh and self.folder.exists():
            shutil.rmtree(self.folder)
        self._claim(settings)

    def _claim(self, settings):
        path = self.folder / "run.json"
        if path.exists() and files.read_json(path) != settings:
            raise UserError(f"{self.folder} holds a run with other settings: "
                            "name another folder or add --fresh.")
        files.write_json(path, settings)

    # ---- the world -----------------------------------------------------------------------------

    @cached_property
    def _told(self):
        world = World(seed=1 + self.seed, people=self.size.people)
        return world, world.add_fact(self.sentence)

    @property
    def world(self):
        return self._told[0]

    @property
    def fact(self):
        """The reader's fact, followed through all stages."""
        return self._told[1]

    @property
    def taught(self):
        """The people whom finetuning asks about."""
        return self.world.people[: self.size.people * 3 // 4]

    @property
    def others(self):
        """The people whom it never mentions: the reader's is among them."""
        return self.world.people[self.size.people * 3 // 4 :]

    def facts_of(self, people, most=None):
        """Facts of some people, the reader's first."""
        facts = [fact for person in people for fact in self.world.facts_of(person).values()]
        facts.sort(key=lambda fact: (fact != self.fact, sha256(fact.id.encode()).hexdigest()))
        return facts[:most]

    # ---- what stages leave ---------------------------------------------------------------------

    def path(self, name):
        return self.folder / name

    def result_path(self, stage):
        return self.folder / f"{STAGES.index(stage) + 1:02d}_{stage}.json"

    def result(self, stage):
        """What a finished stage measured, or None."""
        path = self.result_path(stage)
        return files.read_json(path) if path.exists() else None

    def finish(self, stage, result):
        files.write_json(self.result_path(stage), result)

    def forget(self, stages):
        for stage in stages:
            self.result_path(stage).unlink(missing_ok=True)
            if stage == "training":
                shutil.rmtree(self.folder / "pretraining", ignore_errors=True)

    @property
    def tokenizer(self):
        self._need("tokenizer.model", "data")
        return Tokenizer(self.path("tokenizer.model"))

    def load(self, name):
        """The model in base/ or chat/."""
        self._need(name, {"base": "training", "chat": "finetuning"}[name])
        return checkpoint.load(self.path(name))[0].eval()

    def _need(self, name, stage):
        if not self.path(name).exists():
            raise UserError(f"{self.folder} has no {name} yet: "
                            f"run `minimodels lifecycle --from {stage}` first.")


def default_folder(model, size, fact, seed):
    name = f"{model}-{size}"
    if fact:
        name += "-" + sha256(fact.encode()).hexdigest()[:8]
    return Path("runs") / (f"{name}-seed{seed}" if seed else name)
