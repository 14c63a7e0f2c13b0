"""A tokenizer of a few hundred pieces, trained once a session, and small models to adapt."""

import pytest
import torch

from minimodels.architecture.build import build
from minimodels.architecture.configs import GemmaConfig, NemotronConfig
from minimodels.data.tokenizer import train_tokenizer

TEXTS = [
    "Mira Bel is 27 years old and lives in Bergen.\n",
    "Where does Mira live? She lives in Bergen, and Tomas in Porto.\n",
    '{"name": "lookup", "arguments": {"person": " Mira Bel"}}\n',
    "user\n", "model\n", "tool\n", "<start_of_turn>user <end_of_turn> <bos>\n",
    "米拉住在卑尔根。\n",
]
SHAPE = dict(vocab_size=400, hidden_size=32, intermediate_size=48, num_layers=2, num_heads=4,
             num_kv_heads=2, head_dim=8, max_length=64)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    return train_tokenizer(TEXTS * 30, 400, tmp_path_factory.mktemp("t") / "tokenizer.model")


@pytest.fixture
def tiny():
    """A function that builds a tiny model of a family, with changes to its config."""
    families = {"gemma": GemmaConfig, "nemotron": NemotronConfig}

    def make(family="gemma", **changes):
        torch.manual_seed(0)
        return build(families[family](**SHAPE | changes), device="cpu")

    return make


@pytest.fixture(params=["gemma", "nemotron"])
def model(request, tiny):
    """Random weights, scaled up so that a wrong adapter shows."""
    model = tiny(request.param)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return model
