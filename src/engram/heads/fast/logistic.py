"""The logistic read-out of a head: multinomial logistic regression over quantised rows, and its scores of each row when
that one was left out. It is fitted anew from the examples that are kept, where they are few enough for that.

Weights W (D, C) and intercepts b (C,) minimise

    Σ_i −ln softmax(zᵢW + b)_yᵢ + λ/2 ‖W‖²,    z = x/unit,

so λ counts in units of the spread within classes. The intercepts are free, so they take up how frequent a class is,
and where zero lies does not matter.

The minimum is found by L-BFGS (Nocedal 1980, Math. Comp. 35) along the principal axes of the rows. There the Hessian is
about h Σzzᵀ + λ for each class, with h the mean of p(1 − p) (after Böhning 1992, Ann. Inst. Stat. Math. 44): diagonal,
so it is inverted at no cost, and it follows h as the fit gets surer. With fewer rows than features there are no more
axes than rows. The length of a step costs no product with the rows: scores move along a line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.episodes import Episodes, Keys, keys_of
from engram.heads.fast.metric import Comparison, Metric
from engram.heads.fast.one_by_one import times
from engram.heads.fast.sample import PER_CLASS, Sample
from engram.heads.fast.shrinkage import coarse
from engram.heads.head import Positions
from engram.learner import FloatArray

FOLDS = 4
PENALTIES = (100.0, 10.0, 1.0)
"""λ that compete by left-out likelihood, the strongest first."""

_MOST = 2**26  # values (rows × features, or × classes) that are fitted; beyond, rows of the smallest keys stand for all
_SMALL = 2**22  # values up to which float64 costs little
_PORTION = 8192  # rows that are scaled, or scored, at a time
_CLOSE = 5e-6  # a step that promises less than this share of the objective is the last
_STEPS = 500
_PAIRS = 10  # steps that L-BFGS remembers
_TRIALS = 12  # lengths that are tried for one step
_FLAT = 1e-10  # axes along which the rows spread less than this share of the first are left out
_PENALTIES = (100.0, 10.0, 1.0, 0.1, 0.01)
_LEAST = 1e-6  # share of the variance within classes below which it is taken for all of it
_EXAMPLES = 1024  # that it is fitted to, of those kept the ones of the smallest SHA-256

Narrow = npt.NDArray[Any]  # float32 or float64


@dataclass(frozen=True, eq=False)
class Logistic:
    """A fitted regression.

    Attributes:
        weights: (D, C) float64, for rows as they were given.
        bias: (C,) float64; −inf for a class without examples.
        penalty: λ.
        objective: what was minimised, in nats over all rows.
        steps: steps that the minimisation took.
    """

    weights: FloatArray
    bias: FloatArray
    penalty: float
    objective: float
    steps: int

    def scores(self, rows: npt.NDArray[Any]) -> FloatArray:
        """(N, C) scores of (N, D) rows; their softmax estimates the probability of each class."""
        found = np.empty((len(rows), len(self.bias)))
        for start in range(0, len(rows), _PORTION):
            some = rows[start : start + _PORTION].astype(np.float64, copy=False)
            found[start : start + _PORTION] = times(some, self.weights) + self.bias
        return found


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Scores of rows by regressions that were fitted without them.

    Attributes:
        scores: (N, C) float64, in the order of the rows; −inf where the other folds have no example of the class.
        folds: (N,) the part with which each row was left out.
        penalty: λ, the likeliest of those tried.
        losses: for each λ tried, the mean of −ln of the probability of the true class, in nats.
    """

    scores: FloatArray
    folds: Positions
    penalty: float
    losses: dict[float, float]


def fit(
    rows: npt.NDArray[Any],
    classes: Positions,
    count: int,
    unit: float,
    *,
    keys: Keys | None = None,
    penalty: float = 1.0,
) -> Logistic:
    """Fit (N, D) rows, N ≥ 1, int16 or float64 that hold integers.

    The result is a function of the examples, whatever their order: they are sorted by key first.

    Args:
        classes: (N,) the class of each row, below `count`.
        count: C, the number of classes.
        unit: σ > 0, the root of the mean variance within classes, over all features.
        keys: (N,) the SHA-256 keys of the rows, as `Episodes.keys` has them; None to work them out.
        penalty: λ > 0.
    """
    order = _sorted(rows, classes, keys)[: _most(rows, count)]
    design = _Design.of(rows[order], unit)
    return design.fit(classes[order], count, penalty)


def held_out(
    rows: npt.NDArray[Any],
    classes: Positions,
    count: int,
    unit: float,
    *,
    keys: Keys | None = None,
    groups: Positions | None = None,
    penalties: Sequence[float] = PENALTIES,
) -> HeldOut:
    """Score each row by a regression fitted to the rows of the other folds; `fit` says what the arguments are.

    Args:
        groups: (N,) rows of one number, such as near-duplicates, are left out together; None for each by itself.
        penalties: λ to choose from, the strongest first. Each fold starts where its own stronger λ ended, and weaker
            ones are not tried once the left-out likelihood falls.
    """
    order = _sorted(rows, classes, keys)
    rows, classes = rows[order], classes[order]  # in this order alone: a product of rows rounds by where each stands
    folds = _dealt(classes, None if groups is None else groups[order])
    most = _most(rows, count)
    design, truth, parts = _Design.of(rows[:most], unit), classes[:most], folds[:most]
    fits: dict[int, Logistic] = {}
    best: tuple[float, FloatArray] | None = None
    losses: dict[float, float] = {}
    for penalty in penalties:
        scores = np.full((len(rows), count), -np.inf)
        for fold in range(FOLDS):
            if (parts != fold).any():
                others = design.only(parts != fold)
                fits[fold] = others.fit(truth[parts != fold], count, penalty, fits.get(fold))
                scores[folds == fold] = fits[fold].scores(rows[folds == fold])
        losses[penalty] = _loss(scores, classes)
        if best is not None and losses[penalty] >= losses[best[0]]:
            break
        best = penalty, scores
    assert best is not None
    given = np.argsort(order)
    return HeldOut(best[1][given], folds[given], best[0], losses)


def _sorted(rows: npt.NDArray[Any], classes: Positions, keys: Keys | None) -> Positions:
    """Places of the rows by key, and by class where keys are equal."""
    if keys is None:
        keys = keys_of([hashlib.sha256(row.tobytes()).digest() for row in rows.astype(np.int16)])
    return np.lexsort((classes, keys))


def _most(rows: npt.NDArray[Any], count: int) -> int:
    return max(_MOST // max(int(rows.shape[1]), count), 1)


def _dealt(classes: Positions, groups: Positions | None) -> Positions:
    """(N,) the fold of each of N sorted rows: groups are dealt class by class, so that each fold has its share."""
    if groups is None:
        first = place = np.arange(len(classes))
    else:
        _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    turns = np.empty(len(first), np.intp)
    turns[np.lexsort((first, classes[first]))] = np.arange(len(first)) % FOLDS
    dealt: Positions = turns[place]
    return dealt


def _loss(scores: FloatArray, classes: Positions) -> float:
    """Mean −ln p of the true classes, over rows whose class the other folds know; 0 without any."""
    true = scores[np.arange(len(classes)), classes]
    known = np.isfinite(true)
    if not known.any():
        return 0.0
    most = scores[known].max(axis=1)
    return float(np.mean(most + np.log(np.exp(scores[known] - most[:, None]).sum(axis=1)) - true[known]))


class _Design(NamedTuple):
    """Rows in units of the spread, about their mean, along their R ≤ min(N, D) principal axes.

    Attributes:
        rows: (N, R) float64, or float32 where they are many.
        squares: (R,) mean square along each axis.
        axes: (D, R) the axes, divided by the unit.
        mean: (D,) of the rows as they were given.
    """

    rows: Narrow
    squares: FloatArray
    axes: FloatArray
    mean: FloatArray

    @classmethod
    def of(cls, rows: npt.NDArray[Any], unit: float) -> _Design:
        count, width = rows.shape
        mean = rows.mean(axis=0, dtype=np.float64)
        precision = np.float64 if rows.size <= _SMALL else np.float32
        portions = [slice(start, start + _PORTION) for start in range(0, count, _PORTION)]
        if count < width:
            scaled = ((rows - mean) / unit).astype(precision)
            values, left = _spectrum((scaled @ scaled.T).astype(np.float64))
            axes = scaled.T @ left / np.sqrt(values)
            return cls((left * np.sqrt(values)).astype(precision), values / count, axes / unit, mean)
        gram = np.zeros((width, width))
        for portion in portions:
            scaled = ((rows[portion] - mean) / unit).astype(precision)
            gram += scaled.T @ scaled
        values, axes = _spectrum(gram)
        along = np.empty((count, len(values)), precision)
        for portion in portions:
            along[portion] = ((rows[portion] - mean) / unit).astype(precision) @ axes.astype(precision)
        return cls(along, values / count, axes / unit, mean)

    def only(self, chosen: npt.NDArray[np.bool_]) -> _Design:
        """The same axes, with some of the rows."""
        return self._replace(rows=self.rows[chosen])

    def fit(self, classes: Positions, count: int, penalty: float, start: Logistic | None = None) -> Logistic:
        """The regression for these rows' classes (N,), sought from `start`."""
        present, truth = np.unique(classes, return_inverse=True)
        first = np.zeros((len(self.squares) + 1, len(present)))
        first[-1] = np.log(np.bincount(truth) / len(truth))
        if start is not None:
            # W = axes V: the axes are orthogonal, and 1/unit long
            lengths = np.square(self.axes).sum(axis=0)[:, None]
            first[:-1] = self.axes.T @ start.weights[:, present] / lengths
            first[-1] = start.bias[present] + self.mean @ start.weights[:, present]
        found, objective, steps = _minimise(_Objective(self, truth, penalty), first)
        weights, bias = np.zeros((len(self.mean), count)), np.full(count, -np.inf)
        weights[:, present] = self.axes @ found[:-1]
        bias[present] = found[-1] - self.mean @ weights[:, present]
        return Logistic(weights, bias, penalty, objective, steps)


def _spectrum(gram: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues (R,) and vectors (D, R) of a Gram matrix, without those that are zero."""
    values, vectors = np.linalg.eigh(gram)
    there = values > max(values[-1], 0.0) * _FLAT
    return values[there], vectors[:, there]


class _Point(NamedTuple):
    """The objective at one place of a line.

    Attributes:
        value: of the objective, in nats.
        residual: (C, N) probabilities less the one-hot truth.
        slope: of the objective along the line.
        curvature: h, the mean of p(1 − p).
    """

    value: float
    residual: Narrow
    slope: float
    curvature: float


class _Objective:
    """The objective over (R + 1, C) weights along the axes, with the intercepts last.

    Scores are (C, N), class by class: the few classes of a row are added up slowly where they lie side by side.
    """

    def __init__(self, design: _Design, truth: Positions, penalty: float) -> None:
        self.rows, self.truth = design.rows, truth
        self.squares = np.append(design.squares, 1.0)[:, None] * len(self.rows)
        self.penalty = np.append(np.full(len(design.squares), penalty), 0.0)[:, None]
        self._places = np.arange(len(truth))

    def scores(self, weights: FloatArray) -> Narrow:
        """(C, N) what these weights give each row."""
        narrow = weights.astype(self.rows.dtype)
        found: Narrow = narrow[:-1].T @ self.rows.T
        found += narrow[-1][:, None]
        return found

    def at(self, scores: Narrow, weights: FloatArray, moved: Narrow, direction: FloatArray, length: float) -> _Point:
        """The point that lies `length` along a direction, whose scores are `moved`."""
        chances = moved * self.rows.dtype.type(length)
        chances += scores
        chances -= chances.max(axis=0)
        true = chances[self.truth, self._places]
        np.exp(chances, out=chances)
        total = chances.sum(axis=0)
        chances /= total
        curvature = 1.0 - float(np.vdot(chances, chances)) / chances.shape[1]
        chances[self.truth, self._places] -= 1.0
        there = weights + length * direction
        value = float((np.log(total) - true).sum(dtype=np.float64)) + float((self.penalty * there**2).sum()) / 2
        slope = float(np.vdot(chances, moved)) + float((self.penalty * there * direction).sum())
        return _Point(value, chances, slope, max(curvature / len(chances), 1e-12))

    def gradient(self, residual: Narrow, weights: FloatArray) -> FloatArray:
        """(R + 1, C) the gradient, from a point's residual."""
        found = self.penalty * weights
        found[:-1] += (residual @ self.rows).T
        found[-1] += residual.sum(axis=1, dtype=np.float64)
        return found

    def hessian(self, curvature: float) -> FloatArray:
        """(R + 1, 1) about its diagonal, for every class."""
        found: FloatArray = curvature * self.squares + self.penalty
        return found


class _Pair(NamedTuple):
    """A step and by how much it changed the gradient."""

    step: FloatArray
    change: FloatArray
    product: float


def _minimise(objective: _Objective, weights: FloatArray) -> tuple[FloatArray, float, int]:
    """L-BFGS from given weights: the best ones, their objective and how many steps it took."""
    scores = objective.scores(weights)
    point = objective.at(scores, weights, scores, weights, 0.0)
    gradient = objective.gradient(point.residual, weights)
    pairs: list[_Pair] = []
    for step in range(_STEPS):
        direction = -_newton(gradient, pairs, objective.hessian(point.curvature))
        slope = float(np.vdot(gradient, direction))
        if -slope <= 2 * _CLOSE * point.value:
            return weights, point.value, step
        moved = objective.scores(direction)
        found = _search(objective, scores, weights, moved, direction, point.value, slope)
        if found is None:
            return weights, point.value, step
        length, point = found
        weights = weights + length * direction
        scores += moved * scores.dtype.type(length)
        before, gradient = gradient, objective.gradient(point.residual, weights)
        pair = _Pair(length * direction, gradient - before, float(np.vdot(length * direction, gradient - before)))
        if pair.product > 0:
            pairs = [*pairs[1 - _PAIRS :], pair]
    return weights, point.value, _STEPS


def _newton(gradient: FloatArray, pairs: list[_Pair], hessian: FloatArray) -> FloatArray:
    """The gradient times the inverse Hessian, as the last steps and the diagonal tell it: two loops."""
    found, shares = gradient.copy(), []
    for pair in reversed(pairs):
        shares.append(float(np.vdot(pair.step, found)) / pair.product)
        found -= shares[-1] * pair.change
    found /= hessian
    if pairs:
        last = pairs[-1]
        found *= last.product / float(np.vdot(last.change, last.change / hessian))
    for pair, share in zip(pairs, reversed(shares), strict=True):
        found += (share - float(np.vdot(pair.change, found)) / pair.product) * pair.step
    return found


def _search(
    objective: _Objective,
    scores: Narrow,
    weights: FloatArray,
    moved: Narrow,
    direction: FloatArray,
    value: float,
    slope: float,
) -> tuple[float, _Point] | None:
    """A length at which the slope has at least halved, by regula falsi; None where rounding hides every gain."""
    length, (low, at_low), (high, at_high) = 1.0, (0.0, slope), (np.inf, 0.0)
    for _ in range(_TRIALS):
        found = objective.at(scores, weights, moved, direction, length)
        if found.value < value and abs(found.slope) <= -slope / 2:
            return length, found
        if found.slope > 0:
            high, at_high = length, found.slope
        else:
            low, at_low = length, found.slope
        if high == np.inf:
            length *= 4
        else:
            crossing = (low * at_high - high * at_low) / (at_high - at_low)
            length = float(np.clip(crossing, 0.9 * low + 0.1 * high, 0.1 * low + 0.9 * high))
    return (length, found) if found.value < value else None


class ByRegression(NamedTuple):
    """Scores of a multinomial logistic regression."""

    logistic: Logistic

    @property
    def largest(self) -> int:
        return self.logistic.weights.size

    def scores(self, rows: FloatArray, by_class: Comparison, metric: Metric) -> FloatArray:
        """(N, C) of (N, D) quantised rows."""
        return self.logistic.scores(rows)


class Regression:
    """The regression of last time, which serves until other examples are kept among those that it is fitted to."""

    def __init__(self) -> None:
        self._last: tuple[list[Keys], FloatArray, ByRegression, FloatArray] | None = None

    def of(self, sums: ExactSums, episodes: Sequence[Episodes], sample: Sample) -> tuple[ByRegression, FloatArray]:
        """The regression, and (M, C) scores of the sample by regressions that were fitted without each example."""
        scale = _scale(sums)
        places = [some.smallest(_share(sums)) for some in episodes]
        keys = [some.keys()[chosen] for some, chosen in zip(episodes, places, strict=True)]
        last = self._last
        same = last is not None and len(last[0]) == len(keys) and all(map(np.array_equal, last[0], keys))
        if last is None or not same or not np.array_equal(last[1], scale):
            rows = [some.rows[chosen] for some, chosen in zip(episodes, places, strict=True)]
            self._last = last = keys, scale, *_fitted(np.concatenate(rows) / scale, keys, scale)
        starts = np.cumsum([0] + [len(some) for some in keys])
        asked = np.empty(len(sample.truth), np.intp)
        for place in np.unique(sample.truth):
            mine = sample.truth == place
            asked[mine] = starts[place] + np.searchsorted(keys[place], sample.keys[mine])
        return last[2], last[3][asked]


def _scale(sums: ExactSums) -> FloatArray:
    """(D,) units in which each reading varies alike over all examples, and within classes by 1 in the mean; coarse."""
    variances = np.array([coarse(value) for value in np.maximum(sums.variances(), 1.0)])
    within = float((sums.diagonal() / variances).mean()) / max(sums.degrees, 1)
    scale: FloatArray = np.sqrt(variances * coarse(within if within > _LEAST else 1.0))
    return scale


def _fitted(rows: FloatArray, keys: list[Keys], scale: FloatArray) -> tuple[ByRegression, FloatArray]:
    """The regression for (N, D) rows that were divided by the scale, class by class, and (N, C) scores of them by
    regressions without each; fitted with the classes in the order of their keys, lest it round by who came first."""
    order = sorted(range(len(keys)), key=lambda place: keys[place].tobytes())
    rank = np.argsort(order)
    truth, names = np.repeat(rank, [len(some) for some in keys]), np.concatenate(keys)
    left = held_out(rows, truth, len(keys), 1.0, keys=names, penalties=_PENALTIES)
    found = fit(rows, truth, len(keys), 1.0, keys=names, penalty=left.penalty)
    weights = found.weights[:, rank] / scale[:, None]
    return ByRegression(replace(found, weights=weights, bias=found.bias[rank])), left.scores[:, rank]


def cost(sums: ExactSums) -> int:
    """Values that a fit goes through: examples times features times classes."""
    return min(sums.total, _share(sums) * sums.classes) * sums.width * sums.classes


def _share(sums: ExactSums) -> int:
    return max(PER_CLASS, _EXAMPLES // max(sums.classes, 1))
