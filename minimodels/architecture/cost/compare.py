"""Formula beside count, for a small model of any family: what the chapter shows and tests hold."""

from collections.abc import Callable
from dataclasses import fields, replace

import torch
from torch.nn import functional as F

from minimodels.architecture.build import build
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs import FULL, SLIDING, DecoderConfig
from minimodels.architecture.configs.gemma3n import PerLayerConfig
from minimodels.architecture.configs.nemotron_h import MAMBA, NemotronHConfig
from minimodels.architecture.cost.activations import activations
from minimodels.architecture.cost.counted import counted_flops, saved_bytes
from minimodels.architecture.cost.flops import flops
from minimodels.architecture.count import cache_bytes, count

SMALL = dict(  # no two sizes alike, so that no mistake cancels
    vocab_size=301, hidden_size=40, intermediate_size=112, num_layers=3, num_heads=6,
    num_kv_heads=2, head_dim=8, max_length=256, num_experts=5, sliding_window=20,
    layer_types=(SLIDING, FULL, SLIDING), mamba_num_heads=6, mamba_head_dim=10, mamba_groups=2,
    ssm_state_size=14, chunk_size=16, moe_intermediate_size=30, shared_intermediate_size=70,
    moe_latent_size=24, experts_per_token=2, kv_lora_rank=18, q_lora_rank=22,
    qk_nope_head_dim=10, v_head_dim=12, num_dense_layers=1, expert_groups=1, top_groups=1,
)  # fmt: skip

PER_LAYER = {  # four layers, of which the last two share the keys of the first two
    "num_layers": 4, "layer_types": 2 * (SLIDING, FULL), "num_shared_layers": 2,
    "per_layer_size": 12, "per_layer_vocab": 290, "widths": (112, 112, 150, 150),
    "sparsity": (0.9, 0.0, 0.0, 0.0), "laurel_rank": 6, "full_head_dim": 12,
    "full_kv_heads": 1, "expert_size": 30,
}  # fmt: skip


def small(config: DecoderConfig) -> DecoderConfig:
    """The same family in sizes that are built in milliseconds, with what its shapes insist on."""
    has = {field.name for field in fields(config) if getattr(config, field.name) is not None}
    sizes = {name: value for name, value in SMALL.items() if name in has}
    if isinstance(config, NemotronHConfig):  # each kind of block that it has, and Mamba-2 twice
        sizes["layer_types"] = (MAMBA, *dict.fromkeys(config.kinds))
        sizes["num_layers"] = len(sizes["layer_types"])
    if isinstance(config, PerLayerConfig):
        sizes |= {name: value for name, value in PER_LAYER.items() if name in has}
    if config.num_kv_heads == config.num_heads:
        sizes["num_kv_heads"] = SMALL["num_heads"]
    if config.num_heads * config.head_dim == config.hidden_size:  # some families insist on it
        sizes["hidden_size"] = SMALL["num_heads"] * SMALL["head_dim"]
    return replace(config, **sizes)


def training_step(model, batch: int, length: int, seed: int = 0) -> Callable[[], torch.Tensor]:
    """A function that reads random texts (B, T) and returns the loss; its tokens exist already."""
    draw, V = torch.Generator().manual_seed(seed), model.config.vocab_size
    tokens = torch.randint(V, (batch, length), generator=draw).to(model.device)
    targets = torch.randint(V, (batch * length,), generator=draw).to(model.device)
    return lambda: F.cross_entropy(model(tokens).flatten(0, 1), targets)


def compared(
    config: DecoderConfig, length: int = 33, batch: int = 2, dtype=torch.float32
) -> dict[str, tuple[int, int]]:
    """{what: (by formula, as counted)} for a fresh model of this config."""
    torch.manual_seed(0)
    model = build(config, device="cpu").to(dtype)
    step = training_step(model, batch, length)
    work = flops(config, length, batch)
    cache = KVCache(config, batch, length, dtype=dtype)
    with torch.no_grad():
        forward = counted_flops(step).total()
    bills = {
        "parameters": (count(config).total, sum(p.numel() for p in model.parameters())),
        "FLOPs forward": (work.forward, forward),
        "FLOPs of a training step": (
            work.computed,
            counted_flops(lambda: step().backward()).total(),
        ),
        "bytes kept": (
            sum(activations(config, length, batch, dtype.itemsize).values()),
            saved_bytes(step, model),
        ),
        "bytes of cache": (cache_bytes(config, length, batch, dtype.itemsize), cache.nbytes),
    }
    if config.family == "bert":  # an encoder keeps nothing: each token sees those behind it too
        del bills["bytes of cache"]
    return bills
