"""Vectors kept against accuracy for every rule; classes of several modes; gated learning.

The recommended head is taught the 10,000 images that its backbone was not trained on, in random order, and
consolidates. Beside its rule, merging with counts, stand others with the same number of vectors for each class, all in
the head's metric. Then the digits are only called even or odd: classes of five modes. Then a gate lets the head learn
only what it does not know well yet.

Rules that make few vectors out of a class's many, all in one metric; what `ldnn-consolidation` compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.fast import FastHead
from engram.heads.fast.consolidation import TOLERANCE, merge, squared_distances, typical_spread
from engram.lab.evaluation import accuracy
from engram.lab.evaluation.plots import canvas, draw_bars, draw_curves
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.head.contenders import fast_head
from engram.lab.experiments.head.digit_features import DigitFeatures, digit_features
from engram.lab.experiments.result import Figure, Values
from engram.learner import FloatArray


class Condensed(NamedTuple):
    """What remains of a class: (K,) how many examples each vector stands for, and (K, D) the vectors."""

    counts: FloatArray
    vectors: FloatArray


Rule = Callable[[FloatArray, int, int], Condensed]
"""(N, D) points, how many to keep, seed -> what remains."""


def everything(points: FloatArray) -> Condensed:
    """All of (N, D) points."""
    return Condensed(np.ones(len(points)), points)


def merged(points: FloatArray, tolerance: float) -> Condensed:
    """Ward's merging of (N, D) points with counts up to a cost of `tolerance` times the typical spread; the recommended
    rule.

    >>> merged(np.array([[0.0], [0.1], [0.2], [9.0]]), 8.0).counts.tolist()
    [3.0, 1.0]
    """
    distances = squared_distances(points, points)
    groups = merge(distances, np.ones(len(points)), tolerance * typical_spread(distances))
    return _means(points, groups)


def outliers_kept(points: FloatArray, count: int, seed: int) -> Condensed:
    """Drop the redundant of (N, D) points, keep the outliers, to the letter: in order of arrival, a vector within a
    radius of one
    that is kept is dropped. The radius is the smallest that keeps no more than `count`; all have one vote."""
    del seed
    distances = squared_distances(points, points)
    low, high = 0.0, float(distances.max())
    chosen = _far_apart(distances, high)
    for _ in range(40):
        middle = 0.5 * (low + high)
        kept = _far_apart(distances, middle)
        if len(kept) > count:
            low = middle
        else:
            high, chosen = middle, kept
    return everything(points[chosen])


def k_means(points: FloatArray, count: int, seed: int) -> Condensed:
    """Lloyd's k-means of (N, D) points from k-means++ (scikit-learn), the means with their counts."""
    from sklearn.cluster import KMeans

    groups = KMeans(count, n_init=1, random_state=seed).fit(points).labels_
    return _means(points, np.asarray(groups, np.intp))


def at_random(points: FloatArray, count: int, seed: int) -> Condensed:
    """Some of (N, D) points."""
    return everything(points[np.random.default_rng(seed).permutation(len(points))[:count]])


def herding(points: FloatArray, count: int, seed: int) -> Condensed:
    """Of (N, D) points, one after another, the one that brings the mean of those chosen nearest to the class mean
    (Rebuffi et al.
    2017, iCaRL)."""
    del seed
    mean, total = points.mean(axis=0), np.zeros(points.shape[1])
    left = np.ones(len(points), bool)
    chosen: list[int] = []
    own = np.square(points).sum(axis=1)
    for size in range(1, count + 1):
        wanted = size * mean - total  # ‖wanted − p‖² is least
        costs = own - 2 * points @ wanted
        costs[~left] = np.inf
        best = int(costs.argmin())
        chosen.append(best)
        left[best] = False
        total += points[best]
    return everything(points[chosen])


RULES: dict[str, Rule] = {
    "drop the redundant, keep outliers": outliers_kept,
    "k-means": k_means,
    "at random": at_random,
    "herding": herding,
}


def best_prototype(classes: list[Condensed], asked: FloatArray) -> npt.NDArray[np.intp]:
    """(N,) the class of the vector with the largest cosine to each asked one."""
    return _largest_cosine([kept.vectors for kept in classes], asked)


def nearest_mean(classes: list[Condensed], asked: FloatArray) -> npt.NDArray[np.intp]:
    """(N,) the class with the largest cosine to each asked one, its mean made from what was kept, by counts."""
    return _largest_cosine([np.average(kept.vectors, axis=0, weights=kept.counts)[None] for kept in classes], asked)


def _largest_cosine(classes: list[FloatArray], asked: FloatArray) -> npt.NDArray[np.intp]:
    vectors = np.concatenate(classes)
    owners = np.repeat(np.arange(len(classes)), [len(each) for each in classes])
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
    parts = [(asked[start : start + 1000] @ unit.T).argmax(axis=1) for start in range(0, len(asked), 1000)]
    return np.asarray(owners[np.concatenate(parts)], np.intp)


def _means(points: FloatArray, groups: npt.NDArray[np.intp]) -> Condensed:
    size = int(groups.max()) + 1
    counts, sums = np.bincount(groups, minlength=size).astype(np.float64), np.zeros((size, points.shape[1]))
    np.add.at(sums, groups, points)
    full = counts > 0
    return Condensed(counts[full], sums[full] / counts[full, None])


def _far_apart(distances: FloatArray, radius: float) -> list[int]:
    """In order, every point farther than the radius (squared) from all chosen before."""
    free = np.ones(len(distances), bool)
    chosen = []
    for i in range(len(distances)):
        if free[i]:
            chosen.append(i)
            free &= distances[i] > radius
    return chosen


BRIEF = "Lifelong-DNN technical brief (Neurala, 2019)"
MERGED = "merge with counts"


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        withhold: the digit that the backbone never saw.
        tolerances: of merging, for the curve; the head's own is among them.
        gates: margins from which on a sample is not learned any more.
        gate: the one whose figures are published.
    """

    withhold: int = 3
    tolerances: tuple[float, ...] = (1.0, 2.0, 4.0, TOLERANCE, 16.0, 32.0)
    gates: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5)
    gate: float = 0.3


PUBLISHED: dict[str, Any] = {
    "consolidation": {"value": "drops what is redundant, keeps outliers", "source": BRIEF},
}

FIGURES = {
    "ldnn-consolidation.kept": Figure("kept", "%", at_most=3.0),
    "ldnn-consolidation.lost": Figure("lost", "points", at_most=0.1),
    "ldnn-consolidation.gated-share": Figure("gated-share", "%", at_most=25.0),
    "ldnn-consolidation.gated-lost": Figure("gated-lost", "points", at_most=0.1),
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the order of teaching."""
    progress(0.0, f"backbone without digit {config.withhold}")
    digits = digit_features((config.withhold,), seed)
    order = np.random.default_rng(seed).permutation(len(digits.teach))
    digits = digits._replace(teach=digits.teach[order], teach_labels=digits.teach_labels[order])
    progress(0.1, "the head consolidates")
    labels, asked = digits.teach_labels.tolist(), digits.test_labels.tolist()
    values = consolidated(digits, labels, asked)
    progress(0.3, "every rule")
    values["rules"] = rules(config, digits, seed)
    progress(0.6, "even and odd")
    parity = ("even", "odd")
    values["modes"] = consolidated(digits, [parity[i % 2] for i in labels], [parity[i % 2] for i in asked])
    progress(0.7, "gated learning")
    values |= gated(config, digits, values["by-class"])
    return values


def consolidated(digits: DigitFeatures, labels: list[Any], asked: list[Any]) -> Values:
    """The head before and after it consolidates, by class means, by prototypes, and by what it chooses itself."""
    found: Values = {}
    for readout in ("class", "prototypes", "auto"):
        head = fast_head(digits.bundle, readout=readout)
        head.learn(digits.teach, labels)
        before = test(head, digits, asked)
        done = head.consolidate()
        after = test(head, digits, asked)
        found[f"by-{readout}"], found[f"by-{readout}-after"] = before, after
        found[f"lost-by-{readout}"] = before - after
        found["vectors"], found["kept"] = done.after, 100 * done.kept
    return {**found, "lost": found["lost-by-prototypes"]}


def test(head: FastHead, digits: DigitFeatures, asked: list[Any]) -> float:
    """Accuracy on the test images, in percent."""
    return 100 * accuracy(head.predict(digits.test).best, asked)


def rules(config: Config, digits: DigitFeatures, seed: int) -> Values:
    """For each tolerance, merging with counts and every other rule with as many vectors for each class."""
    teach, ask = whitened(digits)
    classes = [teach[digits.teach_labels == digit] for digit in range(10)]
    found: Values = {"none": judged([everything(points) for points in classes], ask, digits)}
    for tolerance in config.tolerances:
        ours = [merged(points, tolerance) for points in classes]
        sizes = [len(kept.counts) for kept in ours]
        by_rule = {MERGED: judged(ours, ask, digits)}
        for name, rule in RULES.items():
            theirs = [rule(points, size, seed) for points, size in zip(classes, sizes, strict=True)]
            by_rule[name] = judged(theirs, ask, digits)
        found[f"{tolerance:g}"] = by_rule
    return found


def whitened(digits: DigitFeatures) -> tuple[FloatArray, FloatArray]:
    """What was taught and what is asked in a space where the head's metric is the plain one."""
    head = fast_head(digits.bundle)
    head.learn(digits.teach, digits.teach_labels.tolist())
    discriminant = head.discriminant
    metric = discriminant.apply(np.eye(head.sums.width)) * discriminant.freedom
    root = np.linalg.cholesky(0.5 * (metric + metric.T))
    return head.quantise(digits.teach) @ root, head.quantise(digits.test) @ root


def judged(classes: list[Condensed], ask: FloatArray, digits: DigitFeatures) -> Values:
    """Share of the vectors kept, and accuracy on (N, D) test images by prototypes and by the means of what was kept, in
    percent."""
    right = {name: 100 * float((read(classes, ask) == digits.test_labels).mean())
             for name, read in (("by-prototypes", best_prototype), ("by-means", nearest_mean))}
    return {"kept": 100 * sum(len(kept.counts) for kept in classes) / len(digits.teach), **right}


def gated(config: Config, digits: DigitFeatures, ungated: float) -> Values:
    """For each gate the share of the samples that was learned, and the accuracy that this costs."""
    found: Values = {"gates": {}}
    for gate in dict.fromkeys((*config.gates, config.gate)):
        head = fast_head(digits.bundle, gate=gate)
        head.learn(digits.teach, digits.teach_labels.tolist())
        share = 100 * sum(head.counts.values()) / len(digits.teach)
        right = test(head, digits, digits.test_labels.tolist())
        found["gates"][f"{gate:g}"] = {"share": share, "accuracy": right, "lost": ungated - right}
    published = found["gates"][f"{config.gate:g}"]
    return {**found, "gated-share": published["share"], "gated-lost": published["lost"]}


def plot(result: Mapping[str, Any]) -> Any:
    """Vectors kept against accuracy, the classes of several modes, and the gate."""
    values, config = result["values"], result["config"]
    figure, (left, middle, right) = canvas(3, width=4.6, height=3.8)
    steps = [values["rules"][f"{tolerance:g}"] for tolerance in config["tolerances"]]
    curves = {name: ([step[name]["kept"]["mean"] for step in steps],
                     [step[name]["by-prototypes"]["mean"] for step in steps],
                     [step[name]["by-prototypes"]["sd"] for step in steps]) for name in (MERGED, *RULES)}
    draw_curves(left, curves, "share of the vectors kept (%)", "accuracy by prototypes (%)",
                "What remains, and what it is worth", log=True,
                references={"all vectors": values["rules"]["none"]["by-prototypes"]["mean"],
                            "class means": values["by-class"]["mean"]})
    modes = values["modes"]
    draw_bars(middle, {label: (modes[key]["mean"], modes[key]["sd"]) for label, key in (
        ("prototypes, consolidated", "by-prototypes-after"), ("all vectors", "by-prototypes"),
        ("chosen by itself", "by-auto-after"), ("class means", "by-class"))},
        "accuracy (%)", "Even or odd: classes of five modes", span=(modes["by-class"]["mean"] - 2, 100.5))
    gates = [(gate, values["gates"][f"{gate:g}"]) for gate in sorted(config["gates"])]
    draw_curves(right, {"accuracy lost (points)": ([gate["share"]["mean"] for _, gate in gates],
                                                   [gate["lost"]["mean"] for _, gate in gates],
                                                   [gate["lost"]["sd"] for _, gate in gates])},
                "share of the samples learned (%)", "accuracy lost (points)", "Gated learning")
    return figure
