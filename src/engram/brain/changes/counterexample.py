"""Teaching what something is not: counterexamples of labels that are known."""

from __future__ import annotations

from typing import Any

from engram.brain.changes import TAUGHT_NOT, Prepared
from engram.brain.changes.teach import Lesson, written
from engram.brain.knowledge import Knowledge
from engram.learner import InputError
from engram.store.event import Taught


def prepare(knowledge: Knowledge, lesson: Lesson, seq: int) -> Prepared:
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
    return Prepared(item, [written(TAUGHT_NOT, lesson, seq)])


def apply(knowledge: Knowledge, taught: Taught, referred: Any) -> None:
    for head in knowledge.heads():
        head.learn_not_rows(taught.rows, taught.labels)
    knowledge.own.changed(len(taught.rows) + taught.erased)
