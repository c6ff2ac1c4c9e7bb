"""Boxes in pictures: where something is, in pixels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.learner import FloatArray, InputError


class Box(NamedTuple):
    """Left, top, right and bottom in pixels; right and bottom are the first column and row beyond it."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """In square pixels."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)


def overlap(one: Box, two: Box) -> float:
    """Intersection over union, from 0 to 1.

    >>> overlap(Box(0, 0, 2, 1), Box(1, 0, 3, 1)) == 1 / 3
    True
    """
    shared = Box(max(one.left, two.left), max(one.top, two.top), min(one.right, two.right), min(one.bottom, two.bottom))
    both = shared.area
    return both / (one.area + two.area - both) if both else 0.0


def overlaps(box: Box, boxes: FloatArray) -> FloatArray:
    """(N,) intersection over union of a box with (N, 4) boxes."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    both = np.prod(np.clip(high - low, 0, None), axis=1)
    found: FloatArray = both / (box.area + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - both)
    return found


def cut_out(picture: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
    """The part of a picture (H, W) or (H, W, 3) in a box, rounded to whole pixels.

    Raises:
        InputError: nothing of the box lies in the picture.

    >>> cut_out(np.arange(12).reshape(3, 4), Box(1, 0, 3, 2)).tolist()
    [[1, 2], [5, 6]]
    """
    height, width = picture.shape[:2]
    left, top = max(0, round(box.left)), max(0, round(box.top))
    right, bottom = min(width, round(box.right)), min(height, round(box.bottom))
    if left >= right or top >= bottom:
        raise InputError(f"The box {tuple(box)} holds nothing of a picture of {width} x {height} pixels: give left, "
                         "top, right and bottom in pixels from the upper left corner.")
    return np.ascontiguousarray(picture[top:bottom, left:right])
