"""Consolidating: redundant examples are merged, outliers kept; the sums stay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engram.brain.changes import CONSOLIDATED, Prepared
from engram.brain.knowledge import Knowledge
from engram.learner import Consolidation, Label
from engram.store.event import Event

LOOSE = 1000
"""Examples of a label that no prototype holds yet, from which on it is consolidated."""


def prepare(labels: list[Label] | None) -> Prepared:
    """Consolidate these labels; None for all."""
    return Prepared.event(CONSOLIDATED, None if labels is None else {"labels": labels})


def merge(knowledge: Knowledge, labels: Iterable[Label]) -> Consolidation:
    """Merge the redundant examples of these labels, those that are known still."""
    chosen = list(labels)
    report = knowledge.total.consolidate(label for label in chosen if label in knowledge.total.labels)
    if knowledge.apart:
        knowledge.own.head.consolidate(label for label in chosen if label in knowledge.own.head.labels)
    return report


def labels_of(knowledge: Knowledge, event: Event) -> Iterable[Label]:
    """The labels that an event is about."""
    body: Any = event.body or {}
    return body.get("labels") or knowledge.total.labels


def apply(knowledge: Knowledge, event: Event, referred: Any) -> Consolidation:
    return merge(knowledge, labels_of(knowledge, event))
