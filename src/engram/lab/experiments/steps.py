"""Steps of a seed, kept in the cache: an interrupted seed goes on where it stopped, by the code that it began with."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import engram
from engram.files import write_atomically
from engram.lab.experiments.result import Values, plain, write_json
from engram.locations import cache_folder, cached, key_of
from engram.packing import pack_tensors

if TYPE_CHECKING:
    from torch import nn

ROOM = "steps"


def steps_of(experiment: str, settings: Mapping[str, Any], **more: Any) -> str:
    """Where the steps of these settings are kept: another place for other settings, and for other code.

    Args:
        more: what else the steps depend on, as the seed.
    """
    return f"{_settings_of(experiment, settings)}/{key_of({**more, 'code': code_digest()})}"


def forget(experiment: str, settings: Mapping[str, Any]) -> None:
    """Remove all steps of these settings, of every seed."""
    shutil.rmtree(cache_folder() / _settings_of(experiment, settings), ignore_errors=True)


def _settings_of(experiment: str, settings: Mapping[str, Any]) -> str:
    return f"{ROOM}/{experiment}/{key_of(plain(settings))}"


@functools.cache
def code_digest() -> str:
    """SHA-256 of the package: what other code has come to is not gone on with."""
    total, home = hashlib.sha256(), Path(engram.__path__[0])
    for path in sorted(home.rglob("*.py")):
        total.update(str(path.relative_to(home)).encode() + path.read_bytes())
    return total.hexdigest()


def measured(name: str, make: Callable[[], Values]) -> Values:
    """The values of a step: made now, or read if that was done earlier."""
    def write(folder: Path) -> None:
        write_json(folder / "values.json", plain(make()))

    return _values(cached(name, write))


def trained(name: str, network: nn.Module, train: Callable[[], Values]) -> Values:
    """As `measured`, for a step that trains a network, which is afterwards what the step has made of it."""
    from safetensors.torch import load_file

    def write(folder: Path) -> None:
        values = train()
        write_atomically(folder / "network.safetensors", pack_tensors(network.state_dict()))
        write_json(folder / "values.json", plain(values))

    folder = cached(name, write)
    network.load_state_dict(load_file(folder / "network.safetensors"))
    return _values(folder)


def _values(folder: Path) -> Values:
    values: Values = json.loads((folder / "values.json").read_text(encoding="utf-8"))
    return values
