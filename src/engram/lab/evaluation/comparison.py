"""Many learners side by side: each on the same streams, seed after seed; a table and a picture of what came out."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from engram.lab.evaluation.evaluate import Rebuild, evaluate, require_stream
from engram.lab.evaluation.intervals import interval
from engram.lab.evaluation.plots import canvas, draw_curves, draw_matrix
from engram.lab.evaluation.report import Report
from engram.lab.streams.stream import Stream
from engram.learner import InputError, Learner
from engram.progress import Progress

PERCENT = ("accuracy", "any-time", "worst-case", "gap", "forgetting", "BWT", "FWT")
LONGEST = 80  # characters of a folder's name
MATRICES = 4
"""So many learners have their accuracy matrix in the picture."""


@dataclass(frozen=True)
class Comparison:
    """The reports of several learners, one for each seed.

    Attributes:
        reports: learner's name -> a report for each seed; all of streams of equally many experiences.

    Raises:
        InputError: no reports, or some of another number of experiences.
    """

    reports: Mapping[str, tuple[Report, ...]]

    def __post_init__(self) -> None:
        lengths = {len(report.right) for reports in self.reports.values() for report in reports}
        if not self.reports or not all(self.reports.values()) or len(lengths) != 1 or lengths == {0}:
            raise InputError("Learners are compared by one report or more of each, after equally many experiences.")

    def table(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Columns and rows for people: a row for each learner, shares in percent, mean ± sd where there are seeds."""
        names = [name for name in next(iter(self.reports.values()))[0].figures() if self._known(name)]
        columns = ("learner", *(f"{name} (%)" if name in PERCENT else name for name in names))
        return columns, [(learner, *(_cell(name, self._values(learner, name)) for name in names))
                         for learner in self.reports]

    def notes(self) -> list[str]:
        """What the table does not say: who keeps every example, and what was not asked about."""
        joint = [name for name, reports in self.reports.items() if all(report.is_joint() for report in reports)]
        omitted = next(iter(self.reports.values()))[0].omission()
        told = f"{', '.join(joint)}: every example taught is kept, so this is joint training" if joint else ""
        return [note for note in (told, omitted) if note]

    def to_json(self) -> dict[str, Any]:
        """JSON values: for each learner the figures over seeds (values, mean, sd, interval) and its reports."""
        found: dict[str, Any] = {}
        for learner, reports in self.reports.items():
            figures = {name: {"values": values, **interval(values)._asdict()}
                       for name in reports[0].figures() if (values := self._values(learner, name))}
            found[learner] = {"figures": figures, "reports": [report.to_json() for report in reports]}
        return {"stream": dict(next(iter(self.reports.values()))[0].stream), "learners": found}

    def plot(self) -> Any:
        """A matplotlib figure: accuracy on all seen so far, and the accuracy matrices of the first learners."""
        shown = list(self.reports)[:MATRICES]
        first = next(iter(self.reports.values()))[0]
        figure, axes = canvas(1 + len(shown))
        steps = range(1, len(first.right) + 1)
        curves = {learner: (list(steps), *_mean_and_sd([100 * report.any_time for report in reports]))
                  for learner, reports in self.reports.items()}
        draw_curves(axes[0], curves, "experiences learned", "accuracy on all seen so far (%)", first.stream["name"])
        for panel, learner in zip(axes[1:], shown, strict=True):
            mean, _ = _mean_and_sd([100 * report.matrix for report in self.reports[learner]])
            draw_matrix(panel, mean, first.experiences[: len(mean)], first.experiences, learner)
        return figure

    def _known(self, name: str) -> bool:
        return any(self._values(learner, name) for learner in self.reports)

    def _values(self, learner: str, name: str) -> list[float]:
        values = (report.figures()[name] for report in self.reports[learner])
        return [value for value in values if value is not None]


def compare(
    learners: Mapping[str, Callable[[int], Learner]],
    stream: Stream | Callable[[int], Stream],
    *,
    seeds: int | Iterable[int] = 1,
    out: str | os.PathLike[str] | None = None,
    resume: bool = True,
    rebuild: Mapping[str, Rebuild] | None = None,
    forward: bool = True,
    every: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Evaluate every learner on the stream, with every seed.

    Args:
        learners: name -> from a seed to a fresh learner.
        stream: the stream, or from a seed to one.
        seeds: how many (0, 1, …), or which.
        out: a folder; each evaluation has its own in it (`NAME/seed-K`, see `folder_name`). That of a learner that
            `Saves` is not repeated where it is complete.
        resume, forward, every: see `evaluate`.
        rebuild: name -> see `evaluate`, for those that need it.
        progress: told of all evaluations together, in thousandths.

    Raises:
        InputError: no learners or no seeds, or a learner that is made already; see also `evaluate`.

    >>> from engram.heads import make
    >>> from engram.lab.streams import class_incremental, from_arrays
    >>> data = from_arrays(np.repeat(np.eye(4), 5, axis=0), np.repeat(np.arange(4), 5))
    >>> found = compare({"mean": lambda seed: make("nearest_class_mean")}, class_incremental(data), seeds=2)
    >>> found.table()[1][0][:3]
    ('mean', '100.0 ± 0.0', '100.0 ± 0.0')
    """
    numbers = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if not learners or not numbers:
        raise InputError("Nothing to compare: pass at least one learner and one seed.")
    for name, make in learners.items():
        if not callable(make):
            raise InputError(f"{name!r}: pass a function that makes a fresh learner from a seed, as in "
                             "{\"ridge\": lambda seed: make(\"ridge\")}.")
    if not callable(stream):
        require_stream(stream)
    reports: dict[str, list[Report]] = {name: [] for name in learners}
    places = count()
    for seed in numbers:
        arriving = stream if isinstance(stream, Stream) else stream(seed)
        for name, make in learners.items():
            told = _part(progress, next(places), len(numbers) * len(learners), f"{name}, seed {seed}")
            own = None if out is None else Path(out) / folder_name(name) / f"seed-{seed}"
            reports[name].append(evaluate(
                make(seed), arriving, name=name, out=own,
                resume=resume, rebuild=(rebuild or {}).get(name), forward=forward, every=every, progress=told,
            ))
    return Comparison({name: tuple(found) for name, found in reports.items()})


def folder_name(name: str) -> str:
    """The name of a folder for a learner, which every system can store: where characters have to be replaced, or it
    would be too long, it ends in a part of the name's SHA-256, so that no two are the same.

    >>> folder_name("er-capacity=50"), folder_name("er-recipe={'alpha': 5}")
    ('er-capacity=50', 'er-recipe=__alpha___5_-7653683a')
    """
    plain = re.sub(r"[^A-Za-z0-9=,.+-]", "_", name)[:LONGEST].rstrip(".")
    reserved = re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", plain, re.IGNORECASE)
    if plain and plain == name and not reserved:
        return plain
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _part(progress: Progress | None, place: int, count: int, who: str) -> Progress | None:
    if progress is None:
        return None
    told = progress

    def of_part(done: int, total: int | None, what: str = "") -> None:
        told(round(1000 * (place + done / (total or 1)) / count), 1000, f"{who}: {what}")

    return of_part


def _cell(name: str, values: list[float]) -> str | None:
    if not values:
        return None
    mean, sd, *_ = interval(values)
    if name in PERCENT:
        return f"{100 * mean:.1f}" + (f" ± {100 * sd:.1f}" if len(values) > 1 else "")
    return f"{mean:.2f}" if name.startswith("seconds") else f"{mean:,.0f}"


def _mean_and_sd(runs: Any) -> tuple[Any, Any]:
    array = np.asarray(runs, np.float64)
    sd = array.std(axis=0, ddof=1) if len(array) > 1 else np.zeros(array.shape[1:])
    return array.mean(axis=0), sd
