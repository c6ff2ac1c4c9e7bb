"""The demonstration's pictures as SVG inside a page: they take the page's colours, light or dark."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from engram.demo.digits_events import Image, Measured
from engram.lab.evaluation.plots import COLOURS, canvas, draw_confusion, draw_curves

PEAK = 16


def curve_svg(measured: Sequence[Measured]) -> str:
    """Accuracy on all held-out images against images taught."""
    steps = [event.step for event in measured]
    none = [0.0] * len(steps)
    figure, (axes,) = canvas(width=5.2, height=3.2)
    draw_curves(axes, {
        "fast head": (steps, [100 * event.fast for event in measured], none),
        "softmax layer": (steps, [100 * event.softmax for event in measured], none),
        "of digits taught so far": (steps, [100 * event.possible for event in measured], none),
    }, "images taught", "accuracy, all ten digits (%)")
    axes.set_ylim(0, 102)
    return _inline(figure, "Learning curve: accuracy against images taught")


def confusion_svg(confusion: Sequence[Sequence[int]], title: str) -> str:
    """Counts of (true, best label)."""
    figure, (axes,) = canvas(width=3.6, height=3.4)
    draw_confusion(axes, confusion, [str(digit) for digit in range(len(confusion))], title)
    return _inline(figure, f"Confusion matrix of the {title}")


def image_png(image: Image) -> str:
    """A digit as a data URI, a pixel for a pixel."""
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(np.round(image / PEAK * 255).astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _inline(figure: Any, about: str) -> str:
    import matplotlib

    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": about}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)  # a page needs no name spaces
    tag = rf'<svg viewBox="\1" role="img" aria-label="{about}">'
    svg = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', tag, svg, count=1)
    for i, colour in enumerate(COLOURS[:3]):
        svg = re.sub(colour, f"var(--c{i})", svg, flags=re.IGNORECASE)
    svg = re.sub("#dddddd", "var(--grid)", svg, flags=re.IGNORECASE)
    return re.sub("#000000", "currentColor", svg)
