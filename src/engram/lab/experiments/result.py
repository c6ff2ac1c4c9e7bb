"""What a finished measurement leaves behind: one JSON with everything needed to judge and to repeat it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from engram.files import make_folder, write_atomically

FORMAT = 1
PACKAGES = ("engram", "numpy", "onnxruntime", "torch", "scikit-learn", "scipy", "river")
Values = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """One published figure: which value of a run it is, and what it is held against.

    Attributes:
        value: the key in `run`'s dictionary: one number per seed.
        unit: "%", "points", "ratio", "correlation", "count", "flag" or a unit of time. Percentages are 0 to 100.
        at_least, at_most: the floor, and which way it points; both: a range; neither: report only.
        published: the number of others that it stands beside.
        source: where that number was published.

    >>> Figure("auroc", "%", at_least=99.0).holds(99.2)
    True
    >>> Figure("refused", "%", at_least=1.5, at_most=3.0).floor
    '1.5 to 3'
    """

    value: str
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    published: float | None = None
    source: str | None = None

    def holds(self, measured: float) -> bool:
        """Whether a measured mean is on the right side of the floor."""
        above = self.at_least is None or measured >= self.at_least
        return above and (self.at_most is None or measured <= self.at_most)

    @property
    def floor(self) -> str:
        """The floor in words."""
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return "report" if self.at_most is None else f"at most {self.at_most:g}"


def build(
    name: str,
    summary: str,
    command: str,
    config: Mapping[str, Any],
    seeds: Sequence[int],
    runs: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Figure],
    published: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The result of several runs in the layout that every experiment and benchmark writes.

    Args:
        runs: one dictionary of values for each seed (or repetition). A value is a number, a nested list
            or array of numbers, a text, or a dictionary of these; a run may leave a value out.

    Returns:
        A JSON-able dictionary: `values` holds for each name the list over seeds with mean and sd
        (elementwise for curves and matrices), `figures` the figures as `figures.json` wants them; one
        whose value no run has is left out, and `engram experiment check` says that it is missing.

    >>> done = build("toy", "", "engram experiment run toy", {}, [0, 1], [{"a": 1.0}, {"a": 3.0}],
    ...              {"toy.a": Figure("a", "%")})
    >>> done["figures"]["toy.a"]["mean"]
    2.0
    """
    plain_runs = [plain(run) for run in runs]
    values = {key: _summarise([run[key] for run in plain_runs if run.get(key) is not None])
              for key in dict.fromkeys(key for run in plain_runs for key in run)}
    return {
        "format": FORMAT,
        "experiment": name,
        "summary": summary,
        "command": command,
        "config": plain(config),
        "seeds": list(seeds),
        "environment": environment(),
        "figures": {key: _figure(figure, values[figure.value], command)
                    for key, figure in figures.items() if "mean" in values.get(figure.value, {})},
        "published": plain(published or {}),
        "values": values,
    }


def deliver(result: Mapping[str, Any], out: Path | None, *, as_json: bool) -> None:
    """Write a benchmark's result to a file, if one is named, and print it: as JSON, or a line for each value."""
    if out is not None:
        write_json(out, result)
    if as_json:
        print(json.dumps(result))
        return
    for name, value in sorted(result["values"].items()):
        print(f"{name:45s} {value['mean']:12.3f} ± {value['sd']:.3f}")


def plain(value: Any) -> Any:
    """The value as JSON knows it: arrays as lists, NaN and infinity as null, floats to 7 digits. Raises TypeError for
    others.

    >>> plain({"a": np.array([1.0, np.nan]), 3: (True, np.int64(2))})
    {'a': [1.0, None], '3': [True, 2]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"A result holds numbers, lists, texts and dictionaries, not {type(value).__name__}.")


def averaged(drawn: Sequence[Values]) -> Values:
    """The mean of each number over dictionaries of one shape.

    >>> averaged([{"a": 1, "b": {"c": 2}}, {"a": 3, "b": {"c": 2}}])
    {'a': 2.0, 'b': {'c': 2.0}}
    """
    return {
        name: averaged([one[name] for one in drawn]) if isinstance(value, Mapping)
        else float(np.mean([one[name] for one in drawn]))
        for name, value in drawn[0].items()
    }


def fingerprint(config: Mapping[str, Any]) -> str:
    """SHA-256 of a configuration, equal exactly when every setting is."""
    return hashlib.sha256(json.dumps(plain(config), sort_keys=True).encode()).hexdigest()


def environment() -> dict[str, Any]:
    """The machine and the versions a measurement was made with."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),
    }


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all: an interruption leaves the old one or the new one."""
    make_folder(path.parent)
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode(), public=True)


def _summarise(items: list[Any]) -> Any:
    """Values over seeds with mean and sd wherever they are numbers of one shape."""
    if items and all(isinstance(item, dict) for item in items):
        keys = dict.fromkeys(key for item in items for key in item)
        return {key: _summarise([item[key] for item in items if item.get(key) is not None]) for key in keys}
    try:
        array = np.asarray(items, dtype=np.float64)
    except (TypeError, ValueError):
        return {"values": items}
    if not array.size or any(isinstance(item, str) for item in items):
        return {"values": items}
    spread = array.std(axis=0, ddof=1) if len(items) > 1 else np.zeros(array.shape[1:])
    return {"values": items, "mean": plain(array.mean(axis=0)), "sd": plain(spread), "n": len(items)}


def _figure(figure: Figure, value: Mapping[str, Any], command: str) -> dict[str, Any]:
    return {
        "mean": value["mean"], "sd": value["sd"], "n": value["n"], "unit": figure.unit,
        "published": figure.published, "source": figure.source, "command": command,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
                platform.processor())
