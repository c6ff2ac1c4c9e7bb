"""`engram audit` and `why`: which examples do harm, and which ones an answer rests on."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engram.cli.brain import Folder, Inputs, open_brain
from engram.cli.output import Json, emit, few, say, table

if TYPE_CHECKING:
    from engram.brain import Findings, Reason
    from engram.brain.auditing import Duplicates
    from engram.brain.history import Example


def audit(
    brain: Folder,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="Examples, groups and labels to show.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """Find likely wrong labels and near-duplicates.

    Also lists the labels that need more examples. Each example is predicted as if it had never been taught. The brain
    is not changed.
    """
    with open_brain(brain, readonly=True) as mind:
        found = mind.audit(limit)
    if as_json:
        emit(_document(found))
        return
    _show_suspects(found)
    _show_duplicates(found.duplicates)
    rows = [
        (need.label, need.examples, need.distinct, None if need.accuracy is None else f"{need.accuracy:.0%}",
         None if need.taken_for is None else f"{need.taken_for} ({need.share:.0%})")
        for need in found.needs[:limit]
    ]
    if rows:
        say("Labels that need more examples, the most needed first:")
        table(("label", "examples", "distinct", "right when left out", "confused with"), rows)
    if found.disputed:
        folder = shlex.quote(str(brain))
        say(f"Correct one: engram relabel {folder} ID --label LABEL. Remove one: engram forget {folder} --id ID")


def why(
    brain: Folder,
    paths: Inputs,
    nearest: Annotated[
        int, typer.Option("--nearest", metavar="K", min=1, help="Taught examples to show for each input.")
    ] = 5,
    as_json: Json = False,
) -> None:
    """Show which taught examples an answer rests on.

    For each input: the most similar taught examples, and the share of each label in the answer. For "Nothing I know",
    the nearest label, which was refused.
    """
    from engram.inputs.examples import gather

    with open_brain(brain, readonly=True) as mind:
        reasons = mind.why(list(paths), nearest)
        assert mind.bundle is not None
        sources = gather(list(paths), mind.bundle.takes).sources
    told = list(zip(sources, reasons, strict=True))
    if as_json:
        emit([_reason(source, one) for source, one in told])
        return
    for source, one in told:
        if one.answer.known:
            answer = f"{one.answer.label} ({', '.join(f'{label} {share:.0%}' for label, share in one.shares[:3])})"
        else:
            answer = f"Nothing I know (the nearest label, {one.answer.ranked[0][0]}, was refused)"
        rows = [(f"{near.similarity:.2f}", near.label, *_about(near.example)) for near in one.nearest]
        say(f"{source}: {answer}")
        table(("similarity", "label", "id", "source", "teacher"), rows)


def _show_suspects(found: Findings) -> None:
    if not found.examined:
        say("No single examples are kept, so none can be checked.")
        return
    say(f"{found.disputed} of {found.examined} examples would get another label if they had not been taught.")
    disputed = [one for one in found.suspects if one.margin > 0]
    if disputed:
        rows = [(*_about(one.example)[:1], one.label, one.other, f"{one.probability:.1%}", *_about(one.example)[1:])
                for one in disputed]
        say("Likely wrong labels, the worst first:" if len(rows) == found.disputed else
            f"Likely wrong labels, the worst {len(rows)} of {found.disputed}; --limit shows more:")
        table(("id", "taught as", "suggested", "probability of its label", "source", "teacher"), rows)


def _show_duplicates(groups: tuple[Duplicates, ...]) -> None:
    if groups:
        rows = [
            (len(group.labels), ", ".join(map(str, dict.fromkeys(group.labels))),
             few(None if one is None else one.id for one in group.examples),
             few(None if one is None else one.source for one in group.examples))
            for group in groups
        ]
        say("Near-duplicates; those under several labels first:")
        table(("examples", "taught as", "ids", "source"), rows)


def _about(example: Example | None) -> tuple[Any, Any, Any]:
    return (None, None, None) if example is None else (example.id, example.source, example.teacher)


def _document(found: Findings) -> dict[str, Any]:
    return {
        "examined": found.examined, "disputed": found.disputed,
        "suspects": [
            {**_example(one.example), "label": one.label, "other": one.other, "probability": one.probability,
             "margin": one.margin}
            for one in found.suspects
        ],
        "duplicates": [
            {"conflict": group.conflict,
             "examples": [{**_example(one), "label": label}
                          for label, one in zip(group.labels, group.examples, strict=True)]}
            for group in found.duplicates
        ],
        "needs": [
            {"label": need.label, "examples": need.examples, "distinct": need.distinct, "error": need.error,
             "accuracy": need.accuracy, "taken_for": need.taken_for, "share": need.share}
            for need in found.needs
        ],
    }


def _reason(source: str | None, one: Reason) -> dict[str, Any]:
    return {
        "input": source, "label": one.answer.label, "known": one.answer.known,
        "shares": [{"label": label, "share": share} for label, share in one.shares],
        "nearest": [{**_example(near.example), "label": near.label, "similarity": near.similarity}
                    for near in one.nearest],
    }


def _example(example: Example | None) -> dict[str, Any]:
    """As JSON: all null for what was not taught here one by one."""
    if example is None:
        return {"id": None, "time": None, "teacher": None, "source": None, "thumbnail": False}
    return {"id": example.id, "time": example.time.isoformat(), "teacher": example.teacher, "source": example.source,
            "thumbnail": example.thumbnail}
