"""What a frame costs a core beyond its bare matrix products; how near its export and learning rules come to theory.

    python benchmarks/cores.py [--json] [--out results/cores.json] [--repeats 5] [--quick]

One frame of 40 channels goes through a core of about 250,000 weights, a megabyte of float32, on one thread: `advance`
with all its checks, against numpy's products of the same vectors and matrices into arrays that are there. They take
turns, many calls each, and the fastest turn counts; what is measured is the time that the thread has the processor. The
figure is that of `cfc`, the default core to be trained; the others stand beside it.

Then every core that can be trained runs over irregular frames in PyTorch and in numpy from its exported arrays: the
largest difference of an output, with PyTorch in float64 as numpy is, and in float32. The latter also shows how a core
magnifies rounding: a neural ODE that nothing was trained in can be chaotic. A brain in memory is taught one sound of
half a second, from its samples on, upon a core of 200 units.

The gradients of predictive coding, all nodes of a perceptron settling at once at half the rate, in 100 passes, are
compared with those of backpropagation; and the time of a step in which they settle one after the other, in one pass,
with that of a step of backpropagation.

The gradients of e-prop are compared with those of backpropagation through time on adaptive neurons that do not hear
each other, where theory says that they are equal; and its peak memory over 2,000 frames with that over 100.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from engram.brain import Brain
from engram.features.backbones.catalogue import bundle_of
from engram.features.cores import CORES
from engram.features.cores.integrate_and_fire import IntegrateAndFire
from engram.features.cores.learning_rules.bptt import outputs_of
from engram.features.cores.learning_rules.e_prop import EProp
from engram.features.cores.learning_rules.predictive_coding import Settling, chain, predictive_coding
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
        ours = core.advance(core.start(4), frames, dt)[1]
        for what, kept in (("float32", torch.float32), ("float64", torch.float64)):
            parameters = {key: torch.tensor(np.array(array), dtype=kept) for key, array in core.arrays.items()}
            with torch.no_grad():
                found = outputs_of(core, parameters, *(torch.tensor(part, dtype=kept) for part in (frames, dt)))
            values[f"difference-{what}/{name}"] = float(np.abs(ours - found.numpy()).max())
    return values


def taught(seed: int, rounds: int) -> float:
    """Milliseconds of the quickest teaching of one sound, of ten words with five examples each that are known."""
    rng, moments = np.random.default_rng(seed), np.arange(4000) / 8000

    def sound(word: int) -> tuple[Any, int]:
        return np.sin(2 * np.pi * (200 + 150 * word) * rng.uniform(0.95, 1.05) * moments) + rng.normal(
            0, 0.05, len(moments)), 8000

    known = [(sound(word), word) for word in range(10) for _ in range(5)]
    brain = Brain(bundle_of("echo-state", [one for one, _ in known]))
    brain.learn([one for one, _ in known], [word for _, word in known])
    best = np.inf
    for k in range(rounds):
        one, start = sound(k % 10), time.thread_time()
        brain.learn([one], k % 10)
        best = min(best, time.thread_time() - start)
    return 1e3 * best


def gradient_error(seed: int) -> float:
    """Of e-prop's gradients against those of backpropagation through time, relative to their norm."""
    rng = np.random.default_rng(seed)
    core = IntegrateAndFire.fresh(5, 20, seed=seed, beta=0.3, threshold=0.5)
    core = core.with_arrays({**core.arrays, "recurrent": np.zeros((20, 20))})
    frames, wanted = 1.5 * rng.normal(size=(4, 100, 5)), rng.uniform(size=(4, 100, 20))
    rule = EProp(core, 4)
    for t in range(100):
        rule.learn(rule.step(frames[:, t]) - wanted[:, t])
    exact = {name: torch.tensor(np.array(array), requires_grad=True) for name, array in core.arrays.items()}
    outputs = outputs_of(core, exact, torch.tensor(frames), torch.ones(4, 100).double())
    (outputs - torch.tensor(wanted)).square().sum().div(2).backward()
    one, two = (np.concatenate([part[name].ravel() for name in ("input", "bias")])
                for part in (rule.gradients, {name: tensor.grad.numpy() for name, tensor in exact.items()}))
    return float(np.linalg.norm(one - two) / np.linalg.norm(two))


def predictive(seed: int, rounds: int) -> dict[str, float]:
    """The error of settled gradients, relative to their norm; and the time of a step over one of backpropagation."""
    torch.manual_seed(seed)
    modules = [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)]
    network, graph = nn.Sequential(*modules), chain(modules)
    inputs, classes = torch.rand(128, 784), torch.randint(10, (128,))

    def loss(out: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(out, classes)

    def backward() -> None:
        network.zero_grad()
        loss(network(inputs)).backward()

    def settled(settling: Settling | None = None) -> None:
        network.zero_grad()
        predictive_coding(graph, inputs, loss, settling)

    def gradients() -> torch.Tensor:
        return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])

    backward()
    exact = gradients()
    settled(Settling("together", 0.5, 100))
    error = float((gradients() - exact).norm() / exact.norm())
    best = {"backward": np.inf, "settled": np.inf}
    for _ in range(rounds):
        for name, run in (("backward", backward), ("settled", settled)):
            start = time.thread_time()
            run()
            best[name] = min(best[name], time.thread_time() - start)
    return {"predictive-gradient-error": error, "predictive-cost": best["settled"] / best["backward"]}


def peak(length: int) -> int:
    """Bytes that e-prop holds at most."""
    rule = EProp(IntegrateAndFire.fresh(5, 50), 4)
    tracemalloc.start()
    for _ in range(length):
        rule.learn(rule.step(np.ones((4, 5))))
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


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
        for what, figure in (("float64", "export-difference"), ("float32", "float32-difference")):
            values[figure] = max(value for name, value in values.items() if name.startswith(f"difference-{what}/"))
        values["teach-word-ms"] = taught(seed, 5 if options.quick else 50)
        values["gradient-error"] = gradient_error(seed)
        values |= predictive(seed, 5 if options.quick else 30)
        values["memory-growth"] = peak(200 if options.quick else 2000) / peak(100)
        runs.append(values)
        print(f"repeat {seed + 1} of {options.repeats}", file=sys.stderr)
    config = {"channels": CHANNELS, "cores": TIMED, "rounds": rounds, "calls": CALLS, "threads": 1}
    result = build("cores", "Cores: a frame over its bare matrix products, and its learning rules",
                   "python benchmarks/cores.py --out results/cores.json", config, range(options.repeats), runs,
                   figures_of("cores") | figures_of("e-prop") | figures_of("predictive-coding"))
    deliver(result, options.out, as_json=options.json)


if __name__ == "__main__":
    main()
