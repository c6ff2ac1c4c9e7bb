"""The head for inputs that have several labels: each is told from the rest, from exact sums.

A set of labels is kept as a class of the fast head, "red; round": all that makes that head exact, order, batching,
melding and unlearning, holds as it is. A label's own sums are those of the sets that it is part of. A ridge regression
onto 0 and 1 tells each label from the rest, in closed form.

The regression is that of `engram.heads.regression`: linear from the exact sums, or with kernels where left-out examples
are answered better so. Where a backbone ships the scatter of its features within classes, features are first brought
into its units, as the fast head's prior has it. How probable a label is at a score follows from left-out scores by a
logistic curve (Platt 1999, "Probabilistic outputs for support vector machines"); labels of few examples borrow that of
all labels together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.episodes import Episodes
from engram.heads.fast.fast_head import FastHead
from engram.heads.fast.left_out import LeftOut
from engram.heads.fast.novelty import ALPHAS, ErrorRates
from engram.heads.fast.shrinkage import SHARE
from engram.heads.fast.view import HeadView
from engram.heads.head import columns_of, focus, nothing_known
from engram.heads.multilabel.label_sets import all_sets, members, singles
from engram.heads.regression.curves import Straight
from engram.heads.regression.likeness import Likeness
from engram.heads.regression.reading import Choice
from engram.heads.regression.ridge_fit import Moments, RidgeFit
from engram.inputs.vectors import as_vectors
from engram.learner import FloatArray, InputError, Label, Predictions

CHOSEN_BY = 512
"""Kept examples by which the function is chosen and probabilities are fitted: those with the smallest SHA-256."""

_FITTED = 2**13  # examples that a function with kernels is fitted to, at most
_COMPARED, _PRODUCTS = 2**13, 2**21  # kept examples looked for as nearest, at most; and times their columns
_STEPS, _CLOSE = 50, 1e-9  # of Newton's method
_SHARED = 10.0  # examples that the curve of all labels counts for beside a label's own


class Taught(NamedTuple):
    """What was taught, with the single labels of each example.

    Attributes:
        labels: the C single labels.
        sums: over everything, by set of labels: exact.
        part_of: (S, C) 1 where a set of labels holds a single one.
        rows: (N, D) the kept examples by their SHA-256, each as often as it was taught, in the prior's units.
        values: (N, C) 1 where a label holds.
        whiten: (D, D) brings quantised features into the prior's units; None where there is no prior.
    """

    labels: tuple[Label, ...]
    sums: ExactSums
    part_of: FloatArray
    rows: FloatArray
    values: FloatArray
    whiten: FloatArray | None

    @classmethod
    def of(
        cls, sets: Sequence[Label], sums: ExactSums, episodes: Sequence[Episodes], whiten: FloatArray | None
    ) -> Self:
        """Up to `_FITTED` examples, those with the smallest SHA-256."""
        labels = singles(sets)
        part_of = np.zeros((len(sets), len(labels)))
        for place, one in enumerate(sets):
            part_of[place, [labels.index(label) for label in members(one)]] = 1.0
        keys = np.concatenate([some.keys() for some in episodes])
        which = np.repeat(np.arange(len(sets)), [len(some.rows) for some in episodes])
        order = np.lexsort((_ranks(sets)[which], keys))[:_FITTED]
        starts = np.cumsum([0, *(len(some.rows) for some in episodes)])
        rows = [episodes[which[at]].rows[at - starts[which[at]]] for at in order]
        kept = np.array(rows, np.float64).reshape(len(rows), sums.width)
        kept = kept if whiten is None else kept @ whiten
        return cls(labels, sums, part_of, kept, part_of[which[order]], whiten)

    def moments(self, straight: Straight) -> Moments:
        """Of the inputs in their units, and the labels, from the exact sums."""
        count, unit, sums, gram = self.sums.total, straight.unit, self.sums.sums, self.sums.gram()
        if self.whiten is not None:
            sums, gram = sums @ self.whiten, self.whiten.T @ gram @ self.whiten
        mean, middle = sums.sum(axis=0) / count, self.sums.counts @ self.part_of / count
        gram = (gram - count * np.outer(mean, mean)) * unit.scale[:, None] * unit.scale
        cross = (sums.T @ self.part_of - count * np.outer(mean, middle)) * unit.scale[:, None]
        return Moments(count, (mean - unit.mean) * unit.scale, middle, gram, cross)


class Curve(NamedTuple):
    """The probability of a label at a score s: 1/(1 + exp(−slope · s − offset))."""

    slope: FloatArray
    offset: FloatArray

    def odds(self, scores: FloatArray) -> FloatArray:
        """(N, C) logarithms of the odds."""
        found: FloatArray = scores * self.slope + self.offset
        return found

    @classmethod
    def fitted(cls, scores: FloatArray, values: FloatArray, usual: tuple[float, float], weight: float) -> Self:
        """The curve of each label.

        Args:
            scores: (L, C) left-out scores; values: (L, C) 1 where a label holds.
            usual: slope and offset that are expected.
            weight: examples that this expectation counts for.
        """
        found = [_logistic(scores[:, place], values[:, place], usual, weight) for place in range(scores.shape[1])]
        slope, offset = np.array(found).reshape(-1, 2).T
        return cls(slope, offset)


def _logistic(scores: FloatArray, values: FloatArray, usual: tuple[float, float], weight: float) -> tuple[float, float]:
    """Slope and offset that make (L,) values most likely at (L,) scores, as if `weight` examples said the usual ones.

    Values count as Platt has it, as (n + 1)/(n + 2) and 1/(n + 2), so that a label that is told without an error gets
    no infinite slope. By Newton's method.
    """
    positives = float(values.sum())
    high, low = (positives + 1.0) / (positives + 2.0), 1.0 / (len(values) - positives + 2.0)
    wanted = np.where(values > 0, high, low)
    inputs = np.stack([scores, np.ones(len(scores))], axis=1)
    centre = np.array(usual)
    spread = max(float(np.square(scores).mean()), 1e-12)
    pull = weight * 0.25 * np.array([spread, 1.0])  # the information that so many examples at even odds would bring
    found = centre.copy()
    for _ in range(_STEPS):
        chances = 1.0 / (1.0 + np.exp(-np.clip(inputs @ found, -500.0, 500.0)))
        slope = inputs.T @ (wanted - chances) - pull * (found - centre)
        curve = (inputs * (chances * (1.0 - chances))[:, None]).T @ inputs + np.diag(pull + 1e-12)
        step = np.linalg.solve(curve, slope)
        step *= min(1.0, 10.0 / max(float(np.abs(step).max()), 1e-300))
        found = found + step
        if np.abs(step).max() < _CLOSE:
            break
    return float(found[0]), float(found[1])


def whitening(covariance: FloatArray) -> FloatArray:
    """(D, D) what takes the scatter of a backbone's features within classes out of them, mixed with the identity as the
    fast head's prior is (`engram.heads.fast.shrinkage`).

    >>> moved = whitening(np.diag([4.0, 0.0]))
    >>> np.round(moved @ moved, 3).tolist()
    [[0.333, 0.0], [0.0, 1.0]]
    """
    width = len(covariance)
    prior = SHARE * covariance + (1.0 - SHARE) * np.trace(covariance) / width * np.eye(width)
    values, vectors = np.linalg.eigh(prior)
    made: FloatArray = vectors / np.sqrt(values) @ vectors.T
    return made


def _ranks(sets: Sequence[Label]) -> npt.NDArray[np.intp]:
    """(S,) places of sets in sorted order: an order that does not depend on which arrived first."""
    ranks = np.empty(len(sets), np.intp)
    ranks[sorted(range(len(sets)), key=lambda place: str(sets[place]))] = np.arange(len(sets))
    return ranks


@dataclass(frozen=True, eq=False)
class OneVsRest:
    """All that an answer needs; nothing in it changes.

    Attributes:
        labels: the C single labels.
        features, fit: from quantised inputs to scores.
        curve: from scores to odds.
        likeness: what is unlike everything taught.
        alpha: share of known inputs that may be refused.
        whiten: see `Taught`.
    """

    labels: tuple[Label, ...]
    features: Any
    fit: RidgeFit
    curve: Curve
    likeness: Likeness
    alpha: float
    whiten: FloatArray | None

    @classmethod
    def of(cls, taught: Taught, alpha: float) -> Self:
        """With the function and strength that do best on left-out examples."""
        rows, at, times = np.unique(taught.rows, axis=0, return_index=True, return_counts=True)
        order = np.argsort(at)[:CHOSEN_BY]  # different examples, by their SHA-256
        rows, values, times = rows[order], taught.values[at[order]], times[order]
        choice = Choice.of(rows, values)
        features = choice.features
        linear = isinstance(features, Straight)
        moments = taught.moments(features) if isinstance(features, Straight) else Moments.of(
            features(taught.rows), taught.values)
        fit = RidgeFit.with_penalty(moments, choice.penalty)
        seen = features(rows)
        left = values - fit.left_out(seen, values, features.missing(seen), times).residuals
        everything = _logistic(left.ravel(), values.ravel(), (4.0, -2.0), _SHARED)
        curve = Curve.fitted(left, values, everything, _SHARED)
        scatter = moments.gram if linear else Moments.of(features.unit(taught.rows), taught.values).gram
        near = min(_COMPARED, max(_PRODUCTS // taught.sums.width, CHOSEN_BY))
        likeness = Likeness.of(features.unit, scatter, taught.sums.total, np.unique(taught.rows[:near], axis=0), rows)
        return cls(taught.labels, features, fit, curve, likeness, alpha, taught.whiten)

    def answer(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, C) logarithms of the odds that each label holds for (N, D) quantised inputs, and (N,) familiarity."""
        moved = rows if self.whiten is None else rows @ self.whiten
        features = self.features(moved)
        scores, _ = self.fit.answer(features, self.features.missing(features))
        return self.curve.odds(scores), self.likeness.familiarity(moved, self.alpha)


@dataclass(frozen=True, eq=False)
class MultiLabelView(HeadView):
    """A multi-label head at the moment of `MultiLabelHead.view()`; nothing in it changes.

    Attributes:
        labels: the single labels, in the order of their first arrival.
        taught: label -> how many examples have it.
        judged: what answers come from; None before the first example.
    """

    taught: tuple[int, ...] = ()
    judged: OneVsRest | None = None

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """What the head's `predict` would have answered at that moment.

        Raises:
            InputError: wrong width, NaN or infinity.
            LabelError: `among` names a label that was not taught then.
        """
        rows, lost = self._quantise.asked(as_vectors(inputs, self.width))
        if self.judged is None:
            return nothing_known(len(rows))
        columns = columns_of(among, self._book)
        odds, familiarity = self.judged.answer(rows)
        odds = odds if columns is None else odds[:, columns]
        candidates = self.labels if columns is None else tuple(self.labels[i] for i in columns)
        sure = 1.0 / (1.0 + np.exp(-np.abs(np.clip(odds, -500.0, 500.0))))
        return Predictions(candidates, odds, familiarity >= 0.0, sure.min(axis=1), focus(odds), familiarity,
                           holding=odds > 0.0).refusing(lost)

    @cached_property
    def together(self) -> int:
        """How many inputs may be asked about at once and be answered, to the bit, as each would be alone."""
        return 1

    @cached_property
    def counts(self) -> dict[Label, int]:
        """How many examples each label had."""
        return dict(zip(self.labels, self.taught, strict=True))


class MultiLabelHead(FastHead):
    """Learns at once which labels hold: any order, batching, melding or unlearning ends in the same SHA-256.

    Args:
        mean, step, normalise, alpha, memory_budget: as for `FastHead`.
        options: the others of `FastHead`, which change nothing here; `gate` must be None.

    Raises:
        InputError: a gate.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> colour, shape = rng.integers(0, 2, (2, 40))
    >>> inputs = np.stack([colour, shape], axis=1) + 0.1 * rng.normal(size=(40, 2))
    >>> labels = [["red" if one else "blue", "round" if two else "square"] for one, two in zip(colour, shape)]
    >>> head = MultiLabelHead(step=0.01, normalise=False)
    >>> head.learn(inputs, labels)
    >>> head.predict([[1.0, 0.0], [0.0, 1.0]]).label_sets
    [('red', 'square'), ('blue', 'round')]
    """

    def __init__(self, mean: npt.ArrayLike | None = None, covariance: npt.ArrayLike | None = None,
                 **options: Any) -> None:
        if options.get("gate") is not None:
            raise InputError("A gate skips what is well known by its one label: leave gate away.")
        self._whiten: FloatArray | None = None  # follows from the covariance: made when first asked
        super().__init__(mean, covariance, **options)

    def learn(self, inputs: Any, targets: Any) -> None:
        """Learn (N, D) features, or one (D,), with a list of labels for each; a label alone is a list of one.

        Raises:
            InputError, LabelError, CapacityError: nothing was changed.
        """
        super().learn(inputs, self._sets(inputs, targets))

    def forget(self, inputs: Any, targets: Any) -> None:
        """Unlearn examples with all their labels: the digest is again that of a head that never saw them.

        Raises:
            NotTaughtError: never taught with those labels, or not so often; nothing was changed.
        """
        super().forget(inputs, self._sets(inputs, targets))

    def _sets(self, inputs: Any, targets: Any) -> list[Label]:
        count = len(as_vectors(inputs, self.width))
        alone = count == 1 and isinstance(targets, list | tuple) and not any(
            isinstance(one, list | tuple | set | frozenset) for one in targets)
        return all_sets([targets] if alone else targets, count)

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """Which labels hold for (N, D) features, or one (D,): `label_sets`, `holding` (N, C).

        Returns:
            `Predictions`; scores are logarithms of the odds that each label holds, confidence the chance of the least
            sure of them.

        Raises:
            InputError: wrong width, NaN or infinity.
            LabelError: `among` names a label that was never taught.
        """
        return self.view().predict(inputs, among)

    @property
    def single_labels(self) -> tuple[Label, ...]:
        """The labels that hold for some example."""
        return singles(self.labels)

    def left_out(self) -> LeftOut:
        """None: sets of labels are not confused as labels are."""
        return LeftOut.none()

    def error_rates(self, alphas: Iterable[float] = ALPHAS) -> list[ErrorRates]:
        """The share of known inputs refused, for each alpha; what strangers would pass cannot be told."""
        return [ErrorRates(alpha, alpha, float("nan")) for alpha in alphas] if self._book else []

    def learn_not(self, inputs: Any, labels: Any) -> None:
        """Refused: what an input is not, is said by the labels that it is taught with. Raises InputError."""
        raise InputError("Which labels do not hold is said by those that do: teach the input with these.")

    @classmethod
    def made_with(cls, config: dict[str, Any]) -> dict[str, Any]:
        return config

    def settle(self) -> None:
        """Do now the work that the next prediction would have to wait for."""
        with self._lock:
            self._see()

    def _see(self) -> HeadView:
        if (seen := self._fresh()) is None:
            seen = self._judged_anew()
            self._seen = self._state(), seen
        return seen

    def _judged_anew(self) -> MultiLabelView:
        if not self._book:
            return MultiLabelView((), self.width, self._quantise, None)
        if self._whiten is None and self._prior.covariance is not None:
            self._whiten = whitening(self._prior.covariance)
        taught = Taught.of(self.labels, self.sums, list(self._episodes), self._whiten)
        counts = tuple(int(count) for count in self.sums.counts @ taught.part_of)
        return MultiLabelView(taught.labels, self.width, self._quantise, None, counts,
                              OneVsRest.of(taught, self.alpha))

    def copy(self) -> Self:
        made = super().copy()
        made._whiten = self._whiten
        return made

    def _same_space(self, other: FastHead) -> bool:
        return isinstance(other, MultiLabelHead) and super()._same_space(other)
