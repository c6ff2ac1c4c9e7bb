"""How well the product quantiser of `engram.networks.memory` stores vectors, beside that of faiss.

    python benchmarks/memory.py [--json] [--out results/memory.json] [--repeats 3] [--quick]

Both are fitted to the same 10,240 vectors, with 256 centroids for each piece and 25 iterations of k-means, and store
the same 5,000 others: pixels of MNIST in 49 pieces, and their random patches (504 numbers) in 21 and 42 pieces.
`pq-over-faiss` is the mean over these of the ratio of the mean squared errors of what comes back. Each repeat draws
other vectors, other filters and other starts. `fit-seconds` and `fit-seconds-faiss` are processor seconds. Needs
faiss-cpu. One thread.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from engram.features.backbones import BACKBONES
from engram.lab.experiments import figures_of
from engram.lab.experiments.result import build, deliver
from engram.lab.streams import data_set
from engram.networks.memory.product_quantiser import ProductQuantiser

Array = np.ndarray[Any, Any]
TRAINED, STORED = 10_240, 5000


def ours(train: Array, other: Array, pieces: int, seed: int) -> Array:
    """What our quantiser gives back of `other`."""
    quantiser = ProductQuantiser.fit(train, np.random.default_rng(seed), pieces=pieces)
    return quantiser.decode(quantiser.encode(other))


def theirs(train: Array, other: Array, pieces: int, seed: int) -> Array:
    """What faiss gives back of `other`."""
    quantiser = faiss.ProductQuantizer(train.shape[1], pieces, 8)
    quantiser.cp.seed, quantiser.cp.niter = seed + 1, 25
    quantiser.train(train)
    back: Array = quantiser.decode(quantiser.compute_codes(other))
    return back


def timed(task: Callable[..., Array], *arguments: Any) -> tuple[Array, float]:
    """What it returns, and its processor seconds."""
    started = time.process_time()
    return task(*arguments), time.process_time() - started


def sets(seed: int, trained: int, stored: int) -> dict[str, tuple[Array, int]]:
    """Name -> vectors, of which the last `stored` are stored, and pieces."""
    data = data_set("mnist")
    pictures = data.train_inputs[np.random.default_rng(seed).permutation(len(data.train_labels))[: trained + stored]]
    pixels = np.ascontiguousarray(pictures.reshape(len(pictures), -1), np.float32) / 255
    patches = BACKBONES.load("random-patches").cut(pictures[:300], seed=seed).features(pictures)
    return {"pixels-49": (pixels, 49), **{f"patches-{pieces}": (patches, pieces) for pieces in (21, 42)}}


def measure(seed: int, trained: int, stored: int) -> dict[str, float]:
    """The figures of one repeat."""
    values: dict[str, float] = {}
    ratios, spent, spent_theirs = [], 0.0, 0.0
    for name, (vectors, pieces) in sets(seed, trained, stored).items():
        train, other = vectors[:trained], vectors[trained:]
        (mine, seconds), (faiss_own, faiss_seconds) = (timed(one, train, other, pieces, seed) for one in (ours, theirs))
        errors = [float(np.square(back - other).mean()) for back in (mine, faiss_own)]
        values[f"ratio/{name}"] = errors[0] / errors[1]
        values[f"share-lost/{name}"] = errors[0] / float(other.var(axis=0).mean())
        ratios.append(errors[0] / errors[1])
        spent, spent_theirs = spent + seconds, spent_theirs + faiss_seconds
    return values | {"pq-over-faiss": float(np.mean(ratios)), "fit-seconds": spent, "fit-seconds-faiss": spent_theirs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few vectors only: does it run?")
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    sizes = (2048, 500) if options.quick else (TRAINED, STORED)
    runs = []
    for seed in range(options.repeats):
        runs.append(measure(seed, *sizes))
        print(f"repeat {seed + 1} of {options.repeats}", file=sys.stderr)
    command = "python benchmarks/memory.py --out results/memory.json"
    config = {"trained": sizes[0], "stored": sizes[1], "faiss": faiss.__version__, "threads": 1}
    result = build("memory", "The product quantiser beside that of faiss", command, config, range(options.repeats),
                   runs, figures_of("memory"))
    deliver(result, options.out, as_json=options.json)


if __name__ == "__main__":
    main()
