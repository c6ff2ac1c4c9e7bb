"""The web application: what can be asked of a server, and by whom; and the page, files that lie beside this program,
read once and given out as they are.

The routes are in `engram.server.routes`; docs/http.md lists them with the scopes that each takes, made of this code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from engram import __version__
from engram.learner import EngramError
from engram.server import openapi
from engram.server.conditions import unchanged
from engram.server.context import Asker, Context, In
from engram.server.front_door import FrontDoor
from engram.server.metrics import MEDIA_TYPE, Metrics
from engram.server.problems import Refusal, invalid, refusal_of, refusal_of_status, respond
from engram.server.request_log import RequestLog, trace_of
from engram.server.routes import asking, brains, correcting, inference, looking, multimodal, teaching
from engram.server.settings import Settings
from engram.server.shelf import Shelf

TYPES = {
    ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8", ".json": "application/json", ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8", ".webp": "image/webp",
    ".webmanifest": "application/manifest+json", ".woff2": "font/woff2",
}
POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: data:",
    "media-src 'self' blob:", "connect-src 'self'", "font-src 'self'", "manifest-src 'self'", "worker-src 'self'",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
))
_ABOUT = (
    "Teach a brain in milliseconds, ask it what things are, and correct it. What was acknowledged is on disk. "
    "Every refusal is application/problem+json (RFC 9457)."
)

operations = APIRouter(tags=["operate"])
ROUTERS = (
    asking.router, inference.router, teaching.router, brains.router, multimodal.router, correcting.router,
    looking.router, operations,
)
"""All routes, those first that are asked for most often."""


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    kind: str
    tag: str


@cache
def page_routes() -> list[Route]:
    """One route for every file of the page, and `/` for its index."""
    found = dict(_read(files("engram.server") / "page", ""))
    if "/index.html" in found:
        found["/"] = found["/index.html"]
    return [Route(path, _giving(file), methods=["GET"], include_in_schema=False) for path, file in found.items()]


def _read(folder: Traversable, prefix: str) -> list[tuple[str, _File]]:
    if not folder.is_dir():
        return []
    found: list[tuple[str, _File]] = []
    for entry in folder.iterdir():
        path, ending = f"{prefix}/{entry.name}", "." + entry.name.rpartition(".")[2].lower()
        if entry.is_dir():
            found += _read(entry, path)
        elif ending in TYPES and not entry.name.startswith("."):
            content = entry.read_bytes()
            found.append((path, _File(content, TYPES[ending], f'"{hashlib.sha256(content).hexdigest()[:16]}"')))
    return found


def _giving(file: _File) -> Callable[[Request], Awaitable[Response]]:
    headers = {"ETag": file.tag, "Cache-Control": "no-cache", "Content-Security-Policy": POLICY}

    async def give(request: Request) -> Response:
        if unchanged(request, file.tag):
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.kind)

    return give


# What whoever runs the server looks at


@operations.get(
    "/metrics", response_class=Response,
    responses={200: {"description": "For Prometheus.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(caller: Asker, context: In) -> Response:
    """Latencies, examples, labels, the share of unknowns, memory, and the time of commits: of all brains together."""
    if caller.brains is not None:
        raise Refusal("forbidden", "These metrics cover all brains: they require a token that is not restricted to"
                                   " some.")
    text = await context.workers.operate(context.metrics.text)
    return Response(text, headers={"Content-Type": MEDIA_TYPE})


@operations.get("/openapi.json", include_in_schema=False)
async def document(request: Request, context: In) -> Response:
    """All of this for machines."""
    packed = await context.workers.look(lambda: json.dumps(request.app.openapi(), ensure_ascii=False).encode())
    headers = {"ETag": f'"{hashlib.sha256(packed).hexdigest()[:16]}"', "Cache-Control": "no-cache"}
    if unchanged(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(packed, headers=headers, media_type="application/json")


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
