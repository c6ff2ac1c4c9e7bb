"""A kernel read-out for curved boundaries: a linear discriminant over random Fourier features.

An input becomes √2 cos(ω·x + b) for random ω and b, whose products approximate a Gaussian kernel (Rahimi and Recht
2007, "Random features for large-scale kernel machines"). They are rounded to integers, so the sums over them are exact
like any other: they depend on which examples there are, and on no order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.discriminant import Discriminant
from engram.heads.fast.episodes import Episodes
from engram.heads.fast.leave_out import LeaveOut
from engram.heads.fast.metric import Comparison, Metric
from engram.heads.fast.reading import score
from engram.heads.fast.sample import Sample
from engram.heads.fast.shrinkage import Prior, coarse, units
from engram.learner import FloatArray

MOST_FEATURES = 64
"""Of an input, beyond which there is no kernel: so many directions are rarely curved, and need more random ones."""

WIDTHS = (0.2, 0.5, 1.0)
"""Of the kernels that are tried, in deviations of a feature over all examples, times the root of their number."""

_RANDOM = 256  # random features
_UNIT = 2.0**10  # integers for each unit of a random feature
_EXAMPLES = 1024  # that the sums are made from, of those kept the ones of the smallest SHA-256


class Kernel(NamedTuple):
    """Random features, and the discriminant over them.

    Attributes:
        directions: (D, F) ω, in units of the quantised input.
        phases: (F,) b.
        discriminant: the sums over the features and their metric.
    """

    directions: FloatArray
    phases: FloatArray
    discriminant: Discriminant

    @classmethod
    def of(cls, sums: ExactSums, episodes: Sequence[Episodes], width: float) -> Kernel:
        """From the examples that are kept; the width is in deviations of each feature over all examples."""
        variances = sums.variances()
        unit = units(variances)
        scale = width * np.sqrt(unit * coarse(float((variances / unit).mean())))
        random = np.random.default_rng(0)
        directions = random.normal(size=(sums.width, _RANDOM)) / (scale[:, None] * np.sqrt(sums.width))
        phases = random.uniform(0.0, 2.0 * np.pi, _RANDOM)
        lifted = ExactSums(_RANDOM)
        share = max(1, _EXAMPLES // max(sums.classes, 1))
        for place, some in enumerate(episodes):
            rows = some.rows[some.smallest(share)].astype(np.float64)
            if len(rows):
                lifted.add(_lift(rows, directions, phases), np.full(len(rows), place))
        prior = Prior(_RANDOM)
        return cls(directions, phases, Discriminant(lifted, prior, prior.shrinkage(lifted)))

    def scores(self, rows: FloatArray, by_class: Comparison, metric: Metric) -> FloatArray:
        """(N, C) of (N, D) quantised rows."""
        lifted = _lift(rows, self.directions, self.phases)
        discriminant = self.discriminant
        return score(discriminant.metric.compare(lifted, discriminant.classes()), "priors", discriminant.freedom)

    def left_out(self, sample: Sample) -> FloatArray:
        """(M, C) scores of the sample, each example as if it had never been taught."""
        rows = _lift(sample.rows, self.directions, self.phases)
        lifted = sample._replace(rows=rows, means=rows)  # only what is equal is a group of raw readings
        classes, metric = self.discriminant.classes(), self.discriminant.metric
        comparison = LeaveOut(metric, classes, lifted).compare_with_classes()
        return score(comparison, "priors", metric.freedom)


def _lift(rows: FloatArray, directions: FloatArray, phases: FloatArray) -> npt.NDArray[np.float64]:
    features: FloatArray = np.rint(_UNIT * np.sqrt(2.0) * np.cos(rows @ directions + phases))
    return features
