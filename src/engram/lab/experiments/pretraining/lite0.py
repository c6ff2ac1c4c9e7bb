"""EfficientNet-Lite0, which the extra [photos] brings: few photographs, what is unknown, and its speed.

The fast head is taught 14, 5 or one photograph of each of ten novel classes, and 14 of each of ten near ones. Novel
classes have no relatives among ImageNet's, on which the network was trained; near ones have. Unknown are the
photographs of the ten other classes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.catalogue import bundle_of
from engram.features.backbones.onnx import OnnxBackbone
from engram.lab.data_sets.photos import NEAR, NOVEL, photos
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.head.contenders import fast_head
from engram.lab.experiments.pretraining.photo_backbone import Task, taught, unknown
from engram.lab.experiments.result import Figure, Values

NAME = "efficientnet-lite0"


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        shots: examples taught of each novel class; of the near ones, the first of these.
        photographs: examples asked about, of each class.
        timed: photographs that are taught one by one against the clock.
    """

    shots: tuple[int, ...] = (14, 5, 1)
    photographs: int = 16
    timed: int = 60


PUBLISHED: dict[str, Any] = {}

FIGURES = {
    "lite0.shots-14": Figure("shots-14", "%", at_least=99.0),
    "lite0.shots-5": Figure("shots-5", "%"),
    "lite0.shots-1": Figure("shots-1", "%", at_least=90.0),
    "lite0.near-14": Figure("near-14", "%", at_least=98.0),
    "lite0.auroc": Figure("auroc", "%", at_least=98.0),
    "lite0.teach-ms": Figure("teach-ms", "ms", at_most=40.0),
    "lite0.float16-agreement": Figure("float16-agreement", "%", at_least=99.0),
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the examples that are taught.

    Raises:
        InputError: the extra [photos] is not installed.
    """
    pictures, bundle = photos(), bundle_of(NAME)
    novel = Task("photos", list(pictures.paths), pictures.labels, NOVEL, config.photographs)
    near = novel._replace(classes=NEAR)
    progress(0.0, "few examples")
    features = novel.features(bundle)
    values: Values = {
        f"shots-{shots}": taught(bundle, features, novel, shots, np.random.default_rng([seed, shots]))
        for shots in config.shots
    }
    most = max(config.shots)
    values[f"near-{most}"] = taught(bundle, features, near, most, np.random.default_rng([seed, most]))
    values["auroc"] = unknown(bundle, novel, most, seed)
    progress(0.5, "the clock")
    values |= times(bundle, novel, config.timed, seed)
    progress(0.8, "float16 against float32")
    values["float16-agreement"] = agreement(bundle, novel, most, seed)
    return values


def times(bundle: Bundle, task: Task, count: int, seed: int) -> Values:
    """Median milliseconds of processor time from a photograph's file to a head that has learned it, on one thread."""
    order = np.random.default_rng(seed).permutation(len(task.pictures))[:count]
    head = fast_head(bundle)
    seeing, learning = [], []
    for place in order:
        start = time.process_time()
        features = bundle.features([task.pictures[place]])
        middle = time.process_time()
        head.learn(features, task.labels[place])
        seeing.append(middle - start)
        learning.append(time.process_time() - middle)
    together = np.add(seeing, learning)
    return {"teach-ms": 1000 * float(np.median(together)), "see-ms": 1000 * float(np.median(seeing))}


def agreement(bundle: Bundle, task: Task, shots: int, seed: int) -> float:
    """Share of equal answers with float16 and with float32 weights, in percent."""
    from engram.features.backbones.efficientnet_lite0 import PREPROCESSING, to_onnx, weights_file
    from engram.features.backbones.torch_tensors import read_tensors
    from engram.lab.data_sets.labelled_folder import few_of_each

    plain = OnnxBackbone(to_onnx(read_tensors(weights_file())), PREPROCESSING, name=f"{NAME}-float32")
    labels = np.asarray(task.labels)
    teach, ask = few_of_each(task.labels, task.classes, shots, task.ask, np.random.default_rng([seed, shots]))
    learned, asked = np.concatenate(teach), np.concatenate(ask)
    answers = []
    for features in (task.features(bundle), task.features(Bundle.bare(plain))):
        head = fast_head(bundle)
        head.learn(features[learned], labels[learned].tolist())
        answers.append(np.array(head.predict(features[asked]).best))
    return 100 * float(np.mean(answers[0] == answers[1]))


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy by photographs taught."""
    figure, (axes,) = canvas(1, width=5.0, height=3.0)
    values = result["values"]
    names = {f"shots-{shots}": f"novel, {shots} of each" for shots in result["config"]["shots"]}
    names["near-14"] = "near, 14 of each"
    names["auroc"] = "unknown (AUROC)"
    bars = {told: (values[name]["mean"], values[name]["sd"]) for name, told in names.items()}
    draw_bars(axes, bars, "%", "Ten classes of photographs", span=(80.0, 100.5))
    return figure
