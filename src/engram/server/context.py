"""What every route needs: the brains, the threads, the limits; who asks, and which brain is meant."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Header, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from engram.server.conditions import etag, unchanged
from engram.server.media import PixelBudget
from engram.server.metrics import Metrics
from engram.server.parcels import Exports
from engram.server.problems import Refusal
from engram.server.request_log import RequestLog
from engram.server.scopes import Caller, Need, Scope
from engram.server.scratch import Scratch
from engram.server.served_brain import Gathering, ServedBrain
from engram.server.settings import Settings
from engram.server.shelf import Shelf
from engram.server.wire import NAME_PATTERN
from engram.server.workers import Workers


@dataclass
class Context:
    """One server's parts.

    Attributes:
        stopping: set when the server is about to stop: what lasts has to end.
    """

    settings: Settings
    shelf: Shelf
    metrics: Metrics
    log: RequestLog
    workers: Workers = field(default_factory=Workers)
    gathering: Gathering = field(default_factory=Gathering)
    scratch: Scratch = field(default_factory=Scratch)
    pixels: PixelBudget = field(default_factory=lambda: PixelBudget(128_000_000))
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.exports = Exports(self.workers, self.scratch, self.settings.patience)

    def stop(self) -> None:
        """Let those who listen for changes know that there will be no more."""
        self.stopping.set()
        for brain in self.shelf:
            brain.tell()


async def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


def caller_of(request: Request) -> Caller:
    """Who asks. Raises Refusal for who is not known."""
    caller: Caller | None = request.scope.get("caller")
    if caller is None and request.scope.get("tokens_broken"):
        raise Refusal("unauthenticated", "No token is accepted now, because the token file cannot be read. The"
                                         " server's log says why.")
    if caller is None:
        known = "This token is not known." if "authorization" in request.headers else "No token was sent."
        raise Refusal("unauthenticated", f"{known} Send one as Authorization: Bearer TOKEN.")
    return caller


class Needs:
    """A dependency that lets in those who meet a need.

    Args:
        scopes: any one of them suffices.
        own: suffices for what the caller taught or changed itself; the route then sees to that.
    """

    def __init__(self, *scopes: Scope, own: Scope | None = None) -> None:
        self.need = Need(scopes, own)

    async def __call__(self, request: Request) -> Caller:
        caller = caller_of(request)
        if not self.need.met_by(caller):
            raise Refusal("forbidden", f"This requires the scope {self.need}; {caller.name!r} has"
                                       f" {', '.join(caller.scopes)}.")
        return caller


def check_brain(caller: Caller, name: str) -> None:
    """Raises Refusal where a token is restricted to other brains, whether or not there is this one."""
    if not caller.may_use(name):
        raise Refusal("forbidden", f"The token {caller.name!r} is restricted to"
                                   f" {', '.join(caller.brains or ()) or 'none'}.")


BrainName = Annotated[str, Path(pattern=NAME_PATTERN, description="A brain.")]


async def _served(request: Request, b: BrainName) -> ServedBrain:
    context: Context = request.app.state.context
    check_brain(caller_of(request), b)
    return context.shelf[b]


async def _act(
    request: Request,
    act: Annotated[
        str | None,
        Header(alias="Engram-Act", min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$",
               description="An id of your choice, such as a UUID, for an act of several requests: `:undo` takes all of"
                           " it back at once."),
    ] = None,
) -> str | None:
    """The act that a request belongs to, by an id that no other caller's can equal."""
    caller = caller_of(request)
    return None if act is None else hashlib.sha256(f"{caller.name or ''}\0{act}".encode()).hexdigest()[:32]


In = Annotated[Context, Depends(context_of)]
Served = Annotated[ServedBrain, Depends(_served)]
Act = Annotated[str | None, Depends(_act)]
Asker = Annotated[Caller, Depends(Needs("ask"))]
Teacher = Annotated[Caller, Depends(Needs("teach"))]
Historian = Annotated[Caller, Depends(Needs("teach", "export"))]
Viewer = Annotated[Caller, Depends(Needs("export", own="teach"))]
Corrector = Annotated[Caller, Depends(Needs("admin", own="correct"))]
Exporter = Annotated[Caller, Depends(Needs("export"))]
Admin = Annotated[Caller, Depends(Needs("admin"))]


def reply(model: BaseModel, seq: int | None = None, status: int = 200) -> Response:
    """An answer as JSON; the sequence number as its ETag."""
    headers = {} if seq is None else {"ETag": etag(seq)}
    return Response(model.model_dump_json(), status, headers, media_type="application/json")


async def look(
    request: Request, context: Context, tag: str, make: Callable[[], BaseModel | Response]
) -> Response:
    """The answer to a GET, made in a thread; or that it is what whoever asks has already.

    Args:
        tag: the ETag of what would be answered now.
        make: makes it.
    """
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if unchanged(request, tag):
        return Response(status_code=304, headers=headers)
    made = await context.workers.look(make)
    if isinstance(made, Response):
        made.headers.update(headers)
        return made
    assert isinstance(made, BaseModel)
    return Response(made.model_dump_json(), 200, headers, media_type="application/json")
