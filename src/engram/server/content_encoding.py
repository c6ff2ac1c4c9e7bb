"""Bodies that were compressed (RFC 9110, section 8.4): read in small portions, so that none grows beyond its limit."""

from __future__ import annotations

import asyncio
import zlib

from starlette.types import Message, Receive, Scope

from engram.server.problems import Refusal

ENCODINGS = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
"""Content coding -> what zlib calls its format."""

_PORTION = 2**18  # bytes, of what is unpacked at once; the event loop serves others in between


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
