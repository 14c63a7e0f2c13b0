"""One LSTM reads a sentence, another writes its translation (Sutskever, Vinyals & Le 2014,
arXiv:1409.3215), and for each word it writes the second may look back at what the first has read
(Bahdanau, Cho & Bengio 2014, arXiv:1409.0473; here the dot product of Luong, Pham & Manning 2015,
arXiv:1508.04025, section 3.1).

    without   the writer begins with the reader's last state, and that is all it knows
    with      a_tj = softmax_j(s_t · h_j)     z_t = Σ_j a_tj h_j     out_t = tanh(W [z_t, s_t])

h_j is the reader's output at word j, s_t the writer's at word t. A query, keys and values already,
with one matrix for all three and no mask.
Legend: B batch, S source length, T target length, H hidden, V words.
"""

import torch
from torch import nn
from torch.nn import functional as F

from minimodels.architecture.classic.lstm import LSTM, embed, embedding
from minimodels.architecture.classic.translation import BEGIN, END, PAD


class Seq2Seq(nn.Module):
    """source (B, S), target (B, T) int64 -> logits (B, T, V): the word after each of the target's.

    Sources are padded on the left, targets on the right; both languages share one matrix of words.
    `weights` keeps the last attention (B, T, S), None without it.
    """

    def __init__(self, vocab_size: int, hidden_size: int, attention: bool = True):
        super().__init__()
        H = hidden_size
        self.embed_tokens = embedding(vocab_size, H)
        self.reader, self.writer = LSTM(H, H), LSTM(H, H)
        self.mix = nn.Linear(2 * H, H, bias=False) if attention else None
        self.weights = None

    def forward(self, source, target):
        memory, state = self.read(source)
        return self.write(target, memory, source != PAD, state)[0]

    def read(self, source):
        """source (B, S) -> outputs (B, S, H) and the last state."""
        return self.reader(embed(self.embed_tokens, source), real=(source != PAD).float())

    def write(self, target, memory, real, state):
        """target (B, T), what was read (B, S, H), where it is real (B, S) -> logits, state."""
        s, state = self.writer(embed(self.embed_tokens, target), state)  # (B, T, H)
        if self.mix is not None:
            context, self.weights = attend(s, memory, real)
            s = self.mix(torch.cat([context, s], -1)).tanh()
        return s @ self.embed_tokens.weight.T, state

    @torch.no_grad()
    def translate(self, source, longest: int = 100) -> list[list[int]]:
        """The likeliest word after word, until END: source (B, S) -> ids without END."""
        memory, state = self.read(source)
        word = torch.full((len(source), 1), BEGIN)
        written, looked = [], []
        for _ in range(longest):
            logits, state = self.write(word, memory, source != PAD, state)
            word = logits.argmax(-1)  # (B, 1)
            written.append(word)
            looked.append(self.weights)
            if (torch.cat(written, 1) == END).any(1).all():
                break
        self.weights = torch.cat(looked, 1) if self.mix is not None else None
        rows = torch.cat(written, 1).tolist()
        return [row[: row.index(END)] if END in row else row for row in rows]


def attend(s, memory, real):
    """s (B, T, H), memory (B, S, H), real (B, S) bool -> contexts (B, T, H), weights (B, T, S)."""
    scores = s @ memory.mT  # (B, T, S)
    weights = scores.masked_fill(~real[:, None], -torch.inf).softmax(-1)
    return weights @ memory, weights


def loss(model: Seq2Seq, source, target):
    """Mean −log p of the target's words but the first, padding aside, in nats."""
    logits = model(source, target[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD)


def fit(model: Seq2Seq, batches, steps: int, optimizer):
    """Train with a linear rise over 20 steps and a linear fall to zero of the optimizer's rate.

    batches(step) -> (source, target), padded as above. Yields the loss of each step.
    """
    peak = optimizer.param_groups[0]["lr"]
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = peak * min(1, (step + 1) / 20) * (1 - step / steps)
        optimizer.zero_grad()
        value = loss(model, *batches(step))
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield value.item()


def exact(model: Seq2Seq, source, target) -> list[bool]:
    """For each pair whether the whole translation is right."""
    wanted = [[i for i in row if i not in (PAD, BEGIN, END)] for row in target.tolist()]
    written = model.translate(source, target.shape[1] + 5)
    return [a == b for a, b in zip(written, wanted, strict=True)]
