"""A server that is killed (SIGKILL) while a client forgets, undoes and melds, over and over, on the same folder.

After each restart and its first request the brain must hold what was acknowledged, and no byte of its folder or of the
temporary files may be of what was forgotten: its label, its teacher, its quantised row. The client speaks HTTP with
Python's own `http.client`. `killed_server.py` runs this beside its own trial.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import numpy as np
from teaching_clients import BRAIN, WIDTH, Client, Known, Wish, get, wait_until_ready
from warm_server import WarmServer

from engram.brain import Brain

LONGEST = 1.0  # seconds before a kill


class Forgetful(Client):
    """A client that is alone with a brain, and takes back much of what it teaches.

    Attributes:
        gone: what was forgotten -> the bytes that tell it.
    """

    def __init__(self, port: int, seed: int) -> None:
        super().__init__(0, port, seed)
        self.gone: dict[str, bytes] = {}
        self._past: list[Known] = []  # what was known before each change that can be undone
        self._before_undo = 0
        self._teachers: dict[int, str] = {}
        self._scale = Brain()
        self._scale.learn(np.zeros((1, WIDTH)) + 0.5, "any")

    def settle(self) -> None:
        """As the other client; an undo is not asked for again where the log has an event more."""
        wish = self.doubt
        if wish is None:
            return
        if wish.kind == "undo" and get(self.port, f"{BRAIN}/info")["seq"] != self._before_undo:
            self.doubt, self.turned_up = None, self.turned_up + 1
            self._took_place(wish, None)
        else:
            super().settle()

    def _took_place(self, wish: Wish, answer: Any) -> None:
        before = self.known
        super()._took_place(wish, answer)
        if wish.kind == "undo":
            self._past.pop()
        elif wish.kind.startswith("forget"):
            self._past.clear()
            self._remember_gone(before)
        elif wish.kind == "consolidate":
            self._past.clear()  # an undo passes over it, to what came before
        elif wish.kind == "teach" and not self._past and len(before) == 0:
            pass  # the first lesson chooses the backbone: nothing before it can be returned to
        else:
            self._past.append(before)
        if wish.kind == "teach" and answer:
            self._teachers |= dict.fromkeys(answer["ids"], wish.headers["X-Teacher"])

    def _remember_gone(self, before: Known) -> None:
        lost = {number: one for number, one in before.items() if number not in self.known}
        names = {label for _, label in lost.values()} - {label for _, label in self.known.values()}
        self.gone |= {f"the label {name!r}": name.encode() for name in names}
        rows = np.array([row for row, _ in lost.values()], np.float32)
        held = {row for row, _ in self.known.values()}
        packed = self._scale.quantised(rows).astype("<i2") if len(rows) else []
        self.gone |= {f"example {number}": row.tobytes()[:48] for (number, (values, _)), row in
                      zip(lost.items(), packed, strict=True) if values not in held}

    # What it asks for

    def _wish(self) -> Wish:
        here = [number for number in self.known if number > 0]
        kinds: dict[str, float] = {"one": 20, "batch": 15}
        if len(here) > 6:
            kinds |= {"forget": 8, "forget_label": 8, "forget_teacher": 4, "rename": 5, "relabel": 4, "consolidate": 1}
        if self._past:
            kinds["undo"] = 15
        if self._melds < 60:
            kinds["meld"] = 4
        kind = self._rng.choices(list(kinds), list(kinds.values()))[0]
        made: Wish = getattr(self, f"_{kind}")()
        return made

    def _label(self) -> str:
        if len(names := sorted(self.counts())) > 4 and self._rng.random() < 0.6:
            return self._rng.choice(names)
        return f"label {uuid4().hex}"

    def _one(self) -> Wish:
        return self._lesson(1)

    def _batch(self) -> Wish:
        return self._lesson(self._rng.randint(2, 8))

    def _lesson(self, count: int) -> Wish:
        rows, labels, teacher = [self._row() for _ in range(count)], [self._label()] * count, f"teacher {uuid4().hex}"
        body = {"vectors": rows, "labels": labels, "teacher": teacher}
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid4().hex, "X-Teacher": teacher}
        change, content = self._taught(rows, labels), json.dumps(body).encode()
        return Wish("teach", "POST", f"{BRAIN}/examples", change, content, headers, 201)

    def _forget_label(self) -> Wish:
        gone = self._rng.choice(sorted(self.counts()))
        return Wish("forget label", "DELETE", f"{BRAIN}/classes?label={quote(gone)}",
                    lambda known, _: {n: one for n, one in known.items() if one[1] != gone})

    def _forget_teacher(self) -> Wish:
        teacher = self._teachers[self._some()]
        ids = {number for number, name in self._teachers.items() if name == teacher}

        def change(known: Known, answer: Any) -> Known:
            self.gone[f"the teacher {teacher!r}"] = teacher.encode()
            return {n: one for n, one in known.items() if n not in ids}

        return Wish("forget teacher", "DELETE", f"{BRAIN}/examples?teacher={quote(teacher)}", change)

    def _undo(self) -> Wish:
        try:
            self._before_undo = get(self.port, f"{BRAIN}/info")["seq"]
        except (OSError, http.client.HTTPException):  # the server is dead: whatever is asked for is in doubt
            return self._one()
        then = self._past[-1]
        return Wish("undo", "POST", f"{BRAIN}:undo", lambda known, _: then)


def forgetting_trial(folder: Path, kills: int, seed: int) -> tuple[Forgetful, list[str], list[str]]:
    """Forget and kill.

    Returns:
        The client with its ledger; what was lost, and where something forgotten was found, in words.
    """
    rng, lost, traces = random.Random(seed), list[str](), list[str]()
    temporary = folder / "temporary"
    temporary.mkdir()
    Brain.create(folder / "brain", device="forgetful").close()
    with _temporary_files_in(temporary):
        server = WarmServer(folder)
    client = Forgetful(server.port, seed)
    try:
        for kill in range(kills + 1):
            server.start()
            if not wait_until_ready(server.port):
                return client, [f"after {kill} kills the server did not become ready"], traces
            try:
                found = {one["label"]: one["count"] for one in get(server.port, f"{BRAIN}/info")["classes"]}
            except OSError as error:
                return client, [f"after {kill} kills: {error}"], traces
            traces += [f"after {kill} kills: {trace}" for trace in traces_of(client.gone, folder / "brain", temporary)]
            if found not in (dict(client.counts()), dict(client.counts(with_doubt=True))):
                lost.append(f"after {kill} kills: {found} instead of {dict(client.counts())}")
            client.settle()
            lost += client.surprises
            if lost or kill == kills:
                break
            _ask_for(rng.uniform(0.1, LONGEST), client, server)
    finally:
        client.hang_up()
        server.close()
    return client, lost, traces


def _ask_for(seconds: float, client: Forgetful, server: WarmServer) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=client.live, args=(stop,))
    thread.start()
    time.sleep(seconds)
    server.kill()
    thread.join()
    client.hang_up()


def traces_of(gone: dict[str, bytes], *roots: Path) -> list[str]:
    """The files in which something can be found, and what."""
    files = [file for root in roots for file in root.rglob("*") if file.is_file()]
    contents = {file.name: file.read_bytes() for file in files}
    return [f"{what} in {name}" for what, needle in gone.items() for name, content in contents.items()
            if needle in content]


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
