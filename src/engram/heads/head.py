"""What every head shares: the door (validation, label book, lock), the answer, and its state."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from threading import RLock
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engram.inputs.vectors import as_labels, as_vectors, positions
from engram.learner import (
    Consolidation,
    DamagedError,
    FloatArray,
    Label,
    LabelError,
    Predictions,
    State,
)

Positions = npt.NDArray[np.intp]

_RULED_OUT = -1e6


class Head(ABC):
    """A fast learner over feature vectors.

    A subclass fills `_learn` and `_scores`, and `_arrays`/`_restore` for its state; everything that
    can be refused is refused in `_check`, before anything changes. Its constructor's arguments are
    its configuration: JSON values, returned by `config`.

    Attributes:
        cubic: whether its cost grows with the cube of the width: pixels of a large picture then take minutes.
    """

    exact: bool = False
    boundaries: bool = False
    cubic: bool = False

    def __init__(self) -> None:
        self.width: int | None = None
        self._book: dict[Label, int] = {}
        self._listed: tuple[dict[Label, int], tuple[Label, ...]] = ({}, ())
        self._lock = RLock()

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels taught so far, in the order of their first arrival."""
        if self._listed[0] is not self._book or len(self._listed[1]) != len(self._book):
            self._listed = (self._book, tuple(self._book))
        return self._listed[1]

    def learn(self, inputs: Any, targets: Any) -> None:
        """Learn (N, D) vectors, or one (D,), with one label for each.

        Raises:
            InputError, LabelError: nothing was changed.
        """
        with self._lock:
            vectors, labels = self._examples(inputs, targets)
            self._check(vectors, labels)
            self.width = vectors.shape[1]
            self._learn(vectors, positions(labels, self._book))

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """Answer (N, D) vectors, or one (D,); `among` limits the candidates.

        Raises:
            InputError: wrong width, NaN or infinity.
            LabelError: `among` names a label that was never taught.
        """
        with self._lock:
            vectors, lost = self._asked(as_vectors(inputs, self.width))
            if not self._book:
                return nothing_known(len(vectors))
            columns = columns_of(among, self._book)
            candidates = self.labels if columns is None else tuple(self.labels[i] for i in columns)
            return self._predictions(vectors, candidates, columns).refusing(lost)

    def consolidate(self) -> Consolidation:
        """Nothing to tidy unless a head says otherwise."""
        return Consolidation()

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {}

    def state(self) -> State:
        """The whole head as arrays: what `from_state` needs, no pickle."""
        with self._lock:
            arrays = {name: array.copy() for name, array in self._arrays().items()}
            return {"head": self._about(), **arrays}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The head that `state` described.

        Raises:
            DamagedError: entries are missing or do not fit each other.

        Args:
            state: arrays by name, as `state` returns them.

        Raises:
            DamagedError: an array is missing, or the arrays do not fit each other.
        """
        try:
            book = from_json_array(state["head"])
            head = cls(**cls.made_with(book["config"]))
            head.width = book["width"]
            head._book = {label: i for i, label in enumerate(book["labels"])}
            head._restore(dict(state))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
            raise DamagedError(f"Not a saved {cls.__name__}: {error}") from error
        return head

    @classmethod
    def made_with(cls, config: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a head that was saved with this configuration, maybe by an earlier version."""
        return config

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied, and pickled by libraries that do so, as its state: a head holds a lock, which cannot be."""
        return type(self).from_state, (self.state(),)

    def digest(self) -> str:
        """SHA-256 of the whole state: equal exactly when the state is equal, bit by bit."""
        total = hashlib.sha256()
        for name, array in sorted(self.state().items()):
            total.update(f"{name}{array.dtype.str}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).tobytes())
        return total.hexdigest()

    @property
    def memory_bytes(self) -> int:
        """Bytes held by the state's arrays."""
        with self._lock:
            return sum(array.nbytes for array in self._arrays().values())

    def _about(self) -> npt.NDArray[np.uint8]:
        return json_array({"labels": list(self._book), "width": self.width, "config": self.config()})

    def _examples(self, inputs: Any, targets: Any) -> tuple[FloatArray, list[Label]]:
        vectors = as_vectors(inputs, self.width)
        labels = as_labels(targets, len(vectors), next(iter(self._book), None))
        return self._prepare(vectors), labels

    def _prepare(self, vectors: FloatArray) -> FloatArray:
        """Bring valid vectors into the form that `_learn` and `_scores` want."""
        return vectors

    def _asked(self, vectors: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """`_prepare` for vectors that are asked about, and (N,) which of them nothing can be known of."""
        return self._prepare(vectors), np.zeros(len(vectors), bool)

    def _check(self, vectors: FloatArray, labels: list[Label]) -> None:
        """Refuse here, before anything changes."""

    def _predictions(
        self, vectors: FloatArray, candidates: tuple[Label, ...], columns: list[int] | None
    ) -> Predictions:
        scores = self._scores(vectors)
        return self._answer(candidates, scores if columns is None else scores[:, columns])

    def _answer(self, candidates: tuple[Label, ...], scores: FloatArray) -> Predictions:
        return Predictions(
            candidates, scores, np.ones(len(scores), bool), softmax(scores).max(axis=1), focus(scores)
        )

    @abstractmethod
    def _learn(self, vectors: FloatArray, classes: Positions) -> None:
        """Take in valid vectors with their places in the book. Must not fail."""

    @abstractmethod
    def _scores(self, vectors: FloatArray) -> FloatArray:
        """(N, C), larger is better, columns in the order of the book."""

    @abstractmethod
    def _arrays(self) -> State:
        """The arrays that are this head's memory."""

    @abstractmethod
    def _restore(self, state: State) -> None:
        """Take the arrays back; the book and the width are set already."""


def columns_of(among: Iterable[Label] | None, book: Mapping[Label, int]) -> list[int] | None:
    """The places of the labels in question; None for all. Raises LabelError where one is not in the book."""
    if among is None:
        return None
    if isinstance(among, str | int | np.integer):
        raise LabelError(f"among must be a list of labels: among=[{among!r}].")
    wanted = list(dict.fromkeys(among))
    missing = [label for label in wanted if label not in book]
    if missing or not wanted:
        raise LabelError(f"Never taught: {missing or 'no labels given'}. Known: {list(book)[:20]}.")
    return [book[label] for label in wanted]


def nothing_known(count: int) -> Predictions:
    """The answers where nothing was taught."""
    return Predictions((), np.zeros((count, 0)), np.zeros(count, bool))


def softmax(scores: FloatArray) -> FloatArray:
    """Softmax of each row of (N, C) scores; (N, C) float64."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: FloatArray = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities


def log_softmax(scores: FloatArray) -> FloatArray:
    """Logarithm of `softmax`, (N, C); a score of −inf, of a label that is ruled out, gives a very small one."""
    finite = np.where(np.isfinite(scores), scores, _RULED_OUT)
    shifted = finite - finite.max(axis=1, keepdims=True)
    logarithms: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logarithms


def focus(scores: FloatArray) -> FloatArray:
    """Margin of each row of (N, C) scores: the top score minus the mean of the others, (N,); 0 for a single candidate.
    """
    count = scores.shape[1]
    if count < 2:
        return np.zeros(len(scores))
    top = scores.max(axis=1)
    gap: FloatArray = top - (scores.sum(axis=1) - top) / (count - 1)
    return gap


def grown(array: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    """An array (R, ...) with zeros appended until it has `rows` rows."""
    if len(array) >= rows:
        return array
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])


def json_array(value: Any) -> npt.NDArray[np.uint8]:
    """A JSON value as bytes in an array, so that a state holds nothing but arrays."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def from_json_array(array: npt.NDArray[Any]) -> Any:
    """The JSON value that `json_array` packed into an (L,) array."""
    return json.loads(np.asarray(array, np.uint8).tobytes())
