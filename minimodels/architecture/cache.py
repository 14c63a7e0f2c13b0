"""The key-value cache: what attention needs of the past, kept so that it is computed once.

Bytes: 2 · layers · B · K · T · d · (bytes a number). MQA and GQA shrink K; that is why they exist.
"""

import torch

from minimodels.errors import UserError


class KVCache:
    """Room for `max_length` tokens of `batch_size` sequences, filled in place by the model.

    `length` tokens are filled. Use it under torch.no_grad(); one cache serves one batch.
    """

    def __init__(self, config, batch_size: int, max_length: int, device=None, dtype=None):
        shape = (config.num_layers, batch_size, config.num_kv_heads, max_length, config.head_dim)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)  # (L, B, K, T_max, d)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.length = 0
        self.max_length = max_length

    @property
    def nbytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes

    def append(self, layer: int, k, v):
        """Store k, v (B, K, T, d) behind what `layer` holds; return all of it (B, K, T_total, d).

        `length` itself moves on only when every layer has appended: see Decoder.hidden.
        """
        end = self.length + k.shape[2]
        if end > self.max_length:
            raise UserError(f"the cache has room for {self.max_length} tokens, not for {end}.")
        self.keys[layer, :, :, self.length : end] = k
        self.values[layer, :, :, self.length : end] = v
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]
