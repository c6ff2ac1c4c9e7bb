"""What every request passes before it reaches a route: its name for the server, its origin, its token, its size, its
turn. Refused at the door, a request has touched nothing.

Host names: a page of a stranger whose name suddenly points to 127.0.0.1 (DNS rebinding) sends its own name as Host.
Origins: a browser says which page wants to change something; only the server's own may.
Turns: a token bucket for each client, as in ATM's generic cell rate algorithm (ITU-T I.371).
Sizes: a body may be as large as what it is for, and all of them together as the server takes; compressed ones
(RFC 9110, section 8.4) are unpacked in small portions, so that none grows beyond its limit.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from itertools import count
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engram.server.metrics import Metrics
from engram.server.problems import MEDIA_TYPE, Refusal, refusal_of
from engram.server.request_log import RequestLog, trace_of
from engram.server.scopes import EVERYONE, Caller
from engram.server.settings import Settings, is_loopback
from engram.server.tokens import Tokens

_CLIENTS = 4096
ENCODINGS = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
"""Content coding -> what zlib calls its format."""

_PORTION = 2**18  # bytes, of what is unpacked at once; the event loop serves others in between
NOTE = 2**16
"""Bytes of a body that holds no examples: names, labels, options."""

_EXAMPLES = ("/predict", "/heat", "/locate", "/examples", "/infer")
_AS_IT_IS = (b"application/octet-stream", b"multipart/form-data", b"image/", b"audio/")
_FOLDERS = (b"application/zip", b"multipart/form-data")
_SAFE = ("GET", "HEAD", "OPTIONS")
_ONCE = (
    b"host", b"origin", b"sec-fetch-site", b"authorization", b"content-length", b"content-type", b"content-encoding",
    b"idempotency-key", b"inference-header-content-length",
)
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]]*))(?::[0-9]*)?")
_LONGEST = 4096  # bytes of a path: the longest label fits, with every byte percent-encoded
_SLOWEST = 1000  # bytes a second of a body, on the whole
_LASTING = ("/events",)  # requests that stay open do not take a place among those worked on
_SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"permissions-policy", b"camera=(self), microphone=(self), geolocation=()"),
]
_STARTED, _REQUESTS = os.urandom(4).hex(), count()
_CLOSED = b"default-src 'none'; frame-ancestors 'none'"
_HSTS = (b"strict-transport-security", b"max-age=31536000")


class RateLimit:
    """At most `rate` requests a second from one client, and `burst` at once.

    Of more clients than can be remembered those are forgotten that have been silent longest.

    >>> limit = RateLimit(rate=2, burst=2, clock=lambda: 10.0)
    >>> [limit.wait("ada") for _ in range(3)], limit.wait("bob")
    ([0.0, 0.0, 0.5], 0.0)
    """

    def __init__(self, rate: float, burst: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._spacing = 1 / rate if rate > 0 else 0.0
        self._tolerance = self._spacing * ((max(2 * rate, 1.0) if burst is None else burst) - 1)
        self._clock = clock
        self._due: OrderedDict[Hashable, float] = OrderedDict()

    def wait(self, client: Hashable) -> float:
        """Seconds until this client may ask again: 0 now, and it counts as asked."""
        if not self._spacing:
            return 0.0
        now = self._clock()
        due = max(self._due.get(client, now), now)
        if due - now > self._tolerance + 1e-9:
            return due - now - self._tolerance
        self._due[client] = due + self._spacing
        self._due.move_to_end(client)
        if len(self._due) > _CLIENTS:
            self._due.popitem(last=False)
        return 0.0


def encoding_of(value: bytes) -> bytes | None:
    """The coding of a body by its Content-Encoding; None where there is none. Raises Refusal for any other."""
    name = value.strip().lower()
    if name in (b"", b"identity"):
        return None
    if name not in ENCODINGS:
        raise Refusal("unsupported-media-type", "This Content-Encoding is not supported: send the body"
                                                " uncompressed, or as gzip or deflate.",
                      headers={"Accept-Encoding": "gzip, deflate"})
    return name


def without_encoding(scope: Scope) -> None:
    """Let the request be as it is once its body is unpacked, of which nobody knows how long it will be."""
    gone = (b"content-encoding", b"content-length")
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in gone]


class Unpacked:
    """Receives what another receiver gives, unpacked.

    Args:
        receive: gives the body as it came.
        encoding: one of `ENCODINGS`.
        limit: bytes that the body may have when it is unpacked.

    Raises:
        Refusal: it is larger, or not what its coding says.
    """

    def __init__(self, receive: Receive, encoding: bytes, limit: int) -> None:
        self._receive, self._limit, self._left = receive, limit, limit
        self._zlib = zlib.decompressobj(ENCODINGS[encoding])
        self._packed = b""
        self._came = self._pending = False  # all that is packed; more of what is unpacked, without reading on

    async def __call__(self) -> Message:
        """The next part of the body, unpacked. Raises Refusal where it is damaged, ends too soon or gets too long."""
        while not (self._came and self._zlib.eof):
            if not self._pending:
                if self._came:
                    raise Refusal("bad-request", "The compressed body ends too soon.")
                message = await self._receive()
                if message["type"] != "http.request":
                    return message
                self._packed, self._came = message.get("body", b""), not message.get("more_body", False)
            part = self._next()
            last = self._came and self._zlib.eof
            if part or last:
                return {"type": "http.request", "body": part, "more_body": not last}
            await asyncio.sleep(0)
        return await self._receive()

    def _next(self) -> bytes:
        """The next portion of what is unpacked."""
        part = b""
        if not self._zlib.eof:
            try:
                part = self._zlib.decompress(self._packed, _PORTION)
            except zlib.error:
                raise Refusal("bad-request", "The body is not compressed as its Content-Encoding says.") from None
            self._packed = self._zlib.unused_data or self._zlib.unconsumed_tail
        if self._zlib.eof and self._packed:
            raise Refusal("bad-request", "More follows the end of the compressed body.")
        self._pending = bool(self._packed) or (len(part) == _PORTION and not self._zlib.eof)
        self._left -= len(part)
        if self._left < 0:
            raise Refusal("too-large", f"The body may have at most {self._limit:,} bytes after decompression: send"
                                       f" it in parts.")
        return part


def body_limit(path: str, content_type: bytes, settings: Settings) -> int:
    """The most bytes.

    >>> body_limit("/v1/brains/b/predict", b"image/png", Settings()), body_limit("/v1/brains/b:undo", b"", Settings())
    (33554432, 65536)
    """
    kind = content_type.strip().lower()
    if path.endswith(":meld") and kind.startswith(_FOLDERS):
        return settings.brain_limit
    if not path.endswith(_EXAMPLES):
        return NOTE
    return settings.body_limit if kind.startswith(_AS_IT_IS) else min(settings.json_limit, settings.body_limit)


class Room:
    """What the bodies of all requests take together, while they are received or worked on.

    Args:
        size: bytes.
    """

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        """Raises Refusal where there is not as much room."""
        if size > self._left:
            raise Refusal("too-many-requests", "The server is receiving too much data at this moment: try again later.",
                          headers={"Retry-After": "2"})
        self._left -= size

    def give_back(self, size: int) -> None:
        """For others."""
        self._left += size


class FrontDoor:
    """Wraps the application.

    Args:
        api: what answers those who are let in.
        settings: names and limits.
        metrics, log: told of every request.
    """

    def __init__(self, api: ASGIApp, settings: Settings, metrics: Metrics, log: RequestLog) -> None:
        self.api = api
        self.settings = settings
        self._metrics, self._log = metrics, log
        self._hosts = settings.hosts()
        self._tokens = Tokens(settings.token_file, self._note_tokens) if settings.token_file else None
        self._rate = RateLimit(settings.requests_per_second)
        self._at_once = 0
        self._room = Room(settings.bodies_at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.api(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:  # no websockets here
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        scope = dict(scope)  # the server below keeps its own
        visit = _Visit(scope, send, hsts=self.settings.certificate is not None)
        counted = not scope["path"].endswith(_LASTING)
        self._at_once += counted
        self._metrics.at_once.set(self._at_once)
        error: BaseException | None = None
        if visit.head and not scope["path"].endswith(_LASTING):  # answered as GET is, without the body
            scope["method"] = "GET"
        body: _Body | None = None
        try:
            limit = self._let_in(scope, visit)
            room = self._room if limit <= self.settings.body_limit else Room(limit)  # which goes to disk as it comes
            body = _Body(receive, limit, self.settings.patience, room)
            encoding = encoding_of(visit.headers.get(b"content-encoding", b""))
            if encoding is None:
                await self.api(scope, body, visit.send)
            else:
                without_encoding(scope)
                await self.api(scope, Unpacked(body, encoding, limit), visit.send)
        except Exception as problem:
            error = problem
            if not visit.status:
                await visit.refuse(refusal_of(problem))
        finally:
            if body is not None:
                body.close()
            self._at_once -= counted
            self._metrics.at_once.set(self._at_once)
            self._note(scope, visit, time.perf_counter() - started, error)

    def _let_in(self, scope: Scope, visit: _Visit) -> int:
        """How many bytes this request may send. Raises Refusal at the door."""
        check_once(scope["headers"])
        if len(scope.get("raw_path") or b"") > _LONGEST:
            raise Refusal("too-long", f"The path may have at most {_LONGEST:,} bytes.")
        check_characters(scope.get("raw_path") or b"", scope["query_string"])
        headers = visit.headers
        self._check_host(headers.get(b"host", b""))
        if scope["method"] not in _SAFE:
            check_origin(headers)
        caller = self._caller(headers.get(b"authorization"))
        scope["caller"] = caller
        scope["tokens_broken"] = self._tokens is not None and self._tokens.problem is not None
        client = scope["client"][0] if scope.get("client") else ""
        wait = self._rate.wait((caller.name,) if caller and caller.name else client)
        if wait:
            raise _later(f"More than {self.settings.requests_per_second:g} requests a second.", wait)
        if self._at_once > self.settings.requests_at_once:
            raise _later("The server is busy: try again later.", 1.0)
        settings = self.settings
        limit = body_limit(scope["path"], headers.get(b"content-type", b""), settings)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > limit:
            raise _too_large(limit)
        return limit

    def _check_host(self, host: bytes) -> None:
        name = _host_name(host.decode("latin-1").lower())
        if name in self._hosts or (self.settings.loopback and is_loopback(name)):
            return
        if self.settings.wildcard and _is_address(name):  # an address cannot be rebound
            return
        raise Refusal(
            "foreign-host", f"The host name {name[:80]!r} is not allowed. To allow it, start the server with"
                            f" --allow-host {name[:80]}."
        )

    def _caller(self, authorization: bytes | None) -> Caller | None:
        if self._tokens is None:
            return EVERYONE
        scheme, _, secret = (authorization or b"").decode("latin-1").partition(" ")
        return self._tokens.caller(secret.strip()) if scheme.lower() == "bearer" and secret else None

    def _note_tokens(self, problem: str | None) -> None:
        if problem is None:
            self._log.write("tokens read again")
        else:
            self._log.write("nobody is let in", "error", message=problem)

    def _note(self, scope: Scope, visit: _Visit, seconds: float, error: BaseException | None) -> None:
        route = getattr(scope.get("route"), "path", "") or "unmatched"
        method = "HEAD" if visit.head else scope["method"]
        method = method if method in (*_SAFE, "POST", "DELETE", "PUT", "PATCH") else "other"
        self._metrics.answered(method, route, visit.status, seconds)
        broken = error is not None and visit.status >= 500
        if broken and error is not None:
            self._log.write("failed", "error", id=scope["request_id"], route=route, trace=trace_of(error),
                            error=type(error).__name__)
        if self.settings.access_log:
            caller: Caller | None = scope.get("caller")
            self._log.write(
                "request", id=scope["request_id"], method=method, route=route,
                brain=scope.get("path_params", {}).get("b"), status=visit.status, ms=round(1000 * seconds, 2),
                client=scope["client"][0] if scope.get("client") else None, teacher=caller and caller.name,
            )


class _Visit:
    """One request's way out: every answer gets its request id and the headers that protect whoever reads it."""

    def __init__(self, scope: Scope, send: Send, *, hsts: bool) -> None:
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.head = scope["method"] == "HEAD"
        self.status = 0
        self._scope, self._send, self._hsts = scope, send, hsts
        scope["request_id"] = f"{_STARTED}{next(_REQUESTS):08x}"

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._dressed(message["headers"])
        elif self.head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        body = refusal.body(self._scope["path"], self._scope["request_id"])
        headers = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
        headers += [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def _dressed(self, headers: Any) -> list[tuple[bytes, bytes]]:
        dressed = [*headers, *_SECURITY, (b"x-request-id", self._scope["request_id"].encode())]
        names = {name for name, _ in headers}
        if b"content-security-policy" not in names:
            dressed.append((b"content-security-policy", _CLOSED))
        if b"cache-control" not in names:
            dressed.append((b"cache-control", b"no-store"))
        if self._hsts:
            dressed.append(_HSTS)
        if self.status in (408, 413):  # the rest of the body is not waited for
            dressed.append((b"connection", b"close"))
        return dressed


class _Body:
    """Counts what comes in, and gives up on who sends too much or nothing more."""

    def __init__(self, receive: Receive, limit: int, patience: float, room: Room) -> None:
        self._receive, self._limit, self._patience = receive, limit, patience
        self._room, self._taken = room, 0
        self._read, self._whole = 0, False
        cycle = getattr(receive, "__self__", None)
        self._came: asyncio.Event | None = getattr(cycle, "message_event", None)  # uvicorn's; set when something came
        self._began = time.monotonic()

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        came = self._came is not None and self._came.is_set()  # then there is nothing to wait for
        message = await (self._receive() if came else self._in_time())
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self._read += size
            self._whole = not message.get("more_body", False)
            if self._read > self._limit:
                raise _too_large(self._limit)
            self._room.take(size)
            self._taken += size
        return message

    async def _in_time(self) -> Message:
        left = self._began + self._patience + self._read / _SLOWEST - time.monotonic()
        try:
            async with asyncio.timeout(min(self._patience, max(left, 0.0))):
                return await self._receive()
        except TimeoutError:
            raise Refusal("timeout", f"The body did not arrive within {self._patience:g} seconds, and "
                          f"{_SLOWEST:,} bytes a second: send it again.") from None

    def close(self) -> None:
        """It is not needed any more."""
        self._room.give_back(self._taken)


def check_characters(*parts: bytes) -> None:
    """Raises Refusal where a path or a query is not UTF-8: guessed, two labels could become one."""
    try:
        for part in parts:
            unquote_to_bytes(part).decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("bad-request", "The address is not UTF-8: percent-encode the bytes of its UTF-8 form, such as "
                      "%C3%A9 for é.") from None


def check_once(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raises Refusal where a header is there twice of which two programs could each believe another one."""
    names = [name for name, _ in headers if name in _ONCE]
    if len(names) > len(set(names)):
        twice = next(name for name in names if names.count(name) > 1).decode()
        raise Refusal("bad-request", f"The header {twice} was sent more than once.")


def check_origin(headers: dict[bytes, bytes]) -> None:
    """Raises Refusal where a browser says that another site's page is asking."""
    origin, host = headers.get(b"origin"), headers.get(b"host", b"").decode("latin-1").lower()
    if origin is not None:
        try:
            given = urlsplit(origin.decode("latin-1").lower())
        except ValueError:
            given = urlsplit("")
        own = given.scheme in ("http", "https") and given.netloc == host
    else:
        own = headers.get(b"sec-fetch-site", b"none") in (b"none", b"same-origin")
    if not own:
        raise Refusal("foreign-origin", "Requests from pages of other sites are refused.")


def _host_name(host: str) -> str:
    """A Host header without its port; nothing where it is none (RFC 9110, section 7.2)."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2] or "") if found else ""


def _is_address(name: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _later(detail: str, seconds: float) -> Refusal:
    return Refusal("too-many-requests", f"{detail} Come back later.", headers={"Retry-After": str(int(seconds) + 1)})


def _too_large(limit: int) -> Refusal:
    detail = (f"The body may have {limit:,} bytes here: send it in parts. Vectors as they are in memory (float32, "
              "application/octet-stream) and pictures as files may have more than JSON.")
    return Refusal("too-large", detail)
