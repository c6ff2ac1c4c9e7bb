"""How the demonstration looks in a terminal: live where it is one, plain lines where it is not.

Pictures made of characters: images as half blocks, curves as braille dots.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import singledispatchmethod

import numpy as np
import numpy.typing as npt
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from engram.demo.digits_events import (
    Consolidated,
    Event,
    Finished,
    Forgotten,
    Measured,
    Melded,
    Named,
    NeverSeen,
    Opened,
    Refused,
    Rival,
    Shots,
    Streamed,
    Taught,
    Verified,
)
from engram.printable import printable

PEAK = 16
RAMP = " ░▒▓█"
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bits of a braille character, four rows of two (Unicode block U+2800)."""

Curve = tuple[Sequence[float], Sequence[float], str]
"""x, y and a style; x and y in [0, 1]."""


def half_blocks(images: Sequence[npt.NDArray[np.float32]], colours: bool, scale: int = 1, gap: int = 2) -> list[Text]:
    """(H, W) images of 0 to 16, side by side, as lines of text: a character is two pixels, one above the other.

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


FAST, SOFTMAX, QUIET = "bold #2A8FD0", "#D55E00", "dim"
"""Blue and vermilion after Okabe and Ito: told apart with every colour vision; marks say the same without colour."""
GOOD, BAD = "bold #009E73", "bold #D55E00"
PACE = 0.005
"""Seconds that a taught image stays at least, where somebody watches."""
FRAME = 0.04
CHART = (44, 8)
"""Columns and lines."""


class Screen:
    """Shows events as they come; use it as a context, so that an interruption leaves the terminal in order."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.watched = console.is_terminal
        self.colours = console.color_system not in (None, "standard") and not console.no_color
        self.live: Live | None = None
        self.total = 0
        self.curve: list[Measured] = []
        self.last: Taught | None = None
        self.shown = self.due = 0.0
        self.chapters = 0

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self._settle()

    @singledispatchmethod
    def show(self, event: Event) -> None:
        """Show what happened."""
        raise TypeError(f"Nobody knows how to show {type(event).__name__}.")

    @show.register
    def _opened(self, event: Opened) -> None:
        self.total = event.teach
        self._line(
            f"Real handwritten digits, 8 × 8 pixels. A small network that has never seen a {event.withheld} turns each "
            f"into {event.width} numbers. On these, two learners are taught the same images, one by one:"
        )
        self._line()
        self._marked("█", FAST, "fast head", "Engram's; nothing to tune")
        self._marked(
            "▒", SOFTMAX, "softmax layer", f"gradient descent, learning rate {event.rate:g}: the best of {event.rates} "
            f"when the images come shuffled, where it reaches {event.shuffled:.1%}",
        )
        self._chapter(f"One digit after another: {' '.join(map(str, event.order))}")

    @show.register
    def _taught(self, event: Taught) -> None:
        if self.chapters > 1 or not self.watched:
            return
        if self.live is None:
            self.live = Live(console=self.console, auto_refresh=False)
            self.live.start()
        now = time.monotonic()
        if self.due > now:
            time.sleep(self.due - now)
        self.due = max(now, self.due) + PACE
        if now - self.shown > FRAME:
            self.live.update(self._stage(event), refresh=True)
            self.shown = now
        self.last = event

    @show.register
    def _measured(self, event: Measured) -> None:
        changed = self.curve and self.curve[-1].label != event.label
        if changed and self.chapters == 1 and not self.watched:
            self._progress_line(self.curve[-1])
        self.curve.append(event)

    @show.register
    def _never_seen(self, event: NeverSeen) -> None:
        if not self.watched:
            self._progress_line(self.curve[-1])
        self._settle()
        self._chapter(f"A digit that the network has never seen: {event.label}")
        self._pictures(event.images)
        self._line(f"Before the first is taught, {event.refused} of {event.shown} are \"Nothing I know\".")
        head = f"{'':22}{'fast head':>11}{'':12}{'softmax layer':>14}"
        self._line(head, QUIET)
        digit = f"{event.label}s"
        self._line(f"{'after':22}{digit:>11}{'all digits':>12}{digit:>14}{'all digits':>12}", QUIET)

    @show.register
    def _shots(self, event: Shots) -> None:
        noun = "image" if event.shots == 1 else "images"
        self._indented(Text.assemble(
            f"{f'{event.shots} {noun} of {event.label}':22}",
            (f"{event.fast:>11.1%}{event.fast_all:>12.1%}", FAST),
            (f"{event.softmax:>14.1%}{event.softmax_all:>12.1%}", SOFTMAX),
        ))

    @show.register
    def _refused(self, event: Refused) -> None:
        self._chapter("Nothing I know")
        self._pictures(event.images)
        groups = "1 group" if len(event.groups) == 1 else f"{len(event.groups)} groups of {_listed(event.groups)}"
        self._line(f"What is this? {event.answer}. {event.refused} of {event.shown} such images are refused, and kept.")
        if event.groups:
            self._line(f"They fall into {groups}.")

    @show.register
    def _named(self, event: Named) -> None:
        self._line(f"The largest group is named {event.label}: {event.learned} images learned at once.")
        self._pictures((event.image,))
        self._line(
            f"What is this? {event.answer}. Of held-out {event.label}s, {event.recognised:.1%} are recognised now. "
            f"Refused of all digits: {event.known_refused:.1%} (allowed: {event.alpha:.0%})."
        )

    @show.register
    def _streamed(self, event: Streamed) -> None:
        self._chapter(f"All {event.examples} images, each seen once")
        self.console.print(_bar("fast head", event.fast, FAST, "█"))
        self.console.print(_bar("softmax layer", event.softmax, SOFTMAX, "▒"))
        self._line(f"Teaching the fast head one image takes {event.milliseconds:.1f} ms, network included.")
        self._line("The softmax layer again, tuned anew for every scale of the features:", QUIET)

    @show.register
    def _rival(self, event: Rival) -> None:
        shares = f"{event.shuffled:>6.1%} shuffled, {event.streamed:>6.1%} in this order"
        self._line(f"  {event.features:26} {shares}", QUIET)

    @show.register
    def _consolidated(self, event: Consolidated) -> None:
        self._chapter("Consolidation")
        self._line(f"{event.before} vectors become {event.after}; accuracy {event.accuracy_before:.1%} before, "
                   f"{event.accuracy_after:.1%} after.")

    @show.register
    def _melded(self, event: Melded) -> None:
        self._chapter("Two brains become one")
        table = Table.grid(padding=(0, 2, 0, 0))
        names = ("first brain", "second brain")
        for name, part in zip(names, event.parts, strict=True):
            table.add_row(name, " ".join(map(str, part.labels)), f"{part.examples} images", f"{part.accuracy:.1%}",
                          Text(part.digest[:16], QUIET))
        table.add_row("melded", "all", f"{event.examples} images", f"{event.accuracy:.1%}", event.digest[:16])
        table.add_row("saw all, shuffled", "", "", "", _same(event.together, event.digest))
        table.add_row("taught above", "", "", "", _same(event.streamed, event.digest))
        self._indented(table)

    @show.register
    def _forgotten(self, event: Forgotten) -> None:
        self._chapter(f"The melded brain forgets {event.label}")
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_row(f"its {event.examples} images of {event.label} forgotten", event.digest[:16])
        table.add_row(f"never taught {event.label}", _same(event.never, event.digest))
        self._indented(table)
        self._line(f"The other digits: {event.accuracy_before:.1%} before, {event.accuracy_after:.1%} after. "
                   f"{event.refused} of {event.asked} {event.label}s are \"Nothing I know\" again.")

    @show.register
    def _verified(self, event: Verified) -> None:
        holds = event.code == 0
        count = sum(good for good, _ in event.checks)
        self.console.print(Text.assemble(
            "  ", ("✓" if holds else "✗", GOOD if holds else BAD),
            f" proven without Engram: {count} of {len(event.checks)} checks hold",
        ))
        for good, sentence in event.checks:
            if not good:
                self._line(f"  ✗ {sentence}", BAD)
        self._line(event.command, QUIET)

    @show.register
    def _finished(self, event: Finished) -> None:
        self._line()

    # How it is drawn

    def _stage(self, event: Taught) -> RenderableType:
        """The image that is taught, and how both learners do."""
        width, height = CHART
        curve = self.curve
        xs = [measured.step / self.total for measured in curve]
        chart = braille_chart([
            (xs, [measured.fast for measured in curve], FAST),
            (xs, [measured.softmax for measured in curve], SOFTMAX),
        ], width, height)
        now = curve[-1] if curve else Measured(0, event.label, 0.0, 0.0, 0.0)
        for name, share, style in (("fast head", now.fast, FAST), ("softmax", now.softmax, SOFTMAX)):
            line = chart[round((1 - share) * (height - 1))]
            line.rstrip()
            line.append(f" {name}", style)
        scale = [Text("100% ", QUIET), *[Text("     ")] * (height - 2), Text("  0% ", QUIET)]
        picture = half_blocks([event.image], self.colours, scale=2)
        grid = Table.grid()
        for image, axis, line in zip(picture, scale, chart, strict=True):
            grid.add_row("  ", image, "   ", axis, line)
        below = Text.assemble(
            f"  {f'this is a {event.label}':16}        ",
            (f"image {event.step:>3} of {self.total}, accuracy on all ten digits", QUIET),
        )
        return Group(
            grid, below, _bar("fast head", now.fast, FAST, "█"),
            _bar("softmax layer", now.softmax, SOFTMAX, "▒"),
            Text(f"  {now.possible:.1%} are of digits taught so far", QUIET),
        )

    def _settle(self) -> None:
        if self.live is not None and self.last is not None:
            self.live.update(self._stage(self.last), refresh=True)
            self.live.stop()
            self.live = None

    def _chapter(self, title: str) -> None:
        self.chapters += 1
        self._line()
        self.console.print(Text.assemble((f"{self.chapters}  ", QUIET), (title, "bold")))

    def _line(self, text: str = "", style: str = "") -> None:
        if text:
            self._indented(Text(printable(text, self.console.encoding), style))
        else:
            self.console.print()

    def _indented(self, what: RenderableType) -> None:
        self.console.print(Padding(what, (0, 0, 0, 2), expand=False))

    def _marked(self, mark: str, style: str, name: str, about: str) -> None:
        grid = Table.grid(padding=(0, 1))
        grid.add_row(" ", Text(mark, style), Text(f"{name:13}", style), Text(about))
        self.console.print(grid)

    def _progress_line(self, measured: Measured) -> None:
        self._line(f"{measured.label} taught, {measured.step:>3} images: fast head {measured.fast:6.1%}, softmax layer "
                   f"{measured.softmax:6.1%}")

    def _pictures(self, images: tuple[object, ...]) -> None:
        if not self.watched:
            return
        for line in half_blocks(images, self.colours):  # type: ignore[arg-type]
            self.console.print(Text("  ") + line)


def _bar(name: str, share: float, style: str, block: str) -> Text:
    return Text.assemble(f"  {name:14}", (block * round(40 * share), style), (f" {share:.1%}", style))


def _same(one: str, other: str) -> Text:
    same = one == other
    return Text.assemble(one[:16], ("  ✓ same SHA-256" if same else "  ✗ another", GOOD if same else BAD))


def _listed(numbers: tuple[int, ...]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last
