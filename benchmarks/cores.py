"""What a frame costs a core beyond its bare matrix products, and how near a trained core comes to PyTorch without it.

    python benchmarks/cores.py [--json] [--out results/cores.json] [--repeats 5] [--quick]

One frame of 40 channels goes through a core of about 250,000 weights, a megabyte of float32, on one thread: `advance`
with all its checks, against numpy's products of the same vectors and matrices into arrays that are there. They take
turns, many calls each, and the fastest turn counts; what is measured is the time that the thread has the processor. The
figure is that of `cfc`, the default core to be trained; the others stand beside it.

Then every core that can be trained runs over irregular frames in PyTorch, in float32, and in numpy from its exported
arrays: the largest difference of an output.
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

import numpy as np
import torch

from engram.features.cores import CORES
from engram.features.cores.learning_rules.bptt import outputs_of, parameters_of
from engram.features.cores.recurrent import Recurrent
from engram.lab.experiments import figures_of
from engram.lab.experiments.result import build, deliver

CHANNELS = 40
TIMED: dict[str, dict[str, int]] = {
    "cfc": {"width": 192, "backbone": 240}, "gru": {"width": 268}, "lstm": {"width": 231}, "ltc": {"width": 480},
}
CALLS = 50  # in one turn


def products(core: Recurrent) -> Callable[[], Any]:
    """The matrix products of one frame alone."""
    rng = np.random.default_rng(0)
    matrices = [np.array(array) for name, array in core.arrays.items() if array.ndim == 2]
    passes = getattr(core, "unfolds", 1)
    pairs = [(rng.normal(size=(1, len(m))), m, np.empty((1, m.shape[1]))) for m in matrices]
    inner = [pair for pair in pairs if len(pair[1]) != CHANNELS]

    def run() -> None:
        for pair in pairs:
            np.matmul(pair[0], pair[1], out=pair[2])
        for _ in range(passes - 1):
            for pair in inner:
                np.matmul(pair[0], pair[1], out=pair[2])

    return run


def step(core: Recurrent) -> Callable[[], Any]:
    """One frame, checks included."""
    state, frame, dt = core.start(1), np.random.default_rng(0).normal(size=(1, 1, CHANNELS)), np.ones((1, 1))
    return lambda: core.advance(state, frame, dt)


def fastest(rivals: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Microseconds of each rival's fastest turn, per call."""
    best = dict.fromkeys(rivals, np.inf)
    for _ in range(rounds):
        for name, run in rivals.items():
            start = time.thread_time()
            for _ in range(CALLS):
                run()
            best[name] = min(best[name], (time.thread_time() - start) / CALLS)
    return {name: 1e6 * spent for name, spent in best.items()}


def timed(seed: int, rounds: int) -> dict[str, float]:
    """Times of each core and of its products, and what the one goes into the other."""
    values: dict[str, float] = {}
    for name, size in TIMED.items():
        core = CORES.load(name).fresh(CHANNELS, seed=seed, **size)
        spent = fastest({"step": step(core), "floor": products(core)}, rounds)
        values |= {f"us/{what}/{name}": value for what, value in spent.items()}
        values[f"over-floor/{name}"] = spent["step"] / spent["floor"]
    return values


def exported(seed: int) -> dict[str, float]:
    """The largest difference of an output of each core that can be trained, numpy against PyTorch."""
    rng = np.random.default_rng(seed)
    frames, dt = rng.normal(size=(4, 50, 3)), rng.uniform(0.3, 1.7, (4, 50))
    values = {}
    for name, row in CORES.items():
        kind = row.load()
        if not issubclass(kind, Recurrent) or name in ("echo-state", "lif", "alif"):  # a spike at the threshold flips
            continue
        core = kind.fresh(3, 19, seed=seed)
        with torch.no_grad():
            found = outputs_of(core, parameters_of(core), *(torch.tensor(part, dtype=torch.float32)
                                                            for part in (frames, dt))).numpy()
        values[f"difference/{name}"] = float(np.abs(core.advance(core.start(4), frames, dt)[1] - found).max())
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few turns: does it run?")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rounds, runs = 5 if options.quick else 100, []
    for seed in range(options.repeats):
        values = timed(seed, rounds) | exported(seed)
        values["step-over-floor"] = values["over-floor/cfc"]
        values["export-difference"] = max(value for name, value in values.items() if name.startswith("difference/"))
        runs.append(values)
        print(f"repeat {seed + 1} of {options.repeats}", file=sys.stderr)
    config = {"channels": CHANNELS, "cores": TIMED, "rounds": rounds, "calls": CALLS, "threads": 1}
    result = build("cores", "Cores: a frame over its bare matrix products, and numpy beside PyTorch",
                   "python benchmarks/cores.py --out results/cores.json", config, range(options.repeats), runs,
                   figures_of("cores"))
    deliver(result, options.out, as_json=options.json)


if __name__ == "__main__":
    main()
