"""Two widgets: tensors on their way through a block; a budget of parameters, bytes and FLOPs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from minimodels.architecture import cost_figures
from minimodels.architecture.configs import DecoderConfig, get
from minimodels.errors import UserError

LENGTHS = [2**power for power in range(6, 18)]  # 64 to 131,072 tokens
SHOWN = ("gemma-mini", "gemma-2b", "gemma-7b", "gemma-2-9b", "llama-3-8b", "nemotron-4-15b",
         "nemotron-4-340b")  # fmt: skip


def sliders(draw: Callable, choices: Mapping[str, Sequence], first: Mapping[str, object]):
    """Show `draw(**first)` under one slider for each of `choices`, and draw anew when one moves.

    The figure is a plain output of the cell, so a page without a kernel shows it too. Returns the
    sliders by name.
    """
    try:
        from ipywidgets import HBox, Layout, SelectionSlider
    except ImportError:
        raise UserError(
            "the sliders need ipywidgets: install minimodels with its extra [lab]."
        ) from None
    from IPython.display import display

    made = {
        name: SelectionSlider(
            options=[(_word(choice), choice) for choice in values], value=first[name],
            description=name.replace("_", " "), continuous_update=False,
        )
        for name, values in choices.items()
    }  # fmt: skip
    display(HBox(list(made.values()), layout=Layout(flex_flow="row wrap")))
    shown = display(draw(**first), display_id=True)

    def update(_):
        shown.update(draw(**{name: slider.value for name, slider in made.items()}))

    for slider in made.values():
        slider.observe(update, names="value")
    return made


def block_sliders(name: str = "gemma-2b", length: int = 2048):
    """Shapes and bytes of every tensor in one block, by model and length of the text."""
    return sliders(
        lambda model, tokens: cost_figures.block(get(model), model, tokens),
        {"model": SHOWN, "tokens": LENGTHS},
        {"model": name, "tokens": length},
    )


def budget_sliders(name: str = "gemma-2b", length: int = 4096):
    """Choose the sizes of a model and see what it costs; it starts as the published `name`."""
    base = get(name)
    sizes = {
        "layers": ("num_layers", (2, 4, 8, 12, 18, 24, 32, 48, 64, 96)),
        "width": ("hidden_size", (128, 512, 1024, 2048, 3072, 4096, 6144, 8192, 18_432)),
        "MLP_width": ("intermediate_size", (512, 4096, 8192, 16_384, 24_576, 36_864, 73_728)),
        "heads": ("num_heads", (1, 2, 4, 8, 16, 32, 64, 96)),
        "kv_heads": ("num_kv_heads", (1, 2, 4, 8, 16, 32, 64, 96)),
        "vocabulary": ("vocab_size", (2048, 32_000, 128_256, 256_000)),
    }
    choices = {
        label: _with(values, getattr(base, field)) for label, (field, values) in sizes.items()
    }
    first = {label: getattr(base, field) for label, (field, _) in sizes.items()}

    def draw(tokens, **chosen):
        changed = {sizes[label][0]: value for label, value in chosen.items()}
        config = variant(base, **changed)
        called = name if config == base else f"a {base.family} of your own"
        return cost_figures.budget(config, called, tokens)

    return sliders(draw, choices | {"tokens": LENGTHS}, first | {"tokens": length})


def variant(base: DecoderConfig, num_heads: int, num_kv_heads: int, **sizes) -> DecoderConfig:
    """`base` with other sizes; as many key heads as divide the query heads, at most those asked."""
    possible = [K for K in range(1, num_kv_heads + 1) if num_heads % K == 0]
    return replace(base, num_heads=num_heads, num_kv_heads=possible[-1], **sizes)


def _with(values: Sequence[int], one: int) -> list[int]:
    return sorted({*values, one})


def _word(choice) -> str:
    return f"{choice:,}" if isinstance(choice, int) else str(choice)
