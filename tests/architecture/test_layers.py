"""Each layer against an independent form of its formula."""

import pytest
import torch

import minimodels
from minimodels.architecture.attention import attend, attention_by_hand, visible
from minimodels.architecture.configs import CONFIGS, GemmaConfig
from minimodels.architecture.norms import LayerNorm1p, RMSNorm
from minimodels.architecture.rope import rotate, rotation
from minimodels.errors import UserError


def test_rms_norm():
    norm = RMSNorm(7, eps=1e-3)
    with torch.no_grad():
        norm.weight.normal_()
    x = torch.randn(3, 5, 7)
    wanted = torch.nn.functional.rms_norm(x, (7,), 1 + norm.weight, eps=1e-3)
    torch.testing.assert_close(norm(x), wanted, rtol=1e-5, atol=1e-6)
    unchanged = norm(1000 * x) - norm(2000 * x)  # scale does not matter
    assert unchanged.abs().max() < 1e-5


def test_layer_norm_1p():
    norm = LayerNorm1p(7, eps=1e-3)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    x = torch.randn(3, 5, 7, dtype=torch.float64)
    spread = (x.var(-1, keepdim=True, correction=0) + 1e-3).sqrt()
    wanted = (x - x.mean(-1, keepdim=True)) / spread * (1 + norm.weight) + norm.bias
    torch.testing.assert_close(norm.double()(x), wanted)


def test_rope_is_a_rotation_of_complex_numbers():
    """Numbers i and i + R/2 of a head as one complex number times exp(i · angle)."""
    x, positions = torch.randn(2, 3, 5, 12, dtype=torch.float64), torch.arange(5)[None] + 4
    cos, sin = rotation(positions, 8, 100.0, torch.float64)
    pairs = torch.complex(x[..., :4], x[..., 4:8])
    angle = positions[0, :, None] * 100.0 ** (-torch.arange(0, 8, 2) / 8)
    turned = pairs * torch.polar(torch.ones_like(angle), angle)
    wanted = torch.cat((turned.real, turned.imag, x[..., 8:]), dim=-1)
    torch.testing.assert_close(rotate(x, cos, sin), wanted, rtol=0, atol=1e-6)


def test_rope_sees_only_distances():
    q, k = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)

    def score(i, j):
        at = [rotation(torch.tensor([[p]]), 16, 1e4, torch.float32) for p in (i, j)]
        return (rotate(q, *at[0]) * rotate(k, *at[1])).sum()

    assert abs(score(9, 4) - score(105, 100)) < 1e-4
    assert abs(score(9, 4) - score(9, 5)) > 1e-3


@pytest.mark.parametrize("H, K", [(1, 1), (6, 6), (6, 3), (5, 1)])
@pytest.mark.parametrize("T, S", [(1, 1), (7, 7), (1, 9)])
def test_fused_attention_equals_attention_by_hand(H, K, T, S):
    q, k, v = (torch.randn(3, n, t, 11) for n, t in ((H, T), (K, S), (K, S)))
    torch.testing.assert_close(attend(q, k, v), attention_by_hand(q, k, v), rtol=0, atol=1e-5)
    mask = torch.rand(3, 1, T, S) < 0.5
    mask[..., 0] = True
    wanted = attention_by_hand(q, k, v, mask)
    torch.testing.assert_close(attend(q, k, v, mask), wanted, rtol=0, atol=1e-5)
    if S > 1:
        assert (attend(q, k, v) - wanted).abs().max() > 1e-3  # control: the mask matters


def test_attention_is_causal():
    """No logit depends on a later token: their gradient is exactly zero."""
    model = minimodels.build("nemotron-mini", device="cpu")
    embedded = []
    model.embed_tokens.register_forward_hook(lambda m, i, x: embedded.append(x))
    model.embed_tokens.weight.requires_grad_(True)
    logits = model(torch.arange(8)[None])
    (gradient,) = torch.autograd.grad(logits[0, 4].square().sum(), embedded[0])
    assert gradient[0, 5:].abs().max() == 0
    assert (gradient[0, :5].abs().sum(-1) > 0).all()


def test_visible():
    assert visible(0, 5) is None and visible(7, 1) is None
    assert visible(2, 3)[0, 0].int().tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1] * 5]
    real = torch.tensor([[False, True, True]])
    assert visible(0, 3, real)[0, 0].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert visible(2, 1, real)[0, 0].int().tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("name", ["gemma-mini", "nemotron-mini"])
def test_initialization(name):
    torch.manual_seed(0)
    model = minimodels.build(name, device="cpu")
    std, layers = model.config.init_std, model.config.num_layers
    for weight_name, weight in model.named_parameters():
        if weight.dim() == 1:
            assert (weight == 0).all()  # identity: an offset from one
        else:
            residual = weight_name.endswith(("o_proj.weight", "down_proj.weight"))
            wanted = std / (2 * layers) ** 0.5 if residual else std
            assert abs(weight.std().item() / wanted - 1) < 0.05, weight_name
    torch.manual_seed(0)
    again = minimodels.build(name, device="cpu").state_dict()
    assert all(torch.equal(weight, again[key]) for key, weight in model.state_dict().items())


@pytest.mark.parametrize("name", ["gemma-mini", "nemotron-mini"])
def test_compiles_without_a_graph_break(name):
    model = minimodels.build(name, device="cpu")
    tokens = torch.randint(0, 100, (2, 17))
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert torch.equal(compiled(tokens), model(tokens))
    for length in (9, 5, 1):  # at the second length the compiler makes it a symbol
        assert torch.equal(compiled(tokens[:, :length]), model(tokens[:, :length]))


def test_hidden_and_logits_are_the_forward_pass():
    model = minimodels.build("gemma-mini", device="cpu")
    tokens = torch.randint(0, 100, (2, 9))
    hidden = model.hidden(tokens)
    assert hidden.shape == (2, 9, model.config.hidden_size)
    assert torch.equal(model.logits(hidden), model(tokens))


@pytest.mark.parametrize("family", ["gemma-mini", "nemotron-mini"])
def test_an_impossible_config_is_refused(family):
    import dataclasses

    for change in (
        {"num_kv_heads": 3}, {"head_dim": 7}, {"num_layers": 0}, {"hidden_size": "128"},
        {"rotary_fraction": 1.5}, {"norm_eps": -1.0}, {"tie_embeddings": 1},
    ):  # fmt: skip
        with pytest.raises(UserError, match=next(iter(change))):
            dataclasses.replace(CONFIGS[family], **change)


def test_build_refuses_what_it_does_not_know():
    with pytest.raises(UserError, match="did you mean gemma-mini"):
        minimodels.build("gema-mini")
    with pytest.raises(UserError, match="choose one of gemma-mini, gemma-2b"):
        minimodels.build("qqqq")
    with pytest.raises(UserError, match="takes a name or a config"):
        minimodels.build(7)
    assert minimodels.build(GemmaConfig(**vars(CONFIGS["gemma-mini"])), device="meta")
