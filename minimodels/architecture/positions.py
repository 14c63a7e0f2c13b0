"""Three ways to tell a token where it stands, without turning anything (RoPE turns: rope.py).

Sinusoidal: arXiv 1706.03762, section 3.5. Learned: GPT-2 and BERT, a second embedding whose rows
are positions (families/gpt2.py, families/bert.py). ALiBi: arXiv 2108.12409, section 3.
Shapes: T queries, S keys, H heads, D hidden.
"""

import torch


def sinusoidal(positions, size: int, base: float = 10_000.0):
    """Waves to add to the embeddings: positions (…, T) -> (…, T, size), `size` even.

    Numbers 2i and 2i + 1 of a row are the sine and the cosine of position / base^(2i / size).
    """
    even = torch.arange(0, size, 2, device=positions.device, dtype=torch.float32)
    angle = positions[..., None].float() / base ** (even / size)  # (…, T, size / 2)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)


def alibi_slopes(num_heads: int):
    """How fast each head loses interest in what is far: (H,).

    For n = 2^k heads the slopes are r, r², …, rⁿ with r = 2^(−8/n). Other counts take those of the
    next lower power of two, and then every second slope of the next higher one.
    """
    lower = 1 << (num_heads.bit_length() - 1)
    slopes = geometric(lower)
    missing = num_heads - lower
    return torch.cat((slopes, geometric(2 * lower)[::2][:missing]))


def geometric(count: int):
    """2^(−8/n), 2^(−16/n), …, 2^(−8) for n = count."""
    return 2.0 ** (-8.0 * torch.arange(1, count + 1) / count)


def alibi(num_heads: int, queries, keys):
    """What ALiBi adds to the scores, −slope · distance: (T,) and (S,) positions -> (H, T, S).

    Keys in the future get a bonus here; the causal mask takes them out.
    """
    distance = queries[:, None] - keys[None, :]  # (T, S)
    return -alibi_slopes(num_heads).to(distance.device)[:, None, None] * distance
