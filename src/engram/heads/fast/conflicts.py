"""Labels that mean different things to two brains: reported, never silently merged.

The classes of both brains are put side by side as different classes, so that the spread within them is their own, and
their means are compared in the metric of that spread (Mahalanobis 1936), less what is expected from the means of few
examples. Two classes with means d apart are confused for a share Φ(−d/2) of their members at best (Fisher 1936).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.discriminant import Discriminant
from engram.heads.fast.shrinkage import Prior, Shrinkage
from engram.learner import FloatArray, Label

APART = 4.0
"""Means this many standard deviations apart: at most Φ(−2) = 2.3% are confused. One label's clusters conflict."""

ALIKE = 2.0
"""Means this near: at least Φ(−1) = 16% are confused. Two labels coincide."""

FEWEST = 5
"""Examples of a label in each brain below which nothing is said about it."""

CONFIDENCE = 3.0
"""Standard errors by which a distance must pass its threshold."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something for a person to decide, with `rename` or `forget`.

    Attributes:
        kind: "apart": one label, clusters that have little in common; "alike": two labels, one cluster.
        labels: the label in the one brain and in the other.
        distance: between the means, in standard deviations within classes.
        between: the two brains.
    """

    kind: Literal["apart", "alike"]
    labels: tuple[Label, Label]
    distance: float
    between: tuple[str, str] = ("", "")

    def __str__(self) -> str:
        one, two = self.labels
        where = " and ".join(name for name in self.between if name)
        where = f" ({where})" if where else ""
        if self.kind == "apart":
            return f"{one!r} means different things{where}: its clusters lie {self.distance:.1f} deviations apart"
        return f"{one!r} and {two!r} look like the same thing{where}: {self.distance:.1f} deviations apart"


class Classes(NamedTuple):
    """What a brain knows: its labels, and the sums of their classes in the same order."""

    labels: tuple[Label, ...]
    sums: ExactSums


def all_conflicts(brains: Sequence[tuple[str, Classes]], covariance: FloatArray | None = None) -> list[Conflict]:
    """Labels that any two brains on one bundle use differently.

    Args:
        brains: the device of each, and its classes; those of one device are not compared.
        covariance: (D, D), as in `find_conflicts`.
    """
    return [conflict for (here, one), (there, two) in combinations(brains, 2) if here != there
            for conflict in find_conflicts(one, two, covariance, (here[:8], there[:8]))]


def find_conflicts(
    one: Classes, two: Classes, covariance: FloatArray | None = None, names: tuple[str, str] = ("", "")
) -> list[Conflict]:
    """Labels that two brains on one bundle use differently.

    Args:
        covariance: (D, D) the bundle's S0 in quantised units, or None.
        names: what the two are called in the report.
    """
    enough = np.minimum.outer(one.sums.counts, two.sums.counts) >= FEWEST
    if not enough.any():
        return []
    distances, errors = _distances(one.sums, two.sums, covariance)
    mine, theirs = one.labels, two.labels
    found = []
    for i, a in enumerate(mine):
        for j, b in enumerate(theirs):
            squared, error = distances[i, j], CONFIDENCE * errors[i, j]
            if not enough[i, j]:
                continue
            shown = float(np.sqrt(max(squared, 0.0)))
            if a == b and squared - error > APART**2:
                found.append(Conflict("apart", (a, b), shown, names))
            elif a != b and (a not in theirs or b not in mine) and squared + error < ALIKE**2:
                found.append(Conflict("alike", (a, b), shown, names))
    return found


def _distances(one: ExactSums, two: ExactSums, covariance: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """(A, B) squared distances between the means of their classes, without bias, and the standard errors."""
    together = one.copy()
    first = len(together.counts)
    together.merge(two, np.arange(first, first + len(two.counts)))
    within = together.scatter()
    # as many pseudo-counts as features: two devices are compared in the same metric, however much either taught
    scale = 1.0 if covariance is not None else max(np.trace(within) / (together.degrees * together.width), 1e-9)
    prior = Prior(together.width, covariance)
    discriminant = Discriminant(together, prior, Shrinkage(float(together.width), float(scale), share=0.9))
    means = together.means()
    moved = discriminant.apply(means) * discriminant.freedom
    norms = np.einsum("cd,cd->c", moved, means)
    squared = norms[:first, None] - 2 * moved[:first] @ means[first:].T + norms[None, first:]
    noise = 1 / together.counts[:first, None] + 1 / together.counts[None, first:]
    spread = _mean_square(discriminant, within, together)
    return squared - spread * noise, np.sqrt(2 * spread * noise**2 + 4 * np.maximum(squared, 0) * noise)


def _mean_square(discriminant: Discriminant, scatter: FloatArray, sums: ExactSums) -> float:
    """Mean squared distance of an example from its class mean: D, or less where the prior outweighs the data."""
    total = np.trace(discriminant.apply(scatter)) * discriminant.freedom
    return float(np.clip(total / sums.degrees, 1.0, sums.width))
