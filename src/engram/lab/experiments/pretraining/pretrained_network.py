"""A network of some family, trained by some recipe on some classes of Tiny-ImageNet: once, then from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from engram.features.backbones.backbone import pooled
from engram.features.pretraining import make_recipe
from engram.features.pretraining.families import FAMILIES, make_network
from engram.features.pretraining.families.network import Network
from engram.features.pretraining.loop import Schedule, train
from engram.features.pretraining.photo_views import normalised
from engram.features.pretraining.recipe import from_pictures
from engram.files import make_folder, write_atomically
from engram.lab.experiments.pretraining.small_pictures import SmallPictures, small_pictures
from engram.locations import cache_folder, cached, key_of
from engram.packing import pack_tensors
from engram.progress import Progress

BATCH = 100
HELD_OUT = 50
LAST = "features"
"""The name of the pooled features, where a network is cut by default."""


@dataclass(frozen=True)
class Training:
    """Everything that decides the weights.

    Attributes:
        family, options: see `make_network`; options as (name, value) pairs.
        recipe: see RECIPES.
        side: of the pictures.
        classes: of Tiny-ImageNet are pre-trained on, drawn once and for all.
        steps, passes: batches, and pictures through the network for each.
        learning_rate: at its peak.
        seed: of weights and batches.
    """

    family: str
    recipe: str
    side: int
    options: tuple[tuple[str, float], ...] = ()
    classes: int = 100
    steps: int = 700
    passes: int = 128
    learning_rate: float = 2e-3
    seed: int = 0

    @property
    def name(self) -> str:
        """Of its folder in the cache."""
        return f"feature-quality/{self.family}-{self.recipe}-seed-{self.seed}-{key_of(asdict(self))}"


def split_classes(count: int) -> tuple[list[str], list[str]]:
    """Tiny-ImageNet's classes that are pre-trained on, and HELD_OUT others; always the same."""
    every = sorted(set(small_pictures("tiny-val", 64).labels.tolist()))
    order = np.random.default_rng(0).permutation(len(every))
    return sorted(every[i] for i in order[:count]), sorted(every[i] for i in order[count : count + HELD_OUT])


def trained(training: Training, progress: Progress | None = None) -> Network:
    """The network, in evaluation mode; trained first where it is not in the cache."""
    network = make_network(training.family, 0, seed=training.seed, **dict(training.options))

    def make(folder: Any) -> None:
        _train(network, training, progress)
        write_atomically(folder / "weights.safetensors", pack_tensors(network.state_dict()))

    folder = cached(training.name, make)
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    return network.eval()


def _train(network: Network, training: Training, progress: Progress | None) -> None:
    known, _ = split_classes(training.classes)
    pictures = small_pictures("tiny-train", training.side).of(known)
    classes = torch.from_numpy(np.searchsorted(known, pictures.labels).astype(np.int64))
    recipe = make_recipe(training.recipe, network, len(known), training.side, seed=training.seed)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    draw = from_pictures(recipe, torch.from_numpy(pictures.pixels), classes, training.passes)
    depthwise = any(isinstance(layer, nn.Conv2d) and layer.groups > 1 for layer in network.modules())
    # On the processors at hand bfloat16 is slower than float32 for depthwise convolutions, and now and then gives NaN
    # for maps of one pixel, as small crops leave them.
    cropped = training.recipe in ("swav", "cpc")
    schedule = Schedule(training.steps, training.learning_rate, bfloat16=not (depthwise or cropped))
    checkpoint = cache_folder() / f"{training.name}.checkpoint"
    make_folder(checkpoint.parent)
    train(recipe, draw, schedule, seed=training.seed, progress=progress, checkpoint=checkpoint)


@torch.inference_mode()
def features_at(
    network: Network, family: str, pictures: SmallPictures, layers: Sequence[str] = (LAST,)
) -> dict[str, npt.NDArray[np.float32]]:
    """Layer -> (N, D) features of whole pictures, maps averaged over all places; LAST is what `embed` gives."""
    found: dict[str, list[npt.NDArray[np.float32]]] = {layer: [] for layer in layers}
    modules = dict(network.named_modules())

    def keep(layer: str) -> Any:
        return lambda module, inputs, output: found[layer].append(pooled(output.float().numpy()))

    hooks = [modules[layer].register_forward_hook(keep(layer)) for layer in layers if layer != LAST]
    for start in range(0, len(pictures.pixels), BATCH):
        batch: Tensor = torch.from_numpy(pictures.pixels[start : start + BATCH]).float()
        last = network.embed(normalised(batch).contiguous(memory_format=torch.channels_last))
        if LAST in found:
            found[LAST].append(last.numpy())
    for hook in hooks:
        hook.remove()
    return {layer: np.concatenate(parts) for layer, parts in found.items()}


def layers_of(family: str) -> tuple[str, ...]:
    """Where networks of a family can be cut, from the first layer to the pooled features."""
    return (*FAMILIES[family].layers, LAST)
