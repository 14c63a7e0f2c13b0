"""The parts of DeepSeek-V3: attention over latents, and many small experts.

See minimodels/architecture/mla.py. Legend: D hidden, H heads, n and R numbers of a query or key
without and with rotation, v of a value, r of a latent.
"""

from dataclasses import dataclass

from minimodels.architecture.configs.deepseek import DeepseekConfig
from minimodels.architecture.cost.parts import Experts, Extra, Mlp, Norm, Part


@dataclass(frozen=True)
class Latent(Part):
    """Keys and values of all heads made from r numbers; several tokens at once see them whole."""

    hidden: int
    heads: int
    plain: int  # n
    turned: int  # R
    value: int  # v
    rank: int  # r
    query_rank: int | None

    @property
    def width(self) -> int:
        return self.plain + self.turned

    @property
    def matrices(self):
        D, H, r, q = self.hidden, self.heads, self.rank, self.query_rank
        queries = (("query", D, H * self.width),)
        if q:
            queries = (("query down", D, q), ("query up", q, H * self.width))
        return (
            *queries, ("latent", D, r + self.turned),
            ("keys and values", r, H * (self.plain + self.value)),
            ("attention output", H * self.value, D),
        )  # fmt: skip

    def scores(self, length: int, past: int) -> int:
        """FLOPs of scores and their use; a single token meets the latents as they are."""
        seen, H = length * (past + length), self.heads
        if length == 1:
            return 2 * seen * H * (2 * self.rank + self.turned)
        again = 2 * past * self.rank * H * (self.plain + self.value)  # the past is expanded too
        return 2 * seen * H * (self.width + self.value) + again


def latent_layer(config: DeepseekConfig, layer: int) -> list[Part]:
    """One block: norms, latent attention, and an MLP, dense in the first blocks."""
    D, r, q = config.hidden_size, config.kv_lora_rank, config.q_lora_rank
    attention = Latent(
        "attention", D, config.num_heads, config.qk_nope_head_dim, config.qk_rope_head_dim,
        config.v_head_dim, r, q,
    )  # fmt: skip
    norms = [Norm("norms", size, "rms") for size in (r, q) if size]
    latent = Extra("norms", viewed=config.qk_rope_head_dim)  # made by one product with the latent
    norm, width = Norm("norms", D, "rms"), config.moe_intermediate_size
    mlp: Part = Mlp("mlp", D, config.intermediate_size, "gated")
    if layer >= (config.num_dense_layers or 0):
        mlp = Experts(
            "mlp", D, width, "gated", config.num_experts, config.experts_per_token,
            shared=config.shared_experts * width, sigmoid=True,
        )  # fmt: skip
    return [norm, attention, *norms, latent, norm, mlp]
