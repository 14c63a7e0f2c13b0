"""Gemma 3n in the Hugging Face layout: the text's model, alone or out of the multimodal folder.

Of a multimodal folder (model_type gemma3n) the text's part is read; what sees and hears is left
out, and so is what the first release stored for keys that no layer uses.
"""

from minimodels.architecture.configs.gemma3n import Gemma3nConfig, PerLayerConfig
from minimodels.architecture.hf import gemma
from minimodels.architecture.hf.layout import NAMES, Layout, Tensors, plain
from minimodels.errors import UserError

PER_LAYER = NAMES | {
    "norm_eps": "rms_norm_eps",
    "sliding_window": "sliding_window",
    "logit_softcap": "final_logit_softcapping",
    "per_layer_vocab": "vocab_size_per_layer_input",
}
PARTS = ("vision_tower", "audio_tower", "embed_vision", "embed_audio")
SENSES = tuple(f"model.{part}." for part in PARTS)
OF_KEYS = tuple(f".self_attn.{part}.weight" for part in "k_proj v_proj k_norm v_norm".split())
NAMELESS = {"ple", "moe"}  # modules of ours that only group tensors
AROUND = (  # what a multimodal config.json says beside text_config
    "text_config vision_config audio_config audio_soft_tokens_per_image "
    "vision_soft_tokens_per_image image_token_id video_token_id audio_token_id boi_token_id "
    "eoi_token_id boa_token_id eoa_token_id eoa_token_index tie_word_embeddings initializer_range"
).split()


def split(name: str, tensor) -> Tensors:
    yield from plain(".".join(part for part in name.split(".") if part not in NAMELESS), tensor)


def rename(name: str) -> str | None:
    if name.startswith(SENSES):
        return None
    return name.replace("model.language_model.", "model.", 1)


def unused(name: str, config: PerLayerConfig) -> bool:
    """Keys and values of a layer that reads those of another."""
    layer = name.removeprefix("model.layers.").partition(".")[0]
    return name.endswith(OF_KEYS) and layer.isdecimal() and config.shares(int(layer))


def text_of(family: str):
    """Reads the text's part of a multimodal config.json as if it stood alone."""

    def read(path, raw: dict, fields: dict) -> dict:
        from minimodels.architecture.hf.config_json import config_from, layout

        text = raw.get("text_config")
        if not isinstance(text, dict):
            raise UserError(f"{path} does not say text_config: give the folder of a whole model.")
        return vars(config_from(path, text | {"model_type": family}, layout(family)))

    return read


def _read(path, raw: dict, fields: dict) -> dict:
    widths, layers = raw.get("intermediate_size"), raw.get("num_hidden_layers")
    found = {
        "layer_types": gemma.layer_types(path, raw, every=5),
        "num_shared_layers": raw.get("num_kv_shared_layers", 15) or None,
        "sparsity": _sparsity(raw.get("activation_sparsity_pattern"), layers),
    }
    if isinstance(widths, list) and widths:
        found["intermediate_size"] = max(widths)
        found["widths"] = tuple(widths) if len(set(widths)) > 1 else None
    return found | gemma.two_ropes(path, raw)


def _sparsity(given, layers) -> tuple[float, ...] | None:
    """As Transformers fills it in: the first ten layers of a model with more than ten."""
    if given is None and isinstance(layers, int) and layers > 10:
        given = [0.95] * 10 + [0.0] * (layers - 10)
    return tuple(given) if isinstance(given, list) and any(given) else None


def _write(config: Gemma3nConfig) -> dict:
    widths = [config.width(layer) for layer in range(config.num_layers)]
    return {
        **gemma.write_two_ropes(config),
        "intermediate_size": widths,
        "activation_sparsity_pattern": [config.cut(i) for i in range(config.num_layers)],
        "num_kv_shared_layers": config.num_shared_layers or 0,
    }


LAYOUTS = {
    "gemma3n_text": Layout(
        Gemma3nConfig,
        "Gemma3nForCausalLM",
        names=PER_LAYER
        | {
            "per_layer_size": "hidden_size_per_layer_input",
            "laurel_rank": "laurel_rank",
            "num_streams": "altup_num_inputs",
            "altup_clip": "altup_coef_clip",
        },
        read=_read,
        write=_write,
        one_way={
            "hidden_activation": ("gelu_pytorch_tanh",),
            "attention_bias": (False,),
            "attention_dropout": (0.0,),
            "altup_active_idx": (0,),
            "altup_correct_scale": (True,),
        },
        defaults={"head_dim": 256, "max_length": 32_768, "sliding_window": 512},
        known=(
            "layer_types", "num_kv_shared_layers", "activation_sparsity_pattern",
            "rope_local_base_freq", "altup_lr_multiplier",  # the last of training
        ),
        split=split,
        rename=rename,
        unused=unused,
    ),
    "gemma3n": Layout(
        Gemma3nConfig,
        "Gemma3nForConditionalGeneration",
        names={},
        read=text_of("gemma3n_text"),
        write=_write,
        known=tuple(AROUND),
    ),
}  # fmt: skip
