"""What hostile clients send, as cases: bent HTTP, strangers at the door, tokens that are none, patience abused."""

from __future__ import annotations

import base64
import hashlib
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat

from hostile_wire import ASK, MEGABYTE, MELD, TEACH, VECTORS, Answer, Case, chunks, http, posting
from served_things import LESSON, RIGHT

OWN = "http://127.0.0.1"
FOREIGN_HOSTS = (
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "10.0.0.1",
    "0.0.0.0",
    "[::2]",
    "",
    " ",
    "localhost.",
    "evil.example#127.0.0.1",
    "localhost,evil.example",
    "127.0.0.1/../evil",
    "[::1",
    "\xff",
    "a" * 10_000,
)
FOREIGN_ORIGINS = (
    "https://evil.example",
    "null",
    "http://127.0.0.1:9999",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.1@evil.example",
    "file://127.0.0.1",
    "http://[127.0.0.1",
    "",
    "https://localhost.evil.example",
    "http://localhost",
    "chrome-extension://abc",
    "http://127.0.0.1 http://evil.example",
    "//127.0.0.1",
    "127.0.0.1",
    "javascript:alert(1)",
    "a" * 10_000,
)
CHANGES = (
    ("POST", TEACH),
    ("DELETE", f"{VECTORS}/classes/right"),
    ("DELETE", f"{TEACH}/3"),
    ("POST", f"{VECTORS}:undo"),
    ("POST", f"{VECTORS}:consolidate"),
    ("PUT", f"{VECTORS}/alpha"),
    ("POST", "/v1/brains"),
    ("POST", f"{VECTORS}:swap"),
    ("POST", MELD),
)
ADMIN = (
    ("POST", "/v1/brains"),
    ("DELETE", f"{TEACH}?teacher=a"),
    ("POST", f"{VECTORS}:rollback"),
    ("PUT", f"{VECTORS}/alpha"),
    ("POST", MELD),
    ("POST", f"{VECTORS}:swap"),
)
TEACHER = (
    ("POST", TEACH),
    ("DELETE", f"{VECTORS}/classes/right"),
    ("DELETE", f"{TEACH}/3"),
    ("POST", f"{TEACH}/3:relabel"),
    ("POST", f"{VECTORS}/unknowns/1:name"),
    ("POST", f"{VECTORS}:rename"),
    ("POST", f"{VECTORS}:undo"),
    ("POST", f"{VECTORS}:consolidate"),
)
READER = (
    *(
        ("GET", f"{VECTORS}/{what}")
        for what in (
            "info",
            "classes",
            "examples",
            "unknowns",
            "history",
            "map",
            "health",
            "export",
            "events",
            "examples/3/thumbnail",
        )
    ),
    ("GET", "/v1/brains"),
    ("POST", ASK),
    ("GET", "/v2/models/brain"),
    ("POST", "/v2/models/brain/infer"),
    ("GET", "/metrics"),
)


def strangers() -> Iterator[Case]:
    """Other names for this server, other sites' pages."""
    for host in FOREIGN_HOSTS:
        yield Case(f"Host {host[:24]!r} teaches", posting(TEACH, LESSON, host=host), may_close=len(host) > 9999)
        yield Case(f"Host {host[:24]!r} reads", http("GET", f"{VECTORS}/info", host=host), may_close=len(host) > 9999)
    yield Case("no Host", http("GET", f"{VECTORS}/info", host=None))
    for first, second in (("127.0.0.1", "evil.example"), ("evil.example", "127.0.0.1")):
        yield Case(f"two Hosts, first {first}", posting(TEACH, LESSON, host=first, headers={"Host": second}))
    yield Case("a whole address of elsewhere", posting(f"http://evil.example{TEACH}", LESSON, host="evil.example"))
    yield Case(
        "X-Forwarded-Host", posting(TEACH, LESSON, host="evil.example", headers={"X-Forwarded-Host": "127.0.0.1"})
    )
    for origin in FOREIGN_ORIGINS:
        yield Case(
            f"Origin {origin[:24]!r}", posting(TEACH, LESSON, headers={"Origin": origin}), may_close=len(origin) > 9999
        )
    for method, target in CHANGES:
        yield Case(f"another site: {method} {target}", http(method, target, headers={"Origin": "https://evil.example"}))
        for site in ("cross-site", "same-site"):
            yield Case(f"{site}: {method} {target}", http(method, target, headers={"Sec-Fetch-Site": site}))
    for origins in ((OWN, "https://evil.example"), ("https://evil.example", OWN)):
        yield Case(
            f"two Origins, first {origins[0]}", posting(TEACH, LESSON, headers=[("Origin", one) for one in origins])
        )
    yield Case(
        "a form of another site",
        http(
            "POST",
            TEACH,
            b'{"vectors": [[1, 0]], "label": "a"}',
            "text/plain",
            headers={"Origin": "https://evil.example"},
        ),
    )
    for method in ("POST", "DELETE", "PUT", "GET"):
        asked = {
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization",
        }
        yield Case(
            f"may another site {method}?",
            http("OPTIONS", TEACH, headers=asked),
            harmless=lambda answer: answer.status == 204 and b"access-control-allow" not in answer.content.lower(),
        )
    for method in ("PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND", "FOO", "HEAD", "get", "PRI"):
        yield Case(f"method {method}", http(method, TEACH), may_close=True)
    for method, target in (
        ("GET", f"{VECTORS}:undo"),
        ("GET", ASK),
        ("DELETE", VECTORS),
        ("DELETE", "/v1/brains"),
        ("POST", "/"),
        ("POST", "/metrics"),
        ("POST", f"{VECTORS}/info"),
        ("PUT", f"{TEACH}/3"),
        ("DELETE", f"{VECTORS}/history"),
        ("GET", f"{TEACH}/3:relabel"),
    ):
        yield Case(f"{method} {target}", http(method, target))


def bent() -> Iterator[Case]:
    """HTTP that two programs could read in two ways, or that nobody can."""
    lesson = b'{"vectors": [[1, 0]], "label": "smuggled"}'
    head = f"POST {TEACH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n".encode()
    size = b"Content-Length: %d\r\n" % len(lesson)
    chunked = b"%x\r\n" % len(lesson) + lesson + b"\r\n0\r\n\r\n"
    bends: Mapping[str, bytes] = {
        "two lengths that differ": head + b"Content-Length: 5\r\n" + size + b"\r\n" + lesson,
        "two lengths that differ, the other way": head + size + b"Content-Length: 5\r\n\r\n" + lesson,
        "a list of lengths": head + b"Content-Length: 5, %d\r\n\r\n" % len(lesson) + lesson,
        "length and chunks": head + size + b"Transfer-Encoding: chunked\r\n\r\n" + chunked,
        "chunks and length": head + b"Transfer-Encoding: chunked\r\n" + size + b"\r\n" + chunked,
        "an encoding nobody knows": head + b"Transfer-Encoding: xchunked\r\n\r\n" + chunked,
        "chunked twice": head + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunked,
        "chunked, identity": head + b"Transfer-Encoding: chunked, identity\r\n\r\n" + chunked,
        "a negative length": head + b"Content-Length: -1\r\n\r\n" + lesson,
        "a length with a sign": head + b"Content-Length: +42\r\n\r\n" + lesson,
        "a length in hex": head + b"Content-Length: 0x2a\r\n\r\n" + lesson,
        "a length of 10^4 digits": head + b"Content-Length: " + b"9" * 10**4 + b"\r\n\r\n",
        "a length of 2^64": head + b"Content-Length: 18446744073709551617\r\n\r\n" + lesson,
        "a length that is text": head + b"Content-Length: x\r\n\r\n",
        "an empty length": head + b"Content-Length: \r\n\r\n" + lesson,
        "a length before a space": head + b"Content-Length : 42\r\n\r\n" + lesson,
        "a length too small": head + b"Content-Length: 20\r\nConnection: close\r\n\r\n" + lesson,
        "a folded header": head + b"X: a\r\n b\r\nContent-Length: 42\r\n" + b"Content-Length: 1\r\n\r\n" + lesson,
        "NUL in a header": head + b"X: a\0b\r\n" + size + b"\r\n" + lesson,
        "CR in a header": head + b"X: a\rb\r\n" + size + b"\r\n" + lesson,
        "a header without colon": head + b"nonsense\r\n" + size + b"\r\n" + lesson,
        "a header without name": head + b": x\r\n" + size + b"\r\n" + lesson,
        "a header of 1 MB": head + b"X: " + b"a" * 10**6 + b"\r\n" + size + b"\r\n" + lesson,
        "10^5 headers": head + b"X: a\r\n" * 10**5 + b"\r\n",
        "a target of 1 MB": b"GET /" + b"a" * 10**6 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "a chunk of 2^68": head + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n" + lesson,
        "a negative chunk": head + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n" + lesson,
        "a chunk that is text": head + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "a chunk without end": head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + lesson + b"\r\n0\r\n\r\n",
        "HTTP/9.9": b"GET /v1/brains HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        "HTTP/0.9": b"GET /v1/brains\r\n\r\n",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "no version": b"GET /v1/brains \r\nHost: 127.0.0.1\r\n\r\n",
        "two targets": b"GET /v1/brains /v1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "TLS": bytes.fromhex("16030100510100004d0303") + bytes(80),
        "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
        "noise": random.Random(3).randbytes(4000),
        "SMTP": b"EHLO evil\r\nMAIL FROM:<a@b>\r\n",
        "Redis": b"*1\r\n$8\r\nFLUSHALL\r\n",
        "NULs": bytes(5000),
        "a control character in the target": b"GET /v1/\x01 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "UTF-8 in the method": "GËT / HTTP/1.1\r\n\r\n".encode(),
        "an asterisk": b"GET * HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        "another protocol, please": b"GET /v1/nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: h2c\r\n"
        b"Connection: Upgrade, close\r\n\r\n",
        "a websocket": b"GET /v1/brains/brain/events HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "expecting what nobody gives": head
        + size
        + b"Expect: 200-maybe\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
        + lesson,
    }
    for name, data in bends.items():
        yield Case(f"HTTP: {name}", data, may_close=True, patience=30)
    many = "bytes=" + ",".join(f"{i}-{i}" for i in range(0, 20_000, 2))
    for name, span in {
        "10^4 ranges": many[:60_000],
        "backwards": "bytes=9-1",
        "beyond": f"bytes={'9' * 30}-",
        "no number": "bytes=x-y",
        "another unit": "lines=1-2",
    }.items():
        yield Case(
            f"Range: {name}", http("GET", f"{VECTORS}/export", headers={"Range": span}), may_close=True, harmless=_small
        )


def _small(answer: Answer) -> bool:
    """A range may be ignored or obeyed, as long as the answer does not grow by it."""
    return answer.status in (200, 206) and len(answer.content) < 100_000


def endless() -> Iterator[Case]:
    """Bodies larger than memory, and clients that never come to an end."""
    head = f"POST {TEACH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    for target, kind in (
        (TEACH, "application/json"),
        (TEACH, "application/octet-stream"),
        (f"{TEACH}?label=a", "image/png"),
        (TEACH, "multipart/form-data; boundary=edge"),
        (MELD, "application/zip"),
        ("/v2/models/brain/infer", "application/json"),
    ):
        start = f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"

        def gigabyte(start: str = start) -> Iterable[bytes]:
            yield f"{start}Content-Length: {10**9}\r\n\r\n".encode()
            yield from repeat(MEGABYTE, 1000)

        yield Case(f"1 GB to {target} as {kind[:20]}", gigabyte, may_close=True)
        yield Case(
            f"1 GB in chunks to {target} as {kind[:20]}",
            chunks(f"{start}Transfer-Encoding: chunked\r\n\r\n".encode(), repeat(MEGABYTE, 1000)),
            may_close=True,
            patience=120,
        )
    zeros = (
        (f"{head}Content-Length: {2**25 - 30}\r\nConnection: close\r\n\r\n").encode()
        + b'{"label": "a", "vectors": [['
        + b"0," * (2**24 - 32)
    )
    yield Case("32 MB of numbers without end", zeros[: len(zeros) - 2] + b"x", patience=120)


def slow() -> Iterator[Case]:
    """Clients that say nothing, or next to nothing, for ever."""
    head = f"POST {TEACH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n".encode()

    def drop(start: bytes, part: bytes, pause: float) -> Iterable[bytes]:
        yield start
        while True:
            time.sleep(pause)
            yield part

    yield Case("a body that never comes", head + b"Content-Length: 100\r\n\r\n{", may_close=True)
    yield Case("a chunk that never comes", head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", may_close=True)
    yield Case(
        "a body that drops",
        lambda: drop(head + b"Content-Length: 1000000\r\n\r\n", b" ", 1.0),
        may_close=True,
        patience=60,
    )
    yield Case(
        "chunks that drop",
        chunks(head + b"Transfer-Encoding: chunked\r\n\r\n", repeat(b" "), 1.0),
        may_close=True,
        patience=60,
    )
    yield Case("headers that never end", lambda: drop(head, b"X: a\r\n", 1.0), may_close=True, patience=60)
    yield Case("blank lines that never end", lambda: drop(b"\r\n", b"\r\n", 1.0), may_close=True, patience=60)
    first = b"GET /v2/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    yield Case(
        "blank lines that never end after an answer",
        lambda: drop(first, b"\r\n", 1.0),
        patience=60,
        may_close=True,
        lasting=True,
    )
    refused = f"POST {TEACH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=edge\r\n"
    start = f"{refused}Transfer-Encoding: chunked\r\n\r\n40000\r\n".encode() + MEGABYTE[:200_000]
    yield Case(
        "silence after a refusal", lambda: drop(start, b"", 0.2), may_close=True, patience=60, lasting=True
    )
    yield Case("a line that never ends", b"GET /v1/bra", may_close=True, patience=60)
    yield Case("nothing at all", b"", may_close=True, patience=60)


def forgers(tokens: Mapping[str, str]) -> Iterator[Case]:
    """No token, a wrong one, one for less; `tokens` are those of each scope."""
    secret = tokens["admin"]
    for method, target in (*READER, *TEACHER, *ADMIN):
        yield Case(f"no token: {method} {target}", http(method, target), tokens=True)
    for method, target in (*TEACHER, *ADMIN):
        yield Case(
            f"a reader's token: {method} {target}",
            http(method, target, headers={"Authorization": f"Bearer {tokens['ask']}"}),
            tokens=True,
        )
    for method, target in ADMIN:
        yield Case(
            f"a teacher's token: {method} {target}",
            http(method, target, headers={"Authorization": f"Bearer {tokens['teach']}"}),
            tokens=True,
        )
    yield Case(
        "a reader remembers",
        posting(ASK, {"vectors": [RIGHT], "remember": True}, headers={"Authorization": f"Bearer {tokens['ask']}"}),
        tokens=True,
    )
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    forged = {
        "wrong": "Bearer engram_wrong",
        "empty": "Bearer ",
        "bare": secret,
        "another scheme": f"Basic {base64.b64encode(b'admin:' + secret.encode()).decode()}",
        "cut": f"Bearer {secret[:-1]}",
        "longer": f"Bearer {secret}x",
        "upper case": f"Bearer {secret.upper()}",
        "its hash": f"Bearer {hashed}",
        "no algorithm": "Bearer eyJhbGciOiJub25lIn0.eyJzY29wZSI6ImFkbWluIn0.",
        "twice": f"Bearer {secret} {secret}",
        "a list": f"Bearer {secret}, Bearer x",
        "quoted": f'Bearer "{secret}"',
        "10 kB": "Bearer " + "a" * 10_000,
        "a name": "Bearer admin",
        "a path": "Bearer ../../tokens.json",
        "not ASCII": "Bearer \xff\xfe",
        "SQL": "Bearer ' OR 1=1 --",
        "null": "Bearer null",
    }
    for name, value in forged.items():
        yield Case(
            f"token: {name}",
            posting(TEACH, LESSON, headers={"Authorization": value}),
            tokens=True,
            may_close=len(value) > 9999,
        )
    wrong = ("Authorization", "Bearer x")
    right = ("Authorization", f"Bearer {secret}")
    for pair in ((wrong, right), (right, wrong)):
        yield Case(f"two tokens, first {pair[0][1][:8]}", posting(TEACH, LESSON, headers=pair), tokens=True)
    yield Case("token in the query", posting(f"{TEACH}?token={secret}&access_token={secret}", LESSON), tokens=True)
    yield Case(
        "token in a cookie",
        posting(TEACH, LESSON, headers={"Cookie": f"token={secret}; Authorization=Bearer {secret}"}),
        tokens=True,
    )
    yield Case(
        "another's token and site",
        posting(TEACH, LESSON, headers={"Authorization": f"Bearer {secret}", "Origin": "https://evil.example"}),
        tokens=True,
    )
