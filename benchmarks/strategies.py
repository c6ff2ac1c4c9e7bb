"""What the training loop of a strategy costs over a bare PyTorch loop, whether replay gets dearer, and what an
interruption leaves behind.

    python benchmarks/strategies.py [--json] [--out results/strategies.json] [--processes 5] [--repeats 21]
        [--examples 12000]

The network has one hidden layer of 256 units (leaky ReLU) over 784 inputs and 10 outputs, trained by plain SGD: small,
so that overhead shows. Every repeat times `Strategy.learn` (validation of the call, label book, copy for those who ask
meanwhile, loop) on as many examples as an experience of Split-MNIST brings, and the bare loop, in turn, from the same
weights; both must end with the same. `loop-overhead-B` is the median over repeats of the ratio of their processor
seconds, at batches of B. Where memory happens to lie moves it by a few percent from one process to another, so several
are started, one after another: mean and spread are over them. One thread. `samples-per-s-…` say how fast: the bare
loop, naive, and replay from 1,000 examples with as many old as new ones in a step.

`replay-growth` is the cost of an experience of 500 examples for replay from 1,000, after 100 experiences, over that of
the first that replays from a full memory: the median processor seconds of nine of each.

`left-by-interruption`: every strategy of the table, and two as users write them, with a buffer, a generator network and
its optimiser that the base knows nothing of, are interrupted (KeyboardInterrupt) at every line of the strategies, their
memory and structure that `learn` and `consolidate` run through, each at its first and second time; and are taught
inputs 10^25 times too large. Everything that can be reached from the learner is hashed before and after. Counted are
the interruptions after which anything had changed. Left out are the lines of the rollback itself, of the door that
keeps others away meanwhile, and of `with`, which comes again when it is left.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import hashlib
import linecache
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import nn

import engram.networks
from engram.lab.experiments import figures_of
from engram.lab.experiments.result import build, deliver
from engram.learner import Consolidation, InputError
from engram.networks.strategies import STRATEGIES
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
    made = kind(NETWORK, batch=batch, optimizer="sgd", learning_rate=RATE, **settings)
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


def replay_growth() -> float:
    """Cost of an experience after 100 experiences over the first that replays from a full memory."""
    torch.set_num_threads(1)
    inputs, labels = examples(500)
    replay = strategy(ExperienceReplay, 10, capacity=1000)
    for _ in range(2):
        replay.learn(inputs, labels)
    costs = [seconds(lambda: replay.learn(inputs, labels)) for _ in range(109)]
    return median(costs[100:]) / median(costs[:9])


def _growth(number: int) -> float:
    return replay_growth()


class DarkReplay(Naive):
    """As a user may write it: a list of kept examples with the network's answers, which the base knows nothing of."""

    boundaries = True

    def __init__(self, network: Any, **settings: Any) -> None:
        super().__init__(network, **settings)
        self.kept: list[list[torch.Tensor]] = []
        self.rng = np.random.default_rng(self.seed)
        self.seen = {"examples": 0}

    def loss(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        loss = super().loss(inputs, targets)
        for place in self.rng.integers(len(self.kept), size=2) if self.kept else ():
            old, answer = self.kept[place]
            loss = loss + 0.1 * (self.model(old[None])[0, : len(answer)] - answer).square().mean()
        with torch.no_grad():
            for example in inputs:
                self.seen["examples"] += 1
                self.kept.append([example.clone(), self.model(example[None])[0]])
        return loss

    def consolidate(self) -> Consolidation:
        for example, answer in self.kept:
            example.mul_(1.01)
            answer.add_(0.01)
        self.seen["examples"] += 1
        self.kept.pop()
        return Consolidation()


class Dreaming(Naive):
    """As a user may write it: a second network with an optimiser of its own dreams what is replayed."""

    boundaries = True

    def __init__(self, network: Any, **settings: Any) -> None:
        super().__init__(network, **settings)
        self.dreamer = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, self.shape[0]))
        self.descent = torch.optim.Adam(self.dreamer.parameters())
        self.falling = torch.optim.lr_scheduler.StepLR(self.descent, 3)
        self.former: nn.Module | None = None

    def training_step(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self.descent.zero_grad()
        dreamt = self.dreamer(torch.randn(len(inputs), 4))
        (dreamt - inputs).square().mean().backward()
        self.descent.step()
        self.falling.step()
        return super().training_step(inputs, targets)

    def consolidate(self) -> Consolidation:
        for parameter in self.dreamer.parameters():
            parameter.data.mul_(0.9)
        self.former = nn.Sequential(*self.dreamer)
        return Consolidation()


OWN = (DarkReplay, Dreaming)
SMALL = {"name": "perceptron", "inputs": [8], "hidden": [24]}
ROOM = str(Path(engram.networks.__file__).parent)
UNSHIELDED = ("rollback.py", "denormals.py")
DOOR = "Answering"


def digest(thing: Any) -> str:
    """SHA-256 of all that can be reached from it: attributes, containers, tensors, arrays, generators."""
    total, met = hashlib.sha256(), set()

    def take(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            total.update(str(tuple(value.shape)).encode() + value.detach().numpy().tobytes())
        elif isinstance(value, np.ndarray):
            total.update(value.tobytes())
        elif isinstance(value, torch.Generator):
            total.update(value.get_state().numpy().tobytes())
        elif isinstance(value, np.random.Generator):
            total.update(repr(value.bit_generator.state).encode())
        elif isinstance(value, bool | int | float | str | bytes | type(None)):
            total.update(repr(value).encode())
        elif id(value) in met or (callable(value) and not isinstance(value, nn.Module)):
            return
        else:
            met.add(id(value))
            if isinstance(value, torch.optim.Optimizer):
                value = [value.param_groups, [value.state.get(p) for g in value.param_groups for p in g["params"]]]
            inside = value if isinstance(value, dict) else getattr(value, "__dict__", None)
            if inside is not None:
                for name in sorted(inside, key=str):
                    if not str(name).startswith(("_answering", "_backward", "_forward", "_state_dict", "_load_state")):
                        total.update(str(name).encode())
                        take(inside[name])
            elif isinstance(value, list | tuple):
                for one in value:
                    take(one)

    take(thing)
    return total.hexdigest()


Place = tuple[str, int]


def shielded(frame: FrameType) -> bool:
    """Whether an interruption here is to leave no trace."""
    name = frame.f_code.co_filename
    ours = name == __file__ or (name.startswith(ROOM) and not name.endswith(UNSHIELDED))
    return ours and not frame.f_code.co_qualname.startswith(DOOR)


def traced(action: Callable[[], object], meet: Callable[[Place], None]) -> None:
    """Call `meet` before every line."""

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if not shielded(frame):
            return None
        place = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and not linecache.getline(*place).lstrip().startswith("with "):
            meet(place)
        return trace

    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(None)


def lines(action: Callable[[], object]) -> list[tuple[Place, int]]:
    """The lines that the action runs through, each at its first and, if there is one, its second time."""
    times: Counter[Place] = Counter()
    traced(action, lambda place: times.update([place]))
    return [(place, time) for place, count in times.items() for time in range(1, min(count, 2) + 1)]


def interrupted(action: Callable[[], object], at: Place, time: int) -> bool:
    """Whether the action came to the line for the so-many-th time, and was interrupted."""
    times: Counter[Place] = Counter()

    def meet(place: Place) -> None:
        times[place] += 1
        if place == at and times[place] == time:
            raise KeyboardInterrupt

    try:
        traced(action, meet)
    except KeyboardInterrupt:
        return True
    return False


def left_behind(kind: type[Strategy], settings: dict[str, Any], every: int) -> tuple[int, int]:
    """Interruptions after which anything was another than before, of how many.

    Args:
        every: one of so many lines is tried.
    """
    def learner() -> Strategy:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made = kind(SMALL, batch=16, **settings)
        made.learn(inputs[:24], labels[:24])
        made.consolidate()
        made.learn(inputs[24:], labels[24:])
        return made

    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(48) % 3)
    inputs = (2 * np.eye(8)[labels] + 0.5 * rng.normal(size=(48, 8))).astype(np.float32)
    changed = tried = 0
    made = learner()
    for action in (lambda one: one.learn(inputs, labels + 1), lambda one: one.consolidate()):
        for place, count in lines(partial(action, learner()))[::every]:
            before = digest(made)
            if not interrupted(partial(action, made), place, count):
                raise RuntimeError(f"{kind.__name__} goes another way at {place} when it is repeated")
            tried += 1
            changed += digest(made) != before
    before = digest(made)
    try:
        made.learn(1e25 * inputs, labels)
    except InputError:
        tried, changed = tried + 1, changed + (digest(made) != before)
    made.learn(inputs, labels)
    return changed, tried


def left_by_interruption(every: int) -> dict[str, float]:
    """Over every strategy: interruptions after which anything was another than before, and how many there were."""
    torch.set_num_threads(1)
    found = {}
    for kind in [*(STRATEGIES.load(name) for name in STRATEGIES), *OWN]:
        recipe = {"constant_budget": 96}
        own = {"parameters": 400, "recipe": recipe} if hasattr(kind, "restructure") else {"epochs": 2}
        found[kind.__name__] = left_behind(kind, own, every)
        print(f"{kind.__name__}: {found[kind.__name__]}", file=sys.stderr)
    return {"left-by-interruption": float(sum(left for left, _ in found.values())),
            "interruptions": float(sum(tried for _, tried in found.values()))}


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
        growth = fresh.map(_growth, numbers, chunksize=1)
        left = fresh.apply(left_by_interruption, (1,))
    runs = [{**run, "replay-growth": ratio, **left} for run, ratio in zip(runs, growth, strict=True)]
    config = {"repeats": options.repeats, "examples": options.examples}
    command = "python benchmarks/strategies.py" + "".join(
        f" --{key} {value}" for key, value in {"processes": len(numbers), **config}.items())
    summary = (__doc__ or "").partition("\n")[0]
    result = build("strategies", summary, command, {**config, "network": NETWORK}, numbers, runs,
                   figures_of("strategies"))
    deliver(result, options.out, as_json=options.json)


if __name__ == "__main__":
    main()
