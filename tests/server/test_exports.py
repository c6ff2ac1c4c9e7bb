"""Exports: sent while they are read, they leave nothing behind, hold nothing up, and end where one forgets."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from served_things import Demo

from engram.brain import Brain
from engram.server.parcels import AT_ONCE
from engram.server.routes.looking import _OF_ONE
from engram.server.scratch import Scratch

_WIDTH, _EXAMPLES = 500, 7000  # together more than the buffers of a connection take in

_SERVER = """
import sys
from pathlib import Path
from engram.server.serving import serve
from engram.server.settings import Settings
serve({"brain": Path("brain")}, Settings(port=0, rate=0, access_log=False, patience=float(sys.argv[1])),
      started=lambda address: print(address, flush=True))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A brain whose export is long."""
    folder = tmp_path_factory.mktemp("large")
    rows = np.random.default_rng(0).normal(size=(_EXAMPLES, _WIDTH))
    with Brain.create(folder / "brain") as brain:
        brain.learn(rows, [f"c{i % 4}" for i in range(_EXAMPLES)])
    return folder


def _start(folder: Path, temporary: Path, patience: float) -> Iterator[tuple[subprocess.Popen[str], int]]:
    temporary.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(patience)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert process.stdout is not None
    port = int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])
    until = time.monotonic() + 20
    while _get(port, "/v2/health/ready")[0] != 200 and time.monotonic() < until:
        pass
    yield process, port
    process.kill()
    process.wait()
    process.stdout.close()


def _get(port: int, path: str) -> tuple[int, bytes]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request("GET", path)
    answer = client.getresponse()
    found = answer.status, answer.read()
    client.close()
    return found


def _asked(port: int, kind: str) -> socket.socket:
    """A connection on which an export was asked for, and has begun to come."""
    wire = socket.create_connection(("127.0.0.1", port), timeout=30)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**17)
    wire.sendall(f"GET /v1/brains/brain/export?format={kind} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert wire.recv(12) == b"HTTP/1.1 200"
    return wire


def _rest(wire: socket.socket) -> bytes:
    found = b""
    try:
        while part := wire.recv(2**18):
            found += part
    except ConnectionError:
        pass
    wire.close()
    return found


def test_exports_that_nobody_reads_lie_nowhere_and_hold_nothing_up(large: Path, tmp_path: Path) -> None:
    for process, port in _start(large, tmp_path / "tmp", 20):
        wires = [_asked(port, kind) for kind in ("jsonl", "zip", "jsonl", "zip")]
        assert len(wires) == AT_ONCE
        assert [path for path in (tmp_path / "tmp").rglob("*") if path.is_file() and path.name != "lock"] == []
        assert _get(port, "/v1/brains/brain/export")[0] == 429
        assert b"engram_examples" in _get(port, "/metrics")[1]
        assert _get(port, "/v1/brains/brain/classes")[0] == 200
        process.send_signal(signal.SIGKILL)
        process.wait()
        for wire in wires:
            wire.close()
    for _process, port in _start(large, tmp_path / "tmp", 20):
        assert list((tmp_path / "tmp").iterdir()) == []
        assert _get(port, "/v2/health/live")[0] == 200


def test_an_export_ends_where_something_is_forgotten(large: Path, tmp_path: Path) -> None:
    for _process, port in _start(large, tmp_path / "tmp", 20):
        whole = _get(port, "/v1/brains/brain/export")[1]
        wires = [_asked(port, kind) for kind in ("jsonl", "zip")]
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        client.request("DELETE", "/v1/brains/brain/classes/c3")
        assert client.getresponse().status == 200
        client.close()
        for wire in wires:
            assert len(_rest(wire)) < len(whole) / 2
        after = _get(port, "/v1/brains/brain/export")[1].splitlines()
        assert json.loads(after[0])["examples"] == sum(b'"taught"' in line for line in after) < _EXAMPLES


def test_clients_that_do_not_read_are_let_go(large: Path, tmp_path: Path) -> None:
    for _process, port in _start(large, tmp_path / "tmp", 0.5):
        wires = [_asked(port, "jsonl") for _ in range(AT_ONCE)]
        until = time.monotonic() + 20
        while (status := _get(port, "/v1/brains/brain/export")[0]) == 429 and time.monotonic() < until:
            pass
        assert status == 200
        for wire in wires:
            wire.close()


def test_an_export_is_what_was_taught(taught: Demo, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in taught.get("/export").text.splitlines()]
    assert [line["label"] for line in lines[1:] if line["kind"] == "taught"] == ["right", "up", "right", "up"]
    answer = taught.get("/export?format=zip")
    assert (answer.headers["content-type"], int(answer.headers["content-length"])) == (
        "application/zip", len(answer.content))
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path / "copy")
    with Brain.open(tmp_path / "copy") as brain:
        assert brain.counts() == {"right": 2, "up": 2}
    assert taught.get("/export", headers={"If-None-Match": taught.get("/export").headers["etag"]}).status_code == 304


def test_what_a_killed_server_left_is_swept_and_what_another_one_uses_is_not(tmp_path: Path) -> None:
    left = tmp_path / "engram-scratch-left"
    (left / "some").mkdir(parents=True)
    (left / "lock").touch()
    (left / "some" / "log.sqlite").write_bytes(b"forgotten")
    other, mine = Scratch(tmp_path), Scratch(tmp_path)
    with other.folder() as used:
        mine.sweep()
        assert not left.exists()
        assert used.is_dir()
        assert (tmp_path / used.parent.name).stat().st_mode & 0o077 == 0
    other.close()
    assert list(tmp_path.iterdir()) == []


def test_one_client_leaves_streams_of_events_to_others(taught: Demo) -> None:
    served = taught.client.app.api.state.context.shelf[taught.name]  # type: ignore[attr-defined]
    ends = [served.listen(lambda number=number: None, "testclient") for number in range(_OF_ONE)]  # type: ignore[misc]
    refused = taught.get("/events")
    assert (refused.status_code, "close some" in refused.json()["detail"]) == (429, True)
    for end in ends:
        end()
