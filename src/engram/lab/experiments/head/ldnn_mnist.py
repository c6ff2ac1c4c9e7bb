"""Ten digits from a stream of batches of ten, on a backbone that never saw one of them.

The backbone is trained on a fixed 50,000 of MNIST's training images less the withheld digit; the head is
taught only from the other 10,000, so that no taught image was ever seen; accuracy is measured on the 10,000
test images, after every batch up to the hundredth, then after every fiftieth. A batch holds one image of each
digit; towards the end, when a digit's images are used up, the batches get smaller.

One image of each digit leaves much to chance (an odd one costs up to ten points), so that what is known after
batches 1 and 5 is the mean over ten streams on each seed; all else is of the one stream that the curve shows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from engram.lab.evaluation import LearningCurve, confusion_matrix, learning_curve, precision, recall
from engram.lab.evaluation.plots import canvas, draw_bars, draw_confusion, draw_curves
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.head.contenders import contenders, fast_head
from engram.lab.experiments.head.digit_features import DigitFeatures, digit_features
from engram.lab.experiments.pretraining.linear_probe import linear_probe
from engram.lab.experiments.result import Figure, Values
from engram.lab.streams.arrival import class_by_class, one_per_class

BRIEF = "Lifelong-DNN technical brief (Neurala, 2019)"


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        withhold: the digit that the backbone never saw.
        turns: on how many seeds each of the other nine digits is withheld in turn.
        orders: over how many streams the first five batches are averaged for each backbone: what is known
            after one image of each digit depends on which images come first.
        dense: evaluate after every batch up to this one, then after every `sparse`-th.
        sparse: see there.
        marks: the batches at which all heads are compared, beside the end.
    """

    withhold: int = 3
    turns: int = 2
    orders: int = 10
    dense: int = 100
    sparse: int = 50
    marks: tuple[int, ...] = (1, 5, 100)


PUBLISHED: dict[str, Any] = {
    "batch-5": {"value": 98.22, "source": BRIEF},
    "all": {"value": 98.4, "source": BRIEF},
    "withheld-recall": {"value": 95.5, "source": BRIEF + ", at the end"},
    "withheld-precision": {"value": 95.7, "source": BRIEF + ", at the end"},
    "gap": {"value": 1.1, "source": BRIEF},
    "speedup": {"value": 50_000, "source": BRIEF + ": 0.4 s against 6 h"},
}

FIGURES = {
    "ldnn-mnist.batch-1": Figure("batch-1", "%", at_least=97.0),
    "ldnn-mnist.batch-5": Figure("batch-5", "%", at_least=98.8, published=98.22, source=BRIEF),
    "ldnn-mnist.batch-100": Figure("batch-100", "%", at_least=99.0),
    "ldnn-mnist.all": Figure("all", "%", at_least=99.1, published=98.4, source=BRIEF),
    "ldnn-mnist.batch-5-worst-digit": Figure("batch-5-worst-digit", "%", at_least=98.4),
    "ldnn-mnist.withheld-recall": Figure("withheld-recall", "%", at_least=97.0, published=95.5,
                                         source=BRIEF + ", at the end"),
    "ldnn-mnist.over-linear-probe": Figure("over-linear-probe", "points", at_least=-0.1),
    "ldnn-mnist.speedup": Figure("speedup", "ratio", published=50_000, source=BRIEF + ": 0.4 s against 6 h"),
    "ldnn-mnist.speedup-batch-5": Figure("speedup-batch-5", "ratio"),
    "ldnn-mnist.speedup-over-probe": Figure("speedup-over-probe", "ratio"),
    "ldnn-mnist.gap": Figure("gap", "points", at_most=0.4, published=1.1, source=BRIEF),
    "ldnn-mnist.order-identical": Figure("order-identical", "flag", at_least=1.0),
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed. The backbone is trained first where it is not in the cache."""
    progress(0.0, f"backbone without digit {config.withhold}")
    digits = digit_features((config.withhold,), seed)
    progress(0.1, "the stream")
    values = stream(config, digits, seed) | early(config, digits, config.withhold, seed)
    progress(0.4, "the other heads")
    values["heads"] = {name: marks(config, make(), digits, seed) for name, make in contenders(digits.bundle).items()}
    progress(0.6, "logistic regression")
    values |= against_the_probe(digits, values)
    progress(0.8, "the network trained on all ten")
    values |= against_the_network(digits, digit_features((), seed), values)
    values |= order(digits, seed)
    if seed < config.turns:
        values |= digits_in_turn(config, seed, values["batch-5"], partial(progress, 0.9))
    return values


def stream(config: Config, digits: DigitFeatures, seed: int) -> Values:
    """The recommended head on the stream of batches: the curve, the withheld digit, the confusion."""
    curve = taught(fast_head(digits.bundle), digits, seed,
                   lambda batch: batch <= config.dense or batch % config.sparse == 0)
    truth = digits.test_labels.tolist()
    fifth, last = curve.predictions[curve.batches.index(5)], curve.predictions[-1]
    return {
        "batches": curve.batches,
        "curve": percent(curve.accuracies),
        **{f"batch-{mark}": 100 * curve.at(mark) for mark in config.marks},
        "all": 100 * curve.accuracies[-1],
        "withheld-recall-all": 100 * recall(last, truth, config.withhold),
        "withheld-precision-all": 100 * precision(last, truth, config.withhold),
        "confusion-batch-5": confusion_matrix(fifth, truth, range(10)),
        "confusion": confusion_matrix(last, truth, range(10)),
    }


def early(config: Config, digits: DigitFeatures, withheld: int, seed: int) -> Values:
    """Accuracy after one batch and after five, and the withheld digit after five, averaged over streams."""
    truth = digits.test_labels.tolist()
    names = ("batch-1", "batch-5", "withheld-recall", "withheld-precision")
    found: dict[str, list[float]] = {name: [] for name in names}
    for order in range(config.orders):
        head = fast_head(digits.bundle)
        batches = islice(one_per_class(digits.teach_labels, seed + 1000 * order), 5)
        curve = learning_curve(head, ((digits.teach[i], digits.teach_labels[i].tolist()) for i in batches),
                               digits.test, truth, lambda batch: batch in (1, 5))
        last = curve.predictions[-1]
        found["batch-1"].append(100 * curve.at(1))
        found["batch-5"].append(100 * curve.at(5))
        found["withheld-recall"].append(100 * recall(last, truth, withheld))
        found["withheld-precision"].append(100 * precision(last, truth, withheld))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    return means | {"batch-1-by-order": found["batch-1"], "batch-5-by-order": found["batch-5"]}


def taught(head: Any, digits: DigitFeatures, seed: int, evaluate: Any) -> LearningCurve:
    """A head's curve on the stream of batches with one image of each digit."""
    batches = ((digits.teach[i], digits.teach_labels[i].tolist())
               for i in one_per_class(digits.teach_labels, seed))
    return learning_curve(head, batches, digits.test, digits.test_labels.tolist(), evaluate)


def marks(config: Config, head: Any, digits: DigitFeatures, seed: int) -> Values:
    """A head's accuracy at the marked batches and at the end of the same stream, with its time and memory.

    What lies between two marks is taught in one call: to every head that is the same stream, only quicker.
    """
    batches = list(one_per_class(digits.teach_labels, seed))
    ends = [mark for mark in config.marks if mark < len(batches)] + [len(batches)]
    portions = [np.concatenate(batches[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    curve = learning_curve(head, ((digits.teach[i], digits.teach_labels[i].tolist()) for i in portions),
                           digits.test, digits.test_labels.tolist())
    names = [f"batch-{mark}" for mark in ends[:-1]] + ["all"]
    return {
        **dict(zip(names, percent(curve.accuracies), strict=True)),
        "learn-seconds": curve.learn_seconds,
        "predict-milliseconds": 1000 * curve.predict_seconds / (len(ends) * len(digits.test)),
        "memory-bytes": head.memory_bytes,
    }


def against_the_probe(digits: DigitFeatures, values: Values) -> Values:
    """Logistic regression refitted on all taught data, and the time of either.

    What the head learns at once is held against one refit; what it learns from one batch of ten against the
    refit that the regression needs after every batch to be as up to date.
    """
    probe = linear_probe(digits.teach, digits.teach_labels, digits.test, digits.test_labels)
    seconds, batches, at_once, five = learn_seconds(digits)
    return {
        "probe": 100 * probe.accuracy,
        "probe-strength": probe.strength,
        "probe-seconds": probe.refit_seconds,
        "probe-selection-seconds": probe.selection_seconds,
        "over-linear-probe": values["all"] - 100 * probe.accuracy,
        "learn-seconds": seconds,
        "learn-at-once-seconds": at_once,
        "learn-five-batches-seconds": five,
        "speedup-over-probe": probe.refit_seconds / at_once,
        "speedup-over-probe-per-batch": probe.refit_seconds * batches / seconds,
    }


def learn_seconds(digits: DigitFeatures) -> tuple[float, int, float, float]:
    """Wall-clock to learn and answer one question, the best of three: all 10,000 in batches of ten (and how many
    batches they are), all at once, and the first five batches."""
    batches = [(digits.teach[i], digits.teach_labels[i].tolist())
               for i in one_per_class(digits.teach_labels, 0)]
    whole = [(digits.teach, digits.teach_labels.tolist())]

    def best(portions: list[tuple[Any, list[int]]]) -> float:
        return min(once(portions) for _ in range(3))

    def once(portions: list[tuple[Any, list[int]]]) -> float:
        head = fast_head(digits.bundle)
        start = time.perf_counter()
        for inputs, labels in portions:
            head.learn(inputs, labels)
        head.predict(digits.test[:1])
        return time.perf_counter() - start

    return best(batches), len(batches), best(whole), best(batches[:5])


def against_the_network(digits: DigitFeatures, all_ten: DigitFeatures, values: Values) -> Values:
    """The reference: the same network trained the same way on all ten digits, and how long that takes.

    Learning is charged with the backbone's pass over the images it is taught as well: all of them, and those of
    the first five batches.
    """
    learning = values["learn-seconds"] + digits.teach_seconds
    five = values["learn-five-batches-seconds"] + digits.teach_seconds * 50 / len(digits.teach)
    return {
        "all-ten": 100 * all_ten.classifier_accuracy,
        "gap": 100 * all_ten.classifier_accuracy - values["all"],
        "network-seconds": all_ten.training_seconds,
        "features-seconds": digits.teach_seconds,
        "speedup": all_ten.training_seconds / learning,
        "speedup-batch-5": all_ten.training_seconds / five,
        "speedup-head-alone": all_ten.training_seconds / values["learn-seconds"],
    }


def order(digits: DigitFeatures, seed: int) -> Values:
    """Whether class by class ends in the very state in which the shuffled stream ends."""
    digests = []
    for arrivals in (one_per_class(digits.teach_labels, seed), class_by_class(digits.teach_labels, seed)):
        head = fast_head(digits.bundle)
        for i in arrivals:
            head.learn(digits.teach[i], digits.teach_labels[i].tolist())
        digests.append(head.digest())
    return {"order-identical": float(digests[0] == digests[1]), "sha256": digests}


def digits_in_turn(config: Config, seed: int, own: float, progress: Any) -> Values:
    """Each digit withheld in turn: accuracy after batch 5, and the recall of that digit."""
    accuracies, recalls = {str(config.withhold): own}, {}
    for digit in range(10):
        if digit == config.withhold:
            continue
        progress(f"backbone without digit {digit}")
        found = early(config, digit_features((digit,), seed), digit, seed)
        accuracies[str(digit)], recalls[str(digit)] = found["batch-5"], found["withheld-recall"]
    return {"batch-5-by-digit": accuracies, "batch-5-worst-digit": min(accuracies.values()),
            "recall-by-digit": recalls}


def percent(shares: list[float]) -> list[float]:
    return [100 * share for share in shares]


def plot(result: Mapping[str, Any]) -> Any:
    """The curve, the heads after five batches, and the confusion matrix at the end."""
    values = result["values"]
    figure, (left, middle, right) = canvas(3, width=4.6, height=3.8)
    curve = values["curve"]
    draw_curves(
        left, {"fast head": (values["batches"]["mean"], curve["mean"], curve["sd"])},
        "batches of ten images taught", "accuracy on the test images (%)",
        f"Digit {result['config']['withhold']} never seen by the backbone", log=True,
        references={"logistic regression on everything": values["probe"]["mean"],
                    "network trained on all ten digits": values["all-ten"]["mean"],
                    "brief, after batch 5": PUBLISHED["batch-5"]["value"]},
    )
    bars = {name: (head["batch-5"]["mean"], head["batch-5"]["sd"]) for name, head in values["heads"].items()}
    lowest = min(mean for mean, _ in bars.values())
    draw_bars(middle, bars, "accuracy after batch 5 (%)", "Heads on the same features",
              span=(max(0.0, lowest - 1.5), 101.0))
    draw_confusion(right, np.asarray(values["confusion"]["mean"]).round(), [str(d) for d in range(10)],
                   "After all batches (mean count)")
    return figure
