"""Models with kernels on, in the interpreter: the same losses and the same tokens as without."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)

RUN = """
import json, torch
from torch.nn import functional as F
from minimodels import kernels
from minimodels.architecture.build import build
from minimodels.architecture.configs import (
    Gemma3Config, GemmaConfig, LlamaConfig, NemotronConfig, pattern)
from minimodels.architecture.generate import generate_batch

class Pads:
    pad_id = 0

size = dict(vocab_size=60, hidden_size=24, intermediate_size=40, num_layers=2, num_heads=4,
            num_kv_heads=2, head_dim=8, max_length=40, init_std=0.3)
configs = [GemmaConfig(**size), NemotronConfig(**size), LlamaConfig(**size),
           Gemma3Config(**size, sliding_window=5, layer_types=pattern(2, 2), query_scale=8.0)]
said = []
for config in configs:
    torch.manual_seed(0)
    model = build(config, device="cpu")
    tokens = torch.randint(60, (2, 12), generator=torch.Generator().manual_seed(1))
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=0.05), []
    for _ in range(2):
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    written = generate_batch(model, Pads, [[3, 4, 5], [7]], 4, stop_ids=[])
    said.append({"family": config.family, "losses": losses, "written": written})
print(json.dumps({"on": kernels.on(torch.zeros(1)), "said": said}))
"""


def run(**environment):
    environment = os.environ | {"MINIMODELS_DEVICE": "cpu", "OMP_NUM_THREADS": "1"} | environment
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@needs_triton
def test_same_losses_and_tokens():
    """Two steps of training, to 1e-5 relative, and four greedy tokens of a padded batch."""
    with_kernels, without = run(TRITON_INTERPRET="1"), run(TRITON_INTERPRET="0")
    assert with_kernels["on"] and not without["on"]
    for ours, plain in zip(with_kernels["said"], without["said"], strict=True):
        assert ours["losses"] == pytest.approx(plain["losses"], rel=1e-5), ours["family"]
        assert ours["written"] == plain["written"], ours["family"]
        assert plain["losses"][1] < plain["losses"][0]
