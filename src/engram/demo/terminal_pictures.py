"""Pictures made of characters: images as half blocks, curves as braille dots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rich.text import Text

PEAK = 16
RAMP = " ░▒▓█"
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bits of a braille character, four rows of two (Unicode block U+2800)."""

Curve = tuple[Sequence[float], Sequence[float], str]
"""x, y and a style; x and y in [0, 1]."""


def half_blocks(images: Sequence[npt.NDArray[np.float32]], colours: bool, scale: int = 1, gap: int = 2) -> list[Text]:
    """Images of 0 to 16, side by side, as lines of text: a character is two pixels, one above the other.

    Args:
        colours: whether shades of grey can be shown; else characters of different density stand for them.
        scale: characters per pixel, across.

    >>> print(half_blocks([np.array([[0.0, 16.0], [0.0, 16.0]])], colours=False)[0])
     █
    """
    lines = []
    for top in range(0, images[0].shape[0] * scale, 2):
        line = Text()
        for i, image in enumerate(images):
            line.append(" " * gap if i else "")
            rows = np.repeat(np.repeat(image, scale, axis=0), scale, axis=1)[top : top + 2]
            for upper, lower in rows.T:
                line.append_text(_cell(float(upper), float(lower), colours))
        lines.append(line)
    return lines


def _cell(upper: float, lower: float, colours: bool) -> Text:
    if not colours:
        return Text(RAMP[round((upper + lower) / 2 / PEAK * (len(RAMP) - 1))])
    shades = [22 + round(value / PEAK * 220) for value in (upper, lower)]
    return Text("▀", "rgb({0},{0},{0}) on rgb({1},{1},{1})".format(*shades))


def braille_chart(curves: Sequence[Curve], width: int, height: int) -> list[Text]:
    """Curves as lines of text, `width` by `height` characters, drawn through their points; the first one on top.

    >>> print(braille_chart([([0, 1], [0, 1], "")], 2, 1)[0])
    ⡠⠊
    """
    cells = np.zeros((height, width), np.int64)
    styles = np.full((height, width), "", object)
    for xs, ys, style in reversed(curves):
        for column, row in _dots(xs, ys, 2 * width, 4 * height):
            place = (row // 4, column // 2)
            cells[place] |= DOTS[row % 4, column % 2]
            styles[place] = style
    return [
        Text.assemble(*((_braille(int(bits)), str(style)) for bits, style in zip(*line, strict=True)))
        for line in zip(cells, styles, strict=True)
    ]


def _braille(bits: int) -> str:
    return chr(0x2800 + bits) if bits else " "


def _dots(xs: Sequence[float], ys: Sequence[float], columns: int, rows: int) -> list[tuple[int, int]]:
    """(column, row) of the dots of a curve, rows from the top, with no holes where it is steep."""
    found: list[tuple[int, int]] = []
    across = [round(x * (columns - 1)) for x in xs]
    down = [round((1 - min(max(y, 0.0), 1.0)) * (rows - 1)) for y in ys]
    for i in range(len(across)):
        before = max(i - 1, 0)
        steps = max(abs(across[i] - across[before]), abs(down[i] - down[before]), 1)
        for step in range(steps + 1):
            share = step / steps
            found.append((
                round(across[before] + share * (across[i] - across[before])),
                round(down[before] + share * (down[i] - down[before])),
            ))
    return found
