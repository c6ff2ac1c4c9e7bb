"""What a law works with: a maker of learners, the data to try them on, and what counts as the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from engram.learner import Digests, EngramError, FloatArray, Label, Predictions, Saves

Make = Callable[[], Any]
Examples = tuple[FloatArray, list[Label]]

# Sorted order differs from order of arrival, so that a learner that mixes the two up is found out.
NAMES: tuple[Label, ...] = ("m", "b", "10", "9", "Zeta", "a", "é", "\u03b5", " b", "None", "nan", "x" * 99)
NUMBERS: tuple[Label, ...] = (7, 0, -3, 12, 2**53 + 1, 5, -1, 100, 9, 3, 1, 2**62)


class LawBroken(AssertionError):
    """A learner breaks a law; the message names the law and what was seen."""


@runtime_checkable
class Rebuilds(Protocol):
    """A learner whose read-out is derived from its memory and may lag behind it until `rebuild`."""

    def rebuild(self) -> None:
        """Derive the read-out from the memory now."""


@runtime_checkable
class Descends(Protocol):
    """A learner that learns in many steps of descent, so that a call takes long enough to be interrupted."""

    steps_taken: int


@dataclass(frozen=True)
class Trial:
    """What a law works with: a maker of fresh learners and the data to try them on.

    Attributes:
        make: returns a fresh learner, the same one each time.
        width: values per vector, 7 at least; all lie in [-1, 1] times `scale`.
        recall: the share of a new label's own examples that must get it right after it was learned.
        stream: length of the short stream of law 7; the long one is four times as long.
        counts: of examples, near each of which an exact learner's answers are compared: give 1024 and 8192 too for a
            learner that changes course there, and a width of 512 and more for one whose work grows with it.
    """

    make: Make
    width: int = 8
    seed: int = 0
    scale: float = 1.0
    recall: float = 0.5
    stream: int = 512
    counts: tuple[int, ...] = (30, 64, 128, 200, 256)

    def __post_init__(self) -> None:
        if 2 * self.width < len(NAMES):
            raise ValueError(f"The {len(NAMES)} classes need {len(NAMES) // 2} dimensions, not {self.width}.")

    def examples(self, labels: Sequence[Label], each: int = 12, draw: int = 0) -> Examples:
        """`each` examples of every label, in shuffled order; another `draw` gives other examples.

        Class k lies at a signed axis of a random rotation, so that classes differ in direction too;
        odd classes are stretched along a direction of their own.
        """
        fixed = np.random.default_rng(self.seed)
        rotation = np.linalg.qr(fixed.normal(size=(self.width, self.width)))[0]
        stretch = 0.12 * fixed.normal(size=(len(NAMES), self.width)) / np.sqrt(self.width)
        rng = np.random.default_rng([self.seed, 1 + draw])
        vectors = []
        for label in labels:
            k = _place(label)
            centre = (0.6 if k < self.width else -0.6) * rotation[k % self.width]
            noise = 0.03 * rng.normal(size=(each, self.width))
            noise += (k % 2) * rng.normal(size=(each, 1)) * stretch[k]
            vectors.append(np.clip(centre + noise, -1, 1) * self.scale)
        order = rng.permutation(len(labels) * each)
        named = [label for label in labels for _ in range(each)]
        return np.concatenate(vectors)[order], [named[i] for i in order]

    def taught(self, *batches: Examples) -> Any:
        """A fresh learner that was taught these batches."""
        learner = self.make()
        for vectors, labels in batches:
            learner.learn(vectors, labels)
        return learner

    @property
    def probes(self) -> FloatArray:
        """Vectors to ask about: examples of six classes and some noise."""
        noise = np.random.default_rng([self.seed, 999]).uniform(-1, 1, (6, self.width)) * self.scale
        return np.concatenate([self.examples(NAMES[:6], 4, draw=99)[0], noise])


def _place(label: Label) -> int:
    return NAMES.index(label) if isinstance(label, str) else NUMBERS.index(label)


def require(condition: object, sentence: str) -> None:
    """Raise LawBroken with the sentence unless the condition holds."""
    if not condition:
        raise LawBroken(sentence)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a learner knew at one moment: the hash of its memory, if it shows it, and its answers."""

    memory: str
    answers: Predictions

    @classmethod
    def of(cls, learner: Any, trial: Trial) -> Snapshot:
        """The learner's digest, else the hash of its state, else nothing; and its answers."""
        total = hashlib.sha256()
        if isinstance(learner, Digests):
            total.update(learner.digest().encode())
        elif isinstance(learner, Saves):
            for name, array in sorted(learner.state().items()):
                total.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return cls(total.hexdigest(), learner.predict(trial.probes))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Snapshot) and self.memory == other.memory and agree(self.answers, other.answers)
        )


def settled(learner: Any) -> Any:
    """The learner with its read-out brought up to date."""
    if isinstance(learner, Rebuilds):
        learner.rebuild()
    return learner


def agree(one: Predictions, two: Predictions) -> bool:
    """Whether two answers are the same up to rounding (1e-6) and the order of the candidates."""
    if set(one.candidates) != set(two.candidates) or one.scores.shape != two.scores.shape:
        return False
    columns = [two.candidates.index(label) for label in one.candidates]
    close = np.allclose(one.scores, two.scores[:, columns], rtol=1e-6, atol=1e-9)
    close &= alike(one.values, two.values) and alike(one.intervals, two.intervals)
    return bool(close and np.array_equal(one.known, two.known))


def alike(one: FloatArray | None, two: FloatArray | None) -> bool:
    """Numbers and intervals, of a learner that answers them."""
    if one is None or two is None:
        return one is two
    return bool(one.shape == two.shape and np.allclose(one, two, rtol=1e-6, atol=1e-7, equal_nan=True))


def require_same(one: Any, two: Any, trial: Trial, sentence: str) -> None:
    """Two learners know the same: equal digests where they have them, and equal answers."""
    if isinstance(one, Digests) and isinstance(two, Digests):
        require(one.digest() == two.digest(), f"{sentence}: the digests differ")
    answers = (settled(one).predict(trial.probes), settled(two).predict(trial.probes))
    require(agree(*answers), f"{sentence}: the answers differ")


def require_refused(
    action: Callable[..., object],
    arguments: tuple[Any, ...],
    errors: tuple[type[EngramError], ...],
    what: str,
) -> None:
    """The action, called with the arguments, raises one of the errors, with a message."""
    try:
        action(*arguments)
    except errors as error:
        require(str(error).strip(), f"{what}: the error says nothing")
    except Exception as error:
        raise LawBroken(f"{what}: raised {type(error).__name__}, not an engram error: {error}") from error
    else:
        names = " or ".join(error.__name__ for error in errors)
        raise LawBroken(f"{what}: accepted, where {names} is due")
