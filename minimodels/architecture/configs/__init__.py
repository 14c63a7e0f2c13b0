"""The models of the course as data: one table of names, one file a family."""

from difflib import get_close_matches

from minimodels.architecture.configs import (
    bert,
    bloom,
    gemma,
    gemma3_vision,
    gemma3n,
    gemma4,
    gpt2,
    llama,
    nemotron,
    nemotron_h,
)
from minimodels.architecture.configs.base import (
    FULL,
    SLIDING,
    DecoderConfig,
    RopeScaling,
    pattern,
)
from minimodels.architecture.configs.bert import BertConfig
from minimodels.architecture.configs.bloom import BloomConfig
from minimodels.architecture.configs.gemma import Gemma2Config, Gemma3Config, GemmaConfig
from minimodels.architecture.configs.gemma3_vision import Gemma3VisionConfig, VisionConfig
from minimodels.architecture.configs.gemma3n import Gemma3nConfig
from minimodels.architecture.configs.gemma4 import Gemma4Config
from minimodels.architecture.configs.gpt2 import GPT2Config
from minimodels.architecture.configs.llama import LlamaConfig, MixtralConfig
from minimodels.architecture.configs.nemotron import NemotronConfig
from minimodels.architecture.configs.nemotron_h import NemotronHConfig
from minimodels.errors import UserError

CONFIGS: dict[str, DecoderConfig] = {
    **gemma.CONFIGS, **gemma3_vision.CONFIGS, **gemma3n.CONFIGS, **gemma4.CONFIGS,
    **nemotron.CONFIGS, **nemotron_h.CONFIGS, **llama.CONFIGS, **gpt2.CONFIGS, **bloom.CONFIGS,
    **bert.CONFIGS,
}  # fmt: skip

__all__ = [
    "CONFIGS", "FULL", "SLIDING", "BertConfig", "BloomConfig", "DecoderConfig", "GPT2Config",
    "Gemma2Config", "Gemma3Config", "Gemma3VisionConfig", "Gemma3nConfig", "Gemma4Config",
    "GemmaConfig", "LlamaConfig", "MixtralConfig", "NemotronConfig", "NemotronHConfig",
    "RopeScaling", "VisionConfig", "get", "pattern", "suggest",
]  # fmt: skip


def get(name: str) -> DecoderConfig:
    """The config called `name`; UserError with near matches if there is none."""
    if name not in CONFIGS:
        raise UserError(f"there is no model called {name!r}: {suggest(name, CONFIGS)}.")
    return CONFIGS[name]


def suggest(name: str, known) -> str:
    """'did you mean …' with the nearest of the known names, or all of them."""
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(near)
    return "choose one of " + ", ".join(known)
