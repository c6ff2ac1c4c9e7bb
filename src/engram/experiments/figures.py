"""The published figures: collected from result files, never typed, and held against their floors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engram.experiments.result import Figure, write_json

FIGURES_FILE = "figures.json"

# What `benchmarks/heads.py` measures; it is no experiment, yet its figures stand beside theirs.
BENCHMARK_FIGURES = {
    "heads.teach-one-over-floor": Figure("teach-one-over-floor", "ratio", at_most=1.5),
    "heads.teach-many-share": Figure("teach-many-share", "ratio", at_least=0.8),
    "heads.over-river-knn": Figure("over-river-knn", "ratio", at_least=10.0),
    "heads.share-of-photo": Figure("share-of-photo", "%", at_most=5.0),
}


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
    """
    figures: dict[str, Any] = {}
    for path in sorted(results.glob("*.json")):
        if path.name != FIGURES_FILE:
            stored = json.loads(path.read_text(encoding="utf-8"))
            figures.update(stored.get("figures", {}) if isinstance(stored, dict) else {})
    figures = dict(sorted(figures.items()))
    write_json(results / FIGURES_FILE, figures)
    return figures


def check(results: Path, expected: dict[str, Figure]) -> list[Finding]:
    """What in `figures.json` is below its floor, or missing from it.

    Args:
        expected: every figure that is to be published, with its floor.
    """
    path = results / FIGURES_FILE
    figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    findings = []
    for key, figure in sorted(expected.items()):
        measured = figures.get(key, {}).get("mean")
        if measured is None or not figure.holds(measured):
            findings.append(Finding(key, figure.floor, measured))
    return findings
