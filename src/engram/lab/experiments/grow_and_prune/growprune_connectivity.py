"""Where connections grow: the live connections of every pixel, before and after the digits 0, 6, 7 join 1 and 2.

A network with two hidden layers learns 1 and 2 and is pruned; then 0, 6 and 7 arrive, it grows where its gradients ask
for it, learns and is pruned again. The number: the correlation, over the pixels, of the connections that woke with the
mean image of the new digits, beside that of a network in which as many wake at random. At last the other five digits
arrive; the first seed keeps how the network looked all along, which is what the animation in the docs is drawn from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from engram.lab.evaluation.correlation import correlation
from engram.lab.evaluation.plots import STYLE
from engram.lab.experiments.experiment import Progress, part
from engram.lab.experiments.grow_and_prune.growprune_learner import error
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of
from engram.lab.streams import Experience, Stream, channels_first, class_incremental, data_set
from engram.networks.strategies.grow_and_prune import GrowAndPrune
from engram.networks.strategies.kept import Kept
from engram.networks.strategies.networks import perceptron
from engram.networks.strategies.update_recipe import UpdateRecipe
from engram.networks.structure import growth
from engram.networks.structure.denormals import denormals_flushed
from engram.networks.structure.evaluation_mode import evaluating
from engram.networks.structure.masks import Masks

Floats = npt.NDArray[np.float64]
PATENT = "US 12,393,842 B2, FIG. 5"
ARRIVALS = ((1, 2), (0, 6, 7), (3, 4, 5, 8, 9))
FILM_SEED = 0
LINES = (140, 90, 40)  # drawn of each layer in the film

Bools = npt.NDArray[np.bool_]
THINNER, THICKER = 0.45, 1.2  # connections left, or come, since the last frame: then there is a new one
DENSER = 4  # times as many lines, at most, in a frame with more connections


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        data: a data set of digits, by its name.
        hidden: units of each of the two layers.
        parameters: alive at rest, after each of the three arrivals.
        alpha: percentile of the gradients from which a dormant connection wakes.
        examples: at which the epochs of each of the three updates are meant.
        new_epochs, all_epochs, prune_epochs: of each update.
        augmentation: of the images.
        device: of the training.
    """

    data: str = "mnist"
    hidden: tuple[int, int] = (300, 100)
    parameters: tuple[int, int, int] = (2_000, 4_000, 8_000)
    alpha: float = 90.0
    examples: tuple[int, int, int] = (19_200, 25_600, 102_400)
    new_epochs: float = 1.0
    all_epochs: float = 1.5
    prune_epochs: float = 4.0
    augmentation: str = "affine"
    device: str = "cpu"


PUBLISHED: dict[str, Any] = {"patent": {"source": PATENT, "shown": "the connections of every pixel, as pictures"}}
FIGURES = {
    "growprune-connectivity.woken": Figure("woken", "correlation"),
    "growprune-connectivity.woken-at-random": Figure("woken-at-random", "correlation"),
    "growprune-connectivity.kept": Figure("kept", "correlation"),
    "growprune-connectivity.kept-at-random": Figure("kept-at-random", "correlation"),
}


class Watched(GrowAndPrune):
    """Remembers, for each pixel, the connections that woke last.

    Attributes:
        at_random: whether as many wake, but any.
        woken: (pixels,).
    """

    at_random = False
    woken: Floats

    def grow_connections(self, data: Kept) -> int:
        """One growth."""
        before = self.of_pixels()
        if self.at_random:
            found = self.gradients_on_some(data)
            drawn = {name: torch.rand(mask.shape, generator=self.generator).to(mask)
                     for name, mask in self.masks.items()}
            count = growth.grow(self.masks, growth.Gradients(found.mean, drawn), self.recipe.alpha, self.recipe.eta)
        else:
            count = super().grow_connections(data)
        self.woken = self.of_pixels() - before
        return count

    def of_pixels(self) -> Floats:
        """(pixels,): live connections of each."""
        counts: Floats = next(iter(self.masks.values())).sum(0).double().cpu().numpy()
        return counts


@denormals_flushed()
def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed; each of its two networks is kept when it is done."""
    folder = steps_of("growprune-connectivity", asdict(config), seed=seed)
    arrivals = class_incremental(data_set(config.data).map(channels_first), groups=ARRIVALS, seed=seed)
    found = {}
    for place, name in enumerate(("gradient", "random")):
        told = part(progress, place, 2, f"growth by {name}")
        filmed = bool(seed == FILM_SEED and name == "gradient")
        found[name] = measured(f"{folder}/{name}",
                               partial(story, config, seed, arrivals, name == "random", filmed, told))
    images = {name: mean_image(arrivals[place]) for place, name in enumerate(("old", "new"))}
    values: Values = {"mean-images": images}
    for name, suffix in (("gradient", ""), ("random", "-at-random")):
        maps = found[name]
        came = np.maximum(np.array(maps["after"]) - maps["before"], 0)
        values |= {f"woken{suffix}": correlation(maps["woken"], images["new"]).value,
                   f"woken-and-old{suffix}": correlation(maps["woken"], images["old"]).value,
                   f"kept{suffix}": correlation(came, images["new"]).value,
                   f"maps{suffix}": {key: maps[key] for key in ("before", "woken", "after")},
                   f"errors{suffix}": maps["errors"], f"parameters{suffix}": maps["parameters"]}
    film = found["gradient"].get("film")
    return values | ({"film": film} if film else {})


def story(config: Config, seed: int, arrivals: Stream, at_random: bool, filmed: bool, progress: Progress) -> Values:
    """A network to which the digits arrive: maps before and after the second arrival, errors after each."""
    recipe = UpdateRecipe(new_epochs=config.new_epochs, all_epochs=config.all_epochs, prune_epochs=config.prune_epochs,
                    alpha=config.alpha, distillation=0)
    learner = Watched(perceptron(arrivals.input_shape, config.hidden, seed=seed), recipe=recipe, held_out=0,
                      augmentation=config.augmentation, seed=seed, device=config.device)
    learner.at_random = at_random
    film, found = Film(LINES, seed), Values(errors=[], parameters=[])
    taught = len(arrivals) if filmed else 2
    for number, portion in enumerate(arrivals[:taught]):
        learner.parameters = config.parameters[number]
        learner.recipe = recipe.with_epochs_of(config.examples[number])
        asked = arrivals[:number + 1]
        share = sum(len(one.train) for one in asked) / sum(len(one.train) for one in arrivals)
        about = partial(_about, learner, asked, share)

        def told(done: float, what: str, number: int = number, about: Any = about) -> None:
            progress((number + done) / taught, what)
            if filmed:
                film.watch(learner.masks, about)

        learner.progress = told
        learner.learn(portion.inputs, portion.labels.tolist())
        if filmed:
            film.watch(learner.masks, about, rests=True)
        if number < 2:
            found["errors"].append(wrong(learner, asked))
            found["parameters"].append(learner.masks.live)
            found[("before", "after")[number]] = learner.of_pixels()
        if number == 1:
            found["woken"] = learner.woken
    return found | ({"film": film.packed()} if filmed else {})


def wrong(learner: GrowAndPrune, asked: Stream) -> float:
    """Percent of the test images of the digits that have arrived."""
    return float(np.average([error(learner, one.test) for one in asked], weights=[len(one.test) for one in asked]))


def mean_image(portion: Experience) -> Floats:
    """(pixels,): the mean of its training images."""
    images: Floats = portion.inputs.astype(np.float64).mean(0).ravel()
    return images


def _about(learner: GrowAndPrune, asked: Stream, share: float) -> dict[str, Any]:
    right = total = 0
    with torch.no_grad(), evaluating(learner.model):
        for one in asked:
            answers = learner.model(torch.from_numpy(one.test.inputs).to(learner.device)).argmax(1)
            right += int((answers == learner.places(one.test.labels.tolist())).sum())
            total += len(one.test)
    return {"labels": [int(label) for label in learner.labels], "data": round(100 * share),
            "error": round(100 - 100 * right / total, 2), "new": [int(label) for label in asked[-1].classes]}


def plot(result: Mapping[str, Any]) -> Any:
    """Maps of the pixels side by side: the digits, connections before, those that woke, and after."""
    import matplotlib
    from matplotlib.figure import Figure as Drawing

    values = result["values"]
    maps, images, random = values["maps"], values["mean-images"], values["maps-at-random"]
    panels = {
        "1 and 2, mean image": (images["old"], "gray"),
        f"connections to 1 and 2\n{values['parameters']['mean'][0]:,.0f} parameters": (maps["before"], "magma"),
        "0, 6 and 7, mean image": (images["new"], "gray"),
        f"what woke for 0, 6 and 7\nr = {values['woken']['mean']:.2f} with their image": (maps["woken"], "magma"),
        f"connections to all five\n{values['parameters']['mean'][1]:,.0f} parameters": (maps["after"], "magma"),
        f"control: waking at random\nr = {values['woken-at-random']['mean']:.2f}": (random["woken"], "magma"),
    }
    side = round(len(images["old"]["mean"]) ** 0.5)
    with matplotlib.rc_context(STYLE):
        figure = Drawing(figsize=(2.1 * len(panels), 2.7), layout="constrained")
        for axes, (title, (pixels, colours)) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
            axes.imshow(np.reshape(pixels["mean"], (side, side)), cmap=colours, vmin=0)
            axes.set_title(title, fontsize=8)
            axes.set_xticks([])
            axes.set_yticks([])
    return figure


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
