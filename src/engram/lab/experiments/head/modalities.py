"""One label seen, heard and read: what is told apart together, and by the best modality alone.

A label is a digit and, drawn for it by the seed, an intent. It is met as a handwritten digit (MNIST), as the digit
spoken by one of six people, and as a request of that intent (CLINC150): three views that err independently of each
other. A few of each are taught to a `MultimodalBrain` on the backbones that need no extra; then things are asked about
that were not taught, each drawn anew out of a picture, a sound and a sentence of one label.

Beside the powers that the brain fits stand the product of the probabilities, their mean and their maximum. Strangers
are things of five labels, where only the other five were taught.

Nothing that is asked about was used in building: the rule was chosen with `part=validation`, which asks about training
pictures, early takes and the sentences set aside for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.brain.multimodal import MultimodalBrain, pool_of
from engram.features.backbones.catalogue import bundle_of
from engram.heads.head import softmax
from engram.heads.late_fusion import Evidence
from engram.inputs.modalities import MODALITIES
from engram.lab.data_sets.clinc150 import Queries, clinc150
from engram.lab.data_sets.mnist import mnist
from engram.lab.data_sets.spoken_digits import recordings
from engram.lab.evaluation import auroc
from engram.lab.evaluation.intervals import interval
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.learner import FloatArray, Predictions

BACKBONES = {"pictures": "photos", "sound": "log-mel", "text": "english-ngrams"}
SHORT = {"pictures": "seen", "sound": "heard", "text": "read"}


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        shots: examples taught of each label in each modality.
        things: things of each label that are asked about.
        headline: the shots of the published gain.
        part: "test", or "validation" for what rules are chosen on.
    """

    shots: tuple[int, ...] = (1, 2, 5, 10)
    things: int = 50
    headline: int = 5
    part: Literal["test", "validation"] = "test"


PUBLISHED: dict[str, Any] = {}

FIGURES = {
    "modal.gain": Figure("gain-5", "points", at_least=0.0),
    "modal.gain-low": Figure("gain-low-5", "points", at_least=0.0),
    "modal.gain-1": Figure("gain-1", "points"),
    **{f"modal.{name}": Figure(f"{name}-5", "%") for name in (
        "together", "best-alone", "seen", "heard", "read", "seen+heard", "seen+read", "heard+read", "product", "mean",
        "maximum")},
    "modal.unknown-auroc": Figure("unknown-auroc", "%"),
    "modal.unknown-accepted": Figure("unknown-accepted", "%"),
    "modal.known-refused": Figure("known-refused", "%"),
}


class Views(NamedTuple):
    """For each label, what may be taught of it in a modality, and what may be asked."""

    teach: list[Any]
    ask: list[Any]


def views(seed: int, part: str) -> dict[str, Views]:
    """Ten labels in three modalities."""
    rng = np.random.default_rng(seed)
    digits, talk, spoken = mnist(), clinc150(), recordings()
    late = [one for one in spoken if one.take >= 5] if part == "test" else spoken
    intents = rng.permutation(np.unique(talk.train.intents))[:10]
    heard: list[Any] = []
    seen: list[Any] = []
    read: list[Any] = []
    for digit in range(10):
        taught = digits.train_images[:50_000][digits.train_labels[:50_000] == digit]
        others = digits.test_images[digits.test_labels == digit] if part == "test" else (
            digits.train_images[50_000:][digits.train_labels[50_000:] == digit])
        seen.append((taught, others))
        voices = [one.sound for one in late if one.digit == digit]
        order = rng.permutation(len(voices))
        heard.append(([voices[i] for i in order[: len(order) // 2]], [voices[i] for i in order[len(order) // 2 :]]))
        source = talk.test if part == "test" else talk.val
        read.append(tuple(_of_intent(some, intents[digit]) for some in (talk.train, source)))
    return {name: Views([one[0] for one in some], [one[1] for one in some])
            for name, some in zip(MODALITIES, (seen, heard, read), strict=True)}


def _of_intent(queries: Queries, wanted: str) -> list[str]:
    return [text for text, intent in zip(queries.texts, queries.intents, strict=True) if intent == wanted]


class Asked(NamedTuple):
    """Things that are asked about: of each modality an input for each, and (N,) their labels."""

    inputs: dict[str, list[Any]]
    truth: npt.NDArray[np.intp]


def drawn(found: Mapping[str, Views], count: int, seed: int) -> Asked:
    """So many things of each label, each put together at random."""
    rng = np.random.default_rng((seed, 1))
    truth = np.repeat(np.arange(10), count)
    inputs = {name: [some.ask[label][rng.integers(len(some.ask[label]))] for label in truth]
              for name, some in found.items()}
    return Asked(inputs, truth)


def taught(found: Mapping[str, Views], shots: int, seed: int, labels: npt.NDArray[np.intp]) -> MultimodalBrain:
    """A brain that was taught so many examples of these labels in each modality."""
    rng = np.random.default_rng((seed, 2))
    brain = MultimodalBrain({name: bundle_of(backbone) for name, backbone in BACKBONES.items()})
    for name, some in found.items():
        for label in range(10):
            order = rng.permutation(len(some.teach[label]))[:shots]
            if label in labels:
                brain.learn({name: [some.teach[label][place] for place in order]}, label)
    return brain


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the labels, what is taught and what is asked."""
    found = views(seed, config.part)
    asked = drawn(found, config.things, seed)
    values: Values = {}
    for place, shots in enumerate(config.shots):
        progress(place / (len(config.shots) + 1), f"{shots} of each")
        brain = taught(found, shots, seed, np.arange(10))
        values |= {f"{name}-{shots}": value for name, value in told_apart(brain, asked).items()}
    progress(len(config.shots) / (len(config.shots) + 1), "strangers")
    known = np.random.default_rng((seed, 3)).permutation(10)[:5]
    return values | strangers(taught(found, config.headline, seed, known), asked, known)


def evidence(brain: MultimodalBrain, asked: Asked) -> dict[str, Evidence]:
    """What each modality says of the things."""
    found = {}
    for name, items in asked.inputs.items():
        member = brain.members[name]
        found[name] = member.view.evidence(member.predict(items), member.alpha)
    return found


def together(brain: MultimodalBrain, said: Mapping[str, Evidence], names: tuple[str, ...]) -> Predictions:
    """The answer of some modalities, as `MultimodalBrain.predict` gives it."""
    pool = pool_of([brain.members[name] for name in names])
    return pool.answer([said[name] for name in names], brain.labels)


def told_apart(brain: MultimodalBrain, asked: Asked) -> Values:
    """Percent of the things that are told apart by each set of modalities, and by other rules for all of them."""
    said, truth = evidence(brain, asked), asked.truth
    labels = np.array(brain.labels)
    right = {
        names: labels[together(brain, said, names).scores.argmax(axis=1)] == truth
        for size in (1, 2, 3) for names in combinations(MODALITIES, size)
    }
    values: Values = {"+".join(SHORT[name] for name in names): _percent(some) for names, some in right.items()}
    values["together"] = values.pop("+".join(SHORT.values()))
    best = max(((name,) for name in MODALITIES), key=lambda names: right[names].mean())
    gain = 100.0 * (right[MODALITIES].astype(float) - right[best])
    low = interval(gain).low
    values |= {"best-alone": _percent(right[best]), "gain": float(gain.mean()), "gain-low": low}
    chances = np.stack([softmax(one.log_chances)[:, [one.labels.index(label) for label in brain.labels]]
                        for one in said.values()])
    values["product"] = _percent(labels[np.log(chances + 1e-300).sum(axis=0).argmax(axis=1)] == truth)
    values["mean"] = _percent(labels[chances.mean(axis=0).argmax(axis=1)] == truth)
    values["maximum"] = _percent(labels[chances.max(axis=0).argmax(axis=1)] == truth)
    return values


def strangers(brain: MultimodalBrain, asked: Asked, known: npt.NDArray[np.intp]) -> Values:
    """How well things of labels never taught are told from known ones, by all modalities together."""
    answers = together(brain, evidence(brain, asked), MODALITIES)
    mine = np.isin(asked.truth, known)
    return {
        "unknown-auroc": 100.0 * auroc(answers.familiarity[mine], answers.familiarity[~mine]),
        "unknown-accepted": _percent(answers.known[~mine]), "known-refused": _percent(~answers.known[mine]),
    }


def _percent(right: npt.NDArray[np.bool_] | FloatArray) -> float:
    return 100.0 * float(np.mean(right))


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy of each modality, of pairs and of all, by the examples taught."""
    values, shots = result["values"], result["config"]["shots"]
    figure, panels = canvas(len(shots), width=3.2, height=3.0)
    shown = ("seen", "heard", "read", "seen+heard", "seen+read", "heard+read", "together")
    for axes, count in zip(panels, shots, strict=True):
        bars = {name: (values[f"{name}-{count}"]["mean"], values[f"{name}-{count}"]["sd"]) for name in shown}
        draw_bars(axes, bars, "things told apart (%)", f"{count} of each label and modality")
    return figure
