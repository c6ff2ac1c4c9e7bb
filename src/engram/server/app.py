"""The web application: what can be asked of a server, and by whom.

The routes are in `engram.server.routes`; docs/http.md lists them with the scopes that each takes, made of this code.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from engram import __version__
from engram.learner import EngramError
from engram.server import openapi
from engram.server.context import Context
from engram.server.front_door import FrontDoor
from engram.server.metrics import Metrics
from engram.server.page_files import page_routes
from engram.server.problems import Refusal, invalid, refusal_of, refusal_of_status, respond
from engram.server.request_log import RequestLog, trace_of
from engram.server.routes import ROUTERS
from engram.server.settings import Settings
from engram.server.shelf import Shelf

_ABOUT = (
    "Teach a brain in milliseconds, ask it what things are, and correct it. What was acknowledged is on disk. "
    "Every refusal is application/problem+json (RFC 9457)."
)


def create_app(folders: Mapping[str, Path], settings: Settings, log: RequestLog | None = None) -> FrontDoor:
    """The whole server as one ASGI application; its brains are opened, in threads, when it starts.

    Args:
        folders: name -> folder of every brain to serve.
        settings: names and limits.
        log: where to tell what happens; None for stderr.

    Raises:
        InputError: the settings would let strangers in, or a token file cannot be read.
    """
    settings.check()
    log = log or RequestLog()
    metrics = Metrics(lambda: iter(shelf))
    shelf = Shelf(folders, settings.folder, follower=settings.follow, log=log, commits_of=metrics.commits_of)
    api = FastAPI(
        title="Engram", version=__version__, description=_ABOUT, lifespan=_lifespan, docs_url=None, redoc_url=None,
        redirect_slashes=False, openapi_url=None,
    )
    api.state.context = Context(settings, shelf, metrics, log)
    for router in ROUTERS:  # not as routers in a router, each of which would look for the route again
        api.router.routes.extend(router.routes)
    api.router.routes.extend(page_routes())
    _refuse_in_one_way(api, log)
    openapi.install(api, ROUTERS)
    return FrontDoor(api, settings, metrics, log)


@asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[None]:
    context: Context = api.state.context
    context.scratch.sweep()
    context.shelf.open()
    try:
        yield
    finally:
        context.stop()
        context.workers.close()  # what was asked for is finished first
        context.shelf.close()
        context.scratch.close()
        context.log.close()


def _refuse_in_one_way(api: FastAPI, log: RequestLog) -> None:
    """Have every error answered as a problem document."""

    async def refused(request: Request, error: Exception) -> Response:
        refusal = refusal_of(error)
        if refusal.status >= 500 and not isinstance(error, Refusal):
            log.write("failed", "error", id=request.scope.get("request_id"), error=type(error).__name__,
                      message=str(error) if isinstance(error, EngramError | OSError) else None, trace=trace_of(error))
        return respond(request, refusal)

    async def unfit(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return respond(request, invalid(error.errors()))

    async def stopped(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(sorted(_allowed(request)))
        return respond(request, refusal_of_status(error.status_code, str(error.detail), headers))

    for kind in (Refusal, EngramError, OSError, Exception):
        api.add_exception_handler(kind, refused)
    api.add_exception_handler(RequestValidationError, unfit)
    api.add_exception_handler(HTTPException, stopped)
    api.add_exception_handler(ClientDisconnect, _left)


async def _left(request: Request, error: Exception) -> Response:
    return respond(request, Refusal("bad-request", "The connection ended within the body."))


def _allowed(request: Request) -> set[str]:
    """The methods of all routes at this path."""
    found: set[str] = set()
    for route in [*(route for router in ROUTERS for route in router.routes), *page_routes()]:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= set(getattr(route, "methods", ()) or ())
    if "GET" in found:
        found.add("HEAD")
    return found
