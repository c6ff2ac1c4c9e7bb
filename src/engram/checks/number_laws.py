"""The laws for learners that answer numbers: the data to try them on, and where numbers ask for laws of their own.

Most laws are those of `engram.checks.laws`, on examples that have numbers in the place of labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from engram.checks.trial import NAMES, NUMBERS, Snapshot, Trial, agree, require, require_refused, require_same
from engram.learner import (
    Consolidation,
    Digests,
    FloatArray,
    InputError,
    Label,
    LabelError,
    MeldError,
    NotTaughtError,
    Predictions,
)

_SLOPES = np.array([3.0, -2.0, 1.0])


class NumberTrial(Trial):
    """A trial whose examples are inputs with a number each; what names the classes there chooses kinds of inputs here.
    """

    def examples(self, labels: Sequence[Label], each: int = 12, draw: int = 0) -> Any:
        """As `Trial.examples`, with a function of the input, and a little noise, in the place of each label."""
        vectors, named = super().examples(labels, each, draw)
        place = np.array([(NAMES if isinstance(label, str) else NUMBERS).index(label) for label in named])
        inputs = vectors / self.scale
        noise = np.random.default_rng([self.seed, 7, draw]).normal(size=len(inputs))
        numbers = inputs[:, :3] @ _SLOPES + np.abs(inputs[:, 3]) + 0.25 * place + 0.05 * noise
        return vectors, numbers.round(6).tolist()


def close(trial: Trial) -> None:
    """Kinds of inputs arrive one after another; the numbers of all of them are answered better than by their mean."""
    learner = trial.make()
    require(not learner.predict(trial.probes).known.any(), "untaught, it must know nothing")
    taught: list[tuple[FloatArray, Any]] = []
    for name in NAMES[:6]:
        taught.append(trial.examples([name], 20))
        learner.learn(*taught[-1])
        inputs, numbers = np.concatenate([one for one, _ in taught]), np.concatenate([some for _, some in taught])
        off = _values(learner.predict(inputs))[:, 0] - numbers
        require(np.square(off).mean() < 0.5 * numbers.var(), f"after {name!r}: no better than half the mean's error")


def consolidating(trial: Trial) -> None:
    """`consolidate` reports what it did; an exact learner's digest stays."""
    learner = trial.taught(trial.examples(NAMES[:5]))
    digest = learner.digest() if learner.exact and isinstance(learner, Digests) else None
    report = learner.consolidate()
    require(isinstance(report, Consolidation), f"consolidate returned {type(report).__name__}")
    require(digest is None or learner.digest() == digest, "the digest of an exact learner changed")


def melding(trial: Trial) -> None:
    """The other is untouched; what does not fit raises MeldError."""
    one, two = (trial.taught(trial.examples(NAMES[i : i + 4], draw=i)) for i in (0, 2))
    before = Snapshot.of(two, trial)
    one.meld(two)
    require(Snapshot.of(two, trial) == before, "the other learner was changed")
    before = Snapshot.of(one, trial)
    require_refused(one.meld, (object(),), (MeldError,), "melding with something else")
    require(Snapshot.of(one, trial) == before, "a refused meld left a trace")


def forgetting(trial: Trial) -> None:
    """What was never taught, or with another number, raises NotTaughtError and changes nothing."""
    kept: Any = trial.examples(NAMES[:3])
    gone: Any = trial.examples([NAMES[3]])
    learner = trial.taught(kept, gone)
    before = Snapshot.of(learner, trial)
    other = (gone[0], [number + 1.0 for number in gone[1]])
    require_refused(learner.forget, other, (NotTaughtError,), "other numbers")
    twice = (np.concatenate([gone[0], gone[0]]), gone[1] * 2)
    require_refused(learner.forget, twice, (NotTaughtError,), "more examples than were taught")
    require(Snapshot.of(learner, trial) == before, "a refused forget left a trace")
    learner.forget(*gone)
    require_same(learner, trial.taught(kept), trial, "learned and forgotten against never learned")


def bad_input(trial: Trial) -> None:
    """Every kind of bad input raises InputError, and later learning goes as if it had never been."""
    vectors, numbers = trial.examples(NAMES[:3])
    learner, twin = trial.make(), trial.make()
    for one in (learner, twin):
        one.learn(vectors, numbers)
    before = Snapshot.of(learner, trial)
    for what, bad_vectors, bad_numbers in _bad(vectors, numbers):
        require_refused(learner.learn, (bad_vectors, bad_numbers), (InputError, LabelError), f"learning {what}")
        require(Snapshot.of(learner, trial) == before, f"learning {what} left a trace")
        if bad_numbers is numbers:
            require_refused(learner.predict, (bad_vectors,), (InputError,), f"asking about {what}")
    for one in (learner, twin):
        one.learn(*trial.examples(NAMES[2:5], draw=1))
    require(Snapshot.of(learner, trial) == Snapshot.of(twin, trial), "later learning goes another way")


def _bad(vectors: FloatArray, numbers: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    for value in (np.nan, np.inf):
        spoilt = vectors.copy()
        spoilt[-1, -1] = value
        yield f"{value} in the last vector", spoilt, numbers
        yield f"the number {value}", vectors, [*numbers[:-1], value]
    yield "an empty batch", vectors[:0], []
    yield "three dimensions", vectors[None], numbers
    yield "a larger width", np.hstack([vectors, vectors]), numbers
    yield "one number too few", vectors, numbers[:-1]
    yield "two numbers for each", vectors, np.ones((len(vectors), 2))
    words: tuple[Any, ...] = ("one", None, b"b", {})
    for word in words:
        yield f"the number {word!r}", vectors, [*numbers[:-1], word]
    yield "a number beyond any range", vectors, [*numbers[:-1], 1e300]


def answers(trial: Trial) -> None:
    """Shapes and types: numbers lie in their intervals, and one vector is answered like the first of many."""
    vectors, numbers = trial.examples(NAMES[:3])
    array: Any = np.array(numbers)
    learner = trial.taught((vectors, array))
    found = learner.predict(trial.probes)
    count = len(trial.probes)
    require(isinstance(found, Predictions) and len(found) == count == len(list(found)), "one answer per input")
    values, between = _values(found), found.intervals
    require(values.shape == (count, 1) and np.isfinite(values).all(), f"values of shape {values.shape}, or not finite")
    require(between is not None and between.shape == (count, 1, 2), "no interval for each number")
    assert between is not None
    require((between[..., 0] <= values).all() and (values <= between[..., 1]).all(), "a value is not in its interval")
    require(((found.confidence >= 0) & (found.confidence <= 1)).all(), "confidence is not in [0, 1]")
    single = learner.predict(trial.probes[0])
    require(agree(single, found[:1]), "one vector is answered otherwise than the first of many")
    require(agree(learner.predict(trial.probes.tolist()), found), "a list is answered otherwise")
    column = trial.taught((vectors, array[:, None]))
    require_same(column, learner, trial, "numbers as one column against a list")
    before = Snapshot.of(learner, trial)
    for given in (found.values, found.intervals, found.scores):
        if given is not None and given.flags.writeable:
            given.fill(0)
    require(Snapshot.of(learner, trial) == before, "the learner keeps the caller's arrays, not copies")


def predicting(trial: Trial) -> None:
    """Neither the state nor later learning depends on what was asked."""
    learner, twin = (trial.taught(trial.examples(NAMES[:4])) for _ in range(2))
    before = Snapshot.of(learner, trial)
    for _ in range(3):
        learner.predict(trial.probes)
    require(Snapshot.of(learner, trial) == before, "the state or the answers changed")
    for one in (learner, twin):
        one.learn(*trial.examples(NAMES[3:6], draw=1))
    require(Snapshot.of(learner, trial) == Snapshot.of(twin, trial), "what was asked changes later learning")


def _values(found: Predictions) -> FloatArray:
    require(found.values is not None, "an answer without values")
    assert found.values is not None
    return found.values
