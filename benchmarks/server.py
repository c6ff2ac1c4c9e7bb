"""What HTTP costs on top of the head, and whether asking waits for teaching or for the disk.

    python benchmarks/server.py [--json] [--out results/server.json] [--repeats 3] [--quick]

A server runs as a program of its own, its brain in a new folder; whoever teaches beside the one that measures does so
from a third. Vectors have 1280 values, of 100 classes.
  overhead      median time of a prediction over HTTP, less that of the same head asked in this process, in turns;
                a vector as raw float32, and as JSON;
  slow fsync    99th percentile of predictions while 8 clients teach and every fsync takes 200 ms: SQLite's file
                system is wrapped so that each xSync sleeps before it syncs;
  teaching      99th percentile of predictions at 100 teaches a second, over that of an idle server;
  fsyncs        xSync calls for each example acknowledged, 32 clients teaching one example a request;
  foreign       what clients see that are not Engram's, alone and beside hostile requests: see foreign_clients.py.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import json
import mmap
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import foreign_clients
import numpy as np

from engram.brain import Brain
from engram.lab.experiments import figures_of
from engram.lab.experiments.result import build, deliver

WIDTH, CLASSES, KNOWN = 1280, 100, 2000
SLOW = 0.2  # seconds
_UNCOUNTED = 3


def rows(count: int, width: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Unit vectors around class centres, like the features of a backbone."""
    centres = np.random.default_rng(0).normal(size=(CLASSES, width))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    vectors = centres[labels] + rng.normal(size=(count, width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), [f"c{i}" for i in labels]


class Connection:
    """One HTTP connection, kept open, that sends requests made ready before: what a client costs is left out."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> int:
        """Send it; its status, when all of the answer is there."""
        self._socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))[15:])
        while len(body) < length:
            body += self._receive()
        return int(head[9:12])

    def _receive(self) -> bytes:
        part = self._socket.recv(65536)
        if not part:
            raise ConnectionError("the server closed the connection")
        return part

    def close(self) -> None:
        self._socket.close()


def request(path: str, kind: str, body: bytes) -> bytes:
    head = f"POST /v1/brains/brain/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def asking(row: np.ndarray) -> bytes:
    return request("predict", "application/octet-stream", row.astype("<f4").tobytes())


def asking_json(row: np.ndarray) -> bytes:
    values = [float(value) for value in row.astype("<f4")]
    return request("predict", "application/json", json.dumps({"vectors": [values]}).encode())


def teaching(row: np.ndarray, label: str) -> bytes:
    return request(f"examples?label={label}", "application/octet-stream", row.astype("<f4").tobytes())


# The server, and who teaches, as programs of their own


@dataclass(frozen=True)
class Served:
    """A server: its port, its process, and what counts its syncs (0 where its file system is not wrapped)."""

    port: int
    process: int
    syncs: Callable[[], int]


@contextmanager
def server(folder: Path, slow: float | None = None) -> Iterator[Served]:
    """The server of one brain."""
    counter = folder.with_suffix(".syncs")
    counter.write_bytes(bytes(8))
    command = [sys.executable, __file__, "--serve", str(folder)]
    if slow is not None:
        command += ["--sync-seconds", str(slow)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        wait_until_ready(port)
        yield Served(port, process.pid, lambda: int.from_bytes(counter.read_bytes(), "little"))
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(port: int) -> None:
    while True:
        connection = Connection(port)
        status = connection.ask(b"GET /v2/health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        connection.close()
        if status == 200:
            return
        time.sleep(0.05)


def run_server(folder: Path, slow: float | None) -> None:
    """Serve until told to stop; print the port."""
    from engram.server.serving import serve
    from engram.server.settings import Settings

    if slow is not None:
        wrap_file_system(folder.with_suffix(".syncs"), slow)

    def started(address: str) -> None:
        print(address.rstrip("/").rpartition(":")[2], flush=True)

    serve({folder.name: folder}, Settings(port=0, rate=0, access_log=False, folder=folder.parent), started=started)


def wrap_file_system(counter: Path, slow: float) -> None:
    """Make SQLite count its syncs, and sleep at each."""
    import apsw

    with counter.open("r+b") as file:
        count = mmap.mmap(file.fileno(), 8)

    class File(apsw.VFSFile):
        def xSync(self, flags: int) -> None:
            count[:8] = (int.from_bytes(count[:8], "little") + 1).to_bytes(8, "little")
            time.sleep(slow)
            super().xSync(flags)

    class FileSystem(apsw.VFS):
        def __init__(self) -> None:
            self.base = apsw.vfs_names()[0]
            super().__init__("counting", self.base, makedefault=True)

        def xOpen(self, name: Any, flags: list[int]) -> File:
            return File(self.base, name, flags)

    wrap_file_system.kept = FileSystem()  # type: ignore[attr-defined]


def run_teachers(port: int, clients: int, count: int, rate: float, width: int, seed: int) -> None:
    """Teach one example a request, `count` in all, `rate` a second (0: as fast as it goes); print the seconds."""
    vectors, labels = rows(count, width, seed)
    requests = [teaching(row, label) for row, label in zip(vectors, labels, strict=True)]
    turn = iter(range(count))
    connections = [Connection(port) for _ in range(clients)]
    print("teaching", flush=True)
    began = time.perf_counter()

    def teach(connection: Connection) -> None:
        for number in turn:  # of an iterator over a range, each number is given out once
            if rate:
                time.sleep(max(0.0, began + number / rate - time.perf_counter()))
            if connection.ask(requests[number]) != 201:
                raise RuntimeError("not taught")

    threads = [Thread(target=teach, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(time.perf_counter() - began, flush=True)


@contextmanager
def teachers(port: int, clients: int, count: int, rate: float, width: int, seed: int) -> Iterator[Any]:
    """Clients that teach meanwhile; yields the process, which prints the seconds it took."""
    numbers = [str(value) for value in (port, clients, count, rate, width, seed)]
    process = subprocess.Popen([sys.executable, __file__, "--teach", *numbers], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "teaching\n"
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


# Measuring


def latencies(port: int, vectors: np.ndarray, seconds: float) -> np.ndarray:
    """Milliseconds of predictions, one after the other, 200 a second at most."""
    connection = Connection(port)
    asked = [asking(row) for row in vectors]
    found, number, end = [], 0, time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        if connection.ask(asked[number % len(asked)]) != 200:
            raise RuntimeError("not answered")
        found.append(1e3 * (time.perf_counter() - start))
        number += 1
        time.sleep(max(0.0, 0.005 - (time.perf_counter() - start)))
    connection.close()
    return np.array(found)


def overheads(port: int, folder: Path, vectors: np.ndarray, rounds: int) -> dict[str, float]:
    """Median milliseconds over HTTP and of the head itself, asked in turns of 64."""
    with Brain.open(folder, readonly=True) as brain:
        view = brain.view
    binary, texts = [asking(row) for row in vectors], [asking_json(row) for row in vectors]
    connection = Connection(port)
    calls: dict[str, Callable[[int], Any]] = {
        "head": lambda i: view.predict(vectors[i]),
        "binary": lambda i: connection.ask(binary[i]),
        "json": lambda i: connection.ask(texts[i]),
    }
    spent: dict[str, list[float]] = {kind: [] for kind in calls}
    for _ in range(rounds):
        for kind, call in calls.items():
            for number in range(-_UNCOUNTED, len(vectors)):  # the first ones find the caches full of the other process
                start = time.perf_counter()
                call(number)
                if number >= 0:
                    spent[kind].append(1e3 * (time.perf_counter() - start))
    connection.close()
    middle = {kind: float(np.median(values)) for kind, values in spent.items()}
    return {
        "head-ms": middle["head"], "binary-ms": middle["binary"], "json-ms": middle["json"],
        "overhead-binary-ms": middle["binary"] - middle["head"], "overhead-json-ms": middle["json"] - middle["head"],
    }


def measure(seed: int, width: int, known: int, seconds: float, taught: int) -> dict[str, float]:
    """All values of one repetition."""
    vectors, _ = rows(64, width, seed + 1)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "brain"
        with Brain.create(folder) as brain:
            brain.learn(*rows(known, width, seed + 2))
        with server(folder) as served:
            port = served.port
            values = overheads(port, folder, vectors, rounds=max(2, int(2 * seconds)))
            idle = latencies(port, vectors, seconds)
            with teachers(port, 16, int(200 * seconds), 100, width, seed + 3):
                busy = latencies(port, vectors, seconds)
            values |= percentiles("idle", idle) | percentiles("teaching", busy)
            values["p99-under-teaching"] = values["teaching-p99-ms"] / values["idle-p99-ms"]
            with teachers(port, 32, taught, 0, width, seed + 4) as process:
                values["teaches-per-s-32"] = taught / float(process.stdout.readline())
        with server(folder, slow=0.0) as served:
            with teachers(served.port, 32, taught, 0, width, seed + 5) as process:
                before = served.syncs()
                process.stdout.readline()
            values["fsyncs-per-teach-32"] = (served.syncs() - before) / taught
        with server(folder, slow=SLOW) as served, teachers(served.port, 8, 10**4, 0, width, seed + 6):
            slow = latencies(served.port, vectors, 2 * seconds)
            values |= percentiles("slow-fsync", slow) | {"p99-slow-fsync-ms": float(np.percentile(slow, 99))}
    return values


def measure_foreign(seconds: float, rounds: int, hostile: Sequence[str], sizes: tuple[int, ...]) -> dict[str, float]:
    """What foreign clients see, of a brain of their own; see `foreign_clients.rates` and `hostility`."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "small"
        with Brain.create(folder) as brain:
            brain.learn(*foreign_clients.lesson())
        with server(folder) as served:
            foreign_clients.keep_alive(served.port, 100)
            values = {"keepalive-p50-ms": float(np.median(foreign_clients.keep_alive(served.port, int(200 * seconds))))}
            values |= foreign_clients.rates(served.port, seconds, rounds)
            return values | foreign_clients.hostility(served.port, served.process, hostile, sizes, print_aside)


def print_aside(line: str) -> None:
    print(line, file=sys.stderr)


def percentiles(what: str, values: np.ndarray) -> dict[str, float]:
    return {f"{what}-p{share}-ms": float(np.percentile(values, share)) for share in (50, 99)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small sizes only: does it run?")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--sync-seconds", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--teach", nargs=6, type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        run_server(options.serve, options.sync_seconds)
    elif options.teach:
        port, clients, count, rate, width, seed = options.teach
        run_teachers(int(port), int(clients), int(count), rate, int(width), int(seed))
    else:
        report(options)


def report(options: argparse.Namespace) -> None:
    sizes = (64, 200, 0.15, 64) if options.quick else (WIDTH, KNOWN, 6.0, 2000)
    bodies = (2_000_000,) if options.quick else (30_000_000, 8_000_000)
    hostile = foreign_clients.KINDS[:: len(foreign_clients.KINDS) - 1 if options.quick else 1]
    runs = []
    for seed in range(options.repeats):
        runs.append(measure(100 * seed, *sizes) | measure_foreign(sizes[2], 1 if options.quick else 3, hostile, bodies))
        print(f"repeat {seed + 1} of {options.repeats}", file=sys.stderr)
    config = {"width": sizes[0], "classes": CLASSES, "known": sizes[1], "threads": 1,
              "foreign-client": "hey" if shutil.which("hey") else "http.client", "hostile-bytes": list(bodies)}
    command = "python benchmarks/server.py --out results/server.json"
    result = build("server", "Server: what HTTP costs, and what asking waits for", command, config,
                   range(options.repeats), runs, figures_of("server"))
    deliver(result, options.out, as_json=options.json)


if __name__ == "__main__":
    main()
