"""What the chapter on mixtures compares with Transformers, and a slider for a router's load."""

import importlib.util
from collections.abc import Callable, Sequence

import torch

from minimodels.architecture import demo, moe_figures
from minimodels.architecture.moe import MoE
from minimodels.cluster.demo import live

COMMON = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]


def against(name: str, model, tokens, stored: Sequence[float]) -> dict[str, tuple]:
    """Rows for `demo.checks`: six logits of the last token as stored, and all of Transformers'.

    Without Transformers the first row stands alone.
    """
    logits, theirs = demo.our_streams(model, tokens)[0], demo.transformers_streams(model, tokens)
    rows = {f"{name}, six stored": (logits[0, -1, :6], torch.tensor(stored))}
    return rows if theirs is None else rows | {name: (logits, theirs[0])}


@torch.no_grad()
def deepseek(layer: MoE, x):
    """What Transformers' DeepseekV3MoE answers to x (B, T, D) with our weights; None without it."""
    if importlib.util.find_spec("transformers") is None:
        return None
    from transformers import DeepseekV3Config
    from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3MoE

    gate, (E, D, width) = layer.gate, layer.experts.down_proj.shape
    shared = layer.shared_experts.down_proj.weight.shape[1] // width
    theirs = DeepseekV3MoE(DeepseekV3Config(
        hidden_size=D, moe_intermediate_size=width, n_routed_experts=E, n_shared_experts=shared,
        num_experts_per_tok=gate.top_k, n_group=gate.groups, topk_group=gate.top_groups,
        routed_scaling_factor=gate.scale, experts_implementation="eager"))  # fmt: skip
    theirs.load_state_dict(layer.state_dict())
    return theirs(x)


def dropped(load: Sequence[float], factor: float) -> float:
    """Share of the tokens that finds no room where each expert has `factor` times an even share."""
    return sum(max(0.0, share - factor / len(load)) for share in load)


def load_slider(fresh_load: Callable[[float], Sequence[float]], first: float = 2.0,
                factor: float = 1.25):  # fmt: skip
    """Loads of an untrained router under a slider: the size of what all tokens have in common.

    `fresh_load(common)` gives the share of each expert.
    """

    def draw(common):
        load = fresh_load(common)
        return moe_figures.queues(
            load, factor,
            f"Common part {common:g}: the busiest of {len(load)} experts gets "
            f"{100 * max(load):.0f}% of the tokens, {100 * dropped(load, factor):.0f}% are dropped",
        )  # fmt: skip

    return live(draw, COMMON, first, "common")
