"""An LSTM and a language model of it (Hochreiter & Schmidhuber 1997, with the forget gate of Gers,
Schmidhuber & Cummins 2000): a state is carried from word to word, and gates decide what it loses.

    i, f, o = σ(…)      g = tanh(…)         each from the word x and the last output h
    c ← f ⊙ c + i ⊙ g                       the state: what stays, and what is added
    h ← o ⊙ tanh(c)                         what is shown of it

The four sums are one matrix product; their order i, f, g, o and the names of the weights are those
of torch.nn.LSTM, so that weights go from one to the other.
Legend: B batch, T time, D input, H hidden, L layers, V vocabulary.
"""

import torch
from torch import nn

INIT_STD = 0.05  # of the embedding, as in gemma-mini


class LSTM(nn.Module):
    """One layer: x (B, T, D), and perhaps a state (h, c) each (B, H) -> outputs (B, T, H), state.

    Where `real` (B, T) is 0 (padding before a text), the state is set back to zero.

    `remember` is added to the bias of the forget gate at the start: a fresh gate is then mostly
    open (Gers et al. begin there; 0 is what torch begins with).
    """

    def __init__(self, input_size: int, hidden_size: int, remember: float = 1.0):
        super().__init__()
        self.hidden_size = hidden_size
        bound = hidden_size**-0.5
        for name, shape in (
            ("weight_ih", (4 * hidden_size, input_size)),
            ("weight_hh", (4 * hidden_size, hidden_size)),
            ("bias_ih", (4 * hidden_size,)),
            ("bias_hh", (4 * hidden_size,)),
        ):
            weight = torch.empty(shape).uniform_(-bound, bound)
            setattr(self, name, nn.Parameter(weight))
        with torch.no_grad():
            self.bias_ih[hidden_size : 2 * hidden_size] += remember

    def forward(self, x, state=None, real=None):
        if state is None:
            state = (x.new_zeros(len(x), self.hidden_size),) * 2
        inputs = x @ self.weight_ih.T + self.bias_ih + self.bias_hh  # (B, T, 4H), for all T at once
        outputs = []
        for t, step in enumerate(inputs.unbind(1)):  # no step can begin before the last one ends
            state = self.step(step, *state)
            if real is not None:
                state = tuple(part * real[:, t, None] for part in state)
            outputs.append(state[0])
        return torch.stack(outputs, 1), state

    def step(self, inputs, h, c):
        """One word: inputs (B, 4H) that are projected already, h and c (B, H) -> new h, c."""
        i, f, g, o = (inputs + h @ self.weight_hh.T).chunk(4, -1)  # (B, H) each
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class LSTMModel(nn.Module):
    """tokens (B, T) int64 -> logits (B, T, V); the state begins at zero with each row.

    Embedding and head are one matrix, as in gemma-mini, so D = H.
    """

    def __init__(self, vocab_size: int, hidden_size: int, num_layers: int = 1):
        super().__init__()
        self.embed_tokens = embedding(vocab_size, hidden_size)
        self.layers = nn.ModuleList(LSTM(hidden_size, hidden_size) for _ in range(num_layers))

    def forward(self, tokens):
        x = embed(self.embed_tokens, tokens)  # (B, T, D)
        for layer in self.layers:
            x, _ = layer(x)
        return x @ self.embed_tokens.weight.T


def embedding(vocab_size: int, hidden_size: int) -> nn.Embedding:
    """A fresh matrix of words with gemma-mini's standard deviation, for both ends of a model."""
    words = nn.Embedding(vocab_size, hidden_size)
    nn.init.normal_(words.weight, std=INIT_STD)
    return words


def embed(words: nn.Embedding, tokens):
    """Rows times sqrt(D), as Gemma reads them: (…) int64 -> (…, D)."""
    return words(tokens) * words.embedding_dim**0.5
