"""How fast heads learn and answer, as ratios measured in one run against the floor and against peers.

    python benchmarks/heads.py [--json] [--out results/heads.json] [--repeats 5] [--quick]

The floors are bare BLAS calls that move the bytes, or do the products, that the task cannot do without:
  teach one      one symmetric rank-one update of a (D, D) float64 matrix (dsyr), which moves half of it twice;
  teach many     the product XᵀX of the integer rows, at the rate of numpy's own XᵀX;
  predict one    one matrix-vector product with (D, D) and one with (C, D);
  beside asking  `learn` alone, without a thread that asks in a loop.
Peers: a plain numpy streaming LDA, river's KNN and Gaussian naive Bayes, scikit-learn's partial_fit and LDA refit.
One thread; each ratio against a floor measured beside it. The first question after a lesson brings the calibration
to date, which looks at up to 640 examples: `over-river-knn` holds that cost, and `raw-step-ms` that of a question
and a lesson where vectors are raw readings; `predict-one` does not.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import blas

from engram.heads.fast import FastHead
from engram.inputs.vectors import unit_length
from engram.lab.experiments import figures_of
from engram.lab.experiments.result import build, deliver

WIDTHS, CLASSES = (64, 512, 1280), (10, 100, 1000)
ASKED = (1, 32)


def seconds(task: Callable[[], Any], least: float = 0.05) -> float:
    """Seconds a call takes, over as many calls as fill `least` seconds."""
    task()
    calls, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < least:
        task()
        calls += 1
    return spent / calls


def examples(count: int, width: int, classes: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Unit vectors around class centres, like the features of a backbone."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, width))
    labels = rng.permutation(np.arange(count) % classes)
    return unit_length(centres[labels] + rng.normal(size=(count, width))), [f"c{i}" for i in labels]


def taught(width: int, classes: int, seed: int, each: int = 2) -> FastHead:
    """A head that knows every class from a few examples, its read-out settled."""
    head = FastHead(covariance=np.eye(width) / width)
    head.learn(*examples(each * classes, width, classes, seed))
    head.settle()
    return head


def teach_one(width: int, classes: int, seed: int, count: int = 1000) -> float:
    """Seconds to teach one example, over `count` taught one by one, the read-out brought up to date at the end.

    The head knows ten examples of each class before: no label is new meanwhile.
    """
    head = taught(width, classes, seed, each=10)
    rows, labels = examples(count, width, classes, seed + 1)
    start = time.perf_counter()
    for row, label in zip(rows, labels, strict=True):
        head.learn(row, label)
    head.discriminant  # noqa: B018 - brings the read-out up to date
    return (time.perf_counter() - start) / count


def rank_one_floor(width: int) -> float:
    matrix, vector = np.asfortranarray(np.eye(width)), np.ones(width)
    return seconds(lambda: blas.dsyr(1e-9, vector, a=matrix, lower=1, overwrite_a=1))


def predict_one(width: int, classes: int, seed: int) -> tuple[float, float]:
    """Seconds of one prediction, and of the two matrix-vector products it needs."""
    head = taught(width, classes, seed)
    row = examples(1, width, classes, seed + 2)[0][0]
    square, means = np.eye(width), np.zeros((classes, width))
    return seconds(lambda: head.predict(row)), seconds(lambda: means @ (square @ row))


def predict_many(width: int, classes: int, seed: int, count: int = 1000) -> tuple[float, float]:
    """Seconds for each of a thousand predictions at once, and of the two matrix products they need."""
    head = taught(width, classes, seed)
    rows = examples(count, width, classes, seed + 2)[0]
    square, means = np.eye(width), np.zeros((width, classes))
    return seconds(lambda: head.predict(rows)) / count, seconds(lambda: (rows @ square) @ means) / count


def teach_many(width: int, classes: int, seed: int, count: int) -> tuple[float, float]:
    """Seconds to learn `count` at once, read-out excluded, and of XᵀX on the same integers alone."""
    rows, labels = examples(count, width, classes, seed)
    head = FastHead(covariance=np.eye(width) / width)
    start = time.perf_counter()
    head.learn(rows, labels)
    learning = time.perf_counter() - start
    integers = head.quantise(rows)
    start = time.perf_counter()
    integers.T @ integers
    return learning, time.perf_counter() - start


class PlainLDA:
    """Streaming LDA as one would write it in ten lines of numpy: running means and scatter, solved when asked."""

    def __init__(self, width: int) -> None:
        self.means: dict[str, np.ndarray] = {}
        self.counts: dict[str, int] = {}
        self.scatter, self.total = np.zeros((width, width)), 0

    def learn(self, row: np.ndarray, label: str) -> None:
        n = self.counts.get(label, 0)
        mean = self.means.get(label, np.zeros_like(row))
        self.scatter += n / (n + 1) * np.outer(row - mean, row - mean)
        self.means[label], self.counts[label] = mean + (row - mean) / (n + 1), n + 1
        self.total += 1

    def solve(self) -> np.ndarray:
        width = len(self.scatter)
        return np.linalg.inv(self.scatter / max(self.total, 1) + 1e-4 * np.eye(width))


def peers(width: int, classes: int, seed: int, known: int) -> dict[str, float]:
    """Seconds of one step of predict-then-learn, each after the same `known` examples; and of refits on all data."""
    from river.naive_bayes import GaussianNB
    from river.neighbors import KNNClassifier
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import SGDClassifier

    rows, labels = examples(2 * known, width, classes, seed + 3)
    head, plain = FastHead(covariance=np.eye(width) / width), PlainLDA(width)
    raw = FastHead(normalise=False)
    for each in (head, raw):
        each.learn(rows[:known], labels[:known])
        each.settle()
    sgd, names = SGDClassifier(loss="log_loss"), [f"c{i}" for i in range(classes)]
    sgd.partial_fit(rows[:2], labels[:2], classes=names)
    for row, label in zip(rows[:known], labels[:known], strict=True):
        plain.learn(row, label)

    def asked_and_taught(one: FastHead, row: np.ndarray, label: str) -> None:
        one.predict(row)
        one.learn(row, label)

    def sklearn(row: np.ndarray, label: str) -> None:
        sgd.predict(row[None])
        sgd.partial_fit(row[None], [label])

    steps: dict[str, Callable[[np.ndarray, str], object]] = {
        "engram": partial(asked_and_taught, head), "engram-raw": partial(asked_and_taught, raw),
        "plain-lda-learn": plain.learn, "sklearn-sgd": sklearn,
    }
    taken = {name: _stream(step, rows[known:], labels[known:]) for name, step in steps.items()}
    for name, model in (("river-knn", KNNClassifier()), ("river-nb", GaussianNB())):
        as_dicts = [dict(enumerate(row.tolist())) for row in rows]
        for row, label in zip(as_dicts[:known], labels, strict=False):
            model.learn_one(row, label)

        def river(row: dict[int, float], label: str, model: Any = model) -> None:
            model.predict_one(row)
            model.learn_one(row, label)

        some = known + 100
        taken[name] = _stream(river, as_dicts[known:some], labels[known:some])
    taken["plain-lda-solve"] = seconds(plain.solve)
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
    taken["sklearn-lda-refit"] = seconds(lambda: lda.fit(rows, labels))
    return taken


def _stream(step: Callable[[Any, str], object], rows: Any, labels: list[str]) -> float:
    start = time.perf_counter()
    for row, label in zip(rows, labels, strict=True):
        step(row, label)
    return (time.perf_counter() - start) / len(labels)


def learn_beside_asking(width: int, classes: int, seed: int, asked: int, count: int = 200) -> float:
    """Mean time of a `learn` of one example beside a thread that asks `asked` rows at a time in a loop, over that of
    one alone. Examples come apart, as people bring them, so that each has to wait its turn anew."""
    rows, labels = examples(2 * count, width, classes, seed + 4)
    head = taught(width, classes, seed, each=10)
    alone = _apart(head.learn, rows[:count], labels[:count])
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            head.predict(rows[:asked])

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        beside = _apart(head.learn, rows[count:], labels[count:])
    finally:
        done.set()
        asking.join()
    return beside / alone


def _apart(step: Callable[[Any, str], object], rows: Any, labels: list[str], pause: float = 0.003) -> float:
    """Mean seconds of a step, with a pause before each."""
    spent = 0.0
    for row, label in zip(rows, labels, strict=True):
        time.sleep(pause)
        start = time.perf_counter()
        step(row, label)
        spent += time.perf_counter() - start
    return spent / len(labels)


def share_of_photo(seed: int) -> dict[str, float]:
    """From the file of a photograph to its being learned on MobileNetV2: how much of the time is the head's."""
    from engram.lab.data_sets.photos import photos
    from engram.lab.experiments.pretraining.mobilenet import mobilenet

    backbone, picture = mobilenet(), photos().paths[0]
    head = taught(backbone.width, 100, seed, each=10)
    features = backbone.features([picture])
    seeing = seconds(lambda: backbone.features([picture]), least=1.0)
    rows = features + 1e-3 * np.random.default_rng(seed).normal(size=(200, backbone.width))
    start = time.perf_counter()
    for row in rows:
        head.learn(row, "c1")
    head.discriminant  # noqa: B018 - brings the read-out up to date
    learning = (time.perf_counter() - start) / len(rows)
    fitting = seconds(lambda: (head.rebuild(), head.settle()), least=1.0)
    share = 100 * learning / (learning + seeing)
    return {"photo-ms": 1e3 * seeing, "rebuild-ms": 1e3 * fitting, "share-of-photo": share}


def measure(seed: int, widths: tuple[int, ...], classes: tuple[int, ...], many: int, known: int) -> dict[str, Any]:
    """All values of one repetition; see `teach_many` and `peers` for the counts."""
    values: dict[str, Any] = {}
    for width in widths:
        floor = rank_one_floor(width)
        for count in classes:
            case = f"{width}-{count}"
            one, (answer, products) = teach_one(width, count, seed), predict_one(width, count, seed)
            each, each_floor = predict_many(width, count, seed)
            values |= {
                f"teach-one-us/{case}": 1e6 * one, f"teach-one-floor-us/{case}": 1e6 * floor,
                f"teach-one-over-floor/{case}": one / floor,
                f"predict-one-us/{case}": 1e6 * answer, f"predict-one-floor-us/{case}": 1e6 * products,
                f"predict-one-over-floor/{case}": answer / products,
                f"predict-many-us/{case}": 1e6 * each, f"predict-many-over-floor/{case}": each / each_floor,
            }
        learning, product = teach_many(width, classes[0], seed, many)
        values |= {f"teach-many-us/{width}": 1e6 * learning / many, f"teach-many-share/{width}": product / learning}
        for asked in ASKED:
            beside = learn_beside_asking(width, classes[0], seed, asked)
            values[f"learn-beside-asking/{width}-{asked}"] = beside
        taken = peers(width, classes[0], seed, known)
        for name, spent in taken.items():
            values[f"peer-us/{name}/{width}"] = 1e6 * spent
            if name not in ("engram", "engram-raw"):
                values[f"over-{name}/{width}"] = spent / taken["engram"]
    return values


def headlines(values: dict[str, Any], widths: tuple[int, ...], classes: tuple[int, ...]) -> dict[str, Any]:
    """The published figures, at the sizes that they are stated for."""
    widest, most = max(widths), max(classes)
    sizes = {f"{task}-us-{width}": values[f"{task}-us/{width}-{classes[0]}"]
             for width in (64, 512) if width in widths
             for task in ("teach-one", "teach-one-floor", "predict-one", "predict-one-floor")}
    return {
        **sizes,
        "learn-beside-asking": max(values[f"learn-beside-asking/{width}-{asked}"]
                                   for width in widths for asked in ASKED),
        "teach-one-over-floor": values[f"teach-one-over-floor/{widest}-{most}"],
        "teach-many-share": values[f"teach-many-share/{widest}"],
        **{f"raw-step-ms-{width}": values[f"peer-us/engram-raw/{width}"] / 1000 for width in (64, 1280)
           if width in widths},
        "over-river-knn": values[f"over-river-knn/{512 if 512 in widths else widest}"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small sizes only: does it run?")
    options = parser.parse_args()
    widths, classes, many, known = ((64,), (10,), 2000, 100) if options.quick else (WIDTHS, CLASSES, 50_000, 1000)
    runs = []
    for seed in range(options.repeats):
        values = measure(seed, widths, classes, many, known)
        values |= headlines(values, widths, classes) | ({} if options.quick else share_of_photo(seed))
        runs.append(values)
        print(f"repeat {seed + 1} of {options.repeats}", file=sys.stderr)
    command = "python benchmarks/heads.py --out results/heads.json"
    config = {"widths": widths, "classes": classes, "many": many, "threads": 1}
    result = build("heads", "Heads: speed against the floor and peers", command, config,
                   range(options.repeats), runs, figures_of("heads"))
    deliver(result, options.out, as_json=options.json)


if __name__ == "__main__":
    main()
