"""Learning curves, confusion matrices and bars in one style: readable in print, safe for the colour-blind."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engram.files import write_atomically

# Okabe & Ito's palette (https://jfly.uni-koeln.de/color/), told apart with every common colour vision;
# yellow left out, it vanishes on white. Line styles and markers carry the same information without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7F7F7F")
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")
STYLE: Any = {
    "font.size": 9.0, "axes.titlesize": 10.0, "axes.titlelocation": "left", "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": "#DDDDDD", "grid.linewidth": 0.6,
    "legend.frameon": False, "legend.fontsize": 8.0, "lines.linewidth": 1.5, "axes.axisbelow": True,
}


def canvas(columns: int = 1, width: float = 5.0, height: float = 3.6) -> tuple[Any, list[Any]]:
    """A matplotlib figure in the common style, with that many panels side by side: (figure, axes)."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, height), layout="constrained")
        axes = figure.subplots(1, columns, squeeze=False)[0]
    return figure, list(axes)


def draw_curves(
    axes: Any,
    curves: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float]]],
    x: str,
    y: str,
    title: str = "",
    log: bool = False,
    references: Mapping[str, float] | None = None,
) -> None:
    """Lines with a band of ± one standard deviation.

    Args:
        curves: name -> (x, mean, sd), each of the same length; the first is drawn strongest.
        x, y: what the axes say, units included.
        log: logarithmic x.
        references: name -> height of a thin horizontal line (a published number, a bound).
    """
    for i, (name, (places, mean, sd)) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        middle, spread = np.asarray(mean, dtype=float), np.asarray(sd, dtype=float)
        axes.plot(places, middle, LINES[i // 2 % len(LINES)], color=colour, label=name, zorder=30 - i,
                  linewidth=2.0 if i == 0 else 1.3)
        axes.fill_between(places, middle - spread, middle + spread, color=colour, alpha=0.15, linewidth=0)
    for i, (name, height) in enumerate((references or {}).items()):
        axes.axhline(height, color="#555555", linewidth=0.9, linestyle=LINES[(i + 1) % len(LINES)],
                     label=name)
    if log:
        _logarithmic(axes, sorted({float(place) for places, _, _ in curves.values() for place in places}))
    _finish(axes, x, y, title)
    axes.legend(frameon=False, fontsize=8)


def draw_confusion(axes: Any, matrix: Any, labels: Sequence[str], title: str = "") -> None:
    """Counts (true, predicted) as a grid, each row shaded by its shares; counts are written where few labels.

    A column more than there are labels is "nothing I know".
    """
    counts = np.asarray(matrix, dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    columns = [*labels, "?"][: counts.shape[1]]
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(labels)), labels)
    if len(labels) <= 20:
        for (i, j), count in np.ndenumerate(counts):
            if count:
                axes.text(j, i, f"{count:.0f}", ha="center", va="center", fontsize=6.5,
                          color="white" if shares[i, j] > 0.4 else "#333333")
    axes.grid(False)
    _finish(axes, "predicted", "true", title)


def draw_matrix(axes: Any, matrix: Any, after: Sequence[str], on: Sequence[str], title: str = "") -> None:
    """Accuracies in percent as a grid: rows what was learned last, columns what was asked; NaN stays empty."""
    values = np.asarray(matrix, dtype=float)
    axes.imshow(values, cmap="Blues", vmin=0, vmax=115, aspect="auto")
    axes.set_xticks(range(len(on)), on, rotation=30 if max(map(len, on)) > 6 else 0)
    axes.set_yticks(range(len(after)), after)
    if values.size <= 144:
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                axes.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=6.5,
                          color="white" if value > 60 else "#333333")
    axes.grid(False)
    _finish(axes, "accuracy (%) on", "after", title)


def save_svg(figure: Any, path: Any) -> None:
    """A figure as SVG with its text as text, the same bytes for the same figure; to a path, or a file that is open."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "engram", "svg.fonttype": "none"}):
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None}, bbox_inches="tight")
    if hasattr(path, "write"):
        path.write(drawn.getvalue())
    else:
        write_atomically(path, drawn.getvalue(), public=True)


def draw_scatter(
    axes: Any,
    groups: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[str]]],
    x: str,
    y: str,
    title: str = "",
) -> None:
    """Points with their names, in groups told apart by colour and marker: group -> (x, y, names)."""
    for i, (group, (across, up, names)) in enumerate(groups.items()):
        axes.scatter(across, up, s=26, color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)], label=group)
        for place, height, name in zip(across, up, names, strict=True):
            axes.annotate(name, (place, height), xytext=(3, 3), textcoords="offset points", fontsize=6,
                          color="#555555")
    _finish(axes, x, y, title)
    axes.legend(frameon=False, fontsize=8)


def draw_bars(
    axes: Any,
    bars: Mapping[str, tuple[float, float]],
    y: str,
    title: str = "",
    span: tuple[float, float] | None = None,
    references: Mapping[str, float] | None = None,
) -> None:
    """Horizontal bars with their spread and their number: name -> (mean, sd), the first on top.

    Args:
        y: what is measured, unit included.
        span: limits of the axis; a cut axis is said so in its label.
    """
    names = list(bars)
    for i, name in enumerate(names):
        mean, sd = bars[name]
        axes.barh(i, mean, xerr=sd or None, color=COLOURS[0] if i == 0 else "#9DB7C9", height=0.65,
                  error_kw={"elinewidth": 1, "capsize": 2})
        axes.text(mean + sd, i, f" {mean:.4g}", va="center", fontsize=8, clip_on=False)
    for i, (name, place) in enumerate((references or {}).items()):
        axes.axvline(place, color="#555555", linewidth=0.9, linestyle=LINES[(i + 1) % len(LINES)], label=name)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    if span:
        axes.set_xlim(*span)
    _finish(axes, y + (" (axis cut)" if span and span[0] > 0 else ""), "", title)
    if references:
        axes.legend(frameon=False, fontsize=8)


def _logarithmic(axes: Any, places: list[float]) -> None:
    """A logarithmic x axis with plain numbers: at the points themselves where they are few."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_xscale("log")
    if len(places) <= 6:
        axes.set_xticks(places)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _finish(axes: Any, x: str, y: str, title: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, loc="left", fontsize=10)
