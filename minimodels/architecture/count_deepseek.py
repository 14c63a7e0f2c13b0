"""Parameters of DeepSeek-V3, part by part."""

from minimodels.architecture.configs.deepseek import DeepseekConfig


def count_deepseek(config: DeepseekConfig) -> dict[str, int | None]:
    """The fields of a Count."""
    D, L, E = config.hidden_size, config.num_layers, config.num_experts
    expert, dense = 3 * D * config.moe_intermediate_size, 3 * D * config.intermediate_size
    mixtures = L - (config.num_dense_layers or 0)
    mixture = (E + config.shared_experts) * expert + E * D  # and the router
    counted = {
        "embedding": (1 if config.tie_embeddings else 2) * config.vocab_size * D,
        "attention": L * attention(config),
        "mlp": (L - mixtures) * dense + mixtures * mixture,
        "norms": (2 * L + 1) * D,
    }
    resting = mixtures * (E - config.experts_per_token) * expert
    return counted | {"active": sum(counted.values()) - resting}


def attention(config: DeepseekConfig) -> int:
    """Down to the latents and up again, with the norms on them."""
    D, H, r, R = config.hidden_size, config.num_heads, config.kv_lora_rank, config.head_dim
    plain, value, rank = config.qk_nope_head_dim, config.v_head_dim, config.q_lora_rank
    queries = H * (plain + R)
    ways = D * queries if rank is None else rank * (D + 1 + queries)
    return ways + D * (r + R) + r + r * H * (plain + value) + H * value * D
