"""What numbers are answered from: the fit that does best on left-out examples, its intervals, and what is unlike; and
a view of it that answers without a lock, while the regressor learns on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.episodes import Episodes, Keys
from engram.heads.fast.view import HeadView
from engram.heads.head import columns_of, nothing_known
from engram.heads.regression.curves import WIDTHS, Curved, Straight, Unit, gaussian, median_distance
from engram.heads.regression.intervals import half_widths
from engram.heads.regression.likeness import Likeness
from engram.heads.regression.ridge_fit import TUNED_FROM, LeftOutErrors, Moments, RidgeFit, answered_by, best_penalty
from engram.heads.regression.targets import Targets
from engram.inputs.vectors import as_vectors
from engram.learner import FloatArray, Label, Predictions

Rows = npt.NDArray[np.int16]

_CURVED_FROM = 20  # kept examples from which on curved functions are tried
_FEW, _FOLDS = 64, 10  # examples up to which the choice is left out too, and in how many parts
CHOSEN_BY = 512
"""Kept examples by which read-outs are chosen, and about which kernels stand: those with the smallest SHA-256."""

_COMPARED, _PRODUCTS = 2**13, 2**21  # kept examples looked for as nearest, at most; and times their columns


class Taught(NamedTuple):
    """What was taught, split into inputs and numbers.

    Attributes:
        targets: what the numbers are.
        sums: over everything, whatever its label: exact.
        rows: (N, D + 2K) the kept examples, in the order in which they arrived.
        keys: (N,) the first eight bytes of the SHA-256 of each.
    """

    targets: Targets
    sums: ExactSums
    rows: Rows
    keys: Keys

    @classmethod
    def of(cls, targets: Targets, sums: ExactSums, episodes: Sequence[Episodes]) -> Self:
        """From joint rows: inputs, then numbers."""
        kept, keys = [some.rows for some in episodes], [some.keys() for some in episodes]
        if len(kept) == 1:
            return cls(targets, sums, kept[0], keys[0])
        return cls(targets, sums, np.concatenate(kept), np.concatenate(keys))

    @property
    def width(self) -> int:
        """D."""
        return self.sums.width - 2 * self.targets.count

    def first(self, most: int) -> tuple[FloatArray, FloatArray]:
        """Inputs (L, D) and numbers (L, K) of up to so many different kept examples, those with the smallest SHA-256.
        """
        return self.split(self.rows[self._first(most)])

    def times(self, most: int) -> npt.NDArray[np.intp]:
        """(L,) how often each of the `first` is kept."""
        some = self.keys[self._first(most)]
        found = np.searchsorted(some, self.keys[self.keys <= some[-1]])
        return np.bincount(found, minlength=len(some))

    def _first(self, most: int) -> npt.NDArray[np.intp]:
        """(L,) their places, in the order of their SHA-256."""
        looked_at, count = most, len(self.keys)
        while True:  # what is kept several times leaves fewer different ones
            places = np.arange(count) if looked_at >= count else np.argpartition(self.keys, looked_at)[:looked_at]
            different, at = np.unique(self.keys[places], return_index=True)
            if len(different) >= most or looked_at >= count:
                return np.asarray(places[at[:most]])
            looked_at *= 2

    def split(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """Inputs (N, D) and numbers (N, K) of joint rows."""
        return rows[:, : self.width].astype(np.float64), self.targets.values(rows[:, self.width :])

    def moments(self, unit: Unit) -> Moments:
        """Of the inputs themselves, in the unit, and the numbers, from the exact sums."""
        width, count = self.width, self.sums.total
        gram, sums = self.sums.gram(), self.sums.sums.sum(axis=0)
        mean, middle = sums[:width] / count, self.targets.combined(sums[width:]) / count
        inner = (gram[:width, :width] - count * np.outer(mean, mean)) * unit.scale[:, None] * unit.scale
        cross = self.targets.combined(gram[:width, width:]) - count * np.outer(mean, middle)
        return Moments(count, (mean - unit.mean) * unit.scale, middle, inner, cross * unit.scale[:, None])


class Candidates(NamedTuple):
    """The functions to choose from.

    Attributes:
        unit: of the inputs.
        scaled: (L, D) the sample in it.
        kernels: width of the Gaussian, None for the linear function -> (L, L) products of the features.
    """

    unit: Unit
    scaled: FloatArray
    kernels: dict[float | None, FloatArray]

    @classmethod
    def of(cls, inputs: FloatArray) -> Self:
        """For (L, D) inputs."""
        unit = Unit.of(inputs)
        scaled = unit(inputs)
        products = scaled @ scaled.T
        kernels: dict[float | None, FloatArray] = {None: products}
        if len(inputs) >= _CURVED_FROM:
            usual = median_distance(scaled)
            for width in (relative * usual for relative in WIDTHS):
                kernels[width] = products / inputs.shape[1] + gaussian(scaled, scaled, width)
        return cls(unit, scaled, kernels)

    def best(self, values: FloatArray, some: npt.NDArray[np.intp]) -> tuple[float | None, float]:
        """The width and λ with the smallest left-out error over some of the sample, the first of equals.

        Args:
            values: (L, K) numbers.
            some: (S,) places.
        """
        found = []
        for width, kernel in self.kernels.items():
            rank = self.scaled.shape[1] if width is None else len(some)
            penalty, error = best_penalty(kernel[np.ix_(some, some)], values[some], rank)
            found.append((error, width, penalty))
        _, width, penalty = min(found, key=itemgetter(0))
        return width, penalty

    def held_out(self, values: FloatArray) -> FloatArray:
        """(L, K) answers to a tenth of the sample at a time, by what the rest alone chooses and fits.

        Of many functions the best has a left-out error that is too small, the more so the fewer examples there are
        (Varma, Simon, "Bias in error estimation when using cross-validation for model selection", BMC Bioinformatics
        7, 2006).
        """
        answers, all_of_them = np.empty_like(values), np.arange(len(values))
        for first in range(min(_FOLDS, len(values))):
            asked = all_of_them[first::_FOLDS]
            rest = np.delete(all_of_them, asked)
            width, penalty = self.best(values, rest)
            kernel = self.kernels[width][:, rest]
            answers[asked] = answered_by(kernel[rest], values[rest], penalty, kernel[asked])
        return answers


@dataclass(frozen=True, eq=False)
class Choice:
    """What does best on left-out examples of a sample that is free of order.

    Attributes:
        features: from quantised inputs.
        penalty: λ.
        inputs, values: (L, D) and (L, K) the sample.
        held_out: (L, K) what is answered without an example being in the choice either; None where there are many, of
            which one decides little.
    """

    features: Straight | Curved
    penalty: float
    inputs: FloatArray
    values: FloatArray
    held_out: FloatArray | None

    @classmethod
    def of(cls, inputs: FloatArray, values: FloatArray) -> Self:
        """The linear function, or a curved one where that is better."""
        candidates = Candidates.of(inputs)
        width, penalty = candidates.best(values, np.arange(len(inputs)))
        unit, scaled = candidates.unit, candidates.scaled
        features = Straight(unit) if width is None else Curved.about(unit, scaled, width)
        held_out = candidates.held_out(values) if TUNED_FROM <= len(inputs) <= _FEW else None
        return cls(features, penalty, inputs, values, held_out)

    def is_of(self, inputs: FloatArray, values: FloatArray) -> bool:
        """Whether it was made from this sample."""
        return np.array_equal(inputs, self.inputs) and np.array_equal(values, self.values)


@dataclass(frozen=True, eq=False)
class Totals:
    """Sums over the kept examples, of curved features and numbers less those of `middle`; more are added to them.

    Attributes:
        features: which these are of.
        count: N.
        middle: (K,) near the mean of the numbers, so that nothing cancels.
        sums: (M + K,) Σ(φ, y).
        gram: (M + K, M + K) Σ(φ, y)(φ, y)ᵀ.
    """

    features: Curved
    count: int
    middle: FloatArray
    sums: FloatArray
    gram: FloatArray

    @classmethod
    def none(cls, features: Curved, middle: FloatArray) -> Self:
        width = features.root.shape[1] + features.landmarks.shape[1] + len(middle)
        return cls(features, 0, middle, np.zeros(width), np.zeros((width, width)))

    def with_more(self, inputs: FloatArray, values: FloatArray) -> Totals:
        """With (N, D) inputs and (N, K) numbers more."""
        sums, gram = self.sums, self.gram
        for start in range(0, len(inputs), CHOSEN_BY):
            some = slice(start, start + CHOSEN_BY)
            joint = np.concatenate([self.features(inputs[some]), values[some] - self.middle], axis=1)
            sums, gram = sums + joint.sum(axis=0), gram + joint.T @ joint
        return Totals(self.features, self.count + len(inputs), self.middle, sums, gram)

    def moments(self) -> Moments:
        """About the means."""
        mean = self.sums / self.count
        gram, width = self.gram - self.count * np.outer(mean, mean), len(mean) - len(self.middle)
        return Moments(self.count, mean[:width], mean[width:] + self.middle, gram[:width, :width], gram[:width, width:])


class Answer(NamedTuple):
    """Numbers (N, K), the half widths of their intervals (N, K), and familiarity (N,)."""

    values: FloatArray
    half: FloatArray
    familiarity: FloatArray


@dataclass(frozen=True, eq=False)
class NumberReading:
    """All that an answer needs; nothing in it changes.

    Attributes:
        features, fit: from quantised inputs to numbers.
        half: (K,) half widths of intervals.
        likeness: what is unlike everything taught.
        alpha: share of known inputs that may be refused.
        errors: the left-out examples that it was judged by.
    """

    features: Straight | Curved
    fit: RidgeFit
    half: FloatArray
    likeness: Likeness
    alpha: float
    errors: LeftOutErrors

    @classmethod
    def of(cls, taught: Taught, choice: Choice, moments: Moments, level: float, alpha: float) -> Self:
        """With the features and λ that were chosen."""
        fit = RidgeFit.with_penalty(moments, choice.penalty)
        features = choice.features(choice.inputs)
        missing, times = choice.features.missing(features), taught.times(len(features))
        errors = fit.left_out(features, choice.values, missing, times)
        if choice.held_out is not None:
            errors = errors._replace(residuals=choice.values - choice.held_out)
        unit, kept = choice.features.unit, min(_COMPARED, max(_PRODUCTS // taught.width, CHOSEN_BY))
        likeness = Likeness.of(unit, taught.moments(unit).gram, taught.sums.total, taught.first(kept)[0], choice.inputs)
        return cls(choice.features, fit, half_widths(errors, level), likeness, alpha, errors)

    def answer(self, rows: FloatArray) -> Answer:
        """Of (N, D) quantised inputs."""
        features = self.features(rows)
        values, spread = self.fit.answer(features, self.features.missing(features))
        return Answer(values, spread[:, None] * self.half, self.likeness.familiarity(rows, self.alpha))

    @property
    def error(self) -> FloatArray:
        """(K,) root mean squared error of left-out examples; NaN before there are two different ones."""
        residuals = self.errors.residuals
        return np.sqrt(np.square(residuals).mean(axis=0)) if len(residuals) > 1 else np.full(residuals.shape[1], np.nan)


@dataclass(frozen=True, eq=False)
class NumberView(HeadView):
    """A regressor at the moment of `Regressor.view()`; nothing in it changes, so any thread may ask at any time.

    Attributes:
        labels: what the numbers are called, as one label.
        width: D, or None where nothing said it yet.
        total: how many examples there were.
        numbers: what answers come from; None before the first example.
        level: the chance of an interval.
    """

    total: int = 0
    numbers: NumberReading | None = None
    level: float = 0.9

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """What the regressor's `predict` would have answered at that moment.

        Raises:
            InputError: wrong width, NaN or infinity.
            LabelError: `among` names something else than what the numbers are called.
        """
        rows, lost = self._quantise.asked(as_vectors(inputs, self.width))
        columns_of(among, self._book)
        if self.numbers is None:
            return nothing_known(len(rows))
        values, half, familiarity = self.numbers.answer(rows)
        return Predictions(
            self.labels[:1], familiarity[:, None].copy(), familiarity >= 0.0, np.full(len(rows), self.level),
            np.zeros(len(rows)), familiarity, values, np.stack([values - half, values + half], axis=2),
        ).refusing(lost)

    @cached_property
    def together(self) -> int:
        """How many inputs may be asked about at once and be answered, to the bit, as each would be alone."""
        return 1

    @cached_property
    def counts(self) -> dict[Label, int]:
        """How many examples there were."""
        return {self.labels[0]: self.total} if self.labels else {}
