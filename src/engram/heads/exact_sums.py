"""The part of a head that cannot forget by accident: exact integer sums.

Sums of integers in float64 are exact below 2^53, whatever order BLAS adds them in. So teaching order,
batching, splitting over devices and later subtraction all end in the same bits, and one SHA-256 proves it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.heads.head import Positions, grown
from engram.heads.quantisation import FARTHEST, LIMIT
from engram.learner import CapacityError, FloatArray, Label, State

_PENDING = 256
_PORTION = 8192  # rows of a batch that are multiplied at a time
_FEW = 64  # classes of a batch up to which a matrix product sums them faster than one by one
_EXACT_EXAMPLES = 2**53 // LIMIT**2
_SURELY_EXACT = 2**53 // FARTHEST**2  # whatever their values


class ExactSums:
    """n_c and s_c = Σx for each class, and G = Σxxᵀ over all, for integer vectors x with |x| ≤ 2¹³, or fewer to 2¹⁵.

    >>> sums = ExactSums(2)
    >>> sums.add(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0, 0]))
    >>> sums.gram().tolist()
    [[10.0, 14.0], [14.0, 20.0]]
    >>> before = sums.digest(["a"])
    >>> sums.add(np.array([[5.0, 6.0]]), np.array([1]))
    >>> sums.subtract(np.array([[5.0, 6.0]]), np.array([1]))
    >>> sums.digest(["a", "b"]) == before
    True
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.total = 0  # examples that the sums hold
        self._taught: int | None = None  # classes with examples, where it has been counted
        self._classes = 0
        self._counts = np.zeros(4)  # room for classes to come: doubled when it runs out
        self._sums = np.zeros((4, width))
        self._gram = np.zeros((width, width))
        self._shared = False  # a copy holds the same G: who adds to it first makes one of its own
        self._pending = np.empty((_PENDING, width))  # single examples wait here for one matrix product
        self._waiting = 0

    @property
    def counts(self) -> FloatArray:
        """(C,) examples of each class."""
        return self._counts[: self._classes]

    @property
    def sums(self) -> FloatArray:
        """(C, D) sum of the examples of each class."""
        return self._sums[: self._classes]

    def check_capacity(self, more: int) -> None:
        """Raises CapacityError where `more` examples would leave the exact range."""
        if self.total + more > _EXACT_EXAMPLES:
            raise CapacityError(f"More than {_EXACT_EXAMPLES} examples: their sums would no longer be exact.")

    def check_rows(self, *batches: npt.NDArray[Any]) -> None:
        """`check_capacity` for these (N, D) rows together: of values beyond 2^13 fewer are exact."""
        self.check_capacity(sum(map(len, batches)))
        if self.total + sum(map(len, batches)) > _SURELY_EXACT:
            self._check_moment(sum(len(rows) * float(max(rows.max(), -int(rows.min()))) ** 2 for rows in batches))

    def check_meld(self, other: ExactSums) -> None:
        """`check_capacity` for all that another holds."""
        self.check_capacity(other.total)
        if self.total + other.total > _SURELY_EXACT:
            self._check_moment(other._moment())

    def _check_moment(self, more: float) -> None:
        if self._moment() + more > 2.0**53:
            raise CapacityError("These readings lie so far beyond the range of the first ones that the sums of so many "
                                "would no longer be exact: Bundle.of_vectors(D, largest=[...]) sets a wider range.")

    def _moment(self) -> float:
        """The largest Σx² of a feature: no entry of G is larger."""
        return float(np.diagonal(self.gram()).max(initial=0.0))

    def add(self, rows: npt.NDArray[Any], classes: Positions) -> None:
        """Add (N, D) integer rows, of any dtype, to the sums of their classes; new classes appear as needed."""
        self.check_capacity(len(rows))
        self._reserve(int(classes.max()) + 1)
        if len(rows) > 1:
            self._change(rows, classes, 1)
            return
        place = classes[0]
        if not self._counts[place]:
            self._taught = None
        self.total += 1
        self._counts[place] += 1
        self._sums[place] += rows[0]
        self._pending[self._waiting] = rows[0]
        self._waiting += 1
        if self._waiting == _PENDING:
            self.gram()

    def subtract(self, rows: npt.NDArray[Any], classes: Positions) -> None:
        """Take back (N, D) rows of (N,) classes that were added before."""
        self.gram()
        self._change(rows, classes, -1)

    def _change(self, rows: npt.NDArray[Any], classes: Positions, sign: int) -> None:
        self._count(len(rows), sign)
        for start in range(0, len(rows), _PORTION):
            some, places = rows[start : start + _PORTION], classes[start : start + _PORTION]
            present, which = np.unique(places, return_inverse=True)
            if len(present) > _FEW:
                some = some.astype(np.float64, copy=False)
                self._add_to_classes(some, places, sign)
                self._add_to_gram(sign * (some.T @ some))
                continue
            # which class a row is of, as further columns: one product gives G, the sums and the counts
            block = np.zeros((len(some), self.width + len(present)))
            block[:, : self.width] = some
            block[np.arange(len(some)), self.width + which] = 1.0
            product = sign * (block.T @ block)
            self._add_to_gram(product[: self.width, : self.width])
            self.sums[present] += product[self.width :, : self.width]
            self.counts[present] += np.diagonal(product)[self.width :]

    def drop(self, place: int, second_moment: FloatArray) -> None:
        """Take back a whole class, whose Σxxᵀ, (D, D), the caller kept; later classes move up one place."""
        self.gram()
        self._add_to_gram(-second_moment)
        self.total -= int(self.counts[place])
        self._taught = None
        self._counts = np.delete(self._counts, place)
        self._sums = np.delete(self._sums, place, axis=0)
        self._classes -= 1

    def merge(self, other: ExactSums, places: Positions, sign: int = 1) -> None:
        """Add (or with sign −1 take back) another's sums; its class i is this one's `places[i]`, (C,)."""
        if sign > 0:
            self.check_capacity(other.total)
        if len(places):
            self._reserve(int(places.max()) + 1)
        self.total += sign * other.total
        self._taught = None
        np.add.at(self.counts, places, sign * other.counts)
        np.add.at(self.sums, places, sign * other.sums)
        self.gram()
        self._add_to_gram(sign * other.gram())

    def gram(self) -> FloatArray:
        """G = Σxxᵀ over everything taught, (D, D)."""
        if self._waiting:
            rows = self._pending[: self._waiting]
            self._waiting = 0
            self._add_to_gram(rows.T @ rows)
        return self._gram

    def means(self) -> FloatArray:
        """(C, D) class means; zeros for a class without examples."""
        means: FloatArray = self.sums / np.maximum(self.counts, 1)[:, None]
        return means

    def scatter(self) -> FloatArray:
        """Within-class scatter S_w = G − Σ_c s_c s_cᵀ / n_c, (D, D)."""
        scaled = self.sums / np.sqrt(np.maximum(self.counts, 1))[:, None]
        within: FloatArray = self.gram() - scaled.T @ scaled
        return within

    def trace(self) -> float:
        """tr S_w, the squared distances of all examples from their class means added up; G need not be up to date."""
        waiting = self._pending[: self._waiting]
        squares = float(np.trace(self._gram)) + float(np.vdot(waiting, waiting))  # integers: exact in any order
        lengths = np.einsum("cd,cd->c", self.sums, self.sums)
        return max(squares - float((lengths / np.maximum(self.counts, 1)).sum()), 0.0)

    def diagonal(self) -> FloatArray:
        """(D,) the diagonal of S_w, which itself is not made."""
        own = (np.square(self.sums) / np.maximum(self.counts, 1)[:, None]).sum(axis=0)
        within: FloatArray = np.maximum(np.diagonal(self.gram()) - own, 0.0)
        return within

    def variances(self) -> FloatArray:
        """(D,) of each feature over all examples; its mean square where there is but one, or no variance at all."""
        if not self.total:
            return np.ones(self.width)
        moment = np.diagonal(self.gram()) / self.total
        around = moment - np.square(self.sums.sum(axis=0) / self.total)
        if not (around > 1e-9 * moment).any():
            return np.array(moment)
        return np.where(around > 1e-9 * moment, around, 0.0)

    def squared_norm(self, scales: FloatArray, probes: int) -> float:
        """The squared Frobenius norm of S_w with each feature divided by its scale, (D,).

        Exact up to `probes` features, else estimated from as many directions with entries of ±1, always the same
        (Hutchinson 1990).
        """
        if self.width <= probes:
            directions = np.eye(self.width)
        else:
            signs = np.random.default_rng(0).integers(0, 2, (self.width, probes))
            directions = (2.0 * signs - 1.0) / np.sqrt(probes)
        directions = directions / scales[:, None]
        within = self.sums.T @ ((self.sums @ directions) / np.maximum(self.counts, 1)[:, None])
        return float(np.square((self.gram() @ directions - within) / scales[:, None]).sum())

    @property
    def degrees(self) -> int:
        """Degrees of freedom of the scatter, N = Σ(n_c − 1) over classes that have examples."""
        return self.total - self.classes

    @property
    def classes(self) -> int:
        """How many classes have examples."""
        if self._taught is None:
            self._taught = int(np.count_nonzero(self.counts))
        return self._taught

    def digest(self, labels: Sequence[Label]) -> str:
        """SHA-256 of each class's label (JSON) and count, sorted by label, then of the sums and G as int64."""
        order = sorted((i for i in range(len(self.counts)) if self.counts[i]), key=lambda i: labels[i])
        total = hashlib.sha256()
        for i in order:
            total.update(f"{json.dumps(labels[i])} {int(self.counts[i])}\n".encode())
        if order:  # nothing taught is nothing, whatever the width
            total.update(_integers(self.sums[order]).tobytes())
            total.update(_integers(self.gram()).tobytes())
        return total.hexdigest()

    def state(self) -> State:
        return {"counts": self.counts, "sums": self.sums, "gram": self.gram()}

    @classmethod
    def from_state(cls, state: State) -> ExactSums:
        """Raises ValueError where the arrays do not fit each other or hold no integers."""
        counts, sums, gram = (np.array(state[name], np.float64) for name in ("counts", "sums", "gram"))
        width = gram.shape[0]
        if sums.shape != (len(counts), width) or gram.shape != (width, width):
            raise ValueError(f"sums {sums.shape}, counts {counts.shape}, gram {gram.shape} do not fit")
        check_integers(counts, sums, gram)
        return cls._holding(counts, sums, gram)

    def copy(self) -> ExactSums:
        """Another of the same contents; G is shared until one of them changes, so it costs little."""
        made = self._holding(self.counts.copy(), self.sums.copy(), self._gram)
        made._waiting = self._waiting
        made._pending[: self._waiting] = self._pending[: self._waiting]
        self._shared = made._shared = True
        return made

    @classmethod
    def _holding(cls, counts: FloatArray, sums: FloatArray, gram: FloatArray) -> ExactSums:
        made = cls(len(gram))
        made.total = int(counts.sum())
        made._classes, made._counts, made._sums, made._gram = len(counts), counts, sums, gram
        return made

    def _add_to_gram(self, moment: FloatArray) -> None:
        if self._shared:
            self._gram, self._shared = self._gram + moment, False
        else:
            self._gram += moment

    def _reserve(self, classes: int) -> None:
        if classes > len(self._counts):
            self._counts = grown(self._counts, 2 * classes)
            self._sums = grown(self._sums, 2 * classes)
        self._classes = max(self._classes, classes)

    def _count(self, examples: int, sign: int) -> None:
        self.total += sign * examples
        self._taught = None

    def _add_to_classes(self, rows: FloatArray, classes: Positions, sign: int) -> None:
        present, which, counts = np.unique(classes, return_inverse=True, return_counts=True)
        self.counts[present] += sign * counts
        order = np.argsort(which, kind="stable")
        for place, some in zip(present, np.split(order, np.cumsum(counts)[:-1]), strict=True):
            self.sums[place] += sign * rows[some].sum(axis=0)


def check_integers(counts: FloatArray, *sums: FloatArray) -> None:
    """Raises ValueError where (C,) counts and sums of any shape are not integers in the range in which sums are exact.
    """
    for array in (counts, *sums):
        if not (np.abs(array) <= 2.0**53).all() or (array != np.rint(array)).any():
            raise ValueError("exact sums are integers")
    if (counts < 0).any() or counts.sum() > _EXACT_EXAMPLES:
        raise ValueError("counts are whole numbers of examples")


def _integers(array: FloatArray) -> npt.NDArray[np.int64]:
    return np.ascontiguousarray(array).astype("<i8")
