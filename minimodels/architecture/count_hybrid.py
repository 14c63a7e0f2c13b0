"""Parameters of a hybrid, mixer by mixer: Nemotron-H and Nemotron 3."""

from minimodels.architecture.configs.base import FULL
from minimodels.architecture.configs.nemotron_h import MAMBA, MLP, MOE, NemotronHConfig


def count_hybrid(config: NemotronHConfig) -> dict[str, int | None]:
    """The fields of a Count."""
    D = config.hidden_size
    size = {FULL: attention(config), MAMBA: mamba(config), MLP: 2 * D * config.intermediate_size}
    size[MOE] = mixture(config) if MOE in config.kinds else 0
    sums = {kind: size[kind] * config.kinds.count(kind) for kind in size}
    embedding = (1 if config.tie_embeddings else 2) * config.vocab_size * D
    norms = (config.num_layers + 1) * D
    counted = {
        "embedding": embedding,
        "attention": sums[FULL],
        "recurrent": sums[MAMBA],
        "mlp": sums[MLP] + sums[MOE],
        "norms": norms,
    }
    if MOE not in config.kinds:
        return counted
    resting = config.kinds.count(MOE) * (config.num_experts - config.experts_per_token)
    return counted | {"active": sum(counted.values()) - resting * expert(config)}


def attention(config) -> int:
    heads = 2 * config.num_heads + 2 * config.num_kv_heads  # q and o, k and v
    return heads * config.head_dim * config.hidden_size


def mamba(config) -> int:
    """in_proj, out_proj, the convolution with its bias, three numbers a head, the gated norm."""
    D, H = config.hidden_size, config.mamba_num_heads
    inner, channels = H * config.mamba_head_dim, config.mamba_channels
    projections = D * (inner + channels + H) + inner * D
    return projections + channels * (config.conv_kernel + 1) + 3 * H + inner


def expert(config) -> int:
    return 2 * (config.moe_latent_size or config.hidden_size) * config.moe_intermediate_size


def mixture(config) -> int:
    """All experts, the shared one, the router, and the way into and out of a latent space."""
    D, latent = config.hidden_size, config.moe_latent_size
    shared = 2 * D * config.shared_intermediate_size
    ways = 2 * D * latent if latent else 0
    return config.num_experts * expert(config) + shared + config.num_experts * D + ways
