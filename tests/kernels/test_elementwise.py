"""Kernels of one pass outside the interpreter: references are the layers, bad input is refused."""

import pytest
import torch

from minimodels.architecture.mlp import GeGLU, SquaredReLU, SwiGLU
from minimodels.architecture.norms import LayerNorm1p
from minimodels.architecture.rope import rotate, rotation
from minimodels.errors import UserError
from minimodels.kernels.cross_entropy import linear_cross_entropy
from minimodels.kernels.decode_attention import decode_attention
from minimodels.kernels.flash_attention import flash_attention
from minimodels.kernels.glu import geglu, squared_relu, swiglu
from minimodels.kernels.grouped_matmul import grouped_matmul
from minimodels.kernels.int_matmul import int_matmul
from minimodels.kernels.layer_norm import layer_norm
from minimodels.kernels.lora import lora
from minimodels.kernels.quant import FORMATS, Quantized
from minimodels.kernels.rms_norm import rms_norm
from minimodels.kernels.rope import rope
from minimodels.kernels.routing import top_k_routing
from minimodels.kernels.sampling import top_p
from minimodels.kernels.softmax import softmax

X = torch.randn(2, 3, 8)
ONE, IDS = torch.ones(8), torch.tensor([0, 1, 2])


def test_references_are_the_layers():
    norm = LayerNorm1p(8, 1e-3)
    with torch.no_grad():
        norm.weight.normal_(), norm.bias.normal_()
    assert torch.equal(layer_norm(X, norm.weight, norm.bias, 1e-3), norm(X))
    for layer, bend in ((GeGLU(8, 12), geglu), (SwiGLU(8, 12), swiglu)):
        bent = bend(layer.gate_proj(X), layer.up_proj(X))
        assert torch.equal(layer.down_proj(bent), layer(X))
    layer = SquaredReLU(8, 12)
    assert torch.equal(layer.down_proj(squared_relu(layer.up_proj(X))), layer(X))
    angles = rotation(torch.arange(3)[None], 4, 100.0, torch.float32)
    assert torch.equal(rope(X[:, None], *angles), rotate(X[:, None], *angles))
    assert torch.equal(softmax(X), X.softmax(-1))


@pytest.mark.parametrize("call, named", [
    (lambda: layer_norm(X, torch.zeros(7), torch.zeros(8), 1e-6), r"weight has shape \(7,\)"),
    (lambda: layer_norm(X.double(), torch.zeros(8), torch.zeros(8), 1e-6), "x is torch.float64"),
    (lambda: geglu(X, X[:, :2]), "geglu: up has shape"),
    (lambda: swiglu(X, X.to("meta")), "up is on meta"),
    (lambda: squared_relu(X.long()), "up is torch.int64"),
    (lambda: rope(X[:, None], X[:1, None, :2], X[:1, None, :2]), "do not fit x"),
    (lambda: rope(X[:, None], *2 * [torch.zeros(1, 1, 3, 5)]), "10 numbers to turn"),
    (lambda: softmax(X, cap=-1.0), "cap = -1.0 must be positive"),
    (lambda: softmax(X, length=torch.zeros(3, dtype=torch.int32)), "length has shape"),
    (lambda: softmax(X, length=torch.zeros(2, 3)), "length is torch.float32"),
    (lambda: softmax(X[0, 0, 0]), "x is a single number"),
    (lambda: rms_norm(X, ONE, 1e-6, residual=X[0]), r"residual has shape \(3, 8\)"),
    (lambda: rms_norm(X, ONE, 1e-6, residual=X.half()), "residual is torch.float16, x torch.float"),
    (lambda: rms_norm(X, ONE[:7], 1e-6), r"weight has shape \(7,\)"),
    (lambda: layer_norm(X, ONE, ONE, 1e-6, X[0]), r"residual has shape \(3, 8\)"),
    (lambda: layer_norm(X, ONE, ONE.half(), 1e-6), "bias is torch.float16, weight torch.float32"),
    (lambda: geglu(X, X.half()), "up is torch.float16, gate torch.float32: give one dtype"),
    (lambda: rope(X, *2 * [torch.zeros(1, 1, 3, 2)]), r"x has shape \(2, 3, 8\), not \(B, H,"),
    (lambda: rope(X[:, None], *2 * [torch.zeros(3, 2)]), r"cos has shape \(3, 2\)"),
    (lambda: linear_cross_entropy(X, X[0], IDS), r"hidden has shape \(2, 3, 8\), not \(N, D\)"),
    (lambda: linear_cross_entropy(X[0], X[0].half(), IDS), "weight is torch.float16, hidden"),
    (lambda: linear_cross_entropy(X[0], X[0], X[0, 0]), "targets is torch.float32"),
    (lambda: linear_cross_entropy(X[0], X[0], IDS.to("meta")), "targets is on meta, hidden on cpu"),
    (lambda: linear_cross_entropy(X[0], X[0], IDS[:2]), r"targets has shape \(2,\)"),
    (lambda: lora(X, X[0], X[0], X[0]), r"B has shape \(3, 8\), not \(3, 3\)"),
    (lambda: lora(X, X[0], X[0].half(), X[0, :, :3]), "A is torch.float16, x torch.float32"),
    (lambda: grouped_matmul(X, X, IDS[:2]), r"x has shape \(2, 3, 8\), not \(S, K\)"),
    (lambda: grouped_matmul(X[0], X, X[0, 0, :2]), "counts is torch.float32"),
    (lambda: grouped_matmul(X[0], X.half(), IDS[:2]), "weight is torch.float16, x torch.float32"),
    (lambda: top_k_routing(X, 1), r"logits has shape \(2, 3, 8\), not \(N, E\)"),
    (lambda: top_p(X, X[0, 0], 0.9), r"logits has shape \(2, 3, 8\), not \(B, V\)"),
    (lambda: top_p(X[0], X[0, :, 0].to("meta"), 0.9), "u is on meta, logits on cpu"),
    (lambda: top_p(X[0, :, :0], X[0, :, 0], 0.9), "logits have no words"),
    (lambda: int_matmul(X, Quantized(FORMATS["int8"], IDS.to("meta"), X)), "codes is on meta"),
    (lambda: flash_attention(*3 * [X]), r"q has shape \(2, 3, 8\), not \(B, H, T, d\)"),
    (lambda: flash_attention(*3 * [X[None, ..., :0]]), "q has heads of 0 numbers: 1 to 256 work"),
    (lambda: decode_attention(*3 * [X[None, :, :1, :0]]), "q has heads of 0 numbers"),
])  # fmt: skip
def test_bad_input(call, named):
    with pytest.raises(UserError, match=named):
        call()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("shape", [(5, 2), (3, 77), (4096, 3072)])
def test_on_a_gpu(shape):
    x, other = torch.randn(2, *shape, device="cuda", dtype=torch.bfloat16)
    weight, bias = torch.randn(2, shape[-1], device="cuda", dtype=torch.bfloat16)
    from minimodels.kernels.glu import geglu_reference
    from minimodels.kernels.layer_norm import layer_norm_reference
    from minimodels.kernels.softmax import softmax_reference

    close = {"rtol": 2e-2, "atol": 2e-2}
    wanted = layer_norm_reference(x, weight, bias, 1e-5)
    torch.testing.assert_close(layer_norm(x, weight, bias, 1e-5), wanted, **close)
    torch.testing.assert_close(geglu(x, other), geglu_reference(x, other), **close)
    torch.testing.assert_close(softmax(x, 30.0), softmax_reference(x, 30.0), **close)
