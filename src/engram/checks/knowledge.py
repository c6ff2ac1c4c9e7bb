"""Laws 1 to 6: what a learner knows after learning, saving, melding and forgetting."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from engram.checks.trial import NAMES, NUMBERS, Snapshot, Trial, require, require_refused, require_same
from engram.learner import (
    Consolidation,
    DamagedError,
    Digests,
    InputError,
    LabelError,
    MeldError,
    NotTaughtError,
    Saves,
    State,
)


def new_labels(trial: Trial) -> None:
    """Twelve labels, str or int, arrive one after another; each is recognised at once."""
    for names in (NAMES, NUMBERS):
        learner = trial.make()
        answers = learner.predict(trial.probes)
        require(answers.labels == [None] * len(trial.probes), "untaught, it must answer None to everything")
        for count, label in enumerate(names, 1):
            learner.learn(*trial.examples([label], 20))
            own = learner.predict(trial.examples([label], 20)[0])
            require(set(own.candidates) == set(names[:count]), f"after {label!r}: {own.candidates}")
            share = np.mean([best == label for best in own.best])
            require(share >= trial.recall, f"label {count}, {label!r}: recognised in only {share:.0%}")


def consolidating(trial: Trial) -> None:
    """`consolidate` reports what it did and loses no label; an exact learner's digest stays."""
    learner = trial.taught(trial.examples(NAMES[:5]))
    digest = learner.digest() if learner.exact and isinstance(learner, Digests) else None
    report = learner.consolidate()
    require(isinstance(report, Consolidation), f"consolidate returned {type(report).__name__}")
    require(set(learner.predict(trial.probes).candidates) == set(NAMES[:5]), "a label was lost")
    if digest is not None:
        require(learner.digest() == digest, "the digest of an exact learner changed")


def batches(trial: Trial) -> None:
    """One batch, three batches and single examples end in the same knowledge."""
    vectors, labels = trial.examples(NAMES[:5])
    whole = trial.taught((vectors, labels))
    single = trial.make()
    for vector, label in zip(vectors, labels, strict=True):
        single.learn(vector, label)
    require_same(whole, single, trial, "one batch against one by one")
    thirds = trial.taught(*((np.asfortranarray(vectors[i::3]), labels[i::3]) for i in range(3)))
    require_same(whole, thirds, trial, "one batch against three")


def order(trial: Trial) -> None:
    """Shuffled and class by class, forwards and backwards, end in the same knowledge."""
    vectors, labels = trial.examples(NUMBERS[:5])
    shuffled = trial.taught((vectors, labels))
    by_class = sorted(range(len(labels)), key=lambda i: labels[i])
    for order in (by_class, by_class[::-1]):
        other = trial.taught((vectors[order], [labels[i] for i in order]))
        require_same(shuffled, other, trial, "shuffled against class by class")


def saving(trial: Trial) -> None:
    """A state is plain arrays, a copy, and all there is: what is loaded answers and goes on learning alike."""
    for names in (NAMES, NUMBERS):
        first, later = trial.examples(names[:5]), [trial.examples(names[i : i + 4], draw=1) for i in (0, 3)]
        learner = trial.taught(first)
        state = learner.state()
        plain = all(isinstance(array, np.ndarray) and array.dtype != object for array in state.values())
        require(plain, "a state holds plain numpy arrays only")
        before = {name: array.tobytes() for name, array in state.items()}
        for batch in later:
            learner.learn(*batch)
        unchanged = all(state[name].tobytes() == raw for name, raw in before.items())
        require(unchanged, "a state taken earlier changed when the learner went on learning")
        loaded = type(learner).from_state(state)
        require_same(loaded, trial.taught(first), trial, "after loading")
        for batch in later:
            loaded.learn(*batch)
        require_same(loaded, learner, trial, "after loading and learning on")


def damaged(trial: Trial) -> None:
    """A state without its entries raises DamagedError; that of an untaught learner can be loaded."""
    kind = type(trial.taught(trial.examples(NAMES[:3])))
    require_refused(kind.from_state, ({},), (DamagedError,), "an empty state")
    fresh: State = trial.make().state()
    require_same(kind.from_state(fresh), trial.make(), trial, "saved and loaded before any teaching")


def melding(trial: Trial) -> None:
    """All labels of both are known; the other is untouched; what does not fit raises MeldError."""
    one, two = (trial.taught(trial.examples(NAMES[i : i + 4], draw=i)) for i in (0, 2))
    before = Snapshot.of(two, trial)
    one.meld(two)
    require(set(one.predict(trial.probes).candidates) == set(NAMES[:6]), "a label was lost")
    require(Snapshot.of(two, trial) == before, "the other learner was changed")
    before = Snapshot.of(one, trial)
    require_refused(one.meld, (object(),), (MeldError,), "melding with something else")
    narrow = Trial(trial.make, trial.width - 1, trial.seed, trial.scale)
    try:
        narrower = narrow.taught(narrow.examples(NAMES[:2]))
    except InputError:
        pass  # its width is fixed by its configuration
    else:
        require_refused(one.meld, (narrower,), (MeldError,), "melding with another width")
    require(Snapshot.of(one, trial) == before, "a refused meld left a trace")


def melding_exactly(trial: Trial) -> None:
    """In every order and grouping, melding ends where learning everything ends."""
    batches = [trial.examples(NAMES[i : i + 3], draw=i) for i in range(3)]
    union = trial.taught(*batches)
    for order in itertools.permutations(range(3)):
        first, second, third = (trial.taught(batches[i]) for i in order)
        first.meld(second)
        first.meld(third)
        require_same(first, union, trial, f"(a + b) + c in the order {order}")
    first, second, third = (trial.taught(batch) for batch in batches)
    second.meld(third)
    first.meld(second)
    require_same(first, union, trial, "a + (b + c)")
    first.meld(trial.make())
    require_same(first, union, trial, "melding with an untaught one")
    one, two = trial.taught(batches[0]), trial.taught(*batches[1:])
    if isinstance(one, Saves):
        loaded: Any = type(one).from_state(one.state())
        loaded.meld(two)
        require_same(loaded, union, trial, "melding after loading")


def forgetting_exactly(trial: Trial) -> None:
    """Learned and forgotten, at once or one by one, equals never learned; all forgotten equals new."""
    kept, dropped = trial.examples(NAMES[:4]), trial.examples(NAMES[2:6], draw=1)
    learner, never = trial.taught(kept, dropped), trial.taught(kept)
    half = len(dropped[1]) // 2
    learner.forget(dropped[0][half:], dropped[1][half:])
    for vector, label in zip(dropped[0][:half], dropped[1][:half], strict=True):
        learner.forget(vector, label)
    require_same(learner, never, trial, "learned and forgotten against never learned")
    learner.forget(*kept)
    require_same(learner, trial.make(), trial, "with everything forgotten against new")


def forgetting(trial: Trial) -> None:
    """A forgotten label is no longer given to its examples; what was never taught raises NotTaughtError."""
    kept, gone = trial.examples(NAMES[:3]), trial.examples([NAMES[3]])
    learner = trial.taught(kept, gone)
    before = Snapshot.of(learner, trial)
    strange = (gone[0], [NAMES[5]] * len(gone[1]))
    require_refused(learner.forget, strange, (NotTaughtError, LabelError), "an unknown label")
    twice = (np.concatenate([gone[0], gone[0]]), gone[1] * 2)
    require_refused(learner.forget, twice, (NotTaughtError,), "more examples than were taught")
    require(Snapshot.of(learner, trial) == before, "a refused forget left a trace")
    learner.forget(*gone)
    still = np.mean([best == NAMES[3] for best in learner.predict(gone[0]).best])
    require(still < 0.5, f"the forgotten label is still given to {still:.0%} of its examples")
