"""LoRA (Hu et al. 2021, arXiv 2106.09685): learn a low-rank change of frozen matrices.

    y = W x + (alpha / rank) · B A x        A (rank, in) random, B (out, rank) zero: no change yet

The files are PEFT's: `PeftModel.from_pretrained` puts them on the same model in Transformers.
"""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from minimodels import kernels
from minimodels.architecture.adapter import PREFIX, SETTINGS, TENSORS, read_settings
from minimodels.architecture.hf.layout import our_name, their_name
from minimodels.architecture.weights import open_tensors
from minimodels.errors import UserError
from minimodels.files import atomic_folder, write_json
from minimodels.kernels.lora import lora


class LoraLinear(nn.Module):
    """A frozen linear layer with a trained low-rank path beside it: (…, in) -> (…, out)."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.base, self.scale = base, alpha / rank
        place = dict(device=base.weight.device, dtype=torch.float32)  # small, so kept exact
        self.lora_A = nn.Parameter(torch.empty(rank, base.in_features, **place))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank, **place))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))  # as PEFT does

    def forward(self, x):
        if self.suits_kernel(x):
            return lora(x, self.base.weight, self.lora_A, self.lora_B, self.scale)
        y = self.base(x)
        low = F.linear(x.to(self.lora_A.dtype), self.lora_A)  # (…, rank)
        return (y + F.linear(low, self.lora_B) * self.scale).to(y.dtype)

    def suits_kernel(self, x) -> bool:
        """Whether the kernel rounds as the two paths do: all in one dtype, or in autocast's."""
        if type(self.base) is not nn.Linear or self.base.bias is not None or not kernels.on(x):
            return False
        same = x.dtype == self.base.weight.dtype == self.lora_A.dtype
        return same or torch.is_autocast_enabled(x.device.type)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The base layer with the change added to its weight."""
        change = (self.lora_B @ self.lora_A) * self.scale
        self.base.weight += change.to(self.base.weight.dtype)
        return self.base


def apply(
    model: nn.Module, rank: int = 8, alpha: float = 16, targets: tuple[str, ...] | None = None
) -> nn.Module:
    """Freeze `model` and put adapters on its linear layers, in place; returns it.

    `targets` are the last parts of their names, ("q_proj", "v_proj"); None takes all but the head.
    The change is scaled by alpha / rank, so that another rank keeps the learning rate. Until it is
    trained the model computes what it did. Raises UserError if a target matches no linear layer,
    the rank is below 1, or the model has adapters already.
    """
    if rank < 1:
        raise UserError(f"a LoRA adapter of rank {rank} learns nothing: give 1 or more.")
    if adapters(model):
        raise UserError("the model has a LoRA adapter already: merge it first.")
    linear = _linear(model)
    if targets is None:
        chosen = [name for name in linear if name != "lm_head"]
    else:
        chosen = [name for name in linear if _last(name) in targets]
    missing = sorted(set(targets or ()) - set(map(_last, chosen)))
    if missing or not chosen:
        known = ", ".join(sorted(set(map(_last, linear))))
        raise UserError(f"the model has no linear layer {', '.join(missing)}: it has {known}.")
    return _adapt(model, chosen, rank, alpha)


def adapters(model: nn.Module) -> dict[str, LoraLinear]:
    """The adapted layers of a model by name."""
    return {n: m for n, m in model.named_modules() if isinstance(m, LoraLinear)}


def trainable_parameters(model: nn.Module) -> int:
    """How many numbers of the model are trained."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def merge(model: nn.Module) -> nn.Module:
    """Add the adapters to the weights, in place: the same outputs and a plain model again."""
    for name, module in adapters(model).items():
        _replace(model, name, module.merged())
    return model.requires_grad_(True)


def save(model: nn.Module, folder, base: str, dtype: torch.dtype = torch.float32) -> None:
    """Write the adapters of `model` in PEFT's layout; `base` names the model they belong to.

    The folder appears whole or not at all. Raises UserError if the model has no adapters.
    """
    layers = adapters(model)
    if not layers:
        raise UserError("the model has no LoRA adapter to save: apply one first.")
    first = next(iter(layers.values()))
    rank = len(first.lora_A)
    settings = dict(
        peft_type="LORA", task_type="CAUSAL_LM", base_model_name_or_path=str(base),
        r=rank, lora_alpha=first.scale * rank, lora_dropout=0.0, bias="none",
        target_modules=sorted(set(map(_last, layers))), inference_mode=True,
    )
    with atomic_folder(folder) as new:
        write_json(new / SETTINGS, settings)
        tensors = {name: t.to(dtype) for name, t in _tensors(layers).items()}
        save_file(tensors, new / TENSORS, metadata={"format": "pt"})


def load(model: nn.Module, folder) -> nn.Module:
    """Put the adapters of a PEFT folder on `model`, in place; returns it.

    Raises UserError if files are missing or broken, hold more than plain LoRA, or belong to another
    model; then the model is as it was.
    """
    folder = Path(folder)
    settings = read_settings(folder)
    with open_tensors(folder / TENSORS) as file:
        stored = {key: file.get_tensor(key) for key in file.keys()}
    names = {our_name(key.removeprefix(PREFIX)).rpartition(".lora_")[0] for key in stored}
    strangers = sorted(names - set(_linear(model)))
    if strangers or adapters(model):
        reason = f"it has no linear layer {strangers[0]}" if strangers else "it has one already"
        raise UserError(f"the adapter in {folder} does not fit this model: {reason}.")
    _adapt(model, names, settings["r"], settings["lora_alpha"])
    layers = adapters(model)
    if {k: t.shape for k, t in stored.items()} != {k: t.shape for k, t in _tensors(layers).items()}:
        merge(model)  # B is still zero: this only takes the adapters off again
        raise UserError(f"the adapter in {folder} does not fit this model: its shapes are others.")
    with torch.no_grad():
        for name, layer in layers.items():
            for part in ("lora_A", "lora_B"):
                getattr(layer, part).copy_(stored[_stored_name(name, part)])
    return model


def _adapt(model: nn.Module, names, rank: int, alpha: float) -> nn.Module:
    model.requires_grad_(False)
    for name in names:
        _replace(model, name, LoraLinear(model.get_submodule(name), rank, alpha))
    return model


def _linear(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _stored_name(layer: str, part: str) -> str:
    return PREFIX + their_name(f"{layer}.{part}.weight")


def _tensors(layers: dict[str, LoraLinear]) -> dict[str, torch.Tensor]:
    return {
        _stored_name(name, part): getattr(layer, part).detach().contiguous()
        for name, layer in layers.items() for part in ("lora_A", "lora_B")
    }


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
