"""The head for inputs that have several labels: each is told from the rest, from exact sums.

A set of labels is kept as a class of the fast head, "red; round": all that makes that head exact, order, batching,
melding and unlearning, holds as it is. A label's own sums are those of the sets that it is part of.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import numpy.typing as npt

from engram.heads.fast.fast_head import FastHead
from engram.heads.fast.left_out import LeftOut
from engram.heads.fast.novelty import ALPHAS, ErrorRates
from engram.heads.fast.view import HeadView
from engram.heads.multilabel.label_sets import all_sets, singles
from engram.heads.multilabel.one_vs_rest import MultiLabelView, OneVsRest, Taught, whitening
from engram.inputs.vectors import as_vectors
from engram.learner import FloatArray, InputError, Label, Predictions


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
