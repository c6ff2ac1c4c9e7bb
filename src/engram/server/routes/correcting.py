"""What was taught, put right: forgotten, renamed, relabelled, undone, rolled back, consolidated, melded."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from engram.brain import Brain, MeldReport
from engram.learner import DamagedError, InputError, NotTaughtError
from engram.server.bodies import flag, media_type, read_model
from engram.server.both_errors import alpha_of
from engram.server.conditions import wanted_seq
from engram.server.context import Act, Admin, Context, Corrector, In, Served, Teacher, check_brain, reply
from engram.server.openapi import MELD_BODY, json_body
from engram.server.ownership import check_own, check_own_change
from engram.server.parcels import received, unpacked
from engram.server.problems import Refusal
from engram.server.requests import Meld, NameGroup, Relabel, Rename, Rollback, SetAlpha
from engram.server.schemas import Alpha, Changed, Conflict, Consolidated, Melded
from engram.server.scopes import Caller
from engram.server.scratch import Scratch
from engram.server.served_brain import ServedBrain
from engram.server.wire import LARGEST

router = APIRouter(tags=["correct"])


class _LabelConvertor(Convertor[str]):
    """The rest of a path, with slashes and line breaks."""

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("label", _LabelConvertor())

Id = Annotated[int, Path(ge=1, le=LARGEST, description="An example's id: its sequence number.")]
Group = Annotated[int, Path(ge=1, le=LARGEST, description="A group's id: the number of its oldest input.")]
LabelPath = Annotated[str, Path(min_length=1, max_length=256, description="A label, percent-encoded.")]


@router.delete("/v1/brains/{b}/classes", response_model=Changed)
async def forget_class(
    request: Request, caller: Corrector, served: Served, context: In,
    label: Annotated[str, Query(max_length=256, description="The label that is forgotten.")],
) -> Response:
    """Forget a label, for good: its examples leave the log, the snapshots and the thumbnails, undone ones included."""
    if len(request.query_params.getlist("label")) > 1:
        detail = "Give one label: each is forgotten by a request of its own."
        raise Refusal("invalid", detail, faults=[("label", detail)])
    return await _forget_class(request, caller, served, context, label)


@router.delete("/v1/brains/{b}/classes/{label:label}", response_model=Changed)
async def forget_class_by_path(
    request: Request, caller: Corrector, served: Served, context: In, label: LabelPath
) -> Response:
    """The same, for labels that clients do not take for a part of the path, as they do `..` and `.`."""
    return await _forget_class(request, caller, served, context, label)


async def _forget_class(
    request: Request, caller: Caller, served: ServedBrain, context: Context, label: str
) -> Response:
    name, own = served.label(label), caller.limited_to("admin")

    def change(brain: Brain) -> int:
        check_own(brain, own, "forget", label=name)
        return _forgetting(brain, label=name)

    return await _changed(request, caller, served, context, change)


@router.delete("/v1/brains/{b}/examples/{id:int}", response_model=Changed)
async def forget_example(request: Request, caller: Corrector, served: Served, context: In, id: Id) -> Response:
    """Forget one example, for good; also one that was undone. `changed` counts the examples that the brain knew."""
    own = caller.limited_to("admin")

    def change(brain: Brain) -> int:
        check_own(brain, own, "forget", ids=[id])
        return _forgetting(brain, ids=[id])

    return await _changed(request, caller, served, context, change)


@router.delete("/v1/brains/{b}/examples", response_model=Changed)
async def forget_teacher(
    request: Request, caller: Corrector, served: Served, context: In,
    teacher: Annotated[str, Query(min_length=1, max_length=256, description="Whose examples are forgotten.")],
) -> Response:
    """Forget all that one teacher taught, what was undone included, and the name, for good."""
    own = caller.limited_to("admin")
    if own not in (None, teacher):
        raise Refusal("forbidden", f"{own!r} may forget what {own!r} taught; to forget what others taught requires"
                                   f" the scope 'admin'.")
    return await _changed(request, caller, served, context, lambda brain: _forgetting(brain, teacher=teacher))


@router.post("/v1/brains/{b}/examples/{id:int}:relabel", response_model=Changed, openapi_extra=json_body(Relabel))
async def relabel(
    request: Request, caller: Corrector, served: Served, context: In, id: Id, act: Act = None
) -> Response:
    """An example is something else than it was taught as."""
    asked, own = await read_model(request, Relabel), caller.limited_to("admin")

    def change(brain: Brain) -> int:
        check_own(brain, own, "relabel", ids=[id])
        brain.relabel([id], served.label(asked.label))
        return 1

    return await _changed(request, caller, served, context, change, act=act)


@router.post("/v1/brains/{b}/unknowns/{group:int}:name", response_model=Changed, openapi_extra=json_body(NameGroup))
async def name_group(
    request: Request, caller: Teacher, served: Served, context: In, group: Group, act: Act = None
) -> Response:
    """Learn a group of unknowns under a label.

    A brain of good parts learns them as good ones of a product: the label must be one that it was taught.
    """
    asked = await read_model(request, NameGroup)
    return await _changed(
        request, caller, served, context,
        lambda brain: brain.name(group, served.label(asked.label), teacher=caller.name), taught=True, act=act,
    )


@router.delete("/v1/brains/{b}/unknowns/{group:int}", response_model=Changed)
async def discard_group(request: Request, caller: Teacher, served: Served, context: In, group: Group) -> Response:
    """Let a group of unknowns go, unnamed."""
    return await _changed(request, caller, served, context, lambda brain: _discarding(brain, group))


@router.post("/v1/brains/{b}:rename", response_model=Changed, openapi_extra=json_body(Rename))
async def rename(request: Request, caller: Corrector, served: Served, context: In) -> Response:
    """Call a label by another name."""
    asked, own = await read_model(request, Rename), caller.limited_to("admin")

    def change(brain: Brain) -> int:
        old, new = served.label(asked.old), served.label(asked.new)
        check_own(brain, own, "rename", label=old)
        count = brain.view.counts.get(old, 0)
        brain.rename(old, new)
        return count

    return await _changed(request, caller, served, context, change)


@router.put("/v1/brains/{b}/alpha", response_model=Alpha, openapi_extra=json_body(SetAlpha))
async def set_alpha(request: Request, caller: Admin, served: Served, context: In) -> Response:
    """Change how much of what is known may be refused. A change like others, which can be undone."""
    asked, wanted = await read_model(request, SetAlpha), wanted_seq(request)

    def change(brain: Brain) -> Alpha:
        brain.set_alpha(asked.alpha, None if asked.label is None else served.label(asked.label))
        return alpha_of(brain)

    found = await context.workers.write(lambda: served.change(change, wanted, by=caller.name))
    return reply(found, found.seq)


@router.post("/v1/brains/{b}:undo", response_model=Changed)
async def undo(request: Request, caller: Corrector, served: Served, context: In, act: Act = None) -> Response:
    """Take back the last change that is not undone, whole: all that was sent under one `Engram-Act`. With that header,
    take back this act of the caller's; what others taught meanwhile or since stays. Never across a forget.
    """
    own = caller.limited_to("admin")

    def change(brain: Brain) -> int:
        check_own_change(brain, own, act)
        return _moving(brain, lambda: brain.undo(act))

    return await _changed(request, caller, served, context, change)


@router.post("/v1/brains/{b}:rollback", response_model=Changed, openapi_extra=json_body(Rollback))
async def rollback(request: Request, caller: Admin, served: Served, context: In) -> Response:
    """The brain as it was at a sequence number or time. A change itself, which can be undone; never across a forget."""
    asked = await read_model(request, Rollback)
    return await _changed(
        request, caller, served, context, lambda brain: _moving(brain, lambda: brain.rollback(asked.to))
    )


@router.post("/v1/brains/{b}:consolidate", response_model=Consolidated)
async def consolidate(request: Request, caller: Admin, served: Served, context: In) -> Response:
    """Merge redundant examples into weighted prototypes; what is known stays the same."""
    wanted = wanted_seq(request)
    report = await context.workers.write(
        lambda: served.change(lambda brain: brain.consolidate(), wanted, by=caller.name)
    )
    return reply(
        Consolidated(seq=served.seq, before=report.before, after=report.after, kept=report.kept), served.seq
    )


@router.post("/v1/brains/{b}:meld", response_model=Melded, openapi_extra=MELD_BODY)
async def meld(request: Request, caller: Admin, served: Served, context: In) -> Response:
    """Take over all that another brain on the same backbone knows: one served here, or one that is sent."""
    wanted = wanted_seq(request)
    if media_type(request) in ("application/zip", "multipart/form-data"):
        file, fields = await received(request, context.settings.brain_limit)
        strict = flag(fields, "strict", False)

        limit = 8 * context.settings.brain_limit
        report = await context.workers.write(
            lambda: _meld_file(served, file, context.scratch, limit, strict, wanted, caller.name)
        )
    else:
        asked = await read_model(request, Meld)
        check_brain(caller, asked.brain)
        other = context.shelf[asked.brain]

        def from_shelf() -> Any:
            with other.using() as brain:
                theirs = brain
                return served.change(lambda mine: mine.meld(theirs, strict=asked.strict), wanted, by=caller.name)

        report = await context.workers.write(from_shelf)
    conflicts = [Conflict(kind=one.kind, labels=list(one.labels), message=str(one)) for one in report.conflicts]
    changed = len(report.added) + len(report.updated)
    melded = Melded(seq=served.seq, changed=changed, notes=list(report.notes), conflicts=conflicts)
    return reply(melded, served.seq)


def _meld_file(
    served: ServedBrain, file: IO[bytes], scratch: Scratch, limit: int, strict: bool, wanted: frozenset[int] | None,
    by: str | None,
) -> MeldReport:
    """Meld the brain in a zip. Its backbone is not loaded unless it is the one that is served."""
    bundle = served.brain.bundle
    with file, unpacked(file, scratch, limit, bundle.fingerprint if bundle else None) as folder:
        try:
            other = Brain.open(folder, readonly=True)
        except DamagedError as error:
            reason = str(error).replace(str(folder), "the zip")
            raise InputError(f"The brain in this zip is damaged: {reason}") from error
        with other:
            return served.change(lambda brain: brain.meld(other, strict=strict), wanted, by=by)


async def _changed(
    request: Request, caller: Caller, served: ServedBrain, context: Context, do: Callable[[Brain], int], *,
    taught: bool = False, act: str | None = None,
) -> Response:
    """Do it when its turn has come; say how many examples it concerned."""
    wanted = wanted_seq(request)
    alone = not caller.may("admin")  # whose it is has to hold until it is done
    by = None if taught else caller.name

    def change(brain: Brain) -> tuple[int, int]:
        return do(brain), brain.seq

    count, seq = await context.workers.write(lambda: served.change(change, wanted, by=by, alone=alone, act=act))
    if taught:
        served.count(taught=count)
    return reply(Changed(seq=seq, changed=count), seq)


def _forgetting(brain: Brain, **what: Any) -> int:
    """Forget; how many examples are fewer."""
    before = brain.total
    brain.forget(**what)
    return before - brain.total


def _discarding(brain: Brain, number: int) -> int:
    """Let a group of unknowns go; how many they were."""
    group = next((group for group in brain.unknown_groups() if group.number == number), None)
    if group is None:
        raise NotTaughtError(f"There is no group {number} of unknown inputs.")
    brain.unknowns.discard(unknown.key for unknown in brain.unknowns.take(group.members))
    brain.keep_unknowns()
    return len(group.members)


def _moving(brain: Brain, do: Callable[[], Any]) -> int:
    """Go back or forth in time; by how many examples the brain differs then."""
    before = brain.view.counts
    try:
        do()
    except InputError as error:  # it is not the request that is wrong, but the past that does not allow it
        raise Refusal("conflict", str(error)) from error
    after = brain.view.counts
    return sum(abs(after.get(label, 0) - before.get(label, 0)) for label in {*before, *after})


