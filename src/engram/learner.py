"""The one idea: everything that learns over a lifetime is a Learner.

A learner speaks three verbs, `learn`, `predict` and `consolidate`. Whatever more it can do is a small
protocol of its own, asked for with `isinstance`: `Forgets`, `Melds`, `Saves`, `Bounded`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self, overload, runtime_checkable

import numpy as np
import numpy.typing as npt

from engram.printable import abridged, printable

Label = str | int
FloatArray = npt.NDArray[np.float64]
State = dict[str, npt.NDArray[Any]]


class EngramError(Exception):
    """Anything Engram refuses to do. Whatever raises it has changed nothing. A long message is abridged."""

    def __init__(self, *said: object) -> None:
        super().__init__(*(abridged(one) if isinstance(one, str) else one for one in said))


class InputError(EngramError, ValueError):
    """An input that cannot be learned from or asked about: its shape, its values, its type."""


class RangeWarning(UserWarning):
    """A reading that was asked about lies beyond what a brain can tell apart; its row is not known."""

    def __init__(self, said: str) -> None:
        super().__init__(abridged(said))


class ColumnsError(InputError):
    """A table has other columns than the brain was taught, or has them in another order."""


class LabelError(EngramError, ValueError):
    """A label that cannot be used (wrong type, mixed types) or that nobody taught."""


class NotTaughtError(EngramError, LookupError):
    """Something was to be forgotten that was never taught."""


class CapacityError(EngramError, OverflowError):
    """Learning this would leave the range in which the sums are exact."""


class TracesError(EngramError, OSError):
    """What was to be forgotten is known no longer, but the disk refused to let the last of it go yet."""


class MeldError(EngramError, ValueError):
    """Two learners that cannot become one: other backbones, other settings, conflicting labels."""


class DamagedError(EngramError):
    """A file that is truncated, altered, foreign, or written by a later version of Engram."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer.

    Attributes:
        label: the best label, or None: "Nothing I know".
        known: whether the input resembles anything taught.
        confidence: probability-like trust in the best label, in [0, 1].
        ranked: every candidate label with its score, best first.
        focus: how far the best score stands out from the rest (larger: clearer winner).
        familiarity: how far above the threshold of "Nothing I know" the input is: known where it is 0 or more.
        values: a regressor's numbers, (K,); None for a classifier.
        interval: (K, 2) between which each of them lies with the chance `confidence`; None for a classifier.
        labels: where an input may have several labels, those that hold, the surest first; else None.
    """

    label: Label | None
    known: bool
    confidence: float
    ranked: tuple[tuple[Label, float], ...]
    focus: float
    familiarity: float
    values: FloatArray | None = None
    interval: FloatArray | None = None
    labels: tuple[Label, ...] | None = None

    def __str__(self) -> str:
        if self.label is None:
            return "Nothing I know"
        if self.labels is not None:
            return f"{printable(', '.join(map(str, self.labels)) or 'no label')} ({self.confidence:.0%})"
        if self.values is not None and self.interval is not None:
            between = zip(self.values.tolist(), self.interval.tolist(), strict=True)
            return ", ".join(number_between(value, *ends) for value, ends in between)
        return f"{printable(str(self.label))} ({self.confidence:.0%})"


@dataclass(frozen=True, eq=False)
class Predictions(Sequence[Prediction]):
    """The answers to N inputs, backed by arrays; item i is the `Prediction` for input i.

    Attributes:
        candidates: the C labels that were in question.
        scores: (N, C) float64, larger is better.
        known: (N,) bool.
        confidence, focus: (N,) float64.
        familiarity: (N,) float64, how far above the threshold of "Nothing I know"; `known` is familiarity >= 0.
        values: a regressor's (N, K) numbers, else None; where an input is unknown, what they would be.
        intervals: (N, K, 2) between which they lie, each with the chance `confidence`; else None.
        holding: (N, C) bool, which labels hold, of a learner that was taught several for an input; else None.

    >>> answers = Predictions(("cat", "dog"), np.array([[0.9, 0.2], [0.1, 0.3]]),
    ...                       known=np.array([True, False]))
    >>> answers.labels
    ['cat', None]
    >>> answers.best
    ['cat', 'dog']
    >>> str(answers[1])
    'Nothing I know'
    """

    candidates: tuple[Label, ...]
    scores: FloatArray
    known: npt.NDArray[np.bool_]
    confidence: FloatArray = field(default_factory=lambda: np.empty(0))
    focus: FloatArray = field(default_factory=lambda: np.empty(0))
    familiarity: FloatArray = field(default_factory=lambda: np.empty(0))
    values: FloatArray | None = None
    intervals: FloatArray | None = None
    holding: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        for name in ("confidence", "focus", "familiarity"):
            if len(getattr(self, name)) != len(self.scores):
                object.__setattr__(self, name, np.full(len(self.scores), np.nan))

    @property
    def best(self) -> list[Label | None]:
        """The best label of each input, known or not; None only where nothing was ever taught."""
        if not self.candidates:
            return [None] * len(self)
        return [self.candidates[i] for i in self.scores.argmax(axis=1)]

    @property
    def labels(self) -> list[Label | None]:
        """The best label of each input, or None where it is nothing the learner knows."""
        return [label if known else None for label, known in zip(self.best, self.known, strict=True)]

    @property
    def label_sets(self) -> list[tuple[Label, ...]]:
        """The labels that hold for each input; () where none does, or it is nothing the learner knows."""
        if self.holding is None:
            return [() if label is None else (label,) for label in self.labels]
        return [tuple(label for label, holds in zip(self.candidates, row, strict=True) if holds) if known else ()
                for row, known in zip(self.holding.tolist(), self.known, strict=True)]

    def refusing(self, lost: npt.NDArray[np.bool_]) -> Predictions:
        """The same, but nothing is known of the inputs marked in `lost`, (N,)."""
        return replace(self, known=self.known & ~lost) if lost.any() else self

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Prediction]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    def __getitem__(self, index: int | slice) -> Prediction | Predictions:
        if isinstance(index, slice):
            values = None if self.values is None else self.values[index]
            intervals = None if self.intervals is None else self.intervals[index]
            return Predictions(
                self.candidates, self.scores[index], self.known[index],
                self.confidence[index], self.focus[index], self.familiarity[index], values, intervals,
                None if self.holding is None else self.holding[index],
            )
        order = np.argsort(-self.scores[index], kind="stable")
        ranked = tuple((self.candidates[i], float(self.scores[index, i])) for i in order)
        known = bool(self.known[index])
        return Prediction(
            label=ranked[0][0] if ranked and known else None,
            known=known,
            confidence=float(self.confidence[index]),
            ranked=ranked,
            focus=float(self.focus[index]),
            familiarity=float(self.familiarity[index]),
            values=None if self.values is None else self.values[index],
            interval=None if self.intervals is None else self.intervals[index],
            labels=None if self.holding is None else tuple(
                self.candidates[i] for i in order if known and self.holding[index, i]),
        )


def number_between(value: float, low: float, high: float) -> str:
    """A number with its interval, to as many digits as the interval makes sense of.

    >>> number_between(249312.4, 231450.2, 267020.9), number_between(0.12345, 0.12, 0.13)
    ('249,312 (231,450 to 267,021)', '0.1235 (0.1200 to 0.1300)')
    >>> number_between(7.0, float("-inf"), float("inf")), number_between(7.0, 7.0, 7.0)
    ('7.00', '7.000 (7.000 to 7.000)')
    """
    if not (low > float("-inf") and high < float("inf")):
        return f"{value:,.2f}"
    width = high - low if high - low > 1e-9 * abs(value) else 0.1 * abs(value)  # a constant has no width
    digits = next((some for some in range(9) if width >= 10.0 ** (2 - some)), 9 if width else 0)
    return f"{value:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


@dataclass(frozen=True, slots=True)
class Consolidation:
    """What a `consolidate` did: stored vectors before and after, and anything else worth telling."""

    before: int = 0
    after: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kept(self) -> float:
        """Share of the stored vectors that remain, in [0, 1]."""
        return self.after / self.before if self.before else 1.0


@runtime_checkable
class Learner(Protocol):
    """Whatever learns over a lifetime.

    Attributes:
        exact: closed form; the laws of batching, order, melding and forgetting hold to the bit.
        boundaries: wants to be told where an experience ends (by a call of `consolidate`).
    """

    exact: bool
    boundaries: bool

    def learn(self, inputs: Any, targets: Any) -> None:
        """Learn one example or many, new labels at any time, now."""

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """The best label of each input (of `among`), or None: "Nothing I know"."""

    def consolidate(self) -> Consolidation:
        """Idle-time work: compress, replay, grow, prune. Says what it did."""


@runtime_checkable
class Forgets(Protocol):
    """A learner that can unlearn examples it was taught."""

    def forget(self, inputs: Any, targets: Any) -> None: ...


@runtime_checkable
class Melds(Protocol):
    """A learner that can take over what another one of its kind learned."""

    def meld(self, other: Self) -> None: ...


@runtime_checkable
class Saves(Protocol):
    """A learner whose whole state is a dictionary of arrays."""

    def state(self) -> State: ...

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> Self: ...


@runtime_checkable
class Digests(Protocol):
    """A learner whose knowledge has a SHA-256, equal exactly when it knows the same."""

    def digest(self) -> str: ...


@runtime_checkable
class Bounded(Protocol):
    """A learner that says how much it holds, in bytes."""

    @property
    def memory_bytes(self) -> int: ...
