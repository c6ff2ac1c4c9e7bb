"""Laws 7 to 11: how a learner behaves towards memory, bad input, labels, callers and threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from engram.checks.trial import NAMES, NUMBERS, Snapshot, Trial, agree, require, require_refused
from engram.learner import FloatArray, InputError, Label, LabelError, Predictions, Saves


def memory(trial: Trial) -> None:
    """The learner's `memory_limit` (bytes for the labels known so far) holds on a long stream; without one,
    or where it is None, the memory does not grow between n examples and 4n of the same labels.
    """
    learner = trial.make()
    held: list[int] = []
    for part in range(4):
        vectors, labels = trial.examples(NAMES[:8], trial.stream // 8, draw=part)
        for i in range(0, len(labels), 32):
            learner.learn(vectors[i : i + 32], labels[i : i + 32])
        held.append(_bytes(learner))
    limit = getattr(learner, "memory_limit", None)
    count = trial.stream // 8 * 8
    if limit is None:
        require(held[-1] <= held[0] + 256, f"{held[0]} bytes after {count}, {held[-1]} after {4 * count}; "
                "state a memory_limit if that is as it should be")
    else:
        require(max(held) <= limit + 4096, f"{max(held)} bytes held, {limit} stated")


def _bytes(learner: Any) -> int:
    """What it says it holds, or what its state weighs if that is more (less 4 KiB for names)."""
    state = sum(array.nbytes for array in learner.state().values()) if isinstance(learner, Saves) else 0
    return max(int(learner.memory_bytes), state)


def bad_input(trial: Trial) -> None:
    """Every kind of bad input raises InputError or LabelError, and later learning goes as if it had never been."""
    vectors, labels = trial.examples(NAMES[:3])
    learner, twin = trial.make(), trial.make()
    for history in ([], [(vectors, labels)]):
        for batch in history:
            learner.learn(*batch)
            twin.learn(*batch)
        before = Snapshot.of(learner, trial)
        for what, bad_vectors, bad_labels in _bad(vectors, labels, taught=bool(history)):
            errors = (InputError, LabelError)
            require_refused(learner.learn, (bad_vectors, bad_labels), errors, f"learning {what}")
            require(Snapshot.of(learner, trial) == before, f"learning {what} left a trace")
            if bad_labels == labels:
                require_refused(learner.predict, (bad_vectors,), (InputError,), f"asking about {what}")
    for one in (learner, twin):
        one.learn(*trial.examples(NAMES[2:5], draw=1))
    require(Snapshot.of(learner, trial) == Snapshot.of(twin, trial), "later learning goes another way")


def _bad(vectors: FloatArray, labels: list[Label], taught: bool) -> Iterator[tuple[str, Any, Any]]:
    for value in (np.nan, np.inf, -np.inf):
        spoilt = vectors.copy()
        spoilt[-1, -1] = value
        yield f"{value} in the last vector", spoilt, labels
    yield "an empty batch", vectors[:0], []
    yield "an empty list", [], []
    yield "three dimensions", vectors[None], labels
    yield "words", [["one", "two"]] * len(labels), labels
    yield "a ragged list", [[1.0], [1.0, 2.0]], labels[:2]
    yield "complex numbers", vectors + 1j, labels
    yield "one label too few", vectors, labels[:-1]
    yield "one label too many", vectors, [*labels, labels[0]]
    for label in (1.5, float("nan"), None, True, b"b", ("a", "b")):
        yield f"the label {label!r}", vectors, [*labels[:-1], label]
        yield f"only the label {label!r}", vectors[:1], [label]
    yield "mixed labels", vectors, [*labels[:-1], 1]
    if taught:
        yield "int labels after str labels", vectors, [1] * len(labels)
        yield "a larger width", np.hstack([vectors, vectors]), labels
        yield "a smaller width", vectors[:, :-1], labels


def labels(trial: Trial) -> None:
    """Awkward names and large numbers, in lists, tuples and arrays, come back equal and of plain type."""
    forms: list[tuple[Sequence[Label], Callable[[list[Label]], Any]]] = [
        (NAMES, list), (NAMES, tuple), (NAMES, np.array), (NUMBERS, list), (NUMBERS, np.array)]
    for names, form in forms:
        vectors, labels = trial.examples(names)
        learner = trial.taught((vectors, form(labels)))
        _require_labels(learner.predict(vectors), names)
        if isinstance(learner, Saves):
            loaded: Any = type(learner).from_state(learner.state())
            _require_labels(loaded.predict(vectors), names)


def _require_labels(answers: Predictions, names: Sequence[Label]) -> None:
    kinds = {type(name) for name in names}
    require(set(answers.candidates) == set(names), f"taught {names}, answers {answers.candidates}")
    given: Iterable[Any] = [*answers.candidates, *answers.best, *(p.ranked[0][0] for p in answers)]
    wrong = {type(label).__name__ for label in given if type(label) not in kinds}
    require(not wrong, f"labels come out as {wrong}")


def among(trial: Trial) -> None:
    """`among` gives exactly its labels as candidates, scored as among all; unknown or no labels raise LabelError."""
    learner = trial.taught(trial.examples(NUMBERS[:6]))
    full = learner.predict(trial.probes)
    wanted = (NUMBERS[4], NUMBERS[1], NUMBERS[3])
    for among in (list(wanted), iter(wanted), (*wanted, wanted[0])):
        part = learner.predict(trial.probes, among=among)
        require(sorted(part.candidates) == sorted(wanted), f"asked among {wanted}, got {part.candidates}")
        require(set(part.labels) <= {*wanted, None}, "an answer is not among those asked for")
    order = [full.candidates.index(label) for label in part.candidates]
    chosen = [part.candidates[i] for i in full.scores[:, order].argmax(axis=1)]
    require(part.best == chosen, "the best of a few is not the best scored of the few")
    for wrong in ([NUMBERS[0], NUMBERS[9]], []):
        require_refused(learner.predict, (trial.probes, wrong), (LabelError,), f"asking among {wrong}")


def answers(trial: Trial) -> None:
    """Shapes, ranges and types of Predictions; one vector and lists are answered like rows of arrays."""
    vectors, labels = trial.examples(NAMES[:3])
    learner = trial.taught((vectors, labels))
    answers = learner.predict(trial.probes)
    require(isinstance(answers, Predictions), f"predict returned {type(answers).__name__}")
    require(answers.scores.shape == (len(trial.probes), 3), f"scores of shape {answers.scores.shape}")
    require((np.isfinite(answers.scores) | np.isneginf(answers.scores)).all(), "scores are NaN or infinite")
    sure = answers.confidence
    require(((sure >= 0) & (sure <= 1)).all(), "confidence is not in [0, 1]")
    require(len(list(answers)) == len(answers) == len(trial.probes), "one answer per input")
    single = learner.predict(trial.probes[0])
    require(single.best == answers.best[:1], "one vector is answered otherwise than the first of many")
    require(agree(learner.predict(trial.probes.tolist()), answers), "a list is answered otherwise")


def predicting(trial: Trial) -> None:
    """Neither the state nor later learning depends on what was asked."""
    learner, twin = (trial.taught(trial.examples(NAMES[:4])) for _ in range(2))
    before = Snapshot.of(learner, trial)
    for _ in range(3):
        learner.predict(trial.probes)
        learner.predict(trial.probes[:1], among=NAMES[:2])
    require(Snapshot.of(learner, trial) == before, "the state or the answers changed")
    for one in (learner, twin):
        one.learn(*trial.examples(NAMES[3:6], draw=1))
    require(Snapshot.of(learner, trial) == Snapshot.of(twin, trial), "what was asked changes later learning")


def arrays_stay(trial: Trial) -> None:
    """Nothing writes to the caller's arrays or keeps them; states and answers are the caller's too."""
    vectors, labels = trial.examples(NAMES[:4])
    given, names, probes = vectors.copy(), list(labels), trial.probes
    learner = trial.taught((given, names))
    answers = learner.predict(probes)
    require(np.array_equal(given, vectors) and names == labels, "learning changed the caller's examples")
    require(np.array_equal(probes, trial.probes), "predicting changed the caller's vectors")
    before = Snapshot.of(learner, trial)
    given[:] = 0.5 * trial.scale
    names.clear()
    _overwrite(answers.scores)
    if isinstance(learner, Saves):
        state = {name: array.copy() for name, array in learner.state().items()}
        loaded: Any = type(learner).from_state(state)
        told = Snapshot.of(loaded, trial)
        _overwrite(*state.values(), *learner.state().values())
        require(Snapshot.of(loaded, trial) == told, "a loaded learner shares memory with its saved state")
    require(Snapshot.of(learner, trial) == before, "the learner keeps the caller's arrays, not copies")
    for array in (vectors, probes):
        array.flags.writeable = False
    trial.taught((vectors, labels)).predict(probes)


def _overwrite(*arrays: np.ndarray[Any, Any]) -> None:
    for array in arrays:
        if array.flags.writeable:
            array.fill(0)


def threads(trial: Trial) -> None:
    """Every answer given during a sequence of `learn` equals one given between two of them, in their order."""
    batches = [trial.examples(NAMES[i : i + 2], 16, draw=i) for i in range(10)]
    learner, twin = trial.taught(batches[0]), trial.taught(batches[0])
    valid = [twin.predict(trial.probes)]
    for batch in batches[1:]:
        twin.learn(*batch)
        valid.append(twin.predict(trial.probes))
    seen: list[Predictions] = []
    failures: list[BaseException] = []
    done, asked = threading.Event(), threading.Event()

    def ask() -> None:
        try:
            while not done.is_set():
                seen.append(learner.predict(trial.probes))
                asked.set()
        except BaseException as error:
            failures.append(error)
            asked.set()

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=ask, daemon=True)
    try:
        sys.setswitchinterval(1e-6)
        thread.start()
        for batch in batches[1:]:
            asked.wait(60)
            asked.clear()
            learner.learn(*batch)
    finally:
        done.set()
        thread.join(60)
        sys.setswitchinterval(interval)
    require(not failures, f"asking while learning raised {failures[:1]}")
    places = [next((i for i, answer in enumerate(valid) if agree(answer, one)), -1) for one in seen]
    require(min(places) >= 0, f"{places.count(-1)} of {len(places)} answers lie between two states")
    require(places == sorted(places), "an answer comes from before an earlier one")


def seeds(trial: Trial) -> None:
    """Two runs end alike, whatever NumPy's global generator is doing."""
    batches = [trial.examples(NAMES[i : i + 3], draw=i) for i in range(3)]
    legacy = np.random.get_state()  # noqa: NPY002 - it must be neither used nor disturbed
    try:
        results = []
        for noise in (1, 2):
            np.random.seed(noise)  # noqa: NPY002
            results.append(Snapshot.of(trial.taught(*batches), trial))
        require(results[0] == results[1], "two runs on the same stream differ")
    finally:
        np.random.set_state(legacy)  # noqa: NPY002
