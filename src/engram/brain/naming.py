"""What an example is called now: the label it was taught under, after the renames and corrections since."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from engram.brain.timeline import MELDED, RELABELLED, RENAMED, Timeline
from engram.learner import Label


class Names:
    """The names that examples go by at a moment.

    Args:
        timeline: of the log.
        upto: the moment; None for now.
    """

    def __init__(self, timeline: Timeline, upto: int | None = None) -> None:
        spans = timeline.in_force(upto)
        self._renames: list[tuple[int, Mapping[Label, Label]]] = []  # event, old name -> new; those of a meld at once
        self._moves: dict[int, list[tuple[int, Label]]] = {}  # example -> event, and what it was corrected to
        for event in timeline.rare:
            body = event.body or {}
            if event.kind not in (RENAMED, MELDED, RELABELLED) or event.seq not in spans:
                continue
            if event.kind == RENAMED:
                self._renames.append((event.seq, {body["edict"]["label"]: body["edict"]["new"]}))
            elif event.kind == RELABELLED:
                for example in body["ids"]:
                    self._moves.setdefault(int(example), []).append((event.seq, body["label"]))
            elif body.get("renamed"):
                self._renames.append((event.seq, dict(body["renamed"])))
        self._when = [seq for seq, _ in self._renames]

    def now(self, seq: int, label: Label) -> Label:
        """What the example taught by event `seq` under a label is called now."""
        for when, moved in self._moves.get(seq, ()):
            if when > seq:  # whatever it was called before
                seq, label = when, moved
        for _, names in self._renames[bisect_right(self._when, seq) :]:
            label = names.get(label, label)
        return label

    def ever(self, label: Label) -> set[Label]:
        """All labels under which what is now called so may have been taught."""
        found = {label}
        for _, names in reversed(self._renames):
            found |= {old for old, new in names.items() if new in found}
        return found

    def moved_to(self, label: Label) -> set[int]:
        """The examples that were corrected to a label which is now called so."""
        return {
            seq for seq, moves in self._moves.items() if any(self.now(when, moved) == label for when, moved in moves)
        }
