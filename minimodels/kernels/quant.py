"""The small number formats, once for all stages: how numbers become a few bits and a scale.

A format is a grid of values that a code can mean, a block of numbers that share a scale, and the
format of the scale itself. `encode` divides a block by its scale and takes the nearest value (of
two equally near ones that with an even code, as hardware does); `decode` multiplies back.

    format    bits  values                       block       scale          bits a number
    int8        8   −127 … 127                   a row       float32        8 + 32/row
    int4        4   −7 … 7                       128         float32        4.25
    fp8 e4m3    8   ±448 (OCP, arXiv 2209.05433) a row       float32        8 + 32/row
    fp8 e5m2    8   ±57,344                      a row       float32        8 + 32/row
    mxfp8       8   e4m3                         32          power of two   8.25
    mxfp4       4   ±{0, ½, 1, 1½, 2, 3, 4, 6}   32          power of two   4.25
    nvfp4       4   the same                     16          e4m3, and one float32   4.5
    nf4         4   16 quantiles of a normal     64          float32        4.5

Sources: OCP Microscaling Formats 1.0 (2023, section 5 and 6.3), NVIDIA's NVFP4 (2025), QLoRA
(arXiv 2305.14314, appendix E). Shapes: x (…, K), blocks along K; codes (…, K) int8 or uint8, packed
two a byte where a code has four bits; scales (…, K / block). A block may also be a tile of several
rows, as DeepSeek-V3's weights of 128 × 128 (arXiv 2412.19437, section 3.3.2): scales (…, N / rows,
K / block), where the last tile may have fewer rows.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from minimodels.errors import UserError

TINY = 2.0**-126  # the smallest normal float32: no scale is smaller, so none divides by zero
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # by code; codes 8 to 15 are their negatives
NF4 = (  # arXiv 2305.14314, appendix E
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
)  # fmt: skip


@dataclass(frozen=True)
class Format:
    """One row of the table above. block None: a whole row shares a scale."""

    name: str
    bits: int
    largest: float  # the largest value that a code can mean
    block: int | None
    scale: str  # "float32", "e8m0" (powers of two) or "e4m3"

    def bits_a_number(self, row: int) -> float:
        """With the scales, for rows of so many numbers."""
        scale_bits = {"float32": 32, "e8m0": 8, "e4m3": 8}[self.scale]
        return self.bits + scale_bits / (self.block or row)


FORMATS = {
    f.name: f
    for f in (
        Format("int8", 8, 127.0, None, "float32"),
        Format("int4", 4, 7.0, 128, "float32"),
        Format("fp8_e4m3", 8, 448.0, None, "float32"),
        Format("fp8_e5m2", 8, 57_344.0, None, "float32"),
        Format("mxfp8", 8, 448.0, 32, "e8m0"),
        Format("mxfp4", 4, 6.0, 32, "e8m0"),
        Format("nvfp4", 4, 6.0, 16, "e4m3"),
        Format("nf4", 4, 1.0, 64, "float32"),
    )
}


@dataclass(frozen=True)
class Quantized:
    """A tensor in a small format: what a file or a kernel holds of it."""

    format: Format
    codes: torch.Tensor  # (…, K) or, with four bits, (…, K / 2) uint8: the even place low
    scales: torch.Tensor  # (…, K / block) or (…, N / rows, K / block), in the format of scales
    whole: torch.Tensor | None = None  # nvfp4: one float32 for the whole tensor
    rows: int = 1  # that share a scale

    @property
    def nbytes(self) -> int:
        whole = 0 if self.whole is None else self.whole.nbytes
        return self.codes.nbytes + self.scales.nbytes + whole


def encode(x, name: str, block: int | None = None, rows: int = 1) -> Quantized:
    """x (…, K) in the format `name`; block overrides the usual one, rows > 1 makes it a tile.

    Raises UserError for an unknown format, a K that is no multiple of the block, or numbers that
    are none.
    """
    form, size = _format(name), x.shape[-1]
    block = block or form.block or size
    if size % block or (form.bits == 4 and size % 2):
        raise UserError(
            f"encode: rows of {size} are no multiple of the block of {block}: pad them."
        )
    if not x.isfinite().all():
        raise UserError("encode: x holds NaN or infinity: no scale fits.")
    blocks = x.float().unflatten(-1, (-1, block))  # (…, K / block, block)
    largest = _of_tiles(blocks.abs().amax(-1), rows)  # (…, K / block)
    whole = None
    if form.scale == "e4m3":  # the scales themselves must fit into e4m3: one number for all
        top = largest.max() if largest.numel() else largest.new_zeros(())
        whole = (top / (form.largest * 448.0)).clamp(min=TINY)
        largest = largest / whole
    scales = store_scale(largest, form)
    wide = load_scale(scales, form) * (1.0 if whole is None else whole)
    wide = _of_rows(wide, rows, x)[..., None].clamp(min=TINY)
    codes = to_codes(blocks / wide, form).flatten(-2)
    return Quantized(form, pack(codes) if form.bits == 4 else codes, scales, whole, rows)


def decode(q: Quantized):
    """The numbers that the codes mean: (…, K) float32."""
    codes = unpack(q.codes) if q.format.bits == 4 else q.codes
    wide = load_scale(q.scales, q.format)
    if q.whole is not None:
        wide = wide * q.whole
    wide = _of_rows(wide, q.rows, codes)
    blocks = from_codes(codes, q.format).unflatten(-1, (wide.shape[-1], -1))
    return (blocks * wide[..., None]).flatten(-2)


def store_scale(largest, form: Format):
    """The scale of a block whose largest number is given, in the format of scales."""
    if form.scale == "e8m0":  # the power of two of the largest number over that of the format
        exponent = torch.frexp(largest.clamp(min=TINY)).exponent  # log2 would round 7.9999995 to 8
        return (exponent - math.frexp(form.largest)[1] + 127).clamp(0, 254).to(torch.uint8)
    scale = largest / form.largest
    return scale.to(torch.float8_e4m3fn) if form.scale == "e4m3" else scale.clamp(min=TINY)


def load_scale(scales, form: Format):
    """Scales as float32."""
    return (scales.view(torch.float8_e8m0fnu) if form.scale == "e8m0" else scales).float()


def to_codes(x, form: Format):
    """The nearest value's code for each number, after scaling."""
    x = x.clamp(-form.largest, form.largest)
    if form.name.startswith("int"):
        return torch.round(x).to(torch.int8)  # torch rounds halves to even
    if form.name == "nf4":
        grid = torch.tensor(NF4, device=x.device)
        return torch.bucketize(x, (grid[1:] + grid[:-1]) / 2).to(torch.uint8)
    if form.bits == 4:
        return _to_e2m1(x)
    kind = torch.float8_e5m2 if form.name == "fp8_e5m2" else torch.float8_e4m3fn
    return x.to(kind).view(torch.uint8)


def from_codes(codes, form: Format):
    """The value of each code, before scaling, in float32."""
    if form.name.startswith("int"):
        signed = codes.to(torch.int8)
        return (
            torch.where(signed > 7, signed - 16, signed).float()
            if form.bits == 4
            else codes.float()
        )
    if form.bits == 4:
        grid = NF4 if form.name == "nf4" else (*E2M1, *(-value for value in E2M1))
        return torch.tensor(grid, device=codes.device)[codes.long()]
    kind = torch.float8_e5m2 if form.name == "fp8_e5m2" else torch.float8_e4m3fn
    return codes.view(kind).float()


def _to_e2m1(x):
    """Sign in the highest of four bits; halves go to the even code."""
    grid = torch.tensor(E2M1, device=x.device)
    middle = (grid[1:] + grid[:-1]) / 2
    size = x.abs()
    below = torch.bucketize(size, middle)  # a half goes down
    above = torch.bucketize(size, middle, right=True)  # a half goes up
    code = torch.where(below % 2 == 0, below, above)
    return (code + 8 * torch.signbit(x)).to(torch.uint8)


def pack(codes):
    """Two codes of four bits a byte: (…, K) -> (…, K / 2), the even place in the low half."""
    low, high = codes.to(torch.uint8)[..., ::2] & 15, codes.to(torch.uint8)[..., 1::2] & 15
    return low | (high << 4)


def unpack(packed):
    """(…, K / 2) -> (…, K) uint8, each 0 to 15."""
    return torch.stack((packed & 15, packed >> 4), dim=-1).flatten(-2)


def _of_tiles(largest, rows: int):
    """The largest of each `rows` rows: (…, N, K / block) -> (…, N / rows, K / block)."""
    if rows == 1:
        return largest
    missing = -largest.shape[-2] % rows  # of the last tile
    return F.pad(largest, (0, 0, 0, missing)).unflatten(-2, (-1, rows)).amax(-2)


def _of_rows(scales, rows: int, like):
    """The way back: each row gets the scales of its tile."""
    if rows == 1:
        return scales
    return scales.repeat_interleave(rows, -2)[..., : like.shape[-2], :]


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise UserError(f"there is no number format {name!r}: choose one of {', '.join(FORMATS)}.")
    return FORMATS[name]
