"""Nucleus sampling without a sort: the smallest set of words that holds the mass p, and a draw.

Sorting 256,000 probabilities to find where they sum to p costs more than the draw. The set is all
words at least as likely as some threshold, so the threshold is searched for: the mass above it
falls as it rises, and 32 halvings of [0, max] find it to within max / 2³² (FlashInfer draws by
rejection instead, arXiv 2501.01005). The draw takes a uniform number u: the first word, in the
order of the vocabulary, at which the running mass of the set passes u times its whole. Shapes:
logits (B, V), u (B,) float32 in [0, 1), ids (B,) int64.
"""

import torch

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.checks import dimensions, one_device, same_place, same_size
from minimodels.kernels.compile import Build

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton on this system: the reference serves
    triton = None

BLOCK = 4096
HALVINGS = 32


def top_p_reference(logits, u, p: float, temperature: float = 1.0):
    """By a sort; words as likely as the last one of the set belong to it."""
    probabilities = (logits.float() / temperature).softmax(-1)
    ordered = probabilities.sort(-1, descending=True).values
    before = ordered.cumsum(-1) - ordered  # mass of all more likely words
    least = ordered.masked_fill(before >= p, torch.inf).amin(-1, keepdim=True)
    kept = probabilities * (probabilities >= least)
    running = kept.cumsum(-1)
    return (running > u[:, None] * running[:, -1:]).int().argmax(-1)


def top_p(logits, u, p: float, temperature: float = 1.0):
    """Ids (B,), drawn by u from the nucleus of each row; by the kernel where this machine runs it.

    Raises UserError for p outside of (0, 1], a temperature that is not positive or other shapes.
    """
    same_place("top_p", logits=logits)
    dimensions("top_p", "(B, V)", logits=logits)
    one_device("top_p", logits=logits, u=u)
    same_size("top_p", logits.shape[:1], u=u)
    if not 0 < p <= 1 or temperature <= 0:
        raise UserError(f"top_p: p = {p} must lie in (0, 1], temperature {temperature} above 0.")
    if logits.shape[1] == 0:
        raise UserError("top_p: logits have no words: there is nothing to draw.")
    if not kernels.on(logits) or logits.numel() == 0:
        return top_p_reference(logits, u, p, temperature)
    logits, (B, V) = logits.contiguous(), logits.shape
    ids = torch.empty(B, device=logits.device, dtype=torch.int64)
    with torch.cuda.device_of(logits):  # does nothing on a CPU
        top_p_kernel[(B,)](
            logits, u.float().contiguous(), ids, V, p, 1.0 / temperature, HALVINGS=HALVINGS,
            BLOCK=min(BLOCK, triton.next_power_of_2(V)), num_warps=8,
        )  # fmt: skip
    return ids


if triton is not None:

    @triton.jit
    def weights_of(row_ptr, start, V, scale, top, BLOCK: tl.constexpr):
        """exp((z − top) / temperature) of one block of a row; 0 beyond its end."""
        i = start + tl.arange(0, BLOCK)
        z = tl.load(row_ptr + i, mask=i < V, other=0.0).to(tl.float32)
        return tl.where(i < V, tl.exp((z - top) * scale), 0.0)

    @triton.jit
    def mass_above(row_ptr, V, scale, top, threshold, BLOCK: tl.constexpr):
        """The sum of all weights that are at least `threshold`."""
        mass = 0.0
        for start in range(0, V, BLOCK):
            w = weights_of(row_ptr, start, V, scale, top, BLOCK)
            mass += tl.sum(tl.where(w >= threshold, w, 0.0), axis=0)
        return mass

    @triton.jit
    def top_p_kernel(logits_ptr, u_ptr, ids_ptr, V, p, scale, HALVINGS: tl.constexpr,
                     BLOCK: tl.constexpr):  # fmt: skip
        row = tl.program_id(0).to(tl.int64)
        row_ptr = logits_ptr + row * V
        top = -float("inf")
        for start in range(0, V, BLOCK):
            i = start + tl.arange(0, BLOCK)
            z = tl.load(row_ptr + i, mask=i < V, other=-float("inf")).to(tl.float32)
            top = tl.maximum(top, tl.max(z, axis=0))
        wanted = p * mass_above(row_ptr, V, scale, top, 0.0, BLOCK)
        low, high = 0.0, 1.0  # weights lie in (0, 1]: the most likely word's is 1
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            enough = mass_above(row_ptr, V, scale, top, middle, BLOCK) >= wanted
            low = tl.where(enough, middle, low)
            high = tl.where(enough, high, middle)
        target = tl.load(u_ptr + row) * mass_above(row_ptr, V, scale, top, low, BLOCK)
        before, chosen, last = 0.0, V, 0
        for start in range(0, V, BLOCK):
            i = start + tl.arange(0, BLOCK)
            w = weights_of(row_ptr, start, V, scale, top, BLOCK)
            w = tl.where(w >= low, w, 0.0)
            passed = (before + tl.cumsum(w, axis=0) > target) & (w > 0.0)
            chosen = tl.minimum(chosen, tl.min(tl.where(passed, i, V), axis=0))
            before += tl.sum(w, axis=0)
            last = tl.maximum(last, tl.max(tl.where(w > 0.0, i, 0), axis=0))
        chosen = tl.minimum(chosen, last)  # u near 1: the running sum may round to below it
        tl.store(ids_ptr + row, chosen.to(tl.int64))


def builds() -> list[Build]:
    """A 256,000-word vocabulary in steps of 4,096."""
    signature = dict(logits_ptr="*bf16", u_ptr="*fp32", ids_ptr="*i64", V="i32", p="fp32",
                     scale="fp32")  # fmt: skip
    constants = {"HALVINGS": HALVINGS, "BLOCK": BLOCK}
    return [Build("top_p", top_p_kernel, signature, constants, 8, aligned=("V",))]
