"""Clients that teach a server which may die at any moment, and keep a ledger of what it acknowledged.

Each client has labels of its own, and asks for one thing after another. What was asked when the server died is in
doubt: it is asked for again, teaching under the same Idempotency-Key, until its fate is known.
"""

from __future__ import annotations

import http.client
import io
import json
import random
import shutil
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from engram.brain import Brain

WIDTH = 32
BRAIN = "/v1/brains/brain"
LABELS = 5  # of each client
MELDED = 4  # examples of a brain that is melded
Row = tuple[float, ...]
Known = dict[int, tuple[Row, str]]
"""Number -> what was taught, under what it is called now; negative numbers for what came by melding or is in doubt."""


@dataclass
class Wish:
    """Something that a client asks for.

    Attributes:
        kind: what it is.
        method, path, body, headers: how it is asked for.
        change: what is known afterwards, of what was known before and the server's answer, None if there was none.
        done: the status that says that it was done; asked again, 404 says that it had been done before.
    """

    kind: str
    method: str
    path: str
    change: Callable[[Known, Any], Known]
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    done: int = 200
    asked: int = 0


class Client:
    """One client and its ledger.

    Attributes:
        known: what the server has acknowledged and not been asked to forget since.
        doubt: what was asked for and not answered.
        acknowledged: examples whose teaching was acknowledged, ever.
        turned_up: requests in doubt of which the server said, asked again, that they had been carried out.
        surprises: answers that nobody should be given.
    """

    def __init__(self, number: int, port: int, seed: int) -> None:
        self.number, self.port = number, port
        self.known: Known = {}
        self.doubt: Wish | None = None
        self.acknowledged = self.turned_up = self.doubted = 0
        self.done: Counter[str] = Counter()
        self.surprises: list[str] = []
        self._rng = random.Random(1000 * seed + number)
        self._melds = 0
        self._connection: http.client.HTTPConnection | None = None

    def live(self, until: threading.Event) -> None:
        """Ask for one thing after another, until the server dies or it is time."""
        while not until.is_set() and not self.surprises:
            if not self._ask(self._wish()):
                return

    def settle(self) -> None:
        """Find out what became of what is in doubt."""
        if self.doubt is not None and not self._ask(self.doubt):
            self.surprises.append(f"{self.doubt.kind}: asked again, it was not answered")

    def counts(self, *, with_doubt: bool = False) -> Counter[str]:
        """How many examples each label has, without or with what is in doubt."""
        known = self.doubt.change(self.known, None) if with_doubt and self.doubt else self.known
        return Counter(label for _, label in known.values())

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, wish: Wish) -> bool:
        """Whether it was answered."""
        again, self.doubt, wish.asked = bool(wish.asked), wish, wish.asked + 1
        try:
            status, headers, answer = self._send(wish)
        except (OSError, http.client.HTTPException):
            self.hang_up()
            self.doubted += not again
            return False
        self.doubt = None
        before = again and (status == 404 or headers.get("Idempotency-Replayed") == "true")
        self.turned_up += before
        if status != wish.done and not (before and wish.kind.startswith(("forget", "rename"))):
            self.surprises.append(f"{wish.kind}: {status} {answer}")
            return True
        if wish.kind == "teach":
            self.acknowledged += len(answer["ids"])
        self._took_place(wish, answer)
        return True

    def _took_place(self, wish: Wish, answer: Any) -> None:
        """What was asked for has been done."""
        self.done[wish.kind] += 1
        self.known = wish.change(self.known, answer)

    def _send(self, wish: Wish) -> tuple[int, Any, Any]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self._connection.request(wish.method, wish.path, wish.body, dict(wish.headers))
        answer = self._connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())

    # What it asks for

    def _wish(self) -> Wish:
        here = [number for number in self.known if number > 0]
        kinds: dict[str, float] = {"one": 45, "batch": 40}
        if len(here) > 10:
            kinds |= {"forget": 3, "relabel": 4, "rename": 2, "consolidate": 0.7, "swap": 0.7}
        if self._melds < 8:
            kinds["meld"] = 1
        kind = self._rng.choices(list(kinds), list(kinds.values()))[0]
        make: Callable[[], Wish] = getattr(self, f"_{kind}")
        return make()

    def _row(self) -> Row:
        values = [self._rng.gauss(0, 1) for _ in range(WIDTH)]
        return tuple(np.array(values, np.float32).tolist())

    def _label(self) -> str:
        return f"{self.number}/{self._rng.randrange(LABELS)}"

    def _taught(self, rows: list[Row], labels: list[str]) -> Callable[[Known, Any], Known]:
        def change(known: Known, answer: Any) -> Known:
            ids = answer["ids"] if answer else range(-(10**9), -(10**9) + len(rows))
            return known | dict(zip(ids, zip(rows, labels, strict=True), strict=True))

        return change

    def _one(self) -> Wish:
        row, label = self._row(), self._label()
        headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": uuid4().hex}
        path = f"{BRAIN}/examples?label={label}&teacher=client{self.number}"
        body = np.array(row, "<f4").tobytes()
        return Wish("teach", "POST", path, self._taught([row], [label]), body, headers, 201)

    def _batch(self) -> Wish:
        rows = [self._row() for _ in range(self._rng.randint(2, 24))]
        labels = [self._label() for _ in rows]
        body = {"vectors": rows, "labels": labels, "teacher": f"client{self.number}"}
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid4().hex}
        change = self._taught(rows, labels)
        return Wish("teach", "POST", f"{BRAIN}/examples", change, json.dumps(body).encode(), headers, 201)

    def _forget(self) -> Wish:
        number = self._some()
        return Wish("forget", "DELETE", f"{BRAIN}/examples/{number}",
                    lambda known, _: {n: one for n, one in known.items() if n != number})

    def _relabel(self) -> Wish:
        number, label = self._some(), self._label()
        return _posting("relabel", f"/examples/{number}:relabel", {"label": label},
                        lambda known, _: known | {number: (known[number][0], label)})

    def _rename(self) -> Wish:
        old = self._rng.choice(sorted(self.counts()))
        new = f"{self.number}/renamed {uuid4().hex[:8]}"
        return _posting("rename", ":rename", {"old": old, "new": new}, lambda known, _: {
            n: (row, new if label == old else label) for n, (row, label) in known.items()})

    def _consolidate(self) -> Wish:
        return _posting("consolidate", ":consolidate", None, lambda known, _: known)

    def _swap(self) -> Wish:
        return _posting("swap", ":swap", None, lambda known, _: known)

    def _meld(self) -> Wish:
        self._melds += 1
        label = f"{self.number}/melded {self._melds}"
        rows = [self._row() for _ in range(MELDED)]
        first = -MELDED * self._melds
        taught = {first + i: (row, label) for i, row in enumerate(rows)}
        body = _zip_of(rows, label, f"device {self.number} {self._melds}")
        headers = {"Content-Type": "application/zip"}
        return Wish("meld", "POST", f"{BRAIN}:meld", lambda known, _: known | taught, body, headers)

    def _some(self) -> int:
        return self._rng.choice([number for number in self.known if number > 0])


def _posting(kind: str, path: str, body: Any, change: Callable[[Known, Any], Known]) -> Wish:
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if content else {}
    return Wish(kind, "POST", BRAIN + path, change, content, headers)


def _zip_of(rows: list[Row], label: str, device: str) -> bytes:
    """The folder of another brain."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "brain"
        with Brain.create(folder, device=device) as brain:
            brain.learn(np.array(rows), label)
            brain.save()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file() and not file.name.endswith(("lock", ".mark", "-wal", "-shm")):
                    archive.write(file, str(file.relative_to(folder)))
        shutil.rmtree(folder, ignore_errors=True)
    return packed.getvalue()


def wait_until_ready(port: int, seconds: float = 60) -> bool:
    """Whether a server answers that all is open."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status == 200:
                return True
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.02)
    return False


def get(port: int, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return json.loads(content)
    finally:
        connection.close()
