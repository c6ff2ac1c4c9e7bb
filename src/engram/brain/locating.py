"""Where is it: windows over the places that a backbone averages, answered by what the brain was taught.

A brain on a network that ends in an average over places was taught averages. The average over any window of a picture
is such a feature too, and all of them come from one run of the network. A window is the more likely to hold a thing the
higher its label scores in it, and the lower in the ring around it: a window that is too small has the rest of the thing
in its ring, one that is too large has surroundings inside. Each label keeps its best windows that do not overlap, and
each of these that is clearly more like the label than its surroundings is cut out and shown to the brain like any
picture: where another label is nearer, it is not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.features.backbones.bundle import Bundle
from engram.heads.fast.view import HeadView
from engram.heads.head import columns_of
from engram.inputs.boxes import Box, cut_out, overlaps
from engram.inputs.images import decode
from engram.learner import FloatArray, InputError, Label

TIMES = (1.6, 2.9, 4.6)
"""How many times as long as the network's own input a picture is shown."""

SIDES = (4, 5, 6, 8)
"""Rows and columns of windows, in places; a window is at most 1.7 times as long as it is wide."""

LEAST = 0.3
"""How much larger the cosine with the label's mean is inside than around, from which on something is found. Like the
windows, chosen on composed scenes of `engram.lab.data_sets.photos.NEAR`: there, half of what is found is right."""

_LONGEST = 1.7
_APART = 0.3  # overlap from which on only the better one of two windows is kept
_MOST = 400  # windows of a label that are compared


@dataclass(frozen=True)
class Found:
    """One thing in a picture.

    Attributes:
        label: what it is.
        box: where it is, in pixels.
        score: how much larger the cosine with the label's mean is inside the box than around it.
        known: whether the brain, shown the cut-out alone, knows it, or says "Nothing I know".
        confidence: how sure it is of that label rather than of the others, in [0, 1].
        mask: (rows, columns) bool, coarse: which parts of the box belong to it.
    """

    label: Label
    box: Box
    score: float
    known: bool
    confidence: float
    mask: npt.NDArray[np.bool_]


class Candidate(NamedTuple):
    """A label, a box in pixels, and how much more like the label it is than its surroundings."""

    label: Label
    box: Box
    score: float


class Windows(NamedTuple):
    """(W, 4) boxes in pixels, (W, D) averages inside, (W, D) averages of the rings around them."""

    boxes: FloatArray
    inside: FloatArray
    around: FloatArray


def located(
    bundle: Bundle, view: HeadView, picture: Any, labels: Sequence[Label] | None = None, least: float = LEAST
) -> list[Found]:
    """What the brain knows in a picture, the surest first; no two of them overlap much.

    Args:
        bundle: the brain's; its network ends in an average over places.
        view: what the brain knows.
        picture: what `decode` takes.
        labels: which labels are looked for; None for all.
        least: how much larger the cosine with the label's mean is inside than around, at least.

    Raises:
        InputError: the backbone does not see places, or not a picture.
        LabelError: a label that was never taught.
    """
    pixels = decode(picture)
    maps = maps_of(bundle, pixels)
    if not view.labels:
        return []
    found: list[Found] = []
    for label, box, score in candidates(view, maps, pixels.shape[:2], labels):
        if score < least:
            break
        others = np.array([other.box for other in found], np.float64).reshape(-1, 4)
        if (overlaps(box, others) > _APART).any():  # a surer one has this place
            continue
        answer = view.predict(bundle.features([cut_out(pixels, box)]))[0]
        if answer.ranked[0][0] == label:
            mask = _mask(view, maps[-1], box, label, pixels.shape[:2])
            found.append(Found(label, box, score, answer.known, answer.confidence, mask))
    return found


def maps_of(bundle: Bundle, pixels: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
    """(rows, columns, D) of a picture at each of `TIMES`. Raises InputError where the backbone does not see places."""
    places = getattr(bundle.backbone, "places", None)
    if places is None:
        raise InputError(f"A brain on {bundle.name!r} does not find things in pictures. Make one on `photos` or "
                         "`efficientnet-lite0`: Brain('photos'), or engram teach-boxes NEW.brain BOXES.json.")
    return [places(pixels, times) for times in TIMES]


def candidates(
    view: HeadView, maps: Sequence[npt.NDArray[np.float32]], size: Sequence[int],
    labels: Sequence[Label] | None = None, most: int = 20,
) -> list[Candidate]:
    """The best windows of each label, whether the brain knows what is in them or not; the surest first.

    Args:
        maps: of `maps_of`.
        size: rows and columns of the picture in pixels.
        labels: which labels are looked for; None for all.
        most: windows of each label at most.
    """
    windows = windows_of(maps, size)
    book = {label: i for i, label in enumerate(view.labels)}
    columns = columns_of(labels, book) or list(book.values())
    scores = view.cosines(windows.inside) - view.cosines(windows.around)
    found = [
        Candidate(view.labels[column], Box(*windows.boxes[place].tolist()), float(scores[place, column]))
        for column in columns
        for place in apart(windows.boxes, scores[:, column], most)
    ]
    return sorted(found, key=lambda one: -one.score)


def windows_of(maps: Sequence[npt.NDArray[np.float32]], size: Sequence[int]) -> Windows:
    """All windows of a picture of so many rows and columns."""
    parts = [
        _slid(cells, rows, columns, size) for cells in maps for rows in SIDES for columns in SIDES
        if max(rows, columns) <= _LONGEST * min(rows, columns)
        and rows <= cells.shape[0] and columns <= cells.shape[1] and (rows, columns) != cells.shape[:2]
    ]
    if not parts:
        raise InputError("The picture is too narrow for anything to be found in it.")
    return Windows(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _slid(cells: npt.NDArray[np.float32], rows: int, columns: int, size: Sequence[int]) -> Windows:
    """All windows of so many places."""
    height, width, channels = cells.shape
    total = np.zeros((height + 1, width + 1, channels))
    total[1:, 1:] = cells.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    top, left = (one.ravel() for one in np.mgrid[0 : height - rows + 1, 0 : width - columns + 1])

    def summed(a: Any, b: Any, c: Any, d: Any) -> FloatArray:
        found: FloatArray = total[c, d] - total[a, d] - total[c, b] + total[a, b]
        return found

    inside = summed(top, left, top + rows, left + columns)
    edges = (np.maximum(top - 1, 0), np.maximum(left - 1, 0),
             np.minimum(top + rows + 1, height), np.minimum(left + columns + 1, width))
    count = (edges[2] - edges[0]) * (edges[3] - edges[1]) - rows * columns
    around = (summed(*edges) - inside) / count[:, None]
    boxes = np.stack([left * size[1] / width, top * size[0] / height, (left + columns) * size[1] / width,
                      (top + rows) * size[0] / height], axis=1)
    return Windows(boxes, inside / (rows * columns), around)


def apart(boxes: FloatArray, scores: FloatArray, most: int) -> list[int]:
    """The places of the best of (W, 4) boxes by (W,) scores, none of which overlaps a better one much.

    >>> apart(np.array([[0, 0, 4, 4], [0, 0, 4, 5], [9, 9, 12, 12]]), np.array([1.0, 2.0, 0.5]), 5)
    [1, 2]
    """
    order = np.argsort(-scores, kind="stable")[:_MOST]
    kept: list[int] = []
    while len(order) and len(kept) < most:
        best = int(order[0])
        kept.append(best)
        order = order[1:][overlaps(Box(*map(float, boxes[best])), boxes[order[1:]]) <= _APART]
    return kept


def _mask(
    view: HeadView, cells: npt.NDArray[np.float32], box: Box, label: Label, size: Sequence[int]
) -> npt.NDArray[np.bool_]:
    """Which places of the box score more than halfway between its ring and its best places."""
    rows, columns = cells.shape[:2]
    scores = view.cosines(cells.reshape(-1, cells.shape[2]))[:, view.labels.index(label)].reshape(rows, columns)
    y, x = size[0] / rows, size[1] / columns
    top, left, bottom, right = (round(at) for at in (box.top / y, box.left / x, box.bottom / y, box.right / x))
    inside = scores[top : max(top + 1, bottom), left : max(left + 1, right)]
    around = scores[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1]
    ring = (around.sum() - inside.sum()) / max(around.size - inside.size, 1)
    mask: npt.NDArray[np.bool_] = inside > 0.5 * (ring + float(np.quantile(inside, 0.9)))
    return mask
