"""What the training loop of a strategy costs over a bare PyTorch loop that does the same arithmetic.

    python benchmarks/strategies.py [--json] [--out results/strategies.json] [--processes 5] [--repeats 21]
        [--examples 12000]

The network has one hidden layer of 256 units (leaky ReLU) over 784 inputs and 10 outputs, trained by plain SGD: small,
so that overhead shows. Every repeat times `Strategy.learn` (validation of the call, label book, copy for those who ask
meanwhile, loop) on as many examples as an experience of Split-MNIST brings, and the bare loop, in turn, from the same
weights; both must end with the same. `loop-overhead-B` is the median over repeats of the ratio of their processor
seconds, at batches of B. Where memory happens to lie moves it by a few percent from one process to another, so several
are started, one after another: mean and spread are over them. One thread. `samples-per-s-…` say how fast: the bare
loop, naive, and replay from 1,000 examples with as many old as new ones in a step.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

from engram.lab.experiments import figures_of
from engram.lab.experiments.result import build, deliver
from engram.networks.strategies.experience_replay import ExperienceReplay
from engram.networks.strategies.naive import Naive
from engram.networks.strategies.networks import SLOPE
from engram.networks.strategies.strategy import Strategy

NETWORK = {"name": "perceptron", "inputs": [784], "hidden": [256]}
BATCHES = (10, 128)
RATE = 0.05


def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels like MNIST's, a fifth of them ink, in ten classes."""
    rng = np.random.default_rng(0)
    inputs = rng.random((count, 784), dtype=np.float32) * (rng.random((count, 784)) < 0.2)
    return inputs.astype(np.float32), rng.permutation(np.arange(count) % 10)


def strategy(kind: type[Strategy], batch: int, **settings: int) -> Strategy:
    """A fresh one that knows the ten labels already."""
    made = kind(NETWORK, batch=batch, optimiser="sgd", learning_rate=RATE, **settings)
    made.learn(np.zeros((10, 784)), np.arange(10))
    return made


def bare(made: Strategy) -> tuple[nn.Sequential, torch.Tensor]:
    """The strategy's network in plain PyTorch, and the state of the generator that orders its next examples."""
    net = nn.Sequential(nn.Linear(784, 256), nn.LeakyReLU(SLOPE), nn.Linear(256, 10))
    net.load_state_dict(dict(zip(net.state_dict(), made.model.state_dict().values(), strict=True)))
    return net, made.generator.get_state()


def plain_loop(net: nn.Sequential, state: torch.Tensor, inputs: np.ndarray, labels: np.ndarray, batch: int) -> None:
    """One pass in random order, as one writes it by hand."""
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
    optimiser, loss = torch.optim.SGD(net.parameters(), lr=RATE), nn.CrossEntropyLoss()
    generator = torch.Generator()
    generator.set_state(state)
    torch.randint(2**62, (), generator=generator)  # a strategy's first draw seeds what is random in the network
    for rows in torch.randperm(len(x), generator=generator).split(batch):
        optimiser.zero_grad()
        loss(net(x[rows]), y[rows]).backward()
        optimiser.step()


def seconds(task: Callable[[], object]) -> float:
    """Processor seconds of one call."""
    started = time.process_time()
    task()
    return time.process_time() - started


def measure(batch: int, count: int, repeats: int) -> dict[str, float]:
    """The figures at one size of batches."""
    inputs, labels = examples(count)
    spent: dict[str, list[float]] = {"bare": [], "naive": [], "replay-1000": []}
    for repeat in range(repeats + 1):
        made = strategy(Naive, batch)
        net, state = bare(made)
        tasks = {"bare": lambda: plain_loop(net, state, inputs, labels, batch),  # noqa: B023 - called at once
                 "naive": lambda: made.learn(inputs, labels)}  # noqa: B023
        for name in sorted(tasks, reverse=bool(repeat % 2)):
            spent[name].append(seconds(tasks[name]))
        for mine, theirs in zip(made.model.parameters(), net.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs)
        replay = strategy(ExperienceReplay, batch, capacity=1000)
        replay.learn(inputs[:1000], labels[:1000])
        spent["replay-1000"].append(seconds(lambda: replay.learn(inputs, labels)))  # noqa: B023
        print(f"\rbatches of {batch}: {repeat} of {repeats}", end="", file=sys.stderr)
    print(file=sys.stderr)
    ratios = [naive / plain for naive, plain in zip(spent["naive"][1:], spent["bare"][1:], strict=True)]
    rates = {f"samples-per-s-{batch}-{name}": count / median(times[1:]) for name, times in spent.items()}
    return {f"loop-overhead-{batch}": median(ratios), **rates}


def process(number: int, count: int, repeats: int) -> dict[str, float]:
    """All figures of a process of its own."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(f"process {number + 1}", file=sys.stderr)
    return {key: value for batch in BATCHES for key, value in measure(batch, count, repeats).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--examples", type=int, default=12000)
    options = parser.parse_args()
    numbers = list(range(options.processes))
    with get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:
        runs = fresh.map(partial(process, count=options.examples, repeats=options.repeats), numbers, chunksize=1)
    config = {"repeats": options.repeats, "examples": options.examples}
    command = "python benchmarks/strategies.py" + "".join(
        f" --{key} {value}" for key, value in {"processes": len(numbers), **config}.items())
    summary = (__doc__ or "").partition("\n")[0]
    result = build("strategies", summary, command, {**config, "network": NETWORK}, numbers, runs,
                   figures_of("strategies"))
    deliver(result, options.out, as_json=options.json)


if __name__ == "__main__":
    main()
