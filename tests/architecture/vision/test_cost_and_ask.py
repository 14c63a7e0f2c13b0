"""What a picture costs, against the counter of torch; questions in words; the figures."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import minimodels
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs import get
from minimodels.architecture.vision import figures
from minimodels.architecture.vision.ask import PLACE, ask, prompt
from minimodels.architecture.vision.cost import bill
from minimodels.architecture.vision.preprocess import preprocess
from minimodels.data.pictures import draw_pictures
from minimodels.errors import UserError


class Letters:
    """A tokenizer of one byte a token, so that these tests need no trained one."""

    pad_id, eos_id, bos_id = 0, 1, 2
    control = {"<pad>": 0, "<eos>": 1, "<bos>": 2}

    def encode(self, text):
        return [5 + byte for byte in text.encode()]

    def decode(self, ids):
        return bytes((i - 5) % 256 for i in ids if i >= 5).decode(errors="replace")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = minimodels.build("gemma3-vision-mini", device="cpu").eval()
    with torch.no_grad():
        model.embed_tokens.weight[:10] = 0.0  # so that it never says a picture
    return model


def counted(call):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", ["gemma3-vision-mini", "gemma-3-4b-vision"])
def test_the_bill_is_what_torch_counts(name):
    """On the meta device, where the largest costs nothing."""
    model, config = minimodels.build(name, device="meta"), get(name)
    vision, costs = config.vision, bill(config)
    picture = torch.empty(1, 3, vision.image_size, vision.image_size, device="meta")
    patches = torch.empty(1, vision.num_patches, vision.hidden_size, device="meta")
    assert counted(lambda: model.vision_tower(picture)) == costs.encoder
    assert counted(lambda: model.multi_modal_projector(patches)) == costs.projector
    x = torch.empty(1, config.picture_tokens, config.hidden_size, device="meta")
    assert counted(lambda: model.run(x)) == costs.decoder
    cache = KVCache(config, 1, config.picture_tokens, device="meta", dtype=torch.bfloat16)
    assert cache.nbytes == costs.cache


def test_what_pooling_saves():
    config = get("gemma-3-27b-vision")
    whole = bill(config, tokens=config.vision.num_patches)
    assert 16 < whole.decoder / bill(config).decoder < 18
    assert whole.encoder == bill(config).encoder


def test_a_prompt_has_the_tokens_of_its_pictures():
    config = get("gemma3-vision-mini")
    M, words = config.picture_tokens, Letters()
    ids = prompt(config, words, f"a {PLACE} b {PLACE}")
    a, b = ([5 + ord(letter)] for letter in "ab")
    whole = [config.start_of_picture, *[config.picture_token] * M, config.end_of_picture]
    assert ids == [2, *a, *whole, *b, *whole]
    assert prompt(config, words, "ab") == [2, *a, *b]


def test_ask_is_the_likeliest_word_by_word(model):
    """In a batch with a cache, as one question at a time without one; with its own picture."""
    pictures = [p.pixels for p in draw_pictures(3, 0)]
    questions = ["Who?", "What is it?", "Where?"]
    answers = ask(model, Letters(), pictures, questions, max_new_tokens=5)
    for pixels, question, answer in zip(pictures, questions, answers, strict=True):
        ids = prompt(model.config, Letters(), PLACE + question)
        said = []
        for _ in range(5):
            with torch.no_grad():
                logits = model(torch.tensor([ids + said]), pictures=preprocess([pixels], 48))
            if (best := int(logits[0, -1].argmax())) == Letters.eos_id:
                break
            said.append(best)
        assert answer == Letters().decode(said)


def test_a_picture_token_that_the_model_says_is_a_word(model):
    """Behind a cache no picture comes with it, and none is asked for."""
    cache = KVCache(model.config, 1, 40)
    with torch.no_grad():
        model(torch.tensor([[2, 50]]), cache)
        assert model(torch.tensor([[model.config.picture_token]]), cache).isfinite().all()


def test_as_many_pictures_as_questions(model):
    pixels = draw_pictures(1, 0)[0].pixels
    with pytest.raises(UserError, match="2 questions came with 1 pictures: give one for each"):
        ask(model, Letters(), [pixels], ["a", "b"])
    with pytest.raises(UserError, match="room for 3 pictures but 1 picture came with it"):
        ask(model, Letters(), [pixels], [f"{PLACE} and {PLACE}?"])
    with pytest.raises(UserError, match="40 × 40 pixels but the model sees 48 × 48"):
        ask(model, Letters(), [pixels[:40, :40]], ["a"])


def test_the_figures_show_what_they_are_given():
    config, drawn = get("gemma3-vision-mini"), draw_pictures(2, 0)
    words = [text.get_text() for text in figures.way(config, drawn[0].pixels).axes[0].texts]
    assert any(f"{config.picture_tokens} tokens" in text for text in words)
    side = config.vision.side
    cut = figures.patches(drawn[0].pixels, config.vision.patch_size).axes[1]
    assert [int(text.get_text()) for text in cut.texts] == list(range(side * side))
    seen = np.tril(np.ones((3, 3), bool))
    seen[1, 2] = True
    dots = [text.get_text() for text in figures.mask(seen, "abc", [0, 1, 1]).axes[0].texts]
    assert dots == ["●" if seen[i, j] else "" for i in range(3) for j in range(3)]
    row = {"right": 8, "of": 10, "low": 0.5, "high": 0.9, "chance": 0.25}
    bars = figures.scores({"a": {"x": row, "y": row}, "b": {"x": row, "y": row}}, "").axes[0]
    assert [bar.get_height() for bar in bars.patches] == [0.8] * 4
    assert len(figures.answers([p.pixels for p in drawn], ["q", "r"], "").axes) == 2
    curve = figures.moving(drawn[0].pixels, {"left": [0.9, 0.1]}, 1, "").axes[1].lines[0]
    assert list(curve.get_ydata()) == [0.9, 0.1]
    bills = figures.bills({"4B": {"encoder": 5.0, "decoder": 2.0}}, "").axes[0]
    assert [bar.get_width() for bar in bills.patches] == [5.0, 2.0]
    wave = np.zeros(16_000)
    sound = figures.sound(wave, np.zeros((128, 100)), 16_000, 160, 16).axes[1]
    assert "100 frames" in sound.get_title() and len(sound.lines) == 7


def test_a_config_whose_encoder_alone_changes_costs_the_same_to_read():
    config = get("gemma3-vision-mini")
    other = dataclasses.replace(config, vision=dataclasses.replace(config.vision, num_layers=9))
    assert bill(other).decoder == bill(config).decoder
    assert bill(other).encoder > 4 * bill(config).encoder
