"""What most people do first: a softmax layer on the frozen features, fine-tuned by stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.features.backbones.bundle import Bundle
from engram.heads.head import Head, Positions, grown, softmax
from engram.inputs.vectors import as_vectors, unit_length
from engram.learner import FloatArray, Label, State

RATES = tuple(float(rate) for rate in 4.0 ** np.arange(-5, 3))
"""Learning rates to choose from."""


class SoftmaxLayer(Head):
    """Multinomial logistic regression: one gradient step on the cross-entropy for each example, in the order taught.

    The layer has a row of weights and a bias for every label it has met; new ones start at zero.

    Args:
        rate: learning rate.

    >>> layer = SoftmaxLayer(rate=1.0)
    >>> layer.learn([[1.0, 0.0], [0.0, 1.0]], ["right", "up"])
    >>> layer.predict([0.0, 2.0]).best
    ['up']
    """

    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        self.rate = rate
        self._weights: FloatArray = np.zeros((0, 0))

    def config(self) -> dict[str, Any]:
        return {"rate": self.rate}

    def _learn(self, vectors: FloatArray, classes: Positions) -> None:
        if not self._weights.size:
            self._weights = np.zeros((0, vectors.shape[1] + 1))
        for row, place in zip(_with_bias(vectors), classes.tolist(), strict=True):
            self._weights = grown(self._weights, place + 1)
            error = softmax((self._weights @ row)[None])[0]
            error[place] -= 1
            self._weights -= self.rate * np.outer(error, row)

    def _scores(self, vectors: FloatArray) -> FloatArray:
        scores: FloatArray = _with_bias(vectors) @ self._weights.T
        return scores

    def _arrays(self) -> State:
        return {"weights": self._weights}

    def _restore(self, state: State) -> None:
        weights = np.asarray(state["weights"], np.float64)
        if weights.ndim != 2 or len(weights) != len(self._book):
            raise ValueError("weights and labels do not fit each other")
        self._weights = weights.copy()


def scalings(bundle: Bundle, inputs: Any) -> dict[str, FloatArray]:
    """The same features, (N, D), in the three scales in which people put a layer on them.

    "as the fast head gets them" is what the bundle prescribes: unit length where it says so, less the bundle's mean;
    "as the network gives them" is untouched; "standardised" divides the first by the bundle's own deviation within
    classes.
    """
    given = as_vectors(bundle.features(inputs), bundle.width)
    centred = (unit_length(given) if bundle.normalise else given) - bundle.mean
    found = {"as the fast head gets them": centred, "as the network gives them": given}
    if bundle.covariance is not None:
        found["standardised"] = centred / np.sqrt(np.maximum(np.diagonal(bundle.covariance), 1e-12))
    return found


def best_rate(
    features: FloatArray, labels: Sequence[Label], seed: int, rates: Iterable[float] = RATES, splits: int = 5
) -> float:
    """The learning rate that serves the layer best when the examples come shuffled, once each.

    It is judged by the mean cross-entropy on a fifth of the examples, held back, over several random splits: with few
    examples many rates share the best accuracy, those among them that hardly train at all.
    """
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(features)) for _ in range(splits)]
    losses = {rate: np.mean([_loss(rate, features, labels, order) for order in orders]) for rate in rates}
    return min(losses, key=lambda rate: losses[rate])


def _loss(rate: float, features: FloatArray, labels: Sequence[Label], order: Positions) -> float:
    held, rest = order[: len(order) // 5], order[len(order) // 5 :]
    layer = SoftmaxLayer(rate)
    layer.learn(features[rest], [labels[i] for i in rest])
    return _cross_entropy(layer, features[held], [labels[i] for i in held])


def _cross_entropy(layer: SoftmaxLayer, features: FloatArray, labels: Sequence[Label]) -> float:
    """Mean over the examples, in nats; a label that was never met counts as one of probability 1e-12."""
    answers = layer.predict(features)
    shares = softmax(answers.scores)
    columns = {label: i for i, label in enumerate(answers.candidates)}
    right = [row[columns[label]] if label in columns else 0.0 for row, label in zip(shares, labels, strict=True)]
    return float(-np.log(np.maximum(right, 1e-12)).mean())


def _with_bias(vectors: FloatArray) -> npt.NDArray[np.float64]:
    return np.concatenate([vectors, np.ones((len(vectors), 1))], axis=1)
