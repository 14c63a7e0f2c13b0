"""A language model of a few thousand weights and a made-up language, for the tests of training."""

import json
import os
import signal
import sys

import torch
from torch import nn

from minimodels.training.trainer import TrainConfig, train

VOCABULARY = 64


class TinyModel(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(VOCABULARY, 32)
        self.mixer = nn.GRU(32, 32, batch_first=True)
        self.norm = nn.LayerNorm(32)
        self.drop = nn.Dropout(0.1)
        self.lm_head = nn.Linear(32, VOCABULARY, bias=False)
        nn.init.normal_(self.lm_head.weight, std=0.02)

    def forward(self, tokens):
        hidden, _ = self.mixer(self.embedding(tokens))
        return self.lm_head(self.drop(self.norm(hidden)))


def batches(step, batch=4, length=16):
    """Each token is the one before plus a number that is fixed within a sequence."""
    generator = torch.Generator().manual_seed(step)
    first, jump = torch.randint(0, VOCABULARY, (2, batch, 1), generator=generator)
    tokens = (first + (jump % 4) * torch.arange(length + 1)) % VOCABULARY
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def config(**changes):
    return TrainConfig(**(dict(steps=20, learning_rate=1e-2, warmup_steps=4) | changes))


def die_while_writing(checkpoint_number):
    """Make the nth rename of this process its last act: the file is written, but not in place."""
    rename, calls = os.replace, []

    def replace(*names):
        calls.append(names)
        if len(calls) == checkpoint_number:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(*names)

    os.replace = replace


if __name__ == "__main__":  # a run in a process of its own, which can be killed
    folder, deadly = sys.argv[1:]
    torch.set_num_threads(1)
    if int(deadly):
        die_while_writing(int(deadly))
    for row in train(TinyModel(), batches, config(checkpoint_every=3), folder, progress=False):
        print(json.dumps(row), flush=True)
        if not int(deadly) and row["step"] == 7:
            sys.stdin.readline()  # wait here for the signal
