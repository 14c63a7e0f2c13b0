"""What test_models.py runs twice, with kernels and without: a process that prints one JSON of a
group of models.

Everything is tiny: the interpreter takes a millisecond for each program of a kernel. Weights and
texts are drawn on the CPU, so that a GPU gets the same.
"""

import json
import sys
from collections import Counter

import torch

from minimodels import kernels
from minimodels.architecture import attention, decoder
from minimodels.architecture.build import build
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs import (
    BloomConfig,
    Gemma2Config,
    Gemma3Config,
    Gemma3nConfig,
    Gemma4Config,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    MixtralConfig,
    NemotronConfig,
    NemotronHConfig,
    pattern,
)
from minimodels.architecture.configs.deepseek import DeepseekConfig
from minimodels.architecture.configs.nemotron_h import spell
from minimodels.architecture.generate import generate_batch
from minimodels.device import device
from minimodels.finetuning import lora
from minimodels.training.optimizers import clip_gradients
from minimodels.training.trainer import TrainConfig, accumulate, cross_entropy_sum, make_optimizer

SIZE = dict(vocab_size=60, hidden_size=16, intermediate_size=24, num_layers=2, num_heads=2,
            num_kv_heads=1, head_dim=8, max_length=40, init_std=0.3)  # fmt: skip
SLIDES = dict(sliding_window=4, layer_types=pattern(2, 2))
TRAINED = {
    "gemma": GemmaConfig(**SIZE),
    "nemotron": NemotronConfig(**SIZE),
    "llama": LlamaConfig(**SIZE),
    "gemma 2": Gemma2Config(**SIZE, **SLIDES, attention_softcap=2.0, logit_softcap=3.0),
    "gemma 3": Gemma3Config(**SIZE, **SLIDES, query_scale=8.0),
    "mixtral": MixtralConfig(**SIZE, num_experts=4, experts_per_token=2),
}


class Pads:
    pad_id = 0


def trained(config, prepare=lambda model: None, dtype="float32") -> tuple:
    """(model, losses) of two steps by the trainer's own loss, on six tokens of two texts."""
    torch.manual_seed(0)
    model = build(config, device="cpu").to(device())
    prepare(model)
    tokens = torch.randint(60, (2, 7), generator=torch.Generator().manual_seed(1))
    targets = tokens[:, 1:].clone()
    targets[1, :2] = -100  # not learned
    settings = TrainConfig(steps=2, learning_rate=1e-2, dtype=dtype)
    optimizer, losses = make_optimizer(model, settings), []
    for step in range(2):
        batches = lambda _: (tokens[:, :-1], targets)  # noqa: E731
        losses.append(accumulate(cross_entropy_sum, model, batches, step, settings)[1])
        clip_gradients(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return model, losses


def with_adapter(model) -> None:
    """LoRA on one kind of matrix, with both factors away from zero."""
    lora.apply(model, rank=2, targets=("up_proj",))
    for layer in lora.adapters(model).values():
        torch.nn.init.normal_(layer.lora_B, std=0.3)


@torch.no_grad()
def pieces(model) -> list[float]:
    """Logits of the last tokens of two texts, of which one is padded: 5 tokens, 2 more, 1 more."""
    tokens = torch.randint(60, (2, 8), generator=torch.Generator().manual_seed(2)).to(device())
    real = torch.ones_like(tokens, dtype=torch.bool)
    real[1, :3] = False
    cache, last = KVCache(model.config, 2, 8, model.device, model.dtype), []
    for start, end in ((0, 5), (5, 7), (7, 8)):
        logits = model(tokens[:, start:end], cache, real[:, :end])
        last.append(logits[:, -1, :5])
    whole = model(tokens, mask=real)[:, -1, :5]  # the same without a cache
    assert (whole - last[-1]).abs().max() < 1e-4
    assert (whole - model(tokens)[:, -1, :5])[1].abs().max() > 1e-3  # control: padding seen
    return torch.stack(last).flatten().tolist()


def readers() -> dict:
    """Families that only read; the attention of bloom, deepseek and gemma 4 does not suit."""
    full, told = SIZE | dict(num_kv_heads=2), dict(per_layer_size=4, per_layer_vocab=60)
    mixed = dict(num_experts=4, experts_per_token=2, moe_intermediate_size=12)
    return {
        "gemma 2": TRAINED["gemma 2"],
        "gemma 3": TRAINED["gemma 3"],
        "gpt2": GPT2Config(**full),
        "bloom": BloomConfig(**full),  # a bias on the scores
        "deepseek": DeepseekConfig(  # values narrower than keys
            **full, **mixed, kv_lora_rank=12, qk_nope_head_dim=6, v_head_dim=10, num_dense_layers=1,
            expert_groups=2, top_groups=1,
        ),
        "gemma 3n": Gemma3nConfig(**SIZE, **SLIDES, **told),
        "gemma 4": Gemma4Config(  # full heads wider than a program can hold
            **SIZE, **SLIDES, **told, full_head_dim=288, num_experts=4, experts_per_token=2,
            expert_size=12,
        ),
        "nemotron-h": NemotronHConfig(
            **(SIZE | dict(num_layers=4)), **mixed, layer_types=spell("M-*E"), mamba_num_heads=4,
            mamba_head_dim=6, mamba_groups=2, ssm_state_size=5, chunk_size=8,
            shared_intermediate_size=20,
        ),
    }  # fmt: skip


def watch(counts: Counter) -> None:
    """Count launches by the kernel's file, where they are interpreted, and masks that are drawn."""
    visible = attention.visible

    def drawing(*arguments, **named):
        mask = visible(*arguments, **named)
        counts["masks"] += mask is not None
        return mask

    attention.visible = decoder.visible = drawing
    if kernels.INTERPRETED:
        from triton.runtime.interpreter import GridExecutor

        launch = GridExecutor.__call__

        def counting(self, *arguments, **named):
            counts[self.fn.__module__.rpartition(".")[2]] += 1
            return launch(self, *arguments, **named)

        GridExecutor.__call__ = counting


def learning(names, say) -> None:
    """Two steps, then three tokens behind prompts of six and of two."""
    for name in names:
        model, losses = trained(TRAINED[name])
        written = generate_batch(model, Pads, [[3, 4, 5, 6, 7, 8], [7, 1]], 3, stop_ids=[])
        say(name, losses=losses, written=written)


def main(group: str) -> dict:
    counts, said = Counter(), {}
    watch(counts)

    def say(name: str, **what):
        said[name] = what | {"counts": dict(counts)}
        counts.clear()

    if group == "gemmas":
        learning(["gemma", "gemma 2", "gemma 3"], say)
    if group == "others":
        learning(["nemotron", "llama", "mixtral"], say)
        say("lora", losses=trained(TRAINED["gemma"], with_adapter)[1])
        say("lora in bf16", losses=trained(TRAINED["gemma"], with_adapter, "bfloat16")[1])
        say("mixtral in bf16", losses=trained(TRAINED["mixtral"], dtype="bfloat16")[1])
    if group == "readers":
        for name, config in readers().items():
            torch.manual_seed(0)
            say(name + " reads", logits=pieces(build(config, device="cpu").to(device())))
    return {"on": kernels.on(torch.zeros(1, device=device())), "said": said}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
