"""How far two measures of the same things go together."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from engram.learner import InputError


class Correlation(NamedTuple):
    """Pearson's coefficient in [-1, 1], its confidence interval, and of how many pairs."""

    value: float
    low: float
    high: float
    n: int


def correlation(first: Any, second: Any, confidence: float = 0.95) -> Correlation:
    """Pearson's correlation with Fisher's interval (tanh of atanh r ± z/√(n − 3); Fisher 1921).

    Raises:
        InputError: fewer than four pairs, unequal lengths, or values that do not vary.

    >>> [round(x, 2) for x in correlation([1, 2, 3, 4, 5], [1, 3, 2, 5, 4])]
    [0.8, -0.28, 0.99, 5]
    """
    x, y = np.asarray(first, np.float64).ravel(), np.asarray(second, np.float64).ravel()
    if len(x) != len(y) or len(x) < 4:
        raise InputError(f"A correlation needs two times as many values, four or more: not {len(x)} and {len(y)}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and x.std() > 0 and y.std() > 0):
        raise InputError("A correlation needs finite values that are not all the same.")
    value = min(1.0, max(-1.0, float(np.corrcoef(x, y)[0, 1])))
    if abs(value) >= 1.0:
        return Correlation(value, value, value, len(x))
    half = NormalDist().inv_cdf((1 + confidence) / 2) / math.sqrt(len(x) - 3)
    return Correlation(value, math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half), len(x))
