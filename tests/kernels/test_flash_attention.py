"""Attention's kernels without the interpreter: references, refused input, the compiled text."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from minimodels.architecture.attention import attention_by_hand, visible
from minimodels.errors import UserError
from minimodels.kernels.decode_attention import decode_attention
from minimodels.kernels.flash_attention import flash_attention, seen_reference
from minimodels.kernels.paged_attention import paged_attention

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def run(code, *arguments, **environment):
    command = [sys.executable, "-c", code, *arguments]
    environment = os.environ | {"MINIMODELS_DEVICE": "cpu", "TRITON_INTERPRET": "0"} | environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def draw(B=2, H=4, K=2, T=9, S=13, d=8, **options):
    torch.manual_seed(0)
    shapes = (B, H, T, d), (B, K, S, d), (B, K, S, d)
    return [torch.randn(shape, **options) for shape in shapes]


def test_imports_without_triton():
    code = "import sys; sys.modules['triton'] = None\n"
    code += "import minimodels.kernels.flash_attention_backward, minimodels.kernels.paged_attention"
    assert run(code) == ""


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("window", [None, 4])
def test_reference_is_the_models_attention(window, softcap):
    q, k, v = draw()
    mask = visible(4, 9, window=window)
    wanted = attention_by_hand(q, k, v, mask, 0.3, softcap)
    out, lse = flash_attention(q, k, v, window=window, softcap=softcap, scale=0.3)
    torch.testing.assert_close(out, wanted)
    assert lse.shape == (2, 4, 9) and lse.dtype == torch.float32
    wrong = attention_by_hand(q, k, v, visible(4, 9, window=5), 0.3, softcap)
    assert (out - wrong).abs().max() > 1e-3


def test_reference_of_documents_is_each_document_alone():
    q, k, v = draw(B=1, T=13)
    ids = torch.tensor([[-1] * 3 + [4] * 4 + [5] * 6])
    out, lse = flash_attention(q, k, v, segments=ids)
    for first, last in ((3, 7), (7, 13)):
        alone = attention_by_hand(*(x[:, :, first:last] for x in (q, k, v)))
        torch.testing.assert_close(out[:, :, first:last], alone)
    assert (out[:, :, :3] == 0).all() and (lse[:, :, :3] == -float("inf")).all()
    assert seen_reference(13, 13, segments=ids).sum() == 4 * 5 / 2 + 6 * 7 / 2


def test_references_of_decoding():
    q, k, v = draw(T=1)
    for window in (None, 4):
        wanted = flash_attention(q, k, v, window=window, softcap=2.0)[0]
        torch.testing.assert_close(decode_attention(q, k, v, window, 2.0), wanted)
        pools = [x.transpose(1, 2)[:, :12].reshape(6, 4, 2, 8) for x in (k, v)]
        table, lengths = torch.tensor([[0, 1, 2], [3, 4, 5]]), torch.tensor([12, 9])
        out = paged_attention(q, *pools, table, lengths, window, 2.0)
        alone = decode_attention(q[1:], k[1:, :, :9], v[1:, :, :9], window, 2.0)
        torch.testing.assert_close(out[1:], alone)


BAD = {
    "k is on meta, q on cpu": lambda q, k, v: flash_attention(q, k.to("meta"), v),
    "q is torch.float64": lambda q, k, v: flash_attention(q.double(), k, v),
    "give one dtype": lambda q, k, v: flash_attention(q.half(), k, v),
    "4 heads of q do not share 3 heads": lambda q, k, v: flash_attention(q, *draw(K=3)[1:]),
    "heads of 264 numbers": lambda q, k, v: flash_attention(*draw(d=264)),
    r"v has shape \(2, 2, 13, 9\)": lambda q, k, v: flash_attention(q, k, draw(d=9)[2]),
    "window=0": lambda q, k, v: flash_attention(q, k, v, window=0),
    "window=3": lambda q, k, v: flash_attention(q, k, v, window=3, causal=False),
    "scale=-1.0": lambda q, k, v: flash_attention(q, k, v, scale=-1.0),
    "softcap=0.0": lambda q, k, v: flash_attention(q, k, v, softcap=0.0),
    "softcap=-2 must": lambda q, k, v: decode_attention(q[:, :, :1], k, v, softcap=-2),
    "segments is torch.float32": lambda q, k, v: flash_attention(q, k, v, segments=q[:, 0, 0]),
    "segments has shape": lambda q, k, v: flash_attention(
        q, k, v, segments=torch.zeros(2, 12, dtype=torch.int64)
    ),
    "give one query": decode_attention,
    "no gradient": lambda q, k, v: decode_attention(q[:, :, :1].requires_grad_(), k, v),
    "the table holds 26 keys": lambda q, k, v: paged_attention(
        q[:, :, :1], k.transpose(1, 2), v.transpose(1, 2), torch.tensor([[0, 1]] * 2),
        torch.tensor([26, 27]),
    ),
    "block_table is torch.float32": lambda q, k, v: paged_attention(
        q[:, :, :1], k.transpose(1, 2), v.transpose(1, 2), torch.zeros(2, 2), torch.tensor([1, 1])
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", BAD)
def test_bad_input(message):
    with pytest.raises(UserError, match=message):
        BAD[message](*draw())


INSTRUCTIONS = """
from minimodels.kernels.compile import builds, compile_build
for file in ("flash_attention", "flash_attention_backward"):
    for build in builds(file):
        target = build.targets[0]
        if "128" in build.name and target != "gfx942":
            text = compile_build(build, target).asm["ptx"]
            print(target, text.count("wgmma.mma_async"), text.count("mma.sync"))
"""


@needs_triton
def test_tensor_cores_are_used(tmp_path):
    """mma.sync on an A100, wgmma on an H100, in forward and in both kernels of backward."""
    lines = run(INSTRUCTIONS, TRITON_CACHE_DIR=str(tmp_path)).splitlines()
    assert len(lines) == 6
    for target, wgmma, mma in map(str.split, lines):
        assert (int(wgmma) > 0, int(mma) > 0) == (target == "sm_90", target == "sm_80")


@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("d", [64, 80, 128, 256])
def test_on_a_gpu(d, dtype):
    """Values and gradients of the kernels against the reference in float64's place: float32."""
    q, k, v = draw(T=300, S=700, d=d, device="cuda", dtype=dtype)
    told = dict(window=150, softcap=3.0, segments=torch.arange(700, device="cuda")[None] // 400)
    told["segments"] = told["segments"].expand(2, 700)
    ours = [x.clone().requires_grad_() for x in (q, k, v)]
    theirs = [x.float().requires_grad_() for x in (q, k, v)]
    out, _ = flash_attention(*ours, **told)
    mask = seen_reference(300, 700, True, 150, told["segments"], "cuda")
    wanted = attention_by_hand(*theirs, mask, None, 3.0)
    pull = torch.randn_like(wanted)
    out.backward(pull.to(dtype)), wanted.backward(pull)
    tolerance = 1e-4 if dtype == torch.float32 else 3e-2
    torch.testing.assert_close(out.float(), wanted, rtol=tolerance, atol=tolerance)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad.float(), other.grad, rtol=tolerance, atol=tolerance)


@needs_gpu
@pytest.mark.parametrize("S", [1, 300, 20_000])
def test_decoding_on_a_gpu(S):
    q, k, v = draw(T=1, S=S, d=128, device="cuda", dtype=torch.bfloat16)
    wanted = attention_by_hand(q.float(), k.float(), v.float())
    torch.testing.assert_close(decode_attention(q, k, v).float(), wanted, rtol=2e-2, atol=2e-2)
