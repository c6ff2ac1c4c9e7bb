"""Good parts alone: five surfaces with faults that a seed draws, and steel of which one kind is good.

Each surface is taught by good pictures alone, one after the other, all to one head; then good and faulty pictures of
every surface are asked. Of the steel, one kind of surface is taught as the good one and the five others are faults;
each kind is the good one in turn. Beside it stand the nearest patches of the taught pictures (as in Roth et al. 2022),
on the very same patches, plain and divided by what good pictures have at that place, as the head does.

Nothing here was used to choose a setting: that was done on other surfaces (`surfaces.CHOSEN_ON`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.catalogue import bundle_of
from engram.heads.parts import GoodParts
from engram.heads.parts.parts_view import PartsView
from engram.heads.parts.place_gaussians import averaged
from engram.inputs.overlay import enlarged
from engram.lab.data_sets.steel_defects import KINDS, steel_defects
from engram.lab.evaluation import auroc
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.feature_cache import cached_features
from engram.lab.experiments.parts.surfaces import REPORTED, drawn, faults
from engram.lab.experiments.result import Figure, Values
from engram.learner import FloatArray


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        taught: good pictures of each surface, and of the good kind of steel.
        good: further good pictures that are asked about.
        faulty: pictures of each fault of a surface; half as many of each other kind of steel.
        memory: patches that the rival keeps of each surface, drawn from all.
        neighbours: how many nearest patches the rival averages; the best is reported.
    """

    taught: int = 20
    good: int = 20
    faulty: int = 6
    memory: int = 4000
    neighbours: tuple[int, ...] = (1, 5)


PUBLISHED: dict[str, Any] = {}

FIGURES = {
    "anomaly.surfaces": Figure("surfaces", "%"),
    "anomaly.surfaces-rival": Figure("surfaces-rival", "%"),
    "anomaly.steel": Figure("steel", "%"),
    "anomaly.steel-rival": Figure("steel-rival", "%"),
    "anomaly.over-rival": Figure("over-rival", "points", at_least=-0.5),
    "anomaly.over-rival-plain": Figure("over-rival-plain", "points"),
    "anomaly.pixels": Figure("pixels", "%"),
    "anomaly.pixels-rival": Figure("pixels-rival", "%"),
    "anomaly.refused-good": Figure("refused-good", "%"),
    "anomaly.found": Figure("found", "%"),
    "anomaly.right-product": Figure("right-product", "%"),
    "anomaly.teach-ms": Figure("teach-ms", "ms"),
    "anomaly.ask-ms": Figure("ask-ms", "ms"),
    "anomaly.product-mb": Figure("product-mb", "MB"),
    "anomaly.identical": Figure("identical", "flag", at_least=1.0),
}


class Scene(NamedTuple):
    """Maps (N, D) of one product: taught, good and faulty ones, and (M, S, S) masks of the good and faulty ones."""

    taught: npt.NDArray[np.float32]
    good: npt.NDArray[np.float32]
    faulty: npt.NDArray[np.float32]
    masks: npt.NDArray[np.bool_] | None = None


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the surfaces, the faults and the steel that is taught."""
    bundle = bundle_of("good-parts")
    progress(0.0, "surfaces")
    scenes = {kind: surface(config, seed, kind, bundle) for kind in REPORTED}
    progress(0.3, "taught and asked")
    values = taught_together(bundle, scenes)
    progress(0.4, "the nearest patches")
    found = {kind: beside_rivals(config, seed, bundle, scene) for kind, scene in scenes.items()}
    progress(0.6, "steel")
    steel = {kind: beside_rivals(config, seed, bundle, scene) for kind, scene in steels(config, seed, bundle).items()}
    surfaces, kinds = mean_of(found), mean_of(steel)
    values |= {"surfaces": surfaces["own"], "surfaces-rival": best(surfaces), "steel": kinds["own"],
               "steel-rival": best(kinds), "pixels": surfaces["pixels"], "pixels-rival": surfaces["pixels-rival"]}
    both = {name: (surfaces[name] + kinds[name]) / 2 for name in kinds}
    values["over-rival"] = both["own"] - best(both)
    values["over-rival-plain"] = both["own"] - max(value for name, value in both.items() if name.startswith("plain"))
    values["kinds"] = {**found, **steel}
    return values


def best(found: Mapping[str, float]) -> float:
    """That of the best rival."""
    return max(value for name, value in found.items() if name.startswith(("plain", "usual")))


def mean_of(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Each value averaged over the products."""
    first = next(iter(found.values()))
    return {name: float(np.mean([values[name] for values in found.values()])) for name in first}


def surface(config: Config, seed: int, kind: str, bundle: Bundle) -> Scene:
    """The pictures of one surface, as maps."""
    place = list(REPORTED).index(kind)
    good = [drawn(kind, (seed, place, 0, i)) for i in range(config.taught + config.good)]
    faulty = [drawn(kind, (seed, place, 1 + j, i), fault) for j, fault in enumerate(faults(kind))
              for i in range(config.faulty)]
    maps = bundle.features([one.picture for one in (*good, *faulty)])
    masks = np.stack([one.mask for one in (*good[config.taught :], *faulty)])
    start, end = config.taught, config.taught + config.good
    return Scene(maps[:start], maps[start:end], maps[end:], masks)


def steels(config: Config, seed: int, bundle: Bundle) -> dict[str, Scene]:
    """For each kind of steel the scene in which it is the good one."""
    pictures = steel_defects()
    maps = cached_features(bundle, "steel-defects", lambda: list(pictures.paths)).features
    labels, rng = np.array(pictures.labels), np.random.default_rng(seed)
    places = {kind: rng.permutation(np.flatnonzero(labels == kind)) for kind in KINDS}
    made = {}
    for kind in KINDS:
        own, end = places[kind], config.taught + config.good
        others = np.concatenate([places[other][: config.faulty // 2] for other in KINDS if other != kind])
        made[kind] = Scene(maps[own[: config.taught]], maps[own[config.taught : end]], maps[others])
    return made


def head_on(bundle: Bundle) -> GoodParts:
    """An empty head, as a brain has it."""
    assert bundle.grid is not None
    return GoodParts(bundle.mean, step=bundle.step, normalise=bundle.normalise, grid=bundle.grid)


def taught_together(bundle: Bundle, scenes: Mapping[str, Scene]) -> Values:
    """All products in one head: what it answers, how long that takes, and the laws."""
    head, seconds = head_on(bundle), 0.0
    for kind, scene in scenes.items():
        start = time.perf_counter()
        head.learn(scene.taught, [kind] * len(scene.taught))
        head.settle()
        seconds += time.perf_counter() - start
    refused, found, right = [], [], []
    start = time.perf_counter()
    for kind, scene in scenes.items():
        good, faulty = head.predict(scene.good), head.predict(scene.faulty)
        refused.append(np.mean(~good.known))
        found.append(np.mean(~faulty.known))
        right.append(np.mean([label == kind for label in (*good.best, *faulty.best)]))
    asked = sum(len(scene.good) + len(scene.faulty) for scene in scenes.values())
    taught = sum(len(scene.taught) for scene in scenes.values())
    return {
        "refused-good": 100 * float(np.mean(refused)), "found": 100 * float(np.mean(found)),
        "right-product": 100 * float(np.mean(right)), "teach-ms": 1000 * seconds / taught,
        "ask-ms": 1000 * (time.perf_counter() - start) / asked,
        "product-mb": head.memory_bytes / len(scenes) / 1e6, "identical": float(laws_hold(bundle, scenes, head)),
    }


def laws_hold(bundle: Bundle, scenes: Mapping[str, Scene], head: GoodParts) -> bool:
    """Whether another order, one at a time, a meld of two devices and unlearning end in the same SHA-256."""
    pairs = [(kind, row) for kind, scene in scenes.items() for row in scene.taught]
    shuffled = [pairs[i] for i in np.random.default_rng(0).permutation(len(pairs))]
    single, devices = head_on(bundle), [head_on(bundle), head_on(bundle)]
    for i, (kind, row) in enumerate(shuffled):
        single.learn(row, kind)
        devices[i % 2].learn(row, kind)
    devices[0].meld(devices[1])
    first, scene = next(iter(scenes.items()))
    digest = head.digest()
    head.learn(scene.faulty, [first] * len(scene.faulty))
    taught = head.digest()
    head.forget(scene.faulty, [first] * len(scene.faulty))
    return digest != taught and {digest} == {one.digest() for one in (single, devices[0], head)}


def beside_rivals(config: Config, seed: int, bundle: Bundle, scene: Scene) -> dict[str, float]:
    """Percent of pairs of a good and a faulty picture in right order, by the head and by the nearest patches."""
    head = head_on(bundle)
    head.learn(scene.taught, ["good"] * len(scene.taught))
    view = head.view()
    assert isinstance(view, PartsView)
    maps = {"own": view.heat(np.concatenate([scene.good, scene.faulty]))}
    for name, strange in nearest_patches(config, seed, bundle, scene).items():
        maps[name] = averaged(strange.reshape(len(strange), *maps["own"].shape[1:]))
    values = {name: 100 * in_order(found.max(axis=(1, 2)), len(scene.good)) for name, found in maps.items()}
    if scene.masks is not None:
        pixels = {name: 100 * pixel_auroc(found, scene.masks) for name, found in maps.items()}
        values["pixels"], values["pixels-rival"] = pixels.pop("own"), max(pixels.values())
    return values


def in_order(strange: FloatArray, good: int) -> float:
    """AUROC of (N,) values of which the first `good` are of good pictures."""
    return auroc(-strange[:good], -strange[good:])


def pixel_auroc(maps: FloatArray, masks: npt.NDArray[np.bool_]) -> float:
    """AUROC of the pixels of (N, rows, columns) maps enlarged to (N, S, S) masks."""
    large = np.stack([enlarged(one, masks.shape[1:]) for one in maps])
    return auroc(-large[~masks], -large[masks])


def nearest_patches(config: Config, seed: int, bundle: Bundle, scene: Scene) -> dict[str, FloatArray]:
    """(N, P) mean distances of each patch to its nearest taught patches, plain and relative to what is usual there."""
    assert bundle.grid is not None
    places = bundle.grid[0] * bundle.grid[1]
    taught = scene.taught.reshape(len(scene.taught), places, -1)
    channels, rng = taught.shape[2], np.random.default_rng(seed)
    chosen = rng.permutation(len(taught) * places)[: config.memory]
    memory, owners = taught.reshape(-1, channels)[chosen], chosen // places
    asked = np.concatenate([scene.good, scene.faulty]).reshape(-1, places, channels)
    own = np.stack([distances(one, memory[owners != i], config.neighbours) for i, one in enumerate(taught)])
    found = np.stack([distances(one, memory, config.neighbours) for one in asked])
    usual = own.mean(axis=0)
    rivals = {}
    for i, k in enumerate(config.neighbours):
        rivals[f"plain-{k}"] = found[:, i]
        rivals[f"usual-{k}"] = found[:, i] / usual[i]
    return rivals


def distances(patches: npt.NDArray[np.float32], memory: npt.NDArray[np.float32], neighbours: tuple[int, ...]) -> Any:
    """(K, P) for each number of neighbours the mean distance to so many nearest of (M, d) patches."""
    squares = np.square(memory).sum(axis=1) - 2 * patches @ memory.T + np.square(patches).sum(axis=1)[:, None]
    most = max(neighbours)
    nearest = np.sqrt(np.maximum(np.sort(np.partition(squares, most, axis=1)[:, :most], axis=1), 0))
    return np.stack([nearest[:, :k].mean(axis=1) for k in neighbours]).astype(np.float64)


def plot(result: Mapping[str, Any]) -> Any:
    """Image AUROC of the head and of the best rival."""
    figure, axes = canvas(2, width=4.4, height=2.6)
    values = result["values"]
    for panel, (name, told) in zip(axes, {"surfaces": "five surfaces", "steel": "six kinds of steel"}.items(),
                                   strict=True):
        bars = {"good parts": values[name], "nearest patches": values[f"{name}-rival"]}
        draw_bars(panel, {bar: (one["mean"], one["sd"]) for bar, one in bars.items()}, "image AUROC (%)", told,
                  span=(50.0, 100.0))
    return figure
