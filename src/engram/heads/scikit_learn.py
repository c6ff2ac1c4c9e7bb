"""Any head as a scikit-learn classifier.

The only file of the heads that imports scikit-learn.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from engram.checks import Rebuilds
from engram.heads import head_class
from engram.heads.head import Head
from engram.learner import FloatArray

_REACH = 8.0
_RAW: dict[str, Any] = {"normalise": False, "step": 2.0**-10, "length": 1.0, "strengths": "gaussian"}
"""What a head is told, if it can be, about standardised vectors, often short ones: lengths near 1, values within ±8."""


class HeadClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A head behind `fit`, `partial_fit`, `predict` and `decision_function`.

    Raw data come in any unit, so each value is standardised by its mean and deviation in the first batch,
    divided by √D, and cut off at ±8. New classes may come with any later batch.

    Parameters
    ----------
    head : str or callable, default="streaming_lda"
        A name from `engram.heads.HEADS`, or whatever returns a fresh head when called with `options`.
    options : dict or None, default=None
        Arguments of the head.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes seen, sorted.
    head_ : Head
        The head; its labels number the classes in the order of their arrival.
    n_features_in_ : int
        Values per vector.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> X, y = load_iris(return_X_y=True)
    >>> print(f"{cross_val_score(HeadClassifier('streaming_lda'), X, y).mean():.2f}")
    0.98
    """

    classes_: npt.NDArray[Any]
    head_: Head

    def __init__(
        self, head: str | Callable[..., Head] = "streaming_lda", options: Mapping[str, Any] | None = None
    ) -> None:
        self.head = head
        self.options = options

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Learn (N, D) vectors with their N classes, from nothing."""
        vectors, targets = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(targets)
        self._start(vectors)
        return self._learn(vectors, targets)

    def partial_fit(self, X: npt.ArrayLike, y: npt.ArrayLike, classes: npt.ArrayLike | None = None) -> Self:
        """Learn more; `classes` may announce some that are still to come, which is not needed.

        Args:
            X: (N, D) features.
            y: (N,) labels.
        """
        first = not hasattr(self, "head_")
        vectors, targets = validate_data(self, X, y, dtype=np.float64, reset=first)
        check_classification_targets(targets)
        if first:
            self._start(vectors)
        if classes is not None:
            self.classes_ = np.union1d(self.classes_, classes) if len(self.classes_) else np.unique(classes)
        return self._learn(vectors, targets)

    def decision_function(self, X: npt.ArrayLike) -> FloatArray:
        """(N, n_classes) scores, or for two classes (N,) the second's lead."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """The class of each vector, (N,)."""
        columns = self._scores(X).argmax(axis=1)
        best: npt.NDArray[Any] = self.classes_[columns]
        return best

    def _start(self, vectors: FloatArray) -> None:
        made = head_class(self.head) if isinstance(self.head, str) else self.head
        known = inspect.signature(made).parameters
        fitting = {name: value for name, value in _RAW.items() if name in known}
        self.head_ = made(**{**fitting, **(self.options or {})})
        self.mean_ = vectors.mean(axis=0)
        deviation = vectors.std(axis=0)
        varies = deviation > 1e-9 * np.abs(self.mean_)
        self.scale_ = np.where(varies, deviation, 1.0) * np.sqrt(vectors.shape[1])
        self.classes_ = np.array([])
        self._taught: npt.NDArray[Any] = np.array([])

    def _learn(self, vectors: FloatArray, targets: npt.NDArray[Any]) -> Self:
        arrived = np.unique(targets)
        if len(self._taught):
            arrived = np.setdiff1d(arrived, self._taught)
            self._taught = np.concatenate([self._taught, arrived])
        else:
            self._taught = arrived
        self.classes_ = np.union1d(self.classes_, self._taught) if len(self.classes_) else self._taught
        order = np.argsort(self._taught)
        codes = order[np.searchsorted(self._taught[order], targets)]
        self.head_.learn(self._standardised(vectors), codes)
        if isinstance(self.head_, Rebuilds):
            self.head_.rebuild()
        return self

    def _standardised(self, vectors: FloatArray) -> FloatArray:
        scaled: FloatArray = np.clip((vectors - self.mean_) / self.scale_, -_REACH, _REACH)
        return scaled

    def _scores(self, X: npt.ArrayLike) -> FloatArray:
        """(N, n_classes); classes that were announced and never taught come last."""
        check_is_fitted(self)
        vectors = validate_data(self, X, dtype=np.float64, reset=False)
        answers = self.head_.predict(self._standardised(vectors))
        codes = np.array(answers.candidates, np.intp)
        columns = np.searchsorted(self.classes_, self._taught[codes])
        scores = np.repeat(answers.scores.min(axis=1, keepdims=True) - 1.0, len(self.classes_), axis=1)
        scores[:, columns] = answers.scores
        return scores

    def __getstate__(self) -> dict[str, Any]:
        """A head holds a lock, which cannot be copied; its state can."""
        attributes: dict[str, Any] = super().__getstate__()
        head = attributes.get("head_")
        if head is not None:
            attributes = {**attributes, "head_": (type(head), head.state())}
        return attributes

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        super().__setstate__(attributes)
        if hasattr(self, "head_"):
            kind, state = attributes["head_"]
            self.head_ = kind.from_state(state)
