"""Data parallelism by hand: every rank has the whole model and its own rows of the batch.

After `backward`, the ranks average their gradients; then all take the same optimizer step and stay
equal. Gradients travel in buckets, as in PyTorch DDP (Li et al. 2020, arXiv 2006.15704, §3.2):
one message for many small tensors, because each message has a price of its own.
"""

from collections.abc import Callable, Iterable

import torch
import torch.distributed as dist
from torch import nn

from minimodels.errors import UserError

MIB = 2**20


def average_gradients(model: nn.Module, bucket_bytes: int = 25 * MIB) -> int:
    """Replace each gradient by its mean over all ranks; return the bytes that each rank reduced.

    Call it on every rank between `backward` and the optimizer's step, with
    `torch.distributed` initialized. 25 MiB is DDP's bucket. A weight that got no gradient on this
    rank counts as zero, for another rank may have one.
    """
    world, reduced = dist.get_world_size(), 0
    for bucket in buckets(_gradients(model), bucket_bytes):
        flat = torch.cat([gradient.flatten() for gradient in bucket])
        dist.all_reduce(flat)  # the sum over ranks
        flat /= world
        parts = flat.split([gradient.numel() for gradient in bucket])
        for gradient, part in zip(bucket, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        reduced += flat.nbytes
    return reduced


def buckets(tensors: Iterable[torch.Tensor], bucket_bytes: int) -> list[list[torch.Tensor]]:
    """Tensors in order, in lists of one dtype and at most `bucket_bytes`; a larger one alone."""
    result: list[list[torch.Tensor]] = []
    for tensor in tensors:
        last = result[-1] if result else []
        size = sum(other.nbytes for other in last) + tensor.nbytes
        if last and last[0].dtype == tensor.dtype and size <= bucket_bytes:
            last.append(tensor)
        else:
            result.append([tensor])
    return result


def same_weights(model: nn.Module) -> None:
    """Give every rank the weights of rank 0: averaging gradients keeps equal what began equal."""
    for tensor in [*model.parameters(), *model.buffers()]:
        dist.broadcast(tensor.detach(), src=0)


def shard_batch(batches: Callable, rank: int, world: int) -> Callable:
    """The rows of `rank`: a function of the step, like `batches`, of 1/world of each batch.

    Rank r takes the r-th run of B/world rows of (B, T). Raises UserError if the rows do not
    divide: ranks with different numbers of rows would weigh their tokens differently.
    """
    def mine(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        inputs, targets = batches(step)
        if len(inputs) % world:
            raise UserError(
                f"a batch of {len(inputs)} rows does not divide over {world} ranks: "
                f"choose a multiple of {world}."
            )
        rows = len(inputs) // world
        part = slice(rank * rows, (rank + 1) * rows)
        return inputs[part], targets[part]

    return mine


@torch.no_grad()
def _gradients(model: nn.Module) -> list[torch.Tensor]:
    """All gradients, last layer first: the order in which `backward` finishes them."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in trained:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    return [weight.grad for weight in reversed(trained)]
