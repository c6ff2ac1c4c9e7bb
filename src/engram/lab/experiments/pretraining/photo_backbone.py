"""The photo backbone that ships with Engram: few photographs, steel defects, its speed and its size.

The fast head is taught 14 examples, or one, of each class, on the packaged bundle and, with the same examples, on
MobileNetV2, its teacher, and on hand-made measures. No class of these was seen in pre-training, whose own held-out
classes (of Tiny-ImageNet) stand beside them. Unknown are the photographs of the ten other classes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import engram
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.bundle_folder import packaged_folder
from engram.features.backbones.catalogue import bundle_of
from engram.features.backbones.onnx import OnnxBackbone
from engram.inputs.vectors import unit_length
from engram.lab.data_sets.labelled_folder import few_of_each
from engram.lab.data_sets.photos import NEAR, NOVEL, photos
from engram.lab.data_sets.steel_defects import KINDS, steel_defects
from engram.lab.evaluation import accuracy, auroc
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import ExperimentError, Progress
from engram.lab.experiments.feature_cache import cached_features
from engram.lab.experiments.head.contenders import fast_head
from engram.lab.experiments.pretraining.mobilenet import mobilenet_bundle
from engram.lab.experiments.result import Figure, Values

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        shots: examples taught of each class.
        photographs, steel, held_out: examples asked about, of each class.
        timed: photographs that are taught one by one against the clock.
    """

    shots: tuple[int, ...] = (14, 5, 1)
    photographs: int = 16
    steel: int = 46
    held_out: int = 40
    timed: int = 100


PUBLISHED: dict[str, Any] = {}

FIGURES = {
    "photo-backbone.shots-14": Figure("shots-14", "%", at_least=85.0),
    "photo-backbone.shots-1": Figure("shots-1", "%", at_least=65.0),
    "photo-backbone.near-14": Figure("near-14", "%"),
    "photo-backbone.steel-14": Figure("steel-14", "%", at_least=92.0),
    "photo-backbone.steel-1": Figure("steel-1", "%"),
    "photo-backbone.unknown-auroc": Figure("unknown-auroc", "%"),
    "photo-backbone.held-out-14": Figure("held-out-14", "%"),
    "photo-backbone.mobilenet-shots-14": Figure("mobilenet-shots-14", "%"),
    "photo-backbone.mobilenet-shots-1": Figure("mobilenet-shots-1", "%"),
    "photo-backbone.mobilenet-steel-14": Figure("mobilenet-steel-14", "%"),
    "photo-backbone.descriptor-shots-14": Figure("descriptor-shots-14", "%"),
    "photo-backbone.teach-ms": Figure("teach-ms", "ms", at_most=15.0),
    "photo-backbone.package-mb": Figure("package-mb", "MB", at_most=10.0),
    "photo-backbone.onnx-difference": Figure("onnx-difference", "ratio", at_most=1e-4),
    "photo-backbone.quantised-agreement": Figure("quantised-agreement", "%", at_least=99.0),
}


class Task(NamedTuple):
    """Pictures by their names in the feature cache, their labels, the classes, and how many of each are asked."""

    name: str
    pictures: Any
    labels: Sequence[str]
    classes: tuple[str, ...]
    ask: int

    def features(self, bundle: Bundle) -> Array:
        """(N, D) float32, from the cache where they are in it."""
        return cached_features(bundle, self.name, lambda: self.pictures).features


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the examples that are taught."""
    values: Values = {}
    for i, (prefix, bundle) in enumerate(bundles().items()):
        progress(i / 5, f"few examples on {bundle.name}")
        for kind, task in tasks(config).items():
            if kind == "held-out-" and prefix:
                continue  # MobileNetV2 was trained on these classes
            features = task.features(bundle)
            for shots in config.shots:
                name = f"{prefix}{kind}{shots}"
                values[name] = taught(bundle, features, task, shots, np.random.default_rng([seed, shots]))
        values[f"{prefix}unknown-auroc"] = unknown(bundle, tasks(config)["shots-"], max(config.shots), seed)
    progress(0.6, "the clock")
    values["teach-ms"] = teach_ms(config, seed)
    progress(0.7, "float32 and int8 against PyTorch")
    values |= exported(config, seed)
    progress(0.9, "the package")
    values["package-mb"] = package_mb()
    return values


def bundles() -> dict[str, Bundle]:
    """What is compared, by what the figures' names begin with."""
    return {"": packaged(), "mobilenet-": mobilenet_bundle(), "descriptor-": bundle_of("descriptor")}


@lru_cache(maxsize=1)
def packaged() -> Bundle:
    """The bundle that ships."""
    return Bundle.open(packaged_folder() / "photos")


@lru_cache(maxsize=2)
def tasks(config: Config) -> dict[str, Task]:
    """What is learned, by the beginning of its figures' names."""
    pictures, steel = photos(), steel_defects()
    held_out = _held_out()
    return {
        "shots-": Task("photos", list(pictures.paths), pictures.labels, NOVEL, config.photographs),
        "near-": Task("photos", list(pictures.paths), pictures.labels, NEAR, config.photographs),
        "steel-": Task("steel-defects", list(steel.paths), steel.labels, KINDS, config.steel),
        "held-out-": Task("tiny-imagenet-held-out", *held_out, tuple(sorted(set(held_out[1]))), config.held_out),
    }


def _held_out() -> tuple[Any, list[str]]:
    """The pictures of Tiny-ImageNet's classes that no training of the backbone saw."""
    from engram.lab.data_sets.tiny_imagenet import tiny_imagenet
    from engram.lab.recipes.photo_recipe import trained_on

    pictures = tiny_imagenet("train")
    learned = set(trained_on(tuple(sorted(set(pictures.labels)))))
    places = [place for place, label in enumerate(pictures.labels) if label not in learned]
    return [pictures[place] for place in places], [pictures.labels[place] for place in places]


def taught(bundle: Bundle, features: Array, task: Task, shots: int, rng: np.random.Generator) -> float:
    """Accuracy in percent on (N, D) features after `shots` examples of each class."""
    teach, ask = few_of_each(task.labels, task.classes, shots, task.ask, rng)
    labels = np.asarray(task.labels)
    head = fast_head(bundle)
    head.learn(features[np.concatenate(teach)], labels[np.concatenate(teach)].tolist())
    places = np.concatenate(ask)
    return 100 * accuracy(head.predict(features[places]).best, labels[places].tolist())


def unknown(bundle: Bundle, task: Task, shots: int, seed: int) -> float:
    """AUROC in percent: the task's classes are taught, their other pictures known, those of other classes not."""
    features = task.features(bundle)
    labels = np.asarray(task.labels)
    teach, ask = few_of_each(task.labels, task.classes, shots, task.ask, np.random.default_rng([seed, 0]))
    head = fast_head(bundle)
    head.learn(features[np.concatenate(teach)], labels[np.concatenate(teach)].tolist())
    known, others = features[np.concatenate(ask)], features[~np.isin(labels, task.classes)]
    return 100 * auroc(head.predict(known).familiarity, head.predict(others).familiarity)


def teach_ms(config: Config, seed: int) -> float:
    """Median milliseconds from a photograph's file to a head that has learned it, on one thread."""
    task = tasks(config)["shots-"]
    order = np.random.default_rng(seed).permutation(len(task.pictures))[: config.timed]
    bundle = packaged()
    head = fast_head(bundle)
    times = []
    for place in order:
        start = time.perf_counter()
        head.learn(bundle.features([task.pictures[place]]), task.labels[place])
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def exported(config: Config, seed: int) -> Values:
    """The trained network in PyTorch against its float32 export, and that against the int8 one that ships."""
    task = tasks(config)["shots-"]
    own = packaged()
    labels = np.asarray(task.labels)
    in_torch, in_onnx = originals()
    places = np.flatnonzero(np.isin(labels, task.classes))
    pictures = [task.pictures[place] for place in places]
    exact, plain = in_torch.features(pictures), in_onnx.features(pictures)
    shipped = task.features(own)
    unquantised = shipped.copy()
    unquantised[places] = plain
    teach, ask = few_of_each(task.labels, task.classes, max(config.shots), task.ask, np.random.default_rng([seed, 1]))
    answers = []
    for features in (shipped, unquantised):
        head = fast_head(own)
        head.learn(features[np.concatenate(teach)], labels[np.concatenate(teach)].tolist())
        answers.append(np.array(head.predict(features[np.concatenate(ask)]).best))
    return {
        "onnx-difference": float(np.abs(directions(exact) - directions(plain)).max()),
        "quantised-agreement": 100 * float(np.mean(answers[0] == answers[1])),
        "quantised-cosine": float((directions(shipped[places]) * directions(plain)).sum(1).min()),
    }


def directions(features: Array) -> Array:
    """Each of (N, D) rows at unit length."""
    return unit_length(np.asarray(features, np.float64))


@lru_cache(maxsize=1)
def originals() -> tuple[Any, OnnxBackbone]:
    """The trained network as a PyTorch backbone and as a float32 ONNX one; it is trained if it is not in the cache."""
    from engram.features.backbones.torch_module import TorchBackbone
    from engram.features.pretraining.families.network import Embedding
    from engram.features.pretraining.onnx_network import to_onnx
    from engram.lab.recipes.photo_bundle import preprocessing, ready_network

    network = Embedding(ready_network())
    seen = preprocessing()
    return TorchBackbone(network, seen, name="photos"), OnnxBackbone(to_onnx(network, seen.shape), seen, name="photos")


def package_mb() -> float:
    """Size of the wheel that is built from this source tree, in 10^6 bytes.

    Raises:
        ExperimentError: Engram was installed without its source tree, or the wheel cannot be built.
    """
    root = Path(engram.__file__).parents[2]
    if not (root / "pyproject.toml").is_file():
        raise ExperimentError("The package is measured by building it: run this from a source tree.")
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        done = subprocess.run(build, cwd=root, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise ExperimentError(f"The wheel could not be built (pip install hatchling): {done.stderr[-300:]}")
        return wheels[0].stat().st_size / 1e6


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy by examples taught, on each backbone."""
    figure, axes = canvas(3, width=4.2, height=3.2)
    values = result["values"]
    names = {"": "photos (packaged)", "mobilenet-": "MobileNetV2", "descriptor-": "hand-made measures"}
    panels = {"shots-": "Ten novel classes", "near-": "Ten near classes", "steel-": "Six steel defects"}
    for panel, (kind, title) in zip(axes, panels.items(), strict=True):
        bars = {
            f"{name}, {shots}": (values[f"{prefix}{kind}{shots}"]["mean"], values[f"{prefix}{kind}{shots}"]["sd"])
            for shots in result["config"]["shots"] for prefix, name in names.items()
        }
        draw_bars(panel, bars, "accuracy (%)", title, span=(0.0, 101.0))
    return figure
