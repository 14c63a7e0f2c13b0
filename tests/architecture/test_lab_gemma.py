"""The lab that builds Gemma beyond what every lab must pass: what it says, shows and forbids."""

import re

import pytest
import torch

from minimodels import files
from minimodels.architecture import gemma_lab, gemma_lab_figures
from minimodels.architecture.configs import get
from minimodels.architecture.count import count
from minimodels.architecture.hf.config_json import config_fields
from minimodels.classroom import lab as labs
from minimodels.classroom.grading.judge import Judge
from minimodels.classroom.normalize import source, tags
from minimodels.classroom.release import release
from minimodels.classroom.visible import NotYet
from tests.architecture.test_lab_attention import added, cells, run

LAB = labs.load(files.repository() / "solutions" / "03_architecture" / "lab_gemma.ipynb")
FIRST_OF_ITS_TASK = {mutant.task: mutant for mutant in reversed(LAB.mutants)}


@pytest.fixture(scope="module")
def judge():
    with Judge() as judge:
        yield judge


@pytest.fixture(scope="module")
def student():
    """The names of a student who wrote what stands in the master."""
    names = {"__name__": "lab"}
    for cell in cells(LAB.master):
        exec(cell, names)
    return names


@pytest.mark.parametrize("task", LAB.points())
def test_visible_checks_pass_the_solution_and_catch_a_mutant(task, capsys):
    run(LAB.master, task)
    assert capsys.readouterr().out.splitlines()[-1] == "public checks passed"
    with pytest.raises((NotYet, RuntimeError, KeyError)) as caught:
        run(labs.changed(LAB.master, FIRST_OF_ITS_TASK[task].replace), task)
    assert caught.type is not NotYet or "Hint: " in str(caught.value)


@pytest.mark.parametrize("name", ["gemma-2b", "gemma-7b", "gemma-3-270m", "gemma-3-1b",
                                  "gemma-3-4b", "gemma-3-12b", "gemma-3-27b"])  # fmt: skip
def test_the_solution_counts_what_is_published(student, name):
    config = config_fields(get(name))
    assert student["parameters"](config) == count(get(name)).total
    assert student["layer_kinds"](config) == list(get(name).kinds)


def test_the_config_in_the_notebook_is_that_of_the_1b(student):
    wanted = config_fields(get("gemma-3-1b"))
    assert all(wanted.get(field) == value for field, value in student["ONE_B"].items()
               if field != "sliding_window_pattern")  # fmt: skip
    assert student["layer_kinds"](student["ONE_B"]) == wanted["layer_types"]


def test_the_solution_reads_what_transformers_writes(student):
    """A checkpoint of theirs, in their fields, names and numbers."""
    transformers = pytest.importorskip("transformers")
    fields = config_fields(gemma_lab.GEMMA_3) | {"pad_token_id": None}
    theirs = transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**fields)).eval()
    torch.manual_seed(0)
    weights = {name: 0.4 * torch.randn(tensor.shape) for name, tensor
               in theirs.state_dict().items() if name != "lm_head.weight"}  # fmt: skip
    theirs.load_state_dict(weights, strict=False)
    theirs.tie_weights()
    tokens = torch.randint(fields["vocab_size"], (2, 19))
    with torch.no_grad():
        wanted = theirs(tokens).logits
    assert (student["gemma"](tokens, fields, weights) - wanted).abs().max() < 1e-3
    narrower = fields | {"sliding_window": 3}
    assert (student["gemma"](tokens, narrower, weights) - wanted).abs().max() > 0.1


@pytest.mark.parametrize("answer", [
    "rms_norm = lambda x, weight, eps: nn.functional.rms_norm(x, weight.shape, 1 + weight, eps)",
    "rms_norm = lambda x, weight, eps: torch.rms_norm(x, weight.shape, 1 + weight, eps)",
    "from minimodels.kernels.rms_norm import rms_norm",
    "from minimodels.architecture.norms import RMSNorm\n"
    "rms_norm = lambda x, weight, eps: RMSNorm(len(weight), eps)(x)",
])  # fmt: skip
def test_the_norm_cannot_be_borrowed(judge, answer):
    verdicts = judge.grade(LAB, added(release(LAB.master), answer))
    assert {verdict.task: verdict.points for verdict in verdicts}["norm"] == 0


def test_three_closed_hints_a_task_and_no_answer_in_them():
    texts = [source(cell) for cell in LAB.master["cells"] if "<summary>Hint 1" in source(cell)]
    assert len(texts) == len(LAB.points())
    code = "\n".join(cells(LAB.master))
    answers = "\n".join(re.findall(r"### BEGIN SOLUTION\n(.*?)### END", code, re.DOTALL))
    everybodys = {"if cache is not None:", 'if "q_norm.weight" in weights:',
                  'if config["model_type"] != "gemma":'}  # fmt: skip
    whole = {line.strip() for line in answers.splitlines() if len(line.strip()) > 12}
    for text in texts:
        assert text.count("<details><summary>Hint ") == text.count("</details>") == 3
        assert not (whole - everybodys) & {line.strip() for line in text.splitlines()}


def test_a_picture_for_each_task():
    shown = [cell for cell in LAB.master["cells"] if "play" in tags(cell)]
    assert len(shown) == len(LAB.points())
    for name in ("tensors", "normed", "gates", "wavelengths", "kinds", "attention", "blocks"):
        assert getattr(gemma_lab_figures, name)().axes[0].get_title()
    said = [text.get_text() for text in gemma_lab_figures.kinds(("gemma-3-1b",)).axes[0].texts]
    wanted = ["s" if kind == "sliding_attention" else "F" for kind in get("gemma-3-1b").kinds]
    assert said == [*wanted, "gemma-3-1b"]
