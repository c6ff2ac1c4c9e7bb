"""The exact regressor: answers numbers, from sums of x xᵀ, x yᵀ and y yᵀ that are integers.

An example is one row: the input as small integers, and its numbers as pairs of small integers behind it. So all that
makes the fast head exact holds here as it is: order, batching, melding and unlearning end in the same SHA-256. What
answers is derived from the sums and from kept examples: ridge regression (Hoerl, Kennard 1970) on the inputs, or on
kernels about some of them where that is better on left-out examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.discriminant import Change
from engram.heads.fast.episodes import Episodes, keys_of
from engram.heads.fast.fast_head import FastHead
from engram.heads.fast.left_out import LeftOut
from engram.heads.fast.novelty import ALPHAS, ErrorRates
from engram.heads.fast.readout import ReadOut
from engram.heads.fast.shrinkage import Prior
from engram.heads.fast.view import HeadView
from engram.heads.regression.curves import Curved, Straight
from engram.heads.regression.intervals import LEVEL, as_level
from engram.heads.regression.reading import CHOSEN_BY, Choice, NumberReading, NumberView, Rows, Taught, Totals
from engram.heads.regression.targets import Targets, as_numbers, called
from engram.inputs.vectors import as_vectors
from engram.learner import FloatArray, InputError, Label, Predictions

_STEP = 2.0**-10
_FITTED = 2**16  # examples that a curved function is fitted to, about
_WAITING = 2**13  # examples that are held for the totals; with more, these are added up anew


class Regressor(FastHead):
    """Learns numbers at once, exactly: any order, batching, melding or unlearning ends in the same SHA-256.

    Args:
        targets: what the numbers are called and how finely they are told; None: one unit is 2^-10, and their number
            is that of the first ones.
        mean: (D,) the bundle's m0, in units of the (normalised) feature; None for zeros.
        step: quantisation step of the inputs, same units.
        normalise: scale inputs to unit length first.
        alpha: share of known inputs that may be refused as unknown.
        level: the chance with which a number lies in its interval.
        memory_budget: bytes for single examples; beyond it they are merged. The linear function and its sums stay
            exact; curved ones know the kept examples.

    >>> regressor = Regressor()
    >>> regressor.learn([[0.0], [1.0], [2.0], [3.0]], [1.0, 3.0, 5.0, 7.0])
    >>> regressor.predict([1.5]).values.round(2).tolist()
    [[4.0]]
    >>> before = regressor.digest()
    >>> regressor.learn([9.0], 100.0)
    >>> regressor.forget([9.0], 100.0)
    >>> regressor.digest() == before
    True
    """

    def __init__(
        self,
        targets: Targets | Mapping[str, Any] | None = None,
        mean: npt.ArrayLike | None = None,
        *,
        step: float = _STEP,
        normalise: bool = False,
        alpha: float = 0.02,
        level: float = LEVEL,
        memory_budget: int = 2**28,
        gate: float | None = None,
    ) -> None:
        if gate is not None:
            raise InputError("A gate skips what is well known by its label; numbers have none: leave gate away.")
        self.level = as_level(level)
        self.targets = Targets.from_json(targets) if isinstance(targets, Mapping) else targets
        super().__init__(mean, step=step, normalise=normalise, alpha=alpha, memory_budget=memory_budget)

    # What a user does

    def forget(self, inputs: Any, targets: Any) -> None:
        """Unlearn (N, D) inputs with their numbers: the digest is again that of a regressor that never saw them.

        Raises:
            NotTaughtError: never taught with those numbers, or not so often; nothing was changed.
        """
        with self._lock:
            rows, labels = self._examples(inputs, targets)
            self._forget(rows, self._row_labels(rows, labels))

    def numbers_of(self, inputs: Any) -> list[FloatArray]:
        """For each of (N, D) inputs the different numbers, (T, K), that it was taught with and is still kept with."""
        with self._lock:
            rows = self._quantise.small(as_vectors(inputs, self.inputs_width))
            return [self._numbers_with(row) for row in rows]

    # What a user can ask

    @property
    def inputs_width(self) -> int | None:
        """D, how many values make an input; None before anything said it."""
        return self.width - 2 * self.targets.count if self.width and self.targets else None

    @property
    def kind(self) -> str | None:
        """"linear" or "curved", whichever does best on left-out examples; None before the first example."""
        with self._lock:
            if not self._book:
                return None
            return "linear" if isinstance(self._numbers().features, Straight) else "curved"

    @property
    def left_out_error(self) -> FloatArray:
        """(K,) root mean squared error of taught examples, each left out; NaN while there are none."""
        with self._lock:
            count = self.targets.count if self.targets else 1
            return self._numbers().error if self._book else np.full(count, np.nan)

    def left_out(self) -> LeftOut:
        """None: there are no labels to be confused. See `left_out_error`."""
        return LeftOut.none()

    def error_rates(self, alphas: Iterable[float] = ALPHAS) -> list[ErrorRates]:
        """The share of known inputs refused, for each alpha; there are no other classes to be strangers."""
        return [ErrorRates(alpha, alpha, float("nan")) for alpha in alphas] if self._book else []

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """The numbers of (N, D) inputs, or one (D,), with an interval for each; unknown where nothing like it was
        taught.

        Returns:
            `values` (N, K) and `intervals` (N, K, 2) in the units that were taught; `known`.

        Raises:
            InputError: wrong width, NaN or infinity.
        """
        return self.view().predict(inputs, among)

    def quantise(self, inputs: Any) -> FloatArray:
        """(N, D) integers that these inputs become; their numbers follow behind them."""
        return self._quantise(as_vectors(inputs, self.inputs_width))

    def config(self) -> dict[str, Any]:
        mine = {name: value for name, value in super().config().items()
                if name in ("step", "normalise", "alpha", "memory_budget")}
        return {**mine, "targets": self.targets and self.targets.as_json(), "level": self.level}

    @classmethod
    def made_with(cls, config: dict[str, Any]) -> dict[str, Any]:
        return config

    # What the base class asks for

    def _examples(self, inputs: Any, targets: Any) -> tuple[npt.NDArray[Any], list[Label]]:
        vectors = as_vectors(inputs, self.inputs_width)
        numbers = as_numbers(targets, len(vectors), self.targets.count if self.targets else None)
        known = self.targets or Targets(called(numbers.shape[1]), (_STEP,) * numbers.shape[1])
        rows = np.concatenate([self._quantise.small(vectors), known.rows(numbers)], axis=1)
        if self.targets is None and self._fits(rows):
            self.targets = known
            self._readout = self._new_readout()
        return rows, [self._name(known)] * len(rows)

    def _fits(self, rows: npt.NDArray[np.int16]) -> bool:
        """Raises CapacityError where they cannot be learned."""
        self.sums.check_rows(rows)
        return True

    def _name(self, targets: Targets) -> Label:
        """What the numbers are called, where they were not renamed."""
        return next(iter(self._book), targets.label)

    def _set_statistics(self, mean: npt.ArrayLike | None, covariance: npt.ArrayLike | None) -> None:
        centre = None if mean is None else as_vectors(mean)[0].copy()
        self._quantise = replace(self._quantise, mean=centre)
        known = centre is not None and self.targets is not None
        self.width = len(centre) + 2 * self.targets.count if known and centre is not None and self.targets else None
        self._start(self.width or 0)

    def _new_readout(self) -> ReadOut:
        targets = self.targets or Targets(called(1), (_STEP,))
        return NumberReadOut(self.sums, self._episodes, self._prior, targets)

    def _same_space(self, other: FastHead) -> bool:
        if not isinstance(other, Regressor):
            return False
        same = self.targets is None or other.targets is None or self.targets == other.targets
        return same and super()._same_space(other)

    def meld(self, other: FastHead) -> None:
        """Take over all that another regressor on the same backbone learned; the same as having learned both.

        Raises:
            MeldError: other numbers, statistics, step or normalisation.
        """
        if isinstance(other, Regressor) and self.targets is None and self._same_space(other):
            self.targets = other.targets
        super().meld(other)

    def _see(self) -> HeadView:
        if (seen := self._fresh()) is None:
            numbers = self._numbers() if self._book else None
            seen = NumberView(self.labels, self.inputs_width, self._quantise, None, self.sums.total, numbers,
                              self.level)
            self._seen = self._state(), seen
        return seen

    def _state(self) -> tuple[Any, ...]:
        return *super()._state(), self.level

    def _numbers(self) -> Any:
        assert isinstance(self._readout, NumberReadOut)
        return self._readout.numbers(self.level, next(iter(self._alphas.values()), self.alpha))

    def settle(self) -> None:
        """Do now the work that the next prediction would have to wait for."""
        with self._lock:
            if self._book:
                self._numbers()

    def copy(self) -> Self:
        made = super().copy()
        made.targets = self.targets
        return made

    def _numbers_with(self, row: npt.NDArray[np.int16]) -> FloatArray:
        if self.targets is None or not self._book:
            return np.zeros((0, 1))
        found = [some.rows[(some.rows[:, : len(row)] == row).all(axis=1), len(row) :] for some in self._episodes]
        return self.targets.values(np.unique(np.concatenate(found), axis=0))


class NumberReadOut(ReadOut):
    """Numbers from joint rows that grow beside it; the metric for consolidation is inherited.

    Args:
        sums, episodes, prior: as for `ReadOut`.
        targets: what the numbers at the end of the rows are.
    """

    def __init__(self, sums: ExactSums, episodes: Sequence[Episodes], prior: Prior, targets: Targets) -> None:
        super().__init__(sums, episodes, prior, True, "auto")
        self._targets = targets
        self._choice: Choice | None = None
        self._totals: Totals | None = None
        self._news: list[Rows] = []  # learned since the totals were added up
        self._numbers: tuple[tuple[int, float, float], NumberReading] | None = None
        self._line: object = object()  # changes whenever the totals do
        self._parent: object = None  # the line that a copy was made of, and how many news there were
        self._since = 0
        self._limit = np.uint64(0)

    def copy(self, sums: ExactSums, episodes: Sequence[Episodes]) -> NumberReadOut:
        made = super().copy(sums, episodes)
        assert isinstance(made, NumberReadOut)
        made._news, made._since, made._parent = list(self._news), len(self._news), self._line
        return made

    def adopt(self, other: ReadOut) -> None:
        super().adopt(other)
        if isinstance(other, NumberReadOut) and other._parent is self._line:
            self._choice, self._totals, self._limit = other._choice, other._totals, other._limit
            self._news = self._news[other._since :]
            self._line = object()

    def note(self, change: Change) -> None:
        super().note(change)
        if change.sign < 0:
            self._begin_anew()
            return
        self._news.append(change.rows)
        if sum(map(len, self._news)) > _WAITING:
            self._totals, self._news, self._line = None, [], object()

    def invalidate(self) -> None:
        super().invalidate()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._choice, self._totals, self._news, self._line = None, None, [], object()

    def numbers(self, level: float, alpha: float) -> NumberReading:
        """What answers come from, up to date."""
        key = self.version, level, alpha
        if self._numbers is None or self._numbers[0] != key:
            self._numbers = key, self._read(level, alpha)
        return self._numbers[1]

    def _read(self, level: float, alpha: float) -> NumberReading:
        taught = Taught.of(self._targets, self.sums, self.episodes)
        sample = taught.first(CHOSEN_BY)
        if self._choice is None or not self._choice.is_of(*sample):
            self._choice, self._totals = Choice.of(*sample), None
        features = self._choice.features
        if isinstance(features, Curved):
            moments = self._counted(features, taught).moments()
        else:
            moments = taught.moments(features.unit)
        self._news, self._line = [], object()
        return NumberReading.of(taught, self._choice, moments, level, alpha)

    def _counted(self, features: Curved, taught: Taught) -> Totals:
        """The totals with everything that is kept, or with a share of it that its SHA-256 draws where that is much."""
        share = _FITTED / max(self.sums.total, _FITTED)
        limit = np.uint64(int(2**64 * 2.0 ** np.floor(np.log2(share))) - 1)
        if self._totals is None or limit != self._limit:
            inputs, values = taught.split(taught.rows[taught.keys <= limit])
            self._totals = Totals.none(features, values.mean(axis=0)).with_more(inputs, values)
        elif self._news:
            rows = np.concatenate(self._news)
            keys = keys_of([hashlib.sha256(row).digest() for row in np.ascontiguousarray(rows, np.int16)])
            self._totals = self._totals.with_more(*taught.split(rows[keys <= limit]))
        self._limit = limit
        return self._totals
