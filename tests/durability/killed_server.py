"""A server that is killed (SIGKILL) at random moments while clients teach it, over and over, on the same folder.

    python tests/durability/killed_server.py [--out results/kill9.json] [--kills 110] [--clients 4] [--seed 0]
                                             [--forgetful-kills 60]

What was acknowledged must be there after every kill, what was under way be there whole or not at all, and each time
the digest (SHA-256 of the exact sums) be that of a brain in memory which was taught the list of what was acknowledged.
Most servers are forked from a process that has imported everything, one in ten is started anew; some are killed while
they open. A second trial kills a server while a client forgets, undoes and melds: see `forgetful_server.py`.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from forgetful_server import forgetting_trial
from teaching_clients import BRAIN, Client, get, wait_until_ready
from warm_server import WarmServer

from engram.brain import Brain
from engram.brain.repair import verify

COLD_EVERY = 10  # kills
VERIFIED_EVERY = 10
KILLED_AT_START = 0.15  # share of the kills
LONGEST = 1.2  # seconds of teaching before a kill


@dataclass
class Verdict:
    """What became of a brain whose server was killed again and again.

    Attributes:
        lost: examples that were acknowledged and are not there, or not as they were acknowledged.
        problems: all that was wrong, in words.
    """

    kills: int = 0
    acknowledged: int = 0
    examples: int = 0
    doubted: int = 0
    turned_up: int = 0
    lost: int = 0
    corrupt: int = 0
    digest_equal: int = 0
    seconds: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def trial(folder: Path, kills: int, clients: int, seed: int, *, cold_every: int = COLD_EVERY) -> Verdict:
    """Teach and kill.

    Args:
        folder: empty; the brain is made in it.
        cold_every: every so many-th server starts in a new Python.
    """
    rng, verdict, began = random.Random(seed), Verdict(), time.perf_counter()
    Brain.create(folder / "brain", device="killed").close()
    server = WarmServer(folder)
    pupils = [Client(number, server.port, seed) for number in range(clients)]
    try:
        while verdict.kills < kills and not verdict.problems:
            server.start(cold=verdict.kills % cold_every == cold_every - 1)
            if rng.random() < KILLED_AT_START:
                time.sleep(rng.uniform(0, 0.5))
            elif not _resumed(server.port, pupils, verdict):
                break
            else:
                _teach_for(rng.uniform(0, LONGEST), pupils, server)
            if server.alive:
                server.kill()
            verdict.kills += 1
            if verdict.kills % VERIFIED_EVERY == 0:
                _verify(folder, verdict)
        if not verdict.problems:
            server.start()
            _resumed(server.port, pupils, verdict)
            server.kill(signal.SIGTERM)
    finally:
        for pupil in pupils:
            pupil.hang_up()
        server.close()
    _verify(folder, verdict)
    judge(folder / "brain", pupils, verdict)
    verdict.seconds = time.perf_counter() - began
    return verdict


def _resumed(port: int, pupils: Sequence[Client], verdict: Verdict) -> bool:
    """Whether a restarted server holds what was acknowledged, once and again after all doubts are settled."""
    if not wait_until_ready(port):
        verdict.problems.append(f"after {verdict.kills} kills the server did not become ready")
        return False
    found = _counts(port)
    for pupil in pupils:
        own = Counter({label: n for label, n in found.items() if label.partition("/")[0] == str(pupil.number)})
        if own not in (pupil.counts(), pupil.counts(with_doubt=True)):
            kind = pupil.doubt.kind if pupil.doubt else "nothing"
            verdict.problems.append(
                f"after {verdict.kills} kills client {pupil.number} finds {dict(own)} instead of "
                f"{dict(pupil.counts())}; in doubt: {kind}"
            )
            verdict.lost += (pupil.counts() - own).total()
        pupil.settle()
        verdict.problems += pupil.surprises
    if not verdict.problems and get(port, f"{BRAIN}/info")["digest"] != retaught(pupils):
        verdict.problems.append(f"after {verdict.kills} kills the digest is another")
    return not verdict.problems


def _counts(port: int) -> Counter[str]:
    return Counter({one["label"]: one["count"] for one in get(port, f"{BRAIN}/info")["classes"]})


def _teach_for(seconds: float, pupils: Sequence[Client], server: WarmServer) -> None:
    """Let all teach; the server is killed under their hands."""
    stop = threading.Event()
    threads = [threading.Thread(target=pupil.live, args=(stop,)) for pupil in pupils]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    server.kill()
    for thread in threads:
        thread.join()


def _verify(folder: Path, verdict: Verdict) -> None:
    # between a kill and the next opening traces of a forget may remain; all else is damage
    problems = [problem for problem in verify(folder / "brain") if not problem.startswith("Traces")]
    verdict.corrupt += bool(problems)
    verdict.problems += [f"after {verdict.kills} kills: {problem}" for problem in problems]


def retaught(pupils: Sequence[Client]) -> str:
    """The digest of a brain in memory that was taught what was acknowledged."""
    brain = Brain()
    known = [one for pupil in pupils for one in pupil.known.values()]
    if known:
        brain.learn(np.array([row for row, _ in known], np.float32), [label for _, label in known])
    return brain.digest()


def judge(folder: Path, pupils: Sequence[Client], verdict: Verdict) -> None:
    """Hold what is in the folder at the end against the ledgers."""
    verdict.acknowledged = sum(pupil.acknowledged for pupil in pupils)
    verdict.doubted = sum(pupil.doubted for pupil in pupils)
    verdict.turned_up = sum(pupil.turned_up for pupil in pupils)
    for pupil in pupils:
        verdict.done += pupil.done
        verdict.problems += [one for one in pupil.surprises if one not in verdict.problems]
    wanted = {number: label for pupil in pupils for number, (_, label) in pupil.known.items() if number > 0}
    with Brain.open(folder, readonly=True) as brain:
        found = {one.id: one.label for one in brain.examples(limit=10**9)}
        verdict.examples = sum(brain.view.counts.values())
        verdict.digest_equal = int(brain.digest() == retaught(pupils))
    lost = [number for number, label in wanted.items() if found.get(number) != label]
    verdict.lost = max(verdict.lost, len(lost))
    if lost:
        verdict.problems.append(f"lost, or called otherwise: {lost[:10]}")
    if found.keys() - wanted.keys():
        verdict.problems.append(f"nobody asked for {sorted(found.keys() - wanted.keys())[:10]}, or they were forgotten")
    if not verdict.digest_equal:
        verdict.problems.append("the digest is not that of a brain re-taught from the acknowledged list")


def verify_as_program(folder: Path) -> int:
    """The exit code of `engram verify`."""
    program = [sys.executable, "-c", "from engram.cli import main; main()", "verify", str(folder)]
    return subprocess.run(program, check=False, stdout=sys.stderr).returncode


def values_of(verdict: Verdict) -> dict[str, Any]:
    """The verdict as a result file keeps it."""
    return {
        "kill9-lost": verdict.lost, "kill9-acknowledged": verdict.acknowledged, "kills": verdict.kills,
        "corrupt": verdict.corrupt, "digest-equal": verdict.digest_equal, "problems": len(verdict.problems),
        "examples-at-the-end": verdict.examples, "requests-in-doubt": verdict.doubted,
        "requests-in-doubt-that-were-carried-out": verdict.turned_up, "seconds": verdict.seconds,
        "requests": dict(verdict.done),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--kills", type=int, default=110)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dir", help="where to put the brain meanwhile")
    parser.add_argument("--forgetful-kills", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as place:
        forgetful, lost, traces = forgetting_trial(Path(place), options.forgetful_kills, options.seed)
    with tempfile.TemporaryDirectory(dir=options.dir) as place:
        verdict = trial(Path(place), options.kills, options.clients, options.seed)
        if verify_as_program(Path(place) / "brain"):
            verdict.problems.append("engram verify finds the brain damaged")
    verdict.lost += len(lost)
    verdict.problems += [*lost, *traces]
    values = values_of(verdict) | {
        "kill9-traces": len(traces), "forgetful-kills": options.forgetful_kills, "forgotten": len(forgetful.gone),
        "forgetful-requests": dict(forgetful.done),
    }
    for name, value in values.items():
        print(f"{name:45s} {value}")
    for problem in verdict.problems:
        print(problem, file=sys.stderr)
    if options.out:
        from engram.lab.experiments import figures_of
        from engram.lab.experiments.result import build, write_json

        command = "python tests/durability/killed_server.py --out results/kill9.json"
        config = {"kills": options.kills, "forgetful_kills": options.forgetful_kills, "clients": options.clients,
                  "cold_every": COLD_EVERY, "longest": LONGEST}
        result = build("kill9", "Kill -9 at random moments while teaching over HTTP", command, config, [options.seed],
                       [values], figures_of("durability"))
        write_json(options.out, result)
    return int(bool(verdict.problems))


if __name__ == "__main__":
    sys.exit(main())
