"""Whether a head gives the same answers however it came by what it knows, and however it is asked.

    python benchmarks/laws.py [--json] [--out results/laws.json] [--repeats 1] [--quick]

One head learns a stream in portions, at widths and counts of examples at which its code changes course, and is asked at
once, while it may still be at work. The same questions then go to it again after it has settled, one by one, from four
threads, to its copy, its view, the head that its saved state opens as, one taught in one piece in another order, two
melded halves, and ones that learned more and forgot it again. An answer has changed where its label, or whether it is
known, is another than at first.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from engram.heads.fast import FastHead
from engram.inputs.vectors import unit_length
from engram.lab.experiments import figures_of
from engram.lab.experiments.result import build, deliver

WIDTHS, COUNTS, CLASSES = (8, 512, 1280), (30, 65, 129, 201, 257, 1025), 10
QUESTIONS, BY_THEMSELVES = 800, 200

Answers = list[tuple[Any, bool]]


def new_head(width: int, statistics: bool) -> FastHead:
    """One with a bundle's statistics, which fit what is taught badly, or one without."""
    return FastHead(np.zeros(width), np.eye(width) / width) if statistics else FastHead()


def stream(width: int, count: int, seed: int) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Rows and labels to teach, and rows to ask about: between two classes each, and scattered far more along some
    values than along others, so that many answers are close."""
    rng = np.random.default_rng([seed, width])
    centres = unit_length(rng.normal(size=(CLASSES, width)))
    scatter = 1 / np.sqrt(1 + np.arange(width))
    scatter *= 1.0 / np.linalg.norm(scatter)
    labels = np.arange(count) % CLASSES
    taught = centres[labels] + scatter * rng.normal(size=(count, width))
    one, other = rng.integers(0, CLASSES, (2, QUESTIONS))
    share = rng.uniform(0.3, 0.7, (QUESTIONS, 1))
    asked = share * centres[one] + (1 - share) * centres[other] + scatter * rng.normal(size=(QUESTIONS, width))
    return taught, [f"c{label}" for label in labels], asked


def in_portions(head: FastHead, rows: np.ndarray, labels: list[str], seed: int) -> FastHead:
    """The head, taught between one example and sixty at a time, and asked in between, so that it is never at rest."""
    rng, first = np.random.default_rng(seed), 0
    while first < len(rows):
        portion = slice(first, first + int(rng.integers(1, 60)))
        head.learn(rows[portion], labels[portion])
        head.predict(rows[:1])
        first = portion.stop
    return head


def said(asked: Any, rows: np.ndarray) -> Answers:
    """Label and known flag for each row."""
    answers = asked.predict(rows)
    return list(zip(answers.best, answers.known.tolist(), strict=True))


def one_by_one(asked: Any, rows: np.ndarray) -> Answers:
    """The same, a question at a time."""
    return [answer for row in rows for answer in said(asked, row)]


def from_threads(head: FastHead, rows: np.ndarray) -> Answers:
    """The same, from four threads at once."""
    with ThreadPoolExecutor(4) as threads:
        return [answer for some in threads.map(lambda part: said(head, part), np.array_split(rows, 8))
                for answer in some]


def ways(width: int, count: int, seed: int, statistics: bool) -> Iterator[tuple[str, Answers, Answers]]:
    """Name, the answers of a head as it learned, and those by another way, to the same questions."""
    rows, labels, asked = stream(width, count, seed)
    head = in_portions(new_head(width, statistics), rows, labels, seed)
    early = FastHead.from_state(head.state())
    first = said(head, asked)
    yield "reopened", first, said(early, asked)
    yield "from threads", first, from_threads(head, asked)
    yield "copied", first, said(head.copy(), asked)
    yield "viewed", first, said(head.view(), asked)
    yield "one by one", first[:BY_THEMSELVES], one_by_one(head, asked[:BY_THEMSELVES])
    head.settle()
    yield "settled", first, said(head, asked)
    yield "reopened later", first, said(FastHead.from_state(head.state()), asked)
    yield "taught at once", first, said(taught_at_once(new_head(width, statistics), rows, labels, seed), asked)
    yield "unlearned", first, said(unlearned(new_head(width, statistics), rows, labels, asked), asked)
    yield "label forgotten", first, said(label_forgotten(new_head(width, statistics), rows, labels, asked), asked)
    yield "melded", first, said(melded(new_head(width, statistics), rows, labels), asked)


def taught_at_once(head: FastHead, rows: np.ndarray, labels: list[str], seed: int) -> FastHead:
    """In another order; but classes arrive in the same one, since the book of labels keeps it."""
    order = np.concatenate([np.arange(CLASSES), CLASSES + np.random.default_rng(seed).permutation(len(rows) - CLASSES)])
    head.learn(rows[order], [labels[i] for i in order])
    return head


def melded(head: FastHead, rows: np.ndarray, labels: list[str]) -> FastHead:
    """The head and its like, each of which saw half."""
    half, other = len(rows) // 2, head.copy()
    head.learn(rows[:half], labels[:half])
    other.learn(rows[half:], labels[half:])
    head.meld(other)
    return head


def unlearned(head: FastHead, rows: np.ndarray, labels: list[str], others: np.ndarray) -> FastHead:
    """The head that learned forty other examples too, and forgot them."""
    head.learn(rows, labels)
    more = others[:40], labels[:30] + labels[:10]
    head.learn(*more)
    head.predict(others[:1])
    head.forget(*more)
    return head


def label_forgotten(head: FastHead, rows: np.ndarray, labels: list[str], others: np.ndarray) -> FastHead:
    """The head that learned another class too, and forgot it."""
    head.learn(rows, labels)
    head.learn(others[:40], "another")
    head.predict(others[:1])
    head.forget_label("another")
    return head


def changed(first: Answers, then: Answers) -> int:
    """How many answers differ."""
    return sum(a != b for a, b in zip(first, then, strict=True))


def measure(seed: int, widths: tuple[int, ...], counts: tuple[int, ...], told: Callable[[str], None]) -> dict[str, Any]:
    """How many answers were compared and how many differ, in all and by way, width and count."""
    values: dict[str, Any] = {"answers-changed": 0, "answers-compared": 0}
    for width in widths:
        for count in counts:
            told(f"width {width}, {count} examples")
            both = (way for statistics in (True, False) for way in ways(width, count, seed, statistics))
            for way, first, then in both:
                differ = changed(first, then)
                values["answers-changed"] += differ
                values["answers-compared"] += len(first)
                values[f"changed/{way}"] = values.get(f"changed/{way}", 0) + differ
                values[f"changed/{width}-{count}"] = values.get(f"changed/{width}-{count}", 0) + differ
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="small sizes only: does it run?")
    options = parser.parse_args()
    widths, counts = ((8,), (30, 65)) if options.quick else (WIDTHS, COUNTS)
    runs = [measure(seed, widths, counts, lambda what: print(what, file=sys.stderr)) for seed in range(options.repeats)]
    config = {"widths": widths, "counts": counts, "classes": CLASSES, "questions": QUESTIONS, "threads": 1}
    command = "python benchmarks/laws.py --out results/laws.json"
    result = build("laws", "A head's answers, however it came by them", command, config, range(options.repeats), runs,
                   figures_of("laws"))
    deliver(result, options.out, as_json=options.json)


if __name__ == "__main__":
    main()
