"""How a network's connections came and went, frame by frame: what the animation in the docs is drawn from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.networks.structure.masks import Masks

Bools = npt.NDArray[np.bool_]
THINNER, THICKER = 0.45, 1.2  # connections left, or come, since the last frame: then there is a new one
DENSER = 4  # times as many lines, at most, in a frame with more connections


@dataclass
class Film:
    """Frames of a masked network with layers that follow each other, outputs last.

    Args:
        lines: connections of each layer to be drawn while the network rests.
        seed: of which these are.
    """

    lines: Sequence[int]
    seed: int = 0
    frames: list[dict[str, Any]] = field(default_factory=list)
    masks: list[list[Bools]] = field(default_factory=list)

    def watch(self, masks: Masks, about: Callable[[], dict[str, Any]], rests: bool = False) -> None:
        """A frame, if connections came or went since the last one, or if the network rests.

        Args:
            about: what else to keep of the frame, as JSON values.
        """
        live = masks.live
        if self.frames and not rests:
            share = live / self.frames[-1]["live"]
            if THINNER < share < THICKER:
                return
        self.frames.append({"live": live, "rests": rests, **about()})
        self.masks.append([(mask != 0).flatten(1).cpu().numpy() for mask in masks.values()])

    def packed(self) -> str:
        """All frames as one line of JSON: `frames`; for each layer the connections of every neuron, into it and out of
        it; and `lines`, [layer, from, to, frames in which it is alive, as a number with a bit for each]."""
        sent = [[_sent(frame, layer).tolist() for layer in range(len(frame) + 1)] for frame in self.masks]
        return json.dumps({"frames": self.frames, "neurons": sent, "lines": self._lines()}, separators=(",", ":"))

    def _lines(self) -> list[list[int]]:
        rng = np.random.default_rng(self.seed)
        found = []
        for layer, budget in enumerate(self.lines):
            alive = _stacked([frame[layer] for frame in self.masks])
            order = rng.random(alive.shape[1:])
            found += [[layer, int(source), int(target), int(sum(1 << int(f) for f in np.flatnonzero(seen)))]
                      for target, source, seen in _chosen(alive, order, budget, [f["rests"] for f in self.frames])]
        return found


def _chosen(alive: Bools, order: npt.NDArray[np.float64], budget: int, rests: Sequence[bool]) -> list[Any]:
    """(to, from, alive in which frames) of the connections to draw: of those that outlast a rest, the first in a random
    order, and beside them others that are only passing where there are many."""
    chosen = np.zeros(alive.shape[1:], bool)
    for rest in np.flatnonzero(rests):
        chosen |= alive[rest] & (order <= _nth(order[alive[rest]], budget))
    least = min(int(frame.sum()) for frame in alive[np.flatnonzero(rests)])
    for now in alive:
        passing = now & ~chosen
        wanted = int(min(DENSER, (now.sum() / least) ** 0.5) * budget - (now & chosen).sum())
        if wanted > 0 and passing.any():
            chosen |= passing & (order <= _nth(order[passing], wanted))
    return [(to, source, alive[:, to, source]) for to, source in np.argwhere(chosen)]


def _nth(values: npt.NDArray[np.float64], count: int) -> float:
    return float(np.partition(values, count - 1)[count - 1]) if 0 < count <= len(values) else np.inf


def _sent(frame: Sequence[Bools], layer: int) -> npt.NDArray[np.intp]:
    """Live connections of every neuron of a layer; layer 0 is the input."""
    into = frame[layer - 1].sum(1) if layer else 0
    out = frame[layer].sum(0) if layer < len(frame) else 0
    return np.asarray(into + out)


def _stacked(masks: Sequence[Bools]) -> Bools:
    """(frames, to, from); the outputs that have not appeared yet have no connections."""
    rows = max(len(mask) for mask in masks)
    return np.stack([np.pad(mask, ((0, rows - len(mask)), (0, 0))) for mask in masks])
