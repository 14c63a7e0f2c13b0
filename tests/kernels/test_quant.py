"""Number formats: bit-exact on torch's types, on the published grids, and against brute force."""

import pytest
import torch

from minimodels.errors import UserError
from minimodels.kernels.quant import (
    E2M1,
    FORMATS,
    NF4,
    decode,
    encode,
    from_codes,
    pack,
    to_codes,
    unpack,
)

X = torch.randn(6, 256, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name, dtype", [("fp8_e4m3", torch.float8_e4m3fn),
                                         ("fp8_e5m2", torch.float8_e5m2)])  # fmt: skip
def test_fp8_is_torchs(name, dtype):
    """All 256 codes mean what torch means, and scaled numbers get torch's codes."""
    codes = torch.arange(256).to(torch.uint8)
    values = from_codes(codes, FORMATS[name])
    assert torch.equal(values.nan_to_num(7), codes.view(dtype).float().nan_to_num(7))
    wanted = (X / (X.abs().amax(-1, keepdim=True) / FORMATS[name].largest)).to(dtype)
    assert torch.equal(encode(X, name).codes, wanted.view(torch.uint8))


def test_e8m0_scales_are_torchs():
    q = encode(X, "mxfp4")
    assert torch.equal(
        torch.exp2(q.scales.float() - 127), q.scales.view(torch.float8_e8m0fnu).float()
    )


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "nf4", "int4"])
def test_nearest_by_brute_force(name):
    """Of all codes none means a number nearer than the one chosen."""
    form = FORMATS[name]
    x = 1.2 * form.largest * torch.rand(2000, generator=torch.Generator().manual_seed(1)) - 0.6 * (
        form.largest
    )
    every = from_codes(torch.arange(16).to(torch.uint8), form)
    if name == "int4":
        every = every[every.abs() <= 7]  # −8 has a code that nobody writes
    chosen = from_codes(to_codes(x, form) & 15, form)
    nearest = (x[:, None] - every).abs().min(1).values
    assert torch.equal((x - chosen).abs(), nearest)


def test_halves_go_to_the_even_code():
    """As in float4_e2m1 (OCP MX 1.0): 0.25 → 0, 0.75 → 1, 1.25 → 1, 1.75 → 2, 2.5 → 2, 5 → 4."""
    form = FORMATS["mxfp4"]
    halves = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, -0.25, -5.0])
    got = from_codes(to_codes(halves, form), form)
    assert got.tolist() == [0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, -0.0, -4.0]


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_on_the_grid_comes_back(name):
    """Numbers that a format can say are said exactly, whatever the power of two of their block."""
    form = FORMATS[name]
    block = form.block or 64
    every = torch.arange(256 if form.bits == 8 else 16).to(torch.uint8)
    values = from_codes(every.view(torch.int8) if name == "int8" else every, form)
    values = values[values.isfinite() & (values.abs() <= form.largest)]
    picks = torch.randint(len(values), (5, 4 * block), generator=torch.Generator().manual_seed(2))
    x = values[picks]
    x[:, ::block] = form.largest  # each block has the largest, so its scale is a power of two
    x = x * torch.tensor([1.0, 2.0, 0.5, 2.0**-20, 1024.0])[:, None]
    if name == "nvfp4":
        x = x[:1]  # one float32 scale for all: rows that far apart do not fit e4m3 scales
    torch.testing.assert_close(decode(encode(x, name)), x, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name, most", [
    ("int8", 0.008), ("int4", 0.15), ("fp8_e4m3", 0.035), ("fp8_e5m2", 0.07), ("mxfp8", 0.035),
    ("mxfp4", 0.15), ("nvfp4", 0.12), ("nf4", 0.11),
])  # fmt: skip
def test_error_of_normal_numbers(name, most):
    """Root mean square error, a share of that of x; finer formats are better."""
    error = (decode(encode(X, name)) - X).pow(2).mean().sqrt() / X.pow(2).mean().sqrt()
    assert most / 2.5 < error < most


def test_bytes():
    assert encode(X, "mxfp4").nbytes == 6 * (128 + 8)
    assert encode(X, "nvfp4").nbytes == 6 * (128 + 16) + 4
    assert encode(X, "int8").nbytes == 6 * (256 + 4)
    for name, form in FORMATS.items():
        per_number = 8 * (encode(X, name).nbytes - (4 if name == "nvfp4" else 0)) / X.numel()
        assert per_number == form.bits_a_number(256)


def test_packing():
    codes = torch.randint(16, (3, 10), generator=torch.Generator().manual_seed(3)).to(torch.uint8)
    assert torch.equal(unpack(pack(codes)), codes)
    assert pack(torch.tensor([[1, 2]])).item() == 0x21


def test_zeros_and_one_huge_number():
    for name in FORMATS:
        assert torch.equal(decode(encode(torch.zeros(2, 256), name)), torch.zeros(2, 256))
    x = torch.ones(1, 256)
    x[0, 0] = 1e4
    small = {name: decode(encode(x, name))[0, -1].item() for name in ("int8", "mxfp4")}
    assert small["int8"] == 0 and small["mxfp4"] == 1  # a block of its own saves the last ones


def test_published_grids():
    assert len(E2M1) == 8 and E2M1[-1] == FORMATS["mxfp4"].largest
    assert len(NF4) == 16 and list(NF4) == sorted(NF4) and 0.0 in NF4


@pytest.mark.parametrize("call, named", [
    (lambda: encode(X, "fp3"), "no number format 'fp3'"),
    (lambda: encode(X[:, :250], "mxfp4"), "rows of 250 are no multiple of the block of 32"),
    (lambda: encode(X / 0, "int8"), "NaN or infinity"),
])  # fmt: skip
def test_bad_input(call, named):
    with pytest.raises(UserError, match=named):
        call()
