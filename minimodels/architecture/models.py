"""The table of models: what can be built, how large it is, and what comes with its weights."""

from dataclasses import dataclass

from minimodels.architecture import checkpoint
from minimodels.architecture.checkpoint import SETTINGS, find, shipped
from minimodels.architecture.configs import CONFIGS
from minimodels.architecture.count import count
from minimodels.architecture.hf.config_json import read_config
from minimodels.files import read_json


@dataclass(frozen=True)
class Row:
    """One model. `parameters` counts all, `embedding_parameters` the embedding and untied head."""

    name: str
    family: str
    parameters: int
    embedding_parameters: int
    shipped: bool


def models() -> list[Row]:
    """One row for each config and each shipped model (chat forms are shipped, not built)."""
    known, here = dict(CONFIGS), shipped()
    known |= {name: _shipped_config(name) for name in here}
    sizes = {name: count(config) for name, config in known.items()}
    return [
        Row(name, config.family, sizes[name].total, sizes[name].embedding, name in here)
        for name, config in known.items()
    ]


def _shipped_config(name: str):
    folder = checkpoint.SHIPPED / name
    if (folder / SETTINGS).exists():
        folder = find(read_json(folder / SETTINGS)["base_model_name_or_path"])
    return read_config(folder)
