"""Tokens a second of our models beside Transformers' at the same shape and with the same weights.

    python -m minimodels.bench.throughput --models gemma-mini nemotron-mini --rounds 5

Rounds alternate between the two, so that a busy machine is busy for both; medians are compared.
Training: forward, backward and AdamW step, eager, float32. Decoding: one text, greedy, cached.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from minimodels.architecture.build import build
from minimodels.architecture.checkpoint import save
from minimodels.architecture.generate import generate_batch
from minimodels.errors import UserError

BATCH, LENGTH = 8, 128  # of a training step
PROMPT, NEW = 32, 96  # of decoding


@dataclass(frozen=True)
class Row:
    """Medians over the rounds, in tokens a second."""

    model: str
    task: str
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs


class Pads:
    pad_id = 0  # all that generate_batch asks of a tokenizer when the stops are given


def throughput(name: str, rounds: int = 5) -> list[Row]:
    """Train and decode one model in both libraries. UserError if Transformers is missing."""
    ours, theirs = pair(name)
    return [
        Row(name, "training", *in_turns(training_step(ours), training_step(theirs), rounds)),
        Row(name, "decoding", *in_turns(*decoders(ours, theirs), rounds)),
    ]


def pair(name: str):
    """Our model and Transformers', with the same weights, on the CPU or GPU of this machine."""
    try:
        from transformers import AutoModelForCausalLM
    except ImportError:
        raise UserError("this benchmark needs Transformers: pip install transformers.") from None
    ours = build(name)
    with tempfile.TemporaryDirectory() as folder:
        save(ours, None, Path(folder) / "model")
        theirs = AutoModelForCausalLM.from_pretrained(Path(folder) / "model", dtype=ours.dtype)
    return ours, theirs.to(ours.device)


def training_step(model):
    """A function that takes one optimizer step and returns the tokens it trained on."""
    vocab = model.config.vocab_size
    tokens = torch.randint(0, vocab, (BATCH, LENGTH + 1), device=model.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def step() -> int:
        output = model(tokens[:, :-1])
        logits = getattr(output, "logits", output)
        F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
        return BATCH * LENGTH

    return step


def decoders(ours, theirs):
    """Two functions that continue the same prompt and return the number of new tokens."""
    prompt = torch.randint(4, ours.config.vocab_size, (1, PROMPT), device=ours.device)
    asked = {"max_new_tokens": NEW, "do_sample": False, "pad_token_id": 0}  # no <eos>: NEW tokens

    def our_decoder() -> int:
        return len(generate_batch(ours, Pads, prompt.tolist(), NEW, stop_ids=[])[0])

    def their_decoder() -> int:
        seen = torch.ones_like(prompt)
        return theirs.generate(prompt, attention_mask=seen, **asked).shape[1] - PROMPT

    return our_decoder, their_decoder


def in_turns(ours, theirs, rounds: int) -> tuple[float, float]:
    """Median tokens a second of two functions that take turns, after one unmeasured turn."""
    speeds = ([], [])
    for turn in range(rounds + 1):
        order = (0, 1) if turn % 2 else (1, 0)
        for which in order:
            speed = tokens_per_second((ours, theirs)[which])
            if turn > 0:
                speeds[which].append(speed)
    return statistics.median(speeds[0]), statistics.median(speeds[1])


def tokens_per_second(work) -> float:
    _synchronize()
    start = time.perf_counter()
    tokens = work()
    _synchronize()
    return tokens / (time.perf_counter() - start)


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [f"{'model':16}{'task':10}{'ours':>12}{'Transformers':>14}{'ratio':>8}   (tokens/s)"]
    for row in rows:
        left = f"{row.model:16}{row.task:10}"
        lines.append(f"{left}{row.ours:12,.0f}{row.theirs:14,.0f}{row.ratio:8.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=["gemma-mini", "nemotron-mini"])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    try:
        print(table([row for name in asked.models for row in throughput(name, asked.rounds)]))
    except UserError as error:
        raise SystemExit(f"minimodels: {error}") from None


if __name__ == "__main__":
    main()
