"""What an evaluation found: right answers and costs after every experience, and all that follows from them.

In every matrix R, R[i, j] is the accuracy on the test part of experience j after experience i was learned; rows are
experiences learned so far, columns all experiences of the stream. Indices count from 0 here, from 1 in the papers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from engram.files import make_folder, write_atomically
from engram.learner import DamagedError, FloatArray, InputError, Label, Learner

FORMAT = 1
WIDE = 10
NAMED = 5
"""So many classes that were not asked about are named."""


def average_accuracy(matrix: Any) -> float:
    """ACC: the mean accuracy over the experiences learned so far, after the last of them.

    D. Lopez-Paz, M. Ranzato, "Gradient episodic memory for continual learning", NeurIPS 2017, eq. 2: 1/T Σ_j R[T, j].

    >>> average_accuracy([[0.9, 0.2], [0.7, 0.8]])
    0.75
    """
    rows = _rows(matrix)
    return float(rows[-1, : len(rows)].mean())


def backward_transfer(matrix: Any) -> float:
    """BWT: how much better earlier experiences are known at the end than when they had just been learned.

    Lopez-Paz, Ranzato 2017, eq. 3: 1/(T−1) Σ_{j<T} R[T, j] − R[j, j]. Negative where something was forgotten; NaN
    after a single experience.

    >>> round(backward_transfer([[0.9, 0.2], [0.7, 0.8]]), 9)
    -0.2
    """
    rows = _rows(matrix)
    last = len(rows) - 1
    return float((rows[-1, :last] - rows.diagonal()[:last]).mean()) if last else float("nan")


def forward_transfer(matrix: Any, before: Any) -> float:
    """FWT: how much earlier experiences help with one that has not come yet.

    Lopez-Paz, Ranzato 2017, eq. 4: 1/(T−1) Σ_{j>1} R[j−1, j] − b[j]. NaN after a single experience, or where later
    experiences were not asked about.

    Args:
        before: b, the accuracy on each test part before anything was learned.

    >>> round(forward_transfer([[0.9, 0.2], [0.7, 0.8]], before=[0.1, 0.1]), 9)
    0.1
    """
    rows, start = _rows(matrix), np.asarray(before, np.float64)
    last = len(rows) - 1
    return float((rows.diagonal(1)[:last] - start[1 : last + 1]).mean()) if last else float("nan")


def forgetting(matrix: Any) -> float:
    """Mean loss against the best there ever was, over all experiences but the last.

    A. Chaudhry, P. Dokania, T. Ajanthan, P. Torr, "Riemannian walk for incremental learning", ECCV 2018, section 4.2:
    1/(T−1) Σ_{j<T} max_{l<T} R[l, j] − R[T, j]. NaN after a single experience.

    >>> round(forgetting([[0.9, 0.2], [0.7, 0.8]]), 9)
    0.2
    """
    rows = _rows(matrix)
    last = len(rows) - 1
    return float((_best(rows[:-1, :last]) - rows[-1, :last]).mean()) if last else float("nan")


def worst_case_accuracy(matrix: Any, during: Sequence[Any]) -> float:
    """WC-ACC: the accuracy on the last experience, and of each earlier one the lowest that there was since it came.

    M. De Lange, G. van de Ven, T. Tuytelaars, "Continual evaluation for lifelong learning: identifying the stability
    gap", ICLR 2023 (arXiv 2205.13452), eq. 5: 1/T · R[T, T] + (1 − 1/T) · the mean over j < T of the lowest accuracy
    on experience j at any time after it was learned.

    Args:
        during: for each experience the accuracies (K, experiences) at K times while it was learned; columns of
            experiences that are not before it count for nothing.

    >>> round(worst_case_accuracy([[0.9, 0.0], [0.7, 0.8]], [[], [[0.5, 0.0], [0.6, 0.0]]]), 9)
    0.65
    """
    rows = _rows(matrix)
    last = len(rows) - 1
    lowest = [min(rows[j:, j].min(), *(float(np.asarray(asked)[:, j].min()) for asked in during[j + 1 : last + 1]
                                       if len(asked)), math.inf) for j in range(last)]
    return float((rows[last, last] + sum(lowest)) / (last + 1))


def stability_gap(matrix: Any, during: Sequence[Any]) -> FloatArray:
    """How far the accuracy on earlier experiences fell while one was learned, under what it was before, in shares.

    Args:
        during: see `worst_case_accuracy`.

    Returns:
        (T − 1, 2): for every experience but the first, how far the mean over the experiences before it fell at worst,
        and how much of this came back until its end. Neither is below 0.

    >>> stability_gap([[0.9, 0.0], [0.7, 0.8]], [[], [[0.5, 0.0], [0.6, 0.0]]]).round(9).tolist()
    [[0.4, 0.2]]
    """
    rows = _rows(matrix)
    found = np.zeros((len(rows) - 1, 2))
    for i in range(1, len(rows)):
        before, after = rows[i - 1, :i].mean(), rows[i, :i].mean()
        worst = min([after, *np.asarray(during[i], np.float64)[:, :i].mean(axis=1)] if len(during[i]) else [after])
        found[i - 1] = max(before - worst, 0.0), after - worst
    return found


def forgetting_of_each(recalls: Any, met: Any) -> FloatArray:
    """Chaudhry's measure for single classes: the loss against the best there ever was, on every test part of it.

    Args:
        recalls: (T, J, C): the share of class c's examples in test part j that were recognised after experience i,
            NaN where the part has none.
        met: (J,) the experience with which each part was first met; parts met by the last one count for nothing.

    Returns:
        (C,): the mean over test parts; NaN for a class that came with the last experience only.

    >>> forgetting_of_each([[[0.9, np.nan]], [[0.6, np.nan]]], met=[0]).round(3)
    array([0.3, nan])
    """
    values = np.asarray(recalls, np.float64)
    earlier = np.asarray(met) < len(values) - 1
    if not earlier.any():
        return np.full(values.shape[2], np.nan)
    losses = _best(values[:-1, earlier]) - values[-1, earlier]
    counted = np.isfinite(losses)
    with np.errstate(invalid="ignore"):
        mean: FloatArray = np.where(counted, losses, 0.0).sum(axis=0) / counted.sum(axis=0)
    return mean


def _best(values: FloatArray) -> FloatArray:
    """The largest along the first axis, NaN where there is none."""
    best = np.where(np.isnan(values), -np.inf, values).max(axis=0)
    return np.where(np.isinf(best), np.nan, best)


def _rows(matrix: Any) -> FloatArray:
    rows = np.asarray(matrix, np.float64)
    if rows.ndim != 2 or not 1 <= len(rows) <= rows.shape[1]:
        raise InputError(f"A matrix of accuracies has a column for each experience and no more rows: not {rows.shape}.")
    return rows


@dataclass(frozen=True)
class Cost:
    """What one experience cost, and what the learner holds after it.

    Attributes:
        learning, consolidating, asking: wall-clock seconds inside `learn`, `consolidate` and `predict`.
        examples: how many were taught.
        bytes: what the learner holds (`memory_bytes`, else the size of its `state`); None where it does not tell.
        samples: single examples that it keeps (`samples_stored`); None where it does not tell.
        multiply_adds: for one answer (`multiply_adds`); None where it does not tell.
        steps, shown: of gradient descent, and examples in them, since the start (`steps_taken`, `examples_shown`); None
            where it does not tell.
        dead_units, effective_rank: the share of its hidden units that are dead, and the effective rank of its features,
            on test inputs of the experience (`condition`); None where it does not tell.
    """

    learning: float
    consolidating: float
    asking: float
    examples: int
    bytes: int | None = None
    samples: int | None = None
    multiply_adds: int | None = None
    steps: int | None = None
    shown: int | None = None
    dead_units: float | None = None
    effective_rank: float | None = None


@dataclass(frozen=True)
class Report:
    """A learner on a stream, as far as it came. T experiences learned, J distinct test parts, C classes.

    Attributes:
        stream: name, settings and fingerprint of the stream.
        learner: name, kind and settings of the learner.
        experiences: the name of every experience of the stream.
        classes: the C labels asked about.
        part_of: the test part of every experience; several share one where they are asked about the same.
        totals: (J, C) examples in each test part.
        before: (J, C) of them recognised before anything was learned.
        right: (T, J, C) of them recognised after each experience; −1 where it was not asked.
        during: for each experience the times at which the learner was asked while it was learned: the examples taught
            so far, then, for each test part, how many were recognised, −1 where it was not asked. Empty: never.
        costs: T.
        left_out: each class that the stream never teaches, and how many test examples of it were not asked about.
        trained: the learner as it came out; not part of the JSON.
    """

    stream: Mapping[str, Any]
    learner: Mapping[str, Any]
    experiences: tuple[str, ...]
    classes: tuple[Label, ...]
    part_of: tuple[int, ...]
    totals: tuple[tuple[int, ...], ...]
    before: tuple[tuple[int, ...], ...]
    right: tuple[tuple[tuple[int, ...], ...], ...] = ()
    during: tuple[tuple[tuple[int, ...], ...], ...] = ()
    costs: tuple[Cost, ...] = ()
    left_out: tuple[tuple[Label, int], ...] = ()
    trained: Learner | None = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        known = f", accuracy {100 * self.accuracy:.1f}%" if self.right else ""
        return (f"<Report: {self.learner['name']} on {self.stream['name']}, {len(self.right)} of "
                f"{len(self.experiences)} experiences{known}{', ' if self.left_out else ''}{self.omission()}>")

    @property
    def complete(self) -> bool:
        """Whether every experience was learned."""
        return len(self.right) == len(self.experiences)

    @property
    def matrix(self) -> FloatArray:
        """(T, experiences): accuracy after experience i on the test part of experience j, in [0, 1]; NaN: not asked."""
        shape = (len(self.right), *np.shape(self.totals))
        return _share(np.array(self.right, np.float64).reshape(shape), self.totals)[:, list(self.part_of)]

    @property
    def untaught(self) -> FloatArray:
        """(experiences,): accuracy on each test part before anything was learned."""
        return _share(np.array(self.before, np.float64), self.totals)[list(self.part_of)]

    @property
    def accuracy(self) -> float:
        """ACC: see `continual.average_accuracy`."""
        return average_accuracy(self.matrix)

    @property
    def backward_transfer(self) -> float:
        """BWT: see `continual.backward_transfer`."""
        return backward_transfer(self.matrix)

    @property
    def forward_transfer(self) -> float:
        """FWT: see `continual.forward_transfer`. NaN where it is 0 by definition: where no class of a test part was
        part of an earlier experience, nobody can recognise any before it is taught."""
        classes = [{place for place, count in enumerate(self.totals[part]) if count} for part in self.part_of]
        seen: set[int] = set()
        for own in classes:
            if own & seen:
                return forward_transfer(self.matrix, self.untaught)
            seen |= own
        return math.nan

    @property
    def forgetting(self) -> float:
        """See `continual.forgetting`."""
        return forgetting(self.matrix)

    @property
    def forgetting_of_each(self) -> dict[Label, float]:
        """For every class: see `continual.forgetting_of_each`."""
        right, totals = np.array(self.right, np.float64), np.array(self.totals, np.float64)
        recalls = np.where((right >= 0) & (totals > 0), right / np.maximum(totals, 1), np.nan)
        met = [self.part_of.index(part) for part in range(len(totals))]
        return dict(zip(self.classes, forgetting_of_each(recalls, met).tolist(), strict=True))

    @property
    def any_time(self) -> FloatArray:
        """(T,): after each experience, the accuracy on all test examples of the experiences so far."""
        sums = np.array(self.totals).sum(axis=1)
        found = []
        for row, right in enumerate(self.right):
            seen = sorted(set(self.part_of[: row + 1]))
            found.append(np.array(right)[seen].sum() / sums[seen].sum())
        return np.array(found)

    @property
    def worst_case(self) -> float:
        """WC-ACC: see `worst_case_accuracy`. NaN where nothing was asked while an experience was learned."""
        return worst_case_accuracy(self.matrix, self._while_learning()) if self.during else math.nan

    @property
    def stability_gap(self) -> FloatArray:
        """(T − 1, 2): see `stability_gap`; empty where nothing was asked while an experience was learned."""
        return stability_gap(self.matrix, self._while_learning()) if self.during else np.zeros((0, 2))

    def _while_learning(self) -> list[FloatArray]:
        sums = np.array(self.totals).sum(axis=1)
        return [(np.array(asked, np.float64).reshape(len(asked), -1)[:, 1:] / sums)[:, list(self.part_of)]
                for asked in self.during]

    @property
    def seconds(self) -> dict[str, float]:
        """Wall-clock inside the learner, all experiences together."""
        return {name: math.fsum(getattr(cost, name) for cost in self.costs)
                for name in ("learning", "consolidating", "asking")}

    def is_joint(self) -> bool:
        """Whether a learner that trains in steps keeps every example: then it is joint training, by whatever name."""
        last, taught = self.costs[-1], sum(cost.examples for cost in self.costs)
        return last.steps is not None and last.samples is not None and last.samples >= taught

    def omission(self) -> str:
        """What was not asked about, in words; empty where everything was."""
        if not self.left_out:
            return ""
        missing = sum(count for _, count in self.left_out)
        total = missing + int(np.sum(self.totals))
        named = ", ".join(f"{label!r} ({count})" for label, count in self.left_out[:NAMED])
        more = f" and {len(self.left_out) - NAMED} more" if len(self.left_out) > NAMED else ""
        return f"{missing} of {total} test examples were not asked about, their classes are never taught: {named}{more}"

    def figures(self) -> dict[str, float | None]:
        """The numbers that learners are compared by; None where there is no such number. Shares are in [0, 1]."""
        last = self.costs[-1]
        values: dict[str, float | None] = {
            "accuracy": self.accuracy, "any-time": float(self.any_time.mean()), "worst-case": self.worst_case,
            "gap": float(self.stability_gap[:, 0].mean()) if len(self.stability_gap) else math.nan,
            "forgetting": self.forgetting,
            "BWT": self.backward_transfer, "FWT": self.forward_transfer, "bytes": last.bytes,
            "samples": last.samples, "multiply-adds": last.multiply_adds, "steps": last.steps,
            "examples-shown": last.shown, "dead-units": last.dead_units, "effective-rank": last.effective_rank,
            "seconds-learning": self.seconds["learning"] + self.seconds["consolidating"],
            "seconds-asking": self.seconds["asking"],
            "left-out": sum(count for _, count in self.left_out) or None,
        }
        return {name: None if value is None or math.isnan(value) else value for name, value in values.items()}

    def to_json(self) -> dict[str, Any]:
        """JSON values: everything measured, and the figures that follow."""
        counted = {name: value for name, value in vars(self).items() if name not in ("trained", "costs")}
        derived = {"figures": self.figures(), "matrix": _plain(self.matrix), "any_time": _plain(self.any_time),
                   "forgetting_of_each": _plain(np.array([*self.forgetting_of_each.values()])),} if self.right else {}
        return {"format": FORMAT, **counted, "costs": [asdict(cost) for cost in self.costs], **derived}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The report that `to_json` described.

        Raises:
            DamagedError: not such a document, or one of a later version.
        """
        try:
            if document["format"] != FORMAT:
                raise ValueError(f"format {document['format']}")
            parts = {name: _tuples(document[name]) for name in
                     ("experiences", "classes", "part_of", "totals", "before", "right")}
            return cls(dict(document["stream"]), dict(document["learner"]), **parts,
                       left_out=_tuples(document.get("left_out", [])),  # reports of earlier versions do not say
                       during=_tuples(document.get("during", [])),
                       costs=tuple(Cost(**cost) for cost in document["costs"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"Not the report of an evaluation: {error!r}. Evaluate again.") from error

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The report in a JSON file.

        Raises:
            DamagedError: not such a file.
        """
        try:
            return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except ValueError as error:
            raise DamagedError(f"{path} is not the report of an evaluation: {error}. Evaluate again.") from error

    def write(self, path: str | Path) -> None:
        """Write `to_json` to a file, whole or not at all; its folder is made where there is none.

        Raises:
            OSError: the disk refused.
        """
        make_folder(Path(path).parent)
        write_atomically(Path(path), (json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n").encode())

    def table(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Columns and rows for people: accuracies in percent, after each experience, and costs.

        Of streams longer than `WIDE` not the whole matrix, but the accuracy on what was learned last.
        """
        wide = len(self.experiences) > WIDE
        asked = ("on it",) if wide else tuple(f"on {name}" for name in self.experiences)
        rows = []
        for i, (accuracies, so_far, cost) in enumerate(zip(self.matrix, self.any_time, self.costs, strict=True)):
            shown = accuracies[i : i + 1] if wide else accuracies
            cells = (None if math.isnan(share) else f"{100 * share:.1f}" for share in shown)
            rows.append((self.experiences[i], *cells, f"{100 * so_far:.1f}", cost.bytes,
                         f"{cost.learning + cost.consolidating:.2f}"))
        return ("after", *asked, "so far", "bytes", "seconds"), rows


def _share(right: FloatArray, totals: Sequence[Sequence[int]]) -> FloatArray:
    asked = np.where((right < 0).any(axis=-1), np.nan, right.sum(axis=-1))
    share: FloatArray = asked / np.array(totals).sum(axis=1)
    return share


def _plain(values: FloatArray) -> Any:
    """Lists, NaN as None."""
    if values.ndim:
        return [_plain(value) for value in values]
    return None if np.isnan(values) else float(values)


def _tuples(values: Any) -> Any:
    return tuple(_tuples(value) for value in values) if isinstance(values, list | tuple) else values
