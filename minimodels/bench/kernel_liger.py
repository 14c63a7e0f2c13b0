"""The peers: Liger-Kernel where it is installed, attention and AdamW as torch has them.

Liger-Kernel is compared, never needed: without it these functions give no peers.
"""

import importlib
import importlib.util

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from minimodels.bench.kernel_case import Peer

INSTALLED = importlib.util.find_spec("liger_kernel") is not None
BACKENDS = ("FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION")


def _function(file: str, name: str):
    """`apply` of an autograd function of Liger's, imported when it first runs."""

    def run(*tensors):
        module = importlib.import_module(f"liger_kernel.ops.{file}")
        return getattr(module, name).apply(*tensors)

    return run


def _liger(run, prepare=dict) -> dict[str, Peer]:
    return {"Liger": Peer(run, prepare)} if INSTALLED else {}


def rms_norm(eps: float):
    norm = _function("rms_norm", "LigerRMSNormFunction")
    return _liger(lambda x, weight: norm(x, weight, eps, 1.0, "gemma", False))


def layer_norm(eps: float):
    norm = _function("layer_norm", "LigerLayerNormFunction")

    def from_one(given: dict) -> dict:
        return given | {"weight": 1 + given["weight"]}

    return _liger(lambda x, weight, bias: norm(x, weight, bias, eps), from_one)


def geglu():
    bend = _function("geglu", "LigerGELUMulFunction")
    return _liger(lambda gate, up: bend(gate, up))


def swiglu():
    bend = _function("swiglu", "LigerSiLUMulFunction")
    return _liger(lambda gate, up: bend(gate, up))


def squared_relu():
    bend = _function("relu_squared", "LigerReLUSquaredFunction")
    return _liger(lambda up: bend(up))


def softmax():
    rows = _function("softmax", "LigerSoftmaxFunction")
    return _liger(lambda x: rows(x))


def rope():
    turn = _function("rope", "LigerRopeFunction")

    def doubled(given: dict) -> dict:
        """Its angles stand once for each number of a head, not once for each pair."""
        angles = {n: torch.cat((given[n], given[n]), -1).squeeze(1) for n in ("cos", "sin")}
        return given | angles

    return _liger(lambda q, k, cos, sin: turn(q, k, cos, sin), doubled)


def cross_entropy():
    loss = _function("fused_linear_cross_entropy", "LigerFusedLinearCrossEntropyFunction")
    return _liger(lambda hidden, weight, targets: loss(hidden, weight, targets)[0])


def fused_adamw(lr: float) -> dict[str, Peer]:
    """torch.optim.AdamW's own fused kernel, on the same states."""

    def step(p, g, m, v, steps):
        torch._fused_adamw_([p], [g], [m], [v], [], [steps], lr=lr, beta1=0.9, beta2=0.95,
                            weight_decay=0.1, eps=1e-8, amsgrad=False, maximize=False)  # fmt: skip
        return p, m, v

    def counted(given: dict) -> dict:
        return given | {"steps": torch.tensor(3.0, device=given["p"].device)}

    return {"torch fused": Peer(step, counted)}


def attention(causal: bool) -> dict[str, Peer]:
    """torch's attention by each of its backends; what a GPU lacks is left out in a sentence."""

    def by(backend: str):
        def run(q, k, v):
            with sdpa_kernel(getattr(SDPBackend, backend)):
                shared = q.shape[1] != k.shape[1]
                return scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=shared)

        return run

    return {f"SDPA {name.split('_')[0].lower()}": Peer(by(name)) for name in BACKENDS}
