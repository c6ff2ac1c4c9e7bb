"""Nothing I know: whether an input resembles anything taught, without a single example of an unknown.

One number decides, the *resemblance* to the nearest class: the cosine with its mean for features of a network, the
negative log of the distance for raw readings. A known thing is refused where its own class and every other one resemble
it less than the threshold. So the share of known things refused is the product of two shares, and both are known from
what was taught: how examples resemble their own class when left out, and how they resemble the others.

After one example of each class none can be left out. What a known thing will score is then expected from how far the
classes lie apart; that expectation counts for a few examples, and fades as real ones come.

Strangers are free as well: the examples of each class, asked as if their class had never been taught.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.learner import FloatArray, InputError

ALPHAS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of known things refused at which both errors are told."""

_POINTS = 10  # thresholds at which the share refused is found at a time; between the last it is interpolated
_ROUNDS = 3  # of these, each between two points of the one before
_QUANTILES = 128  # that stand for a larger sample

_HANDICAP = 0.25  # of what a class of more examples is expected to score more: all of it would make the class of one
# example, whose threshold it lowers, take in most strangers; none of it would refuse most things like that example

_LEAST = 1e-3  # cosine of two things of a class
_STEPS, _CLOSE = 50, 1e-13  # of the search for it

_SMALLEST_SHARE, _SHARES = 1e-4, 60  # of known things, that is told from none; and how many are told apart

_BY_MODEL = 300.0  # left-out examples that the two factors count for beside the empirical quantile


class Expectation(NamedTuple):
    """What a known thing scores with a class of one example.

    Attributes:
        lead: how far above the mean of the scores with other classes it lies at least, in deviations of those.
        share: of the cosine that the bundle's scatter would give, it reaches at least this much: a scatter
            that was measured elsewhere is too small.
        spread: its deviation is at least this many of theirs,
        relative: and at least this part of itself.
        weight: left-out examples that it counts for.
    """

    lead: float = 2.5
    share: float = 0.5
    spread: float = 2.0
    relative: float = 0.45
    weight: float = 3.0


EXPECTED = Expectation()
"""Chosen on classes of Tiny-ImageNet, Omniglot, CLINC150 and spoken digits, one example each."""


class Scores(NamedTuple):
    """Resemblances of left-out examples.

    Attributes:
        own: (L,) with their own class, of those whose class has others.
        groups: (L,) how many groups of near-duplicates their class has left.
        truth: (L,) their class.
        others: (M,) the largest with another class.
        strangers: (M, C) with every class, as if their own had never been taught (−inf).
        rows: (L,) which of the M they are.
    """

    own: FloatArray
    groups: FloatArray
    truth: npt.NDArray[np.intp]
    others: FloatArray
    strangers: FloatArray
    rows: npt.NDArray[np.intp]


class ErrorRates(NamedTuple):
    """Both errors of "Nothing I know" at one setting, each a share from 0 to 1.

    Attributes:
        alpha: the setting.
        refused: of known things, that are refused.
        accepted: of strangers like the other classes, that are taken for something; NaN with one class.
        least, most: between which `accepted` lies in nine of ten cases, for as many kinds of strangers as there are
            classes; NaN with one class.
    """

    alpha: float
    refused: float
    accepted: float
    least: float = float("nan")
    most: float = float("nan")


@dataclass(frozen=True, eq=False)
class Novelty:
    """The calibrated test.

    Attributes:
        expected: (C,) what a known thing is expected to score with each class.
        residuals: (L,) how left-out examples deviate from that.
        tails: the deviation of the expectation, and how many examples it counts for.
        others: (M,) the largest resemblance of taught things with other classes, less the handicap.
        strangers: (M,) of strangers with any class, likewise.
        known: (L,) of left-out examples with any class, likewise.
        handicap: (C,) what classes of more examples must score more.
        groups: (C,) groups of near-duplicates in each class: how often its like is taken to be met.
    """

    expected: FloatArray
    residuals: FloatArray
    tails: tuple[float, float]
    others: FloatArray
    strangers: FloatArray
    known: FloatArray
    handicap: FloatArray
    groups: FloatArray

    @classmethod
    def of(cls, scores: Scores, groups: FloatArray, grows: bool, chance: float, agreement: float) -> Novelty:
        """From left-out scores.

        Args:
            groups: (C,) groups of near-duplicates in each class.
            grows: whether the resemblance grows with the examples of a class, as a cosine does.
            chance: the deviation of the score of two things that have nothing to do with each other.
            agreement: the cosine of two things of one class, as far as the bundle can say; 0 where it cannot.
        """
        middle, between = _between(scores.strangers, chance)
        one = max(middle + EXPECTED.lead * between, EXPECTED.share * agreement)
        deviation = max(EXPECTED.spread * between, EXPECTED.relative * one if grows else 0.0)
        growth = _Growth(one, scores, EXPECTED.weight, grows)
        expected = growth.at(groups)
        handicap = _HANDICAP * (expected - expected[groups > 0].mean()) if grows else np.zeros(len(groups))
        residuals = scores.own - growth.at(scores.groups)
        own = residuals + (expected - handicap)[scores.truth]
        others = scores.others
        apart = np.where(np.isfinite(scores.strangers), scores.strangers - handicap, -np.inf)
        return cls(expected, residuals, (deviation, EXPECTED.weight), others, apart.max(axis=1, initial=-np.inf),
                   np.maximum(own, others[scores.rows]), handicap, groups)

    def threshold(self, alpha: float) -> float:
        """Resemblance, less the handicap, below which an input is refused, so that a share alpha of known things is."""
        modelled = self._modelled(alpha)
        share = len(self.known) / (len(self.known) + _BY_MODEL)
        measured = float(_quantiles(self.known, np.array([alpha]))[0]) if len(self.known) else 0.0
        return share * measured + (1.0 - share) * modelled

    def shares(self, above: FloatArray, alpha: float) -> FloatArray:
        """(N,) the share of known things that resemble what was taught less than inputs do: a p-value of each.

        Args:
            above: (N,) how far inputs lie above the threshold of `alpha`; at 0 the share is alpha.
        """
        limits, logarithms = self._shares
        limit = self.threshold(alpha)
        told = np.interp(limit + above, limits, logarithms) - np.interp(limit, limits, logarithms)
        found: FloatArray = np.minimum(alpha * np.exp(told), 1.0)
        return found

    @cached_property
    def _shares(self) -> tuple[FloatArray, FloatArray]:
        """Thresholds from low to high, and the logarithms of the shares of known things that they refuse."""
        shares = np.geomspace(_SMALLEST_SHARE, 1.0 - _SMALLEST_SHARE, _SHARES)
        limits = np.maximum.accumulate([self.threshold(float(share)) for share in shares])
        return limits, np.log(shares)

    def rates(self, alpha: float) -> ErrorRates:
        """Both errors that are to be expected with this alpha."""
        strange = self.strangers[np.isfinite(self.strangers)]
        if not len(strange):
            return ErrorRates(alpha, alpha, float("nan"))
        classes = len(self.expected)
        below = float(_Smoothed.of(strange).below(np.array([self.threshold(alpha)]))[0])
        below **= classes / max(classes - 1, 1)
        return ErrorRates(alpha, alpha, 1.0 - below, *_possible(1.0 - below, classes))

    def _modelled(self, alpha: float) -> float:
        """The threshold at which the two factors have refused this share."""
        low, high = self._ends
        for _ in range(_ROUNDS):
            at = np.linspace(low, high, _POINTS)
            refused = np.maximum.accumulate(self._refused(at))
            place = int(np.clip(np.searchsorted(refused, alpha, side="right"), 1, _POINTS - 1))
            low, high = float(at[place - 1]), float(at[place])
        return float(np.interp(alpha, refused, at))

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """Thresholds at which next to nothing and next to all is refused."""
        reach, expected = 6.0 * self.tails[0], self.expected - self.handicap
        samples = (expected - reach, expected + reach, self.others[np.isfinite(self.others)], self.known)
        return min(float(some.min()) for some in samples if len(some)), max(
            float(some.max()) for some in samples if len(some))

    @cached_property
    def _factors(self) -> tuple[FloatArray, FloatArray, _Smoothed | None, _Smoothed | None]:
        """(E,) different expectations and the part of what is known that has each; deviations from them; the others."""
        expected, which = np.unique(self.expected - self.handicap, return_inverse=True)
        parts = np.bincount(which, weights=self.groups) / self.groups.sum()
        others = self.others[np.isfinite(self.others)]
        return expected, parts, *(_Smoothed.of(some) if len(some) else None for some in (self.residuals, others))

    def _refused(self, at: FloatArray) -> FloatArray:
        """(T,) the share of known things that the two factors have refused at (T,) thresholds."""
        deviation, weight = self.tails
        expected, parts, residuals, others = self._factors
        away = (at[:, None] - expected).ravel()
        own = weight * _normal(away / max(deviation, 1e-12))
        if residuals is not None:
            own += len(self.residuals) * residuals.below(away)
        refused: FloatArray = (own / (weight + len(self.residuals))).reshape(len(at), len(expected)) @ parts
        return refused if others is None else refused * others.below(at)


def _possible(share: float, classes: int) -> tuple[float, float]:
    """Between which the share lies for as many kinds of strangers as there are classes: by Wilson (1927), for 90%.

    Each class counts as one stranger: its examples are much alike, so that many tell little more than one. And it
    counts half, since the kinds of strangers that are met are drawn by chance like the classes.
    """
    squared, trials = NormalDist().inv_cdf(0.95) ** 2, classes / 2
    middle = share + squared / (2 * trials)
    half = float(np.sqrt(squared * (share * (1.0 - share) / trials + squared / (4 * trials**2))))
    return max((middle - half) / (1 + squared / trials), 0.0), min((middle + half) / (1 + squared / trials), 1.0)


class _Growth:
    """What a known thing scores with a class of ν examples: ρ/√(ρ + (1 − ρ)/ν), where two have the cosine ρ."""

    def __init__(self, one: float, scores: Scores, weight: float, grows: bool) -> None:
        self._grows = grows
        if not len(scores.own):
            self._one = one
            return
        if not grows:
            measured = float(scores.own.mean())
        else:
            groups, times = np.unique(scores.groups, return_counts=True)
            measured = _one_of(float(scores.own.mean()), groups, times / times.sum())
        count = len(scores.own)
        self._one = (weight * one + count * measured) / (weight + count)

    def at(self, groups: FloatArray) -> FloatArray:
        """(C,) the expected score with classes of so many groups of examples."""
        if not self._grows:
            return np.full(len(groups), self._one)
        one = float(np.clip(self._one, _LEAST, 1.0))
        grown: FloatArray = one / np.sqrt(one + (1.0 - one) / np.maximum(groups, 1.0))
        return grown


def _one_of(mean: float, groups: FloatArray, shares: FloatArray) -> float:
    """ρ in [0.001, 1] with which things score this mean, where these (G,) shares of them meet classes of ν = `groups`.

    By Newton's method from below: the mean is concave in ρ.
    """
    one, inverse = _LEAST, 1.0 / groups
    for _ in range(_STEPS):
        under = one + (1.0 - one) * inverse
        at = float((shares / np.sqrt(under)).sum())
        slope = at - 0.5 * one * float((shares * (1.0 - inverse) / (under * np.sqrt(under))).sum())
        before, one = one, float(np.clip(one + (mean - one * at) / slope, _LEAST, 1.0))
        if one - before <= _CLOSE:
            break
    return one


def _between(strangers: FloatArray, chance: float) -> tuple[float, float]:
    """Mean and deviation of the scores with other classes; few of them are helped by what chance would give."""
    scores = strangers[np.isfinite(strangers)]
    if not len(scores):
        return 0.0, chance
    few = 3.0
    variance = (len(scores) * float(scores.var()) + few * chance**2) / (len(scores) + few)
    return float(scores.mean()), float(np.sqrt(variance))


class _Smoothed(NamedTuple):
    """A distribution, from a sample: Gaussian kernels about its points that keep its variance (Silverman).

    Attributes:
        points: (P,) where the kernels are.
        width: their deviation; 0 where all of the sample is the same.
    """

    points: FloatArray
    width: float

    @classmethod
    def of(cls, sample: FloatArray) -> _Smoothed:
        if len(sample) > _QUANTILES:
            sample = _quantiles(sample, (np.arange(_QUANTILES) + 0.5) / _QUANTILES)
        mean, deviation = float(sample.mean()), float(sample.std())
        if deviation <= 1e-12 * max(abs(mean), 1.0):
            return cls(np.array([mean]), 0.0)
        width = 1.06 * deviation * len(sample) ** -0.2
        kept = np.sqrt(max(1.0 - (width / deviation) ** 2, 0.0))
        return cls(mean + kept * (sample - mean), width)

    def below(self, at: FloatArray) -> FloatArray:
        """(T,) the share below each of (T,) points."""
        if not self.width:
            return np.where(at >= self.points[0], 1.0, 0.0)
        below: FloatArray = _normal((at[:, None] - self.points) / self.width).mean(axis=1)
        return below


def _quantiles(sample: FloatArray, shares: FloatArray) -> FloatArray:
    """(S,) quantiles, between examples on a straight line: numpy's own take longer."""
    found: FloatArray = np.interp(shares * (len(sample) - 1), np.arange(len(sample)), np.sort(sample))
    return found


_FAR, _EACH = 6.0, 400  # deviations that the table reaches, and its entries for each
_BELOW = np.array([NormalDist().cdf(place / _EACH - _FAR) for place in range(2 * int(_FAR * _EACH) + 1)])


def _normal(z: FloatArray) -> npt.NDArray[np.float64]:
    """The normal distribution function, by the nearest entry of a table: numpy has none. Off by 0.0005 at most."""
    places = np.rint(np.clip(z, -_FAR, _FAR) * _EACH).astype(np.int32)
    places += int(_FAR * _EACH)
    found: npt.NDArray[np.float64] = _BELOW.take(places)
    return found


def as_alpha(alpha: Any) -> float:
    """A share of known things that may be refused. Raises InputError where it is none between 0 and 1."""
    if isinstance(alpha, bool) or not isinstance(alpha, int | float | np.floating) or not 0 < alpha < 1:
        raise InputError(f"alpha must be between 0 and 1, not {alpha!r}.")
    return float(alpha)
