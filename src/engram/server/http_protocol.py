"""uvicorn's reading and writing of HTTP, with limits on whatever a client can send or leave unread.

A head that never ends or never comes, trailers and chunk extensions without end, requests piled up behind one another,
an answer that nobody reads: each ends in a refusal, a problem document like any other, or a closed connection.
Trailers are not taken for headers (RFC 9110, section 6.5.1).
"""

from __future__ import annotations

import asyncio
import os
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from engram.server.problems import MEDIA_TYPE, Refusal

HEAD_LIMIT = 2**16
"""Bytes of everything in a request but its body: request line, headers, chunk framing and extensions, trailers."""

UNDER_WAY = "under_way"
"""Where the state of a request's scope holds the tasks of all requests that are being answered, this one among them."""

PIPELINED = 64
"""Requests that may wait on one connection behind the one that is being answered."""

_FRAMING = 16  # bytes that each chunk may have beside its content, for nothing
_JOINED = 2**16  # bytes of a body that leaves with its head
_SLOWEST = 1000  # bytes a second that whoever is answered has to read
_IDLE, _HEAD, _BODY = range(3)


class GuardedProtocol(HttpToolsProtocol):
    """One connection. How long a head may take, or an answer lie unread, is `settings.patience` of the application."""

    _stage = _IDLE
    _beside = 0  # bytes of this request that are not its body
    _refusal: Refusal | None = None
    _lingering = False
    _since: float | None = None  # when the wait for a head, or for the rest of a refused body, began
    _waiting: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = _OneWrite(transport, self)  # type: ignore[assignment]
        self.app_state = {**self.app_state, UNDER_WAY: self.tasks}  # a part of every request's scope
        self._patience: float = getattr(getattr(self.config.app, "settings", None), "patience", 20.0)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._waiting, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    # Reading

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._refusal is not None or self._lingering:
            return
        self._beside += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # no other protocol is spoken here: the request is answered like any
        except httptools.HttpParserError:
            self._refuse(Refusal("bad-request", "This is not HTTP."))
            return
        if self._stage != _IDLE and self._beside > HEAD_LIMIT:
            what = "head" if self._stage == _HEAD else "head and the trailers"
            self._refuse(Refusal("head-too-large", f"The {what} of a request may have {HEAD_LIMIT:,} bytes."))
        elif self._stage == _HEAD or self._idle():
            self._wait()

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED:
            raise BufferError("too many requests are waiting on this connection")
        super().on_message_begin()
        self._stage, self._since = _HEAD, None

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._stage == _HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stage, self._since = _BODY, None
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        self._beside = max(0, self._beside - _FRAMING)

    def on_body(self, body: bytes) -> None:
        self._beside = max(0, self._beside - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stage, self._since, self._beside = _IDLE, None, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._stage == _BODY and self.cycle.response_complete and not self.transport.is_closing():
            self._wait()  # refused unread: the rest of the body is thrown away as it comes

    @property
    def unread(self) -> bool:
        """Whether the client is still sending a body, whose request was answered."""
        return self._stage == _BODY and self._refusal is None

    def linger(self) -> None:
        """Read on for a while, and throw away what comes: closed at once, the client would never read its answer
        (RFC 9112, section 9.6).
        """
        self._lingering = True
        self.flow.resume_reading()
        self._wait()

    def _idle(self) -> bool:
        """Whether nothing is being read or answered: blank lines between requests are no sign of life."""
        answered = self.cycle is None or self.cycle.response_complete
        return self._stage == _IDLE and answered and not self.transport.is_closing()

    def _wait(self) -> None:
        """Wait for the client, if that is not so already, but not for ever."""
        if self._since is None:
            self._since = self.loop.time()
            if self._waiting is None:
                self._waiting = self.loop.call_later(self._patience, self._waited)

    def _waited(self) -> None:
        self._waiting = None
        if self._since is None or (self.transport.is_closing() and not self._lingering):
            return
        left = self._since + self._patience - self.loop.time()
        if left > 0.001:  # it is another wait than the one that the clock was set for
            self._waiting = self.loop.call_later(left, self._waited)
        elif self._stage == _BODY:
            self.transport.abort()
        else:
            self._refuse(Refusal("timeout", "The head of the request did not come."))

    # Writing

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def _watch_reader(self, before: int | None = None) -> None:
        """Let go of a client that does not read what it asked for: it would keep it in memory."""
        size = self.transport.get_write_buffer_size()
        if before is not None and before - size < _SLOWEST * self._patience:
            self.transport.abort()
        else:
            self._unread = self.loop.call_later(self._patience, self._watch_reader, size)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer before any application is asked, and close the connection."""
        self._refusal, self._since = refusal, None
        if self.transport.is_closing():
            return
        at_work = self.cycle is not None and not self.cycle.response_complete
        if not at_work or (self._stage == _BODY and not self.pipeline and not self.cycle.response_started):
            self.transport.write(refused(refusal))  # else it would be taken for the answer to another request
        if at_work:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


class _OneWrite:
    """A transport that sends a head together with what follows: the client gets one packet, not two."""

    __slots__ = ("_closing", "_head", "_protocol", "_transport")

    def __init__(self, transport: asyncio.Transport, protocol: GuardedProtocol) -> None:
        self._transport, self._protocol = transport, protocol
        self._head, self._closing = b"", False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send; a head waits for what follows until the event loop's next turn."""
        if self._head:
            head, self._head = self._head, b""
            if len(data) <= _JOINED:
                data = head + data
            else:
                self._transport.write(head)
            self._transport.write(data)
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
            self._protocol.loop.call_soon(self.flush)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Send the head that waits, if one does."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        """Send what waits, and close; a client that is still sending gets the time to read its answer."""
        self.flush()
        if self._closing:
            return
        self._closing = True
        if self._protocol.unread and self._transport.can_write_eof():
            self._transport.write_eof()
            self._protocol.linger()
        else:
            self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._closing or self._transport.is_closing()


def refused(refusal: Refusal) -> bytes:
    """A whole answer, after which the connection is closed."""
    body = refusal.body("", os.urandom(8).hex())
    head: dict[str, Any] = {
        "content-type": MEDIA_TYPE, "content-length": len(body), "x-content-type-options": "nosniff",
        **refusal.headers, "connection": "close",
    }
    status = f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"{status}{lines}\r\n".encode() + body
