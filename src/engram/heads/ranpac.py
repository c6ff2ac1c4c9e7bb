"""RanPAC: ridge regression on random features.

M. D. McDonnell, D. Gong, A. Parvaneh, E. Abbasnejad, A. van den Hengel, "RanPAC: Random projections and
pre-trained models for continual learning", NeurIPS 2023: h = max(0, xW) with W frozen and Gaussian, the
class prototypes decorrelated by (HᵀH + λI)⁻¹. The paper chooses λ on a fifth of each task held out; here
generalised cross-validation does it from the moments, so that nothing needs holding out. Its first-session
adaptation belongs to the backbone.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from engram.heads.quantisation import LIMIT
from engram.heads.ridge import Ridge
from engram.learner import FloatArray, InputError

_WEIGHT = 2.0**-8  # unit of the random weights
_FEATURE = 2.0**-10  # unit of the features, whose standard deviation is about 1 before the ReLU


class RanPAC(Ridge):
    """Random projection, ReLU, ridge regression.

    Inputs and weights are integers, so every feature is exact whatever the order BLAS adds in, and the
    laws of exactness hold through the projection too.

    Args:
        units: how many random features, M; memory grows with M². The paper takes 10,000.
        penalty: λ in squared units of the random features, or "gcv".
        length: typical length of a vector; None: 1 where they are normalised, else √D. Features beyond
            8 of their standard deviations are cut off.
        seed: of the random weights.
        step, normalise: as in `MomentHead`.

    >>> head = RanPAC(units=64)
    >>> head.learn([[0.0, 1.0], [0.2, 0.9], [1.0, 0.1], [0.9, 0.0]], ["up", "up", "right", "right"])
    >>> head.predict([0.1, 0.8]).labels
    ['up']
    """

    cubic = False  # its width is `units`, whatever the input's
    intercept: ClassVar[bool] = False

    def __init__(
        self,
        units: int = 2000,
        penalty: float | str = "gcv",
        length: float | None = None,
        seed: int = 0,
        step: float = 2.0**-12,
        normalise: bool = True,
    ) -> None:
        super().__init__(penalty, step, normalise)
        if units < 1 or (length is not None and length <= 0):
            raise InputError(f"units and length must be above 0, not {units!r} and {length!r}.")
        self.units, self.length, self.seed = units, length, seed
        self._projection: FloatArray | None = None

    def config(self) -> dict[str, Any]:
        return {"units": self.units, "length": self.length, "seed": self.seed, **super().config()}

    @property
    def _unit(self) -> float:
        return _FEATURE

    def _features(self, rows: FloatArray) -> FloatArray:
        length = self.length or (1.0 if self._quantise.normalise else np.sqrt(rows.shape[1]))
        scale = self._quantise.step * _WEIGHT / (length * _FEATURE)
        hidden = np.maximum(rows @ self._weights_for(rows.shape[1]), 0.0)
        features: FloatArray = np.minimum(np.rint(hidden * scale), LIMIT)
        return features

    def _weights_for(self, width: int) -> FloatArray:
        if self._projection is None or len(self._projection) != width:
            # RandomState: its stream is frozen for good, so a saved head finds the same weights again
            normal = np.random.RandomState(self.seed).standard_normal((width, self.units))
            self._projection = np.rint(normal / _WEIGHT)
        return self._projection
