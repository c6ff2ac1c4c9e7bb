"""Ten portions of MNIST to a network that changes shape: what the experiments on LeNet-300-100 and LeNet-5 share."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from engram.files import make_folder, write_atomically
from engram.lab.evaluation.plots import canvas, draw_curves
from engram.lab.experiments.experiment import Progress, part
from engram.lab.experiments.grow_and_prune.growprune_learner import error
from engram.lab.experiments.grow_and_prune.growprune_published import Table, steps_beaten
from engram.lab.experiments.result import Values, plain
from engram.lab.streams import Stream, channels_first, data_incremental, data_set
from engram.learner import EngramError
from engram.locations import cache_folder
from engram.networks.strategies import DynamicSparseTraining, NeST, NetworkFineTuning
from engram.networks.strategies.grow_and_prune import GrowAndPrune
from engram.networks.strategies.networks import build
from engram.networks.strategies.structural import Structural
from engram.networks.strategies.train_from_scratch import TrainFromScratch
from engram.networks.strategies.update_recipe import UpdateRecipe
from engram.packing import pack

# name -> class and its settings beside those of all.
METHODS: dict[str, tuple[type[Structural], dict[str, Any]]] = {
    "grow-and-prune": (GrowAndPrune, {}),
    "tfs": (TrainFromScratch, {}),
    "nft": (NetworkFineTuning, {}),
    "nest": (NeST, {}),
    "set": (DynamicSparseTraining, {"wake": "random", "anew": True}),
    "rigl": (DynamicSparseTraining, {"wake": "gradient", "anew": True}),
}
PORTIONS = 10
TRAINING, VALIDATION = 55_000, 5_000
BATCH = 128
LAST = ("error", "parameters", "epochs", "multiply-adds", "isolated", "accuracy-lost")


@dataclass(frozen=True)
class Chain:
    """One method on the ten portions.

    Attributes:
        method: one of METHODS.
        network: its `spec` but for the seed.
        parameters: the most alive at rest.
        recipe: of every update.
        seed: of the portions, the network and the training.
        last: how many of the portions; those before the first one taught come with it.
        first: the portion that is taught first, with all before it.
        branches: methods that learn the last portion from where this one stands before it.
        last_times: how many times longer the update with the last portion is.
        compressed: the most alive after a last pruning without heed to recovery; 0 leaves it out.
        device: of the training.
    """

    method: str
    network: dict[str, Any]
    parameters: int
    recipe: UpdateRecipe
    seed: int
    first: int = 1
    last: int = PORTIONS
    branches: tuple[str, ...] = ()
    last_times: float = 1.0
    compressed: int = 0
    device: str = "cpu"

    def make(self) -> Structural:
        """The learner, before anything arrived."""
        kind, settings = METHODS[self.method]
        network = build({**self.network, "seed": self.seed})
        return kind(network, parameters=self.parameters, recipe=self.recipe, held_out=0, augmentation="affine",
                    batch=BATCH, seed=self.seed, device=self.device, **settings)


def portions(seed: int) -> Stream:
    """Ten portions of 5,500 images, (1, 28, 28) float32 from 0 to 1, and 5,000 held out."""
    return data_incremental(data_set("mnist").map(channels_first), PORTIONS, held_out=VALIDATION, seed=seed)


def run_chain(chain: Chain, place: str, progress: Progress) -> list[Values]:
    """Teach portion after portion; what each update did, and the error afterwards on MNIST's test images.

    Going on after an interruption: the learner and what was measured are at that place of the cache after every update.
    """
    stream = portions(chain.seed)
    store = Progressed(chain, place)
    learner, steps = store.load()
    if not steps:
        held = stream[0].held_out
        learner.add_validation(held.inputs, held.labels.tolist())
    for portion in range(chain.first + len(steps), chain.last + 1):
        learner.progress = part(progress, portion - chain.first, chain.last - chain.first + 1,
                                f"{chain.method}, {10 * portion}% of the data")
        standing = learner.model.snapshot()
        others = {}
        if portion == chain.last:
            learner.recipe = chain.recipe.longer(chain.last_times)
            for method in chain.branches:
                other = replace(chain, method=method, recipe=learner.recipe).make()
                other.validation, other.kept = learner.validation, learner.kept
                other.become(standing)
                others[method] = _update(other, stream, portion, chain.first)
        steps.append(_update(learner, stream, portion, chain.first) | {"branches": others})
        if portion == chain.last and chain.compressed:
            learner.compress(chain.compressed)
            measured = _measured(learner, stream)
            steps[-1] |= {f"compressed-{name}": measured[name] for name in ("error", "parameters", "isolated", "shown")}
        store.save(learner, steps)
    return steps


def _update(learner: Structural, stream: Stream, portion: int, first: int) -> Values:
    """Teach a portion (the first one with all before it) and measure."""
    arriving = [stream[i].train for i in (range(portion) if portion == first else [portion - 1])]
    inputs = np.concatenate([one.inputs for one in arriving])
    labels = np.concatenate([one.labels for one in arriving]).tolist()
    begun, used = time.perf_counter(), time.process_time()
    learner.learn(inputs, labels)
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - used
    measured = _measured(learner, stream)
    return measured | {
        "data": 100 * portion / PORTIONS,
        "epochs": measured["shown"] / (TRAINING * portion / PORTIONS),
        "all-data-epochs": measured["shown"] / TRAINING,
        "seconds": seconds,
        "cpu-seconds": cpu_seconds,
    }


def _measured(learner: Structural, stream: Stream) -> Values:
    report = learner.report
    return {
        "error": error(learner, stream[0].test),
        "validation-error": 100 - report["accuracy"],
        "grown-validation-error": 100 - report.get("grown-accuracy", report["accuracy"]),
        "parameters": report["live"],
        "grown": report.get("grown", report["live"]),
        "isolated": report["isolated"],
        "accuracy-lost": report.get("grown-accuracy", report["accuracy"]) - report["accuracy"],
        "shown": report["shown"],
        "multiply-adds": learner.multiply_adds,
    }


class Progressed:
    """What a chain has come to, in the cache: gone on with after an interruption."""

    def __init__(self, chain: Chain, place: str) -> None:
        self._chain = chain
        self._path = cache_folder() / f"{place}.safetensors"

    def load(self) -> tuple[Structural, list[Values]]:
        """The learner and the values of its updates; a fresh one where there is nothing, or nothing sound."""
        try:
            with safe_open(self._path, framework="numpy") as file:
                steps = json.loads(file.metadata()["steps"])
                kind, _ = METHODS[self._chain.method]
                return kind.from_state({name: file.get_tensor(name) for name in file.keys()}), steps  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, EngramError):
            return self._chain.make(), []

    def save(self, learner: Structural, steps: list[Values]) -> None:
        """Keep this in place of what was kept before, whole or not at all; a finished chain keeps its values alone."""
        make_folder(self._path.parent)
        state = learner.state()
        if steps[-1]["data"] == 100 * self._chain.last / PORTIONS:
            state = {name: array for name, array in state.items() if not name.startswith("remembered/")}
        write_atomically(self._path, pack(state, {"steps": json.dumps(plain(steps))}))


def summary(found: Mapping[str, list[Values]], table: Any) -> Values:
    """What is published of the chains: our last step and whole chain, and every method's steps as curves."""
    ours = found["grow-and-prune"]
    last = ours[-1]
    beaten, worst = steps_beaten(ours, table)
    return {
        **{name: last[name] for name in LAST},
        "steps-beaten": beaten,
        "worst-step": worst,
        "chain-epochs": sum(step["all-data-epochs"] for step in ours),
        "minutes": sum(step["cpu-seconds"] for step in ours) / 60,
        **{f"{name}-error": steps[-1]["error"] for name, steps in found.items() if name != "grow-and-prune"},
        "tfs-cost": cost_of_equal(last, [steps[-1] for name, steps in found.items() if name.startswith("tfs")]),
        **{key: value for key, value in last.items() if key.startswith("compressed-")},
        **{f"{method}-error": values["error"] for method, values in last["branches"].items()},
        "steps": {name: {key: [step[key] for step in steps] for key in steps[0] if key != "branches"}
                  for name, steps in found.items()},
    }


def cost_of_equal(ours: Values, scratch: list[Values]) -> float:
    """Epochs in which training from scratch is as accurate on the validation images, over ours.

    Where it is not with any of its budgets, the largest of them: a lower bound.
    """
    enough = [one["epochs"] for one in scratch if one["validation-error"] <= ours["validation-error"]]
    most = max((one["epochs"] for one in scratch), default=0.0)
    return float(min(enough, default=most) / ours["epochs"])


def draw_steps(result: Mapping[str, Any], table: Table) -> Any:
    """Error, parameters and cost of every step, ours beside the published ones, as a figure."""
    steps = result["values"]["steps"]
    figure, axes = canvas(3, width=4.4, height=3.4)
    panels = {"error": "test error (%)", "parameters": "parameters (thousands)", "epochs": "epochs over data so far"}
    for panel, (key, y) in zip(axes, panels.items(), strict=True):
        unit = 1000 if key == "parameters" else 1
        curves = {"grow and prune (ours)": _curve(steps["grow-and-prune"], key, unit)}
        for name, label in {"grow-and-prune": "grow and prune (patent)", "tfs": "from scratch (patent)"}.items():
            known = [(10 * (i + 1), value) for i, value in enumerate(table[name][key]) if value is not None]
            shares, heights = zip(*known, strict=True)
            curves[label] = shares, heights, [0.0] * len(heights)
        draw_curves(panel, curves, "data (%)", y)
    return figure


def _curve(steps: Mapping[str, Any], key: str, unit: float) -> tuple[Any, Any, Any]:
    measured = steps[key]
    return steps["data"]["mean"], np.asarray(measured["mean"]) / unit, np.asarray(measured["sd"]) / unit
