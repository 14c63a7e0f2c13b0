"""Parameters of Gemma 3n and Gemma 4, whose layers differ from one another: see count.py.

`embedding` holds the tables of the layers too: their rows are looked up, so they need no fast
memory, and what remains is what the E in E2B stands for. Published in arXiv 2607.02770, table 1.
"""

from minimodels.architecture.configs import FULL
from minimodels.architecture.configs.gemma3n import PerLayerConfig


def count_per_layer(config: PerLayerConfig) -> dict[str, int]:
    """The fields of a Count."""
    D, L, P = config.hidden_size, config.num_layers, config.per_layer_size or 0
    rows = (1 if config.tie_embeddings else 2) * config.vocab_size
    parts = [_layer(config, layer) for layer in range(L)]
    counted = {
        "embedding": rows * D + (config.per_layer_vocab * L * P if P else 0),
        "attention": sum(attention for attention, _, _ in parts),
        "mlp": sum(mlp for _, mlp, _ in parts) + D * L * P,
        "norms": sum(norms for _, _, norms in parts) + D + P,
    }
    if config.family == "gemma3n_text":
        return _add_streams(config, counted)
    if config.num_experts:
        expert = 3 * config.expert_size * D
        resting = L * (config.num_experts - config.experts_per_token) * expert
        counted["active"] = sum(counted.values()) - resting
    return counted


def _layer(config, layer: int) -> tuple[int, int, int]:
    """Attention, MLP and norms of one layer, which tells itself the token by 2 · D · P."""
    D, P, kind = config.hidden_size, config.per_layer_size or 0, config.kinds[layer]
    d, projections = config.head_size(kind), 2 * config.num_heads  # q and o
    norms = 4 * D + d + (D if P else 0)
    if not config.shares(layer):
        values = not (getattr(config, "k_eq_v", False) and kind == FULL)
        projections += (2 if values else 1) * config.kv_heads(kind)
        norms += d
    mlp = 3 * D * config.width(layer) + 2 * D * P
    if getattr(config, "num_experts", None):
        E = config.num_experts
        mlp += E * 3 * D * config.expert_size + E * D + D + E  # experts, router and its scales
        norms += 3 * D
    return projections * d * D, mlp, norms


def _add_streams(config, counted: dict[str, int]) -> dict[str, int]:
    """AltUp and LAuReL: both work around attention, and are counted with it."""
    D, L, N = config.hidden_size, config.num_layers, config.num_streams
    altup = L * (N * D + N**3 + N * N + D) + 2 * (N - 1) * D * D
    laurel = L * 2 * D * config.laurel_rank
    norms = L * 2 * D
    return counted | {
        "attention": counted["attention"] + altup + laurel,
        "norms": counted["norms"] + norms,
    }
