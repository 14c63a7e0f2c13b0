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
    from minimodels.classroom.student import start

    if name:
        print(f"work on {start.start(name)}")
    else:
        print("\n".join(start.labs()))


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
