"""What a brain survives: power cuts, disks that refuse, bits that flip; each counted, none of them lost.

    python benchmarks/durability.py [--out results/durability.json] [--quick]

The stories and the simulated disk are those of `tests/durability`, which runs a small part of this. Here a whole brain
lives a longer story, and thousands of states of the disk, every call that may be refused and many more bits are tried.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "durability"))

from brain_story import BrainStory, frequent_snapshots
from stories import DurableStory, FolderStory, LogStory
from trials import files_not_synced, flipped, folders_not_synced, power_cuts, refused, synced_less

from engram.lab.experiments import BENCHMARK_FIGURES
from engram.lab.experiments.result import build, write_json

STATES = 3000  # of those that a story leads to, so many at random
KEYS = ("powercut-lost", "powercut-states", "mutation-caught", "faults-wrong", "faults-tried")


def stories(quick: bool) -> dict[str, Any]:
    """Each with how long it is for power cuts, and for faults."""
    lengths = {"brain": (14, 9), "durable": (14, 9), "log": (13, 10), "folder": (7, 7)} if quick else {
        "brain": (48, 12), "durable": (32, 9), "log": (32, 10), "folder": (9, 7)}
    kinds = {"brain": BrainStory, "durable": DurableStory, "log": LogStory, "folder": FolderStory}
    return {name: (kinds[name](cut), kinds[name](fault)) for name, (cut, fault) in lengths.items()}


def measure(quick: bool, scratch: Path) -> tuple[dict[str, Any], list[str]]:
    """All values, and in words whatever was wrong."""
    values: dict[str, Any] = {"powercut-lost": 0, "faults-wrong": 0, "faults-tried": 0}
    said: list[str] = []
    for name, (to_cut, to_break) in stories(quick).items():
        most = 100 if quick else STATES if name == "brain" else STATES // 5
        verdict = power_cuts(to_cut, scratch, randoms=2 if quick else 6, most=most)
        print(name, verdict, file=sys.stderr)
        tried, wrong = refused(to_break, scratch, most=40 if quick else None)
        turned, altered = flipped(to_break, scratch / "flipped", each=6 if quick else 100)
        values |= {f"powercut-states/{name}": verdict.states, f"powercut-lost/{name}": verdict.wrong,
                   f"powercut-legal-states/{name}": verdict.legal, f"refused-calls/{name}": tried,
                   f"flipped-bits/{name}": turned}
        values["powercut-lost"] += verdict.wrong
        values["faults-tried"] += tried + turned
        values["faults-wrong"] += len(wrong) + len(altered)
        said += [f"{name}: {line}" for line in (*verdict.examples, *wrong, *altered)]
        print(name, values, file=sys.stderr)
    values["powercut-states"] = values["powercut-states/brain"]
    return values | mutations(quick, scratch), said


def mutations(quick: bool, scratch: Path) -> dict[str, Any]:
    """The same trial of stores that sync less: each has to be found out."""
    values = {}
    for name, story, weakened in (
        ("brain, synchronous=NORMAL", BrainStory(14), synced_less),
        ("brain, folders not synced", BrainStory(14), folders_not_synced),
        ("log, synchronous=NORMAL", LogStory(13), synced_less),
        ("folder, folders not synced", FolderStory(7), folders_not_synced),
        ("folder, files not synced", FolderStory(7), files_not_synced),
    ):
        verdict = power_cuts(story, scratch, randoms=2, most=100 if quick else 300, weakened=weakened)
        values[f"losses/{name}"] = verdict.wrong
    return {**values, "mutation-caught": float(all(values.values()))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--quick", action="store_true", help="a small part of it: does it run?")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # a snapshot that a broken disk refused is no news here
    began = time.monotonic()
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with frequent_snapshots(), tempfile.TemporaryDirectory(dir=memory) as path:
        values, said = measure(options.quick, Path(path))
    for line in said:
        print(line, file=sys.stderr)
    config = {"sector": 512, "seconds": round(time.monotonic() - began)}
    figures = {f"durability.{key}": BENCHMARK_FIGURES[f"durability.{key}"] for key in KEYS}
    command = "python benchmarks/durability.py --out results/durability.json"
    result = build("durability", "What a brain survives", command, config, [0], [values], figures)
    if options.out:
        write_json(options.out, result)
    for name, value in sorted(values.items()):
        print(f"{name:40s} {value:10.0f}")


if __name__ == "__main__":
    main()
