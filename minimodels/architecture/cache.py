"""What a model keeps of the past, so that it is computed once: keys and values, or a state.

Bytes: 2 · layers · B · K · T · d · (bytes a number). MQA and GQA shrink K; that is why they exist.
A sliding layer keeps W − 1 tokens however long the text is; a recurrent one keeps a fixed state.
"""

import torch

from minimodels.architecture.configs.base import WIDE
from minimodels.errors import UserError


class KVCache:
    """Room for `max_length` tokens of `batch_size` sequences, filled in place by the model.

    `length` tokens are filled. Use it under torch.no_grad(); one cache serves one batch.
    """

    def __init__(self, config, batch_size: int, max_length: int, device=None, dtype=None):
        place = {"device": device, "dtype": dtype}
        self.length, self.max_length = 0, max_length
        self.layers: list[Full | Window | None] = []
        self.states: list[dict[str, torch.Tensor]] = []  # of recurrent layers, by name
        for layer in range(config.num_layers):
            room, shape = config.kept(layer, max_length), config.kv_shape(layer)
            kind = Window if room < max_length else Full
            self.layers.append(kind(batch_size, room, *shape, **place) if shape else None)
            shapes = config.state_shapes(layer)
            dtypes = {name: torch.float32 if name in WIDE else dtype for name in shapes}
            self.states.append({
                name: torch.zeros(batch_size, *shape, device=device, dtype=dtypes[name])
                for name, shape in shapes.items()
            })  # fmt: skip

    @property
    def nbytes(self) -> int:
        kept = sum(layer.keys.nbytes + layer.values.nbytes for layer in self.layers if layer)
        return kept + sum(state.nbytes for states in self.states for state in states.values())

    def append(self, layer: int, k, v):
        """Store k, v (B, K, T, d) behind what `layer` holds; return all it sees (B, K, S, d).

        `length` itself moves on only when every layer has appended: see Decoder.run.
        """
        end = self.length + k.shape[2]
        if end > self.max_length:
            raise UserError(f"the cache has room for {self.max_length} tokens, not for {end}.")
        return self.layers[layer].append(self.length, k, v)


class Full:
    """Keys and values of every token, at its own place: (B, K, T_max, d)."""

    def __init__(self, batch_size: int, room: int, heads: int, key_dim: int, value_dim: int, **at):
        self.keys = torch.zeros(batch_size, heads, room, key_dim, **at)
        self.values = torch.zeros(batch_size, heads, room, value_dim, **at)

    def append(self, length: int, k, v):
        end = length + k.shape[2]
        self.keys[:, :, length:end] = k
        self.values[:, :, length:end] = v
        return self.keys[:, :, :end], self.values[:, :, :end]


class Window(Full):
    """Keys and values of the last W − 1 tokens, the newest last: with its own, a query sees W."""

    def append(self, length: int, k, v):
        kept = min(length, self.keys.shape[2])
        k, v = _behind(self.keys, kept, k), _behind(self.values, kept, v)  # (B, K, kept + T, d)
        for room, new in ((self.keys, k), (self.values, v)):
            last = new[:, :, -room.shape[2] :] if room.shape[2] else new[:, :, :0]
            room[:, :, : last.shape[2]] = last
        return k, v


def _behind(room, kept: int, new):
    return torch.cat((room[:, :, :kept], new), dim=2) if kept else new
