"""Start a module of this package on several processes with torchrun, and never hang.

Workers are scripts in their own processes: a notebook must not fork a cell's function. A run that
fails or outlives its time is ended with everything it started, and tried once more, because the
rendezvous sometimes meets a port that another program took in between.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import psutil

from minimodels import files
from minimodels.errors import UserError
from minimodels.parallelism.train_ddp import Recipe, train_steps

TRIES = 2
OUTER = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK"}


def torchrun(module: str, arguments: list[str], processes: int = 2, timeout: float = 120) -> str:
    """Run `python -m module arguments` on `processes` local ranks; return what they printed.

    `timeout` is in seconds for each of two tries. Raises UserError with the last words of the
    workers if both fail, and after one try if a worker prints a line "error: …" of its own.
    """
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        "--nproc-per-node", str(processes), "-m", module, *arguments,
    ]
    for _ in range(TRIES):
        done, output = _once(command, _environment(processes), timeout)
        if done:
            return output
        if mistake := re.search(r"^error: (.*)", output, flags=re.MULTILINE):
            raise UserError(mistake[1])
    said = output.split(" failed (exitcode")[0].strip().splitlines()  # torchrun's own report
    raise UserError(
        f"{module} on {processes} processes failed {TRIES} times, run it by hand: "
        f"torchrun {' '.join(command[3:])}\n" + "\n".join(said[-15:])
    )


def run_two_processes(
    recipe: Recipe | None = None, timeout: float = 120, processes: int = 2
) -> tuple[dict, dict]:
    """Train `recipe` on two (or more) ranks by torchrun; the report and the first gradients.

    See `train_ddp.train_steps` for both. Raises UserError as `torchrun` does.
    """
    from safetensors.torch import load_file

    given = {name: value for name, value in asdict(recipe or Recipe()).items() if value is not None}
    with tempfile.TemporaryDirectory() as folder:
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        torchrun("minimodels.parallelism.train_ddp", [*arguments, f"--out={folder}"], processes,
                 timeout)
        report = files.read_json(Path(folder) / "report.json")
        return report, load_file(Path(folder) / "gradients.safetensors")


def compare_with_one(recipe: Recipe | None = None, timeout: float = 120) -> dict:
    """The same recipe on two processes and on one; the reports and the largest differences.

    Keys: "one", "two" (reports), "loss_difference", "gradient_difference" (largest absolute, over
    all steps and over all weights of the first step), "gradient_largest" (to compare with).
    """
    recipe = recipe or Recipe()
    two, theirs = run_two_processes(recipe, timeout)
    one, ours = train_steps(recipe)
    return dict(
        one=one, two=two,
        loss_difference=max(
            abs(a - b) for a, b in zip(one["losses"], two["losses"], strict=True)
        ),
        gradient_difference=max((ours[name] - theirs[name]).abs().max().item() for name in ours),
        gradient_largest=max(gradient.abs().max().item() for gradient in ours.values()),
    )


def _environment(processes: int) -> dict[str, str]:
    """One thread a worker, no traces of an outer torchrun, and GPUs only if there are enough."""
    import torch

    environment = {name: value for name, value in os.environ.items() if name not in OUTER}
    enough = os.environ.get("MINIMODELS_DEVICE") != "cpu" and torch.cuda.device_count() >= processes
    return environment | {
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "MINIMODELS_DEVICE": "cuda" if enough else "cpu",
    }


def _once(command: list[str], environment: dict, timeout: float) -> tuple[bool, str]:
    """Whether one try ended well, and its output; nothing it started is left behind."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment,
            start_new_session=True,
        )
        try:
            done, told = process.wait(timeout) == 0, ""
        except subprocess.TimeoutExpired:
            done, told = False, f"\nno end after {timeout:.0f} s"
        finally:
            _end(process)
        output.seek(0)
        return done, output.read().decode("utf-8", errors="replace") + told


def _end(process: subprocess.Popen) -> None:
    """Kill torchrun, if it still runs, and its workers, which have sessions of their own."""
    if process.poll() is not None:
        return
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()  # first, so that it starts none anew
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
    process.wait()
    psutil.wait_procs(workers, timeout=5)
