"""The published figures: collected from result files, never typed, and held against their floors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engram.lab.experiments.experiment import ExperimentError
from engram.lab.experiments.result import Figure, write_json

FIGURES_FILE = "figures.json"

# What benchmarks and test harnesses measure; they are no experiments, yet their figures stand beside theirs.
BENCHMARK_FIGURES = {
    "heads.teach-one-over-floor": Figure("teach-one-over-floor", "ratio", at_most=1.5),
    "heads.teach-many-share": Figure("teach-many-share", "ratio", at_least=0.8),
    "heads.over-river-knn": Figure("over-river-knn", "ratio", at_least=10.0),
    "heads.share-of-photo": Figure("share-of-photo", "%", at_most=5.0),
    "heads.learn-beside-asking": Figure("learn-beside-asking", "ratio", at_most=2.0),
    **{f"heads.{task}-us-{width}": Figure(f"{task}-us-{width}", "µs") for width in (64, 512)
       for task in ("teach-one", "teach-one-floor", "predict-one", "predict-one-floor")},
    "laws.answers-changed": Figure("answers-changed", "answers", at_most=0),
    "laws.answers-compared": Figure("answers-compared", "answers", at_least=100_000),
    "durability.kill9-lost": Figure("kill9-lost", "examples", at_most=0),
    "durability.kill9-acknowledged": Figure("kill9-acknowledged", "examples", at_least=5000),
    "durability.kill9-traces": Figure("kill9-traces", "places", at_most=0),
    "durability.promises-caught": Figure("promises-caught", "%", at_least=100),
    "durability.powercut-lost": Figure("powercut-lost", "states", at_most=0),
    "durability.powercut-states": Figure("powercut-states", "states", at_least=2000),
    "durability.mutation-caught": Figure("mutation-caught", "flag", at_least=1),
    "durability.faults-wrong": Figure("faults-wrong", "cases", at_most=0),
    "durability.faults-tried": Figure("faults-tried", "cases"),
    "forgetting.bytes-found": Figure("bytes-found", "places", at_most=0),
    "forgetting.searched": Figure("searched", "searches", at_least=1000),
    "server.fuzz-failures": Figure("fuzz-failures", "cases", at_most=0),
    "server.fuzz-cases": Figure("fuzz-cases", "cases", at_least=2000),
    "server.hostile-accepted": Figure("hostile-accepted", "cases", at_most=0),
    "server.hostile-tried": Figure("hostile-tried", "cases"),
    "server.fsyncs-per-teach-32": Figure("fsyncs-per-teach-32", "ratio", at_most=0.125),
    "server.teaches-per-s-32": Figure("teaches-per-s-32", "1/s"),
    "server.p99-slow-fsync-ms": Figure("p99-slow-fsync-ms", "ms", at_most=20),
    "server.p99-under-teaching": Figure("p99-under-teaching", "ratio", at_most=5),
    "server.overhead-binary-ms": Figure("overhead-binary-ms", "ms", at_most=1),
    "server.overhead-json-ms": Figure("overhead-json-ms", "ms", at_most=1.5),
    "server.keepalive-p50-ms": Figure("keepalive-p50-ms", "ms", at_most=2),
    "server.predict-over-health": Figure("predict-over-health", "ratio", at_least=0.5),
    "server.requests-per-s-1": Figure("requests-per-s-1", "1/s"),
    "server.requests-per-s-16": Figure("requests-per-s-16", "1/s"),
    "server.longest-wait-hostile-ms": Figure("longest-wait-hostile-ms", "ms", at_most=150),
    "server.hostile-memory-ratio": Figure("hostile-memory-ratio", "ratio", at_most=4),
    "brain.reopen-s": Figure("reopen-s", "s", at_most=3),
    "brain.replay-events-per-s": Figure("replay-events-per-s", "1/s", at_least=50_000),
    "sparse.gain-21k-1": Figure("gain-21k-1", "ratio", at_least=2),
    "sparse.gain-21k-128": Figure("gain-21k-128", "ratio", at_least=4),
    "sparse.gain-10k-1": Figure("gain-10k-1", "ratio", at_least=3.5),
    "sparse.gain-10k-128": Figure("gain-10k-128", "ratio", at_least=10),
    "sparse.gain-21k-1-blas": Figure("gain-21k-1-blas", "ratio"),
    "sparse.gain-4096-1": Figure("gain-4096-1", "ratio", at_least=8),
    "sparse.gain-4096-64": Figure("gain-4096-64", "ratio", at_least=6),
    "strategies.loop-overhead-10": Figure("loop-overhead-10", "ratio", at_most=1.10),
    "strategies.loop-overhead-128": Figure("loop-overhead-128", "ratio", at_most=1.10),
    "mutants.killed": Figure("killed", "%", at_least=95),
    **{f"mutants.killed-{room}": Figure(f"killed-{room}", "%", at_least=95)
       for room in ("exact-sums", "metrics", "event-log", "ledger", "strategies")},
    "mutants.planted": Figure("planted", "cases"),
    "page.flows-driven": Figure("flows-driven", "flows", at_least=12),
}


def figures_of(subject: str) -> dict[str, Figure]:
    """The benchmark figures whose keys begin with a subject: what one benchmark passes to `result.build`.

    >>> sorted(figures_of("page"))
    ['page.flows-driven']
    """
    return {key: figure for key, figure in BENCHMARK_FIGURES.items() if key.split(".")[0] == subject}


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure that is below its floor, or that nobody has measured.

    >>> str(Finding("a.b", "at least 99", 98.5))
    'a.b: 98.5, at least 99'
    >>> str(Finding("a.b", "at least 99", None))
    'a.b: not measured, at least 99'
    """

    key: str
    floor: str
    measured: float | None

    def __str__(self) -> str:
        measured = "not measured" if self.measured is None else f"{self.measured:g}"
        return f"{self.key}: {measured}, {self.floor}"


def collect(results: Path) -> dict[str, Any]:
    """Gather the figures of every result file in a folder into its `figures.json`.

    Returns:
        key -> {"mean", "sd", "n", "unit", "published", "source", "command"}, sorted by key.

    Raises:
        ExperimentError: a result file that is damaged.
    """
    figures: dict[str, Any] = {}
    for path in sorted(results.glob("*.json")):
        if path.name != FIGURES_FILE:
            stored = _read(path, "remove it, or measure it again (engram experiment run NAME)")
            figures.update(stored.get("figures", {}) if isinstance(stored, dict) else {})
    figures = dict(sorted(figures.items()))
    write_json(results / FIGURES_FILE, figures)
    return figures


def check(results: Path, expected: dict[str, Figure]) -> list[Finding]:
    """What in `figures.json` is below its floor, or missing from it.

    Args:
        expected: every figure that is to be published, with its floor.

    Raises:
        ExperimentError: `figures.json` is damaged.
    """
    path = results / FIGURES_FILE
    figures = _read(path, "collect it again (engram experiment figures)") if path.exists() else {}
    findings = []
    for key, figure in sorted(expected.items()):
        measured = figures.get(key, {}).get("mean")
        if measured is None or not figure.holds(measured):
            findings.append(Finding(key, figure.floor, measured))
    return findings


def _read(path: Path, fix: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExperimentError(f"{path} is no whole JSON file: {fix}.") from error
