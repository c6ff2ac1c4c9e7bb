"""How far the covariance of what was taught is shrunk towards the prior: closed form, a function of the sums alone.

Σ = (κ t B + S_w)/(κ + N). The prior B is the bundle's within-class covariance S0 mixed with the identity of the same
trace. S0 deserves less trust where it was measured on few examples for its width, and none where it was measured on the
very examples that are taught: it describes them better than any that are still to come.

Without S0, κ follows from oracle approximating shrinkage (Chen, Wiesel, Eldar and Hero 2010, arXiv 0907.4698), and B is
the identity, for raw readings with squared units in place of 1, where they vary very differently. All this
moves in coarse steps. So they are the same for whoever holds the same sums,
however these came together, and the precision need not be made anew with every example.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engram.heads.exact_sums import ExactSums
from engram.inputs.sketch import Sketches, seen_among, sketches
from engram.learner import FloatArray

KAPPA = 300.0
"""Examples that a shipped S0 is worth. Chosen on classes of Tiny-ImageNet and Omniglot: 150 to 600 do as well."""

SHARE = 0.5
"""Of S0 in B, where S0 was measured on very many examples; the rest is the identity. Chosen likewise: 0.3 to 0.7."""

_FARTHEST = 20.0  # by which the scatter of what is taught may differ from S0
_FIT_FROM = 10  # degrees of freedom from which the scale of the scatter is taken from the sums
_LEAST = 1e-6  # of the median variance of a reading, below which one is taken to be this large
_COLUMNS = 128
"""Up to here readings are the columns of a table, which come in units of their own; wider ones are mostly embeddings,
whose readings are of one kind, and with so many some unit would take a step, and cost an inverse, with every lesson."""
_ALIKE = 10.0  # by which variances may differ from their median before the units are taken to differ
_PROBES = 32  # directions that estimate the norm of the scatter, where there are more features
_EIGHTHS = 8.0


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """κ pseudo-counts for t times the prior, in which S0 has this share; `variances` are its diagonal without S0."""

    kappa: float
    scale: float
    share: float = 0.0
    variances: tuple[float, ...] | None = None


class Prior:
    """What is believed about the spread within classes before any example.

    Args:
        width: D.
        covariance: (D, D) S0 in quantised units squared, or None.
        freedom: examples less classes that S0 was measured on; None where the bundle does not say.
        measured: (N, 8) sketches of those examples, or None where they are too many for one to matter.
        raw: whether features are raw readings, each in units of its own.
        scaled: whether these are asked in units of their deviations; else only where they differ very much.
        given: (D,) what each reading is multiplied by to be in the unit that it came in; None: all by the same.
    """

    def __init__(
        self, width: int, covariance: FloatArray | None = None, freedom: int | None = None,
        measured: Sketches | None = None, raw: bool = False, scaled: bool = False,
        given: FloatArray | None = None,
    ) -> None:
        self.width, self.covariance, self.freedom, self.measured, self.raw = width, covariance, freedom, measured, raw
        self.scaled, self._given = scaled and raw, given
        self._within: dict[float, float] = {}

    @property
    def shipped(self) -> bool:
        """Whether the bundle brought a covariance."""
        return self.covariance is not None

    def shrinkage(self, sums: ExactSums, overlap: float = 0.0) -> Shrinkage:
        """κ, t and the share of S0 for these sums.

        Args:
            overlap: share, in [0, 1], of what is taught that S0 was measured on.
        """
        degrees = sums.degrees
        if self.covariance is not None:
            trace = sums.trace()
            scale = trace / (degrees * self._trace) if degrees >= _FIT_FROM else 1.0
            scale = float(np.clip(scale, 1.0 / _FARTHEST, _FARTHEST))  # the same example twice has no scatter at all
            return Shrinkage(KAPPA, coarse(scale), self._share(overlap))
        variances = sums.variances()
        scales = self.units(sums) if self.raw else np.ones(self.width)
        kept = tuple(scales.tolist()) if self.raw else None
        relative = float((sums.diagonal() / scales).sum())
        spread = 0.5 * float((variances / scales).mean())
        if not degrees or relative <= 1e-9 * spread * degrees * self.width:
            return Shrinkage(KAPPA, coarse(spread), variances=kept)
        kappa = coarse(_oracle(sums, np.sqrt(scales), relative))
        return Shrinkage(kappa, coarse(relative / (degrees * self.width)), variances=kept)

    def units(self, sums: ExactSums) -> FloatArray:
        """(D,) the squared units in which raw readings are asked."""
        variances = sums.variances()
        if not self.scaled:
            return units(variances)
        if self.width <= _COLUMNS:
            return deviations(variances, sums.total)
        found = units(variances)
        return found * coarse(float((variances / found).mean()))

    def shared(self, sums: ExactSums) -> FloatArray:
        """(D,) squared units in which raw readings are as they were given: all in one."""
        found = np.ones(self.width) if self._given is None else np.square(self._given.max() / self._given)
        spread = float((sums.variances() / found).mean())
        return found * (spread if spread > 0 else 1.0)

    def overlap(self, rows: FloatArray) -> float:
        """Share of (N, D) quantised examples that S0 was measured on."""
        if self.measured is None or self.covariance is None or not len(rows):
            return 0.0
        return float(seen_among(sketches(rows), self.measured).mean())

    @property
    def usual(self) -> float:
        """The mean squared distance of two examples of a class, by S0; infinite without it."""
        return 2.0 * self._trace if self.covariance is not None else float("inf")

    @cached_property
    def chance(self) -> float:
        """The deviation of the cosine of two things that have nothing to do with each other."""
        if self.covariance is None:
            return float(self.width**-0.5)
        return float(np.linalg.norm(self.covariance) / self._trace)

    def within(self, share: float) -> float:
        """tr(B⁻¹ S0): by what squared length things of one class scatter, in the metric of the prior; 0 without S0."""
        if self.covariance is None:
            return 0.0
        if share not in self._within:
            self._within[share] = float(np.trace(np.linalg.solve(self._mixed(share), self.covariance)))
        return self._within[share]

    def matrix(self, shrinkage: Shrinkage) -> FloatArray:
        """B, (D, D): S0 mixed with the identity of its trace, or its own diagonal; without S0 the identity, or the
        variances."""
        if self.covariance is None:
            return np.eye(self.width) if shrinkage.variances is None else np.diag(shrinkage.variances)
        return self._mixed(shrinkage.share)

    def _mixed(self, share: float) -> FloatArray:
        assert self.covariance is not None
        mixed: FloatArray = share * self.covariance
        even = self._trace / self.width
        own = np.maximum(np.diagonal(self.covariance), _LEAST * even) if self.scaled else even
        mixed.flat[:: self.width + 1] += (1.0 - share) * own
        return mixed

    def _share(self, overlap: float) -> float:
        known = 1.0 if self.freedom is None else self.freedom / (self.freedom + 4.0 * self.width)
        return SHARE * known * (1.0 - round(_EIGHTHS * overlap) / _EIGHTHS)

    @cached_property
    def _trace(self) -> float:
        return float(np.trace(self.covariance)) if self.covariance is not None else float(self.width)


def _oracle(sums: ExactSums, scales: FloatArray, trace: float) -> float:
    """κ of oracle approximating shrinkage of the scatter, each feature divided by its scale, to the identity."""
    width, degrees = sums.width, sums.degrees
    first, second = trace / degrees, sums.squared_norm(scales, _PROBES) / degrees**2
    beyond = (degrees + 1.0 - 2.0 / width) * (second - first**2 / width)
    wanted = (1.0 - 2.0 / width) * second + first**2
    share = min(1.0, wanted / beyond) if beyond > 0 else 1.0
    return float(np.clip(degrees * share / max(1.0 - share, 1e-9), 1.0, 1e5))


def units(variances: FloatArray) -> FloatArray:
    """(D,) squared units that bring readings within a factor of √10 of the median deviation, in coarse steps.

    Within that they stay as they are: a reading that varies less may well tell less.
    """
    positive = variances[variances > 0]
    middle = float(np.median(positive)) if len(positive) else 1.0
    there = np.maximum(variances, _LEAST * middle)
    return _all_coarse(there / np.clip(there, middle / _ALIKE, middle * _ALIKE))


def deviations(variances: FloatArray, examples: int) -> FloatArray:
    """(D,) squared units in which readings vary alike, in coarse steps: their variances, as far as these can be known.

    The logarithm of a variance of ν degrees of freedom has itself the variance ψ'(ν/2). As much as the logarithms of
    all readings vary by no more than that, they are shrunk to their mean (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3).
    So two examples leave readings of one kind about as they are, and still bring amperes and pascals together. A
    reading that has not varied yet gets the middle unit.
    """
    varies = variances > 0
    if not varies.any():
        return np.ones(len(variances))
    logs = np.log(variances[varies])
    middle, spread = float(logs.mean()), float(logs.var())
    half = max(examples - 1, 1) / 2.0
    noise = 1.0 / half + 0.5 / half**2 + 1.0 / (6.0 * half**3)  # ψ'(x) for x ≥ ½, to a tenth
    share = max(spread - noise, 0.0) / spread if spread > 0 else 0.0
    found = np.full(len(variances), middle)
    found[varies] += share * (logs - middle)
    return _all_coarse(np.exp(found))


def _all_coarse(values: FloatArray) -> FloatArray:
    """`coarse` of each: most of many values have the same step, so few are worked out one by one."""
    steps, places = np.unique(np.round(2.0 * np.log2(np.maximum(values, 1e-300))), return_inverse=True)
    found: FloatArray = np.array([2.0 ** (0.5 * step) for step in steps.tolist()])[places]
    return found


def coarse(value: float) -> float:
    """The nearest power of √2."""
    return float(2.0 ** (0.5 * round(2.0 * np.log2(max(value, 1e-300)))))
