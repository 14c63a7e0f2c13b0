import pytest
import torch

from minimodels.architecture.build import build
from minimodels.architecture.configs import GemmaConfig, NemotronConfig

SHAPE = dict(
    vocab_size=97, hidden_size=32, intermediate_size=48, num_layers=3, num_heads=4, head_dim=8,
    max_length=64, init_std=0.3,
)
CONFIGS = {
    "gemma": GemmaConfig(num_kv_heads=1, **SHAPE),
    "nemotron": NemotronConfig(num_kv_heads=2, **SHAPE),
}


@pytest.fixture(params=sorted(CONFIGS))
def model(request):
    """A small random model of each family, with weights large enough that words differ."""
    torch.manual_seed(1)
    return build(CONFIGS[request.param], device="cpu").eval()
