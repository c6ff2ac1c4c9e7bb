"""Published weights of a known family, from a .pth, .pt or .safetensors file, as a backbone.

The family, its width and its number of classes are recognised by the names and shapes of the tensors. No code in a
file is ever run: PyTorch files are read with `weights_only`, which refuses everything but tensors in plain containers.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engram.extras import check
from engram.features.backbones.preprocessing import IMAGENET, Preprocessing
from engram.features.pretraining.families import FAMILIES, make_network
from engram.learner import DamagedError, InputError

if TYPE_CHECKING:
    from torch import Tensor

    from engram.features.backbones.onnx import OnnxBackbone
    from engram.features.pretraining.families.network import Network

ENDINGS = (".pth", ".pt", ".safetensors")
MULTIPLIERS = (1.0, 0.125, 0.25, 0.35, 0.375, 0.5, 0.75, 1.3, 1.4, 2.0)
"""Widths that are tried, the published ones of MobileNetV2 among them."""

CLASSIFIERS = ("fc3", "classifier", "classifier.1", "fc")
WRAPPERS = ("state_dict", "model_state_dict", "model", "network")
PREFIXES = ("module.", "_orig_mod.", "network.")
COUNTER = "num_batches_tracked"
"""Batches that a normalisation has seen: of no use, and missing from older files."""


def import_weights(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    family: str | None = None,
    preprocessing: Preprocessing | None = None,
) -> OnnxBackbone:
    """A backbone that gives the features below the classifier, as an ONNX network.

    Args:
        path: the file.
        name: what to call it; None for the file's own name without its ending.
        family: a key of FAMILIES; None recognises it.
        preprocessing: how pictures become inputs; None for what networks of the family usually see: ImageNet's
            normalisation at the size of publication (LeNet-5: grey, 0 to 1).

    Raises:
        InputError: tensors of another network, or PyTorch or the onnx package is missing.
        DamagedError: the file is truncated, holds something else than tensors, or numbers that are not finite.
    """
    from engram.features.backbones.torch_module import TorchBackbone
    from engram.features.pretraining.families.network import Embedding

    file = Path(path)
    found, network, channels = recognised(read_tensors(file), family)
    chosen = preprocessing or usual_preprocessing(found, channels)
    return TorchBackbone(Embedding(network).eval(), chosen, name=name or file.stem).export()


def usual_preprocessing(family: str, channels: int) -> Preprocessing:
    """What networks of a family are usually shown."""
    side = FAMILIES[family].side
    if channels == 1:
        return Preprocessing((side, side), "grey", resize="area")
    return Preprocessing((side, side), crop=IMAGENET.crop, fit="cover", mean=IMAGENET.mean, scale=IMAGENET.scale)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a file by name, taken out of the usual wrappers.

    Raises:
        InputError: no such file, another ending, or PyTorch is missing.
        DamagedError: truncated, more than tensors, or not finite.
    """
    check("A file of PyTorch weights", "train")
    import torch

    if not path.is_file():
        raise InputError(f"No file at {path}.")
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path.name} is none of {', '.join(ENDINGS)}.")
    try:
        content = _content(path)
    except pickle.UnpicklingError as error:
        raise DamagedError(
            f"{path.name} holds more than tensors, which could run code: it was not opened. Save the network's "
            "state_dict() alone, or as .safetensors."
        ) from error
    except Exception as error:  # the readers raise whatever they meet in a damaged file
        raise DamagedError(f"{path} cannot be read: it is damaged, cut short or something else.") from error
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    tensors = isinstance(content, Mapping) and all(isinstance(value, torch.Tensor) for value in content.values())
    if not tensors or not content:
        raise DamagedError(f"{path.name} is no dictionary of tensors: save the network's state_dict().")
    bad = [key for key, value in content.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise DamagedError(f"{path.name}: {bad[0]} holds numbers that are not finite.")
    return _without_prefix({str(key): value for key, value in content.items()})


def recognised(state: Mapping[str, Tensor], family: str | None = None) -> tuple[str, Network, int]:
    """The family that these tensors belong to, the network filled with them, and the channels of its images.

    Raises:
        InputError: no family fits; says what the nearest one lacks.
    """
    family = None if family is None else FAMILIES.name_of(family)
    given = {key: tuple(value.shape) for key, value in state.items() if not key.endswith(COUNTER)}
    channels = next((shape[1] for shape in given.values() if len(shape) == 4), 3)
    nearest: tuple[int, str, list[str]] | None = None
    for name, options in _candidates(family):
        wanted = _shapes(name, given, channels, options)
        if wanted == given:
            return name, _filled(name, state, given, channels, options), channels
        differing = sorted(key for key in {*wanted, *given} if wanted.get(key) != given.get(key))
        if nearest is None or len(differing) < nearest[0]:
            nearest = (len(differing), name, differing)
    assert nearest is not None
    count, name, differing = nearest
    raise InputError(
        f"These tensors are of no known family ({', '.join(FAMILIES)}). Nearest is {name}, which differs in {count}: "
        f"{', '.join(differing[:4])}{', …' if count > 4 else ''}. Export other networks to ONNX."
    )


def _content(path: Path) -> Any:
    if path.suffix.lower() == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _candidates(family: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in FAMILIES if family is None else (family,):
        yield name, {}
        if "multiplier" in signature(FAMILIES.load(name)).parameters:
            yield from ((name, {"multiplier": multiplier}) for multiplier in MULTIPLIERS[1:])


def _classes(given: Mapping[str, tuple[int, ...]]) -> int:
    """Outputs of the classifier; 0 where there is none."""
    return next((given[f"{key}.weight"][0] for key in CLASSIFIERS if f"{key}.weight" in given), 0)


def _made(name: str, given: Mapping[str, tuple[int, ...]], channels: int, options: dict[str, Any]) -> Network:
    return make_network(name, _classes(given), channels=channels, **options)


def _shapes(
    name: str, given: Mapping[str, tuple[int, ...]], channels: int, options: dict[str, Any]
) -> dict[str, tuple[int, ...]]:
    """What the tensors of such a network are shaped like; nothing is allocated."""
    import torch

    with torch.device("meta"):
        network = _made(name, given, channels, options)
    return {key: tuple(value.shape) for key, value in network.state_dict().items() if not key.endswith(COUNTER)}


def _filled(
    name: str, state: Mapping[str, Tensor], given: Mapping[str, tuple[int, ...]], channels: int, options: dict[str, Any]
) -> Network:
    network = _made(name, given, channels, options)
    network.load_state_dict({key: state[key] for key in given}, strict=False)
    return network.eval()
