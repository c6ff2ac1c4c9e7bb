"""Further views of one picture: mirrored, shifted, turned a little, in other light. The same ones every time."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageOps

from engram.inputs.images import Picture, decode

SHIFT = 0.12
"""Share of each side that is cut off beside what a shifted view shows."""

TURN = 8.0
"""Degrees."""

DARKER, BRIGHTER = 1.5, 0.7
"""Exponents of the brightness, from 0 to 1."""


def views(source: Any) -> list[Picture]:
    """Seven views (H, W) or (H, W, 3) uint8 of a picture, besides the picture itself.

    Args:
        source: whatever `decode` takes.

    Raises:
        InputError: it is not a picture.

    >>> len(views(np.zeros((8, 8, 3), np.uint8)))
    7
    """
    image = Image.fromarray(np.rint(decode(source)).astype(np.uint8))
    mirrored = ImageOps.mirror(image)
    made = [
        mirrored, _shifted(image, 0, 0), _shifted(mirrored, SHIFT, SHIFT), _turned(image, TURN),
        _turned(mirrored, -TURN), _lit(mirrored, DARKER), _lit(image, BRIGHTER),
    ]
    return [np.asarray(view) for view in made]


def _shifted(image: Image.Image, left: float, top: float) -> Image.Image:
    """What is seen beginning at these shares of width and height, without `SHIFT` of either side; in full size."""
    width, height = image.size
    box = (left * width, top * height, (left + 1 - SHIFT) * width, (top + 1 - SHIFT) * height)
    return image.resize(image.size, Image.Resampling.BILINEAR, box)


def _turned(image: Image.Image, degrees: float) -> Image.Image:
    """Turned about its middle; what would be empty at the corners repeats the border, mirrored."""
    width, height = image.size
    pixels = np.asarray(image)
    margin = max(1, round(0.25 * max(width, height)))
    padding = [(margin, margin), (margin, margin), (0, 0)][: pixels.ndim]
    padded = Image.fromarray(np.pad(pixels, padding, mode="symmetric"))
    turned = padded.rotate(degrees, Image.Resampling.BILINEAR)
    return turned.crop((margin, margin, margin + width, margin + height))


def _lit(image: Image.Image, exponent: float) -> Image.Image:
    table = np.rint(255 * (np.arange(256) / 255) ** exponent).astype(int).tolist()
    return image.point(table * len(image.getbands()))
