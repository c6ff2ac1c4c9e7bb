"""Connections: answers leave at once, and nobody takes all memory, all connections or all of the log."""

from __future__ import annotations

import http.client
import json
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from engram.brain import Brain
from engram.server.http_protocol import HEAD_LIMIT, PIPELINED
from engram.server.tokens import add_token

_SERVER = """
import json, sys
from pathlib import Path
from engram.server.serving import serve
from engram.server.settings import Settings
settings = json.loads(sys.argv[1])
file = settings.pop("token_file", None)
serve({"brain": Path("brain")}, Settings(port=0, rate=0, token_file=file and Path(file), **settings),
      started=lambda address: print(address, flush=True))
"""
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CHUNKED = (b"POST /v1/brains/brain/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
           b"Transfer-Encoding: chunked\r\n\r\n")


class Running:
    """A server as a program of its own."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.log = folder / "log.jsonl"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _SERVER, json.dumps(settings)], cwd=folder, stdout=subprocess.PIPE, stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().rstrip("/\n").rpartition(":")[2])

    def connect(self, seconds: float = 20) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def lives(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", "/v2/health/live")
        try:
            return connection.getresponse().status == 200
        except ConnectionError:
            return False
        finally:
            connection.close()

    @property
    def peak_mb(self) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Running]:
    """A server of one brain with these settings."""
    Brain.create(folder / "brain").close()
    server = Running(folder, settings)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait(20)
        assert server.process.stdout is not None
        server.process.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One that takes no tokens."""
    with running(tmp_path_factory.mktemp("open"), access_log=False) as server:
        yield server


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> str:
    """For `guarded`."""
    return add_token(tmp_path_factory.getbasetemp() / "tokens.json", "ada", "admin")


@pytest.fixture(scope="module")
def guarded(token: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One that takes tokens."""
    file = str(tmp_path_factory.getbasetemp() / "tokens.json")
    with running(tmp_path_factory.mktemp("guarded"), token_file=file, patience=5.0) as server:
        yield server


def heard(wire: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    try:
        while part := wire.recv(2**16):
            found += part
    except ConnectionError:
        pass
    return found


def test_a_client_that_keeps_its_connection_never_waits_for_an_acknowledgement(server: Running) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    waits = []
    for _ in range(40):
        began = time.perf_counter()
        client.request("GET", "/v2/health/live")
        assert client.getresponse().read() == b'{"live":true}'
        waits.append(time.perf_counter() - began)
    client.close()
    assert statistics.median(waits) < 0.02


def test_head_and_body_of_an_answer_come_together(server: Running) -> None:
    with server.connect() as wire:
        for _ in range(10):
            wire.sendall(LIVE)
            assert wire.recv(2**16).endswith(b'\r\n\r\n{"live":true}')


ENDLESS = {
    "many trailers": (b"0\r\n", b"X-Trailer: " + b"x" * 1000 + b"\r\n"),
    "one trailer": (b"0\r\nX-Trailer: ", b"x" * 1000),
    "a chunk extension": (b"1;", b"x" * 1000),
    "extensions of small chunks": (b"", b"1;" + b"x" * 1000 + b"\r\n \r\n"),
}


@pytest.mark.parametrize("kind", list(ENDLESS))
def test_what_follows_the_head_without_being_its_body_is_not_collected(kind: str, guarded: Running) -> None:
    assert guarded.lives()
    before, sent = guarded.peak_mb, 0
    first, again = ENDLESS[kind]
    with guarded.connect() as wire:
        wire.sendall(CHUNKED + first)
        try:
            while sent < 2**25:
                wire.sendall(again * 64)
                sent += 64 * len(again)
        except ConnectionError:
            pass
    assert sent < 2**24
    assert guarded.peak_mb - before < 16
    assert guarded.lives()


def test_trailers_are_read_over_and_are_no_headers(guarded: Running, token: str) -> None:
    with guarded.connect() as wire:
        wire.sendall(CHUNKED + b"2\r\n{}\r\n0\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n" + LIVE)
        answer = wire.recv(2**16)
        assert answer.startswith(b"HTTP/1.1 401 ")
        while not answer.endswith(b'{"live":true}'):  # the connection goes on
            answer += wire.recv(2**16)


def test_some_requests_may_be_sent_ahead_but_not_any_number(server: Running) -> None:
    with server.connect() as wire:
        wire.sendall(LIVE * (PIPELINED // 2))
        answer = b""
        while answer.count(b'{"live":true}') < PIPELINED // 2:
            answer += wire.recv(2**16)
    with server.connect() as wire:
        with suppress(ConnectionError):
            wire.sendall(LIVE * 4000)
        assert heard(wire).count(b'{"live":true}') <= PIPELINED + 1
    assert server.lives()


def test_a_head_may_be_large_but_has_an_end(server: Running) -> None:
    for size, status in ((HEAD_LIMIT // 2, b"200"), (2 * HEAD_LIMIT, b"431")):
        with server.connect() as wire:
            wire.sendall(LIVE[:-2] + b"X: " + b"x" * size + b"\r\n\r\n")
            assert wire.recv(2**16)[9:12] == status


def test_more_connections_than_fit_are_refused_in_few_words(tmp_path: Path) -> None:
    with running(tmp_path, connections=20, access_log=False) as server:
        held = [server.connect() for _ in range(20)]
        for wire in held:
            wire.sendall(LIVE)
            assert wire.recv(2**16)[9:12] == b"200"
        for _ in range(200):
            with server.connect() as wire:
                assert heard(wire)[9:12] in (b"503", b"")
        held.pop().close()
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with server.connect() as wire:
                wire.sendall(LIVE)
                if wire.recv(2**16)[9:12] == b"200":
                    break
        for wire in held:  # whoever was connected still is
            wire.sendall(LIVE)
            assert wire.recv(2**16)[9:12] == b"200"
            wire.close()
        while "connection refused" not in server.log.read_text() and time.monotonic() < until:
            server.lives()  # the log is written a moment later
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
        assert 1 <= sum(line["event"] == "connection refused" for line in lines) <= 2
        assert len(lines) < 10


def test_without_file_descriptors_it_refuses_quietly_and_goes_on_afterwards(tmp_path: Path) -> None:
    with running(tmp_path, access_log=False) as server:
        assert server.lives()
        few = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) + 5
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (few, few))
        held = [server.connect() for _ in range(100)]
        for wire in held[50:]:
            assert heard(wire)[9:12] in (b"503", b"")
        for wire in held:
            wire.close()
        until = time.monotonic() + 10
        while not (lives := server.lives()) and time.monotonic() < until:
            pass
        assert lives
        assert server.log.stat().st_size < 10_000


def test_who_sends_too_much_reads_why_before_the_connection_ends(server: Running) -> None:
    for kind, size in (("application/json", 12_000_000), ("application/octet-stream", 40_000_000)):
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        client.request("POST", "/v1/brains/brain/predict", b" " * size, {"Content-Type": kind})
        answer = client.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (413, "close")
        assert "send it in parts" in json.loads(answer.read())["detail"]
        client.close()
