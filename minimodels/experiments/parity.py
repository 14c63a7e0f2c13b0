"""Ours against Transformers', family by family: the largest difference of each check.

Weights go through files: written by their save_pretrained, read by our load, written by our save
and read by their from_pretrained. All in float32; the tests allow 1e-5.
"""

import tempfile
from pathlib import Path

import torch
from torch.nn import functional as F
from tqdm import tqdm

import minimodels
from minimodels import files
from minimodels.architecture.cache import KVCache
from minimodels.experiments.peers import FAMILIES, SHAPES, peer, plain, tokens_for

RESULT = files.repository() / "course/03_architecture/results/parity.json"
PIECES = [(0, 9), (9, 14), *((i, i + 1) for i in range(14, 23))]  # a prompt, more of it, then words


def run(seed: int = 0) -> dict:
    """{"families": {family: {shape: {check: largest difference}}}} of everything."""
    table = {family: {} for family in FAMILIES}
    for family, shape in tqdm([(f, s) for f in FAMILIES for s in SHAPES], desc="parity"):
        table[family][shape] = differences(family, shape, seed)
    return {"families": table}


def differences(family: str, shape: str, seed: int = 0) -> dict[str, float]:
    """Each check of one family in one shape, and how far apart ours and theirs are."""
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = twins(family, shape, Path(folder) / "theirs", seed)
        found = {name: check(theirs, ours) for name, check in CHECKS.items()}
        found["bf16 file"] = bf16(theirs, Path(folder) / "bf16")
        found["saved by us"] = saved(ours, Path(folder) / "ours")
    return found


def twins(family: str, shape: str, folder, seed: int = 0, **changes):
    """(theirs, ours) with the same weights, through files written by save_pretrained."""
    theirs = peer(family, shape, seed, **changes)
    theirs.save_pretrained(folder)
    return theirs, minimodels.load(folder, device="cpu")[0]


def logits(theirs, ours) -> float:
    """Of 23 tokens in one go; longer than the windows."""
    tokens = tokens_for(theirs)
    with torch.no_grad():
        return apart(ours(tokens), theirs(tokens).logits)


def gradients(theirs, ours) -> float:
    """Of the loss by each of their parameters, at the names and places where ours keep them."""
    tokens = tokens_for(theirs)
    with tempfile.TemporaryDirectory() as folder:  # files translate: gradients go as weights do
        for model, out in ((theirs, theirs(tokens).logits), (ours, ours(tokens))):
            model.zero_grad()
            F.cross_entropy(out[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
        weights = {name: weight.detach().clone() for name, weight in theirs.named_parameters()}
        with torch.no_grad():
            for weight in theirs.parameters():
                weight.copy_(torch.zeros_like(weight) if weight.grad is None else weight.grad)
            theirs.save_pretrained(folder)
            for name, weight in theirs.named_parameters():
                weight.copy_(weights[name])
        wanted = dict(minimodels.load(folder, device="cpu")[0].named_parameters())
    return max(
        apart(torch.zeros_like(w) if w.grad is None else w.grad, wanted[name])
        for name, w in ours.named_parameters()
    )


@torch.no_grad()
def cached(theirs, ours) -> float:
    """A prompt, a piece of several tokens, then token by token, each with its own cache."""
    tokens = tokens_for(theirs)
    cache, past, worst = KVCache(ours.config, len(tokens), 64), None, 0.0
    for start, end in PIECES:
        piece = tokens[:, start:end]
        wanted = theirs(piece, past_key_values=past, use_cache=True)
        past = wanted.past_key_values
        worst = max(worst, apart(ours(piece, cache), wanted.logits))
    return worst


@torch.no_grad()
def padded(theirs, ours) -> float:
    """A batch padded on the left, in one go; only real tokens count."""
    tokens, mask = tokens_for(theirs, batch=3), _mask()
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    wanted = theirs(tokens, attention_mask=mask.long(), position_ids=positions).logits
    return apart(ours(tokens, mask=mask)[mask], wanted[mask])


@torch.no_grad()
def padded_and_cached(theirs, ours) -> float:
    """The same batch in pieces: padding, cache and windows together."""
    tokens, mask = tokens_for(theirs, batch=3), _mask()
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache, past, worst = KVCache(ours.config, 3, 64), None, 0.0
    for a, b in PIECES:
        wanted = theirs(
            tokens[:, a:b], attention_mask=mask[:, :b].long(), position_ids=positions[:, a:b],
            past_key_values=past, use_cache=True,
        )  # fmt: skip
        past, real = wanted.past_key_values, mask[:, a:b]
        got = ours(tokens[:, a:b], cache, mask[:, :b])
        worst = max(worst, apart(got[real], wanted.logits[real]))
    return worst


def bf16(theirs, folder) -> float:
    """A folder in bf16, read by both in float32."""
    from transformers import AutoModelForCausalLM

    theirs.to(torch.bfloat16).save_pretrained(folder)
    again = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, **plain(theirs.config.model_type)
    )
    return logits(again, minimodels.load(folder, device="cpu")[0])


def saved(ours, folder) -> float:
    """Our save, in several files, read by Transformers."""
    from transformers import AutoModelForCausalLM

    minimodels.save(ours, None, folder, max_shard_bytes=20_000)
    again, report = AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True, **plain(ours.config.family)
    )
    if any(report.values()):
        raise AssertionError(f"Transformers does not find its tensors in our folder: {report}")
    return logits(again.float(), ours)


CHECKS = {
    "logits": logits,
    "gradients": gradients,
    "cache": cached,
    "padding": padded,
    "padding and cache": padded_and_cached,
}


def apart(ours, theirs) -> float:
    """The largest absolute difference."""
    return (ours - theirs).abs().max().item()


def _mask():
    mask = torch.ones(3, 23, dtype=torch.bool)
    mask[0, :8] = mask[1, :1] = False
    return mask
