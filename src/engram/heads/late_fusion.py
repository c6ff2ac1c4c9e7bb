"""Late fusion: what several senses say about one thing becomes one answer.

Each sense has a learner of its own, which gives every label a probability, calibrated on left-out examples, and says
how surprising the input would be if it were known. Two rules combine them; neither has a constant of its own.

Labels: the product of the probabilities, each to a power (a logarithmic opinion pool: Genest and Zidek 1986; with all
powers 1 it is the product rule of Kittler et al. 1998, Bayes' for senses that err independently of each other). The
powers are those under which left-out examples of the same labels are most likely, put together at random.

"Nothing I know": the p-values of the senses are combined by Fisher's method (1925). So a thing is refused with the
chance alpha if it is known, however many senses are asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.head import focus, softmax
from engram.learner import FloatArray, Label, Predictions

_LEAST = -float(np.log(1e12))  # the logarithm of a chance below which labels are not told apart
_STEPS, _CLOSE = 50, 1e-9  # of Newton's method


class Evidence(NamedTuple):
    """What one sense says about N things.

    Attributes:
        labels: the C labels that this sense was taught.
        log_chances: (N, C) logarithms of the probabilities of the labels.
        shares: (N,) p-values: the share of known things that are less familiar than this one.
        refused, accepted: chances that something known is refused, and that a stranger is not.
        alpha: the share of known things that may be refused.
    """

    labels: tuple[Label, ...]
    log_chances: FloatArray
    shares: FloatArray
    refused: float
    accepted: float
    alpha: float


class Judged(NamedTuple):
    """How one sense answers what it was taught, each example left out.

    Attributes:
        labels: the C labels.
        truth: (M,) the label of each example, as its place in `labels`.
        log_chances: (M, C) logarithms of the probabilities.
    """

    labels: tuple[Label, ...]
    truth: npt.NDArray[np.intp]
    log_chances: FloatArray


@dataclass(frozen=True, slots=True)
class OpinionPool:
    """The powers of the senses, in their order.

    >>> rng = np.random.default_rng(0)
    >>> truth = np.arange(40) % 2
    >>> def judged(noise):
    ...     scores = np.eye(2)[truth] + noise * rng.normal(size=(40, 2))
    ...     return Judged(("cat", "dog"), truth, scores - np.logaddexp(*scores.T)[:, None])
    >>> sharp, vague = OpinionPool.fitted([judged(0.2), judged(2.0)]).powers
    >>> sharp > vague
    True
    """

    powers: tuple[float, ...]

    @classmethod
    def fitted(cls, senses: Sequence[Judged]) -> OpinionPool:
        """The powers under which left-out examples are most likely; 1 for each where none can be left out.

        Examples of one label are put together in the order in which the senses keep them: the first seen with the first
        heard. A power is expected to be 1 give or take 1, before any example says more.
        """
        common = [label for label in senses[0].labels if all(label in sense.labels for sense in senses)]
        chosen = [places for label in common for places in _met(senses, label)]
        if len(common) < 2 or not chosen:
            return cls((1.0,) * len(senses))
        rows = np.array(chosen)
        columns = [[sense.labels.index(label) for label in common] for sense in senses]
        seen = np.stack([
            np.maximum(sense.log_chances[rows[:, place]][:, columns[place]], _LEAST)
            for place, sense in enumerate(senses)
        ])
        truth = np.array([columns[0].index(int(senses[0].truth[row])) for row in rows[:, 0]])
        return cls(tuple(_most_likely(seen, truth).tolist()))

    def answer(self, senses: Sequence[Evidence], labels: Sequence[Label]) -> Predictions:
        """One answer to N things that all these senses met.

        A label that a sense was never taught is neither more nor less probable for what that sense says of its labels,
        but where it finds the thing strange, and less where it does not: by how often strangers pass.

        Args:
            labels: the candidates, each taught to one sense at least.
        """
        scores = np.zeros((len(senses[0].shares), len(labels)))
        for sense, power in zip(senses, self.powers, strict=True):
            scores += _told(sense, power, labels)
        chances = softmax(scores)
        familiarity = _fisher([sense.shares for sense in senses]) - np.log(max(sense.alpha for sense in senses))
        return Predictions(tuple(labels), np.log(np.maximum(chances, 1e-300)), familiarity >= 0.0, chances.max(axis=1),
                           focus(chances), familiarity)


def _met(senses: Sequence[Judged], label: Label) -> list[list[int]]:
    """Left-out examples of a label put together, one of each sense, as often as the most frequent has some."""
    places = [np.flatnonzero(sense.truth == sense.labels.index(label)).tolist() for sense in senses]
    if not all(places):
        return []
    return [[some[turn % len(some)] for some in places] for turn in range(max(map(len, places)))]


def _most_likely(seen: FloatArray, truth: npt.NDArray[np.intp]) -> FloatArray:
    """(S,) powers, by Newton's method: the logarithm of the likelihood is concave in them.

    Args:
        seen: (S, M, C) log-chances; truth: (M,) the right columns.
    """
    powers = np.ones(len(seen))
    right = seen[:, np.arange(len(truth)), truth]
    best = _likelihood(powers, seen, right)
    for _ in range(_STEPS):
        chances = softmax(np.einsum("s,smc->mc", powers, seen))
        mean = np.einsum("mc,smc->sm", chances, seen)
        slope = (right - mean).sum(axis=1) - (powers - 1.0)
        away = seen - mean[:, :, None]
        curve = np.einsum("mc,smc,tmc->st", chances, away, away) + np.eye(len(seen))
        step, size = np.linalg.solve(curve, slope), 1.0
        while True:
            tried = np.maximum(powers + size * step, 0.0)
            found = _likelihood(tried, seen, right)
            if found >= best or size < _CLOSE:
                break
            size /= 2
        gain, best, powers = found - best, max(found, best), tried if found >= best else powers
        if gain <= _CLOSE:
            break
    return powers


def _likelihood(powers: FloatArray, seen: FloatArray, right: FloatArray) -> float:
    scores = np.einsum("s,smc->mc", powers, seen)
    highest = scores.max(axis=1)
    total = highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1))
    return float((powers @ right - total).sum() - 0.5 * np.square(powers - 1.0).sum())


def _told(sense: Evidence, power: float, labels: Sequence[Label]) -> FloatArray:
    """(N, L) by how much what a sense met is more probable for each label than for a stranger: logarithms."""
    passes = sense.shares >= sense.alpha
    known = np.where(passes, 1.0 - sense.refused, sense.refused)
    strange = np.where(passes, sense.accepted, 1.0 - sense.accepted)
    ahead = np.log(known / strange) + np.log(len(sense.labels))
    told = np.zeros((len(passes), len(labels)))
    places = {label: place for place, label in enumerate(sense.labels)}
    mine = [place for place, label in enumerate(labels) if label in places]
    columns = [places[labels[place]] for place in mine]
    told[:, mine] = power * np.maximum(sense.log_chances[:, columns], _LEAST) + ahead[:, None]
    return told


def _fisher(shares: Sequence[FloatArray]) -> FloatArray:
    """(N,) logarithm of the p-value of S independent p-values each: of χ² with 2S degrees of freedom at −2 Σ ln p."""
    half = -np.log(np.maximum(np.stack(shares), 1e-300)).sum(axis=0)
    terms = sum(half**power / factorial(power) for power in range(len(shares)))
    found: FloatArray = -half + np.log(terms)
    return found
