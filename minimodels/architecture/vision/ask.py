"""Questions about pictures, in words: text with places for pictures in, text out.

    ask(model, tokenizer, [pixels], ["Where are the crosses?"])      # ["top left"]

In a text each "<start_of_image>" is a place for one picture, as in Gemma 3's own prompts.
"""

import torch

from minimodels.architecture.families.gemma3_vision import Gemma3Vision, with_pictures
from minimodels.architecture.generate import generate_batch
from minimodels.architecture.vision.preprocess import preprocess
from minimodels.errors import UserError

PLACE = "<start_of_image>"
MARKS = (PLACE, "<end_of_image>", "<image_soft_token>")  # as Gemma 3's tokenizer calls them


def prompt(config, tokenizer, text: str) -> list[int]:
    """Ids of a text: <bos>, its words, and at each PLACE the M tokens of a picture, marked."""
    ids = [tokenizer.bos_id]
    for number, words in enumerate(text.split(PLACE)):
        ids += [config.start_of_picture] * (number > 0) + tokenizer.encode(words.strip())
    return with_pictures(config, ids)


def ask(model, tokenizer, pictures, questions: list[str], max_new_tokens: int = 8) -> list[str]:
    """The most likely answer to each question about its picture, an array (S, S, 3) uint8.

    Raises UserError unless there are as many pictures as questions, and for a wrong picture.
    """
    if len(pictures) != len(questions):
        raise UserError(
            f"{len(questions)} questions came with {len(pictures)} pictures: give one for each."
        )
    prompts = [prompt(model.config, tokenizer, PLACE + question) for question in questions]
    answers: list[list[int]] = []
    for start in range(0, len(prompts), 64):
        rows = slice(start, start + 64)
        looking = Looking(model, pictures[rows])
        answers += generate_batch(looking, tokenizer, prompts[rows], max_new_tokens)
    return [tokenizer.decode(answer) for answer in answers]


class Looking:
    """A model with pictures before its eyes, for whatever writes text with a model and its cache.

    The first call gets the pictures; what later calls need of them is in the cache.
    """

    def __init__(self, model: Gemma3Vision, pictures):
        self.model, self.config, self.logits = model, model.config, model.logits
        self.device, self.dtype = model.device, model.dtype
        self.pictures: torch.Tensor | None = preprocess(
            pictures, self.config.vision.image_size, self.device, self.dtype
        )

    def hidden(self, tokens, cache, mask=None):
        pictures, self.pictures = self.pictures, None
        return self.model.hidden(tokens, cache, mask, pictures)
