"""Recognising what was never taught: near and far unknowns, every score, and the automatic threshold.

Digits 7, 8 and 9 are unknown: the backbone never saw them, the head is never taught them. Near unknowns are
the test images of these digits; far unknowns are photographs and Omniglot characters as their files are, dark ink
on white, brought to 28×28 grey by the backbone's own preprocessing. Known are the test images of digits 0 to 6. No
score sees an example of an unknown before it is measured. Two harder questions stand beside these: the characters
inverted, light ink on black as MNIST's digits are; and these cropped, scaled and centred as MNIST's digits were.
Some then are digits, to the eye.

Every way of telling known from unknown that is compared; each larger where an input looks more known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.fast import FastHead
from engram.inputs.vectors import unit_length
from engram.lab.data_sets.omniglot import DRAWINGS, omniglot
from engram.lab.data_sets.photos import photos
from engram.lab.evaluation import auroc, share_accepted, share_refused
from engram.lab.evaluation.plots import canvas, draw_bars, draw_curves
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.feature_cache import cached_features
from engram.lab.experiments.head.character_as_digit import character_as_digit
from engram.lab.experiments.head.contenders import fast_head
from engram.lab.experiments.head.digit_features import DigitFeatures, digit_features
from engram.lab.experiments.result import Figure, Values, averaged
from engram.learner import FloatArray, Label

NEIGHBOURS = 5


def novelty_scores(
    head: FastHead, taught: npt.NDArray[Any], labels: Sequence[Label], asked: npt.NDArray[Any]
) -> dict[str, FloatArray]:
    """Name -> (N,) score of each asked vector.

    `familiarity` is what the head decides by, `focus` another axis, and `confidence` its
    calibrated softmax. The rivals see the same taught vectors: the largest softmax probability
    (Hendrycks & Gimpel 2017) and the energy (Liu et al. 2020) of a logistic regression, and the distance to
    the nearest and to the fifth-nearest taught vector, all of unit length (Sun et al. 2022).
    """
    answers = head.predict(asked)
    softmax, energy = _regression_scores(taught, labels, asked)
    nearest, fifth = _neighbour_distances(taught, asked)
    return {
        "focus": answers.focus,
        "familiarity": answers.familiarity,
        "confidence": answers.confidence,
        "max softmax": softmax,
        "energy": energy,
        "nearest neighbour": -nearest,
        "fifth neighbour": -fifth,
    }


def _regression_scores(
    taught: npt.NDArray[Any], labels: Sequence[Label], asked: npt.NDArray[Any]
) -> tuple[FloatArray, FloatArray]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)).fit(taught, labels)
    logits = np.asarray(model.decision_function(asked), dtype=np.float64)
    top = logits.max(axis=1)
    energy: FloatArray = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return np.exp(top - energy), energy


def _neighbour_distances(taught: npt.NDArray[Any], asked: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    memory, questions = unit_length(taught.astype(np.float64)), unit_length(asked.astype(np.float64))
    squared = np.maximum(2 - 2 * questions @ memory.T, 0.0)
    place = min(NEIGHBOURS, squared.shape[1]) - 1
    ordered = np.partition(squared, place, axis=1)
    return np.sqrt(squared.min(axis=1)), np.sqrt(ordered[:, place])


Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        unknown: the digits that neither backbone nor head ever sees.
        shots: images taught per known digit.
        draws: how many random choices of these images are averaged for each backbone.
        alpha: share of known things that may be refused.
        characters: Omniglot drawings among the far unknowns; photographs: all 600.
    """

    unknown: tuple[int, ...] = (7, 8, 9)
    shots: tuple[int, ...] = (5, 20, 100)
    draws: int = 5
    alpha: float = 0.02
    characters: int = 600


PUBLISHED: dict[str, Any] = {
    "claim": {"value": "unknowns are reported", "source": "Lifelong-DNN technical brief (Neurala, 2019)"},
}

FIGURES = {
    "ldnn-unknown.auroc-near": Figure("auroc-near", "%", at_least=99.0),
    "ldnn-unknown.auroc-far": Figure("auroc-far", "%", at_least=99.8),
    "ldnn-unknown.auroc-inverted": Figure("auroc-inverted", "%"),
    "ldnn-unknown.auroc-disguised": Figure("auroc-disguised", "%"),
    "ldnn-unknown.known-refused": Figure("known-refused", "%", at_least=1.5, at_most=3.0),
    "ldnn-unknown.near-accepted": Figure("near-accepted", "%", at_most=6.5),
}


class Questions(NamedTuple):
    """What is asked: features of known things, of near unknowns, of each kind of far unknowns, and of
    characters made more and more like digits."""

    known: Features
    near: Features
    photographs: Features
    characters: Features
    inverted: Features
    disguised: Features

    @property
    def far(self) -> Features:
        return np.concatenate([self.photographs, self.characters])


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed; the figures are those at 20 shots, the share of known refused at 100."""
    progress(0.0, f"backbone without digits {', '.join(map(str, config.unknown))}")
    digits = digit_features(config.unknown, seed)
    questions = ask(config, digits)
    by_shots: dict[str, Values] = {}
    for i, shots in enumerate(config.shots):
        progress(0.2 + 0.8 * i / len(config.shots), f"{shots} images of each known digit")
        drawn = [measure(config, digits, questions, shots, seed + 1000 * draw) for draw in range(config.draws)]
        by_shots[str(shots)] = averaged(drawn)
    middle, most = by_shots[str(config.shots[1])], by_shots[str(config.shots[-1])]
    return {
        "auroc-near": middle["near"]["familiarity"],
        "auroc-far": middle["far"]["familiarity"],
        "auroc-inverted": middle["inverted"]["familiarity"],
        "auroc-disguised": middle["disguised"]["familiarity"],
        "known-refused": most["known-refused"],
        "near-accepted": middle["near-accepted"],
        "by-shots": by_shots,
    }


def ask(config: Config, digits: DigitFeatures) -> Questions:
    """Features of everything that is asked; the same for every number of shots."""
    unknown = np.isin(digits.test_labels, config.unknown)
    backbone, count = digits.bundle.backbone, config.characters
    photographs = cached_features(backbone, "photographs", lambda: photos().paths)
    characters = cached_features(backbone, f"characters-as-filed-{count}",
                                 lambda: [255 - ink for ink in some_characters(count)])
    inverted = cached_features(backbone, f"characters-{count}", lambda: list(some_characters(count)))
    disguised = cached_features(backbone, f"characters-in-digits-box-{count}",
                                lambda: np.stack([character_as_digit(ink) for ink in some_characters(count)]))
    return Questions(digits.test[~unknown], digits.test[unknown], photographs.features, characters.features,
                     inverted.features, disguised.features)


def some_characters(count: int) -> Iterator[npt.NDArray[np.uint8]]:
    """One drawing each of `count` characters of Omniglot's background part, white on black."""
    drawings = omniglot("background")
    rng = np.random.default_rng(0)
    for character in rng.permutation(len(drawings) // DRAWINGS)[:count]:
        yield drawings[int(character * DRAWINGS + rng.integers(DRAWINGS))]


def measure(config: Config, digits: DigitFeatures, questions: Questions, shots: int, seed: int) -> Values:
    """AUROC of every score, and what the head's own threshold refuses and accepts."""
    places = few_of_each(digits.teach_labels, config.unknown, shots, seed)
    taught, labels = digits.teach[places], digits.teach_labels[places].tolist()
    head = fast_head(digits.bundle, alpha=config.alpha)
    head.learn(taught, labels)
    scores = {group: novelty_scores(head, taught, labels, vectors)
              for group, vectors in questions._asdict().items()}
    scores["far"] = {name: np.concatenate([scores["photographs"][name], scores["characters"][name]])
                     for name in scores["near"]}
    aurocs = {group: {name: 100 * auroc(scores["known"][name], values) for name, values in named.items()}
              for group, named in scores.items() if group != "known"}
    return {
        **aurocs,
        "known-refused": 100 * share_refused(head.predict(questions.known).known),
        "near-accepted": 100 * share_accepted(head.predict(questions.near).known),
        "far-accepted": 100 * share_accepted(head.predict(questions.far).known),
    }


def few_of_each(
    labels: npt.NDArray[Any], unknown: tuple[int, ...], shots: int, seed: int
) -> npt.NDArray[np.intp]:
    """Places of `shots` random examples of each known digit, by (N,) labels."""
    rng = np.random.default_rng(seed)
    known = [label for label in np.unique(labels) if label not in unknown]
    return np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:shots] for label in known])


def plot(result: Mapping[str, Any]) -> Any:
    """Every score's AUROC at the middle number of shots, near and far; the threshold over shots."""
    shots = [str(count) for count in result["config"]["shots"]]
    by_shots = result["values"]["by-shots"]
    figure, axes = canvas(3, width=4.4, height=3.6)
    for panel, group in zip(axes, ("near", "far"), strict=False):
        bars = {name: (value["mean"], value["sd"]) for name, value in by_shots[shots[1]][group].items()}
        lowest = min(mean - sd for mean, sd in bars.values())
        draw_bars(panel, bars, "AUROC (%)", f"{group.capitalize()} unknowns, {shots[1]} shots",
                  span=(np.floor(lowest) - 1, 100.5))
    rates = {
        name: ([float(count) for count in shots], [by_shots[count][key]["mean"] for count in shots],
               [by_shots[count][key]["sd"] for count in shots])
        for name, key in (("known refused", "known-refused"), ("near unknown accepted", "near-accepted"),
                          ("far unknown accepted", "far-accepted"))
    }
    draw_curves(axes[2], rates, "images taught per digit", "share (%)", "Automatic threshold", log=True,
                references={"share that may be refused": 100 * result["config"]["alpha"]})
    return figure
