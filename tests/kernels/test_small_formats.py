"""FP8 and MX products without the interpreter: references, refused input, the compiled text."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from minimodels.errors import UserError
from minimodels.kernels.checks import NO_FP8, fp8_hardware, halved_fp8
from minimodels.kernels.fp8_matmul import fp8_linear, fp8_matmul, fp8_matmul_reference, tile_for
from minimodels.kernels.fp8_quantize import fp8_quantize, fp8_quantize_reference
from minimodels.kernels.mx_matmul import has_native, mx_matmul, mx_matmul_reference
from minimodels.kernels.quant import decode, encode

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
X, W = torch.randn(2, 200, 256, generator=torch.Generator().manual_seed(0))


def run(code, *arguments, **environment):
    command = [sys.executable, "-c", code, *arguments]
    environment = os.environ | {"MINIMODELS_DEVICE": "cpu", "TRITON_INTERPRET": "0"} | environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def test_imports_without_triton():
    code = "import sys; sys.modules['triton'] = None\n"
    code += "import minimodels.kernels.fp8_matmul, minimodels.kernels.mx_matmul"
    assert run(code) == ""


def test_references_are_products_of_what_the_codes_mean():
    x, w = fp8_quantize(X), fp8_quantize(W, rows=128)
    wanted = decode(x) @ decode(w).T
    assert torch.equal(fp8_matmul(X, w), wanted) and torch.equal(fp8_matmul(x, w), wanted)
    apart = (wanted - X @ W.T).norm() / (X @ W.T).norm()
    assert 0.01 < apart < 0.06  # three bits of mantissa round by up to a sixteenth
    for name, most in (("mxfp4", 0.2), ("mxfp8", 0.06)):
        q = encode(W, name)
        assert torch.equal(mx_matmul(X, q), X @ decode(q).T)
        apart = (mx_matmul(X, q) - X @ W.T).norm() / (X @ W.T).norm()
        assert most / 5 < apart < most
        both = mx_matmul(encode(X, "mxfp8"), q)
        assert torch.equal(both, decode(encode(X, "mxfp8")) @ decode(q).T)


def test_reference_of_training():
    x, weight = X[:64].clone().requires_grad_(), W[:128].clone().requires_grad_()
    y = fp8_linear(x, weight)
    y.backward(torch.ones_like(y))
    wanted = torch.ones(64, 128) @ decode(fp8_quantize(W[:128], rows=128))  # a row of 1 is exact
    torch.testing.assert_close(x.grad, wanted)
    torch.testing.assert_close(weight.grad, torch.ones(128, 64) @ X[:64])


def test_small_blocks_save_what_stands_beside_an_outlier():
    """One number of 10⁴ in a row: a scale for the row loses small numbers, one for 128 does not."""
    x = X.abs().clamp(min=0.01) / 100
    x[:, 0] = 1e4
    beside = slice(128, 256)
    errors = [
        ((decode(q)[:, beside] - x[:, beside]).norm() / x[:, beside].norm()).item()
        for q in (encode(x, "fp8_e4m3"), fp8_quantize(x))
    ]
    assert errors[0] > 10 * errors[1] and errors[1] < 0.04


def test_mi300s_codes_mean_half():
    """All 256 codes: what the kernel does to them before it calls them float8e4b8."""
    codes = torch.arange(256).to(torch.uint8)
    half = torch.where(codes == 128, 0, codes).to(torch.uint8).view(torch.float8_e4m3fnuz).float()
    usual = codes.view(torch.float8_e4m3fn).float()
    known = ~usual.isnan()
    assert known.sum() == 254 and torch.equal(2 * half[known], usual[known])
    assert codes[128:129].view(torch.float8_e4m3fnuz).float().isnan()  # why −0 is taken out


def test_a_gpu_without_fp8_is_told(monkeypatch):
    on_gpu = SimpleNamespace(is_cuda=True, device="cuda:0")
    monkeypatch.setattr(torch.version, "hip", None)
    for capability, told in (((8, 0), True), ((8, 9), False), ((9, 0), False)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda d, c=capability: c)
        if told:
            with pytest.raises(UserError) as error:
                fp8_hardware("fp8_matmul", on_gpu)
            assert str(error.value) == f"fp8_matmul: {NO_FP8}"
        else:
            fp8_hardware("fp8_matmul", on_gpu)
        assert not has_native(on_gpu) and not halved_fp8(on_gpu)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda d: (10, 0))
    assert has_native(on_gpu) and not has_native(X)


def test_amds_kinds(monkeypatch):
    on_gpu = SimpleNamespace(is_cuda=True, device="cuda:0")
    monkeypatch.setattr(torch.version, "hip", "6.4")
    for name, halved in (("gfx942:sramecc+:xnack-", True), ("gfx950", False), ("gfx90a", False)):
        properties = SimpleNamespace(gcnArchName=name)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda d, p=properties: p)
        assert halved_fp8(on_gpu) == halved and not has_native(on_gpu)
        fp8_hardware("fp8_matmul", on_gpu)
    assert not halved_fp8(X)


Q8 = encode(W, "fp8_e4m3", block=128, rows=128)


@pytest.mark.parametrize("call, named", [
    (lambda: fp8_quantize(X[:, :200]), "fp8_quantize: x has rows of 200"),
    (lambda: fp8_quantize(X / 0), "x holds NaN or infinity"),
    (lambda: fp8_matmul(X, encode(W, "fp8_e4m3")), "weight is fp8_e4m3 in blocks of 1 × 256"),
    (lambda: fp8_matmul(X, encode(W, "fp8_e5m2", 128, 128)), "weight is fp8_e5m2"),
    (lambda: fp8_matmul(X[:, :128], Q8), r"x has shape \(200, 128\), not \(200, 256\)"),
    (lambda: fp8_linear(X, W), "weight has 200 rows, no multiple of 128"),
    (lambda: mx_matmul(X, Q8), "weight is fp8_e4m3, 2 scales for 256 numbers"),
    (lambda: mx_matmul(X[:, :128], encode(W, "mxfp4")), "x has rows of 128, weight of 256"),
])  # fmt: skip
def test_bad_input(call, named):
    with pytest.raises(UserError, match=named):
        call()


INSTRUCTIONS = [  # file, build, target, what its text holds, what it does not
    ("fp8_quantize", "fp8_quantize rows", "sm_90", r"cvt\.rn\.satfinite\.e4m3x2\.f32", "mma"),
    ("fp8_matmul", "fp8_matmul 4096", "sm_90",
     r"wgmma\.mma_async\.sync\.aligned\.m64n128k32\.f32\.e4m3\.e4m3", r"cvt.*e4m3"),
    ("fp8_matmul", "fp8_matmul 64", "sm_90",
     r"wgmma\.mma_async\.sync\.aligned\.m64n64k32\.f32\.e4m3\.e4m3", r"cvt.*e4m3"),
    ("fp8_matmul", "fp8_matmul 4096 halved", "gfx942", "v_mfma_f32_32x32x16_fp8_fp8", "mfma.*f16"),
    ("mx_matmul", "mx_matmul 512 bf16 e2m1", "sm_90",
     r"wgmma\.mma_async\.sync\.aligned\.m64n\d+k16\.f32\.bf16\.bf16", "e4m3"),
    ("mx_matmul", "mx_matmul 512 fp16 e2m1", "sm_90", r"wgmma.*\.tf32\.tf32", r"f16\.f16"),
    ("mx_matmul", "mx_matmul 64 bf16 e4m3", "sm_80", r"mma\.sync.*bf16\.bf16", "wgmma|e4m3x2"),
    ("mx_matmul", "mx_native e2m1 e2m1", "sm_100",
     r"tcgen05\.mma\.cta_group::1\.kind::mxf4\.block_scale", "kind::f16"),
    ("mx_matmul", "mx_native e4m3 e2m1", "sm_100",
     r"tcgen05\.mma\.cta_group::1\.kind::mxf8f6f4\.block_scale", "kind::f16"),
]  # fmt: skip

TEXTS = """
import json, sys
from minimodels.kernels.compile import builds, compile_build, resources
texts = {}
for file, name, target in json.loads(sys.argv[1]):
    (build,) = [build for build in builds(file) if build.name == name]
    compiled = compile_build(build, target)
    text = compiled.asm.get("ptx") or compiled.asm["amdgcn"]
    texts[name] = [text, resources(compiled).spilled]
print(json.dumps(texts))
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """All compiled in one process: build -> its text and the bytes it spills."""
    cache = str(tmp_path_factory.mktemp("cache"))
    wanted = json.dumps([case[:3] for case in INSTRUCTIONS])
    return json.loads(run(TEXTS, wanted, TRITON_CACHE_DIR=cache))


@needs_triton
@pytest.mark.parametrize("case", INSTRUCTIONS, ids=lambda case: f"{case[1]} {case[2]}")
def test_compiled_text(case, texts):
    """The instruction that the file's docstring promises is there, and the detour is not."""
    _, name, _, has, lacks = case
    text, spilled = texts[name]
    assert re.search(has, text) and not re.search(lacks, text) and spilled == 0


@needs_triton
def test_partial_sums_are_of_128(texts):
    """Four products of 32 places, the first of which begins at 0, and then a multiply-add in
    float32 for each number of the tile: section 3.3.2 of DeepSeek-V3's report."""
    lines = texts["fp8_matmul 4096"][0].splitlines()
    products = [line for line in lines if "wgmma.mma_async" in line]
    begins = [re.search(r"(\S+), 1, 1;$", line).group(1) for line in products]  # 0: not added to
    assert len(begins) == 4 and begins[0] == "0" and "0" not in begins[1:]
    assert sum("fma.rn.f32" in line for line in lines) == 128 * 128 // 256  # 8 warps of 32


def test_tiles_lie_in_one_tile_of_scales():
    for M in (1, 17, 65, 10_000):
        for halved in (False, True):
            assert 128 % tile_for(M, halved)[0]["BLOCK_N"] == 0


@needs_gpu
@pytest.mark.parametrize("shape", [(1, 512, 2048), (50, 2000, 4096), (3000, 1000, 4096)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_on_a_gpu(shape, dtype):
    """FP8 sums in tensor cores keep about 14 bits: looser than the interpreter's."""
    M, N, K = shape
    x = torch.randn(M, K, device="cuda", dtype=dtype)
    weight = torch.randn(N, K, device="cuda", dtype=dtype)
    for rows in (1, 128):
        got, wanted = fp8_quantize(weight, rows), fp8_quantize_reference(weight, rows)
        assert torch.equal(got.codes, wanted.codes) and torch.equal(got.scales, wanted.scales)
    size = K**0.5
    q = fp8_quantize(weight, rows=128)
    apart = fp8_matmul(x, q).float() - fp8_matmul_reference(x, q, torch.float32)
    assert apart.abs().max() < 0.02 * size
    for name in ("mxfp4", "mxfp8"):
        q = encode(weight, name)
        wanted = mx_matmul_reference(x, q, torch.float32)
        assert (mx_matmul(x, q).float() - wanted).abs().max() < 0.02 * size
        coded = encode(x, name)
        wanted = mx_matmul_reference(coded, q, torch.float32)
        assert (mx_matmul(coded, q) - wanted).abs().max() < 0.002 * size
