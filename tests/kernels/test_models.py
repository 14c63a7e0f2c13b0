"""Models with kernels on: the same losses, logits and tokens as without, and the kernels ran."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

ATTENDS = {"flash_attention", "decode_attention"}
LEARNS = {"flash_attention", "flash_attention_backward", "rope", "cross_entropy", "adamw"}
RAN = {  # what must have run, beside LEARNS and, where text is written, ATTENDS
    "gemmas": {
        "gemma": {"rms_norm", "glu"},
        "gemma 2": {"rms_norm", "glu"},
        "gemma 3": {"rms_norm", "glu"},
    },
    "others": {
        "nemotron": {"layer_norm", "glu"},
        "llama": {"rms_norm", "glu"},
        "mixtral": {"rms_norm", "grouped_matmul", "routing"},
        "lora": {"lora"},
        "lora in bf16": {"lora"},
        "mixtral in bf16": {"grouped_matmul", "routing"},
    },
    "readers": {
        "gemma 2 reads": ATTENDS,
        "gemma 3 reads": ATTENDS,
        "gpt2 reads": ATTENDS,
        "bloom reads": set(),  # a bias on each score
        "deepseek reads": {"grouped_matmul", "rms_norm"},  # values narrower than keys
        "gemma 3n reads": ATTENDS | {"rms_norm"},
        "gemma 4 reads": ATTENDS | {"rms_norm", "grouped_matmul", "routing"},  # where it slides
        "nemotron-h reads": ATTENDS | {"rms_norm", "grouped_matmul"},
    },
}
DRAWS = {"bloom reads", "deepseek reads", "gemma 4 reads"}  # a mask, for attention in torch


def run(group: str, interpret: bool, place="cpu") -> dict:
    environment = os.environ | {
        "MINIMODELS_DEVICE": place, "OMP_NUM_THREADS": "1", "TRITON_INTERPRET": str(int(interpret)),
    }  # fmt: skip
    command = [sys.executable, Path(__file__).with_name("model_runs.py"), group]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def same(ours: dict, plain: dict, within: float) -> None:
    """Losses and logits up to rounding, greedy tokens exactly."""
    assert ours["on"] and not plain["on"] and ours["said"].keys() == plain["said"].keys()
    for name, said in ours["said"].items():
        wanted, size = plain["said"][name], 2e-2 if "bf16" in name else within
        for numbers in ("losses", "logits"):
            assert said.get(numbers) == pytest.approx(wanted.get(numbers), abs=size), name
        assert said.get("written") == wanted.get("written"), name
        if "losses" in wanted:
            assert wanted["losses"][1] < wanted["losses"][0]


@needs_triton
@pytest.mark.parametrize("group", RAN)
def test_same_losses_logits_and_tokens(group):
    """Two steps of training, three greedy tokens of a padded batch; bf16 rounds in another order.

    Readers take a padded batch in pieces. Kernels need no mask, torch draws some.
    """
    ours, plain = run(group, True), run(group, False)
    same(ours, plain, 2e-5)
    assert ours["said"].keys() == RAN[group].keys()
    for name, kernels in RAN[group].items():
        said, drawn = ours["said"][name], plain["said"][name]["counts"]
        needed = kernels | (LEARNS if "losses" in said else set())
        needed |= ATTENDS if "written" in said else set()
        assert needed <= said["counts"].keys(), name
        assert (said["counts"].get("masks", 0) > 0) == (name in DRAWS), name
        padded = "written" in said or "logits" in said
        assert drawn.keys() == {"masks"} and (drawn["masks"] > 0) == padded, name


@needs_gpu
@pytest.mark.parametrize("group", RAN)
def test_same_on_a_gpu(group):
    """Compiled; a GPU sums in another order, and multiplies float32 exactly."""
    same(run(group, False, "cuda"), run(group, False), 1e-3)
