"""Gemma 3 with pictures equals Transformers' Gemma3ForConditionalGeneration, weights read from the
folder that it wrote: logits, gradients, batches, caches and files in both directions.

Tolerance 1e-5 in float32. The controls, each with one thing wrong, are far outside of it.
"""

import json

import pytest
import torch
from torch.nn import functional as F

import minimodels
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs import get
from minimodels.architecture.count import count
from minimodels.architecture.demo import lively
from minimodels.architecture.families.gemma3_vision import with_pictures
from minimodels.architecture.hf.config_json import read_config
from minimodels.errors import UserError

TOLERANCE = 1e-5
BOI, EOI, IMAGE, WORDS = 81, 82, 83, 80
SHAPES = {  # text: layers, heads, kv heads, window, types; picture: size, patch; tokens
    "wide window": (3, 4, 2, 32, "sfs", 16, 4, 4),
    "window within a picture": (4, 2, 1, 5, "ssfs", 24, 4, 9),
    "one token": (2, 3, 3, 7, "fs", 8, 4, 1),
}
KINDS = {"s": "sliding_attention", "f": "full_attention"}


def peer(shape, **changes):
    """A Gemma3ForConditionalGeneration with weights that hide nothing."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    layers, heads, kv_heads, window, types, size, patch, tokens = SHAPES[shape]
    config = Gemma3Config(
        text_config={
            "vocab_size": 90, "hidden_size": 36, "intermediate_size": 50, "head_dim": 8,
            "num_hidden_layers": layers, "num_attention_heads": heads, "query_pre_attn_scalar": 11,
            "num_key_value_heads": kv_heads, "sliding_window": window, "pad_token_id": None,
            "max_position_embeddings": 96, "layer_types": [KINDS[kind] for kind in types],
        },
        vision_config={
            "hidden_size": 24, "intermediate_size": 30, "num_hidden_layers": 2,
            "num_attention_heads": 3, "image_size": size, "patch_size": patch,
            "vision_use_head": False,
        },
        mm_tokens_per_image=tokens, boi_token_index=BOI, eoi_token_index=EOI,
        image_token_index=IMAGE, **changes,
    )  # fmt: skip
    model = Gemma3ForConditionalGeneration(config)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            fan = weight.shape[0] if "mm_input" in name else weight[0].numel()
            size = 0.3 if "embed_tokens" in name else 0.5 if weight.dim() == 1 else 1.5 / fan**0.5
            weight.copy_(size * torch.randn_like(weight))
    return model.float().eval()


@pytest.fixture(params=SHAPES)
def pair(request, tmp_path):
    """(theirs, ours) with the same weights, through files written by save_pretrained."""
    return twins(request.param, tmp_path)


def twins(shape, folder):
    theirs = peer(shape)
    theirs.save_pretrained(folder)
    ours, tokenizer = minimodels.load(folder, device="cpu")
    assert tokenizer is None
    return theirs, ours


def texts(config, *rows):
    """Token ids (B, T): of each row, a number n is n words, "p" a picture."""
    draw = torch.Generator().manual_seed(3)
    made = []
    for row in rows:
        ids = []
        for part in row:
            words = torch.randint(10, WORDS, (0 if part == "p" else part,), generator=draw).tolist()
            ids += [config.start_of_picture] if part == "p" else words
        made.append(with_pictures(config, ids))
    return torch.tensor(made)


def pictures_for(config, count):
    draw = torch.Generator().manual_seed(4)
    return torch.rand(count, 3, *[config.vision.image_size] * 2, generator=draw) * 2 - 1


def logits_of(theirs, tokens, pictures, **more):
    kinds = (tokens == theirs.config.image_token_id).long()
    return theirs(input_ids=tokens, pixel_values=pictures, token_type_ids=kinds, **more)


def test_logits_and_gradients(pair):
    """Two texts, with two pictures and with two others at other places."""
    theirs, ours = pair
    tokens = texts(ours.config, [3, "p", 2, "p", 9], ["p", "p", 14])
    pictures = pictures_for(ours.config, 4)
    wanted, got = logits_of(theirs, tokens, pictures).logits, ours(tokens, pictures=pictures)
    assert (got - wanted).abs().max() <= TOLERANCE
    for logits in (wanted, got):
        F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    gradients = {name: weight.grad for name, weight in ours.named_parameters()}
    assert len(gradients) == len(list(theirs.parameters()))
    for name, weight in theirs.named_parameters():
        name = name.removeprefix("model.").removeprefix("language_model.")
        assert (gradients[name] - weight.grad).abs().max() <= TOLERANCE, name
        if not name.endswith("k_proj.bias"):  # softmax does not see it: its gradient is zero
            assert weight.grad.abs().max() > 10 * TOLERANCE, name


@torch.no_grad()
def test_without_pictures_it_is_gemma_3(pair):
    theirs, ours = pair
    tokens = texts(ours.config, [20], [20])
    assert (ours(tokens) - theirs(input_ids=tokens).logits).abs().max() <= TOLERANCE


@torch.no_grad()
def test_cached_steps(pair):
    """A text with a picture at once, then words one by one, then a second picture, and words."""
    theirs, ours = pair
    tokens = texts(ours.config, [2, "p", 8, "p", 6], [3, "p", 7, "p", 6])
    pictures = pictures_for(ours.config, 4)  # two a row: first and second
    M = ours.config.picture_tokens
    ends = [M + 6, M + 7, M + 8, M + 9, 2 * M + 15, *range(2 * M + 16, 2 * M + 21)]
    assert ends[-1] == tokens.shape[1]
    cache, past, start = KVCache(ours.config, 2, tokens.shape[1]), None, 0
    turn = iter((pictures[[0, 2]], pictures[[1, 3]]))
    at_once = ours(tokens, pictures=pictures)
    for end in ends:
        piece = tokens[:, start:end]
        shown = next(turn) if (piece == IMAGE).any() else None
        wanted = their_step(theirs, piece, shown, past, tokens[:, :end])
        past = wanted.past_key_values
        got = ours(piece, cache, pictures=shown)
        assert (got - wanted.logits).abs().max() <= TOLERANCE, (start, end)
        assert (got - at_once[:, start:end]).abs().max() <= TOLERANCE, (start, end)
        start = end
    assert next(turn, None) is None and cache.length == tokens.shape[1]


def their_step(theirs, piece, shown, past, so_far):
    """With a cache, their mask reads the kinds of all tokens so far, as their `generate` does."""
    kinds = (so_far == IMAGE).long() if shown is not None else None
    return theirs(input_ids=piece, pixel_values=shown, token_type_ids=kinds, past_key_values=past,
                  use_cache=True)  # fmt: skip


@torch.no_grad()
def test_left_padded_batch(pair):
    """As theirs with mask and positions, and as each text by itself."""
    theirs, ours = pair
    rows = [texts(ours.config, row) for row in ([3, "p", 5], [2, "p", 1, "p", 7], [6])]
    pictures = pictures_for(ours.config, 3)
    T = max(row.shape[1] for row in rows)
    tokens = torch.cat([F.pad(row, (T - row.shape[1], 0)) for row in rows])
    mask = torch.cat([F.pad(torch.ones_like(row), (T - row.shape[1], 0)) for row in rows]).bool()
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    wanted = logits_of(theirs, tokens, pictures, attention_mask=mask.long(),
                       position_ids=positions).logits  # fmt: skip
    got = ours(tokens, mask=mask, pictures=pictures)
    assert (got - wanted)[mask].abs().max() <= TOLERANCE
    for row, own, mine in zip(got, rows, (pictures[:1], pictures[1:], None), strict=True):
        alone = ours(own, pictures=mine)[0]
        assert (row[-len(alone) :] - alone).abs().max() <= TOLERANCE


@torch.no_grad()
@pytest.mark.parametrize("wrong", ["causal", "one mask for both pictures", "order of pictures"])
def test_control_one_thing_wrong(wrong, tmp_path, monkeypatch):
    theirs, ours = twins("wide window", tmp_path)
    tokens = texts(ours.config, [3, "p", 2, "p", 9])
    pictures = pictures_for(ours.config, 2)
    wanted = logits_of(theirs, tokens, pictures).logits
    numbered = type(ours).numbered
    changed = {
        "causal": lambda *given: numbered(*given) * 0,
        "one mask for both pictures": lambda *given: numbered(*given).clamp(max=1),
    }
    if wrong in changed:
        monkeypatch.setattr(type(ours), "numbered", changed[wrong])
    else:
        pictures = pictures.flip(0)
    assert (ours(tokens, pictures=pictures) - wanted).abs().max() > 100 * TOLERANCE


@torch.no_grad()
def test_who_sees_whom(tmp_path):
    """A change of the last token of a picture reaches its first token, but no word before it."""
    _, ours = twins("wide window", tmp_path)
    tokens = texts(ours.config, [3, "p", 5])
    pictures = pictures_for(ours.config, 1)
    pictures_, seen = pictures.clone(), ours.tokens_of(pictures)
    pictures_[..., -1, -1] *= -1  # encoders see everything: so change what the decoder is given
    changed = seen.clone()
    changed[:, -1] += 1.0
    ours.tokens_of = lambda given: seen if given is pictures else changed
    apart = (ours(tokens, pictures=pictures) - ours(tokens, pictures=pictures_)).abs().amax(-1)[0]
    assert (apart[:4] == 0).all() and (apart[4:] > 1e-3).all()


@torch.no_grad()
@pytest.mark.parametrize("model", [*SHAPES, "gemma3-vision-mini"])
def test_transformers_loads_what_we_save(model, tmp_path):
    from transformers import AutoModelForImageTextToText

    ours = twins(model, tmp_path)[1] if model in SHAPES else lively(get(model))
    minimodels.save(ours, None, tmp_path / "ours")
    again, report = AutoModelForImageTextToText.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not any(report.values())
    tokens = texts(ours.config, [3, "p", 2, "p", 9])
    pictures = pictures_for(ours.config, 2)
    wanted = ours(tokens, pictures=pictures)
    theirs = logits_of(again.float().eval(), tokens, pictures).logits
    assert (theirs - wanted).abs().max() <= TOLERANCE
    back, _ = minimodels.load(tmp_path / "ours", device="cpu")
    assert back.config == ours.config
    assert torch.equal(back(tokens, pictures=pictures), wanted)


def test_names_of_the_first_release(tmp_path):
    """vision_tower.vision_model and a config that is silent about what is usual."""
    from safetensors.torch import load_file, save_file

    _, ours = twins("wide window", tmp_path)
    file = tmp_path / "model.safetensors"
    inside = ("embeddings", "encoder", "post_layernorm")
    older = {
        name.replace("vision_tower.", "vision_tower.vision_model.")
        if name.startswith(tuple(f"vision_tower.{part}" for part in inside)) else name: tensor
        for name, tensor in load_file(file).items()
    }  # fmt: skip
    assert any("vision_model" in name for name in older)
    save_file(older, file)
    again, _ = minimodels.load(tmp_path, device="cpu")
    for name, tensor in ours.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


RELEASED = {  # what the file of the 27B says, from its page
    "architectures": ["Gemma3ForConditionalGeneration"],
    "boi_token_index": 255999, "eoi_token_index": 256000, "eos_token_id": [1, 106],
    "image_token_index": 262144, "initializer_range": 0.02, "mm_tokens_per_image": 256,
    "model_type": "gemma3",
    "text_config": {
        "head_dim": 128, "hidden_size": 5376, "intermediate_size": 21504,
        "model_type": "gemma3_text", "num_attention_heads": 32, "num_hidden_layers": 62,
        "num_key_value_heads": 16, "query_pre_attn_scalar": 168,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
    },
    "torch_dtype": "bfloat16", "transformers_version": "4.50.0.dev0",
    "vision_config": {
        "hidden_size": 1152, "image_size": 896, "intermediate_size": 4304,
        "model_type": "siglip_vision_model", "num_attention_heads": 16, "num_hidden_layers": 27,
        "patch_size": 14, "vision_use_head": False,
    },
}  # fmt: skip


def written(folder, **changes):
    (folder / "config.json").write_text(json.dumps(RELEASED | changes))
    return folder


def test_the_released_config(tmp_path):
    assert read_config(written(tmp_path)) == get("gemma-3-27b-vision")


@pytest.mark.parametrize("changes, says", [
    ({"vision_config": None}, "does not say vision_config"),
    ({"text_config": 3}, "does not say text_config"),
    ({"vision_config": RELEASED["vision_config"] | {"vision_use_head": True}}, "vision_use_head"),
    ({"vision_config": RELEASED["vision_config"] | {"hidden_act": "relu"}}, "hidden_act = 'relu'"),
    ({"vision_config": RELEASED["vision_config"] | {"patch_size": 15}}, "patches of 15"),
    ({"text_config": RELEASED["text_config"] | {"attention_bias": True}}, "attention_bias"),
    ({"mm_tokens_per_image": 200}, "cannot become 200 tokens"),
])  # fmt: skip
def test_configs_that_are_refused(changes, says, tmp_path):
    with pytest.raises(UserError, match=says):
        read_config(written(tmp_path, **changes))


@pytest.mark.parametrize("name, total", [
    ("gemma-3-4b-vision", 4_300_079_472), ("gemma-3-12b-vision", 12_187_325_040),
    ("gemma-3-27b-vision", 27_432_406_640), ("gemma3-vision-mini", None),
])  # fmt: skip
def test_counts(name, total):
    """The totals are those that the pages of the released weights give."""
    model = minimodels.build(name, device="meta")
    built = sum(weight.numel() for weight in model.parameters())
    assert built == count(get(name)).total == (total or built)
    if total:  # table 1 of the paper prints 417M
        assert round(sum(w.numel() for w in model.vision_tower.parameters()) / 1e6) == 417


def test_too_many_or_too_few_pictures(tmp_path):
    _, ours = twins("wide window", tmp_path)
    tokens, pictures = texts(ours.config, [3, "p", 2, "p", 9]), pictures_for(ours.config, 3)
    for given, says in [(pictures, "room for 2 pictures but 3 pictures came"),
                        (pictures[:1], "room for 2 pictures but 1 picture came"),
                        (None, "room for 2 pictures but 0 pictures came")]:  # fmt: skip
        with pytest.raises(UserError, match=says):
            ours(tokens, pictures=given)
    with pytest.raises(UserError, match="room for 0 pictures but 3 pictures came"):
        ours(texts(ours.config, [5]), pictures=pictures)
    with pytest.raises(UserError, match="a picture is 4 tokens in a row but"):
        ours(tokens[:, :7], pictures=pictures[:1])
    with pytest.raises(UserError, match=r"\(3, 8, 8\) but the model sees \(3, 16, 16\)"):
        ours(tokens, pictures=pictures[:2, :, :8, :8])
