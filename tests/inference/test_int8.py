import pytest
import torch
from torch import nn

from minimodels.architecture.build import build
from minimodels.errors import UserError
from minimodels.inference import int8
from minimodels.inference.int8 import (
    Int8Linear,
    int8_bytes,
    quantize,
    quantize_rows,
    weight_bytes,
)
from minimodels.inference.stream import compare

SHAPES = [(1, 1), (3, 7), (64, 33), (130, 257)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_error_is_at_most_half_a_step(shape, dtype):
    torch.manual_seed(0)
    weight = (torch.randn(shape) * torch.logspace(-3, 2, shape[0])[:, None]).to(dtype)
    integers, scale = quantize_rows(weight)
    assert integers.dtype == torch.int8 and scale.dtype == dtype and scale.shape == shape[:1]
    error = (weight.double() - integers.double() * scale.double()[:, None]).abs()
    assert (error <= 0.5001 * scale.double()[:, None]).all()
    assert integers.abs().amax(1).eq(127).all()  # the whole range is used


def test_one_scale_for_the_whole_matrix_would_be_worse():
    weight = torch.randn(8, 64) * torch.logspace(-3, 1, 8)[:, None]
    integers, scale = quantize_rows(weight)
    by_row = (weight - integers * scale[:, None]).abs().amax(1)
    whole = weight.abs().max() / 127
    at_once = (weight - (weight / whole).round() * whole).abs().amax(1)
    assert at_once[0] > 50 * by_row[0]


def test_zero_and_broken_rows():
    integers, scale = quantize_rows(torch.tensor([[0.0, 0.0], [0.0, -2.0]]))
    assert integers.tolist() == [[0, 0], [0, -127]] and scale[0] == 1
    tiny = torch.full((1, 2), 1e-45)  # its scale underflows
    assert torch.isfinite(quantize_rows(tiny)[1]).all()
    with pytest.raises(UserError, match="NaN"):
        quantize_rows(torch.tensor([[float("nan")]]))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_layer_is_the_product_with_the_restored_weight(shape, bias):
    torch.manual_seed(0)
    linear = nn.Linear(shape[1], shape[0], bias=bias)
    layer, x = Int8Linear(linear), torch.randn(2, 5, shape[1])
    restored = layer.weight.float() * layer.scale[:, None]
    expected = x @ restored.T + (linear.bias if bias else 0)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
    assert layer.state_dict().keys() == {"weight", "scale"} | ({"bias"} if bias else set())


@pytest.mark.parametrize("rows", [1, 3, 17])
@pytest.mark.parametrize("shape", [*SHAPES, (4, 16), (64, 48), (132, 256)])
def test_the_packed_kernel_equals_the_plain_product(shape, rows, monkeypatch):
    """bf16 on a CPU goes through torch's kernel; tolerance: two roundings to 8 bits."""
    torch.manual_seed(0)
    layer = Int8Linear(nn.Linear(shape[1], shape[0], bias=False).bfloat16())
    x = torch.randn(rows, shape[1]).bfloat16()
    ours = layer(x)
    exact = x.double() @ (layer.weight.double() * layer.scale.double()[:, None]).T
    torch.testing.assert_close(ours.double(), exact, rtol=2**-7, atol=2**-6)
    monkeypatch.setattr(int8, "_packed_pays", lambda rows, weight: False)
    torch.testing.assert_close(layer(x).double(), exact, rtol=2**-6, atol=2**-6)


def test_where_the_packed_kernel_is_used():
    def used(inputs, outputs, offset=0, dtype=torch.bfloat16):
        rows = torch.zeros(3 * inputs + offset, dtype=dtype)[offset:].view(3, inputs)
        return int8._packed_pays(rows, torch.zeros(outputs, inputs, dtype=torch.int8))

    assert used(32, 8) and used(16, 4) and used(32, 8, offset=16)
    # beyond these it would read past the end or from addresses that are not aligned
    assert not used(33, 8) and not used(24, 8) and not used(32, 7) and not used(32, 8, offset=1)
    assert not used(32, 8, dtype=torch.float32)


def test_a_quantized_model_says_nearly_the_same(model):
    torch.manual_seed(0)
    small, tokens = quantize(model), torch.randint(97, (2, 30))
    with torch.no_grad():
        full, ours = model(tokens), small(tokens)
        coarse = quantize(rounded_to(4, model))(tokens)  # control: four bits are too few
    relative = (ours - full).norm() / full.norm()
    assert 0 < relative < 0.05
    assert (coarse - full).norm() / full.norm() > 4 * relative
    assert (ours.argmax(-1) == full.argmax(-1)).float().mean() > 0.9


def rounded_to(bits, model):
    import copy

    model, steps = copy.deepcopy(model), 2 ** (bits - 1) - 1
    for module in model.modules():
        if isinstance(module, nn.Linear):
            scale = module.weight.data.abs().amax(1, keepdim=True) / steps
            module.weight.data = (module.weight.data / scale).round() * scale
    return model


def test_the_model_given_stays_as_it_is(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    small = quantize(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert any(type(module) is nn.Linear for module in model.modules())
    assert not any(type(module) is nn.Linear for module in small.modules())
    assert small.embed_tokens.weight.data_ptr() != model.embed_tokens.weight.data_ptr()
    assert small.config is not None and small.dtype == model.dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_size_by_formula(model, dtype):
    model = model.to(dtype)
    small = quantize(model)
    assert weight_bytes(small) == int8_bytes(model) < weight_bytes(model)
    assert weight_bytes(model) == sum(weight.nbytes for weight in model.parameters())


def test_the_formula_holds_for_published_sizes():
    """Gemma 2B in bf16, on the meta device: a byte for each of 1.98B weights in matrices."""
    model = build("gemma-2b", device="meta").bfloat16()
    embedding, norms = 256_000 * 2048, (2 * 18 + 1) * 2048
    matrices = 1_981_884_416 - norms
    rows = 18 * (2048 + 2 * 256 + 2048 + 2 * 16_384 + 2048)
    assert int8_bytes(model) == 2 * (embedding + norms) + matrices + 2 * rows


def test_it_streams(model):
    result = compare(quantize(model), [2, 5, 7], 6)
    assert result["same"] and result["cached"]["key_rows"] == 8 * model.config.num_layers
    assert compare(quantize(model.bfloat16()), [2, 5, 7], 6)["tokens"]
