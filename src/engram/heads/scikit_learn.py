"""Any head as a scikit-learn classifier, and the exact regressor as a scikit-learn regressor.

The only file of the heads that imports scikit-learn.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from engram.checks import Rebuilds
from engram.heads import head_class
from engram.heads.head import Head, softmax
from engram.heads.regression.intervals import LEVEL
from engram.heads.regression.regressor import Regressor
from engram.heads.regression.targets import Targets
from engram.learner import FloatArray, InputError, Predictions

_REACH = 8.0
_RAW: dict[str, Any] = {"normalise": False, "step": 2.0**-10, "length": 1.0, "strengths": "gaussian"}
"""What a head is told, if it can be, about standardised vectors, often short ones: lengths near 1, values within ±8."""


class HeadClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A head behind `fit`, `partial_fit`, `predict`, `predict_proba` and `decision_function`.

    Raw data come in any unit, so each value is standardised by its mean and deviation in the first batch,
    divided by √D, and cut off at ±8. New classes may come with any later batch.

    Args:
        head: a name from `engram.heads.HEADS`, or whatever returns a fresh head when called with `options`.
        options: arguments of the head, by name; None for none.
        unknown: what `predict` answers for an input unlike everything taught, "Nothing I know"; None: the nearest
            class. No class may be called so. Of another type than the classes, such as "?" beside whole numbers, it
            makes `predict` answer an array of objects, so that classes keep their type.

    Attributes:
        classes_: (n_classes,) the classes seen, sorted.
        head_: the head; its labels number the classes in the order of their arrival.
        n_features_in_: values per vector.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> X, y = load_iris(return_X_y=True)
    >>> print(f"{cross_val_score(HeadClassifier('streaming_lda'), X, y).mean():.2f}")
    0.98
    >>> HeadClassifier(unknown=-1).fit(X, y).predict([[5.0, 3.5, 1.4, 0.2], [99.0, 99.0, 99.0, 99.0]])
    array([ 0, -1])
    """

    classes_: npt.NDArray[Any]
    head_: Head

    def __init__(
        self, head: str | Callable[..., Head] = "fast", options: Mapping[str, Any] | None = None,
        unknown: str | int | None = None,
    ) -> None:
        self.head = head
        self.options = options
        self.unknown = unknown

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Learn (N, D) vectors with their N classes, from nothing.

        Args:
            sample_weight: (N,) how often each counts, whole numbers from 0: sums stay exact.

        Raises:
            InputError: weights that are no whole numbers from 0, or a class that is called as `unknown`.
        """
        vectors, targets = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(targets)
        vectors, targets = counted(vectors, targets, sample_weight)
        self._check_unknown(targets)
        self._start(vectors)
        return self._learn(vectors, targets)

    def partial_fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, classes: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Learn more; `classes` may announce some that are still to come, which is not needed.

        Args:
            X: (N, D) features.
            y: (N,) labels.
            sample_weight: as for `fit`.

        Raises:
            InputError: as for `fit`.
        """
        first = not hasattr(self, "head_")
        vectors, targets = validate_data(self, X, y, dtype=np.float64, reset=first)
        check_classification_targets(targets)
        vectors, targets = counted(vectors, targets, sample_weight)
        self._check_unknown(targets if classes is None else np.concatenate([np.unique(targets), np.unique(classes)]))
        if first:
            self._start(vectors)
        if classes is not None:
            self.classes_ = np.union1d(self.classes_, classes) if len(self.classes_) else np.unique(classes)
        return self._learn(vectors, targets)

    def decision_function(self, X: npt.ArrayLike) -> FloatArray:
        """(N, n_classes) scores, or for two classes (N,) the second's lead."""
        scores = self._scores(self._asked(X))
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X: npt.ArrayLike) -> FloatArray:
        """(N, n_classes) probabilities: the softmax of the scores whose largest is the head's confidence. Whether an
        input is like any class says `known`."""
        answers = self._asked(X)
        shares = probabilities(answers)
        found = np.zeros((len(shares), len(self.classes_)))
        found[:, self._columns(answers)] = shares
        return found

    def known(self, X: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """(N,) whether each vector is like anything taught; a head that cannot tell knows everything."""
        return self._asked(X).known

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """The class of each vector, (N,); `unknown` where it is set and the vector is like nothing taught."""
        answers = self._asked(X)
        best: npt.NDArray[Any] = self.classes_[self._scores(answers).argmax(axis=1)]
        if self.unknown is None:
            return best
        of_theirs = np.asarray(self.unknown).dtype
        best = best.astype(np.result_type(best.dtype, of_theirs) if of_theirs.kind == best.dtype.kind else object)
        best[~answers.known] = self.unknown
        return best

    def _check_unknown(self, classes: npt.NDArray[Any]) -> None:
        """Raises InputError where `unknown` is one of the classes that come."""
        if self.unknown is not None and self.unknown in set(classes.tolist()):
            raise InputError(f"unknown={self.unknown!r} is also a class: choose something that no class is called, "
                             "such as -1 or 'unknown'.")

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

    def _asked(self, X: npt.ArrayLike) -> Predictions:
        check_is_fitted(self)
        vectors = validate_data(self, X, dtype=np.float64, reset=False)
        return self.head_.predict(self._standardised(vectors))

    def _columns(self, answers: Predictions) -> npt.NDArray[np.intp]:
        """(C,) the place of each candidate among `classes_`."""
        return np.searchsorted(self.classes_, self._taught[np.array(answers.candidates, np.intp)])

    def _scores(self, answers: Predictions) -> FloatArray:
        """(N, n_classes); classes that were announced and never taught come last."""
        scores = np.repeat(answers.scores.min(axis=1, keepdims=True) - 1.0, len(self.classes_), axis=1)
        scores[:, self._columns(answers)] = answers.scores
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


class HeadRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The exact regressor behind `fit`, `partial_fit`, `predict` and `predict_interval`.

    Values are standardised by the first batch, as those of `HeadClassifier`, but not cut off.

    Args:
        level: the chance with which a number lies in its interval.

    Attributes:
        head_: the regressor.
        n_features_in_: values per vector.

    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import cross_val_score
    >>> X, y = load_diabetes(return_X_y=True)
    >>> print(f"{cross_val_score(HeadRegressor(), X, y).mean():.2f}")
    0.49
    """

    head_: Regressor

    def __init__(self, level: float = LEVEL) -> None:
        self.level = level

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Learn (N, D) vectors with (N,) or (N, K) numbers, from nothing; weights as for `HeadClassifier`."""
        return self._learn(X, y, sample_weight, first=True)

    def partial_fit(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Learn more."""
        return self._learn(X, y, sample_weight, first=not hasattr(self, "head_"))

    def predict(self, X: npt.ArrayLike) -> FloatArray:
        """The numbers, (N,) or (N, K) as they were taught."""
        values = self._asked(X).values
        assert values is not None
        return values[:, 0] if self._flat else values

    def predict_interval(self, X: npt.ArrayLike) -> FloatArray:
        """(N, 2), or (N, K, 2), between which each number lies with the chance `level`."""
        between = self._asked(X).intervals
        assert between is not None
        return between[:, 0] if self._flat else between

    def known(self, X: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """(N,) whether each vector is like anything taught."""
        return self._asked(X).known

    def _learn(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None, *, first: bool) -> Self:
        vectors, targets = validate_data(self, X, y, dtype=np.float64, reset=first, multi_output=True, y_numeric=True)
        vectors, targets = counted(vectors, np.asarray(targets, np.float64), sample_weight)
        if first:
            self._flat = targets.ndim == 1
            self.head_ = Regressor(Targets.like(targets.reshape(len(targets), -1)), level=self.level)
            self.mean_, deviation = vectors.mean(axis=0), vectors.std(axis=0)
            self.scale_ = np.where(deviation > 1e-9 * np.abs(self.mean_), deviation, 1.0)
        self.head_.learn(np.clip((vectors - self.mean_) / self.scale_, -_FAR, _FAR), targets.reshape(len(targets), -1))
        return self

    def _asked(self, X: npt.ArrayLike) -> Predictions:
        check_is_fitted(self)
        vectors = validate_data(self, X, dtype=np.float64, reset=False)
        return self.head_.predict(np.clip((vectors - self.mean_) / self.scale_, -_FAR, _FAR))


_FAR = 31.0  # deviations that a regressor tells apart


def counted(
    vectors: FloatArray, targets: npt.NDArray[Any], weights: npt.ArrayLike | None
) -> tuple[FloatArray, npt.NDArray[Any]]:
    """(N, D) vectors and their targets, each as often as it counts.

    Raises:
        InputError: weights that are no whole numbers from 0.

    >>> counted(np.array([[1.0], [2.0]]), np.array([7, 8]), [2, 0])[1].tolist()
    [7, 7]
    """
    if weights is None:
        return vectors, targets
    times = np.asarray(_check_sample_weight(weights, vectors))
    if (times < 0).any() or (times % 1 != 0).any():
        raise InputError("sample_weight is how often each example counts: whole numbers from 0. "
                         "Sums of other weights would not be exact; round them, such as np.rint(10 * weights).")
    repeated = np.repeat(np.arange(len(times)), times.astype(np.intp))
    return vectors[repeated], targets[repeated]


def probabilities(answers: Predictions) -> FloatArray:
    """(N, C): the softmax of the scores, sharpened so that its largest is the confidence in the best candidate."""
    scores = np.where(np.isfinite(answers.scores), answers.scores, -np.inf)
    gaps = scores - scores.max(axis=1, keepdims=True)
    wanted = np.clip(answers.confidence, 1.0 / scores.shape[1], 1.0 - 1e-9)
    low, high = np.zeros(len(scores)), np.full(len(scores), 1e6)
    for _ in range(60):
        middle = np.sqrt(np.maximum(low, 1e-6) * high)
        with np.errstate(invalid="ignore"):
            top = softmax(middle[:, None] * gaps).max(axis=1)
        low, high = np.where(top < wanted, middle, low), np.where(top < wanted, high, middle)
    return softmax(high[:, None] * gaps)
