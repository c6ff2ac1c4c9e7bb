"""`engram evaluate`: learners side by side on a stream, made by name with settings; see `engram.lab.evaluation`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache, partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engram.cli.output import Json, emit, progress, resumable, say, table
from engram.lab.by_name import kind_of, learner_table, make_learner, require_taken
from engram.lab.data_sets import DATA_SETS, load, resizable

if TYPE_CHECKING:
    from engram.features.backbones.bundle import Bundle
    from engram.lab.data_sets.data_set import Change, DataSet
    from engram.lab.evaluation.comparison import Comparison
    from engram.lab.streams.stream import Stream
    from engram.learner import Learner
    from engram.progress import Progress


LARGE = 256
"""Pixels of the pictures that a backbone is shown, where they come in many sizes."""

LONG = 4096
"""Numbers of an input from which on a head with a covariance of them, whose cost is cubic, takes minutes and hours."""

PICTURES_CHANGE = ("permuted", "rotated")
"""Arrivals for which features cannot be made once, beforehand."""


def evaluate(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help=f"{', '.join(DATA_SETS)}; or a folder with one folder of"
                            " pictures per class.")
    ],
    names: Annotated[
        list[str], typer.Argument(metavar="LEARNER...", help=f"One or more of {', '.join(learner_table())}; or"
                                  " module:Class of your own; with settings as in ridge:penalty=1,step=0.01.")
    ],
    arrival: Annotated[
        str, typer.Option("--arrival", metavar="HOW", help="How the data are split: class, task, domain, permuted,"
                          " rotated, data, one-by-one or blurry.")
    ] = "class",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the arrival, such as per=5 or"
                                       " held_out=0.1; repeatable.")
    ] = None,
    validation: Annotated[
        bool, typer.Option("--validation", help="Evaluate on examples held out of the training part (default: a tenth)"
                           " instead of the test part. Use it to choose settings.")
    ] = False,
    backbone: Annotated[
        str | None, typer.Option("--backbone", metavar="NAME", help="Learn from the features of this backbone"
                                 " (default: from raw pixels).")
    ] = None,
    side: Annotated[
        int | None, typer.Option("--side", metavar="PIXELS", min=1, help="Resize pictures to PIXELS on each side"
                                 " (default 64;"
                                 f" {LARGE} with --backbone).")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Run seeds 0 to N - 1.")] = 1,
    every: Annotated[
        int | None, typer.Option("--every", metavar="N", min=1, help="Teach each part N examples at a time and also ask"
                                 " after each of them: reports the worst accuracy on the way.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write comparison.json, a plot and every report there;"
                                  " an interrupted command resumes from it.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start again, ignoring results in --out.")] = False,
    as_json: Json = False,
) -> None:
    """Compare learners on a data set that arrives in parts.

    After every part, called an experience, the learner predicts the test examples of all parts. Reports accuracy,
    forgetting, transfer, memory, training and time. All strategies train the same network for equally many steps,
    unless their settings say otherwise. The seed draws the test part of a folder and, from seed 1 on, the order of the
    classes. With --out, repeating an interrupted command resumes it.
    """
    from engram.lab.evaluation.comparison import compare

    wanted = [parse_learner(name) for name in names]
    for name, chosen in wanted:
        kind_of(name)
        try:
            require_taken(name, chosen)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    made_with = parse_settings(settings or [])
    if validation:
        made_with.setdefault("held_out", 0.1)
    goes_on = nullcontext() if out is None else resumable(fresh=fresh)
    with goes_on, progress("reading", quiet=as_json) as report:
        bundle, inputs, change = _inputs(data, arrival, backbone, side, report)

        def stream(seed: int) -> Stream:
            found = _arriving(inputs(seed), arrival, {"seed": seed, **made_with}).map(change)
            return found.validation() if validation else found

        first = stream(0)
        if bundle is None and not as_json:
            _tell_if_slow([name for name, _ in wanted], math.prod(first.input_shape))
        makers = {_called(name, chosen): partial(_made, name, chosen, first, bundle) for name, chosen in wanted}
        found = compare(makers, stream, seeds=seeds, out=out, resume=not fresh, every=every, progress=report)
    if out is not None:
        _leave(found, out)
    if as_json:
        emit(found.to_json())
        return
    columns, rows = found.table()
    table(columns, rows, title=first.name)
    if len(found.reports) == 1 and seeds == 1:
        table(*next(iter(found.reports.values()))[0].table(), title="accuracy (%)")
    for note in found.notes():
        say(f"{note}.")


def _made(name: str, chosen: dict[str, Any], stream: Stream, bundle: Bundle | None, seed: int) -> Learner:
    return make_learner(name, chosen, stream, seed, bundle)


def _inputs(
    data: str, arrival: str, backbone: str | None, side: int | None, report: Progress
) -> tuple[Bundle | None, Callable[[int], DataSet], Change]:
    """From a seed to the data, and what makes vectors of them as they arrive: pixels from 0 to 1, or a backbone's
    features."""
    from engram.lab.streams import flattened, from_folder

    if backbone is not None and side is None and (data not in DATA_SETS or resizable(data)):
        side = LARGE
    if data in DATA_SETS:
        loaded = load(data, side=side)
        raw: Callable[[int], DataSet] = lru_cache(lambda seed: loaded)  # it has a test part of its own
    elif Path(data).is_dir():
        raw = lru_cache(lambda seed: from_folder(data, side=side or 64, seed=seed))
    else:
        raise typer.BadParameter(f"{data!r} is neither a folder nor a data set. Data sets: {', '.join(DATA_SETS)}.")
    if backbone is None:
        return None, raw, flattened
    from engram.features.backbones.catalogue import bundle_of

    bundle = bundle_of(backbone)
    if arrival in PICTURES_CHANGE:
        return bundle, raw, bundle.features

    @lru_cache
    def seen(seed: int) -> DataSet:
        return raw(seed).map(bundle.features).in_memory(
            lambda done, total: report(done, total, "looking at pictures"))

    return bundle, seen, flattened


def _arriving(data: DataSet, arrival: str, settings: dict[str, Any]) -> Stream:
    from engram.lab.streams import ARRIVALS

    if arrival not in ARRIVALS:
        raise typer.BadParameter(f"--arrival is one of {', '.join(ARRIVALS)}, not {arrival!r}.")
    taken = [name for name in signature(ARRIVALS[arrival]).parameters if name != "data"]
    unknown = sorted(set(settings) - set(taken))
    if unknown:
        raise typer.BadParameter(f"{arrival} takes no {', '.join(unknown)}. It takes {', '.join(taken)}.")
    if "shuffle" in taken and "groups" not in settings:
        settings = {"shuffle": settings["seed"] > 0, **settings}
    return ARRIVALS[arrival](data, **settings)


def _tell_if_slow(names: list[str], numbers: int) -> None:
    slow = [name for name in names if getattr(kind_of(name)[0], "cubic", False)]
    if slow and numbers > LONG:
        say(f"engram: each input has {numbers:,} values, which is slow with {', '.join(slow)};"
            " for pictures, pass --backbone photos or a smaller --side.", aside=True)


def _called(name: str, chosen: dict[str, Any]) -> str:
    return name + "".join(f"-{key}={value}" for key, value in chosen.items())


def _leave(found: Comparison, out: Path) -> None:
    import json

    from engram.files import write_atomically
    from engram.lab.evaluation.plots import save_svg

    write_atomically(out / "comparison.json", (json.dumps(found.to_json(), indent=1) + "\n").encode())
    try:
        save_svg(found.plot(), out / "comparison.svg")
    except ImportError as error:
        from engram.extras import refusal

        say(str(refusal(error, "The plot") or error), aside=True)


def parse_learner(text: str) -> tuple[str, dict[str, Any]]:
    """Name and settings out of NAME or NAME:KEY=VALUE,KEY=VALUE; values are read as JSON where they can be.

    A name may be a short one, and have hyphens; or be MODULE:CLASS.

    Raises:
        BadParameter: no such learner, or no settings.

    >>> parse_learner("nearest_neighbors:k=3,weights=distance")
    ('nearest_neighbors', {'k': 3, 'weights': 'distance'})
    >>> parse_learner("my_methods:StayNear:strength=2")
    ('my_methods:StayNear', {'strength': 2})
    >>> parse_learner("grow-and-prune:parameters=9000,recipe.all_epochs=3")
    ('grow_and_prune', {'parameters': 9000, 'recipe': {'all_epochs': 3}})
    """
    given, _, rest = text.partition(":")
    try:
        name = learner_table().name_of(given)
    except ValueError as error:
        own, _, rest = rest.partition(":")
        if not own.isidentifier():
            raise typer.BadParameter(str(error)) from error
        name = f"{given}:{own}"
    return name, parse_settings(rest.split(",") if rest else [])


def parse_settings(texts: list[str]) -> dict[str, Any]:
    """KEY=VALUE texts as a dictionary; values are read as JSON where they can be. KEY.KEY=VALUE is within a dictionary.

    Raises:
        BadParameter: a text without an equals sign.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"A setting must be KEY=VALUE, not {text!r}.")
        *outer, last = key.split(".")
        inside = found
        for name in outer:
            inside = inside.setdefault(name, {})
            if not isinstance(inside, dict):
                raise typer.BadParameter(f"{name} is set as a whole and again in part: {text!r}.")
        try:
            inside[last] = json.loads(value)
        except ValueError:
            inside[last] = value
    return found
