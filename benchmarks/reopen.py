"""How long a brain of a million events takes to open: from its snapshot, and from its log alone.

    python benchmarks/reopen.py [--out results/reopen.json] [--repeats 3] [--events 1000000] [--widths 256 1280]

The events are taught 4096 to a commit, in bits of 1 to 64 rows of one label, as lessons come. `reopen-s` is the time
of `Brain.open` in a new process, the files in the system's cache; `replay-events-per-s` is what a replay of the whole
log does, with the snapshots taken away. Beside it stands the floor: reading every row of the log and checking its
checksum, without learning it. One thread. The brain is made with a budget that keeps all examples in the log; at a
width of 1280 a tenth of the events is taught.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from engram.brain import Brain
from engram.inputs.vectors import unit_length
from engram.lab.experiments import figures_of
from engram.lab.experiments.result import build, deliver
from engram.store.event_log import EventLog

CLASSES = 100
_PART = 4096

_OPEN = """
import sys, time
import numpy as np
from engram.brain import Brain
started = time.perf_counter()
brain = Brain.open(sys.argv[1], readonly=True)
opened = time.perf_counter()
brain.predict(np.ones(brain.bundle.width))
print(opened - started, time.perf_counter() - started, brain.digest())
"""


def make(folder: Path, events: int, width: int, seed: int) -> str:
    """Teach a new brain; returns its digest."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLASSES, width))
    with Brain.create(folder, memory_budget=2**40) as brain:
        for start in range(0, events, _PART):
            some = min(_PART, events - start)
            labels = np.repeat(rng.integers(0, CLASSES, some), rng.integers(1, 65, some))[:some]
            rows = unit_length(centres[labels] + rng.normal(size=(some, width)))
            brain.learn(rows, [f"c{label}" for label in labels])
            print(f"\r{start + some} of {events} taught", end="", file=sys.stderr)
        brain.save()
        print(file=sys.stderr)
        return brain.digest()


def reopened(folder: Path, digest: str) -> tuple[float, float]:
    """Seconds until the brain is open, and until it has answered, in a new process."""
    done = subprocess.run([sys.executable, "-c", _OPEN, str(folder)], capture_output=True, text=True, check=True)
    opened, answered, found = done.stdout.split()
    if found != digest:
        raise SystemExit(f"{folder} opened with another digest than it was closed with.")
    return float(opened), float(answered)


def checked(folder: Path) -> float:
    """Seconds to read the log and check every row: what no replay can do without."""
    with EventLog.open(folder / "log.sqlite", readonly=True) as log:
        started = time.perf_counter()
        for _ in log.runs():
            pass
        return time.perf_counter() - started


def made(kept: Path | None, place: Path, events: int, width: int, seed: int) -> tuple[Path, str]:
    """A taught brain's folder and digest; one kept from an earlier run is taken as it is."""
    folder = place / "brain" if kept is None else kept / f"{events}-{width}-{seed}"
    finished = folder.with_suffix(".digest")
    if not finished.exists():
        shutil.rmtree(folder, ignore_errors=True)
        finished.write_text(make(folder, events, width, seed))
    return folder, finished.read_text()


def measure(events: int, width: int, seed: int, kept: Path | None) -> dict[str, float]:
    """The figures of one brain."""
    with tempfile.TemporaryDirectory() as place:
        folder, digest = made(kept, Path(place), events, width, seed)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        opened, answered = reopened(folder, digest)
        bare = Path(place) / "bare"  # the same without snapshots
        bare.mkdir()
        for file in folder.iterdir():
            if not file.name.startswith("snapshot-"):
                (bare / file.name).symlink_to(file.resolve())
        replayed, _ = reopened(bare, digest)
        return {
            "reopen-s": opened, "reopen-and-answer-s": answered, "replay-s": replayed,
            "replay-events-per-s": events / replayed, "checked-events-per-s": events / checked(folder),
            "folder-mb": size / 1e6,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 1280])
    parser.add_argument("--keep", type=Path, help="keep the brains in this folder, and take those that are there")
    parser.add_argument("--make", action="store_true", help="only make the brains to be kept; measure later")
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    runs: list[dict[str, Any]] = []
    for seed in range(options.repeats):
        values: dict[str, Any] = {}
        for width in options.widths:
            some = options.events if width <= 256 else options.events // 10
            if options.make:
                made(options.keep, options.keep, some, width, seed)
                continue
            found = measure(some, width, seed, options.keep)
            values |= {f"{name}/{width}": value for name, value in found.items()}
            if width == options.widths[0]:
                values |= found
        runs.append(values)
        print(f"repeat {seed + 1} of {options.repeats}: {values}", file=sys.stderr)
    if options.make:
        return
    command = "python benchmarks/reopen.py --out results/reopen.json"
    config = {"events": options.events, "widths": options.widths, "classes": CLASSES, "threads": 1}
    result = build("reopen", "Opening a brain of a million events", command, config, range(options.repeats), runs,
                   figures_of("brain"))
    deliver(result, options.out, as_json=options.json)


if __name__ == "__main__":
    main()
