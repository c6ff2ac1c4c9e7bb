"""Lessons: examples on their way into a brain, and how many callers' lessons are learned together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.brain.contributions import Rows
from engram.brain.examples import Examples
from engram.brain.reviewed import Reviewed
from engram.brain.timeline import TAUGHT, TAUGHT_NOT
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.vectors import VectorBackbone
from engram.heads.quantisation import LIMIT, BeyondRange, Quantisation, TooSmall
from engram.inputs.vectors import as_labels, as_vectors
from engram.learner import EngramError, InputError, Label
from engram.store.event import Answer, Change, Draft
from engram.store.group_commit import GroupCommit


@dataclass(frozen=True)
class Lesson:
    """One caller's examples, with all that can be made ready before the brain is held.

    Attributes:
        bundle: the backbone that gave the features.
        rows: (N, D) quantised features.
        receipts, labels, sources, pictures: one of each for every row.
        teacher: who teaches.
        again: whether to learn what is held already.
        answer: the request that this answers, or None.
        columns: the names of its vectors' columns, in the order of the brain's, or None.
        teachers, times: for each row who taught it and when (microseconds since 1970 UTC), where that was elsewhere.
    """

    bundle: Bundle
    rows: Rows
    receipts: Sequence[bytes]
    labels: Sequence[Label]
    sources: Sequence[str | None]
    pictures: Sequence[bytes | None]
    teacher: str | None
    again: bool
    answer: Answer | None
    teachers: Sequence[str | None] | None = None
    times: Sequence[int] | None = None
    columns: tuple[str, ...] | None = None


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


class Pupil(Reviewed):
    """A brain that learns many callers' lessons together."""

    def __init__(self, options: Mapping[str, Any], unknowns: int, device: str | None) -> None:
        super().__init__(options, unknowns, device)
        self._callers: GroupCommit[Lesson, Learned] = GroupCommit(self._learn_together)

    def _learn_together(self, lessons: Sequence[Lesson]) -> list[Learned | BaseException]:
        """Learn all lessons that can be, in one commit; for each what became of it, or why not."""
        keys = [lesson.answer.key for lesson in lessons if lesson.answer]
        alone = self._options["gate"] is not None  # what one teaches decides what the next may skip
        if len(lessons) > 1 and (alone or len(set(keys)) < len(keys)):
            return [outcome for lesson in lessons for outcome in self._learn_together([lesson])]
        with self._change():
            accepted: list[Lesson] = []
            outcomes = [self._judge(lesson, accepted) for lesson in lessons]
            learned = iter(self._learn_accepted(accepted) if accepted else ())
            return [next(learned) if outcome is None else outcome for outcome in outcomes]

    def _judge(self, lesson: Lesson, accepted: list[Lesson]) -> Learned | BaseException | None:
        """Accept the lesson (None), or say why it cannot be learned, or what became of it before."""
        try:
            earlier = lesson.answer and self._earlier(lesson.answer)
            if earlier:
                return earlier
            bundle = accepted[0].bundle if accepted else self._bundle or lesson.bundle
            if lesson.bundle.fingerprint != bundle.fingerprint:
                raise InputError(f"This brain stands on {bundle.name!r}, these were made for {lesson.bundle.name!r}.")
            columns = next((one.columns for one in accepted if one.columns), self._columns)
            if lesson.columns and columns and lesson.columns != columns:  # another caller named them first, just now
                raise InputError("The columns were named in another order meanwhile: teach this again.")
            like = next((one.labels[0] for one in accepted), self._taught.like)
            as_labels(list(lesson.labels), len(lesson.rows), like)
            waiting = sum(len(one.rows) for one in accepted)
            self._taught.total.sums.check_capacity(waiting + len(lesson.rows))
        except EngramError as error:
            return error
        accepted.append(lesson)
        return None

    def _earlier(self, answer: Answer) -> Learned | None:
        """What the same request was answered before. Raises InputError where another one had its key."""
        found = None if self._journal is None else self._journal.log.answer(answer.key)
        if found is None:
            return None
        if found.request != answer.request:
            raise InputError(f"The key {answer.key!r} belongs to another request: choose a new one.")
        then: Any = found.response
        return Learned(tuple(then["ids"]), then["seq"], then["skipped"], repeated=True)

    def _learn_accepted(self, lessons: Sequence[Lesson]) -> list[Learned]:
        bundle = lessons[0].bundle
        columns = next((lesson.columns for lesson in lessons if lesson.columns), None)
        adopting = [*self._adopting(bundle), *self._naming(columns)]
        with self._standing_on(bundle):
            chosen = self._choose(lessons)
            changes = [self._taught_change(lesson, places) for lesson, places in zip(lessons, chosen, strict=True)]
            numbers = self._record(*adopting, *changes)[len(adopting) :]
        self._columns = self._columns or columns
        self._take_in([pair for pair in zip(lessons, chosen, strict=True) if pair[1]])
        self.unknowns.discard(receipt for lesson in lessons for receipt in lesson.receipts)
        return [
            Learned(tuple(ids), self.seq, len(lesson.rows) - len(ids))
            for lesson, ids in zip(lessons, numbers, strict=True)
        ]

    def _choose(self, lessons: Sequence[Lesson]) -> list[list[int]]:
        """The places of the examples in each lesson that are new enough to be learned."""
        seen: set[tuple[Label, bytes]] = set()
        chosen = []
        for lesson in lessons:
            keys = list(zip(lesson.labels, lesson.receipts, strict=True))
            places = list(range(len(keys)))
            if not lesson.again:
                held = self._taught.held(lesson.receipts, lesson.labels)
                first = {key: place for place, key in reversed(list(enumerate(keys)))}
                places = [i for i in places if not held[i] and first[keys[i]] == i and keys[i] not in seen]
            worth = self._taught.worth_learning(lesson.rows[places], [lesson.labels[i] for i in places])
            chosen.append([places[i] for i in worth])
            seen.update(keys)
        return chosen

    def _learn_not(self, lesson: Lesson) -> Learned:
        """Learn counterexamples.

        Raises:
            NotTaughtError: a label was never taught.
            InputError, LabelError: nothing was changed.
        """
        with self._change():
            earlier = lesson.answer and self._earlier(lesson.answer)
            if earlier:
                return earlier
            for label in dict.fromkeys(lesson.labels):
                self._taught.check_known(label)
            chosen = self._bundle
            if chosen is None or chosen.fingerprint != lesson.bundle.fingerprint:
                raise InputError("The brain stands on another backbone by now: teach this again.")
            (ids,) = self._record(self._taught_change(lesson, range(len(lesson.rows)), TAUGHT_NOT))
            self._taught.learn_not(lesson.rows, lesson.labels)
            self._changed(lesson.rows.size)
            return Learned(tuple(ids), self.seq, 0)

    def _taught_change(self, lesson: Lesson, places: Sequence[int], kind: str = TAUGHT) -> Change:
        """The events of a lesson, and the answer that is remembered with them."""
        if self._journal is None:
            return Change(events=[_UNWRITTEN] * len(places))
        now = self._now()
        events = [
            Draft(
                kind=kind, teacher=lesson.teachers[i] if lesson.teachers else lesson.teacher,
                label=lesson.labels[i], source=lesson.sources[i], receipt=lesson.receipts[i],
                content=lesson.rows[i].astype("<i2").tobytes(), thumbnail=lesson.pictures[i], time=now,
                body={"time": lesson.times[i]} if lesson.times else None,
            )
            for i in places
        ]
        return Change(events=events, answer=lesson.answer and _remembered(lesson.answer, len(lesson.rows), self.seq))

    def _take_in(self, chosen: Sequence[tuple[Lesson, list[int]]]) -> None:
        """Learn what is on record now."""
        if chosen:
            rows = np.concatenate([lesson.rows[places] for lesson, places in chosen])
            labels = [lesson.labels[i] for lesson, places in chosen for i in places]
            receipts = [lesson.receipts[i] for lesson, places in chosen for i in places]
            self._taught.learn(rows, labels, receipts)
            self._changed(rows.size)
            self._tidy(labels)


_UNWRITTEN = Draft(kind=TAUGHT)


def _remembered(answer: Answer, count: int, seq: int) -> Answer:
    """The answer with what to say when the same request comes again."""

    def response(ids: range) -> dict[str, Any]:
        return {"ids": list(ids), "seq": max(seq, ids.stop - 1), "skipped": count - len(ids)}

    return Answer(answer.key, answer.request, response)


def rows_of(bundle: Bundle, features: npt.NDArray[Any]) -> Rows:
    """(N, D) int16: what is added when these features are learned.

    Raises:
        InputError: not finite, zero, or too far from the bundle's mean.
    """
    return quantisation_of(bundle).small(as_vectors(features, bundle.width))


def quantisation_of(bundle: Bundle) -> Quantisation:
    """How features of a bundle become integers."""
    return Quantisation(bundle.step, bundle.normalise, bundle.mean)


def rows_to_learn(bundle: Bundle, features: npt.NDArray[Any], examples: Examples) -> Rows:
    """`rows_of` for what is to be learned: refused by row and column, in the units that were given.

    Raises:
        InputError: a row that is out of range, or of which nothing would be kept.
    """
    quantise, vectors = quantisation_of(bundle), as_vectors(features, bundle.width)
    try:
        rows = quantise.small(vectors)
        quantise.check_kept(vectors, rows)
    except BeyondRange as error:
        if not isinstance(bundle.backbone, VectorBackbone):
            raise
        raise InputError(_out_of_range(error, bundle, bundle.backbone, examples)) from error
    except TooSmall as error:
        value = np.abs(np.asarray(examples.items[error.row], np.float64)).max()
        raise InputError(f"{_place(error.row, examples)}: the largest reading, {value:.4g}, is too small for the range "
                         f"of this brain, which would keep nothing but zeros of it. {_ANOTHER_RANGE}") from error
    return rows


def _out_of_range(error: BeyondRange, bundle: Bundle, backbone: VectorBackbone, examples: Examples) -> str:
    reach = np.full((1, bundle.width), LIMIT * bundle.step)
    low, high = (float(backbone.readings(bundle.mean + sign * reach)[0, error.column]) for sign in (-1, 1))
    value = float(np.asarray(examples.items[error.row], np.float64)[error.column])
    name = f" ({examples.columns[error.column]})" if examples.columns else ""
    return (f"{_place(error.row, examples)}, column {error.column}{name}: {value:.6g} is outside {low:.4g} to "
            f"{high:.4g}, the range of this brain. Correct the reading or leave the row out. {_ANOTHER_RANGE}")


_ANOTHER_RANGE = (
    "The range follows the first examples that a brain is taught; Brain(Bundle.of_vectors(D, largest=...)) sets it."
)


def _place(row: int, examples: Examples) -> str:
    source = examples.sources[row]
    return f"Vector {row}" + (f" ({source})" if source else "")
