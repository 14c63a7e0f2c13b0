"""Spread a batch over a Ray cluster: `minimodels grade … --engine ray`.

Each job is a Ray task, so that a machine that is lost costs only the jobs it was at: Ray runs them
again elsewhere. A worker keeps its judge between jobs. The course must lie at the same place on
every machine of the cluster, which needs a way to make boxes there.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace

from minimodels.classroom.grading.batch import Engine, Graded, Job, judge_one
from minimodels.classroom.grading.judge import Judge
from minimodels.errors import UserError

TRIES = 5  # times that a job may lose its machine
AT_ONCE = 256  # jobs that are on their way, with the files they need

_judges: dict[str, Judge] = {}  # of this worker process, by how the box is made


def ray(address: str = "") -> Engine:
    """An engine for batch.grade on the cluster at `address`, or on a new one of this machine.

    UserError if ray is not installed or does not answer.
    """

    def run(jobs: list[Job], box: str) -> Iterator[Graded]:
        if not jobs:
            return
        library = _connected(address)
        task = library.remote(max_retries=TRIES, num_cpus=1)(_one)
        waiting, pending = iter(jobs), []
        while True:
            for job in itertools.islice(waiting, AT_ONCE - len(pending)):
                pending.append(task.remote(replace(job, content=job.read()), box))
            if not pending:
                return
            done, pending = library.wait(pending, num_returns=1)
            yield from library.get(done)

    return run


def _connected(address: str):
    try:
        import ray as library
    except ImportError:
        raise UserError("ray is not installed: `pip install ray`, or grade without it.") from None
    if not library.is_initialized():
        try:
            library.init(address=address or None, log_to_driver=False, logging_level="warning",
                         include_dashboard=False)  # fmt: skip
        except (ConnectionError, RuntimeError, OSError) as problem:
            raise UserError(f"no Ray cluster answers at {address!r}: {problem}") from None
    return library


def _one(job: Job, box: str) -> Graded:
    """Runs in a worker of the cluster."""
    if box not in _judges:
        _judges[box] = Judge(box)
    return judge_one(_judges[box], job)
