"""The memory as a map: classes, their prototypes and unknowns in the plane that shows best how the classes differ.

Distances are those that answers rest on, d² = (x − y)ᵀ M (x − y) with M the precision of a single example, so a length
of 1 on the map is one standard deviation within a class. In that metric the two directions along which the class means
scatter most are kept (Fisher 1936; Rao 1948). Where means span fewer than two, examples give the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engram.heads.fast import FastHead
from engram.heads.fast.view import HeadView
from engram.learner import FloatArray, Label

PointKind = Literal["class", "prototype", "unknown"]

_CLASSES = 256  # that decide the plane: those with the most examples
_POINTS = 256  # prototypes that do where class means do not span one
_FLAT = 1e-9  # share of the first direction's scatter below which a direction is none
_CLEAR = 0.5  # share of the largest coordinate that makes a point clear enough to decide which way is up


@dataclass(frozen=True, slots=True)
class MapPoint:
    """Something on the map.

    Attributes:
        label: None for an unknown.
        kind: "class" for the mean of all examples of a label, "prototype" for some of them, or a single one.
        count: how many examples it stands for.
        x, y: in standard deviations within classes, from the middle of the classes.
    """

    label: Label | None
    kind: PointKind
    count: int
    x: float
    y: float


def memory_map(
    head: FastHead | HeadView, unknowns: Any = None, *, each: int = 12, like: Sequence[MapPoint] = ()
) -> list[MapPoint]:
    """All classes, up to `each` prototypes of each (of a head; a view has none), and unknowns, in two dimensions.

    The same memory gives the same map. One that grew gives a similar one: which way is up depends on the labels that
    came first. With the map shown before, it is turned so that classes stay as near as can be to where they were.

    Args:
        unknowns: (U, D) features, or None.
        like: the map shown before.

    Raises:
        InputError: unknowns of another width.

    >>> head = FastHead(normalise=False, step=0.01)
    >>> head.learn([[0.0, 0.0], [0.2, 0.0], [2.0, 0.1], [2.2, 0.0]], ["left", "left", "right", "right"])
    >>> shown = memory_map(head, [[9.0, 0.0]])
    >>> [(p.label, p.kind, p.count) for p in shown if p.kind != "prototype"]
    [('left', 'class', 2), ('right', 'class', 2), (None, 'unknown', 1)]
    """
    view = head if isinstance(head, HeadView) else head.view()
    if not view.labels:
        return []
    leading = {} if isinstance(head, HeadView) else head.leading_prototypes(each)
    parts = [(label, *leading[label]) for label in view.labels if label in leading]
    prototypes = [(label, count) for label, counts, _ in parts for count in counts]
    strange = view.quantise(unknowns) if unknowns is not None and len(unknowns) else np.zeros((0, view.width or 0))
    rows = np.concatenate([view.means, *(means for _, _, means in parts), strange])
    axes, origin = _plane(view, np.concatenate([view.means[:0], *(means for _, _, means in parts)]))
    places = _turned((rows - origin) @ axes.T, view.labels, like)
    known: list[tuple[Label | None, PointKind, int]] = [(label, "class", n) for label, n in view.counts.items()]
    known += [(label, "prototype", int(count)) for label, count in prototypes]
    known += [(None, "unknown", 1)] * len(strange)
    return [MapPoint(*what, float(x), float(y)) for what, (x, y) in zip(known, places, strict=True)]


def _plane(view: HeadView, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(2, D) directions to take products with, zeros where there are fewer than two, and the origin (D,)."""
    most = np.argsort([-count for count in view.counts.values()], kind="stable")[:_CLASSES]
    means = view.means[np.sort(most)]
    origin: FloatArray = means.mean(axis=0)
    axes, along = np.zeros((0, len(origin))), np.zeros((0, len(origin)))
    for rows in (means - origin, points[:: len(points) // _POINTS + 1] - origin):
        missing = 2 - len(axes)
        rest = rows - (rows @ axes.T) @ along
        moved = view.whiten(rest)
        scatter, vectors = np.linalg.eigh(0.5 * (rest @ moved.T + moved @ rest.T))
        largest = max(float(np.einsum("nd,nd->n", rows, view.whiten(rows)).sum()), 1e-300)
        for value, vector in list(zip(scatter, vectors.T, strict=True))[: -missing - 1 : -1]:
            if value > _FLAT * largest:
                weights = vector / np.sqrt(value)
                weights *= _sign(rest @ (moved.T @ weights))
                axes, along = np.vstack([axes, weights @ moved]), np.vstack([along, weights @ rest])
        if len(axes) == 2:
            break
    return np.vstack([axes, np.zeros((2 - len(axes), len(origin)))]), origin


def _sign(coordinates: FloatArray) -> float:
    """1 or −1, such that the first point that lies clearly off the middle has a positive coordinate."""
    clear = np.abs(coordinates) >= _CLEAR * np.abs(coordinates).max()
    return float(np.sign(coordinates[clear.argmax()]))


def _turned(places: FloatArray, labels: Sequence[Label], like: Sequence[MapPoint]) -> FloatArray:
    """Turned or mirrored so that classes lie nearest to where they were (orthogonal Procrustes: Schönemann 1966)."""
    before = {point.label: (point.x, point.y) for point in like if point.kind == "class"}
    shared = [i for i, label in enumerate(labels) if label in before]
    if len(shared) < 2:
        return places
    then = np.array([before[labels[i]] for i in shared])
    now = places[shared]
    left, _, right = np.linalg.svd((now - now.mean(axis=0)).T @ (then - then.mean(axis=0)))
    turned: FloatArray = places @ (left @ right)
    return turned
