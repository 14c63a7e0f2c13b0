"""Cases of kernels with small number formats: products by weights of 4 or 8 bits, and rounding.

Products for decoding take 16 tokens: what takes time there is how many bytes of weights arrive.
The peer is a product of bf16 numbers with the same values. FP8's is for training: its tensor cores
are twice as fast as bf16's, of whose roofline it is given a share.
"""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from minimodels.bench.kernel_case import Case, Cost, Draw, Peer, Size
from minimodels.bench.kernel_rows import WIDE
from minimodels.kernels.fp8_matmul import fp8_matmul
from minimodels.kernels.fp8_quantize import fp8_quantize, fp8_quantize_reference
from minimodels.kernels.int_matmul import int_matmul, int_matmul_reference
from minimodels.kernels.mx_matmul import mx_matmul, mx_matmul_reference
from minimodels.kernels.quant import FORMATS, Quantized, decode, encode

FEW = 16  # tokens
GROUP = 128  # weights that share a scale in int8 and int4
BLOCK = 128  # of fp8


def _product(s: Size, kernel: str, form: str, M: int, ours: Callable, reference: Callable,
             rows: int = 1) -> Case:  # fmt: skip
    """x (M, K) by codes (N, K) with a scale for each block of `rows` rows."""
    N, K = s.F, s.D
    block = {"mxfp4": 32}.get(form, min(GROUP, K))

    def whole(codes, scales) -> Quantized:
        return Quantized(FORMATS[form], codes, scales, rows=rows)

    def inputs(draw: Draw) -> dict:
        made = encode(draw.normal(N, K, scale=K**-0.5, dtype=torch.float32), form, block, rows)
        return {"x": draw.normal(M, K), "codes": made.codes, "scales": made.scales}

    def large(given: dict) -> dict:
        x, weight = given["x"], decode(whole(given["codes"], given["scales"]))
        if kernel == "fp8_matmul":
            x = decode(fp8_quantize_reference(x))
        return {"x": x.to(s.dtype), "weight": weight.to(s.dtype)}

    scales = -(-N // rows) * (K // block) * (1 if form == "mxfp4" else WIDE)
    moved = N * K * FORMATS[form].bits // 8 + scales + (M * K + M * N) * s.b
    name = kernel if M > FEW else f"{kernel} {form}"
    return Case(
        kernel, name, f"{s.model}, {M:,} × {K:,} × {N:,}", inputs,
        lambda x, codes, scales: ours(x, whole(codes, scales)),
        lambda x, codes, scales: reference(x, whole(codes, scales)),
        {"forward": Cost(2 * M * N * K, moved)}, compiles=False,
        peers={"bf16 product": Peer(lambda x, weight: F.linear(x, weight), large)},
    )  # fmt: skip


def int8_matmul_case(s: Size) -> Case:
    return _product(s, "int_matmul", "int8", FEW, int_matmul, int_matmul_reference)


def int4_matmul_case(s: Size) -> Case:
    return _product(s, "int_matmul", "int4", FEW, int_matmul, int_matmul_reference)


def mx_matmul_case(s: Size) -> Case:
    return _product(s, "mx_matmul", "mxfp4", FEW, mx_matmul, mx_matmul_reference)


def fp8_matmul_case(s: Size) -> Case:
    """x is rounded to e4m3 on the way, as in training."""

    def reference(x, weight):
        return (decode(fp8_quantize_reference(x)) @ decode(weight).T).to(x.dtype)

    return _product(s, "fp8_matmul", "fp8_e4m3", s.tokens, fp8_matmul, reference, rows=BLOCK)


def fp8_quantize_case(s: Size) -> Case:
    """Codes may differ where a quotient lies on the border between two."""
    N, K = s.tokens, s.D

    def parts(function: Callable) -> Callable:
        def run(x):
            q = function(x)
            return q.codes, q.scales

        return run

    return Case(
        "fp8_quantize", "fp8_quantize", f"{s.model}, {N:,} × {K:,}",
        lambda draw: {"x": draw.normal(N, K)}, parts(fp8_quantize), parts(fp8_quantize_reference),
        {"forward": Cost(3 * N * K, N * K * (s.b + 1) + N * (K // BLOCK) * WIDE)}, goal="memory",
        differ=0.001, compiles=False,
    )  # fmt: skip
