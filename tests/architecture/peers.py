"""Transformers' own models as the reference, with weights that hide nothing.

Fresh weights are so small that many mistakes change nothing visible: matrices are scaled up and
norms moved away from identity.
"""

import torch

SHAPES = {  # vocab, hidden, intermediate, layers, heads, kv heads, head_dim
    "mha": (97, 36, 57, 2, 3, 3, 20),
    "gqa": (101, 48, 40, 3, 6, 2, 8),
    "mqa": (64, 40, 111, 2, 5, 1, 12),
    "wide": (130, 24, 64, 1, 4, 2, 16),  # heads wider together than the residual stream
}
FRACTIONS = {"mha": 0.5, "gqa": 0.25, "mqa": 1.0, "wide": 0.5}


def peer(family: str, shape: str, seed: int = 0, **changes):
    """A GemmaForCausalLM or NemotronForCausalLM of Transformers."""
    import transformers

    names = "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads"
    names += " num_key_value_heads head_dim"
    fields = dict(zip(names.split(), SHAPES[shape], strict=True))
    fields |= {"max_position_embeddings": 64, "pad_token_id": None}
    if family == "nemotron":
        fields["partial_rotary_factor"] = FRACTIONS[shape]
    config = {"gemma": "GemmaConfig", "nemotron": "NemotronConfig"}[family]
    config = getattr(transformers, config)(**(fields | changes))
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config)
    unsettle(model)
    return model.float().eval()


@torch.no_grad()
def unsettle(model) -> None:
    """Matrices to a size at which every part matters, norms away from identity."""
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            weight.copy_(0.5 * torch.randn_like(weight))
        elif "embed_tokens" in name or "lm_head" in name:
            weight.copy_(0.3 * torch.randn_like(weight))
        else:
            weight.copy_(1.5 * torch.randn_like(weight) / weight.shape[1] ** 0.5)


def tokens_for(model, batch: int = 2, length: int = 23):
    vocab = model.config.vocab_size
    return torch.randint(0, vocab, (batch, length), generator=torch.Generator().manual_seed(7))
