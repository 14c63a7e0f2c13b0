"""Train a model a few steps on all ranks, and write what proves that it equals one process.

    torchrun --nproc-per-node 2 -m minimodels.parallelism.train_ddp --out runs/ddp

writes report.json (losses, gradient norms, a hash of each rank's weights, tokens/s) and
gradients.safetensors (the averaged gradients of the first step).

The optimizer is plain SGD because it is linear: a difference of 1e-7 in a gradient stays one in the
weights. Adam divides by the gradient's size and turns the same difference into a whole step.
"""

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save
from torch import nn

from minimodels import device, files
from minimodels.architecture.build import build
from minimodels.errors import UserError
from minimodels.parallelism.data_parallel import average_gradients, same_weights, shard_batch
from minimodels.training.trainer import IGNORED, cross_entropy_sum


@dataclass(frozen=True)
class Recipe:
    """What is trained; the same for every number of processes."""

    model: str = "gemma-mini"
    data: str | None = None  # folder of packed tokens; None: random tokens
    steps: int = 4
    batch_size: int = 8  # rows of all ranks together
    length: int = 64  # tokens a row
    learning_rate: float = 0.1
    seed: int = 0


def train_steps(recipe: Recipe, rank: int = 0, world: int = 1) -> tuple[dict, dict]:
    """Train as one of `world` ranks; return the report and the first step's gradients by name."""
    torch.manual_seed(recipe.seed)
    model = build(recipe.model)
    batches = shard_batch(token_batches(recipe, model.config.vocab_size), rank, world)
    if world > 1:
        same_weights(model)
    losses, norms, reduced, first = [], [], 0, {}
    started = time.perf_counter()
    for step in range(recipe.steps):
        if step == 1:  # the first step warms up
            started = time.perf_counter()
        losses.append(_backward(model, *batches(step), world))
        if world > 1:
            reduced += average_gradients(model)
        gradients = {name: weight.grad for name, weight in model.named_parameters()}
        first = first or {name: gradient.cpu().clone() for name, gradient in gradients.items()}
        norms.append(torch.cat([g.double().flatten() for g in gradients.values()]).norm().item())
        _descend(model, recipe.learning_rate)
    seconds = time.perf_counter() - started
    tokens = max(1, recipe.steps - 1) * recipe.batch_size * recipe.length
    return asdict(recipe) | dict(
        processes=world, losses=losses, gradient_norms=norms, weights=_hashes(model, world),
        bytes_reduced=reduced, tokens_per_second=tokens / seconds,
    ), first


def token_batches(recipe: Recipe, vocab_size: int) -> Callable:
    """Batches by step, (B, T) inputs and targets: windows of `recipe.data`, or random tokens.

    Raises UserError if the folder is not whole or was packed for a larger vocabulary.
    """
    if recipe.data is not None:
        from minimodels.data.packing import TokenArray

        array = TokenArray(recipe.data)
        if array.meta["vocab_size"] > vocab_size:
            raise UserError(
                f"{recipe.data} has token ids up to {array.meta['vocab_size']} but the model knows "
                f"{vocab_size}: pack it with the model's tokenizer."
            )
        return array.windows(recipe.length, recipe.batch_size, recipe.seed)

    def random(step: int):
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
        shape = (recipe.batch_size, recipe.length + 1)
        rows = torch.randint(vocab_size, shape, generator=generator)
        return rows[:, :-1], rows[:, 1:]

    return random


def _backward(model: nn.Module, inputs, targets, world: int) -> float:
    """Gradients of this rank's share of the loss; return the mean loss over all ranks' tokens.

    Each rank divides by the learned tokens of all ranks, times `world` because the averaging will
    divide by it again. With means of its own, a rank with many masked tokens would count too much.
    """
    where = next(model.parameters()).device
    summed = cross_entropy_sum(model, inputs.to(where), targets.to(where))
    totals = torch.stack([summed.detach(), (targets != IGNORED).sum().to(where, summed.dtype)])
    if world > 1:
        dist.all_reduce(totals)
    (summed * world / totals[1]).backward()
    return (totals[0] / totals[1]).item()


@torch.no_grad()
def _descend(model: nn.Module, learning_rate: float) -> None:
    for weight in model.parameters():
        weight -= learning_rate * weight.grad
        weight.grad = None


def _hashes(model: nn.Module, world: int) -> list[str]:
    """A hash of the weights on each rank: equal strings, equal bits."""
    digest = hashlib.sha256()
    for weight in model.parameters():
        digest.update(weight.detach().cpu().numpy().tobytes())
    hashes = [digest.hexdigest()[:16]] * world
    if world > 1:
        dist.all_gather_object(hashes, digest.hexdigest()[:16])
    return hashes


def write(folder: str, report: dict, gradients: dict[str, torch.Tensor]) -> None:
    """report.json last: where it is, the gradients are too."""
    with files.atomic(Path(folder) / "gradients.safetensors", "wb") as file:
        file.write(save({name: gradient.contiguous() for name, gradient in gradients.items()}))
    files.write_json(Path(folder) / "report.json", report)


def main(arguments: list[str] | None = None) -> int:
    """The command that `torchrun` starts on every rank; 2 for a mistake of its user."""
    recipe, folder = _parse(arguments)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if device.device().type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    if world > 1:
        dist.init_process_group(device.backend())
    try:
        report, gradients = train_steps(recipe, rank, world)
        if rank == 0:
            write(folder, report, gradients)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        if world > 1:
            dist.destroy_process_group()
    return 0


def _parse(arguments: list[str] | None) -> tuple[Recipe, str]:
    parser = argparse.ArgumentParser(prog="minimodels.parallelism.train_ddp")
    defaults = asdict(Recipe())
    for name, value in defaults.items():
        kind = str if value is None else type(value)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=value)
    parser.add_argument("--out", required=True, help="folder for the report and the gradients")
    given = vars(parser.parse_args(arguments))
    folder = given.pop("out")
    return Recipe(**given), folder


if __name__ == "__main__":
    sys.exit(main())
