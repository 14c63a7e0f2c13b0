"""A language model of the vectors of the last few words (Bengio et al. 2003, section 2): look each
up, put them side by side, and let one hidden layer guess.

    x = V tanh(U [e_1, …, e_N] + b) + c        logits = E x        e: rows of E, scaled

Where an n-gram needs the very same words, here near vectors give near guesses. Unlike Bengio's, the
head is the embedding E once more, as in gemma-mini, and there is no direct path around the tanh.
Legend: B batch, T time, N words that are read, D width of a vector, F hidden, V vocabulary.
"""

from torch import nn
from torch.nn import functional as F

from minimodels.architecture.classic.lstm import embed, embedding


class WindowModel(nn.Module):
    """tokens (B, T) int64 -> logits (B, T, V); before a row's first token stand zeros.

    words: N, those that are read; 4 are as many as a 5-gram reads.
    """

    def __init__(self, vocab_size: int, hidden_size: int, intermediate_size: int, words: int = 4):
        super().__init__()
        self.words = words
        self.embed_tokens = embedding(vocab_size, hidden_size)
        self.up = nn.Linear(words * hidden_size, intermediate_size)
        self.down = nn.Linear(intermediate_size, hidden_size)

    def forward(self, tokens):
        x = embed(self.embed_tokens, tokens)  # (B, T, D)
        windows = F.pad(x, (0, 0, self.words - 1, 0)).unfold(1, self.words, 1)  # (B, T, D, N)
        x = self.down(self.up(windows.flatten(2)).tanh())  # (B, T, D·N) -> (B, T, D)
        return x @ self.embed_tokens.weight.T
