"""The fruit fly's olfactory code: sparse random expansion, k winners take all, Hebbian counts.

S. Dasgupta, C. F. Stevens, S. Navlakha, "A neural algorithm for a fundamental computing problem", Science
358, 2017: each Kenyon cell sums a few random inputs, and only the most active cells fire. Y. Shen,
S. Dasgupta, S. Navlakha, "Reducing catastrophic forgetting with associative learning", Neural Computation
35(11), 2023: only synapses from cells that fire to the output neuron of the label at hand are changed, all
others are frozen. With no decay, and cells that fire or do not, a synapse is a count of coincidences.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from engram.heads.class_sums import ClassSums
from engram.heads.confidence import by_distance
from engram.heads.exact_sums import ExactSums
from engram.heads.moments import MomentHead
from engram.learner import FloatArray, InputError, Label, Predictions

_SHARPNESS = 20.0


class KWinnersTakeAll(MomentHead):
    """The score of a label is the cosine between the input's sparse code and the label's synapses.

    With equal strengths every cell sums the same number of inputs, so a shift or scaling of a whole vector,
    which the fly's projection neurons undo, leaves its code as it is. Sums of integers and ties broken by
    place make the code, and so all that is learned, exact.

    Args:
        units: how many Kenyon cells. The fly has 40 for each input.
        active: share of the cells that fire.
        inputs: share of the inputs that a cell sums, at least 2 of them.
        strengths: "equal", as in the fly, or "gaussian": random and signed, which vectors of few values
            need, where equal sums hardly differ.
        seed: of the random wiring.
        step, normalise: as in `MomentHead`.

    >>> head = KWinnersTakeAll(units=200)
    >>> head.learn([[0.0, 0.2, 1.0], [1.0, 0.2, 0.0]], ["rising", "falling"])
    >>> head.predict([0.1, 0.4, 0.8]).labels
    ['rising']
    """

    memory: ClassVar[type[ExactSums]] = ClassSums

    def __init__(
        self,
        units: int = 2000,
        active: float = 0.05,
        inputs: float = 0.1,
        strengths: str = "equal",
        seed: int = 0,
        step: float = 2.0**-12,
        normalise: bool = True,
    ) -> None:
        super().__init__(step, normalise)
        if units < 1 or not 0 < active <= 1 or not 0 < inputs <= 1:
            raise InputError(f"units must be 1 or more, active and inputs in (0, 1]: {units!r}, {active!r},"
                             f" {inputs!r}.")
        if strengths not in ("equal", "gaussian"):
            raise InputError(f"strengths must be 'equal' or 'gaussian', not {strengths!r}.")
        self.units, self.active, self.inputs = units, active, inputs
        self.strengths, self.seed = strengths, seed
        self._wiring: FloatArray | None = None

    def config(self) -> dict[str, Any]:
        names = ("units", "active", "inputs", "strengths", "seed")
        return {**{name: getattr(self, name) for name in names}, **super().config()}

    def _features(self, rows: FloatArray) -> FloatArray:
        winners = max(1, round(self.active * self.units))
        # the cell's place decides ties: no two activities are equal
        activity = rows @ self._wiring_for(rows.shape[1]) * self.units - np.arange(self.units)
        codes = np.zeros(activity.shape)
        firing = np.argpartition(-activity, winners - 1, axis=1)[:, :winners]
        np.put_along_axis(codes, firing, 1.0, axis=1)
        return codes

    def _wiring_for(self, width: int) -> FloatArray:
        if self._wiring is None or len(self._wiring) != width:
            # RandomState: its stream is frozen for good, so a saved head finds the same wiring again
            random = np.random.RandomState(self.seed)
            order = random.random_sample((self.units, width)).argsort(axis=1)
            self._wiring = (order < min(width, max(2, round(self.inputs * width)))).T.astype(np.float64)
            if self.strengths == "gaussian":
                self._wiring *= np.rint(256 * random.standard_normal((width, self.units)))
        return self._wiring

    def _fit(self, sums: ExactSums) -> None:
        norms = np.sqrt((sums.sums**2).sum(axis=1))
        self._synapses = sums.sums / norms[:, None]

    def _read(self, features: FloatArray) -> FloatArray:
        scores: FloatArray = features @ self._synapses.T / np.sqrt(features.sum(axis=1))[:, None]
        return scores

    def _answer(self, candidates: tuple[Label, ...], scores: FloatArray) -> Predictions:
        answers = super()._answer(candidates, scores)
        answers.confidence[:] = by_distance(1.0 - scores)
        return answers
