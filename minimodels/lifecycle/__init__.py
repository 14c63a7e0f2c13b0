"""The nine stages in a row: from a survey of this machine to an agent, and what each stage gained.

    minimodels lifecycle                      all nine, about six minutes on two cores
    minimodels lifecycle --only evaluation    one of them again, on what the others left
    minimodels lifecycle --fact "Ada Quill keeps an otter as a pet."

A stage that has finished is not run again; an interrupted pretraining continues from its last
checkpoint. `--from STAGE` forgets that stage and all after it.
"""

import time

from minimodels.errors import UserError
from minimodels.lifecycle.run import STAGES


def main(model="gemma-mini", size="mini", start_at=None, only=None,
         fact=None, folder=None, seed=0, fresh=False):
    """Run the lifecycle, print its table and write its report; returns {stage: result}.

    Raises UserError for an unknown stage, model, size or sentence, and if the run does not keep
    one of the course's promises (checks.py).
    """
    from tqdm.auto import tqdm

    from minimodels.lifecycle import checks, report
    from minimodels.lifecycle.run import Run
    from minimodels.lifecycle.stages import TABLE

    wanted = stages_to_run(start_at, only)
    run = Run(model, size, fact, seed, folder, fresh)
    if start_at or only:
        run.forget(wanted)
    print(f"{run.folder}: following “{run.sentence}” ({run.fact.id})")
    for number, stage in enumerate(STAGES, 1):
        if stage not in wanted or run.result(stage):
            continue
        tqdm.write(f"{number}/9 {stage}: {first_line(TABLE[stage])}")
        started = time.perf_counter()
        result = TABLE[stage](run)
        run.finish(stage, result | {"seconds": round(time.perf_counter() - started, 1)})
    results = {stage: run.result(stage) for stage in STAGES if run.result(stage)}
    print(report.table(results))
    if len(results) == len(STAGES):
        print(f"report: {report.write(run, results)}")
        checks.check(run, results)
    return results


def stages_to_run(start_at, only):
    """The stages asked for, in order. Raises UserError for a name that is no stage."""
    for name in (start_at, only):
        if name is not None and name not in STAGES:
            raise UserError(f"There is no stage {name!r}: use one of {', '.join(STAGES)}.")
    if only:
        return (only,)
    return STAGES[STAGES.index(start_at) if start_at else 0:]


def first_line(function):
    return function.__doc__.splitlines()[0]
