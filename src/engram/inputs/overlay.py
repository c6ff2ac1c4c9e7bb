"""Drawing over a picture where something is: a heat map, or boxes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from engram.inputs.boxes import Box
from engram.inputs.images import Picture, decode
from engram.learner import FloatArray
from engram.printable import printable

LARGEST = 1024
"""Pixels of the longer side of a picture with an overlay."""

_FULL = 1.5  # above 0 from which on a place is fully red
_FROM = -0.5  # below it nothing is drawn


def enlarged(values: FloatArray, size: tuple[int, ...]) -> FloatArray:
    """(H, W) of a map (rows, columns), interpolated between the middles of its places.

    >>> enlarged(np.array([[0.0, 1.0]]), (1, 4)).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    image = Image.fromarray(np.asarray(values, np.float32))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR), np.float64)


def heat_overlay(source: Any, heat: FloatArray) -> bytes:
    """A picture with its heat map over it, as PNG: the redder, the stranger; outlined where heat is above 0.

    Args:
        source: what `decode` takes.
        heat: (rows, columns) of `Brain.heat`.

    Raises:
        InputError: not a picture.
    """
    seen = shown(decode(source)).astype(np.float64)
    hot = enlarged(heat, seen.shape)
    strength = 0.65 * np.clip((hot - _FROM) / (_FULL - _FROM), 0, 1)[:, :, None]
    seen = seen * (1 - strength) + strength * np.array([255.0, 40.0, 0.0])
    inside = hot > 0
    edge = inside & ~(_moved(inside, 1, 0) & _moved(inside, -1, 0) & _moved(inside, 0, 1) & _moved(inside, 0, -1))
    seen[edge] = (255.0, 255.0, 255.0)
    return png(np.rint(seen).astype(np.uint8))


def boxes_overlay(source: Any, boxes: Sequence[tuple[Box, str]]) -> bytes:
    """A picture with boxes and what is in them, as PNG.

    Args:
        source: what `decode` takes.
        boxes: in pixels of the picture, each with what is written beside it.

    Raises:
        InputError: not a picture.
    """
    pixels = decode(source)
    image = Image.fromarray(shown(pixels))
    pen, scale = ImageDraw.Draw(image), image.width / pixels.shape[1]
    for box, label in boxes:
        left, top, right, bottom = (round(at * scale) for at in box)
        for outset, colour in ((0, "#ffffff"), (1, "#d01050"), (2, "#d01050")):
            pen.rectangle((left - outset, top - outset, right + outset, bottom + outset), outline=colour)
        written = printable(label)
        above = top - 14 if top >= 14 else top + 3
        pen.rectangle((left, above, left + pen.textlength(written) + 6, above + 13), fill="#d01050")
        pen.text((left + 3, above + 1), written, fill="#ffffff")
    return png(np.asarray(image))


def shown(picture: Picture) -> Picture:
    """(H, W, 3) uint8 of a picture, at most `LARGEST` pixels wide and high."""
    pixels = picture if picture.dtype == np.uint8 else np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels).convert("RGB")
    image.thumbnail((LARGEST, LARGEST))
    return np.asarray(image)


def png(picture: Picture) -> bytes:
    """A picture (H, W, 3) as a PNG file."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def _moved(inside: Any, down: int, right: int) -> Any:
    """A mask moved by so many pixels; what comes in from beyond the edge is inside."""
    wide = np.pad(inside, 1, constant_values=True)
    rows, columns = inside.shape
    return wide[1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
