"""Surfaces and parts drawn from a seed, good and with faults, and where each fault is.

Every kind is drawn from random numbers of its own: where its threads, tiles or parts lie, their tones, the light and
the noise of a camera. A fault is put into the same drawing, so its mask is where the two differ. `REPORTED` are those
of the experiment `anomaly`; the settings of the method were chosen on `CHOSEN_ON`, which has none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.learner import FloatArray

SIDE = 128
"""Of a picture, in pixels."""

_SEEN = 12.0  # grey levels by which a pixel must differ to belong to a fault
_Y, _X = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)


class Shown(NamedTuple):
    """A picture, (S, S, 3) uint8, and (S, S) bool where it is faulty."""

    picture: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]


Drawer = Callable[[np.random.Generator, str | None], FloatArray]
"""(S, S, 3) tones from 0 to 255, of random numbers and a fault of its own structure, if any."""


def drawn(kind: str, seed: tuple[int, ...], fault: str | None = None) -> Shown:
    """One picture of a kind, a key of `REPORTED` or `CHOSEN_ON`.

    Args:
        seed: of its random numbers: the same drawing whatever the fault.
        fault: one of `faults(kind)`, or None: a good one.

    >>> good, bad = drawn("weave", (0,)), drawn("weave", (0,), "scratch")
    >>> bool(good.mask.any()), bool(bad.mask.any()), good.picture.shape
    (False, True, (128, 128, 3))
    """
    draw = (REPORTED | CHOSEN_ON)[kind][0]
    good = _finished(draw(np.random.default_rng(seed), None), seed)
    if fault is None:
        return Shown(good, np.zeros((SIDE, SIDE), bool))
    own = fault if fault not in _ANYWHERE else None
    tones = draw(np.random.default_rng(seed), own)
    if own is None:
        tones = _ANYWHERE[fault](np.random.default_rng((*seed, 7)), tones)
    bad = _finished(tones, seed)
    return Shown(bad, np.abs(bad.astype(np.float64) - good).max(axis=2) > _SEEN)


def faults(kind: str) -> tuple[str, ...]:
    """The faults that a kind can have: scratches, stains, and those of its structure."""
    return (*_ANYWHERE, *(REPORTED | CHOSEN_ON)[kind][1])


def _finished(tones: FloatArray, seed: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The light and the camera: the same for the same seed."""
    rng = np.random.default_rng((*seed, 3))
    light = 1 + 0.06 * rng.standard_normal() + 0.04 * rng.standard_normal() * (_X / SIDE - 0.5)
    seen = tones * light[:, :, None] + 3.0 * rng.standard_normal(tones.shape)
    finished: npt.NDArray[np.uint8] = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    return finished


# Faults that any surface can have

def _scratch(rng: np.random.Generator, tones: FloatArray) -> FloatArray:
    start, angle = rng.uniform(25, SIDE - 25, 2), rng.uniform(0, np.pi)
    length, width, tone = rng.uniform(25, 55), rng.uniform(0.8, 1.8), rng.choice([-1.0, 1.0]) * rng.uniform(25, 75)
    along = (_X - start[0]) * np.cos(angle) + (_Y - start[1]) * np.sin(angle)
    across = (_Y - start[1]) * np.cos(angle) - (_X - start[0]) * np.sin(angle) + 2 * np.sin(along / 9)
    shape = np.exp(-0.5 * np.square(across / width)) * (np.abs(along) < length / 2)
    scratched: FloatArray = tones + tone * shape[:, :, None]
    return scratched


def _stain(rng: np.random.Generator, tones: FloatArray) -> FloatArray:
    centre, size = rng.uniform(22, SIDE - 22, 2), rng.uniform(7, 14)
    distance = np.hypot(_X - centre[0], (_Y - centre[1]) * rng.uniform(0.7, 1.4))
    shape = 1 / (1 + np.exp((distance - size) / 2))
    colour = rng.uniform(-60, 20, 3)
    stained: FloatArray = tones + rng.uniform(0.3, 1.0) * shape[:, :, None] * (colour - 20)
    return stained


_ANYWHERE = {"scratch": _scratch, "stain": _stain}


# What the surfaces are made of

def _smooth(rng: np.random.Generator, down: float, across: float) -> FloatArray:
    """(S, S) noise of unit variance, smoothed by so many pixels down and across."""
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE, SIDE)))
    rows, columns = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    spectrum *= np.exp(-2 * np.square(np.pi) * (np.square(down * rows) + np.square(across * columns)))
    found = np.fft.irfft2(spectrum, (SIDE, SIDE))
    smooth: FloatArray = (found - found.mean()) / found.std()
    return smooth


def _coloured(tones: FloatArray, colour: tuple[float, float, float]) -> FloatArray:
    coloured: FloatArray = tones[:, :, None] * np.array(colour)
    return coloured


def _disc(y: float, x: float, radius: float) -> FloatArray:
    """(S, S) from 0 to 1: inside a disc with a soft edge."""
    inside: FloatArray = 1 / (1 + np.exp(2 * (np.hypot(_Y - y, _X - x) - radius)))
    return inside


def _box(y: float, x: float, height: float, width: float) -> FloatArray:
    """(S, S) from 0 to 1: inside a box with a soft edge, its middle at (y, x)."""
    deep = np.minimum(height / 2 - np.abs(_Y - y), width / 2 - np.abs(_X - x))
    inside: FloatArray = 1 / (1 + np.exp(-2 * deep))
    return inside


def _weave(rng: np.random.Generator, fault: str | None) -> FloatArray:
    period, phase = 10.0, rng.uniform(0, 10, 2)
    down, across = np.floor((_X + phase[0]) / period).astype(int), np.floor((_Y + phase[1]) / period).astype(int)
    tone = rng.normal(0, 7, (2, 32))
    lost, where, turned = int(rng.integers(3, 10)), rng.uniform(20, 60), rng.random() < 0.5
    warp = np.abs(np.sin(np.pi * (_X + phase[0]) / period)) * (150 + tone[0][down])
    weft = np.abs(np.sin(np.pi * (_Y + phase[1]) / period)) * (170 + tone[1][across])
    if fault == "missing thread":
        if turned:
            warp = np.where((down == lost) & (where < _Y) & (where + 50 > _Y), 15.0, warp)
        else:
            weft = np.where((across == lost) & (where < _X) & (where + 50 > _X), 15.0, weft)
    over = (down + across) % 2 == 0
    tones = np.where(over, np.maximum(warp, 0.45 * weft), np.maximum(weft, 0.45 * warp))
    return _coloured(tones, (0.9, 0.8, 0.65))


def _grain(rng: np.random.Generator, fault: str | None) -> FloatArray:
    rings = _smooth(rng, 40, 5) * 5 + _X / rng.uniform(5, 7)
    fine, spot = _smooth(rng, 12, 0.7), rng.uniform(30, SIDE - 30, 2)
    if fault == "knot":
        near = np.exp(-0.5 * np.square(np.hypot(_X - spot[0], 0.7 * (_Y - spot[1])) / 9))
        rings = rings + 9 * near
        fine = fine - 3 * near
    return _coloured(150 + 18 * np.sin(rings) + 9 * fine, (1.1, 0.8, 0.5))


def _tiles(rng: np.random.Generator, fault: str | None) -> FloatArray:
    size, phase = 32, rng.uniform(0, 32, 2)
    tone, lost = rng.normal(0, 8, (6, 6)), rng.integers(1, 3, 2)
    shift = rng.choice([-3.0, 3.0], 2)
    tones = np.full((SIDE, SIDE), 70.0) + 5 * _smooth(rng, 1, 1)
    for row in range(-1, 5):
        for column in range(-1, 5):
            y, x = (row + 0.5) * size + phase[0], (column + 0.5) * size + phase[1]
            if fault == "shifted tile" and row == lost[0] and column == lost[1]:
                y, x = y + shift[0], x + shift[1]
            inside = _box(y, x, size - 5, size - 5)
            tones = tones * (1 - inside) + inside * (165 + tone[row + 1, column + 1])
    return _coloured(tones + 4 * _smooth(rng, 2, 2), (0.85, 0.95, 1.0))


def _brushed(rng: np.random.Generator, fault: str | None) -> FloatArray:
    streaks = _smooth(rng, 0.6, 25)
    spots = rng.uniform(25, SIDE - 25, (9, 2))
    tones = 150 + 13 * streaks + 5 * _smooth(rng, 0.5, 3)
    if fault == "pits":
        centre = spots[0]
        for offset in spots[1:] - SIDE / 2:
            y, x = centre + 0.22 * offset
            tones = tones - 75 * _disc(y, x, 1.8)
    return _coloured(tones, (0.95, 1.0, 1.05))


_PARTS = ((28, 30, "disc"), (28, 64, "bar"), (28, 98, "disc"), (64, 30, "bar"), (64, 98, "bar"), (100, 30, "disc"),
          (100, 64, "bar"), (100, 98, "disc"), (64, 64, "disc"))


def _board(rng: np.random.Generator, fault: str | None) -> FloatArray:
    off, jitter, tone = rng.normal(0, 0.8, 2), rng.normal(0, 0.5, (9, 2)), rng.normal(0, 6, 9)
    chosen, shift = int(rng.integers(9)), rng.choice([-5.0, 5.0], 2)
    tones = _coloured(np.full((SIDE, SIDE), 90.0) + 6 * _smooth(rng, 3, 3), (0.5, 1.1, 0.6))
    for place, (y, x, shape) in enumerate(_PARTS):
        if place == chosen and fault == "missing part":
            continue
        by, bx = off + jitter[place] + (shift if place == chosen and fault == "shifted part" else 0)
        inside = _disc(y + by, x + bx, 9) if shape == "disc" else _box(y + by, x + bx, 12, 24)
        if place == chosen and fault == "wrong part":
            inside = _disc(y + by, x + bx, 9) if shape == "bar" else _box(y + by, x + bx, 12, 24)
        colour = (200 + tone[place], 190 + tone[place], 160) if shape == "disc" else (45, 45, 50 + tone[place])
        tones = tones * (1 - inside[:, :, None]) + inside[:, :, None] * np.array(colour)
    return tones


def _knit(rng: np.random.Generator, fault: str | None) -> FloatArray:
    phase, lost, tone = rng.uniform(0, 12, 2), rng.uniform(35, SIDE - 35, 2), rng.normal(0, 5)
    slant = np.abs(((_X + phase[0]) % 12) - 6)
    tones = 110 + tone + 55 * np.sin(2 * np.pi * (_Y + phase[1] + 1.2 * slant) / 9) * (0.5 + slant / 9)
    if fault == "dropped stitch":
        hole = _box(lost[0], lost[1], 16, 10)
        tones = tones * (1 - hole) + 25 * hole
    return _coloured(tones, (0.7, 0.75, 1.1))


def _gravel(rng: np.random.Generator, fault: str | None) -> FloatArray:
    coarse, spot = _smooth(rng, 2.5, 2.5), rng.uniform(30, SIDE - 30, 2)
    if fault == "smooth patch":
        coarse = coarse * (1 - 0.95 * _disc(spot[0], spot[1], 13))
    return _coloured(130 + 38 * np.tanh(1.5 * coarse) + 8 * _smooth(rng, 0.6, 0.6), (1.0, 0.95, 0.9))


def _mesh(rng: np.random.Generator, fault: str | None) -> FloatArray:
    period, phase, lost = 16, rng.uniform(0, 16, 2), rng.integers(2, 6, 2)
    tones = np.full((SIDE, SIDE), 175.0) + 5 * _smooth(rng, 4, 4)
    for row in range(-1, 9):
        for column in range(-1, 9):
            here = row == lost[0] and column == lost[1]
            if here and fault == "closed hole":
                continue
            radius = 7.5 if here and fault == "wide hole" else 4.5
            inside = _disc(row * period + phase[0], column * period + phase[1], radius)
            tones = tones * (1 - inside) + 30 * inside
    return _coloured(tones, (1.0, 1.0, 0.95))


def _gauge(rng: np.random.Generator, fault: str | None) -> FloatArray:
    off, lost, tone = rng.normal(0, 0.8, 2), int(rng.integers(12)), rng.normal(0, 5)
    turned = rng.choice([-0.5, 0.5])
    y, x = 64 + off
    tones = np.full((SIDE, SIDE), 60.0) + 4 * _smooth(rng, 3, 3)
    face = _disc(y, x, 52)
    tones = tones * (1 - face) + face * (205 + tone)
    for tick in range(12):
        if tick == lost and fault == "missing tick":
            continue
        angle = 2 * np.pi * tick / 12
        mark = _disc(y + 42 * np.sin(angle), x + 42 * np.cos(angle), 3.2)
        tones = tones * (1 - mark) + 40 * mark
    angle = -0.9 + 0.05 * rng.standard_normal() + (turned if fault == "turned needle" else 0)
    along, across = ((_X - x) * np.cos(angle) + (_Y - y) * np.sin(angle),
                     (_Y - y) * np.cos(angle) - (_X - x) * np.sin(angle))
    needle = ((along > -6) & (along < 34) & (np.abs(across) < 2)).astype(np.float64)
    tones = tones * (1 - needle) + 90 * needle
    return _coloured(tones, (1.0, 0.95, 0.85))


REPORTED: dict[str, tuple[Drawer, tuple[str, ...]]] = {
    "weave": (_weave, ("missing thread",)), "grain": (_grain, ("knot",)), "tiles": (_tiles, ("shifted tile",)),
    "brushed": (_brushed, ("pits",)), "board": (_board, ("missing part", "shifted part", "wrong part")),
}
CHOSEN_ON: dict[str, tuple[Drawer, tuple[str, ...]]] = {
    "knit": (_knit, ("dropped stitch",)), "gravel": (_gravel, ("smooth patch",)),
    "mesh": (_mesh, ("closed hole", "wide hole")), "gauge": (_gauge, ("missing tick", "turned needle")),
}
