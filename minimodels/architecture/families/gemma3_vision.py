"""Gemma 3 that sees (arXiv 2503.19786): a picture becomes tokens among the others.

    text:    <bos> <start> ▢ ▢ ▢ … ▢ <end> Where are the crosses ?
    stream:  rows of the embedding, and at each ▢ one vector that was made of the picture

Behind the embedding the decoder is Gemma 3's, except for who sees whom: the tokens of one picture
see each other both ways, since none of them comes first; everything else looks back.
Shapes: B texts of T tokens, P pictures in all of them, M tokens a picture.
"""

from torch.nn import functional as F

from minimodels.architecture.families.gemma2 import Gemma3
from minimodels.architecture.vision.projector import Projector
from minimodels.architecture.vision.siglip import SigLIP
from minimodels.errors import UserError


class Gemma3Vision(Gemma3):
    """See Gemma3VisionConfig. Without pictures it is Gemma 3."""

    def __init__(self, config):
        super().__init__(config)
        self.vision_tower = SigLIP(config.vision)
        self.multi_modal_projector = Projector(config)

    def forward(self, tokens, cache=None, mask=None, pictures=None):
        """Logits (B, T, V), as of a Decoder. pictures: (P, 3, S, S), in the order of the texts.

        Give a picture together with all of its tokens; later calls with the cache need none.
        Raises UserError unless the texts have room for exactly these pictures.
        """
        return self.logits(self.hidden(tokens, cache, mask, pictures))

    def hidden(self, tokens, cache=None, mask=None, pictures=None):
        """The last hidden state (B, T, D), after the final norm and before the head."""
        spots = tokens == self.config.picture_token  # (B, T)
        written = cache is not None and cache.length > 0  # by the model: it may say any token
        if pictures is None and (written or not spots.any()):
            return super().hidden(tokens, cache, mask)
        seen = self.tokens_of(pictures) if pictures is not None else self.embed_tokens.weight[:0]
        numbers = self.numbered(spots, len(seen))
        x = self.embed(tokens.masked_fill(spots, 0))
        x = x.masked_scatter(spots[..., None], seen.to(x))
        return self.run(x, cache, mask, together=numbers)

    def tokens_of(self, pictures):
        """(P, 3, S, S) -> (P, M, D): what stands in the place of rows of the embedding."""
        return self.multi_modal_projector(self.vision_tower(pictures.to(self.dtype)))

    def numbered(self, spots, pictures: int):
        """(B, T): 1 at the tokens of a text's first picture, 2 at its second, 0 at words."""
        starts = spots & ~F.pad(spots, (1, 0))[:, :-1]
        room, size = int(starts.sum()), self.config.picture_tokens
        if room != pictures:
            raise UserError(
                f"the text has room for {_some(room)} but {_some(pictures)} came with it: "
                "give one for each."
            )
        numbers = starts.cumsum(1) * spots
        if int(spots.sum()) != size * pictures or int((spots.sum(1) % size).sum()):
            raise UserError(
                f"a picture is {size} tokens in a row but the text's {_some(room)} share "
                f"{int(spots.sum())}: make the text with with_pictures."
            )
        return numbers


def _some(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"


def with_pictures(config, ids: list[int]) -> list[int]:
    """`ids` with each start of a picture followed by its M tokens and its end."""
    inside = [config.picture_token] * config.picture_tokens
    whole = [config.start_of_picture, *inside, config.end_of_picture]
    return [new for i in ids for new in (whole if i == config.start_of_picture else [i])]
