"""Drawing over a picture where something is: a heat map."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from engram.inputs.images import Picture, decode
from engram.learner import FloatArray

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
