"""Kernels of one pass outside the interpreter: references are the layers, bad input is refused."""

import pytest
import torch

from minimodels.architecture.mlp import GeGLU, SquaredReLU, SwiGLU
from minimodels.architecture.norms import LayerNorm1p
from minimodels.architecture.rope import rotate, rotation
from minimodels.errors import UserError
from minimodels.kernels.glu import geglu, squared_relu, swiglu
from minimodels.kernels.layer_norm import layer_norm
from minimodels.kernels.rope import rope
from minimodels.kernels.softmax import softmax

X = torch.randn(2, 3, 8)


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
