"""Requests as bytes on a socket: what no well-behaved client would send."""

from __future__ import annotations

import json
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

CLOSED, SILENT = 0, -1
"""Instead of a status: the connection was closed without an answer; or nothing came at all."""
MEGABYTE = b"\0" * 2**20
VECTORS, PICTURES = "/v1/brains/brain", "/v1/brains/pictures"
TEACH, ASK, MELD = f"{VECTORS}/examples", f"{VECTORS}/predict", f"{VECTORS}:meld"
INFER = "/v2/models/brain/infer"
RAW = "application/octet-stream"


@dataclass(frozen=True)
class Answer:
    """What came back: the status, and all bytes."""

    status: int
    content: bytes = b""
    sent: int = 0


@dataclass(frozen=True)
class Case:
    """Something hostile.

    Attributes:
        name: what it is.
        data: the bytes to send, or a function that gives parts of them, one after another.
        tokens: whether it is for the server that takes tokens; the data then hold {read}, {teach} or {admin}.
        may_close: whether closing the connection is an answer, since what was sent is no HTTP.
        harmless: further answers that are right, and why they are.
        patience: seconds to wait for the answer.
        lasting: what matters is not the first answer, but that the connection is closed in time.
    """

    name: str
    data: bytes | Callable[[], Iterable[bytes]]
    tokens: bool = False
    may_close: bool = False
    harmless: Callable[[Answer], bool] | None = None
    patience: float = 60.0
    lasting: bool = False

    def refused(self, answer: Answer) -> bool:
        """Whether the answer is what it has to be."""
        if b"Traceback" in answer.content:
            return False
        if self.harmless is not None and self.harmless(answer):
            return True
        return 400 <= answer.status < 500 or (answer.status == CLOSED and self.may_close)


def http(
    method: str,
    target: str,
    body: bytes = b"",
    kind: str | None = None,
    *,
    host: str | None = "127.0.0.1",
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    length: bool = True,
) -> bytes:
    """A request, as it goes over the wire."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"Host: {host}"] if host is not None else []
    lines += [f"Content-Type: {kind}"] if kind is not None else []
    lines += [f"Content-Length: {len(body)}"] if length and (body or method in ("POST", "PUT")) else []
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lines += [f"{name}: {value}" for name, value in pairs] + ["Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace") + body


def posting(target: str, document: Any, **more: Any) -> bytes:
    """A request with a JSON body; bytes and texts are sent as they are."""
    body = (
        document
        if isinstance(document, bytes)
        else (document.encode() if isinstance(document, str) else json.dumps(document).encode())
    )
    return http("POST", target, body, "application/json", **more)


def form(parts: Sequence[tuple[str, str | None, bytes]], boundary: str = "edge") -> tuple[bytes, str]:
    """A multipart body of (name, file name, content), and its content type."""
    body = b""
    for name, file, content in parts:
        about = f'form-data; name="{name}"' + (f'; filename="{file}"' if file is not None else "")
        body += f"--{boundary}\r\nContent-Disposition: {about}\r\n\r\n".encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def chunks(head: bytes, parts: Iterable[bytes], pause: float = 0.0) -> Callable[[], Iterable[bytes]]:
    """A request whose body comes in chunks, which may never end."""

    def data() -> Iterable[bytes]:
        yield head
        for part in parts:
            yield b"%x\r\n" % len(part) + part + b"\r\n"
            time.sleep(pause)

    return data


def send(port: int, case: Case) -> Answer:
    """Send it, and hear what comes back."""
    parts = [case.data] if isinstance(case.data, bytes) else case.data()
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=case.patience) as wire:
        until = time.monotonic() + case.patience
        try:
            for part in parts:
                over = _closed(wire) if case.lasting else not _waiting(wire)
                if over or time.monotonic() > until:
                    break
                wire.sendall(part)
                sent += len(part)
        except OSError:
            pass
        if case.lasting:
            return Answer(SILENT if time.monotonic() > until else CLOSED, sent=sent)
        return _heard(wire, sent)


def _waiting(wire: socket.socket) -> bool:
    """Whether nothing came yet, and the connection is open."""
    with _at_once(wire):
        try:
            wire.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False


def _closed(wire: socket.socket) -> bool:
    """Whether the other side has closed the connection; what it said before is thrown away."""
    with _at_once(wire):
        try:
            while wire.recv(65536):
                pass
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True


@contextmanager
def _at_once(wire: socket.socket) -> Iterator[None]:
    """What is not there is not waited for."""
    usual = wire.gettimeout()
    wire.settimeout(0)
    try:
        yield
    finally:
        wire.settimeout(usual)


def _heard(wire: socket.socket, sent: int) -> Answer:
    content = b""
    try:
        while len(content) < 2**24 and (part := wire.recv(65536)):
            content += part
    except TimeoutError:
        return Answer(SILENT, content, sent)
    except OSError:
        pass
    words = content[:20].split(b" ")
    status = int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit() else CLOSED
    return Answer(status, content, sent)


# Files that lie


def png(width: int, height: int, data: bytes = b"", *more: tuple[bytes, bytes], broken: bool = False) -> bytes:
    """A PNG (8 bits, grey) that claims a size; `data` are its rows, compressed."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), *more, (b"IDAT", data), (b"IEND", b"")]
    file = b"\x89PNG\r\n\x1a\n"
    for kind, content in parts:
        check = zlib.crc32(kind + content) ^ (1 if broken else 0)
        file += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
    return file


def gif(width: int, height: int, frame: tuple[int, int] | None = None) -> bytes:
    wide, high = frame or (width, height)
    return (
        b"GIF89a"
        + struct.pack("<HH", width, height)
        + b"\x80\0\0\0\0\0\xff\xff\xff"
        + b","
        + struct.pack("<HHHH", 0, 0, wide, high)
        + b"\0\x02\x02D\x01\0;"
    )


def webp(width: int, height: int) -> bytes:
    """Lossless, with nothing behind its header."""
    bits = (width - 1) | (height - 1) << 14
    chunk = b"VP8L" + struct.pack("<I", 5) + b"\x2f" + struct.pack("<I", bits) + b"\0"
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def jpeg(width: int, height: int) -> bytes:
    frame = struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0)
    return (
        b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\0\xff\xd9"
    )


def bmp(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    )


@dataclass(frozen=True)
class Entry:
    """A file in a zip: its name, what it holds (or how it is packed), and what is claimed of it."""

    name: str
    content: bytes = b""
    packed: bytes | None = None
    size: int | None = None
    check: int | None = None
    method: int = 8
    mode: int = 0o100600
    flags: int = 0


def zipped(*entries: Entry) -> bytes:
    """A zip of files, true or not."""
    body, directory = b"", b""
    for entry in entries:
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = deflate.compress(entry.content) + deflate.flush() if entry.packed is None else entry.packed
        size = len(entry.content) if entry.size is None else entry.size
        name = entry.name.encode()
        check = zlib.crc32(entry.content) if entry.check is None else entry.check
        about = struct.pack(
            "<HHHHHIIIHH", 20, entry.flags, entry.method, 0, 0x21, check, len(packed), size, len(name), 0
        )
        directory += (
            b"PK\1\2"
            + struct.pack("<H", 0x0314)
            + about
            + struct.pack("<HHHII", 0, 0, 0, entry.mode << 16, len(body))
            + name
        )
        body += b"PK\3\4" + about + name + packed
    count = len(entries)
    return body + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)


def zeros(name: str, megabytes: int, size: int | None = None) -> Entry:
    """A file of so many megabytes of zeros, without having them; it may claim another size."""
    deflate, check = zlib.compressobj(9, zlib.DEFLATED, -15), 0
    packed = b"".join(deflate.compress(MEGABYTE) for _ in range(megabytes)) + deflate.flush()
    for _ in range(megabytes):
        check = zlib.crc32(MEGABYTE, check)
    return Entry(name, packed=packed, size=megabytes * 2**20 if size is None else size, check=check)
