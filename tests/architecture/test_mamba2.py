"""Our Mamba-2 mixer equals the two of Transformers, in one piece, in parts and token by token.

Tolerance 1e-5 in float32, relative to the largest number where that exceeds 1. Each control has one
thing wrong.
"""

import pytest
import torch
from near import apart

from minimodels.architecture.mamba2 import Mamba2, scan, step

TOLERANCE = 1e-5
SHAPES = {  # hidden, heads, head_dim, state, groups, taps, chunk
    "small": (24, 6, 8, 5, 2, 4, 4),
    "one group": (20, 5, 8, 16, 1, 3, 16),
    "a group a head": (32, 4, 16, 7, 4, 2, 5),
}
LENGTH = 19  # no multiple of a chunk
CASES = [(kind, shape) for kind in ("nemotron_h", "mamba2") for shape in SHAPES]


def peer(kind: str, shape: str):
    """The mixer of Transformers, with weights at a size at which every part matters."""
    D, H, p, n, G, W, chunk = SHAPES[shape]
    common = dict(hidden_size=D, n_groups=G, conv_kernel=W, chunk_size=chunk)
    torch.manual_seed(0)
    if kind == "mamba2":
        from transformers.models.mamba2.modeling_mamba2 import Mamba2Config, Mamba2Mixer

        config = Mamba2Config(num_heads=H, head_dim=p, state_size=n, expand=H * p // D,
                              num_hidden_layers=1, **common)  # fmt: skip
        mixer = Mamba2Mixer(config, layer_idx=0)
    else:
        from transformers.models.nemotron_h import modeling_nemotron_h as theirs

        config = theirs.NemotronHConfig(
            mamba_num_heads=H, mamba_head_dim=p, ssm_state_size=n, time_step_min=0.001,
            layers_block_type=["linear_attention"], **common)  # fmt: skip
        mixer = theirs.NemotronHMamba2Mixer(config, layer_idx=0)
    with torch.no_grad():
        for name, weight in mixer.named_parameters():
            noise = torch.randn_like(weight)
            spread = 0.5 if weight.dim() == 1 else 1.5 / weight[0].numel() ** 0.5
            weight.copy_(noise * spread + (1.0 if name in ("D", "norm.weight") else 0.0))
    return mixer.eval(), config


def twins(kind: str, shape: str):
    """(theirs, their config, ours) with the same weights under the same names."""
    theirs, config = peer(kind, shape)
    D, H, p, n, G, W, chunk = SHAPES[shape]
    low = 0.001 if kind == "nemotron_h" else 0.0
    ours = Mamba2(D, H, p, n, G, W, chunk, config.layer_norm_epsilon, time_step_min=low)
    ours.load_state_dict(theirs.state_dict())  # strict: names and shapes are those on disk
    return theirs, config, ours.eval()


@pytest.fixture(params=CASES, ids=" ".join)
def pair(request):
    return twins(*request.param)


def inputs(width: int, batch: int = 2, length: int = LENGTH):
    return torch.randn(batch, length, width, generator=torch.Generator().manual_seed(1))


def test_outputs_and_gradients(pair):
    theirs, _, ours = pair
    x = inputs(theirs.hidden_size)
    (there, here) = theirs(x), ours(x)
    assert there.abs().mean() > 0.1  # nothing hides in small numbers
    assert apart(there, here) <= TOLERANCE
    for y in (there, here):
        (y.sin().sum() / y.numel() ** 0.5).backward()
    wanted = dict(theirs.named_parameters())
    assert len(wanted) == len(list(ours.parameters()))
    for name, weight in ours.named_parameters():
        gradient = wanted[name].grad
        assert gradient.abs().max() > 100 * TOLERANCE, f"{name}: too small to show anything"
        assert apart(weight.grad, gradient) <= TOLERANCE, name


@torch.no_grad()
@pytest.mark.parametrize("prompt", [1, 2, 7, LENGTH - 1])
def test_decoding_equals_theirs_and_one_pass(pair, prompt):
    """A prompt in one piece, then a token at a time; outputs and both states."""
    from transformers import DynamicCache

    theirs, config, ours = pair
    x = inputs(theirs.hidden_size)
    cache, state = DynamicCache(config=config), ours.fresh_state(len(x))
    pieces = [x[:, :prompt], *x[:, prompt:].split(1, dim=1)]
    there = torch.cat([theirs(piece, cache_params=cache) for piece in pieces], 1)
    here = torch.cat([ours(piece, state) for piece in pieces], 1)
    assert apart(there, here) <= TOLERANCE
    assert apart(ours(x), here) <= TOLERANCE
    assert apart(state["ssm"], cache.layers[0].recurrent_states[0]) <= TOLERANCE
    taps = state["conv"].shape[-1]
    assert apart(state["conv"], cache.layers[0].conv_states[0][..., -taps:]) <= TOLERANCE


@torch.no_grad()
def test_pieces_of_any_length(pair):
    """A prompt in three pieces, as chunked prefill reads it."""
    _, _, ours = pair
    x, state = inputs(ours.in_proj.in_features), None
    state = ours.fresh_state(len(x))
    here = torch.cat([ours(piece, state) for piece in x.split([3, 11, 5], 1)], 1)
    assert apart(ours(x), here) <= TOLERANCE


@torch.no_grad()
def test_left_padding(pair):
    """As theirs, and the real part and the states are those of the text alone."""
    theirs, _, ours = pair
    x = inputs(theirs.hidden_size)
    real = torch.ones(2, LENGTH, dtype=torch.bool)
    real[0, :6] = False
    state, alone = ours.fresh_state(2), ours.fresh_state(1)
    here = ours(x, state, real)
    assert apart(theirs(x, attention_mask=real), here) <= TOLERANCE
    assert apart(ours(x[:1, 6:], alone), here[:1, 6:]) <= TOLERANCE
    assert apart(alone["ssm"], state["ssm"][:1]) <= TOLERANCE
    assert apart(alone["conv"], state["conv"][:1]) <= TOLERANCE
    assert apart(ours(x)[0, 6:], here[0, 6:]) > 1e-3  # control: no mask


@pytest.mark.parametrize("length", [1, 2, 16, 33])
def test_chunks_equal_steps_in_float64(length):
    """`scan` against `step` by `step`, whatever the chunk; strong and weak decays."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    b, H, p, n = 2, 3, 4, 5
    S, x, dt = draw(b, H, p, n), draw(b, H, length, p), draw(b, H, length).exp()
    B, C = draw(b, H, length, n), draw(b, H, length, n)
    A, state, rows = -torch.tensor([1e-3, 1.0, 50.0], dtype=torch.float64), S, []
    for t in range(length):
        y, state = step(state, x[:, :, t], dt[:, :, t], A, B[:, :, t], C[:, :, t])
        rows.append(y)
    for chunk in (1, 3, 16, 64):
        y, end = scan(S, x, dt, A, B, C, chunk)
        assert apart(y, torch.stack(rows, 2)) < 1e-12 and apart(end, state) < 1e-12
    if length > 1:
        assert apart(scan(S, x, dt, A, C, B, 16)[0], y) > 0.1  # control: key and query swapped


@torch.no_grad()
def test_controls_differ():
    """Each part wrong once: the comparison sees it."""
    theirs, _, ours = twins("nemotron_h", "small")
    x = inputs(theirs.hidden_size)
    wanted = theirs(x)

    def wrong(**changes):
        ours = twins("nemotron_h", "small")[2]
        for name, value in changes.items():
            setattr(ours, name, value)
        return apart(wanted, ours(x))

    assert wrong() <= TOLERANCE
    assert wrong(time_step_min=0.5) > 1e-2
    ours.norm.groups = 1
    assert apart(wanted, ours(x)) > 1e-2
    assert wrong(A_log=torch.nn.Parameter(ours.A_log + 1)) > 1e-2
    assert wrong(D=torch.nn.Parameter(ours.D * 0)) > 1e-2
    assert wrong(for_heads=lambda s: s.unflatten(-1, (2, -1)).transpose(1, 2).repeat(1, 3, 1, 1)
                 ) > 1e-2  # fmt: skip


@torch.no_grad()
def test_bf16_and_bytes():
    """In bf16 the state stays float32, and prefill and decoding stay together."""
    ours = twins("nemotron_h", "small")[2].bfloat16()
    x, state = inputs(24).bfloat16(), ours.fresh_state(2, dtype=torch.bfloat16)
    assert state["ssm"].dtype == torch.float32 and state["conv"].dtype == torch.bfloat16
    assert sum(part.nbytes for part in state.values()) == 2 * (
        6 * 8 * 5 * 4 + (48 + 2 * 2 * 5) * 3 * 2
    )
    here = torch.cat([ours(piece, state) for piece in x.split(1, 1)], 1)
    assert here.dtype == torch.bfloat16
    assert apart(here, ours(x)) < 0.05 * here.abs().max()


def test_fresh_mixer_and_meta():
    """Time steps start between 0.001 and 0.1; on meta nothing is computed."""
    mixer = Mamba2(16, 64, 2, 4)
    dt = torch.nn.functional.softplus(mixer.dt_bias)
    assert 0.0009 < dt.min() and dt.max() < 0.11
    assert torch.equal(mixer.A_log.exp().round(), torch.arange(1.0, 65))
    with torch.device("meta"):
        big = Mamba2(4096, 128, 64, 128, 8)
    assert sum(weight.numel() for weight in big.parameters()) == (
        4096 * (8192 + 10240 + 128) + 10240 * 5 + 3 * 128 + 8192 + 8192 * 4096
    )
