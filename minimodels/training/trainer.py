"""The training loop: one file, one loop, every stage of the course that trains uses it.

    for row in train(model, batches, TrainConfig(steps=700)):
        ...                         # row["loss"], row["learning_rate"], row["tokens_per_second"], …

Legend: B batch, T time, V vocabulary.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from minimodels import kernels
from minimodels.architecture.decoder import Decoder
from minimodels.device import can_compile
from minimodels.errors import UserError
from minimodels.kernels.cross_entropy import linear_cross_entropy
from minimodels.training import checkpoints
from minimodels.training.measure import flops_per_token, peak_flops
from minimodels.training.muon import Muon, muon_groups
from minimodels.training.optimizers import AdamW, clip_gradients, decay_groups
from minimodels.training.schedules import warmup_cosine

IGNORED = -100  # a target that is not learned (padding, the user's turn)
Batches = Callable[[int], tuple[torch.Tensor, torch.Tensor]]  # step -> inputs, targets (B, T)


@dataclass(frozen=True)
class TrainConfig:
    """Everything about a run but the model and the data."""

    steps: int  # updates of the weights
    learning_rate: float = 3e-3  # its peak
    warmup_steps: int = 50
    min_learning_rate_ratio: float = 0.1  # the last step's rate over the peak
    optimizer: str = "adamw"  # or "muon"
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    grad_clip: float | None = 1.0  # largest L2 norm of all gradients together
    accumulation_steps: int = 1  # batches added up for one update
    dtype: str = "float32"  # of matrix products: "float32" or "bfloat16" (weights stay float32)
    compile: bool = False  # torch.compile; falls back with a sentence where it cannot
    checkpoint_every: int | None = None  # steps; None: only at the end
    seed: int = 0  # of dropout, where a model has it

    def __post_init__(self):
        for name in ("steps", "accumulation_steps", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"TrainConfig.{name} is {value}: give 1 or more.")
        for name, known in (("dtype", DTYPES), ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in known:
                raise UserError(
                    f"TrainConfig.{name} is {getattr(self, name)!r}: use one of {', '.join(known)}."
                )


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
OPTIMIZERS = {"adamw": (AdamW, decay_groups), "muon": (Muon, muon_groups)}


def train(
    model: nn.Module, batches: Batches, config: TrainConfig, folder=None, progress: bool = True
) -> Iterator[dict]:
    """Train `model` in place; yield one row a step, so that the caller's loop can look and measure.

    `batches(step)` returns inputs and targets, (B, T) int64, and must depend on the step alone;
    targets of −100 are not learned. With `folder`, the run is saved there every
    `checkpoint_every` steps and at the end, and continues from there, even after `kill -9`, bit for
    bit where it has the same number of threads (earlier rows: `past_rows(folder)`).

    A row: step (from 0), loss (nats a token, before the update), learning_rate, grad_norm (before
    clipping), tokens (positions read so far), tokens_per_second, share_of_peak (of this machine's
    measured matrix FLOP/s).

    Raises UserError if the folder holds a run of another model, other settings or other data, and
    if the loss is no longer finite.
    """
    optimizer = make_optimizer(model, config)
    torch.manual_seed(config.seed)
    done, rows = _resume(folder, model, optimizer, batches, config)
    if done == config.steps:
        return
    with torch.random.fork_rng():  # preparations must not move the run's random numbers
        loss_sum = loss_function(model, batches, config)
        peak = peak_flops(config.dtype, next(model.parameters()).device.type)
    bar = tqdm(total=config.steps, initial=done, disable=not progress, unit="step")
    with bar:
        for step in range(done, config.steps):
            started = time.perf_counter()
            model.train()  # the caller may have evaluated in between
            inputs, loss = accumulate(loss_sum, model, batches, step, config)
            norm = clip_gradients(model.parameters(), config.grad_clip).item()
            _stop_if_broken(step, loss, norm)
            learning_rate = set_learning_rate(optimizer, step, config)
            optimizer.step()
            optimizer.zero_grad()
            row = dict(step=step, loss=loss, learning_rate=learning_rate, grad_norm=norm)
            row |= _speed(model, inputs, rows, time.perf_counter() - started, peak)
            rows.append(row)
            if folder and _is_time(step, config):
                run = dict(config=asdict(config), data=_fingerprint(batches), rows=rows)
                checkpoints.save_state(folder, model, optimizer, run)
            bar.set_postfix_str(_summary(row), refresh=False)
            bar.update()
            yield dict(row)


def past_rows(folder) -> list[dict]:
    """The rows of the run saved in folder, from step 0 to its checkpoint; [] if there is none."""
    return (checkpoints.read_run(folder) or {}).get("rows", [])


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer of `config` over the weights of `model` that require gradients."""
    kind, groups = OPTIMIZERS[config.optimizer]
    return kind(groups(model, config.weight_decay), lr=config.learning_rate, betas=config.betas)


def set_learning_rate(optimizer, step: int, config: TrainConfig) -> float:
    """Set this step's learning rate in all groups and return it."""
    rate = warmup_cosine(
        step, config.steps, config.learning_rate, config.warmup_steps,
        config.min_learning_rate_ratio,
    )
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def cross_entropy_sum(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor):
    """Sum over learned positions of −log p(target); (B, T), (B, T) -> scalar, in float32."""
    if isinstance(model, Decoder) and model.head is not None and kernels.on(model.head):
        return fused_cross_entropy_sum(model, inputs, targets)
    logits = model(inputs)  # (B, T, V)
    return F.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )


def fused_cross_entropy_sum(model: Decoder, inputs: torch.Tensor, targets: torch.Tensor):
    """The same by a kernel to which the logits of all positions never come at once."""
    hidden = model.hidden(inputs).flatten(0, 1)  # (B·T, D)
    targets, cap = targets.flatten(), model.config.logit_softcap
    mean = linear_cross_entropy(hidden, model.head, targets, cap=cap)
    return mean * (targets != IGNORED).sum()


def accumulate(loss_sum, model, batches: Batches, step: int, config: TrainConfig):
    """Add up the gradients of one update; return the first inputs and the mean loss.

    The sum over all batches is divided by the number of learned tokens in all of them: a mean of
    means would weigh a token in a short answer more than one in a long answer.
    """
    device = next(model.parameters()).device
    first = step * config.accumulation_steps
    parts = [batches(first + i) for i in range(config.accumulation_steps)]
    learned = max(1, sum(int((targets != IGNORED).sum()) for _, targets in parts))
    total = 0.0
    for inputs, targets in parts:
        with autocast(device, config):
            loss = loss_sum(model, inputs.to(device), targets.to(device)) / learned
        loss.backward()
        total += loss.item()
    return [inputs for inputs, _ in parts], total


def autocast(device: torch.device, config: TrainConfig):
    """Matrix products in config.dtype; norms, softmax, loss and weights stay in float32."""
    dtype = DTYPES[config.dtype]
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def loss_function(model: nn.Module, batches: Batches, config: TrainConfig):
    """`cross_entropy_sum`, compiled if config.compile and if a trial step compiles.

    Only the function is compiled: `model` itself stays as it is for the caller.
    """
    if not config.compile:
        return cross_entropy_sum
    able, reason = can_compile()
    if able:
        compiled = torch.compile(cross_entropy_sum)
        device = next(model.parameters()).device
        inputs, targets = (part.to(device) for part in batches(0))
        try:
            model.train()
            with autocast(device, config):
                compiled(model, inputs, targets).backward()
            return compiled
        except Exception as error:  # the compiler's own errors have no common class
            reason = f"torch.compile failed ({str(error).splitlines()[0]})."
        finally:
            model.zero_grad()
    tqdm.write(f"{reason} Training goes on without it, more slowly.")
    return cross_entropy_sum


def _resume(folder, model, optimizer, batches, config) -> tuple[int, list[dict]]:
    run = checkpoints.read_run(folder) if folder else None
    if run is None:
        return 0, []
    free = {"checkpoint_every", "compile"}
    for field in fields(config):
        now, then = getattr(config, field.name), run["config"].get(field.name)
        now = list(now) if isinstance(now, tuple) else now
        if field.name not in free and now != then:
            raise UserError(
                f"{Path(folder)} holds a run with {field.name}={then}, this one has {now}: "
                "train into another folder or delete it."
            )
    if run["data"] != _fingerprint(batches):
        raise UserError(
            f"{Path(folder)} holds a run on other data: train into another folder or delete it."
        )
    rows = checkpoints.load_state(folder, model, optimizer)["rows"]
    return len(rows), rows


def _fingerprint(batches: Batches) -> str:
    inputs, targets = batches(0)
    data = torch.stack([inputs, targets]).cpu().numpy().tobytes()
    return hashlib.sha256(data).hexdigest()


def _is_time(step: int, config: TrainConfig) -> bool:
    last = step + 1 == config.steps
    return last or bool(config.checkpoint_every) and (step + 1) % config.checkpoint_every == 0


def _speed(model, inputs, rows, seconds, peak) -> dict:
    positions = sum(part.numel() for part in inputs)
    flops = flops_per_token(model, inputs[0].shape[1]) * positions
    return dict(
        tokens=positions + (rows[-1]["tokens"] if rows else 0),
        tokens_per_second=positions / seconds,
        share_of_peak=flops / seconds / peak,
    )


def _stop_if_broken(step: int, loss: float, norm: float) -> None:
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise UserError(
            f"step {step} has loss {loss} and gradient norm {norm}: lower the learning rate or "
            "warm up longer."
        )


def _summary(row) -> str:
    speed, share = row["tokens_per_second"], row["share_of_peak"]
    return f"loss {row['loss']:.3f}, {speed:,.0f} tokens/s, {share:.0%} of peak"
