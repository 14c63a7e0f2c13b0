"""Number formats: bit-exact on torch's types, on the published grids, and against brute force."""

import math

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
    load_scale,
    pack,
    store_scale,
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


def test_e8m0_scales_are_powers_of_two():
    """All 256: code s means 2^(s − 127), from 2⁻¹²⁷ on, and 255 is NaN (OCP MX 1.0, 5.4.1)."""
    values = load_scale(torch.arange(256).to(torch.uint8), FORMATS["mxfp4"])
    assert values[:255].tolist() == [2.0 ** (s - 127) for s in range(255)]
    assert values[255].isnan() and values.dtype == torch.float32


@pytest.mark.parametrize("name", ["mxfp4", "mxfp8"])
def test_e8m0_scale_of_numbers_beside_a_power_of_two(name):
    """floor(log2 largest) less that of the format's largest, counted by frexp in Python's floats;
    a logarithm in float32 says 3 for the float before 8."""
    powers = 2.0 ** torch.arange(-110, 120)
    largest = torch.cat([powers, powers.nextafter(0 * powers), powers.nextafter(2 * powers)])
    top = math.frexp(FORMATS[name].largest)[1]
    wanted = [math.frexp(value)[1] - top + 127 for value in largest.tolist()]
    assert store_scale(largest, FORMATS[name]).tolist() == wanted
    assert torch.floor(torch.log2(torch.tensor(8.0).nextafter(torch.tensor(0.0)))) == 3  # the trap


def test_e2m1_is_its_bits():
    """Sign, two bits of exponent with bias 1, one of mantissa; and torch packs two as we do."""
    codes = torch.arange(16).to(torch.uint8)
    sign, exponent, mantissa = codes >> 3, (codes >> 1) & 3, codes & 1
    size = torch.where(
        exponent > 0, 2.0 ** (exponent.float() - 1) * (1 + mantissa / 2), mantissa / 2
    )
    values = from_codes(codes, FORMATS["mxfp4"])
    assert torch.equal(values, size * (1 - 2.0 * sign)) and values[8].signbit()
    packed = pack(codes.flip(0))
    casts = pytest.importorskip("torch.onnx._internal.exporter._type_casting")
    theirs = casts.unpack_float4x2_as_uint8(packed.view(torch.float4_e2m1fn_x2))
    assert theirs.tolist() == unpack(packed).tolist() == codes.flip(0).tolist()


def test_e2m1_of_every_bf16_number():
    """Nearest by distances to all values in float64, of two equally near the even code."""
    x = torch.arange(65_536).to(torch.int32).to(torch.int16).view(torch.bfloat16)
    x = x[x.isfinite()].double().clamp(-6, 6)
    codes = to_codes(x.float(), FORMATS["mxfp4"]).long()
    values = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], dtype=torch.float64)
    apart = (x.abs()[:, None] - values).abs()
    near = apart == apart.amin(1, keepdim=True)
    even = torch.where(near.sum(1) > 1, near[:, ::2].int().argmax(1) * 2, near.int().argmax(1))
    assert torch.equal(codes, even + 8 * x.signbit()) and len(x) == 65_280


def test_nf4_is_the_papers_recipe():
    """QLoRA, appendix E: quantiles of a normal at evenly spaced chances, 7 below zero and 8 above.
    The outermost stand the mean of 1/32 and 1/30 from the end; the largest becomes 1."""
    end = 1 - (1 / 32 + 1 / 30) / 2
    below, above = (torch.linspace(end, 0.5, n, dtype=torch.float64)[:-1] for n in (8, 9))
    above, below = torch.special.ndtri(above), -torch.special.ndtri(below)
    table = torch.cat([below, torch.zeros(1, dtype=torch.float64), above]).sort().values
    table = table / table.max()
    torch.testing.assert_close(torch.tensor(NF4, dtype=torch.float64), table, rtol=0, atol=3e-7)


def test_a_tile_of_rows_shares_a_scale():
    """300 rows in tiles of 128 × 64: by hand tile for tile, the last of 44 rows."""
    x = torch.randn(300, 128, generator=torch.Generator().manual_seed(4))
    x = x * (1 + torch.arange(300)[:, None])
    for name in ("fp8_e4m3", "int8"):
        q = encode(x, name, block=64, rows=128)
        assert q.scales.shape == (3, 2) and q.codes.shape == x.shape and q.rows == 128
        means = decode(q)
        for i in range(3):
            for j in range(2):
                at = slice(128 * i, 128 * i + 128), slice(64 * j, 64 * j + 64)
                alone = encode(x[at].reshape(1, -1), name)
                assert torch.equal(q.codes[at].reshape(1, -1), alone.codes)
                assert torch.equal(means[at].reshape(1, -1), decode(alone))
    assert encode(x[None], "fp8_e4m3", block=64, rows=128).scales.shape == (1, 3, 2)
    assert q.nbytes == 300 * 128 + 6 * 4


@pytest.mark.parametrize("name", FORMATS)
def test_nearest_by_brute_force(name):
    """Of all codes none means a number nearer than the one chosen."""
    form = FORMATS[name]
    x = 1.2 * form.largest * torch.rand(2000, generator=torch.Generator().manual_seed(1)) - 0.6 * (
        form.largest
    )
    every = torch.arange(2**form.bits).to(torch.int8 if name == "int8" else torch.uint8)
    every = from_codes(every, form)
    every = every[every.abs() <= form.largest]  # int4's −8 has a code that nobody writes; nor NaN
    codes = to_codes(x, form)
    chosen = from_codes(codes & 15 if form.bits == 4 else codes, form)
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
        assert decode(encode(torch.zeros(0, 256), name)).shape == (0, 256)
    tiny = decode(encode(torch.full((1, 256), 2e-37), "fp8_e4m3"))  # no scale below 2⁻¹²⁶
    assert (tiny / 2e-37 - 1).abs().max() < 0.07
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
