"""Gemma 3 with pictures in the Hugging Face layout: one config.json with another two inside.

Its files say less than others: where the text's part is silent, Transformers' values hold.
"""

from minimodels.architecture.configs.gemma3_vision import Gemma3VisionConfig, VisionConfig
from minimodels.architecture.hf import gemma
from minimodels.architecture.hf.layout import Layout
from minimodels.errors import UserError

TEXT = gemma.LAYOUTS["gemma3_text"]
SILENT = {  # what the released files leave out of text_config
    "vocab_size": 262_208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8, "num_key_value_heads": 4,
}  # fmt: skip
VISION = {  # our field -> theirs
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "image_size": "image_size",
    "patch_size": "patch_size",
    "num_channels": "num_channels",
    "norm_eps": "layer_norm_eps",
}
VISION_DEFAULTS = {  # Transformers' SiglipVisionConfig
    "hidden_size": 768, "intermediate_size": 3072, "num_layers": 12, "num_heads": 12,
    "image_size": 224, "patch_size": 16,
}  # fmt: skip
VISION_ONE_WAY = {
    "model_type": "siglip_vision_model",
    "hidden_act": "gelu_pytorch_tanh",
    "attention_dropout": 0.0,
    "vision_use_head": False,
}
MARKS = {
    "picture_tokens": "mm_tokens_per_image",
    "picture_token": "image_token_index",
    "start_of_picture": "boi_token_index",
    "end_of_picture": "eoi_token_index",
}
LATER_MARKS = {name: name.replace("_index", "_id") for name in MARKS.values()}


def _read(path, raw: dict, fields: dict) -> dict:
    found = {our: raw.get(LATER_MARKS[their]) for our, their in MARKS.items() if their not in raw}
    return _read_text(path, raw) | found | {"vision": _read_vision(path, raw)}


def _read_text(path, raw: dict) -> dict:
    from minimodels.architecture.hf.config_json import config_from  # which imports this file's kind

    text = SILENT | _part(path, raw, "text_config")
    if raw.get("tie_word_embeddings") is not None:
        text["tie_word_embeddings"] = raw["tie_word_embeddings"]
    return vars(config_from(path, text | {"model_type": "gemma3_text"}, TEXT))


def _read_vision(path, raw: dict) -> VisionConfig:
    part = _part(path, raw, "vision_config")
    for name, value in part.items():
        if name in VISION.values() or value is None or VISION_ONE_WAY.get(name) == value:
            continue
        if name in ("dtype", "torch_dtype", "transformers_version", "projection_dim"):
            continue
        raise UserError(
            f"{path}: {name} = {value!r} in vision_config is not implemented and could change the "
            "result: choose another checkpoint, or take the field out if it has no effect."
        )
    given = {our: part[their] for our, their in VISION.items() if part.get(their) is not None}
    try:
        return VisionConfig(**(VISION_DEFAULTS | given))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _part(path, raw: dict, name: str) -> dict:
    if not isinstance(raw.get(name), dict):
        raise UserError(f"{path} does not say {name}: it is no Gemma 3 with pictures.")
    return raw[name]


def _write(config: Gemma3VisionConfig) -> dict:
    text = {their: getattr(config, our) for our, their in TEXT.names.items()}
    vision = {their: getattr(config.vision, our) for our, their in VISION.items()}
    one_way = {name: allowed[0] for name, allowed in TEXT.one_way.items() if allowed[0] is not None}
    return {
        "text_config": {"model_type": "gemma3_text", **text, **one_way, **TEXT.write(config)},
        "vision_config": {**vision, **VISION_ONE_WAY},
        "tie_word_embeddings": config.tie_embeddings,
        "initializer_range": config.init_std,
    }


def _split(name: str, tensor):
    if name.startswith(("vision_tower.", "multi_modal_projector.")):
        yield name, tensor
    elif name.startswith("lm_head."):
        yield f"language_model.{name}", tensor
    else:
        yield f"language_model.model.{name}", tensor


def _rename(name: str) -> str:
    """The first release wrote vision_tower.vision_model; some files have model. in front."""
    name = name.replace("vision_tower.vision_model.", "vision_tower.")
    if name.startswith("model.language_model."):
        return name.replace("model.language_model.", "language_model.model.", 1)
    return "language_model." + name if name.startswith("lm_head.") else name.removeprefix("model.")


LAYOUTS = {
    "gemma3": Layout(
        Gemma3VisionConfig,
        "Gemma3ForConditionalGeneration",
        names=MARKS,
        read=_read,
        write=_write,
        defaults={
            "picture_tokens": 256, "picture_token": 262_144, "start_of_picture": 255_999,
            "end_of_picture": 256_000,
        },
        known=(
            "text_config", "vision_config", "tie_word_embeddings", "initializer_range",
            *LATER_MARKS.values(),
        ),
        split=_split,
        rename=_rename,
    ),
}  # fmt: skip
