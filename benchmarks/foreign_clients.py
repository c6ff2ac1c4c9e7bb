"""The server as clients see it that are not Engram's: `hey` where it is installed, and Python's own `http.client`.

Used by `benchmarks/server.py`. The brain that is asked is small (64 values, 10 classes), so that what is measured is
the server, not the head.
  keep-alive    median time of a prediction by `http.client`, over one connection that is kept;
  requests      predictions a second by `hey` (or `http.client`, in threads), over 1 and over 16 connections, and the
                same of /v2/health/live, in turns;
  hostile       the longest wait of that client while four others send what is as large and as hard to read as they
                can make it, and how much memory one such request takes, over the bytes that were sent.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import numpy as np

WIDTH, CLASSES, KNOWN = 64, 10, 500
JSON, RAW = "application/json", "application/octet-stream"
LIVE, PREDICT, INFER = "/v2/health/live", "/v1/brains/small/predict", "/v2/models/small/infer"
CONNECTIONS = 16
_HEADER = "Inference-Header-Content-Length"


def lesson() -> tuple[np.ndarray, list[str]]:
    """(N, D) vectors around class centres, and their labels."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, CLASSES, KNOWN)
    return rng.normal(size=(CLASSES, WIDTH))[labels] + 0.3 * rng.normal(size=(KNOWN, WIDTH)), [f"c{i}" for i in labels]


def question() -> bytes:
    """One vector, as JSON."""
    return json.dumps({"vectors": [np.random.default_rng(2).normal(size=WIDTH).round(4).tolist()]}).encode()


# Speed


def keep_alive(port: int, count: int) -> np.ndarray:
    """Milliseconds of predictions, one after another, over one connection of `http.client`."""
    client, body, found = http.client.HTTPConnection("127.0.0.1", port), question(), []
    for _ in range(count):
        start = time.perf_counter()
        client.request("POST", PREDICT, body, {"Content-Type": JSON})
        answer = client.getresponse()
        answer.read()
        found.append(1e3 * (time.perf_counter() - start))
        if answer.status != 200:
            raise RuntimeError(f"answered {answer.status}")
    client.close()
    return np.array(found)


def rates(port: int, seconds: float, rounds: int) -> dict[str, float]:
    """Requests a second, of predictions and of the bare health, in turns; and the one over the other."""
    count = _by_hey if shutil.which("hey") else _by_http_client
    values: dict[str, float] = {}
    for connections in (1, CONNECTIONS):
        pairs = [
            (count(port, PREDICT, question(), connections, seconds), count(port, LIVE, None, connections, seconds))
            for _ in range(rounds)
        ]
        predictions, healths = np.array(pairs).T
        values |= {
            f"requests-per-s-{connections}": float(np.median(predictions)),
            f"health-per-s-{connections}": float(np.median(healths)),
            f"predict-over-health-{connections}": float(np.median(predictions / healths)),
        }
    values["predict-over-health"] = min(values["predict-over-health-1"], values[f"predict-over-health-{CONNECTIONS}"])
    return values


def _by_hey(port: int, path: str, body: bytes | None, connections: int, seconds: float) -> float:
    with tempfile.NamedTemporaryFile() as file:
        file.write(body or b"")
        file.flush()
        sent = ["-m", "POST", "-T", JSON, "-D", file.name] if body is not None else []
        command = ["hey", "-z", f"{seconds}s", "-c", str(connections), *sent, f"http://127.0.0.1:{port}{path}"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    statuses = set(re.findall(r"^\s*\[(\d+)\]\s+\d+ responses", said, re.MULTILINE))
    if statuses != {"200"}:
        raise RuntimeError(f"hey was answered {sorted(statuses)}")
    return float(re.search(r"Requests/sec:\s*([\d.]+)", said)[1])  # type: ignore[index]


def _by_http_client(port: int, path: str, body: bytes | None, connections: int, seconds: float) -> float:
    counts = [0] * connections
    end = time.perf_counter() + seconds

    def ask(number: int) -> None:
        client = http.client.HTTPConnection("127.0.0.1", port)
        while time.perf_counter() < end:
            client.request("GET" if body is None else "POST", path, body, {"Content-Type": JSON} if body else {})
            client.getresponse().read()
            counts[number] += 1
        client.close()

    _at_once([lambda number=number: ask(number) for number in range(connections)])  # type: ignore[misc]
    return sum(counts) / seconds


def _at_once(calls: list[Callable[[], object]]) -> None:
    threads = [Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Hostility


@dataclass(frozen=True)
class Hostile:
    """A request that is hard on a server: the path, the body's kind, what makes the body of some size."""

    path: str
    kind: str
    body: Callable[[int], bytes]
    header: bool = False


def _filled(before: bytes, item: bytes, after: bytes) -> Callable[[int], bytes]:
    return lambda size: before + b",".join([item] * (size // (len(item) + 1))) + after


def _tensor(datatype: str, shape: list[int], size: int) -> bytes:
    document = {"name": "input", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}
    return json.dumps({"inputs": [document]}).encode().ljust(512)


def _elements(size: int) -> bytes:
    return _tensor("BYTES", [size // 4], size // 4 * 4) + struct.pack("<I", 0) * (size // 4)


def _matrix(size: int) -> bytes:
    rows = min(size // (4 * WIDTH), 65_536)
    return _tensor("FP32", [rows, WIDTH], 4 * WIDTH * rows) + np.ones((rows, WIDTH), "<f4").tobytes()


_ROW = json.dumps(np.random.default_rng(3).normal(size=WIDTH).tolist()).encode()
HOSTILE = {
    "predict, one vector": Hostile(PREDICT, JSON, _filled(b'{"vectors":[[', b"0", b"]]}")),
    "predict, vectors": Hostile(PREDICT, JSON, _filled(b'{"vectors":[', _ROW, b"]}")),
    "predict, empty lists": Hostile(PREDICT, JSON, _filled(b'{"vectors":[', b"[]", b"]}")),
    "predict, labels": Hostile(PREDICT, JSON, _filled(b'{"vectors":[[1]],"among":[', b"[]", b"]}")),
    "predict, fields": Hostile(PREDICT, JSON, _filled(b'{"vectors":[[1]],', b'"abcdefgh":1', b"}")),
    "predict, a text": Hostile(PREDICT, JSON, lambda size: b'{"texts":["' + b"a" * size + "é😀".encode() + b'"]}'),
    "predict, as it is": Hostile(PREDICT, RAW, lambda size: b"\0\0\0\x3e" * (min(size, 65_536 * 4 * WIDTH) // 4)),
    "infer, data": Hostile(INFER, JSON, _filled(
        b'{"inputs":[{"name":"input","shape":[1,64],"datatype":"FP32","data":[', b"0.5", b"]}]}")),
    "infer, texts": Hostile(INFER, JSON, _filled(
        b'{"inputs":[{"name":"input","shape":[9],"datatype":"BYTES","data":[', b'""', b"]}]}")),
    "infer, parameters": Hostile(INFER, JSON, _filled(
        b'{"inputs":[{"name":"input","shape":[1],"datatype":"FP32"}],"parameters":{', b'"abcdefgh":[]', b"}}")),
    "infer, elements as they are": Hostile(INFER, RAW, _elements, header=True),
    "infer, a matrix as it is": Hostile(INFER, RAW, _matrix, header=True),
    "rename": Hostile("/v1/brains/small:rename", JSON, _filled(b'{"new":"a","old":[', b"1", b"]}")),
}
"""Each is sent as large as any body may be, and as large as JSON may be."""
KINDS = (*HOSTILE, "trailers")


def send_hostile(port: int, name: str, size: int) -> int:
    """Send one; the number of bytes."""
    hostile = HOSTILE[name]
    body = hostile.body(size)
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    header = {_HEADER: "512"} if hostile.header else {}
    with suppress(ConnectionError):
        client.request("POST", hostile.path, body, {"Content-Type": hostile.kind, **header})
        client.getresponse().read()
    client.close()
    return len(body)


def send_trailers(port: int, size: int) -> int:
    """Send a request whose trailers do not end, until the server has enough; the number of bytes."""
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    trailers, sent = b"X-Trailer: abcdefgh\r\n" * 3000, 0
    with socket.create_connection(("127.0.0.1", port), timeout=120) as wire, suppress(ConnectionError):
        wire.sendall(head.encode())
        while sent < size:
            wire.sendall(trailers)
            sent += len(trailers)
    return size


def send_all(port: int, name: str, size: int) -> None:
    """Four at once, of one kind."""
    send: Callable[[], object] = (
        (lambda: send_trailers(port, size)) if name == "trailers" else (lambda: send_hostile(port, name, size))
    )
    _at_once([send] * 4)


def hostility(
    port: int, server: int, kinds: Sequence[str], sizes: tuple[int, ...], told: Callable[[str], None]
) -> dict[str, float]:
    """The longest wait of another client in milliseconds, and the most memory over the bytes that were sent.

    Args:
        server: its process.
        kinds: some of `KINDS`.
        sizes: of the bodies, in bytes.
        told: told what was found for each kind.
    """
    keep_alive(port, 20)
    longest, ratio = 0.0, 0.0
    for name in kinds:
        for size in sizes:
            with _beside(port) as waits, _senders(port, name, size) as sending:
                sending.wait()
            longest = max(longest, *waits)
            before = _memory(server, reset=True)
            sent = send_trailers(port, size) if name == "trailers" else send_hostile(port, name, size)
            grown = (_memory(server, peak=True) - before) / max(sizes[0], sent)
            ratio = max(ratio, grown)
            told(f"{name}, {size / 1e6:g} MB: longest wait {max(waits):.0f} ms, memory {grown:.2f} of the body")
    return {"longest-wait-hostile-ms": longest, "hostile-memory-ratio": ratio}


@contextmanager
def _senders(port: int, name: str, size: int) -> Iterator[subprocess.Popen[bytes]]:
    """Those who send, in a program of their own: they must not keep this one from asking."""
    process = subprocess.Popen([sys.executable, __file__, str(port), name, str(size)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def _beside(port: int) -> Iterator[list[float]]:
    """Another client, which asks all the while; yields the milliseconds it waited."""
    waits: list[float] = []
    over = False

    def ask() -> None:
        while not over:
            waits.extend(keep_alive(port, 20))

    asking = Thread(target=ask)
    asking.start()
    try:
        yield waits
    finally:
        over = True
        asking.join()


def _memory(process: int, *, reset: bool = False, peak: bool = False) -> float:
    """Bytes that a process holds, or held at most since the last reset."""
    folder = Path(f"/proc/{process}")
    if reset:
        (folder / "clear_refs").write_text("5")
    wanted = "VmHWM" if peak else "VmRSS"
    lines = (folder / "status").read_text().splitlines()
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith(wanted))


if __name__ == "__main__":
    send_all(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
