"""Hostile input against a real server: every case has to be refused, and to change nothing.

    python tests/server/hostile_server.py [--out results/hostile.json] [--only TEXT]

After each case the digests (SHA-256) of all brains, their sequence numbers, inboxes and the list of brains are what
they were; no answer tells of the server's inside; at the end no file lies about, and the memory that the server ever
took is bounded.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hostile_documents
import hostile_protocol
import hostile_uploads
from hostile_wire import Case, send
from served_things import LESSON, Program, picture

from engram.brain import Brain
from engram.server.tokens import add_token

PEAK_MB = 1500
"""More memory than this at any moment is not bounded: bodies may have 32 MB, and some are worked on together."""


@dataclass
class Verdict:
    """What became of all cases; `accepted` are those that were not refused, or left a trace."""

    tried: int = 0
    accepted: list[str] = field(default_factory=list)
    peak_mb: float = 0.0
    seconds: float = 0.0


class Target:
    """A server with three brains, and what has to stay as it is."""

    def __init__(self, home: Path, other: Path, tokens: bool) -> None:
        self.home = home
        for name in ("brain", "pictures"):
            Brain.create(home / name, device=name).close()
        file = home.parent / f"{home.name}.json"
        self.tokens = (
            {scope: add_token(file, f"{scope}er", scope) for scope in ("ask", "teach", "admin")} if tokens else {}
        )
        self.headers = {"Authorization": f"Bearer {self.tokens['admin']}"} if tokens else {}
        more = ["--token-file", str(file)] if tokens else []
        self.server = Program("brain", "pictures", *more, "--rate", "0", "--no-access-log", folder=home)
        self.http = self.server.wait_until_ready()
        self._teach(hostile_uploads.packed(other))
        self.port = int(self.server.address.rpartition(":")[2])
        self.before = self.state()
        self.files = self.lying_about()

    def _teach(self, other: bytes) -> None:
        vectors = self.http.post("/v1/brains/brain/examples", json=LESSON, headers=self.headers)
        for colour in ((220, 30, 30), (30, 30, 220)):
            taught = self.http.post(
                f"/v1/brains/pictures/examples?label=c{colour[0]}",
                content=picture(colour),
                headers={"Content-Type": "image/png"} | self.headers,
            )
            assert (vectors.status_code, taught.status_code) == (201, 201), (vectors.text, taught.text)
        kind = {"Content-Type": "application/zip"}
        melded = self.http.post("/v1/brains/brain:meld", content=other, headers=kind | self.headers)
        assert melded.json()["changed"] == 1, melded.text

    def state(self) -> Any:
        """All that nobody hostile may change."""
        listed = self.http.get("/v1/brains", headers=self.headers).json()["brains"]
        known = [
            self.http.get(f"/v1/brains/{name}/info", headers=self.headers).json() for name in ("brain", "pictures")
        ]
        return [[one[key] for key in ("digest", "seq", "examples", "unknowns", "classes")] for one in known], listed

    def lying_about(self) -> set[str]:
        """Files in and beside the brains' folders."""
        names = {str(file.relative_to(self.home)) for file in self.home.rglob("*")}
        return {name for name in names if not name.endswith(("-wal", "-shm", "log.jsonl", "lock", ".mark"))}

    @property
    def peak_mb(self) -> float:
        """The most memory that the server ever took."""
        lines = Path(f"/proc/{self.server.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

    def close(self) -> None:
        self.server.stop()


def cases(other: Path, tokens: Mapping[str, str], *, heavy: bool) -> list[Case]:
    """All of them; `heavy` ones, too, which take long or much memory. `other` is the folder of a brain."""
    found: list[Case] = []
    for some in (
        hostile_uploads.pictures(), hostile_uploads.forms(), hostile_uploads.zips(other, heavy=heavy),
        hostile_documents.documents(), hostile_documents.tensors(), hostile_documents.names(),
        hostile_protocol.strangers(), hostile_protocol.bent(),
        hostile_protocol.forgers(tokens), hostile_protocol.endless() if heavy else (),
    ):  # fmt: skip
        found += some
    return found


def trial(targets: Sequence[Target], cases: Iterable[Case], slow: Iterable[Case] = ()) -> Verdict:
    """Send every case, one after another, while the slow ones are under way all the time.

    Args:
        targets: the server without tokens, and the one with tokens.
    """
    verdict, began = Verdict(), time.perf_counter()
    told: list[tuple[Case, str]] = []

    def wait(case: Case) -> None:
        told.append((case, _judged(targets[0], case)))

    threads = [threading.Thread(target=wait, args=(case,)) for case in slow]
    for thread in threads:
        thread.start()
    for case in cases:
        target = targets[case.tokens]
        wrong = _judged(target, case)
        if not wrong and target.state() != target.before:
            wrong = "it changed something"
            target.before = target.state()
        told.append((case, wrong))
    for thread in threads:
        thread.join()
    for target in targets:
        if target.state() != target.before:
            verdict.accepted.append("something was changed")
        if extra := target.lying_about() - target.files:
            verdict.accepted.append(f"files were left: {sorted(extra)[:5]}")
        verdict.peak_mb = max(verdict.peak_mb, target.peak_mb)
    if verdict.peak_mb > PEAK_MB:
        verdict.accepted.append(f"it took {verdict.peak_mb:.0f} MB")
    verdict.tried = len(told)
    verdict.accepted += [f"{case.name}: {wrong}" for case, wrong in told if wrong]
    verdict.seconds = time.perf_counter() - began
    return verdict


def _judged(target: Target, case: Case) -> str:
    """What is wrong with the answer; nothing where it is a refusal."""
    peak, began = target.peak_mb, time.perf_counter()
    try:
        answer = send(target.port, case)
    except OSError as error:
        return f"no connection: {error}"
    if str(target.home).encode() in answer.content:
        return "it tells where its files are"
    grown, took = target.peak_mb - peak, time.perf_counter() - began
    wrong = "" if case.refused(answer) else f"{answer.status} {answer.content[-300:]!r}"
    if wrong or grown > 100 or took > 5:
        print(f"{case.name}: {wrong or answer.status}, {took:.1f} s, {grown:.0f} MB", file=sys.stderr, flush=True)
    return wrong


def targets_in(home: Path) -> tuple[Target, Target]:
    """A server without tokens, and one with; in `home/other` is a brain that both have melded."""
    with Brain.create(home / "other", device="other") as brain:
        brain.learn(LESSON["vectors"], LESSON["labels"])
        brain.save()
    folders = home / "open", home / "closed"
    for folder in folders:
        folder.mkdir()
    return Target(folders[0], home / "other", tokens=False), Target(folders[1], home / "other", tokens=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        targets = targets_in(home)
        try:
            some = [
                case for case in cases(home / "other", targets[1].tokens, heavy=True) if options.only in case.name
            ]
            verdict = trial(targets, some, [case for case in hostile_protocol.slow() if options.only in case.name])
        finally:
            for target in targets:
                target.close()
    for wrong in verdict.accepted:
        print(wrong, file=sys.stderr)
    values = {
        "hostile-tried": verdict.tried,
        "hostile-accepted": len(verdict.accepted),
        "peak-mb": verdict.peak_mb,
        "seconds": verdict.seconds,
    }
    print(json.dumps(values, indent=1))
    if options.out:
        from engram.lab.experiments import figures_of
        from engram.lab.experiments.result import build, write_json

        command = "python tests/server/hostile_server.py --out results/hostile.json"
        write_json(
            options.out,
            build(
                "hostile",
                "Hostile input against a real server",
                command,
                {"peak_mb_at_most": PEAK_MB},
                [0],
                [values],
                figures_of("server"),
            ),
        )
    return int(bool(verdict.accepted))


if __name__ == "__main__":
    sys.exit(main())
