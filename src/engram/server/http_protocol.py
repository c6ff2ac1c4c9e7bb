"""uvicorn's reading of HTTP, with an end to its patience: heads that never end or never come cannot hold a connection
or fill the memory, and what cannot be read is refused like everything else, as a problem document.
"""

from __future__ import annotations

import asyncio
import os
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from engram.server.problems import MEDIA_TYPE, Refusal

HEAD_LIMIT = 2**16
"""Bytes of a request line and its headers."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection. How long a head may take is `settings.patience` of the application that is served."""

    _head_bytes = 0
    _in_head = True
    _in_body = False
    _head_timer: asyncio.TimerHandle | None = None
    _rest_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        self._rest_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        began_in_body = self._in_body
        super().data_received(data)
        if self._in_head and not began_in_body:
            self._head_bytes += len(data)
        if self._head_timer is None and self._idle():  # blank lines between requests are no sign of life
            self._wait_for_head()
        if self._in_head and self._head_bytes > HEAD_LIMIT and not self.transport.is_closing():
            self._refuse(Refusal("head-too-large", f"The head may have {HEAD_LIMIT:,} bytes."))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        self._head_came()
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._rest_came()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and self.cycle.response_complete and not self.transport.is_closing():  # refused unread
            self._rest_timer = self.loop.call_later(self._patience, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        self._refuse(Refusal("bad-request", "This is not HTTP."))

    def _idle(self) -> bool:
        """Whether nothing is being read or answered."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and not self._in_body and not self.transport.is_closing()

    @property
    def _patience(self) -> float:
        seconds: float = getattr(getattr(self.config.app, "settings", None), "patience", 20.0)
        return seconds

    def _wait_for_head(self) -> None:
        self._in_head = True
        self._head_timer = self.loop.call_later(self._patience, self._give_up)

    def _head_came(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _rest_came(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self._refuse(Refusal("timeout", "The head of the request did not come."))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer before any application is asked, and close the connection."""
        self._head_came()
        body = refusal.body("", os.urandom(8).hex())
        head: dict[str, Any] = {
            "content-type": MEDIA_TYPE, "content-length": len(body), "x-content-type-options": "nosniff",
            "connection": "close",
        }
        status = f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\n"
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self.transport.write(f"{status}{lines}\r\n".encode() + body)
        self.transport.close()
