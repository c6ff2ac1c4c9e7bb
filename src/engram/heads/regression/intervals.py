"""Prediction intervals from left-out residuals.

The residual of each example that is left out, in units of what is expected at its place, is one draw of what a new
answer is off by. The ⌈(L + 1)·level⌉-th smallest of L covers a new one with that chance where examples are
exchangeable (Vovk, Gammerman, Shafer 2005; with left-out residuals: Barber, Candès, Ramdas, Tibshirani, "Predictive
inference with the jackknife+", Annals of Statistics 49(1), 2021). Too few for that: Student's t.
"""

from __future__ import annotations

from math import ceil
from statistics import NormalDist

import numpy as np

from engram.heads.regression.ridge_fit import LeftOutErrors
from engram.learner import FloatArray, InputError

LEVEL = 0.9
"""The chance with which a number lies in its interval, unless another is chosen."""

_DECENT = 20  # left-out examples from which on their own order decides


def as_level(level: float) -> float:
    """Raises InputError where it is no chance between 0 and 1."""
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise InputError(f"level is the chance of an interval, between 0 and 1, not {level!r}.")
    return float(level)


def half_widths(errors: LeftOutErrors, level: float) -> FloatArray:
    """(K,) half the width of an interval where nothing is uncertain but the noise; infinite before the third example.

    Args:
        errors: L left-out examples of K numbers.
    """
    sizes = np.sort(np.abs(errors.residuals / errors.spread[:, None]), axis=0)
    count = len(sizes)
    if count < 3:
        return np.full(sizes.shape[1], np.inf)
    place = ceil((count + 1) * level)
    if count >= _DECENT and place <= count:
        return np.asarray(sizes[place - 1])
    noise = np.sqrt(np.square(sizes).sum(axis=0) / (count - 1))
    return np.asarray(student(0.5 + level / 2, count - 1) * noise)


def student(chance: float, freedom: int) -> float:
    """The quantile of Student's t distribution with two degrees of freedom or more, off by 1% at most for chances
    from 0.5 to 0.975: a closed form for two, else the expansion about the normal quantile (Cornish, Fisher 1938).

    >>> round(student(0.95, 10), 3)
    1.812
    """
    if freedom < 3:
        share = 2 * chance - 1
        return float(share * (2 / (1 - share**2)) ** 0.5)
    z = NormalDist().inv_cdf(chance)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, 1)))
