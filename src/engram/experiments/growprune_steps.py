"""Steps of the experiments on networks that change shape, kept in the cache: an interrupted seed goes on where it
stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file

from engram.experiments.experiment import Progress
from engram.experiments.result import Values, plain
from engram.pretraining.cache import cached, key_of
from engram.strategies.growing_network import Knowledge
from engram.strategies.structural import Structural
from engram.streams import Examples


def folder_of(experiment: str, config: Mapping[str, Any], seed: int) -> str:
    """Where the steps of a seed are kept: another place for other settings."""
    return f"{experiment}/{key_of({**plain(config), 'seed': seed})}"


def measured(name: str, make: Callable[[], Values]) -> Values:
    """The values of a step: made now, or read if that was done earlier."""
    def write(folder: Path) -> None:
        (folder / "values.json").write_text(json.dumps(plain(make())), encoding="utf-8")

    values: Values = json.loads((cached(name, write) / "values.json").read_text(encoding="utf-8"))
    return values


def trained(name: str, learner: Structural, train: Callable[[], Values]) -> Values:
    """As `measured`, for a step that trains the learner's network: it is kept too, and is the learner's afterwards."""
    def write(folder: Path) -> None:
        values = train()
        save_file({key: tensor.cpu() for key, tensor in learner.whole.state_dict().items()},
                  folder / "network.safetensors", {"labels": json.dumps(learner.labels)})
        (folder / "values.json").write_text(json.dumps(plain(values)), encoding="utf-8")

    folder = cached(name, write)
    tensors = {key: tensor.to(learner.device) for key, tensor in load_file(folder / "network.safetensors").items()}
    learner.become(Knowledge(_labels(folder / "network.safetensors"), tensors))
    values: Values = json.loads((folder / "values.json").read_text(encoding="utf-8"))
    return values


def error(learner: Structural, asked: Examples) -> float:
    """Share of wrong answers, in percent."""
    answers = learner.predict(asked.inputs).best
    return 100 * float(np.mean([best != label for best, label in zip(answers, asked.labels.tolist(), strict=True)]))


def part(progress: Progress, place: int, parts: int, name: str) -> Progress:
    """The progress of one of so many parts, by its name."""
    return lambda share, what: progress((place + share) / parts, f"{name}: {what}")


def _labels(path: Path) -> tuple[Any, ...]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return tuple(json.loads(file.metadata()["labels"]))
