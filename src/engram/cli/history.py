"""`engram history`, `rollback`, `undo`, `diff`, `examples`, `relabel`: a brain's past, and how it goes back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engram.cli import multimodal
from engram.cli.brain import Folder, as_label, labels_of, open_brain, total
from engram.cli.output import Json, done, emit, say, table

if TYPE_CHECKING:
    from engram.brain import Brain
    from engram.brain.history import HistoryEntry

_AGO = re.compile(r"(\d{1,6})\s*([smhdw])(?:\s+ago)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Moment = "An event number from `engram history`, or a time: 2026-03-01T12:00, or 10m, 2h, 3d (ago)."


def history(
    brain: Folder,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Entries to show.")] = 30,
    before: Annotated[
        int | None, typer.Option("--before", metavar="SEQ", help="Only entries before this event number.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the changes to a brain, newest first.

    Shows who changed what and when, and what was undone. Examples taught together are one entry. `engram rollback --to`
    accepts the number in the column `event`.
    """
    with open_brain(brain, readonly=True) as mind:
        entries = mind.history(before, limit)
    if as_json:
        emit([_entry_json(entry) for entry in entries])
        return
    rows = [
        (entry.seq, _local(entry.time), f"{entry.kind}{' (undone)' if entry.undone else ''}", _about(entry),
         entry.teacher)
        for entry in entries
    ]
    table(("event", "time", "change", "labels", "teacher"), rows)
    if any(None in entry.labels for entry in entries):
        say("? stands for a label that was forgotten for good, so that its name is gone too.")
    if len(entries) == limit and entries[-1].first > 1:
        say(f"Older: engram history {brain} --before {entries[-1].first}")


def rollback(
    brain: Folder,
    to: Annotated[str, typer.Option("--to", metavar="SEQ|TIME", help=Moment)],
    as_json: Json = False,
) -> None:
    """Return a brain to an earlier state.

    Later changes stay in the history, marked as undone, and the rollback itself can be undone. A rollback cannot pass a
    forget.
    """
    moment = _moment(to)
    with open_brain(brain) as mind:
        before = dict(_counts(mind))
        seq = mind.rollback(moment)
        found = {"to": seq, "seq": mind.seq, "labels": labels_of(mind), "digest": mind.digest(),
                 "examples": total(mind)}
        change = total(mind) - sum(before.values())
    done(f"Returned to event {seq}: {found['examples']} examples ({change:+}). To undo this: engram rollback {brain} "
         f"--to {mind.seq - 1}", found, as_json)


def undo(brain: Folder, as_json: Json = False) -> None:
    """Undo the last change to a brain.

    All that one command, one call or one drop of files taught is one change. Repeat it to undo the change before. A
    consolidation does not change what a brain knows, so undo passes over it and undoes the change before it. A forget
    cannot be undone, nor anything before it.
    """
    if multimodal.is_one(brain):
        multimodal.undo(brain, as_json)
        return
    with open_brain(brain) as mind:
        entry = mind.undo()
        found = {"undone": _entry_json(entry), "labels": labels_of(mind), "digest": mind.digest()}
    events = f"event {entry.seq}" if entry.first == entry.seq else f"events {entry.first} to {entry.seq}"
    done(f"Undone: {entry.kind} {_about(entry)}".rstrip() + f" ({events}).", found, as_json)


def diff(
    brain: Folder,
    one: Annotated[str, typer.Argument(metavar="ONE", help=Moment)],
    two: Annotated[
        str | None, typer.Argument(metavar="TWO", help="A second event or time (default: now).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the number of examples of each label at two moments."""
    with open_brain(brain, readonly=True) as mind:
        seqs = [_event_at(mind, one), mind.seq if two is None else _event_at(mind, two)]
        changes = mind.diff(seqs[0], seqs[1])
    if as_json:
        emit({"one": seqs[0], "two": seqs[1],
              "labels": [{"label": label, "before": a, "after": b} for label, (a, b) in changes.items()]})
    elif not changes:
        say(f"Between events {seqs[0]} and {seqs[1]} no label gained or lost examples.")
    else:
        columns = ("label", f"at event {seqs[0]}", f"at event {seqs[1]}", "change")
        table(columns, [(label, a, b, f"{b - a:+}") for label, (a, b) in changes.items()])


def examples(
    brain: Folder,
    label: Annotated[str | None, typer.Option("--label", metavar="LABEL", help="Only those that have this label"
                             " now.")] = None,
    after: Annotated[int, typer.Option("--after", metavar="ID", min=0, help="Only those with a larger number.")] = 0,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Examples to show.")] = 30,
    as_json: Json = False,
) -> None:
    """List the taught examples of a brain, oldest first.

    For each its number, label, time, source and teacher.
    """
    with open_brain(brain, readonly=True) as mind:
        found = mind.examples(None if label is None else as_label(mind, label), after, limit)
    if as_json:
        emit([{"id": one.id, "label": one.label, "time": one.time.isoformat(), "teacher": one.teacher,
               "source": one.source, "thumbnail": one.thumbnail} for one in found])
        return
    rows = [(one.id, one.label, _local(one.time), one.source, one.teacher) for one in found]
    table(("id", "label", "time", "source", "teacher"), rows)
    if len(found) == limit:
        say(f"More: engram examples {brain}{f' --label {label}' if label else ''} --after {found[-1].id}")


def relabel(
    brain: Folder,
    ids: Annotated[
        list[int], typer.Argument(metavar="ID...", help="Numbers of the examples in `engram examples`.")
    ],
    label: Annotated[str, typer.Option("--label", metavar="LABEL", help="The right label.")],
    as_json: Json = False,
) -> None:
    """Correct the label of examples that were taught wrongly."""
    with open_brain(brain) as mind:
        mind.relabel(ids, as_label(mind, label))
        found = {"relabelled": ids, "label": label, "labels": labels_of(mind), "digest": mind.digest()}
    done(f"Relabelled {len(set(ids))} example(s) as {label}.", found, as_json)


# Moments


def _event_at(mind: Brain, text: str) -> int:
    """The number of the event that a person means."""
    moment = _moment(text)
    return moment if isinstance(moment, int) else mind.seq_at(moment)


def _moment(text: str, now: datetime | None = None) -> int | datetime:
    """The event or the time that a person means.

    >>> _moment("12"), _moment("2h", datetime(2026, 3, 1, 12, tzinfo=UTC)).isoformat()
    (12, '2026-03-01T10:00:00+00:00')
    """
    now = now or datetime.now(UTC)
    if text.isdecimal():
        return int(text)
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    if text.strip() == "yesterday":
        return now - timedelta(days=1)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither an event number nor a time such as 2026-03-01T12:00, or 10m, 2h, 3d (ago)."
        ) from None
    return moment.astimezone() if moment.tzinfo is None else moment  # as the clock on the wall says


def _local(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _about(entry: HistoryEntry) -> str:
    labels = [f"{'?' if label is None else label}{f' ({count})' if count else ''}" for label, count in
              entry.labels.items()]
    named = ", ".join(labels[:4]) + (f" and {len(labels) - 4} more" if len(labels) > 4 else "")
    return entry.note or named


def _entry_json(entry: HistoryEntry) -> dict[str, Any]:
    """As JSON: of examples that are forgotten the label is null."""
    return {
        "seq": entry.seq, "first": entry.first, "time": entry.time.isoformat(), "kind": entry.kind,
        "teacher": entry.teacher, "note": entry.note, "undone": entry.undone,
        "labels": [{"label": label, "examples": count} for label, count in entry.labels.items()],
    }


def _counts(mind: Brain) -> list[tuple[Any, int]]:
    return list(mind.counts().items())
