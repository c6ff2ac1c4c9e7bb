"""`engram experiment`: the measurements behind every published figure; see `engram.lab.experiments`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from engram.cli.output import REFUSED, Json, emit, progress, resumable, say, table

Results = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the result files.")]


def list_experiments(as_json: Json = False) -> None:
    """List the experiments."""
    import engram.lab.experiments as experiments

    known = experiments.list_experiments()
    if as_json:
        emit([{"name": name, "summary": summary} for name, summary in known.items()])
    else:
        table(("name", "what it shows"), known.items())


def run_experiment(
    name: Annotated[str, typer.Argument(metavar="NAME", help="See `engram experiment list`.")],
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Run seeds 0 to N - 1.")] = 5,
    out: Results = Path("results"),
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting (see `engram experiment settings NAME`);"
                     " repeatable."),
    ] = None,
    withhold: Annotated[
        str | None, typer.Option("--withhold", metavar="DIGIT", help="Short for --set withhold=DIGIT.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again, ignoring earlier results.")] = False,
    as_json: Json = False,
) -> None:
    """Run an experiment, or resume an interrupted one.

    Writes NAME.json with every value, and a plot.
    """
    experiments = _experiments()
    changed = dict(_setting(text) for text in settings or [])
    if withhold is not None:
        changed["withhold"] = withhold
    with resumable(fresh=fresh), progress(name, quiet=as_json) as report:
        result = experiments.run_experiment(
            name, seeds, out, lambda share, what: report(round(1000 * share), 1000, f"{name}: {what}"),
            changed, fresh,
        )
    if as_json:
        emit(result)
        return
    if result["figures"]:
        table(("figure", "mean", "sd", "seeds", "unit", "published"),
              [_row(key, figure) for key, figure in result["figures"].items()], title=result["summary"])
    else:
        say("Changed settings produce values, but no figures.")
    say(f"All values, with a plot beside them: {experiments.result_file(name, out, changed)}")


def show_settings(
    name: Annotated[str, typer.Argument(metavar="NAME", help="See `engram experiment list`.")],
    as_json: Json = False,
) -> None:
    """List the settings of an experiment.

    `engram experiment run NAME --set KEY=VALUE` changes one.
    """
    experiments = _experiments()
    from engram.lab.experiments.experiment import as_text

    known = experiments.settings_of(name)
    if as_json:
        emit([{"name": setting.name, "default": setting.default, "meaning": setting.meaning} for setting in known])
    else:
        table(("setting", "default", "what it means"),
              [(setting.name, as_text(setting.default), setting.meaning) for setting in known])


def collect_figures(out: Results = Path("results"), as_json: Json = False) -> None:
    """Collect the figures of all result files into figures.json."""
    experiments = _experiments()
    figures = experiments.collect_figures(out)
    if as_json:
        emit(figures)
    else:
        table(("figure", "mean", "sd", "seeds", "unit", "published"),
              [_row(key, figure) for key, figure in figures.items()])


def check_figures(out: Results = Path("results"), as_json: Json = False) -> None:
    """List figures that miss their floor or are not measured.

    Exit code 1 if there are any.
    """
    experiments = _experiments()
    findings = experiments.check_figures(out)
    if as_json:
        emit([{"key": f.key, "floor": f.floor, "measured": f.measured} for f in findings])
    elif findings:
        for finding in findings:
            say(str(finding))
    else:
        say("Every figure is measured and holds its floor.")
    if findings:
        raise typer.Exit(REFUSED)


def _experiments() -> Any:
    """The room, or how to install what it needs."""
    from engram.extras import check

    check("An experiment", "experiments")
    import engram.lab.experiments as experiments

    return experiments


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--set must be KEY=VALUE, not {text!r}.")
    return key, value


def _row(key: str, figure: dict[str, Any]) -> tuple[Any, ...]:
    mean, sd, published = (None if figure[part] is None else f"{figure[part]:.4g}"
                           for part in ("mean", "sd", "published"))
    return key, mean, sd, figure["n"], figure["unit"], published
