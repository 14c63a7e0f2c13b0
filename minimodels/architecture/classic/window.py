"""A language model of the vectors of the last few words (Bengio et al. 2003, section 2): look each
up, put them side by side, and let one hidden layer guess.

    h = tanh(W [e(−n+1), …, e(−1), e(0)] + b)       logits = U h + Wd [e…]  without the direct Wd

Where an n-gram needs the very same words, here near vectors give near guesses. Embedding and head
are one matrix, as in gemma-mini.
Legend: B batch, T time, N words that are read, D width of a vector, F hidden, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from minimodels.architecture.classic.lstm import INIT_STD


@dataclass(frozen=True)
class WindowConfig:
    """The sizes of a window model."""

    vocab_size: int
    hidden_size: int  # D
    intermediate_size: int  # F
    words: int = 4  # N, those that a 5-gram reads


class WindowModel(nn.Module):
    """tokens (B, T) int64 -> logits (B, T, V); before a row's first token stand zeros."""

    def __init__(self, config: WindowConfig):
        super().__init__()
        self.config = config
        D, N = config.hidden_size, config.words
        self.embed_tokens = nn.Embedding(config.vocab_size, D)
        nn.init.normal_(self.embed_tokens.weight, std=INIT_STD)
        self.up = nn.Linear(N * D, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, D)

    def forward(self, tokens):
        x = self.embed_tokens(tokens) * self.config.hidden_size**0.5  # (B, T, D)
        N = self.config.words
        windows = F.pad(x, (0, 0, N - 1, 0)).unfold(1, N, 1)  # (B, T, D, N)
        x = self.down(self.up(windows.flatten(2)).tanh())  # (B, T, D·N) -> (B, T, D)
        return x @ self.embed_tokens.weight.T
