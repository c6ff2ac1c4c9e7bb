"""Boxes in pictures, where something is in pixels; and files of them, as JSON or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.inputs.images import missing
from engram.learner import FloatArray, InputError

SIDES = ("left", "top", "right", "bottom")

_HOW = ('Each entry has a picture, a label and a box of four numbers in pixels, such as {"picture": "street.jpg", '
        '"label": "sign", "box": [40, 12, 96, 70]}.')


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


class Marked(NamedTuple):
    """A picture's file, the boxes in it, and the label of each."""

    picture: Path
    boxes: tuple[Box, ...]
    labels: tuple[str, ...]


def read_boxes(file: Path) -> list[Marked]:
    """The boxes in a file, picture by picture, in the order in which the pictures come.

    Args:
        file: a .json file with a list of objects, each with `picture`, `label` and `box` (left, top, right, bottom), or
            a .csv file with the columns picture, label, left, top, right, bottom. Paths are relative to the file.

    Raises:
        InputError: cannot be read, holds something else, or a picture is not there; names the entry.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() == ".json":
            entries: Iterable[Any] = json.loads(text)
        elif file.suffix.lower() == ".csv":
            entries = [{**row, "box": [row.get(side) for side in SIDES]} for row in csv.DictReader(text.splitlines())]
        else:
            raise InputError(f"{file} is neither .json nor .csv: boxes come in one of these.")
    except OSError as error:
        raise InputError(f"Cannot read {file}: {error.strerror or error}.") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file} cannot be read: {error}.") from error
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{file} holds no list of boxes. {_HOW}")
    found: dict[Path, tuple[list[Box], list[str]]] = {}
    for number, entry in enumerate(entries, 1):
        path, label, box = _entry(file, number, entry)
        boxes, labels = found.setdefault(path, ([], []))
        boxes.append(box)
        labels.append(label)
    return [Marked(path, tuple(boxes), tuple(labels)) for path, (boxes, labels) in found.items()]


def _entry(file: Path, number: int, entry: Any) -> tuple[Path, str, Box]:
    where = f"{file}, box {number}"
    if not isinstance(entry, Mapping):
        raise InputError(f"{where} is no object. {_HOW}")
    picture, label, sides = entry.get("picture"), entry.get("label"), entry.get("box")
    try:
        box = Box(*map(float, sides or ()))
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {sides!r} are not four numbers. {_HOW}") from error
    if not picture or label in (None, ""):
        raise InputError(f"{where} lacks a picture or a label. {_HOW}")
    if not box.left < box.right or not box.top < box.bottom:
        raise InputError(f"{where}: right lies beyond left and bottom below top, but the box is {list(box)}.")
    path = file.parent / str(picture)
    if not path.is_file():
        raise InputError(f"{where}: {missing(path)}")
    return path, str(label), box
