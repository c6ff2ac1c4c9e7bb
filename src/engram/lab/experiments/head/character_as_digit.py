"""A handwritten character in the form of one of MNIST's digits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Bytes = npt.NDArray[np.uint8]

SIDE, BOX = 28, 20


def character_as_digit(ink: Bytes) -> Bytes:
    """A drawing as MNIST's digits were made: the ink's box scaled to fit 20×20, its centre of mass in the middle
    of 28×28 (LeCun et al. 1998).

    Args:
        ink: (H, W) uint8, white on black.

    Returns:
        (28, 28) uint8, white on black.
    """
    picture = Image.fromarray(ink)
    box = picture.getbbox()
    if box is None:
        return np.zeros((SIDE, SIDE), np.uint8)
    picture = picture.crop(box)
    scale = BOX / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = np.asarray(picture.resize(size, Image.Resampling.BOX), np.float64)
    return _centred(small * (255 / max(small.max(), 1)))


def _centred(small: npt.NDArray[np.float64]) -> Bytes:
    """The picture in 28×28 with its centre of mass in the middle."""
    rows, columns = np.indices(small.shape)
    mass = max(small.sum(), 1.0)
    height, width = small.shape
    top = round(SIDE / 2 - 0.5 - (rows * small).sum() / mass)
    left = round(SIDE / 2 - 0.5 - (columns * small).sum() / mass)
    top, left = min(max(top, 0), SIDE - height), min(max(left, 0), SIDE - width)
    whole = np.zeros((SIDE, SIDE), np.uint8)
    whole[top : top + height, left : left + width] = np.rint(small)
    return whole
