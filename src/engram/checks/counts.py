"""Laws 2, 4, 5, 6 and 10 where code changes course: just below, at and just above certain counts of examples.

A learner that derives its answers from sums refits at some counts, samples from others on, chooses another read-out.
So answers are compared here, not digests alone. One learner is asked as it is at that moment; two that learned in
different ways are compared when both are settled.

One class grows past every count of `Trial.counts`; three others have two examples each. Both the class and the learner
as a whole pass each count.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from inspect import signature
from typing import Any

import numpy as np

from engram.checks.trial import NAMES, Examples, Trial, require, settled
from engram.learner import Digests, Label, Predictions, Saves

FEW, EACH = NAMES[1:4], 2
"""The classes that do not grow, and how many examples each has."""

DERIVED = ("scores", "confidence", "focus", "familiarity")


def saved_at(trial: Trial) -> None:
    """Saved at any count and opened, it answers as the one that was saved, and learns on past the count alike."""
    for count in trial.counts:
        heir: Any = None
        for size, learner, new in _growing(trial, _around(count)):
            if heir is not None:
                _teach(heir, new)
            opened = _require_opened_alike(learner, trial, f"saved and opened with {size} examples of one label")
            heir = opened if heir is None else heir
        require_settled_alike(heir, learner, trial, f"opened below {count} and taught on past it")


def asked_at(trial: Trial) -> None:
    """At any count it answers alike alone and in company, from another thread, and whether it was asked before."""
    with ThreadPoolExecutor(1) as elsewhere:
        for count in trial.counts:
            for size, learner, _ in _growing(trial, _around(count)):
                where = f"with {size} examples of one label"
                together = learner.predict(trial.probes)
                for place, probe in enumerate(trial.probes):
                    require_alike(learner.predict(probe), together[place : place + 1],
                                  f"{where}, input {place} is asked about alone and in company")
                other = elsewhere.submit(learner.predict, trial.probes).result()
                require_alike(other, together, f"{where}, asked from another thread")
            *_, (_, quiet, _) = _growing(trial, _around(count))
            require_alike(quiet.predict(trial.probes), together, f"{where}, one was asked on the way and one was not")


def learned_at(trial: Trial) -> None:
    """Taught one by one past any count, it is what one is that was taught all at once, and another order changes
    nothing."""
    few, many = _examples(trial)
    for count in trial.counts:
        for size, learner, _ in _growing(trial, _around(count, (0, 1))):
            at_once = trial.taught(_joined(_part(many, size), few))
            require_settled_alike(learner, at_once, trial, f"{size} examples of one label, at once and one by one")
        backwards = trial.taught(_part((many[0][size - 1 :: -1], many[1]), size), few)
        require_settled_alike(learner, backwards, trial, f"{size} examples of one label, in the other order")


def forgotten_at(trial: Trial) -> None:
    """Forgetting back past any count equals never having learned: single examples, and labels as a whole."""
    few, many = _examples(trial)
    for count in trial.counts:
        for size in _around(count, (-1,)):
            never = trial.taught(few, _part(many, size))
            learner = trial.taught(few, _part(many, size + 2))
            settled(learner)
            for place in (size, size + 1):
                learner.forget(many[0][place], many[1][place])
            require_settled_alike(learner, never, trial, f"learned {size + 2} examples of a label and forgot two")
        rest = _without(few, FEW[0])
        learner.forget(*_only(few, FEW[0]))
        require_settled_alike(learner, trial.taught(rest, _part(many, size)), trial,
                              f"all examples of a label forgotten, beside {size} of another")
        if _forgot_label(learner, many[1][0]):
            require_settled_alike(learner, trial.taught(rest), trial, f"a label of {size} examples forgotten")


def melded_at(trial: Trial) -> None:
    """Melding past any count equals learning the union, and what was melded is saved, opened and asked like it."""
    few, many = _examples(trial)
    for count in trial.counts:
        for size in _around(count, (0,)):
            half = size // 2
            one: Any = trial.taught(_only(few, FEW[0]), _part(many, half))
            two = trial.taught(_without(few, FEW[0]), (many[0][half:size], many[1][half:size]))
            settled(one)
            one.meld(two)
            if isinstance(one, Saves):
                _require_opened_alike(one, trial, f"melded to {size} examples of a label, saved and opened")
            require_settled_alike(one, trial.taught(few, _part(many, size)), trial,
                                  f"{size} examples of a label, melded and learned")


def require_alike(one: Predictions, two: Predictions, sentence: str) -> None:
    """The same answers in every respect: labels and what is known exactly, numbers up to rounding (1e-6)."""
    require(one.candidates == two.candidates or set(one.candidates) == set(two.candidates),
            f"{sentence}: other candidates")
    order = [two.candidates.index(label) for label in one.candidates]
    for name in DERIVED:
        mine, theirs = getattr(one, name), getattr(two, name)
        theirs = theirs[:, order] if name == "scores" else theirs
        close = np.isclose(mine, theirs, rtol=1e-6, atol=1e-9, equal_nan=True).reshape(len(mine), -1).all(axis=1)
        require(close.all(), f"{sentence}: {name} of {np.count_nonzero(~close)} of {len(close)} answers differ")
    require(np.array_equal(one.known, two.known), f"{sentence}: what is known differs")


def require_settled_alike(one: Any, two: Any, trial: Trial, sentence: str) -> None:
    """The same digest where they have one, and the same answers once both are settled."""
    if isinstance(one, Digests) and isinstance(two, Digests):
        require(one.digest() == two.digest(), f"{sentence}: the digests differ")
    require_alike(settled(one).predict(trial.probes), settled(two).predict(trial.probes), sentence)


def _forgot_label(learner: Any, label: Label) -> bool:
    """Whether it can forget a label as a whole, by a method or by an argument of `forget`; then it has."""
    if hasattr(learner, "forget_label"):
        learner.forget_label(label)
    elif "label" in signature(learner.forget).parameters:
        learner.forget(label=label)
    else:
        return False
    return True


def _require_opened_alike(learner: Any, trial: Trial, sentence: str) -> Any:
    """Returns what was opened; the state is taken before anything is asked."""
    opened = type(learner).from_state(learner.state())
    require_alike(opened.predict(trial.probes), learner.predict(trial.probes), sentence)
    return opened


def _examples(trial: Trial) -> tuple[Examples, Examples]:
    """Those of the few classes, and more than enough of the one that grows."""
    return trial.examples(FEW, EACH), trial.examples(NAMES[:1], max(trial.counts) + 3)


def _around(count: int, steps: tuple[int, ...] = (-1, 0, 1)) -> list[int]:
    """Sizes of the growing class with which it, or the learner as a whole, is so many examples from a count."""
    others = len(FEW) * EACH
    return sorted({max(1, count + step - less) for less in (0, others) for step in steps})


def _growing(trial: Trial, sizes: list[int]) -> Iterator[tuple[int, Any, Examples]]:
    """A learner that grows to each size, at once to the first, then one by one; and what it was taught last."""
    few, many = _examples(trial)
    learner = trial.taught(few)
    done = 0
    for size in sizes:
        new = (many[0][done:size], many[1][done:size])
        if done:
            _teach(learner, new)
        else:
            learner.learn(*new)
        done = size
        yield size, learner, new


def _teach(learner: Any, new: Examples) -> None:
    for vector, label in zip(*new, strict=True):
        learner.learn(vector, label)


def _part(examples: Examples, size: int) -> Examples:
    return examples[0][:size], examples[1][:size]


def _joined(one: Examples, two: Examples) -> Examples:
    return np.concatenate([one[0], two[0]]), [*one[1], *two[1]]


def _only(examples: Examples, label: Any) -> Examples:
    rows = [place for place, own in enumerate(examples[1]) if own == label]
    return examples[0][rows], [label] * len(rows)


def _without(examples: Examples, label: Any) -> Examples:
    rows = [place for place, own in enumerate(examples[1]) if own != label]
    return examples[0][rows], [examples[1][place] for place in rows]
