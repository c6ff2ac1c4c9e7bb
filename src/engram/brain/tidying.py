"""A brain that tidies its own memory: redundant examples are merged, and the log stays within its budget."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from engram.brain.settling import Settling
from engram.brain.timeline import CONSOLIDATED, LESSONS, RELABELLED, Timeline
from engram.learner import Consolidation, EngramError, Label
from engram.store.event import Change, Draft

LOOSE = 1000
"""Examples of a label that no prototype holds yet, from which on it is consolidated."""


class Tidying(Settling):
    """Consolidates a label when it has grown, and lets the oldest examples go when the log outgrows its budget."""

    def __init__(self, options: Mapping[str, Any], unknowns: int, device: str | None) -> None:
        super().__init__(options, unknowns, device)
        self._new: Counter[Label] = Counter()  # examples that no prototype holds yet
        self._covered = 0  # the last event that a checkpoint stands for

    def consolidate(self) -> Consolidation:
        """Merge redundant examples into weighted prototypes, keep outliers; the sums, and so the digest, stay."""
        with self._change():
            return self._consolidate(None)

    def _consolidate(self, labels: list[Label] | None) -> Consolidation:
        body = None if labels is None else {"labels": labels}
        self._record(Change(events=[Draft(kind=CONSOLIDATED, body=body, time=self._now())]))
        report = self._taught.consolidate(labels)
        for label in list(self._new) if labels is None else labels:
            del self._new[label]
        self._changed()
        return report

    def _reload(self) -> None:
        super()._reload()
        assert self._journal is not None
        self._new = Counter(self._taught.total.loose)
        self._covered = self._journal.timeline().covered

    def _tidy(self, learned: Iterable[Label]) -> None:
        """These were learned: do what has fallen due. What fails is left for later: nothing depends on it."""
        if self._journal is None:
            return
        self._new.update(learned)
        try:
            grown = [label for label, count in self._new.items() if count >= LOOSE]
            counts = self._taught.total.counts if grown else {}
            due = [label for label in grown if 2 * self._new[label] >= counts.get(label, 0)]
            if due:
                self._consolidate(due)
            room = self._options["memory_budget"] // (2 * self._bundle.width if self._bundle else 2)
            if self.seq - self._covered > room:
                self._let_go(room // 2)
        except (OSError, EngramError) as error:
            logging.getLogger("engram").warning("The memory could not be tidied: %s", error)

    def _let_go(self, keep: int) -> None:
        """A checkpoint takes the place of all but the newest examples."""
        assert self._journal is not None
        timeline = self._journal.timeline()
        covers = _oldest_but(keep, timeline)
        base = self._recovery().at(covers)
        for head in base.heads():
            head.let_go()
        self._journal.keep_slots(base.others.values())
        gone = [seq for seq, _ in self._journal.log.find(upto=covers, kinds=LESSONS)]
        earlier = [event.seq for event in timeline.checkpoints]
        self._record(
            Change(events=[self._checkpoint(base, covers)]), Change(erase=[*gone, *earlier], for_good=False)
        )  # not forgotten, let go: it leaves the files with the next forget
        self._journal.rewritten()
        self._covered = covers


def _oldest_but(keep: int, timeline: Timeline) -> int:
    """The event before the last so many, moved on to one after which no correction speaks of an earlier example."""
    covers = max(timeline.last - keep, 1)
    spans = timeline.in_force()
    while True:
        covers = max(covers, next(span.start for span in spans if covers < span.stop))
        late = [
            event.seq for event in timeline.rare
            if event.kind == RELABELLED and event.seq > covers and min((event.body or {})["ids"]) <= covers
        ]
        if not late:
            return covers
        covers = max(late)
