"""The command line: help with an example for each verb, one line for a mistake, honest codes."""

import shlex
import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from minimodels import cli
from minimodels.errors import UserError

VERBS = get_command(cli.app).commands


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_an_example_that_parses(verb):
    shown = CliRunner().invoke(cli.app, [verb, "--help"]).output
    example = shown.rsplit("Example: minimodels ", 1)[1].strip()
    assert example.split()[0] == verb
    words = shlex.split(" ".join(example.split()))
    VERBS[verb].make_context(verb, words[1:])  # raises on an unknown option


def test_help_answers_without_torch():
    code = ("import sys; sys.argv = ['minimodels', '--help']\n"
            "from minimodels import cli\ntry: cli.main()\nexcept SystemExit: pass\n"
            "sys.exit(len({'torch', 'numpy', 'matplotlib'} & set(sys.modules)))")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "lifecycle" in done.stdout, done.stderr


def test_a_mistake_is_one_line_and_exit_code_2(monkeypatch, capsys):
    def wrong():
        raise UserError("gemma-min is unknown: did you mean gemma-mini?")

    monkeypatch.setattr(cli, "app", wrong)
    with pytest.raises(SystemExit) as exit:
        cli.main()
    assert exit.value.code == 2
    shown = capsys.readouterr()
    assert shown.err == "minimodels: gemma-min is unknown: did you mean gemma-mini?\n"
    assert shown.out == ""


@pytest.mark.parametrize(
    "words, code",
    [
        ("start no-such-lab", 2),
        ("experiment no-such", 2),
        ("lifecycle --size x", 2),
        ("no-such-verb", 2),
        ("experiment", 0),
    ],
)
def test_exit_codes(words, code):
    command = [sys.executable, "-m", "minimodels.cli", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
