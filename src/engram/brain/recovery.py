"""From the log to what a brain knows: the newest valid snapshot, then every event in force after it, replayed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from safetensors.numpy import load

from engram.brain.contributions import Contributions
from engram.brain.edicts import Edict
from engram.brain.journal import Journal, rows_in
from engram.brain.lineage import Lineage
from engram.brain.saving import MISFITS, restore_taught, slot_at, slot_from
from engram.brain.timeline import (
    ALPHA,
    CONSOLIDATED,
    FORGOT,
    FORKED,
    MELDED,
    OPENED,
    RELABELLED,
    RENAMED,
    ROLLED_BACK,
    TAUGHT_NOT,
    Spans,
    Timeline,
)  # fmt: skip
from engram.features.backbones.bundle import Bundle
from engram.learner import DamagedError, EngramError, Label
from engram.store.event import Event, Taught

_AT_ONCE = 20_000  # examples whose consolidation takes no longer than a second or so


class Recovery:
    """Rebuilds what a brain knew at any moment that its log can still tell of.

    Several consolidations are repeated as one. Which examples share a prototype is no knowledge, so after a long replay
    that is left until it falls due again.

    Args:
        journal: the brain's folder and log.
        bundle: its backbone.
        new: makes the contributions of the brain as it was created: empty.
    """

    def __init__(self, journal: Journal, bundle: Bundle | None, new: Callable[[], Contributions]) -> None:
        self.journal, self.bundle, self.new = journal, bundle, new

    def at(self, upto: int | None = None, *, snapshots: bool = True) -> Contributions:
        """What was known after event `upto`; None for now.

        Args:
            snapshots: start from one where that helps; else from the log alone.

        Raises:
            DamagedError: the log itself is damaged.
        """
        timeline = self.journal.timeline()
        spans = timeline.in_force(upto)
        taught, done = self._base(timeline, spans, snapshots)
        taught.own.live = bool(taught.own.lineage.stretches)
        merged: dict[Label, None] = {}
        try:
            for span in spans:
                for item in self.journal.log.runs(max(span.start - 1, done), span.stop - 1):
                    if isinstance(item, Event) and item.kind == CONSOLIDATED:
                        merged |= dict.fromkeys((item.body or {}).get("labels") or taught.total.labels)
                    else:
                        self.replay(taught, item)
            if sum(taught.total.counts.get(label, 0) for label in merged) <= _AT_ONCE:
                taught.consolidate(label for label in merged if label in taught.total.labels)
        except (*MISFITS, EngramError) as error:
            raise DamagedError(
                f"{self.journal.folder.path}: the log cannot be replayed: restore the folder from a copy. ({error})"
            ) from error
        taught.own.live = False
        return taught

    def replay(self, taught: Contributions, item: Taught | Event) -> None:
        """Do again what an event says was done."""
        if isinstance(item, Taught):
            taught.learn(item.rows, item.labels, item.receipts)
        elif item.kind == TAUGHT_NOT:
            if item.label is not None:  # else it was erased
                taught.learn_not(rows_in([item]), [item.label])
        elif item.kind in _REPLAY:
            _REPLAY[item.kind](self, taught, item.body or {})

    def _base(self, timeline: Timeline, spans: Spans, snapshots: bool) -> tuple[Contributions, int]:
        """What to start from, and the last event in it."""
        whole_from = max(timeline.erased_at, timeline.covered)  # before it, the log lacks examples
        valid = [
            (seq, name) for seq, name in self.journal.snapshots if snapshots and seq >= whole_from and seq in spans
        ]
        for seq, name in valid:
            try:
                return self.restored(self.journal.arrays(name)), seq
            except (*MISFITS, EngramError):
                continue  # an older one, or the log alone, tells the same
        checkpoint = timeline.checkpoint(spans.last)
        if checkpoint is None:
            return self.new(), 0
        event = self.journal.log.event(checkpoint.seq)
        return self.restored(load(event.content or b"")), int((event.body or {})["covers"])

    def restored(self, arrays: Mapping[str, Any]) -> Contributions:
        """What a snapshot or checkpoint holds. Raises one of `MISFITS` where it does not fit."""
        taught = self.new()
        restore_taught(taught, arrays, self.bundle, partial(slot_from, folder=self.journal.folder, bundle=self.bundle))
        return taught

    def _opened(self, taught: Contributions, body: Mapping[str, Any]) -> None:
        taught.own.begin(str(body["mark"]))

    def _decreed(self, taught: Contributions, body: Mapping[str, Any]) -> None:
        taught.repeat(Edict.from_json(body["edict"]))
        taught.end(body.get("ends", ()))

    def _relabelled(self, taught: Contributions, body: Mapping[str, Any]) -> None:
        events = [(self.journal.log.event(int(seq)), old) for seq, old in zip(body["ids"], body["old"], strict=True)]
        left = [(event, old) for event, old in events if event.content is not None]
        if left:
            taught.relabel(rows_in([event for event, _ in left]), [old for _, old in left], body["label"])

    def _alpha_set(self, taught: Contributions, body: Mapping[str, Any]) -> None:
        taught.set_alpha(float(body["alpha"]), body.get("label"))

    def _melded(self, taught: Contributions, body: Mapping[str, Any]) -> None:
        slots = {entry["device"]: slot_at(entry, self.journal.folder, self.bundle) for entry in body["slots"]}
        edicts = _edicts(body)
        if "renamed" in body:
            taught.repeat_renames([(old, new) for old, new in body["renamed"]], edicts)
        taught.serve(taught.unite([(slots, edicts)]))
        taught.end(body.get("ends", ()))

    def _forked(self, taught: Contributions, body: Mapping[str, Any]) -> None:
        taught.fork(str(body["device"]))

    def _rolled_back(self, taught: Contributions, body: Mapping[str, Any]) -> None:
        taught.returned(Lineage.from_json(body["lineage"]), _edicts(body))


_REPLAY: dict[str, Callable[[Recovery, Contributions, Mapping[str, Any]], None]] = {
    OPENED: Recovery._opened, FORGOT: Recovery._decreed, RENAMED: Recovery._decreed, MELDED: Recovery._melded,
    RELABELLED: Recovery._relabelled, ALPHA: Recovery._alpha_set, FORKED: Recovery._forked,
    ROLLED_BACK: Recovery._rolled_back,
}  # fmt: skip


def _edicts(body: Mapping[str, Any]) -> dict[str, Edict]:
    return {values["id"]: Edict.from_json(values) for values in body["edicts"]}
