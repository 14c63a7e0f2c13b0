"""From pixels to what the encoder reads: (S, S, 3) numbers 0 to 255 become (3, S, S), −1 to 1.

SigLIP's rule: x / 127.5 − 1. Nothing is resized here: a model sees pictures of one size, and which
part of a larger one it should see is a choice that its user makes.
"""

import numpy as np
import torch

from minimodels.errors import UserError


def preprocess(pictures, image_size: int, device=None, dtype=torch.float32):
    """(B, 3, S, S) from arrays (S, S, 3) uint8, one for each picture.

    Raises UserError for another shape, another size than `image_size`, or other numbers.
    """
    ready = [_checked(np.asarray(picture), image_size) for picture in pictures]
    if not ready:
        return torch.empty(0, 3, image_size, image_size, device=device, dtype=dtype)
    pixels = torch.from_numpy(np.stack(ready)).to(device, dtype)  # (B, S, S, 3)
    return pixels.permute(0, 3, 1, 2) / 127.5 - 1


def _checked(picture: np.ndarray, size: int) -> np.ndarray:
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise UserError(f"a picture of shape {picture.shape} is not (height, width, 3): convert it "
                        "to red, green and blue.")  # fmt: skip
    if picture.shape[:2] != (size, size):
        height, width = picture.shape[:2]
        raise UserError(f"the picture has {width} × {height} pixels but the model sees "
                        f"{size} × {size}: crop or resize it.")  # fmt: skip
    if picture.dtype != np.uint8:
        raise UserError(f"the picture holds {picture.dtype} numbers: give whole numbers from 0 to "
                        "255 (uint8).")  # fmt: skip
    return picture
