"""AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101, algorithm 2), and gradient clipping.

Written with `torch._foreach_*`: one call works on a whole list of tensors, which on a GPU is one
kernel launch instead of one per parameter.
"""

import torch
from torch import nn

from minimodels import kernels
from minimodels.kernels.adamw import adamw


class AdamW(torch.optim.Optimizer):
    """Adam with decoupled weight decay; equal to `torch.optim.AdamW`.

        m ← β₁ m + (1 − β₁) g          v ← β₂ v + (1 − β₂) g²
        w ← w − η λ w − η m̂ / (√v̂ + ε),   m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ)
    """

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1):
        super().__init__(parameters, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            adamw_update([p for p in group["params"] if p.grad is not None], group, self.state)
        return loss


def adamw_update(weights, group, state):
    """One step of AdamW on `weights` in place; m, v and t of each weight live in `state`."""
    if not weights:
        return
    for weight in weights:
        if not state[weight]:
            state[weight].update(step=0, m=torch.zeros_like(weight), v=torch.zeros_like(weight))
        state[weight]["step"] += 1
    if all(kernels.on(w) and state[w]["m"].dtype == torch.float32 for w in weights):
        return adamw_by_kernel(weights, group, state)
    gradients = [w.grad for w in weights]
    m, v = [state[w]["m"] for w in weights], [state[w]["v"] for w in weights]
    beta1, beta2 = group["betas"]
    learning_rate = group["lr"]

    torch._foreach_mul_(weights, 1 - learning_rate * group["weight_decay"])
    torch._foreach_lerp_(m, gradients, 1 - beta1)
    torch._foreach_mul_(v, beta2)
    torch._foreach_addcmul_(v, gradients, gradients, 1 - beta2)

    steps = [state[w]["step"] for w in weights]  # may differ: a weight without gradient waits
    denominator = torch._foreach_sqrt(v)
    torch._foreach_div_(denominator, [(1 - beta2**t) ** 0.5 for t in steps])
    torch._foreach_add_(denominator, group["eps"])
    torch._foreach_addcdiv_(
        weights, m, denominator, [-learning_rate / (1 - beta1**t) for t in steps]
    )


def adamw_by_kernel(weights, group, state):
    """The same lines in one pass over memory: each number is read once and written once."""
    told = {name: group[name] for name in ("lr", "betas", "eps", "weight_decay")}
    for w in weights:
        adamw(w, w.grad, state[w]["m"], state[w]["v"], state[w]["step"], **told)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Parameter groups: matrices decay; norms, biases and other vectors do not.

    A norm's scale has no size to shrink towards zero: its resting point is 1 (or 0 with a unit
    offset), and it is too few numbers to overfit.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        dict(params=[p for p in trained if p.ndim >= 2], weight_decay=weight_decay),
        dict(params=[p for p in trained if p.ndim < 2], weight_decay=0.0),
    ]
    return [group for group in groups if group["params"]]


@torch.no_grad()
def clip_gradients(parameters, limit: float | None) -> torch.Tensor:
    """Scale all gradients so that their joint L2 norm is at most `limit`; return the norm before.

    Pascanu et al. 2013 (arXiv 1211.5063). `limit=None` only measures.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if limit is not None:
        torch._foreach_mul_(gradients, torch.clamp(limit / (norm + 1e-6), max=1.0))
    return norm
