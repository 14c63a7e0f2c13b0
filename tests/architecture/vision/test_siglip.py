"""The picture encoder and the projector equal Transformers'; pictures of a wrong size are refused.

Tolerance 1e-5 in float32. The controls, each with one thing wrong, are far outside of it.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from minimodels.architecture.configs import Gemma3VisionConfig, VisionConfig, get, pattern
from minimodels.architecture.vision.preprocess import preprocess
from minimodels.architecture.vision.projector import Projector
from minimodels.architecture.vision.siglip import SigLIP
from minimodels.errors import UserError

TOLERANCE = 1e-5
SHAPES = {  # hidden, intermediate, layers, heads, image, patch
    "one head": (20, 33, 1, 1, 12, 4),
    "square": (24, 40, 2, 3, 24, 6),
    "many small patches": (36, 17, 3, 6, 26, 2),
}


def config_of(shape):
    names = "hidden_size intermediate_size num_layers num_heads image_size patch_size".split()
    return VisionConfig(**dict(zip(names, SHAPES[shape], strict=True)))


def twins(shape):
    """(theirs, ours) with the same weights, large enough that every part matters."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    c = config_of(shape)
    theirs = SiglipVisionModel(SiglipVisionConfig(
        hidden_size=c.hidden_size, intermediate_size=c.intermediate_size,
        num_hidden_layers=c.num_layers, num_attention_heads=c.num_heads, image_size=c.image_size,
        patch_size=c.patch_size, vision_use_head=False))  # fmt: skip
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.copy_(0.5 * torch.randn_like(weight) if weight.dim() == 1 else
                         1.5 * torch.randn_like(weight) / weight[0].numel() ** 0.5)  # fmt: skip
    ours = SigLIP(c)
    ours.load_state_dict(theirs.state_dict())
    return theirs.eval(), ours


def pictures_for(model, batch=3):
    seeded = torch.Generator().manual_seed(5)
    return torch.rand(batch, 3, *[model.config.image_size] * 2, generator=seeded) * 2 - 1


@pytest.mark.parametrize("shape", SHAPES)
def test_patches_and_gradients(shape):
    theirs, ours = twins(shape)
    pictures = pictures_for(ours)
    wanted, got = theirs(pictures).last_hidden_state, ours(pictures)
    assert got.shape == (3, ours.config.num_patches, ours.config.hidden_size)
    assert (got - wanted).abs().max() <= TOLERANCE
    for out in (wanted, got):
        out.square().mean().backward()
    gradients = {name: weight.grad for name, weight in ours.named_parameters()}
    for name, weight in theirs.named_parameters():
        assert (gradients[name] - weight.grad).abs().max() <= TOLERANCE, name
        if not name.endswith("k_proj.bias"):  # softmax does not see it: its gradient is zero
            assert weight.grad.abs().max() > 10 * TOLERANCE, name


def test_bf16():
    theirs, ours = (model.bfloat16() for model in twins("square"))
    pictures = pictures_for(ours).bfloat16()
    with torch.no_grad():
        assert (theirs(pictures).last_hidden_state - ours(pictures)).abs().max() == 0


WRONG = {
    "exact gelu": ("torch.nn.functional.gelu", lambda x, approximate, gelu=F.gelu: gelu(x)),
    "a causal mask": (
        "torch.nn.functional.scaled_dot_product_attention",
        lambda q, k, v, attend=F.scaled_dot_product_attention: attend(q, k, v, is_causal=True),
    ),
    "RMSNorm": ("torch.nn.LayerNorm.forward", lambda n, x: F.rms_norm(x, x.shape[-1:], n.weight)),
}


@pytest.mark.parametrize("what", WRONG)
def test_control_one_thing_wrong(what, monkeypatch):
    theirs, ours = twins("square")
    pictures = pictures_for(ours)
    with torch.no_grad():
        wanted = theirs(pictures).last_hidden_state
        monkeypatch.setattr(*WRONG[what])
        assert (ours(pictures) - wanted).abs().max() > 10 * TOLERANCE


def test_control_places_matter():
    """Patches in another order are another picture: so places are read, and in the right order."""
    theirs, ours = twins("square")
    pictures = pictures_for(ours)
    with torch.no_grad():
        wanted = theirs(pictures).last_hidden_state
        assert (ours(pictures.transpose(2, 3)) - wanted).abs().max() > 100 * TOLERANCE
        ours.embeddings.position_embedding.weight.zero_()
        assert (ours(pictures) - wanted).abs().max() > 100 * TOLERANCE


def seeing(side, tokens, width=12):
    """A config whose encoder makes side² patches, 9 wide."""
    vision = VisionConfig(hidden_size=9, intermediate_size=10, num_layers=1, num_heads=3,
                          image_size=2 * side, patch_size=2, norm_eps=1e-3)  # fmt: skip
    return Gemma3VisionConfig(
        vocab_size=50, hidden_size=width, intermediate_size=20, num_layers=2, num_heads=2,
        num_kv_heads=1, head_dim=6, max_length=64, sliding_window=8, layer_types=pattern(2, 2),
        vision=vision, picture_tokens=tokens, picture_token=40, start_of_picture=41,
        end_of_picture=42)  # fmt: skip


@pytest.mark.parametrize("side, tokens, width", [(4, 4, 12), (6, 4, 10), (5, 25, 7), (4, 1, 3)])
def test_the_projector(side, tokens, width):
    from transformers import Gemma3Config
    from transformers.models.gemma3.modeling_gemma3 import Gemma3MultiModalProjector

    theirs = Gemma3MultiModalProjector(Gemma3Config(
        text_config={"hidden_size": width, "num_attention_heads": 1},
        vision_config={"hidden_size": 9, "image_size": 2 * side, "patch_size": 2,
                       "num_attention_heads": 3, "layer_norm_eps": 1e-3},
        mm_tokens_per_image=tokens))  # fmt: skip
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.copy_(0.5 * torch.randn_like(weight))
    ours = Projector(seeing(side, tokens, width))
    ours.load_state_dict(theirs.state_dict())
    patches = torch.randn(2, side**2, 9)
    wanted, got = theirs(patches), ours(patches)
    assert got.shape == (2, tokens, width)
    assert (got - wanted).abs().max() <= TOLERANCE
    if tokens > 1:
        turned = patches.unflatten(1, (side, side)).transpose(1, 2).flatten(1, 2)
        assert (ours(turned) - wanted).abs().max() > 100 * TOLERANCE  # control: rows as columns


def test_squares_of_patches():
    big = get("gemma-3-27b-vision")
    assert (big.vision.num_patches, big.picture_tokens, big.pool) == (4096, 256, 4)
    for side, tokens in [(8, 20), (8, 25), (3, 16)]:
        with pytest.raises(UserError, match=f"cannot become {tokens} tokens"):
            seeing(side, tokens)


def test_preprocess_as_transformers():
    from PIL import Image
    from transformers import SiglipImageProcessor

    draw = np.random.default_rng(0)
    pictures = [draw.integers(256, size=(24, 24, 3), dtype=np.uint8) for _ in range(2)]
    theirs = SiglipImageProcessor(do_resize=False, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    wanted = theirs([Image.fromarray(p) for p in pictures], return_tensors="pt")["pixel_values"]
    got = preprocess(pictures, 24)
    assert got.shape == (2, 3, 24, 24) and got.min() == -1 and got.max() == 1
    assert (got - wanted).abs().max() <= 1e-6
    assert preprocess([], 24).shape == (0, 3, 24, 24)


@pytest.mark.parametrize("picture, says", [
    (np.zeros((24, 20, 3), np.uint8), "20 × 24 pixels but the model sees 24 × 24: crop or resize"),
    (np.zeros((48, 48, 3), np.uint8), "48 × 48 pixels but the model sees 24 × 24"),
    (np.zeros((24, 24), np.uint8), r"shape \(24, 24\) is not \(height, width, 3\)"),
    (np.zeros((3, 24, 24), np.uint8), r"shape \(3, 24, 24\) is not \(height, width, 3\)"),
    (np.zeros((24, 24, 3)), "holds float64 numbers: give whole numbers from 0 to 255"),
])  # fmt: skip
def test_bad_pictures_are_one_sentence(picture, says):
    with pytest.raises(UserError, match=says) as told:
        preprocess([np.zeros((24, 24, 3), np.uint8), picture], 24)
    assert "\n" not in str(told.value) and str(told.value).count(". ") == 0


def test_the_encoder_refuses_another_size():
    with pytest.raises(UserError, match=r"\(3, 12, 12\) but the model sees \(3, 24, 24\)"):
        SigLIP(config_of("square"))(torch.zeros(1, 3, 12, 12))


@pytest.mark.parametrize("change, says", [
    ({"num_heads": 5}, "24 numbers equally among 5 heads"),
    ({"patch_size": 5}, "24 pixels cannot be cut into patches of 5"),
    ({"num_layers": 0}, "num_layers = 0 .* no positive int"),
    ({"image_size": 24.0}, "image_size = 24.0 .* no positive int"),
])  # fmt: skip
def test_impossible_shapes(change, says):
    import dataclasses

    with pytest.raises(UserError, match=says):
        dataclasses.replace(config_of("square"), **change)
