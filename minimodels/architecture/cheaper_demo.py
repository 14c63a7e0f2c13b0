"""What the chapter on cheaper attention shows: Transformers' layers as references, and a slider."""

import importlib.util

import torch

from minimodels.architecture import cheaper_figures
from minimodels.architecture.mamba2 import Mamba2
from minimodels.architecture.mla import LatentAttention
from minimodels.cluster.demo import live

WINDOWS = [2, 3, 4, 5, 6, 8, 12]


def window_slider(first: int = 4, layers: int = 4):
    """Which tokens reach the newest one; the slider is the window."""
    return live(
        lambda window: cheaper_figures.receptive_field(window, layers), WINDOWS, first, "window"
    )


@torch.no_grad()
def lively(layer: torch.nn.Module, seed: int = 0):
    """The layer with weights at which every part of it matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in layer.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if weight.dim() == 1:
            weight.copy_(0.5 * noise + ("norm" in name))
        else:
            weight.copy_(1.5 * noise / weight[0].numel() ** 0.5)
    return layer.eval()


@torch.no_grad()
def their_latent_attention(ours: LatentAttention, x):
    """What Transformers' DeepSeek-V3 makes of x (B, T, D) with our weights; None without it."""
    if importlib.util.find_spec("transformers") is None:
        return None
    from transformers.models.deepseek_v3 import modeling_deepseek_v3 as theirs

    config = theirs.DeepseekV3Config(
        hidden_size=x.shape[-1], num_attention_heads=ours.num_heads,
        num_key_value_heads=ours.num_heads, kv_lora_rank=ours.latent,
        q_lora_rank=ours.q_a_proj.out_features, qk_nope_head_dim=ours.plain,
        qk_rope_head_dim=ours.turned, v_head_dim=ours.value, num_hidden_layers=1,
        attn_implementation="eager")  # fmt: skip
    layer = theirs.DeepseekV3Attention(config, layer_idx=0).eval()
    layer.load_state_dict(ours.state_dict())
    T = x.shape[1]
    angles = theirs.DeepseekV3RotaryEmbedding(config)(x, torch.arange(T)[None])
    return layer(x, angles, torch.full((T, T), -torch.inf).triu(1)[None, None])[0]


@torch.no_grad()
def their_mamba2(ours: Mamba2, x):
    """What Transformers' Nemotron-H makes of x (B, T, D) with our weights; None without it."""
    if importlib.util.find_spec("transformers") is None:
        return None
    from transformers.models.nemotron_h import modeling_nemotron_h as theirs
    from transformers.utils import logging

    logging.set_verbosity_error()  # it says that its fast kernels are not installed

    config = theirs.NemotronHConfig(
        hidden_size=x.shape[-1], mamba_num_heads=ours.num_heads, mamba_head_dim=ours.head_dim,
        ssm_state_size=ours.state_size, n_groups=ours.num_groups,
        conv_kernel=ours.conv1d.kernel_size[0], chunk_size=ours.chunk_size,
        time_step_min=ours.time_step_min, layers_block_type=["linear_attention"])  # fmt: skip
    layer = theirs.NemotronHMamba2Mixer(config, layer_idx=0).eval()
    layer.load_state_dict(ours.state_dict())
    return layer(x)
