"""Writes what must not be typed by hand: the command reference, every number in README and docs, and the animation of
a growing network.

    python docs/generate.py            writes
    python docs/generate.py --check    names what is stale; exit code 1 if anything is

Numbers come from `results/figures.json`. In a page, a table is the comment

    <!-- figures
    ldnn-mnist.batch-5 | after 5 images of each digit
    -->

followed by what this script writes, up to `<!-- /figures -->`. `key | description | unit` shows a figure in another
unit: `%` for a share, `count` for a bare number. A number in prose stands between `<!-- figure ldnn-mnist.batch-5 -->`
and `<!-- /figure -->`, and `<!-- plot ldnn-mnist | what it shows -->` with `<!-- /plot -->` holds the plot, if any.
`<!-- floors -->` up to `<!-- /floors -->` lists every floor that is missed.
`<!-- rows HEADS -->` up to `<!-- /rows -->` holds the table of what can be chosen, from one of `TABLES`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

from growing_network import film_of, growing_network
from http_reference import http_reference, scopes_reference

from engram.cli import app
from engram.extension import Extensions
from engram.features.backbones import BACKBONES
from engram.features.cores import CORES
from engram.features.pretraining import RECIPES
from engram.features.pretraining.families import FAMILIES
from engram.heads import HEADS
from engram.lab.data_sets import DATA_SETS
from engram.lab.experiments import expected_figures
from engram.networks.strategies import STRATEGIES

ROOT = Path(__file__).parents[1]
COMMANDS = ROOT / "docs" / "commands.md"
HTTP = ROOT / "docs" / "http.md"
FILM = ROOT / "results" / "growprune-connectivity.json"
ANIMATION = ROOT / "docs" / "growing-network.svg"
ROUTES = re.compile(r"(<!-- routes -->\n).*?(<!-- /routes -->)", re.DOTALL)
MAY = re.compile(r"(<!-- scopes -->\n).*?(<!-- /scopes -->)", re.DOTALL)
TABLE = re.compile(r"(<!-- figures\n(.*?)-->\n).*?(<!-- /figures -->)", re.DOTALL)
NUMBER = re.compile(r"(<!-- figure (\S+) -->).*?(<!-- /figure -->)", re.DOTALL)
PLOT = re.compile(r"(<!-- plot (\S+) \| (.*?) -->\n).*?(<!-- /plot -->)", re.DOTALL)
FLOORS = re.compile(r"(<!-- floors -->\n).*?(<!-- /floors -->)", re.DOTALL)
ROWS = re.compile(r"(<!-- rows (\w+) -->\n).*?(<!-- /rows -->)", re.DOTALL)
TABLES: dict[str, Extensions[Any]] = {
    "HEADS": HEADS, "STRATEGIES": STRATEGIES, "BACKBONES": BACKBONES, "RECIPES": RECIPES, "FAMILIES": FAMILIES,
    "DATA_SETS": DATA_SETS, "CORES": CORES,
}
NOT_MEASURED = "not measured yet"
COUNTED = ("count", "correlation", "r", "examples", "states", "places", "cases", "answers", "searches", "steps",
           "flows", "epochs")
UNITS = {"%": "%", "ratio": "×", "1/s": " per second"} | dict.fromkeys(COUNTED, "")

Figures = Mapping[str, Mapping[str, Any]]


class Floor(Protocol):
    """What a figure is held against: `engram.lab.experiments.result.Figure`."""

    unit: str
    floor: str

    def holds(self, measured: float) -> bool:
        """Whether a mean is on the right side."""


Floors = Mapping[str, Floor]


def pages() -> dict[Path, str]:
    """Every generated page, and every page with numbers in it, as it should be."""
    measured_file = ROOT / "results" / "figures.json"
    figures = json.loads(measured_file.read_text(encoding="utf-8")) if measured_file.exists() else {}
    wanted = {COMMANDS: command_reference()}
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        if path != COMMANDS:
            text = with_numbers(with_rows(path.read_text(encoding="utf-8")), figures, expected_figures())
            wanted[path] = with_plots(with_floors(text, figures, expected_figures()), path.parent)
    film = film_of(json.loads(FILM.read_text(encoding="utf-8"))) if FILM.exists() else None
    if film:
        wanted[ANIMATION] = growing_network(film)
    wanted[HTTP] = ROUTES.sub(lambda found: f"{found[1]}\n{http_reference()}\n{found[2]}", wanted[HTTP])
    wanted[HTTP] = MAY.sub(lambda found: f"{found[1]}\n{scopes_reference()}\n{found[2]}", wanted[HTTP])
    return wanted


def stale() -> list[Path]:
    """The pages that are not as they should be."""
    return [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def with_numbers(text: str, figures: Figures, floors: Floors | None = None) -> str:
    """The page with its tables and numbers as the figures have them, and each missed floor beside its number.

    Raises:
        ValueError: a comment that is opened and never closed.
    """
    if text.count("<!-- figure") != len(TABLE.findall(text)) + len(NUMBER.findall(text)):
        raise ValueError("A <!-- figure --> without its closing comment.")
    text = TABLE.sub(lambda found: found[1] + table(found[2], figures, floors or {}) + found[3], text)
    return NUMBER.sub(lambda found: found[1] + measured(figures.get(found[2])) + found[3], text)


def with_floors(text: str, figures: Figures, floors: Floors) -> str:
    """The page with the list of every floor that is missed or not measured."""
    return FLOORS.sub(lambda found: found[1] + missed(figures, floors) + found[2], text)


def with_plots(text: str, folder: Path) -> str:
    """The page, in this folder, with the plots that there are."""
    up = "../" * len(folder.relative_to(ROOT).parts)

    def plot(found: re.Match[str]) -> str:
        there = (ROOT / "results" / f"{found[2]}.svg").exists()
        return found[1] + (f"\n![{found[3]}]({up}results/{found[2]}.svg)\n\n" if there else "") + found[4]

    return PLOT.sub(plot, text)


def with_rows(text: str) -> str:
    """The page with its tables of what can be chosen as the code has them."""
    return ROWS.sub(lambda found: found[1] + rows(TABLES[found[2]]) + found[3], text)


def rows(of: Extensions[Any]) -> str:
    """A Markdown table of what can be chosen: name, what it is, what it takes, source.

    >>> from engram.extension import Extension
    >>> box = Extension(path="shapes:Box", summary="a box", short=("b",), takes=("wood",))
    >>> print(rows(Extensions("shape", {"box": box})))
    <BLANKLINE>
    | shape | | takes | source |
    |---|---|---|---|
    | `box` (`b`) | a box | wood | |
    <BLANKLINE>
    <BLANKLINE>
    """
    lines = ["", f"| {of.what} | | takes | source |", "|---|---|---|---|"]
    for name, row in of.items():
        called = f"`{name}`" + "".join(f" (`{short}`)" for short in row.short)
        lines.append(f"| {called} | {row.summary} | {' or '.join(row.takes)} | {row.source}".rstrip() + " |")
    return "\n".join([*lines, "", ""])


def table(rows: str, figures: Figures, floors: Floors) -> str:
    """A Markdown table of `key | description` or `key | description | unit` lines."""
    lines = ["", "| | measured | published elsewhere |", "|---|---|---|"]
    for row in rows.strip().splitlines():
        key, description, unit = [*(part.strip() for part in row.split("|")), ""][:3]
        figure = in_unit(figures.get(key), unit)
        verdict = "" if figure is None or key not in floors else verdict_of(figures[key], floors[key])
        lines.append(f"| {description} | {measured(figure)}{verdict} | {published(figure)} |")
    return "\n".join([*lines, "", ""])


def missed(figures: Figures, floors: Floors) -> str:
    """How many floors hold, and a Markdown table of those that do not."""
    with_floor = {key: floor for key, floor in sorted(floors.items()) if floor.floor != "report"}
    absent = [key for key in with_floor if key not in figures]
    below = [key for key, floor in with_floor.items() if key in figures and not floor.holds(figures[key]["mean"])]
    held = len(with_floor) - len(absent) - len(below)
    lines = [
        "", f"Of {len(with_floor)} floors {held} hold, {len(below)} are missed and {len(absent)} are not measured yet.",
        "", "| figure | measured | floor |", "|---|---|---|",
        *(f"| `{key}` | {measured(figures[key])} | {floor_of(with_floor[key])} |" for key in below),
        *(f"| `{key}` | {NOT_MEASURED} | {floor_of(with_floor[key])} |" for key in absent),
    ]
    return "\n".join([*lines, "", ""])


def verdict_of(figure: Mapping[str, Any], floor: Floor) -> str:
    """What stands behind a number that is on the wrong side of its floor; else nothing."""
    return "" if floor.holds(figure["mean"]) else f", **missed: {floor_of(floor)}**"


def floor_of(floor: Floor) -> str:
    """A floor with its unit, such as "at most 10 points"."""
    return "yes" if floor.unit == "flag" else floor.floor.replace("-", "−") + unit_of(floor.unit)


def in_unit(figure: Mapping[str, Any] | None, unit: str) -> Mapping[str, Any] | None:
    """A figure in the unit that its row asks for.

    >>> measured(in_unit({"mean": 0.824, "sd": 0.0, "n": 1, "unit": "ratio"}, "%"))
    '82.40%'
    """
    if figure is None or not unit:
        return figure
    factor = 100 if unit == "%" and figure["unit"] == "ratio" else 1
    return {**figure, "unit": unit, "mean": factor * figure["mean"], "sd": factor * figure["sd"]}


def measured(figure: Mapping[str, Any] | None) -> str:
    """Mean and standard deviation with its unit, as prose has it.

    >>> measured({"mean": 98.913, "sd": 0.061, "n": 5, "unit": "%"})
    '98.91 ± 0.06%'
    >>> measured({"mean": -0.1, "sd": 0.0, "n": 1, "unit": "points"})
    '−0.10 points'
    >>> measured({"mean": 0.0, "sd": 0.0, "n": 5, "unit": "examples"})
    '0'
    >>> measured({"mean": 1.0, "sd": 0.0, "n": 5, "unit": "flag"})
    'yes'
    """
    if figure is None:
        return NOT_MEASURED
    mean, sd, unit = figure["mean"], figure["sd"], figure["unit"]
    if unit == "flag":
        return "yes" if mean == 1 else "no"
    whole = abs(mean) >= 1000 or (mean == round(mean) and not round(sd, 2))
    digits = 0 if whole else 1 if unit == "epochs" else 2
    shown = f"{mean:,.{digits}f}" + (f" ± {sd:,.{digits}f}" if round(sd, digits) else "")
    return shown.replace("-", "−") + unit_of(unit)


def unit_of(unit: str) -> str:
    """A unit as it stands behind a number; what the row's words count needs none."""
    return UNITS.get(unit, f" {unit}")


def published(figure: Mapping[str, Any] | None) -> str:
    """The number of others with its source, or nothing."""
    if figure is None or figure["published"] is None:
        return ""
    return f"{figure['published']:,g}{unit_of(figure['unit'])} ({figure['source']})"


def command_reference() -> str:
    """The help texts of all commands as one page."""
    parts = [
        "# Commands\n",
        "Every command answers in text for people, or with `--json` in one JSON document on standard output.\n"
        "Exit codes: 0 done, 1 refused (the message says what to do), 2 wrong usage, 130 interrupted.\n"
        "`engram --install-completion` teaches your shell to complete commands and options.\n",
    ]
    parts += [f"## engram {name}\n\n```text\n{help_of(name)}\n```\n" for name in names(app.COMMANDS)]
    return "\n".join(parts)


def names(commands: app.Commands, prefix: str = "") -> list[str]:
    """All commands, those of groups with the group's name before them."""
    found = []
    for name, target in commands.items():
        found += [prefix + name] if isinstance(target, str) else names(target, f"{prefix}{name} ")
    return found


def help_of(name: str) -> str:
    """What `engram NAME --help` prints at 80 columns."""
    shown = StringIO()
    with redirect_stdout(shown), patch.dict(os.environ, COLUMNS="80"):
        app.run([*name.split(), "--help"])
    return shown.getvalue().rstrip()


def main(arguments: list[str]) -> int:
    """Write the pages, or only check them."""
    old = stale()
    for path in old:
        print(path.relative_to(ROOT))
    if "--check" in arguments:
        return 1 if old else 0
    wanted = pages()
    for path in old:
        path.write_text(wanted[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
