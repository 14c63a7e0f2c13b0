"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) for hidden matrices.

The momentum of a matrix is replaced by the nearest (semi-)orthogonal matrix, so that every
direction moves by the same amount. The scale 0.2·√max(rows, columns) gives the update the size of
AdamW's (Liu et al. 2025, arXiv 2502.16982), so both can share one learning rate.
"""

import torch
from torch import nn

from minimodels.training.optimizers import adamw_update

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrices: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """Push the singular values of each matrix towards 1 by Newton–Schulz: (…, R, C) -> (…, R, C).

    Each round maps a singular value s to a·s + b·s³ + c·s⁵; five rounds bring [0.01, 1] into about
    [0.7, 1.2]. Only matrix products are needed, no SVD.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices  # the small side first: the cheaper product
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon for groups marked `muon=True`, AdamW for all others (embeddings, head, vectors)."""

    def __init__(self, parameters, lr=3e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1,
                 momentum=0.95):
        super().__init__(parameters, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum=momentum, muon=False,
        ))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if group["muon"]:
                self._muon_update(weights, group)
            else:
                adamw_update(weights, group, self.state)
        return loss

    def _muon_update(self, weights, group):
        by_shape = {}  # matrices of one shape share one batched Newton–Schulz
        for weight in weights:
            by_shape.setdefault(weight.shape, []).append(weight)
        for shape, same in by_shape.items():
            for weight in same:
                if not self.state[weight]:
                    self.state[weight]["m"] = torch.zeros_like(weight)
            gradients, m = [w.grad for w in same], [self.state[w]["m"] for w in same]
            torch._foreach_lerp_(m, gradients, 1 - group["momentum"])
            ahead = torch._foreach_lerp(gradients, m, group["momentum"])  # Nesterov: look ahead
            updates = orthogonalize(torch.stack(ahead)).unbind()
            torch._foreach_mul_(same, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(same, updates, alpha=-group["lr"] * 0.2 * max(shape) ** 0.5)


def muon_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Parameter groups: matrices of hidden layers get Muon; all others AdamW.

    Those are embeddings, head, vectors, and tensors of more sides (convolutions, fused experts).
    """
    outer = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    outer |= {id(p) for name, p in model.named_parameters() if name.startswith("lm_head")}
    trained = [p for p in model.parameters() if p.requires_grad]
    hidden = [p for p in trained if p.ndim == 2 and id(p) not in outer]
    groups = [
        dict(params=hidden, weight_decay=weight_decay, muon=True),
        dict(params=[p for p in trained if p.ndim > 2 or p.ndim == 2 and id(p) in outer],
             weight_decay=weight_decay),
        dict(params=[p for p in trained if p.ndim < 2], weight_decay=0.0),
    ]
    return [group for group in groups if group["params"]]
