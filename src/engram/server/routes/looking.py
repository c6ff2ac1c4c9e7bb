"""What a brain holds, and what became of it: classes, examples, history, inbox, map, health; all of it to take away.

A page that shows a brain learns at once when it has changed, by server-sent events (WHATWG HTML, section 9.2).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Hashable
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from engram.brain import Brain
from engram.brain.history import Example
from engram.learner import InputError
from engram.server import schemas
from engram.server.both_errors import alpha_of
from engram.server.conditions import etag, unchanged
from engram.server.context import Asker, Context, Exporter, Historian, In, Served, Teacher, Viewer, look
from engram.server.ownership import check_own
from engram.server.problems import Refusal
from engram.server.schemas import LabelCount
from engram.server.served_brain import ServedBrain
from engram.server.wire import LARGEST

router = APIRouter(tags=["look"])

At = Annotated[int | None, Query(ge=1, le=LARGEST, description="As it was after this event; now if left out.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
Number = Annotated[int, Path(ge=1, le=LARGEST)]
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"description": "A small picture.", "content": {"image/jpeg": {"schema": {"type": "string"}}}}
}
_HEARTBEAT = 15.0  # seconds
_AT_MOST_EVERY = 0.1  # seconds: changes in between are told as one
_LISTENERS, _OF_ONE = 256, 32  # to a brain, and of them from one client
_EVENT = {  # each one, as OpenAPI has no stream
    "type": "object",
    "properties": {"event": {"const": "change"}, "data": {"type": "string", "contentMediaType": "application/json"}},
}


@router.get("/v1/brains/{b}/info", response_model=schemas.Info)
async def info(request: Request, caller: Asker, served: Served, context: In, at: At = None) -> Response:
    """What there is to know of a brain, now or at an earlier moment."""
    rate = served.unknown_rate

    def make() -> schemas.Info:
        with served.using() as brain:
            found = (brain if at is None else _at(brain, at)).info()
        classes = [LabelCount(label=entry["label"], count=entry["examples"]) for entry in found.pop("labels")]
        against = [LabelCount(label=entry["label"], count=entry["examples"]) for entry in found.pop("counterexamples")]
        known = {name: found[name] for name in schemas.Info.model_fields if name in found}
        asked = rate if rate == rate and at is None else None
        return schemas.Info(**known, name=served.name, classes=classes, counterexamples=against, unknown_rate=asked)

    return await look(request, context, etag(served.seq, served.inbox, at, rate), make)


@router.get("/v1/brains/{b}/classes", response_model=schemas.Classes)
async def classes(request: Request, caller: Asker, served: Served, context: In) -> Response:
    """The labels, how many examples each has, and the newest that whoever asks may see."""
    own = caller.limited_to("export")

    def make() -> schemas.Classes:
        with served.using() as brain:
            newest = brain.newest(teacher=own) if caller.may("teach", "export") else {}
            counts, seq = served.counts, brain.seq
        found = [
            schemas.Class(label=label, count=count, newest=newest.get(label, [])) for label, count in counts.items()
        ]
        return schemas.Classes(classes=found, seq=seq)

    return await look(request, context, etag(served.seq, *([] if own is None else [own, caller.scopes])), make)


@router.get("/v1/brains/{b}/examples", response_model=schemas.Examples)
async def examples(
    request: Request, caller: Viewer, served: Served, context: In,
    label: Annotated[str | None, Query(min_length=1, max_length=256, description="Only those called so.")] = None,
    after: Annotated[int, Query(ge=0, le=LARGEST, description="Only those with a larger id.")] = 0,
    limit: Limit = 100,
) -> Response:
    """What was taught, oldest first; by whoever asks alone, without the scope `export`."""
    own = caller.limited_to("export")
    name = None if label is None else served.label(label)

    def make() -> schemas.Examples:
        with served.using() as brain:
            found, seq = brain.examples(name, after, limit, teacher=own), brain.seq
        shown = [schemas.Example(**asdict(one)) for one in found]
        return schemas.Examples(examples=shown, next=found[-1].id if len(found) == limit else None, seq=seq)

    return await look(request, context, etag(served.seq, *([] if own is None else [own])), make)


@router.get("/v1/brains/{b}/examples/{id:int}/thumbnail", response_class=Response, responses=_PICTURE)
async def example_thumbnail(request: Request, caller: Viewer, served: Served, context: In, id: Number) -> Response:
    """A small picture of an example."""

    own = caller.limited_to("export")

    def find(brain: Brain) -> bytes | None:
        check_own(brain, own, "see", ids=[] if own is None else [id], scope="export")
        return brain.thumbnail(id)

    with served.using() as brain:
        return _picture(request, await context.workers.look(lambda: find(brain)))


@router.get("/v1/brains/{b}/unknowns", response_model=schemas.Unknowns)
async def unknowns(request: Request, caller: Teacher, served: Served, context: In) -> Response:
    """The inbox: what was not known, grouped by likeness."""

    def make() -> schemas.Unknowns:
        with served.using() as brain:
            groups, seq = brain.unknown_groups(), brain.seq
            pictured = {unknown.number for unknown in brain.unknowns if unknown.thumbnail is not None}
        shown = [
            schemas.UnknownGroup(group=group.number, likeness=group.likeness, members=[
                schemas.Unknown(number=number, source=source, thumbnail=number in pictured)
                for number, source in zip(group.members, group.sources, strict=True)
            ])
            for group in groups
        ]
        return schemas.Unknowns(groups=shown, seq=seq)

    return await look(request, context, etag(served.seq, served.inbox), make)


@router.get("/v1/brains/{b}/unknowns/{number:int}/thumbnail", response_class=Response, responses=_PICTURE)
async def unknown_thumbnail(
    request: Request, caller: Teacher, served: Served, context: In, number: Number
) -> Response:
    """A small picture of an unknown."""

    with served.using() as brain:
        return _picture(request, await context.workers.look(lambda: brain.unknown_thumbnail(number)))


@router.get("/v1/brains/{b}/history", response_model=schemas.History)
async def history(
    request: Request, caller: Historian, served: Served, context: In,
    before: Annotated[int | None, Query(ge=1, le=LARGEST, description="Only what came before this event.")] = None,
    limit: Limit = 100,
) -> Response:
    """What happened, newest first."""

    def make() -> schemas.History:
        with served.using() as brain:
            found, seq = brain.history(before, limit), brain.seq
        entries = [
            schemas.Entry(
                seq=entry.seq, time=entry.time, kind=entry.kind, teacher=entry.teacher, note=entry.note,
                undone=entry.undone, labels=[LabelCount(label=name, count=n) for name, n in entry.labels.items()],
            )
            for entry in found
        ]
        return schemas.History(entries=entries, next=found[-1].first if len(found) == limit else None, seq=seq)

    return await look(request, context, etag(served.seq), make)


@router.get("/v1/brains/{b}/map", response_model=schemas.Map)
async def memory_map(request: Request, caller: Asker, served: Served, context: In) -> Response:
    """The memory in two dimensions: classes, prototypes and unknowns."""

    def make() -> schemas.Map:
        with served.using() as brain:
            seq = brain.seq
            numbers = iter(brain.unknowns.numbers)
            served.shown = brain.memory_map(served.shown)
        points = [
            schemas.Point(x=one.x, y=one.y, kind=one.kind, weight=one.count, label=one.label,
                          unknown=next(numbers, None) if one.kind == "unknown" else None)
            for one in served.shown
        ]
        return schemas.Map(points=points, seq=seq)

    return await look(request, context, etag(served.seq, served.inbox), make)


@router.get("/v1/brains/{b}/health", response_model=schemas.Health)
async def health(request: Request, caller: Asker, served: Served, context: In) -> Response:
    """How well each class is recognised, measured on left-out examples: accuracy, confusions, and earlier values.

    Near-duplicates count once: one of them is asked, with all of them held back.
    """

    def make() -> schemas.Health:
        with served.using() as brain:
            return served.health.health(brain)

    return await look(request, context, etag(served.seq), make)


@router.get("/v1/brains/{b}/audit", response_model=schemas.Audit)
async def audit(request: Request, caller: Viewer, served: Served, context: In, limit: Limit = 100) -> Response:
    """Which examples do harm: labels that are likely wrong, near-duplicates, and labels that need more examples.

    Of single examples those of whoever asks alone are told, without the scope `export`.
    """
    own = caller.limited_to("export")

    def make() -> schemas.Audit:
        with served.using() as brain:
            seq, found = brain.seq, brain.audit(limit, teacher=own)
        suspects = [
            schemas.Suspect(label=one.label, other=one.other, probability=one.probability, margin=one.margin,
                            example=_example(one.example))
            for one in found.suspects
        ]
        duplicates = [
            schemas.Duplicates(labels=list(group.labels), examples=[_example(one) for one in group.examples],
                               conflict=group.conflict)
            for group in found.duplicates
        ]
        needs = [schemas.ClassNeed(**asdict(need)) for need in found.needs]
        return schemas.Audit(examined=found.examined, disputed=found.disputed, suspects=suspects,
                             duplicates=duplicates, needs=needs, seq=seq)

    return await look(request, context, etag(served.seq, limit, *([] if own is None else [own])), make)


@router.get("/v1/brains/{b}/alpha", response_model=schemas.Alpha)
async def alpha(request: Request, caller: Asker, served: Served, context: In) -> Response:
    """How much of what is known may be refused, and both errors of "Nothing I know" at ten such shares."""

    def make() -> schemas.Alpha:
        with served.using() as brain:
            return alpha_of(brain)

    return await look(request, context, etag(served.seq), make)


@router.get(
    "/v1/brains/{b}/export", response_class=Response,
    responses={200: {"description": "A file.", "content": {
        "application/jsonl": {"schema": {"type": "string"}}, "application/zip": {"schema": {"type": "string"}}}}},
)
async def export(
    request: Request, caller: Exporter, served: Served, context: In, format: Literal["jsonl", "zip"] = "jsonl"
) -> Response:
    """Every event as JSON lines; or the whole brain as a zip, to be opened or melded elsewhere."""

    headers = {"ETag": etag(served.seq, format), "Cache-Control": "private, no-cache"}
    if unchanged(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    made = await context.exports.begin(served, whole=format == "zip")
    headers["Content-Disposition"] = f'attachment; filename="{served.name}.{format}"'
    if made.length is not None:
        headers["Content-Length"] = str(made.length)
    return StreamingResponse(context.exports.parts(made), headers=headers, media_type=f"application/{format}")


def _example(one: Example | None) -> schemas.Example | None:
    return None if one is None else schemas.Example(**asdict(one))


def _at(brain: Brain, seq: int) -> Brain:
    """The brain at an earlier moment. Raises Refusal where that cannot be returned to."""
    try:
        return brain.at(seq)
    except InputError as error:
        raise Refusal("not-found", str(error)) from error


def _picture(request: Request, found: bytes | None) -> Response:
    """A picture under the ETag of its content: it stays what it is while the brain learns on."""
    if found is None:
        raise Refusal("not-found", "There is no picture of this example.")
    tag = f'"{hashlib.sha256(found).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if unchanged(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(found, headers=headers, media_type="image/jpeg")


@router.get(
    "/v1/brains/{b}/events", response_class=Response,
    responses={200: {"description": "A `change` whenever the brain has changed; the first at once.",
                     "content": {"text/event-stream": {"schema": _EVENT}}}},
)
async def events(request: Request, caller: Asker, served: Served, context: In) -> Response:
    """Server-sent events: `change`, with the sequence number and what the brain holds in numbers."""
    if served.listeners >= _LISTENERS:
        raise Refusal("too-many-requests", f"This brain has {_LISTENERS} streams of events already: try again"
                                           f" later.", headers={"Retry-After": "5"})
    who = caller.name or (request.client and request.client.host)
    if served.listeners_of(who) >= _OF_ONE:
        raise Refusal("too-many-requests", f"You have {_OF_ONE} streams of events open: close some.",
                      headers={"Retry-After": "5"})
    return StreamingResponse(
        _changes(served, context, who), media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _changes(served: ServedBrain, context: Context, who: Hashable) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    changed.set()

    def told_so() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(changed.set)

    if served.listeners_of(who) >= _OF_ONE:  # others came at the same moment
        return
    stop_listening = served.listen(told_so, who)
    told = ""
    try:
        while not context.stopping.is_set():
            try:
                await asyncio.wait_for(changed.wait(), _HEARTBEAT)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            changed.clear()
            summary = served.summary()
            news = json.dumps({key: summary[key] for key in ("seq", "examples", "classes", "unknowns", "state")})
            if news != told:
                told = news
                yield f"event: change\ndata: {news}\n\n"
            await asyncio.sleep(_AT_MOST_EVERY)
    finally:
        stop_listening()
