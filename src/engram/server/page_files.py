"""The page: files that lie beside this program, read once, and given out as they are. Nothing else can be reached."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engram.server.conditions import unchanged

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
