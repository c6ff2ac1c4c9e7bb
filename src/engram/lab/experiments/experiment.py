"""Running an experiment: seed after seed, resumable, into one result file with a plot beside it.

An experiment is one self-contained module with
    Config      a frozen dataclass of documented settings, the published run being its defaults;
    run         (config, seed, progress) -> dictionary of values, percentages as 0 to 100;
    PUBLISHED   the numbers of others, each with its source;
    FIGURES     key -> Figure: which value is published under which key, and its floor;
    plot        (result) -> matplotlib figure, from the result file's dictionary alone.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast, get_args, get_type_hints

from engram.lab.evaluation.plots import save_svg
from engram.lab.experiments.result import Figure, Values, build, fingerprint, plain, write_json
from engram.lab.experiments.steps import forget
from engram.learner import EngramError

Progress = Callable[[float, str], None]
"""Called with the share that is done, in [0, 1], and what is going on."""


class Experiment(Protocol):
    """What an experiment's module holds."""

    Config: type[Any]
    PUBLISHED: Mapping[str, Any]
    FIGURES: Mapping[str, Figure]

    def run(self, config: Any, seed: int, progress: Progress) -> Values:
        """All values of one seed."""

    def plot(self, result: Mapping[str, Any]) -> Any:
        """The result as a matplotlib figure."""


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """One setting of an experiment: its name, its value in the published run, and what it means."""

    name: str
    default: Any
    meaning: str


class ExperimentError(EngramError, ValueError):
    """An experiment, a setting or a result that does not exist."""


def silent(share: float, message: str) -> None:
    """A progress that nobody watches."""


def configure(experiment: Experiment, settings: Mapping[str, Any]) -> Any:
    """The experiment's Config with some settings changed; texts are read as the setting's own type.

    Raises:
        ExperimentError: a setting that the experiment does not have, or a value it cannot be.
    """
    defaults = experiment.Config()
    known = {field.name: getattr(defaults, field.name) for field in dataclasses.fields(defaults)}
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ExperimentError(f"Unknown setting {', '.join(unknown)}. Choose from: {', '.join(known)}."
                              " What they mean: engram experiment settings NAME.")
    wanted = {key: _as_type_of(known[key], value, key) for key, value in settings.items()}
    hints = get_type_hints(experiment.Config)
    for key, value in wanted.items():
        _check(key, value, known[key], hints[key])
    return dataclasses.replace(defaults, **wanted)


def settings_of(experiment: Experiment) -> list[Setting]:
    """Every setting of an experiment, with its meaning out of the docstring of its Config."""
    section = inspect.cleandoc(experiment.Config.__doc__ or "").partition("Attributes:\n")[2]
    meanings = {name: " ".join(meaning.split())
                for names, meaning in re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {5,}.*)*)", section, re.MULTILINE)
                for name in names.split(", ")}
    return [Setting(field.name, field.default, meanings.get(field.name, ""))
            for field in dataclasses.fields(experiment.Config)]


def execute(
    name: str,
    experiment: Experiment,
    seeds: int | Iterable[int],
    out: Path,
    progress: Progress = silent,
    settings: Mapping[str, Any] | None = None,
    fresh: bool = False,
) -> dict[str, Any]:
    """Run every seed that is not there yet, then write the result file and its plot.

    Each seed's values are written the moment they exist (`OUT/NAME/seed-K.json`), so an interrupted run
    goes on where it stopped; a seed measured with other settings is measured again. A run with changed
    settings has a name of its own (`ldnn-mnist-withhold=7`) and feeds no published figure.

    Args:
        seeds: how many (0, 1, …), or which.
        settings: what differs from the published Config.
        fresh: measure again what is already there, steps of an interrupted seed included.

    Returns:
        The result, as written to `OUT/NAME.json`.

    Raises:
        ExperimentError: an unknown setting, no seeds, or fewer than has the result that stands there (unless fresh).
    """
    config = configure(experiment, settings or {})
    numbers = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if not numbers:
        raise ExperimentError("Nothing to run: 0 seeds.")
    changed, path = _changed(experiment, config), result_file(name, experiment, out, settings or {})
    if fresh:
        forget(name, dataclasses.asdict(config))
    else:
        _refuse_fewer(len(numbers), path)
    runs = []
    for i, seed in enumerate(numbers):
        runs.append(_seed(experiment, config, seed, path.with_suffix("") / f"seed-{seed}.json", fresh,
                          part(progress, i, len(numbers), f"seed {seed}")))
    result = build(
        name, _summary(experiment), _command(name, numbers, changed), dataclasses.asdict(config), numbers,
        runs, {} if changed else experiment.FIGURES, experiment.PUBLISHED,
    )
    write_json(path, result)
    save_plot(experiment, result, path.with_suffix(".svg"))
    progress(1.0, "done")
    return result


def result_file(name: str, experiment: Experiment, out: Path, settings: Mapping[str, Any]) -> Path:
    """Where `execute` writes the result of these settings."""
    changed = _changed(experiment, configure(experiment, settings))
    return out / (name + "".join(f"-{key}={as_text(value)}" for key, value in changed.items()) + ".json")


def save_plot(experiment: Experiment, result: Mapping[str, Any], path: Path) -> None:
    """Draw a result as SVG, the same bytes for the same result."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({"svg.hashsalt": "engram", "svg.fonttype": "none"}):
        figure = experiment.plot(result)
        save_svg(figure, path)
    plt.close(figure)


def _changed(experiment: Experiment, config: Any) -> dict[str, Any]:
    """What differs from the published Config."""
    published = dataclasses.asdict(experiment.Config())
    return {key: value for key, value in dataclasses.asdict(config).items() if value != published[key]}


def _refuse_fewer(seeds: int, path: Path) -> None:
    """Raises ExperimentError where a result of more seeds would be replaced; a damaged file counts as none."""
    try:
        before = len(json.loads(path.read_text(encoding="utf-8"))["seeds"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if seeds < before:
        raise ExperimentError(f"{path} has {before} seeds and would be replaced by {seeds}: write elsewhere"
                              f" (--out DIR), run --seeds {before}, or replace it (--fresh).")


def _seed(
    experiment: Experiment, config: Any, seed: int, path: Path, fresh: bool, progress: Progress
) -> Values:
    mark = fingerprint(dataclasses.asdict(config))
    known = None if fresh else _stored(path, mark)
    if known is not None:
        progress(1.0, "measured before")
        return known
    progress(0.0, "starting")
    start = time.perf_counter()
    values = cast(Values, plain(experiment.run(config, seed, progress)))
    values["run-seconds"] = round(time.perf_counter() - start, 1)
    write_json(path, {"config_sha256": mark, "seed": seed, "values": values})
    progress(1.0, "measured")
    return values


def _stored(path: Path, mark: str) -> Values | None:
    """The values of an earlier run with the same settings; a damaged file counts as none."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return cast(Values, stored["values"]) if stored["config_sha256"] == mark else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def part(progress: Progress, place: int, parts: int, name: str) -> Progress:
    """The progress of one of so many parts, by its name.

    >>> part(lambda share, what: print(share, what), 1, 2, "second half")(0.5, "running")
    0.75 second half: running
    """
    return lambda share, what: progress((place + min(max(share, 0.0), 1.0)) / parts, f"{name}: {what}")


def _summary(experiment: Experiment) -> str:
    return (experiment.__doc__ or " ").strip().partition("\n")[0]


def _command(name: str, seeds: list[int], changed: Mapping[str, Any]) -> str:
    settings = "".join(f" --set {key}={as_text(value)}" for key, value in changed.items())
    return f"engram experiment run {name} --seeds {max(seeds) + 1}{settings}"


def as_text(value: Any) -> str:
    """A setting's value as `--set` takes it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _check(key: str, value: Any, default: Any, hint: Any) -> None:
    """Raises ExperimentError for too many or few of them, and for a number below 0 where the published are above."""
    if not isinstance(value, tuple):
        value, default = (value,), (default,)
    elif Ellipsis not in get_args(hint) and len(value) != len(default):
        raise ExperimentError(f"Setting {key} is {len(default)} values, like {as_text(default)};"
                              f" not {as_text(value)}.")
    above = any(isinstance(usual, int | float) and usual > 0 for usual in default)
    if above and any(number < 0 for number in value):
        raise ExperimentError(f"Setting {key} is never negative, like {as_text(default)}; not {as_text(value)}.")


def _as_type_of(default: Any, value: Any, key: str) -> Any:
    try:
        if isinstance(default, tuple):
            parts = value.split(",") if isinstance(value, str) else list(value)
            return tuple(type(default[0])(part) if default else part for part in parts)
        if isinstance(default, bool) and isinstance(value, str):
            return {"true": True, "false": False}[value.lower()]
        return value if default is None else type(default)(value)
    except (ValueError, TypeError, KeyError) as error:
        wanted = type(default).__name__
        raise ExperimentError(f"Setting {key} is a {wanted}, like {default!r}; not {value!r}.") from error
