"""What the chapter on pictures shows: Transformers' view, chances of answers, a moving shape."""

import importlib.util
import tempfile

import numpy as np
import torch

from minimodels.architecture.checkpoint import save
from minimodels.architecture.vision import figures
from minimodels.architecture.vision.ask import PLACE, prompt
from minimodels.architecture.vision.preprocess import preprocess
from minimodels.cluster.demo import live
from minimodels.data.pictures import COLORS, PAPER, PLACES, SHAPE, SIZE, stamp


def transformers_sees(model, tokens, pictures):
    """(patches, picture tokens, logits) of Transformers from our checkpoint; None without it."""
    if importlib.util.find_spec("transformers") is None:
        return None
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        save(model, None, f"{folder}/model")
        theirs = AutoModelForImageTextToText.from_pretrained(f"{folder}/model", dtype=torch.float32)
    kinds = (tokens == model.config.picture_token).long()
    with torch.no_grad():
        seen = theirs.eval().model.get_image_features(pictures, return_dict=True)
        out = theirs(input_ids=tokens, pixel_values=pictures, token_type_ids=kinds)
    return seen.last_hidden_state, seen.pooler_output, out.logits


@torch.no_grad()
def chances(model, tokenizer, pictures, question: str, answers) -> np.ndarray:
    """How likely each answer is, to the end, for each picture: (pictures, answers)."""
    start = prompt(model.config, tokenizer, PLACE + question)
    ends = [[*tokenizer.encode(answer), tokenizer.eos_id] for answer in answers]
    pixels = preprocess(pictures, model.config.vision.image_size, model.device, model.dtype)
    found = []
    for end in ends:
        tokens = torch.tensor([start + end[:-1]] * len(pictures), device=model.device)
        logits = model(tokens, pictures=pixels)[:, -len(end) :].log_softmax(-1)  # (P, words, V)
        wanted = torch.tensor(end, device=model.device)[None, :, None].expand(len(pictures), -1, 1)
        found.append(logits.gather(2, wanted).sum((1, 2)).exp().cpu().numpy())
    return np.stack(found, axis=1)


def shifted(shape: str, color: str, top: int, left: int) -> np.ndarray:
    """One shape at any pixel, also where no picture of the world has one."""
    pixels = np.full((SIZE, SIZE, 3), PAPER, dtype=np.uint8)
    pixels[top : top + SHAPE, left : left + SHAPE][stamp(shape)] = COLORS[color]
    return pixels


def moving_slider(model, tokenizer, shape="crosses", color="blue", top=1, first=19):
    """A shape moves from left to right: where does the model say it is?"""
    steps = list(range(SIZE - SHAPE + 1))
    frames = [shifted(shape, color, top, left) for left in steps]
    table = chances(model, tokenizer, frames, f"Where are the {shape}?", PLACES)
    curves = {place: table[:, i] for i, place in enumerate(PLACES)}

    def draw(left):
        says = PLACES[int(table[left].argmax())]
        title = f"{left} pixels from the left edge: {says!r} with {table[left].max():.0%}"
        return figures.moving(frames[left], curves, left, title)

    return live(draw, steps, first, "pixels")
