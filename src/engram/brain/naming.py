"""What an example is called now: the label it was taught under, after the renames and corrections since."""

from __future__ import annotations

from engram.brain.timeline import RELABELLED, RENAMED, Timeline
from engram.learner import Label


class Names:
    """The names that examples go by at a moment.

    Args:
        timeline: of the log.
        upto: the moment; None for now.
    """

    def __init__(self, timeline: Timeline, upto: int | None = None) -> None:
        spans = timeline.in_force(upto)
        self._changes: list[tuple[int, Label | None, Label, frozenset[int]]] = []
        for event in timeline.rare:
            body = event.body or {}
            if not any(event.seq in span for span in spans):
                continue
            if event.kind == RENAMED:
                self._changes.append((event.seq, body["edict"]["label"], body["edict"]["new"], frozenset()))
            elif event.kind == RELABELLED:
                self._changes.append((event.seq, None, body["label"], frozenset(map(int, body["ids"]))))

    def now(self, seq: int, label: Label) -> Label:
        """What the example taught by event `seq` under a label is called now."""
        for when, old, new, ids in self._changes:
            if when > seq and (seq in ids or (old == label and old is not None)):
                label = new
        return label

    def ever(self, label: Label) -> set[Label]:
        """All labels under which what is now called so may have been taught."""
        names = {label}
        for _, old, new, _ in reversed(self._changes):
            if new in names and old is not None:
                names.add(old)
        return names

    def moved_to(self, label: Label) -> set[int]:
        """The examples that were corrected to a label which is now called so."""
        return {seq for when, _, new, ids in self._changes if ids and self.now(when, new) == label for seq in ids}
