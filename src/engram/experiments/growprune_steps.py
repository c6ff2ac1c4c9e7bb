"""Steps of the experiments on networks that change shape, kept in the cache: an interrupted seed goes on where it
stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from engram import strategies, structure
from engram.evaluation import accuracy
from engram.experiments.result import Values, plain
from engram.pretraining.cache import cached, key_of
from engram.strategies.growing_network import Knowledge
from engram.strategies.kept import Kept
from engram.strategies.structural import Structural
from engram.streams import Examples, Stream


def folder_of(experiment: str, config: Mapping[str, Any], seed: int) -> str:
    """Where the steps of a seed are kept: another place for other settings, and for other code that trains."""
    return f"{experiment}/{key_of({**plain(config), 'seed': seed, 'code': code_digest()})}"


def code_digest() -> str:
    """SHA-256 of the code that trains: what other code has come to is not gone on with."""
    total = hashlib.sha256()
    for room in (strategies, structure):
        for path in sorted(Path(room.__path__[0]).glob("*.py")):
            total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()


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
    return 100 - 100 * accuracy(learner.predict(asked.inputs).best, asked.labels.tolist())


def gathered(portions: Stream, learner: Structural) -> Kept:
    """What these portions teach, with the places that the labels have."""
    data = Kept()
    for portion in portions:
        data.add(torch.from_numpy(portion.inputs).to(learner.device), learner.places(portion.labels.tolist()))
    return data


def _labels(path: Path) -> tuple[Any, ...]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return tuple(json.loads(file.metadata()["labels"]))
