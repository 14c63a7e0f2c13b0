"""The command `minimodels`: each verb calls one function of the package.

Nothing heavy is imported before a verb runs, so that --help answers at once.
"""

import json
import sys
from typing import Annotated, Literal

import typer

from minimodels.errors import UserError

app = typer.Typer(
    name="minimodels",
    help="Language models from an empty rack of servers to a working agent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Minis = Literal["gemma-mini", "nemotron-mini"]
Seed = Annotated[int, typer.Option(help="The same seed gives the same numbers.")]


def main() -> None:
    """Run the command line; a person's mistake becomes one line on stderr and exit code 2.

    So does what the system refuses: a folder that cannot be written, a disk that is full.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        app()
    except UserError as error:
        print(f"minimodels: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"minimodels: {where}{error.strerror or error}.", file=sys.stderr)
        sys.exit(2)


def example(line: str) -> dict[str, str]:
    """The example at the end of a verb's --help."""
    return {"epilog": f"Example: minimodels {line}"}


@app.command(**example("doctor"))
def doctor(as_json: Json = False) -> None:
    """Say what this machine has, what it lacks, and what to type next."""
    from minimodels import doctor

    raise typer.Exit(doctor.main(as_json))


@app.command(**example('new chapter 04_training/03_schedules --title "Why warm up?"'))
def new(
    kind: Annotated[str, typer.Argument(help="chapter or lab")],
    name: Annotated[str, typer.Argument(help="stage folder and name, as 04_training/03_schedules")],
    title: Annotated[str, typer.Option(help="The question that the chapter answers.")] = "",
) -> None:
    """Start a chapter or a lab from the pattern."""
    from minimodels.classroom.new import new

    for path in new(kind, name, title):
        print(f"wrote {path}")


@app.command(**example("start attention"))
def start(
    name: Annotated[str, typer.Argument(help="name of a lab, as attention")] = "",
) -> None:
    """Copy a lab into work/, where you solve it; without a name, list the labs."""
    from minimodels.classroom.student import copies, start

    if name:
        print(f"work on {start.start(name)}")
        if due := copies.due(copies.short(name)):
            print(due)
    else:
        print("\n".join(start.labs()))


@app.command(**example("check attention"))
def check(
    name: Annotated[str, typer.Argument(help="name of a lab that you started")],
    as_json: Json = False,
) -> None:
    """Run the visible checks of your lab in a clean process, as the grader would."""
    from minimodels.classroom.student.check import check

    report = check(name, tell=(lambda line: None) if as_json else _now)
    print(json.dumps(report.table(), indent=2) if as_json else report.closing())
    raise typer.Exit(0 if report.all_passed else 1)


@app.command(**example("submit attention"))
def submit(
    name: Annotated[str, typer.Argument(help="name of a lab that you started")] = "",
    verify: Annotated[str, typer.Option(help="a zip: does its receipt fit its notebook?")] = "",
) -> None:
    """Try your lab, pack it into work/submitted/, and print a receipt."""
    from minimodels.classroom.student import copies, submit

    if verify:
        print(submit.words(submit.verify(verify)))
        print("receipt and notebook fit")
        return
    if not name:
        raise UserError("submit needs the name of a lab: `minimodels start` lists them.")
    path, receipt = submit.submit(name, tell=_now)
    print(submit.words(receipt))
    print(f"hand in this file: {path}")
    if due := copies.due(receipt.lab):
        print(due)


@app.command(**example("update attention"))
def update(
    name: Annotated[str, typer.Argument(help="name of a lab; all you started if none")] = "",
) -> None:
    """Put a newer release of a lab beside your copy, with your answers in it."""
    from minimodels.classroom.student import update

    for done in update.update(name):
        print(update.words(done))


@app.command(**example("solution attention"))
def solution(name: Annotated[str, typer.Argument(help="name of a lab")]) -> None:
    """Open the solution of a lab that you passed, or tried five times."""
    from minimodels.classroom.student import solution

    opened = solution.solution(name)
    print(f"read {opened.path}")
    if opened.new:
        print(solution.HONOR)


@app.command(**example("progress"))
def progress(as_json: Json = False) -> None:
    """Show which chapters have run, which labs are passed, and what comes next."""
    from dataclasses import asdict

    from minimodels.classroom.student import progress

    if as_json:
        print(json.dumps([asdict(row) for row in progress.rows()], indent=2))
    else:
        progress.show()


def _now(line: str) -> None:
    """Print a line at once, into a pipe too."""
    print(line, flush=True)


@app.command(**example("release cohort.toml --out bundles"))
def release(
    cohort: Annotated[str, typer.Argument(help="the term's cohort.toml")] = "",
    out: Annotated[str, typer.Option(help="folder for the zip")] = ".",
    unpacked: Annotated[bool, typer.Option("--unpacked", help="write a folder as well")] = False,
    show: Annotated[bool, typer.Option("--example", help="print a cohort.toml, no more")] = False,
) -> None:
    """Make what the students of a term get: chosen labs and dates, no answers, checks or tests."""
    from minimodels.classroom import bundle

    if show:
        print(bundle.EXAMPLE, end="")
    elif cohort:
        bundle.main(cohort, out, unpacked)
    else:
        raise UserError("name the cohort.toml: `minimodels release --example` prints one.")


@app.command(**example("grade submissions.zip --cohort cohort.toml --out grades"))
def grade(
    place: Annotated[str, typer.Argument(help="folder, Canvas or Moodle zip, nbgrader exchange")],
    out: Annotated[str, typer.Option(help="folder for grades, feedback and reports")] = "grades",
    cohort: Annotated[str, typer.Option(help="the term's cohort.toml")] = "",
    engine: Annotated[Literal["local", "ray"], typer.Option(help="where it runs")] = "local",
    jobs: Annotated[int, typer.Option(min=0, help="how many at once; 0: one a core")] = 0,
    address: Annotated[str, typer.Option(help="of a running Ray cluster")] = "",
    without_sandbox: Annotated[str, typer.Option(help="a sentence; say any word to see it")] = "",
) -> None:
    """Grade what students handed in, each in a sandbox, and write grades, feedback, reports."""
    from minimodels.classroom.grading import command

    command.main(place, out, cohort, engine, jobs, address, without_sandbox)


grades = typer.Typer(help="What a lecturer does with grades.", no_args_is_help=True,
                     **example("grades export grades --anonymous study"))  # fmt: skip
app.add_typer(grades, name="grades")


@grades.command("export", **example("grades export grades --anonymous study"))
def grades_export(
    folder: Annotated[str, typer.Argument(help="folder that `minimodels grade` wrote")],
    anonymous: Annotated[str, typer.Option(help="new folder for a copy without names")],
) -> None:
    """Copy grades, what the judge said, and answers, with pseudonyms in the place of names."""
    from pathlib import Path

    from minimodels.classroom.reports.anonymous import export

    print(f"wrote {export(Path(folder), Path(anonymous))}: look through it before you share it")


@grades.command("delete", **example('grades delete grades "Jane Doe"'))
def grades_delete(
    folder: Annotated[str, typer.Argument(help="folder that `minimodels grade` wrote")],
    student: Annotated[str, typer.Argument(help="the full name, as grades.csv has it")],
) -> None:
    """Remove all data of one student; exit code 1 if the name still stands in a file."""
    from pathlib import Path

    from minimodels.classroom.reports.forget import delete

    done = delete(Path(folder), student)
    print("\n".join(f"removed {name}" for name in done.removed))
    print("\n".join(f"STILL NAMED in {name}: look at it" for name in done.left))
    print("out of reach: " + "; ".join(done.out_of_reach))
    raise typer.Exit(1 if done.left else 0)


@app.command(**example("lifecycle --size tiny"))
def lifecycle(
    model: Annotated[Minis, typer.Option(help="whose life it is")] = "gemma-mini",
    size: Annotated[Literal["mini", "tiny"], typer.Option(help="tiny for weak machines")] = "mini",
    start_at: Annotated[str | None, typer.Option("--from", help="start at this stage")] = None,
    only: Annotated[str | None, typer.Option(help="run this stage alone")] = None,
    fact: Annotated[str | None, typer.Option(help="a sentence of yours to follow")] = None,
    folder: Annotated[str | None, typer.Option(help="where checkpoints go")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget earlier runs")] = False,
    seed: Seed = 0,
) -> None:
    """Run the nine stages in a row and print what each gained."""
    from minimodels import lifecycle

    lifecycle.main(model=model, size=size, start_at=start_at, only=only, fact=fact, folder=folder,
                   seed=seed, fresh=fresh)  # fmt: skip


@app.command(**example("models --json"))
def models(as_json: Json = False) -> None:
    """List the models that the package can build, their sizes, and which are shipped."""
    from dataclasses import asdict

    import minimodels

    rows = minimodels.models()
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print(f"{'name':22} {'family':10} {'parameters':>16} {'of them embedding':>18}  shipped")
    for row in rows:
        shipped = "yes" if row.shipped else ""
        print(f"{row.name:22} {row.family:10} {row.parameters:>16,} "
              f"{row.embedding_parameters:>18,}  {shipped}")  # fmt: skip


@app.command(**example('chat "Where was Ada Bell born?"'))
def chat(
    prompt: Annotated[str, typer.Argument(help="a question; without one, a conversation")] = "",
    model: Annotated[str, typer.Option(help="name or folder of a model")] = "gemma-mini-chat",
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest")] = 0.0,
    seed: Seed = 0,
) -> None:
    """Ask a chat model one question, or talk until an empty line."""
    from minimodels.inference.talk import talk

    talk(model, prompt, temperature=temperature, seed=seed)


@app.command(**example("experiment NAME --seed 1"))
def experiment(
    name: Annotated[str, typer.Argument(help="name of an experiment")] = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Run a long experiment and store its result; without a name, list them."""
    from minimodels.experiments import EXPERIMENTS, results

    if name:
        print(f"wrote {results.run(name, seed)}")
    elif as_json:
        print(json.dumps({name: row.about for name, row in EXPERIMENTS.items()}, indent=2))
    else:
        for name, row in sorted(EXPERIMENTS.items()):
            print(f"{name:24} {row.about}")


bench = typer.Typer(help="Measure ours beside the peers', on this machine.", no_args_is_help=True,
                    **example("bench kernels rms_norm glu"))  # fmt: skip
app.add_typer(bench, name="bench")


@bench.command("kernels", **example("bench kernels rms_norm glu"))
def bench_kernels(
    names: Annotated[list[str] | None, typer.Argument(help="kernel files; all if none")] = None,
    as_json: Json = False,
) -> None:
    """Time our Triton kernels beside torch's and Liger's on a GPU, and say which goals are met."""
    from minimodels.bench import kernels

    raise typer.Exit(kernels.main(names or [], as_json))


@app.command(**example("cluster --json"))
def cluster(as_json: Json = False) -> None:
    """Survey this machine: cores, memory, bandwidth, and peak of its matrix units."""
    from dataclasses import asdict, is_dataclass

    from minimodels.cluster import survey

    found = survey.survey()
    table = asdict(found) if is_dataclass(found) else found
    if as_json:
        print(json.dumps(table, indent=2))
        return
    for name, value in table.items():
        print(f"{name.replace('_', ' '):28} {value}")


if __name__ == "__main__":
    main()
