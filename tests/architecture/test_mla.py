"""Multi-head latent attention equals Transformers' DeepSeek-V3, in both forms, with the same cache.

Tolerance 1e-5 in float32, relative to the largest number where that exceeds 1.
"""

from types import SimpleNamespace

import pytest
import torch
from near import apart

from minimodels.architecture.attention import visible
from minimodels.architecture.mla import LatentAttention
from minimodels.architecture.rope import rotation

TOLERANCE = 1e-5
SHAPES = {  # hidden, heads, q latent, latent, plain, rotated, value
    "small": (24, 3, 20, 12, 8, 4, 6),
    "no query latent": (32, 4, None, 16, 6, 8, 10),
    "one head": (20, 1, 9, 30, 5, 2, 7),
}
T = 11


def twins(shape: str):
    """(theirs, their rotary embedding, ours) with the same weights under the same names."""
    from transformers.models.deepseek_v3 import modeling_deepseek_v3 as theirs

    D, H, q_rank, r, plain, turned, value = SHAPES[shape]
    fields = dict(
        hidden_size=D, q_lora_rank=q_rank, kv_lora_rank=r, qk_nope_head_dim=plain,
        qk_rope_head_dim=turned, v_head_dim=value)  # fmt: skip
    config = theirs.DeepseekV3Config(
        num_attention_heads=H, num_key_value_heads=H, num_hidden_layers=1,
        attn_implementation="eager", **fields)  # fmt: skip
    torch.manual_seed(0)
    there = theirs.DeepseekV3Attention(config, layer_idx=0)
    with torch.no_grad():
        for weight in there.parameters():
            spread = 0.5 if weight.dim() == 1 else 1.5 / weight.shape[1] ** 0.5
            weight.copy_(spread * torch.randn_like(weight) + (weight.dim() == 1))
    ours = LatentAttention(SimpleNamespace(num_heads=H, attention_scale=None, **fields), 0)
    ours.load_state_dict(there.state_dict())
    return there, theirs.DeepseekV3RotaryEmbedding(config), ours


@pytest.fixture(params=SHAPES)
def pair(request):
    return twins(request.param)


def inputs(ours, batch: int = 2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, T, ours.o_proj.out_features, generator=generator)


def angles(ours, start: int = 0, end: int = T):
    return rotation(torch.arange(start, end)[None], ours.turned, 10_000.0, torch.float32)


def mask():
    return torch.full((T, T), -torch.inf).triu(1)[None, None]


def run_theirs(theirs, rotary, x):
    return theirs(x, rotary(x, torch.arange(T)[None]), mask())[0]


def test_outputs_and_gradients(pair):
    theirs, rotary, ours = pair
    x = inputs(ours)
    there, here = run_theirs(theirs, rotary, x), ours(x, angles(ours))
    assert there.abs().mean() > 0.1
    assert apart(here, there) <= TOLERANCE
    there.sin().mean().backward()
    here.sin().mean().backward()
    wanted = dict(theirs.named_parameters())
    assert len(wanted) == len(list(ours.parameters()))
    for name, weight in ours.named_parameters():
        assert wanted[name].grad.abs().max() > 100 * TOLERANCE, name
        assert apart(weight.grad, wanted[name].grad) <= TOLERANCE, name


def test_absorbed_equals_expanded(pair):
    """Outputs, gradients of inputs, and with a mask that hides padding."""
    _, _, ours = pair
    x, real = inputs(ours).requires_grad_(), torch.ones(2, T, dtype=torch.bool)
    real[0, :3] = False
    for seen in (None, visible(0, T, real)):
        parts = (*ours.queries(x, angles(ours)), *ours.latents(x, angles(ours)))
        y, z = ours.expanded(*parts, seen), ours.absorbed(*parts, seen)
        assert apart(z, y) <= TOLERANCE
        (one,) = torch.autograd.grad(y.sin().mean(), x, retain_graph=True)
        (other,) = torch.autograd.grad(z.sin().mean(), x)
        assert apart(other, one) <= TOLERANCE


class Latents:
    """A cache of one layer that keeps what it is given."""

    def __init__(self):
        self.kept = None

    def append(self, layer, c, turned):
        new = (c, turned)
        old = self.kept or [one[:, :, :0] for one in new]
        self.kept = [torch.cat(both, 2) for both in zip(old, new, strict=True)]
        return self.kept


@torch.no_grad()
@pytest.mark.parametrize("prompt", [1, 4, T - 1])
def test_decoding_from_latents(pair, prompt):
    """The cache holds r + R numbers a token, the same as theirs, and is enough."""
    from transformers import DynamicCache

    theirs, rotary, ours = pair
    x, cache, kept, rows, at = inputs(ours), DynamicCache(), Latents(), [], 0
    theirs(x, rotary(x, torch.arange(T)[None]), mask(), past_key_values=cache)
    for piece in (x[:, :prompt], *x[:, prompt:].split(1, dim=1)):
        rows.append(ours(piece, angles(ours, at, at + piece.shape[1]), cache=kept))
        at += piece.shape[1]
    assert apart(torch.cat(rows, 1), run_theirs(theirs, rotary, x)) <= TOLERANCE
    c, turned = kept.kept
    assert c.shape == (2, 1, T, ours.latent) and turned.shape == (2, 1, T, ours.turned)
    assert apart(c, cache.layers[0].keys) <= TOLERANCE
    assert apart(turned, cache.layers[0].values) <= TOLERANCE


@torch.no_grad()
def test_controls_differ(monkeypatch):
    theirs, rotary, ours = twins("small")
    x = inputs(ours)
    wanted = run_theirs(theirs, rotary, x)
    assert apart(ours(x, angles(ours)), wanted) <= TOLERANCE
    assert apart(ours(x, angles(ours, 1, T + 1)), wanted) <= TOLERANCE  # only distances count
    ours.scale = ours.plain**-0.5
    assert apart(ours(x, angles(ours)), wanted) > 1e-2
    ours = twins("small")[2]
    ours.kv_a_layernorm = torch.nn.Identity()
    assert apart(ours(x, angles(ours)), wanted) > 1e-2
    ours = twins("small")[2]
    monkeypatch.setattr("minimodels.architecture.mla.neighbors", lambda x: x)
    assert apart(ours(x, angles(ours)), wanted) > 1e-3
