"""How far to trust the backbone's own covariance: normal-inverse-Wishart evidence in closed form.

The within-class scatter of what was taught, with N degrees of freedom, is Wishart around a covariance whose
prior is inverse-Wishart with mean t·S̃0 and ν = κ + D + 1 degrees of freedom. Integrating the covariance out
leaves the evidence below (see Gelman et al., Bayesian Data Analysis, 3rd ed., section 3.6, for the integral);
its maximum over the strength κ and the scale t says how much the shipped statistics are worth here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import lgamma, log

import numpy as np

from engram.learner import FloatArray

WEAKEST, STRONGEST = 10.0, 1e5


@dataclass(frozen=True, slots=True)
class PriorTrust:
    """κ pseudo-counts for the prior covariance, scaled by t."""

    kappa: float = 300.0
    scale: float = 1.0


def log_evidence(kappa: float, scale: float, spectrum: FloatArray, degrees: int) -> float:
    """Log evidence, up to terms free of κ and t.

    Args:
        spectrum: (D,) eigenvalues of the scatter relative to the prior covariance S̃0.
        degrees: N, the scatter's degrees of freedom.
    """
    width = len(spectrum)
    nu = kappa + width + 1
    return float(
        0.5 * nu * width * log(kappa)
        - 0.5 * degrees * width * log(scale)
        - 0.5 * (nu + degrees) * np.log(kappa + spectrum / scale).sum()
        + _log_gamma((nu + degrees) / 2, width)
        - _log_gamma(nu / 2, width)
    )


def fit_trust(spectrum: FloatArray, degrees: int) -> PriorTrust:
    """The κ in [10, 10⁵] and t > 0 of largest evidence."""
    spectrum = np.maximum(spectrum, 0.0)
    if not spectrum.any():
        return PriorTrust()

    def profile(log_kappa: float) -> float:
        kappa = float(np.exp(log_kappa))
        return log_evidence(kappa, _best_scale(kappa, spectrum, degrees), spectrum, degrees)

    grid = np.linspace(log(WEAKEST), log(STRONGEST), 13)
    best = int(np.argmax([profile(point) for point in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    kappa = float(np.exp(_golden_maximum(profile, float(low), float(high))))
    return PriorTrust(kappa, _best_scale(kappa, spectrum, degrees))


def _best_scale(kappa: float, spectrum: FloatArray, degrees: int) -> float:
    """Root of d(evidence)/d(ln t): (ν+N) Σ w/(κt + w) = N D, monotone in t, by bisection on ln t."""
    width = len(spectrum)
    total = kappa + width + 1 + degrees
    wanted = degrees * width / total
    low, high = log(spectrum.max()) - 60.0, log(spectrum.max()) + 60.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if (spectrum / (kappa * np.exp(middle) + spectrum)).sum() > wanted:
            low = middle
        else:
            high = middle
    return float(np.clip(np.exp(0.5 * (low + high)), 1e-6, 1e6))


def _golden_maximum(function: Callable[[float], float], low: float, high: float) -> float:
    ratio = 0.6180339887498949
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = function(a), function(b)
    while high - low > 1e-3:
        if at_a > at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = function(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = function(b)
    return 0.5 * (low + high)


@lru_cache(maxsize=64)
def _log_gamma(value: float, width: int) -> float:
    """ln Γ_D(value) without its constant π^{D(D−1)/4}, which cancels."""
    return sum(lgamma(value - 0.5 * j) for j in range(width))
