"""The laws: what a learner knows after learning, saving, melding and forgetting (1 to 6), and how it behaves towards
memory, bad input, labels, callers and threads (7 to 11).

Those that end in `_at` are held where code changes course: just below, at and just above certain counts of examples.
A learner that derives its answers from sums refits at some counts, samples from others on, chooses another read-out.
So answers are compared there, not digests alone. One learner is asked as it is at that moment; two that learned in
different ways are compared when both are settled. One class grows past every count of `Trial.counts`; three others
have two examples each. Both the class and the learner as a whole pass each count.
"""

from __future__ import annotations

import itertools
import linecache
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from inspect import signature
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from engram.checks.trial import (
    NAMES,
    NUMBERS,
    Examples,
    Snapshot,
    Trial,
    agree,
    alike,
    require,
    require_refused,
    require_same,
    settled,
)
from engram.learner import (
    Consolidation,
    DamagedError,
    Digests,
    FloatArray,
    InputError,
    Label,
    LabelError,
    MeldError,
    NotTaughtError,
    Predictions,
    Saves,
    State,
)

INTERRUPTED = 8
"""At so many lines each of `learn` and `consolidate` is interrupted."""

FEW, EACH = NAMES[1:4], 2
"""The classes that do not grow, and how many examples each has."""

DERIVED = ("scores", "confidence", "focus", "familiarity")


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
        _require_saved(learner, trial.taught(first), later, trial)


def saved_after_consolidating(trial: Trial) -> None:
    """What consolidation leaves is in the state too: what is loaded goes on learning and consolidating alike."""
    first, later = trial.examples(NAMES[:4]), [trial.examples(NAMES[i : i + 4], draw=1) for i in (2, 4)]
    learner, twin = trial.taught(first), trial.taught(first)
    for one in (learner, twin):
        one.consolidate()
    _require_saved(learner, twin, later, trial)


def _require_saved(learner: Any, twin: Any, later: list[Examples], trial: Trial) -> None:
    """A learner and its twin, which knows the same: what is loaded from the one's state answers and learns alike."""
    state = learner.state()
    plain = all(isinstance(array, np.ndarray) and array.dtype != object for array in state.values())
    require(plain, "a state holds plain numpy arrays only")
    before = {name: array.tobytes() for name, array in state.items()}
    _live(learner, later)
    unchanged = all(state[name].tobytes() == raw for name, raw in before.items())
    require(unchanged, "a state taken earlier changed when the learner went on learning")
    loaded = type(learner).from_state(state)
    require_same(loaded, twin, trial, "after loading")
    _live(loaded, later)
    require_same(loaded, learner, trial, "after loading and learning on")


def _live(learner: Any, batches: list[Examples]) -> None:
    for batch in batches:
        learner.learn(*batch)
    learner.consolidate()


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
        if taught or not isinstance(label, float):  # what learned nothing yet may take floats for numbers to answer
            yield f"only the label {label!r}", vectors[:1], [label]
    yield "mixed labels", vectors, [*labels[:-1], 1]
    if taught:
        yield "int labels after str labels", vectors, [1] * len(labels)
        yield "a larger width", np.hstack([vectors, vectors]), labels
        yield "a smaller width", vectors[:, :-1], labels


def interrupted(trial: Trial) -> None:
    """KeyboardInterrupt at lines spread over `learn` and `consolidate` leaves no trace, and later learning goes as if
    it had never been."""
    first, second = trial.examples(NAMES[:3]), trial.examples(NAMES[2:5], draw=1)
    learner, twin = trial.taught(first), trial.taught(first)
    for one in (learner, twin):
        one.consolidate()
        one.learn(*second)
    for action in (lambda one: one.learn(*second), lambda one: one.consolidate()):
        lines = _lines(partial(action, type(learner).from_state(learner.state())), _files(learner))
        for line in lines[:: max(1, len(lines) // INTERRUPTED)]:
            before = Snapshot.of(learner, trial)
            require(_interrupt(partial(action, learner), line), "the same call goes another way when it is repeated")
            require(Snapshot.of(learner, trial) == before, f"interrupted at {line}, it is not what it was")
    for one in (learner, twin):
        one.consolidate()
        one.learn(*first)
    require(Snapshot.of(learner, trial) == Snapshot.of(twin, trial), "later learning goes another way")


def diverged(trial: Trial) -> None:
    """Inputs that are 10^25 times too large are refused without a trace, or learned; then it learns as ever."""
    first, second = trial.examples(NAMES[:3]), trial.examples(NAMES[2:5], draw=1)
    learner, twin = trial.taught(first), trial.taught(first)
    before = Snapshot.of(learner, trial)
    try:
        learner.learn(1e25 * second[0], second[1])
    except InputError:
        require(Snapshot.of(learner, trial) == before, "a learning that diverged left a trace")
        for one in (learner, twin):
            one.learn(*second)
        require(Snapshot.of(learner, trial) == Snapshot.of(twin, trial), "later learning goes another way")
    else:
        learner.learn(*second)
        known = np.mean([best == label for best, label in zip(learner.predict(second[0]).best, second[1], strict=True)])
        require(known >= trial.recall, f"what it learned afterwards is recognised in only {known:.0%}")


class Line(NamedTuple):
    """A line of a file, when it is reached for the first time, or for the second if there is one."""

    file: str
    number: int
    time: int


def _files(learner: Any) -> frozenset[str]:
    """Where the learner's class and those above it are written."""
    modules = (sys.modules.get(kind.__module__) for kind in type(learner).__mro__[:-1])
    return frozenset(file for module in modules if (file := getattr(module, "__file__", None)))


def _lines(action: Callable[[], object], files: frozenset[str]) -> list[Line]:
    """The lines of these files that the action runs through, in order.

    A `with` is left out: its line comes again when it is left, which Python itself does not shield.
    """
    times: Counter[tuple[str, int]] = Counter()

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            times[frame.f_code.co_filename, frame.f_lineno] += 1
        return trace

    _traced(action, trace)
    return [Line(*place, min(count, 2)) for place, count in times.items()
            if not linecache.getline(*place).lstrip().startswith("with ")]


def _interrupt(action: Callable[[], object], at: Line) -> bool:
    """Whether the action came there, and was interrupted."""
    met = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal met
        if frame.f_code.co_filename != at.file:
            return None
        if event == "line" and frame.f_lineno == at.number:
            met += 1
            if met == at.time:
                raise KeyboardInterrupt
        return trace

    try:
        _traced(action, trace)
    except KeyboardInterrupt:
        return True
    return False


def _traced(action: Callable[[], object], trace: Callable[[FrameType, str, object], Any]) -> None:
    usual = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(usual)


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
        backwards = trial.taught((many[0][size - 1 :: -1], many[1][size - 1 :: -1]), few)
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
    numbers = alike(one.values, two.values) and alike(one.intervals, two.intervals)
    require(numbers, f"{sentence}: the numbers differ")


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
