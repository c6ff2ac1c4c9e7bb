"""Teaching: examples that are new enough are learned, many callers' together; and counterexamples, what a label that is
known is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engram.brain.changes import TAUGHT, TAUGHT_NOT, Prepared
from engram.brain.changes.begin import adopting, naming
from engram.brain.knowledge import Knowledge, Rows
from engram.brain.ledger import Ledger
from engram.features.backbones.bundle import Bundle
from engram.inputs.vectors import as_labels
from engram.learner import EngramError, InputError, Label
from engram.store.event import Draft, Reply, Taught, Transaction


@dataclass(frozen=True)
class Lesson:
    """One caller's examples, with all that can be made ready before the brain is held.

    Attributes:
        bundle: the backbone that gave the features.
        rows: (N, D) quantised features.
        receipts, labels, sources, pictures: one of each for every row.
        teacher: who teaches.
        again: whether to learn what is held already.
        also: for each row another receipt under which it may be held already, or None.
        answer: the request that this answers, or None.
        columns: the names of its vectors' columns, in the order of the brain's, or None.
        unknowns: key -> number, of the unknowns that wait in the inbox: an undo puts back those that are learned, so
            no gate skips them.
        teachers, times: for each row who taught it and when (microseconds since 1970 UTC), where that was elsewhere.
        act: the id of the act that it belongs to with other lessons, or None.
    """

    bundle: Bundle
    rows: Rows
    receipts: Sequence[bytes]
    labels: Sequence[Label]
    sources: Sequence[str | None]
    pictures: Sequence[bytes | None]
    teacher: str | None = None
    again: bool = True
    answer: Reply | None = None
    columns: tuple[str, ...] | None = None
    unknowns: Mapping[bytes, int] = field(default_factory=dict)
    teachers: Sequence[str | None] | None = None
    times: Sequence[int] | None = None
    also: Sequence[bytes] | None = None
    act: str | None = None


@dataclass(frozen=True, slots=True)
class Learned:
    """What became of a lesson.

    Attributes:
        ids: the numbers of the examples learned, in their order.
        seq: the last event by then.
        skipped: how many were known already, or well enough.
        repeated: whether the same request had been carried out before; this is what it was answered then.
    """

    ids: tuple[int, ...]
    seq: int
    skipped: int
    repeated: bool = False


HEAVIEST = 1000
"""How often an example can count at most."""


def weighted(lesson: Lesson, weights: int | Sequence[int] | None) -> Lesson:
    """The lesson with each example as often as it counts.

    Raises:
        InputError: weights that are no whole numbers from 1 to `HEAVIEST`, not one for each, or a lesson that learns
            nothing twice.
    """
    if weights is None:
        return lesson
    given = np.asarray(weights)
    if given.dtype.kind not in "iu" or not given.size or given.min() < 1 or given.max() > HEAVIEST:
        raise InputError(f"Weights say how often an example counts: whole numbers from 1 to {HEAVIEST}. Sums of others "
                         "would not be exact: round them, such as np.rint(10 * weights).astype(int), or leave out what "
                         "counts 0 times.")
    if given.ndim and given.shape != (len(lesson.rows),):
        raise InputError(f"{given.size} weights for {len(lesson.rows)} inputs: give one for each, or one for all.")
    if not lesson.again:
        raise InputError("With again=False an example counts once: leave it or the weights away.")
    places: Any = np.repeat(np.arange(len(lesson.rows)), given)

    def repeated(values: Sequence[Any]) -> list[Any]:
        return [values[place] for place in places.tolist()]

    return replace(lesson, rows=lesson.rows[places], receipts=repeated(lesson.receipts),
                   labels=repeated(lesson.labels), sources=repeated(lesson.sources),
                   pictures=repeated(lesson.pictures), also=None if lesson.also is None else repeated(lesson.also))


class Drafts(Sequence[Draft]):
    """The events of a lesson, each made when it is written: a brain in memory writes none."""

    def __init__(self, kind: str, lesson: Lesson, places: Sequence[int]) -> None:
        self._kind, self.lesson, self._places = kind, lesson, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: Any) -> Any:
        i, lesson = self._places[place], self.lesson
        body: dict[str, Any] = {"time": lesson.times[i]} if lesson.times else {}
        if lesson.act is not None:
            body["act"] = lesson.act
        if lesson.receipts[i] in lesson.unknowns:
            body["unknown"] = lesson.unknowns[lesson.receipts[i]]
        return Draft(
            kind=self._kind, teacher=lesson.teachers[i] if lesson.teachers else lesson.teacher,
            label=lesson.labels[i], source=lesson.sources[i], receipt=lesson.receipts[i],
            content=lesson.rows[i].astype("<i2").tobytes(), thumbnail=lesson.pictures[i],
            body=body or None,
        )  # fmt: skip

    def taught(self, numbers: range) -> Taught:
        """The same as arrays, once they have these numbers."""
        lesson, places = self.lesson, self._places
        return Taught(numbers, [lesson.labels[i] for i in places], [lesson.receipts[i] for i in places],
                      lesson.rows[list(places)], self._kind)


def answered(ledger: Ledger, answer: Reply | None) -> Learned | None:
    """The answer to the same request, if it was made before.

    Raises:
        InputError: another request was made with the same key.
    """
    found = None if answer is None else ledger.log.answer(answer.key)
    if answer is None or found is None:
        return None
    if found.request != answer.request:
        raise InputError("This idempotency key was used for a request with other content: repeat the request "
                         "unchanged, or send it with a new key.")
    then: Any = found.response
    return Learned(tuple(then["ids"]), then["seq"], then["skipped"], repeated=True)


def judged(
    knowledge: Knowledge, ledger: Ledger, lessons: Sequence[Lesson]
) -> tuple[list[Lesson], list[Learned | BaseException | None]]:
    """The lessons that can be learned together; and for each of all of them None, why it cannot be learned, or what
    became of it before.
    """
    accepted: list[Lesson] = []
    outcomes: list[Learned | BaseException | None] = []
    for lesson in lessons:
        try:
            earlier = answered(ledger, lesson.answer)
            if earlier is None:
                _check(knowledge, lesson, accepted)
                accepted.append(lesson)
            outcomes.append(earlier)
        except EngramError as error:
            outcomes.append(error)
    return accepted, outcomes


def _check(knowledge: Knowledge, lesson: Lesson, accepted: Sequence[Lesson]) -> None:
    """Raises EngramError where a lesson cannot be learned, together with those accepted before it."""
    bundle = accepted[0].bundle if accepted else knowledge.bundle or lesson.bundle
    if lesson.bundle.fingerprint != bundle.fingerprint and not (
        not accepted and knowledge.may_turn_to(lesson.bundle)
    ):
        raise InputError(f"This brain uses the backbone {bundle.name!r}, but these features were made by "
                         f"{lesson.bundle.name!r}.")
    columns = next((one.columns for one in accepted if one.columns), knowledge.columns)
    if lesson.columns and columns and lesson.columns != columns:  # another caller named them first, just now
        raise InputError("Another caller has just taught the columns in another order: put them into that order and "
                         "teach this again.")
    like = next((one.labels[0] for one in accepted), knowledge.like)
    as_labels(list(lesson.labels), len(lesson.rows), like)
    knowledge.total.sums.check_rows(*(one.rows for one in accepted), lesson.rows)


def prepare(knowledge: Knowledge, ledger: Ledger, lessons: Sequence[Lesson], seq: int) -> list[Prepared]:
    """Learn lessons that `judged` accepted, by one commit.

    Args:
        seq: the last event so far.

    Returns:
        What comes first, and last the lessons: one change for each of them.
    """
    bundle = lessons[0].bundle
    columns = next((lesson.columns for lesson in lessons if lesson.columns), None)
    first: list[Prepared] = []
    if knowledge.bundle is None or knowledge.may_turn_to(bundle) or (columns and knowledge.columns is None):
        first = [*adopting(knowledge, ledger, bundle), *naming(knowledge, columns)]
    chosen = _chosen(knowledge.standing_on(bundle), lessons)
    changes = [
        Transaction(events=Drafts(TAUGHT, lesson, places), answer=remembered(lesson, seq))
        for lesson, places in zip(lessons, chosen, strict=True)
    ]
    parts = [(lesson, places) for lesson, places in zip(lessons, chosen, strict=True) if places]
    rows = [lesson.rows[places] for lesson, places in parts]
    item = Taught(
        (), [lesson.labels[i] for lesson, places in parts for i in places],
        [lesson.receipts[i] for lesson, places in parts for i in places],
        np.concatenate(rows) if rows else lessons[0].rows[:0],
    )  # fmt: skip
    keys = {receipt for lesson in lessons for receipt in lesson.receipts}
    return [*first, Prepared(item, changes, keys=keys)]


def prepare_not(knowledge: Knowledge, lesson: Lesson, seq: int) -> Prepared:
    """Learn a lesson of counterexamples; `seq` is the last event so far.

    Raises:
        NotTaughtError: a label was never taught.
        InputError: the brain stands on another backbone.
    """
    for label in dict.fromkeys(lesson.labels):
        knowledge.check_known(label)
    bundle = knowledge.bundle
    if bundle is None or bundle.fingerprint != lesson.bundle.fingerprint:
        raise InputError("The backbone of this brain was changed meanwhile: teach this again.")
    item = Taught((), lesson.labels, lesson.receipts, lesson.rows, TAUGHT_NOT)
    drafts = Drafts(TAUGHT_NOT, lesson, range(len(lesson.rows)))
    return Prepared(item, [Transaction(events=drafts, answer=remembered(lesson, seq))])


def _chosen(knowledge: Knowledge, lessons: Sequence[Lesson]) -> list[list[int]]:
    """The places of the examples in each lesson that are new enough to be learned."""
    seen: set[tuple[Label, bytes]] = set()
    chosen = []
    for lesson in lessons:
        keys = list(zip(lesson.labels, lesson.receipts, strict=True))
        places = list(range(len(keys)))
        if not lesson.again:
            held = knowledge.held(lesson.receipts, lesson.labels)
            if lesson.also is not None:
                held = [sum(both) for both in zip(held, knowledge.held(lesson.also, lesson.labels), strict=True)]
            first = {key: place for place, key in reversed(list(enumerate(keys)))}
            places = [i for i in places if not held[i] and first[keys[i]] == i and keys[i] not in seen]
        waiting = [lesson.receipts[i] in lesson.unknowns for i in places]
        worth = _worth_learning(knowledge, lesson.rows[places], [lesson.labels[i] for i in places], waiting)
        chosen.append([places[i] for i in worth])
        seen.update(keys)
    return chosen


def _worth_learning(
    knowledge: Knowledge, rows: Rows, labels: Sequence[Label], waiting: Sequence[bool]
) -> list[int]:
    """The places of those that a gate would not skip, one learned after the other; all where there is no gate.

    Args:
        waiting: whether each was answered "Nothing I know", and waits in the inbox: then it is learned.
    """
    total = knowledge.total
    if total.gate is None:
        return list(range(len(labels)))
    trial = total if len(labels) == 1 else total.copy()
    chosen = []
    for i, label in enumerate(labels):
        if waiting[i] or not trial.knows_well(rows[i], label):
            chosen.append(i)
            if trial is not total:
                trial.learn_rows(rows[i : i + 1], [label])
    return chosen


def remembered(lesson: Lesson, seq: int) -> Reply | None:
    """The answer with what to say when the same request comes again."""
    if lesson.answer is None:
        return None
    count = len(lesson.rows)

    def response(ids: range) -> dict[str, Any]:
        return {"ids": list(ids), "seq": max(seq, ids.stop - 1), "skipped": count - len(ids)}

    return replace(lesson.answer, response=response)


def apply(knowledge: Knowledge, taught: Taught, referred: Any) -> None:
    """What was forgotten since is counted as a change, as it was then."""
    if taught.kind == TAUGHT_NOT:
        for head in knowledge.heads():
            head.learn_not_rows(taught.rows, taught.labels)
    elif len(taught.rows):
        for head in knowledge.heads():
            head.learn_rows(taught.rows, taught.labels, taught.receipts)
        knowledge.tell_alphas(knowledge.alphas.keys() & set(taught.labels))
        knowledge.own.receipts.add(taught.receipts, taught.labels)
    if len(taught.rows) or taught.erased:
        knowledge.own.changed(len(taught.rows) + taught.erased)
