"""Server-sent events (WHATWG HTML, section 9.2): a page that shows a brain learns at once when it has changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Hashable
from contextlib import suppress

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from engram.server.context import Asker, Context, In, Served
from engram.server.problems import Refusal
from engram.server.served_brain import ServedBrain

router = APIRouter(tags=["look"])

_HEARTBEAT = 15.0  # seconds
_AT_MOST_EVERY = 0.1  # seconds: changes in between are told as one
_LISTENERS, _OF_ONE = 256, 32  # to a brain, and of them from one client
_EVENT = {  # each one, as OpenAPI has no stream
    "type": "object",
    "properties": {"event": {"const": "change"}, "data": {"type": "string", "contentMediaType": "application/json"}},
}


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
