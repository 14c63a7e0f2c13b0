"""What the chapters of stage 03 show: a table of checks, lively weights, and the sliders."""

import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import log

import torch
from torch.nn import functional as F

from minimodels.architecture import figures
from minimodels.architecture.build import build
from minimodels.architecture.checkpoint import save
from minimodels.architecture.configs import DecoderConfig, get
from minimodels.architecture.hf.config_json import layout
from minimodels.cluster.demo import live

STDS = [0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.12, 0.14, 0.16, 0.2]
LENGTHS = [2**power for power in range(9, 18)]  # 512 to 131,072 tokens


def checks(rows: Mapping[str, tuple], within: float = 1e-5) -> list[str]:
    """Print {name: (ours, reference)} with a tick for each that agrees; return the others' names.

    Tensors of one shape each; `within` bounds the largest absolute difference, whose place is
    printed where it is exceeded.
    """
    wrong = []
    for name, (ours, reference) in rows.items():
        apart = (ours.detach() - reference.detach()).abs()
        largest = apart.max().item()
        told = "equal to the bit" if largest == 0 else f"{largest:.1e} apart"
        if not largest <= within:
            wrong.append(name)
            place = apart.nan_to_num(torch.inf).argmax()
            told += f" at {[int(i) for i in torch.unravel_index(place, apart.shape)]}"
        print(f"{'✗' if name in wrong else '✓'} {name:30} {str(tuple(ours.shape)):14} {told}")
    return wrong


def first_loss(config: DecoderConfig, seed: int = 0) -> float:
    """Nats a token that a fresh model of this config loses on random tokens."""
    torch.manual_seed(seed)
    model = build(config, device="cpu")
    tokens = torch.randint(config.vocab_size, (4, 129))
    with torch.no_grad():
        return F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).item()


@torch.no_grad()
def written(model, tokens) -> dict[str, float]:
    """Mean square of what {"attention", "MLPs"} add to the stream, summed over the blocks."""
    sums = {"attention": 0.0, "MLPs": 0.0}

    def add(part):
        def hook(module, inputs, output):
            sums[part] += output.square().mean().item()

        return hook

    hooks = [layer.self_attn.register_forward_hook(add("attention")) for layer in model.layers]
    hooks += [layer.mlp.register_forward_hook(add("MLPs")) for layer in model.layers]
    model.hidden(tokens)
    for hook in hooks:
        hook.remove()
    return sums


@torch.no_grad()
def lively(config: DecoderConfig, seed: int = 0):
    """A model of this config in which every part matters, so that a mistake shows in the logits.

    Fresh weights hide mistakes: norms are identities and what blocks add is small.
    """
    model = build(config, device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if weight.dim() == 1:
            weight.copy_(0.5 * noise)
        elif name.startswith(("embed_tokens", "lm_head")):
            weight.copy_(0.3 * noise)
        else:
            weight.copy_(1.5 * noise / weight.shape[1] ** 0.5)
    return model.eval()


def transformers_streams(model, tokens):
    """What Transformers computes from a checkpoint of `model`: (logits, streams), or None without.

    streams: the stream before each block (B, T, D), and at last the normed end of it.
    """
    if importlib.util.find_spec("transformers") is None:
        return None
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        save(model, None, f"{folder}/model")
        architecture = getattr(transformers, layout(model.config.family).architecture)
        theirs = architecture.from_pretrained(f"{folder}/model", dtype=torch.float32)
    with torch.no_grad():
        out = theirs.eval()(tokens, output_hidden_states=True)
    return out.logits, out.hidden_states


@torch.no_grad()
def our_streams(model, tokens):
    """The same of ours: (logits, streams)."""
    streams: list[torch.Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs: streams.append(inputs[0]))
        for layer in model.layers
    ]
    hidden = model.hidden(tokens)
    for hook in hooks:
        hook.remove()
    return model.logits(hidden), [*streams, hidden]


def std_slider(predict: Callable[[DecoderConfig], float], first: float = 0.05):
    """First losses of both minis against the standard deviation of their weights.

    `predict(config)` draws the curves; a fresh model is built and measured at the slider's place.
    """
    minis = {name: get(name) for name in ("gemma-mini", "nemotron-mini")}
    fine = [0.005 * 40 ** (step / 32) for step in range(33)]  # 0.005 … 0.2
    curves = {
        name: (fine, [predict(replace(config, init_std=std)) for std in fine])
        for name, config in minis.items()
    }

    def draw(std):
        points = {
            name: ([std], [first_loss(replace(config, init_std=std))])
            for name, config in minis.items()
        }
        told = ", ".join(f"{name} {loss:.2f}" for name, (_, (loss,)) in points.items())
        return figures.lines(
            curves,
            points,
            f"Weights of std {std:g}: the first loss is {told}",
            "standard deviation of the weights",
            "nats a token",
            blind=log(minis["gemma-mini"].vocab_size),
            ticks=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
        )

    return live(draw, STDS, first, "std")


def memory_slider(name: str = "gemma-7b", title: str = "Gemma 7B", first: int = 8192):
    """Weights and cache by number of key/value heads; the slider is the length of the text."""
    config = get(name)
    return live(lambda length: figures.memory(config, title, length), LENGTHS, first, "tokens")


def conversation_slider(
    name: str = "nemotron-4-340b",
    title: str = "Nemotron-4 340B",
    memory_gb: float = 1280,
    first: int = 4096,
):
    """Texts that fit beside the weights by number of key/value heads, under their length."""
    config = get(name)
    return live(
        lambda length: figures.conversations(config, title, length, memory_gb),
        LENGTHS,
        first,
        "tokens",
    )
