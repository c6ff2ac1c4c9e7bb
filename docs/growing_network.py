"""Draws the film of a network that grows and shrinks as data arrive: one animated SVG, nothing beside it.

The film is what `engram experiment run growprune-connectivity` keeps of its first seed. Whoever wants no motion
(`prefers-reduced-motion`) is shown the last frame.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

WIDTH, HEIGHT = 960, 540
MAP = (44, 104, 10.4)  # left, top and size of a pixel
LAYERS = ((446, 104, 10, 10.0), (662, 112, 5, 14.4))  # left, top, neurons in a row, distance
OUTPUTS = (858, 112, 30.6)  # left, top, distance
BARS = (446, 492, 470, 52)  # left, bottom, width, height
GLOW = ("#2b1457", "#6a1f80", "#b33a7b", "#ec6461", "#fdac74", "#fdf6c4")  # few connections to many
DOTS = ("#31507e", "#4f86c6", "#7cc0f4", "#d3f0ff")
BLUE, AMBER, DIM, INK, BACK = "#63b7f2", "#ffb454", "#1a2742", "#e8eefb", "#0b1222"
REST, PASS, FADE = 2.6, 1.0, 0.4  # seconds of a frame at rest, of one in passing, of a change


class Life(NamedTuple):
    """From the first frame something is in to the first it is not in any more."""

    begin: int
    end: int


def growing_network(film: Mapping[str, Any]) -> str:
    """The SVG of a film (see `engram.lab.experiments.grow_and_prune.growprune_connectivity`)."""
    frames = film["frames"]
    times = [0.0]
    for frame in frames:
        times.append(times[-1] + (REST if frame["rests"] else PASS))
    parts: dict[tuple[str, Life], list[str]] = defaultdict(list)
    for kind, life, path in [*lines(film), *pixels(film), *neurons(film), *bars(frames)]:
        parts[kind, life].append(path)
    drawn = [f'<path class="{kind} {_name(life)}{last(life, frames)}" d="{"".join(paths)}"/>'
             for (kind, life), paths in sorted(parts.items(), key=lambda item: (ORDER.index(item[0][0][0]), item[0]))]
    texts = list(captions(frames))
    lives = {life for _, life in parts}
    drawn += [f'<g class="{_name(life, "t")}{last(life, frames)}">{text}</g>' for life, text in texts]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="A neural network whose connections grow and are pruned as more digits arrive">',
        f"<style>{style(lives, {life for life, _ in texts}, times)}</style>", *ground(film), *drawn, "</svg>", ""])


ORDER = "lpnb"  # of drawing: lines, pixels, neurons, bars


def lines(film: Mapping[str, Any]) -> Iterator[tuple[str, Life, str]]:
    """Connections; amber from when they wake to when the network rests next."""
    rests = [i for i, frame in enumerate(film["frames"]) if frame["rests"]]
    for layer, source, target, seen in film["lines"]:
        (x, y), (u, v) = place(film, layer, source), place(film, layer + 1, target)
        path = f"M{x:.0f} {y:.0f}L{u:.0f} {v:.0f}"
        for life in runs([seen >> i & 1 for i in range(len(film["frames"]))]):
            settled = next((rest for rest in rests if rest >= life.begin), life.end) if life.begin else 0
            if settled:
                yield f"la{layer}", Life(life.begin, min(settled, life.end)), path
            if settled < life.end:
                yield f"l{layer}", Life(settled, life.end), path


def pixels(film: Mapping[str, Any]) -> Iterator[tuple[str, Life, str]]:
    """The input, the brighter the more connections a pixel has; logarithmic."""
    most = max(max(frame[0]) for frame in film["neurons"])
    side = math.isqrt(len(film["neurons"][0][0]))
    left, top, size = _map(side)
    for pixel, counts in enumerate(zip(*(frame[0] for frame in film["neurons"]), strict=True)):
        x, y = left + pixel % side * size, top + pixel // side * size
        levels = [math.ceil(len(GLOW) * math.log1p(count) / math.log1p(most)) for count in counts]
        for level in sorted(set(levels) - {0}):
            for life in runs([each == level for each in levels]):
                yield f"p{level - 1}", life, f"M{x:.1f} {y:.1f}h{size - 1:.1f}v{size - 1:.1f}h-{size - 1:.1f}z"


def neurons(film: Mapping[str, Any]) -> Iterator[tuple[str, Life, str]]:
    """Hidden neurons, the brighter the more connections."""
    for layer in (1, 2):
        for neuron, counts in enumerate(zip(*(frame[layer] for frame in film["neurons"]), strict=True)):
            x, y = place(film, layer, neuron)
            levels = [min(len(DOTS), math.ceil(math.log2(1 + count) / 2)) for count in counts]
            for level in sorted(set(levels) - {0}):
                for life in runs([each == level for each in levels]):
                    yield f"n{level - 1}", life, f"M{x:.0f} {y:.0f}h0"


def bars(frames: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Life, str]]:
    """The parameters of each frame, while it is shown."""
    for number in range(len(frames)):
        yield "b", Life(number, number + 1), _bar(frames, number)


def captions(frames: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Life, str]]:
    """What happens, and the numbers."""
    for number, frame in enumerate(frames):
        life = Life(number, number + 1)
        before = frames[number - 1]["live"] if number else 0
        arrived = _listed(frame["new"]) + (" arrive" if len(frame["new"]) > 1 else " arrives")
        if frame["rests"]:
            says = "at rest: compact, ready to be asked, and ready to learn more"
        elif number == 0:
            says = f"{arrived}; every connection is alive"
        elif frame["live"] > before:
            says = f"{arrived}; connections wake where the gradients ask for them"
        else:
            says = "it learns, and what matters least is pruned"
        yield life, f'<text class="says" x="44" y="70">{says}</text>'
        yield life, (f'<text class="count" x="44" y="446">{frame["live"]:,}</text>'
                     f'<text class="small" x="44" y="468">parameters alive</text>'
                     f'<text class="count" x="176" y="446">{frame["error"]:.1f}%</text>'
                     f'<text class="small" x="176" y="468">wrong, unseen digits</text>'
                     f'<text class="count" x="314" y="446">{frame["data"]}%</text>'
                     f'<text class="small" x="314" y="468">of MNIST so far</text>')
    left, top, distance = OUTPUTS
    for digit in sorted({digit for frame in frames for digit in frame["labels"]}):
        begin = next(i for i, frame in enumerate(frames) if digit in frame["labels"])
        yield Life(begin, len(frames)), (f'<text class="digit" x="{left}" y="{top + distance * digit + 8:.0f}">'
                                         f'{digit}</text>')


def ground(film: Mapping[str, Any]) -> Iterator[str]:
    """What is there all along."""
    frames = film["frames"]
    left, top, size = MAP
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" rx="14" fill="{BACK}"/>'
    yield '<text class="title" x="44" y="42">A network takes its shape from the data</text>'
    yield f'<rect x="{left - 3}" y="{top - 3}" width="{28 * size + 5:.0f}" height="{28 * size + 5:.0f}" class="frame"/>'
    for layer in (1, 2):
        dots = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in
                       (place(film, layer, i) for i in range(len(film["neurons"][0][layer]))))
        yield f'<path class="dots" d="{dots}"/>'
    for digit in range(10):
        x, y = OUTPUTS[0], OUTPUTS[1] + OUTPUTS[2] * digit + 8
        yield f'<text class="unknown" x="{x}" y="{y:.0f}">{digit}</text>'
    yield f'<path class="bars" d="{"".join(_bar(frames, i) for i in range(len(frames)))}"/>'
    x, y = BARS[:2]
    yield f'<text class="small" x="{x}" y="{y + 20}">parameters alive, over time (logarithmic)</text>'
    for x, text in ((MAP[0], "input: connections of each pixel"), (LAYERS[0][0] - 4, "300 neurons"),
                    (LAYERS[1][0] - 4, "100 neurons"), (OUTPUTS[0] - 10, "digits")):
        yield f'<text class="small" x="{x}" y="92">{text}</text>'


def style(lives: set[Life], read: set[Life], times: Sequence[float]) -> str:
    """Colours, and a fading in and out for every life there is: what follows overlaps what goes; texts do not."""
    whole = times[-1]
    rules = [
        "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif}",
        f".title{{font-size:22px;font-weight:600;fill:{INK}}}", ".says{font-size:16px;fill:#a9bbdd}",
        ".small{font-size:12px;fill:#7f93ba}",
        f".count{{font-size:24px;font-weight:600;fill:{INK};font-variant-numeric:tabular-nums}}",
        ".digit,.unknown{font-size:19px;font-weight:600;text-anchor:middle}", f".digit{{fill:{INK}}}",
        f".unknown{{fill:#2a3a5e}}.frame{{fill:#080d1a;stroke:{DIM}}}",
        f".dots{{stroke:{DIM};stroke-width:5;stroke-linecap:round}}.bars{{fill:{DIM}}}.b{{fill:{AMBER}}}",
        "[class^=l]{fill:none;stroke-width:.7}[class^=n]{stroke-width:5.4;stroke-linecap:round}",
        *(f".l{i}{{stroke:{BLUE};stroke-opacity:{opacity}}}.la{i}{{stroke:{AMBER};stroke-opacity:{opacity + .15:.2f}}}"
          for i, opacity in enumerate((0.3, 0.38, 0.5))),
        *(f".p{i}{{fill:{colour}}}" for i, colour in enumerate(GLOW)),
        *(f".n{i}{{stroke:{colour}}}" for i, colour in enumerate(DOTS)),
        "g,[class*=\" k\"]{opacity:0}.z{opacity:1}", "@media (prefers-reduced-motion:no-preference){",
    ]
    for life in sorted(lives):
        begin, end = times[life.begin], times[life.end]
        rules.append(_fading(_name(life), begin, begin + FADE, end, end + FADE, whole))
    for life in sorted(read):
        begin, end = times[life.begin], times[life.end]
        rules.append(_fading(_name(life, "t"), begin + FADE / 2, begin + FADE, end, end + FADE / 2, whole))
    return "".join(rules) + "}"


def _fading(name: str, appears: float, is_there: float, goes: float, is_gone: float, whole: float) -> str:
    goes, is_gone = min(goes, whole - FADE), min(is_gone, whole)
    stops = {0.0: 0, appears: 0, is_there: 1, goes: 1, is_gone: 0, whole: 0}
    shown = "".join(f"{_percent(at / whole)}{{opacity:{opacity}}}" for at, opacity in stops.items())
    return f"@keyframes {name}{{{shown}}}.{name}{{animation:{name} {whole:.2f}s infinite}}"


def place(film: Mapping[str, Any], layer: int, neuron: int) -> tuple[float, float]:
    """The middle of a neuron; layer 0 is the input."""
    if layer == 0:
        side = math.isqrt(len(film["neurons"][0][0]))
        left, top, size = _map(side)
        return left + (neuron % side + 0.45) * size, top + (neuron // side + 0.45) * size
    if layer == len(film["neurons"][0]) - 1:
        label = film["frames"][-1]["labels"][neuron]
        return OUTPUTS[0] - 12, OUTPUTS[1] + OUTPUTS[2] * label + 2
    left, top, columns, distance = LAYERS[layer - 1]
    return left + neuron % columns * distance, top + neuron // columns * distance


def runs(there: Sequence[Any]) -> Iterator[Life]:
    """The lives of something that is there in some frames.

    >>> list(runs([1, 1, 0, 1]))
    [Life(begin=0, end=2), Life(begin=3, end=4)]
    """
    begin = None
    for i, now in enumerate([*there, False]):
        if now and begin is None:
            begin = i
        elif not now and begin is not None:
            yield Life(begin, i)
            begin = None


def last(life: Life, frames: Sequence[Any]) -> str:
    """A class more for what is there in the last frame."""
    return " z" if life.end == len(frames) else ""


def film_of(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The film in a result of `growprune-connectivity`, if there is one."""
    found = result["values"].get("film", {}).get("values")
    film: dict[str, Any] | None = json.loads(found[0]) if found else None
    return film


def _map(side: int) -> tuple[float, float, float]:
    left, top, size = MAP
    return left, top, size * 28 / side


def _bar(frames: Sequence[Mapping[str, Any]], number: int) -> str:
    left, bottom, width, height = BARS
    step = width / len(frames)
    low, high = (math.log(bound(frame["live"] for frame in frames)) for bound in (min, max))
    tall = height * (0.15 + 0.85 * (math.log(frames[number]["live"]) - low) / (high - low))
    return f"M{left + number * step:.1f} {bottom}v-{tall:.1f}h{step - 4:.1f}v{tall:.1f}z"


def _name(life: Life, kind: str = "k") -> str:
    return f"{kind}{life.begin}_{life.end}"


def _percent(share: float) -> str:
    return f"{100 * min(share, 1):.2f}".rstrip("0").rstrip(".") + "%"


def _listed(digits: Sequence[int]) -> str:
    return " and ".join(filter(None, [", ".join(map(str, digits[:-1])), str(digits[-1])]))
