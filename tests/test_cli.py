"""The command line: help with an example for each verb, one line for a mistake, honest codes."""

import shlex
import shutil
import subprocess
import sys

import pytest
from safetensors.torch import load_file, save_file
from typer.main import get_command
from typer.testing import CliRunner

from minimodels import cli, files
from minimodels.architecture.checkpoint import SHIPPED
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


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "/a"), OSError("odd")])
def test_what_the_system_refuses_is_one_line_too(monkeypatch, capsys, error):
    def refused():
        raise error

    monkeypatch.setattr(cli, "app", refused)
    with pytest.raises(SystemExit) as exit:
        cli.main()
    assert exit.value.code == 2
    assert capsys.readouterr().err in {
        "minimodels: /a: Permission denied.\n", "minimodels: odd.\n"
    }  # fmt: skip


def without_config(folder):
    (folder / "config.json").unlink()


def another_family(folder):
    files.write_json(folder / "config.json", {"model_type": "gpt_neox"})


def another_field(folder):
    fields = files.read_json(folder / "config.json")
    files.write_json(folder / "config.json", fields | {"attn_logit_softcapping": 50.0})


def half_the_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])


def one_tensor_less(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("model.norm.weight")
    save_file(tensors, folder / "model.safetensors")


def broken_tokenizer(folder):
    (folder / "tokenizer.model").write_bytes(b"")


def no_tokenizer(folder):
    (folder / "tokenizer.model").unlink()


BROKEN = [
    (without_config, "has no config.json"),
    (another_family, "model_type 'gpt_neox' is not supported"),
    (another_field, "attn_logit_softcapping = 50.0 is not implemented"),
    (half_the_weights, "model.safetensors is broken"),
    (one_tensor_less, "lacks model.norm.weight"),
    (broken_tokenizer, "is not a SentencePiece model"),
    (no_tokenizer, "has no tokenizer.model"),
]


@pytest.mark.parametrize("spoil, says", BROKEN, ids=[row[0].__name__ for row in BROKEN])
def test_chat_with_a_broken_folder_is_one_sentence(tmp_path, monkeypatch, capfd, spoil, says):
    shutil.copytree(SHIPPED / "gemma-mini-chat", tmp_path / "model")
    spoil(tmp_path / "model")
    told(monkeypatch, capfd, ["chat", "Hello", "--model", str(tmp_path / "model")], says)


@pytest.mark.parametrize("words, says", [
    (["chat", "Hello", "--model", "gemma-mini-chta"], "did you mean gemma-mini-chat"),
    (["chat", "Hello", "--model", "gemma-7b"], "not shipped with weights"),
    (["chat", "word " * 600], "but the model reads 512: shorten it"),
    (["experiment", "lifecycel"], "did you mean lifecycle"),
])  # fmt: skip
def test_what_is_wrong_is_one_sentence(monkeypatch, capfd, words, says):
    told(monkeypatch, capfd, words, says)


def told(monkeypatch, capfd, words, says):
    """Run a command in this process: exit code 2, and one line on stderr that says it."""
    monkeypatch.setattr(sys, "argv", ["minimodels", *words])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    shown = capfd.readouterr()
    assert exit.value.code == 2 and shown.out == ""
    assert shown.err.startswith("minimodels: ") and shown.err.count("\n") == 1
    assert says in shown.err


@pytest.mark.parametrize(
    "words, code",
    [
        ("start no-such-lab", 2),
        ("experiment no-such", 2),
        ("lifecycle --size x", 2),
        ("lifecycle --model gemma-7b", 2),
        ("no-such-verb", 2),
        ("experiment", 0),
    ],
)
def test_exit_codes(words, code):
    command = [sys.executable, "-m", "minimodels.cli", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_without_a_traceback(monkeypatch, capfd):
    from minimodels import lifecycle

    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(lifecycle, "main", interrupted)
    monkeypatch.setattr(sys, "argv", ["minimodels", "lifecycle", "--size", "tiny"])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    assert exit.value.code not in (0, None)
    assert "Traceback" not in capfd.readouterr().err
