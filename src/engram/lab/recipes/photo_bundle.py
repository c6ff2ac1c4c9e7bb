"""From the trained network to the packaged photo backbone: `python -m engram.lab.recipes.photo_bundle [FOLDER]`.

It is trained by `photo_recipe` where the cache does not hold it yet. The network's normalisation is measured anew at
the size of pictures it will be shown, which is larger than in training (Touvron et al. 2019, arXiv 1906.06423), its
weights become int8, and m0 and S0 are measured on the pictures it was trained on, in random views: features of the
very pictures that were trained on scatter less than those of new ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.onnx import OnnxBackbone
from engram.features.backbones.preprocessing import Preprocessing
from engram.features.pretraining.distillation import CENTRE, SPREAD
from engram.features.pretraining.families.network import Embedding, Network
from engram.features.pretraining.families.resnet import small_resnet
from engram.features.pretraining.onnx_network import to_onnx
from engram.features.pretraining.photo_augmentation import RandomView, Recolour
from engram.features.pretraining.weight_quantisation import quantised
from engram.lab.data_sets.tiny_imagenet import tiny_imagenet
from engram.lab.recipes.photo_recipe import everything, trained_on, trained_photos

NAME = "photos"
FOLDER = Path(__file__).parents[2] / "features" / "backbones" / "data" / NAME
SIDE = 112
"""Of the pictures it is shown; settled on the classes held out."""

CALIBRATED, MEASURED = 20, 40
"""Pictures of each class on which normalisation, and m0 and S0, are measured."""

VIEW, RECOLOUR = RandomView(area=(0.5, 1.0), close=0.0, grey=0.0), Recolour()
"""How they are seen when m0 and S0 are measured; settled on the classes held out, like all that follows training."""


def preprocessing(side: int = SIDE) -> Preprocessing:
    """The whole picture, stretched to a square."""
    return Preprocessing((side, side), mean=(CENTRE,), scale=(1 / SPREAD,))


def ready_network(file: Path | None = None, side: int = SIDE) -> Network:
    """The network alone, recalibrated for pictures of `side` pixels; what only the losses needed is dropped.

    Args:
        file: what a training left; None for the one that ships, from the cache.
        side: of the pictures it will be shown.
    """
    tensors = load_file(file or trained_photos())
    network = small_resnet()
    network.load_state_dict({n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")})
    images, _ = some_of_each(CALIBRATED)
    recalibrate(network, torch.from_numpy(preprocessing(side)(images)))
    return network


def recalibrate(network: nn.Module, images: Tensor, batch: int = 100) -> None:
    """Measure the means and variances of batch normalisation anew, over (N, 3, S, S) as the network is shown them."""
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over all batches
    network.train()
    with torch.no_grad():
        for first in range(0, len(images), batch):
            network(images[first : first + batch])
    network.eval()
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def some_of_each(count: int) -> tuple[list[npt.NDArray[np.uint8]], list[str]]:
    """The first `count` pictures (64, 64, 3) of each class that was trained on, and the classes, in turn."""
    pictures = everything(tiny_imagenet("train"))
    names = trained_on(pictures.names)
    places = [torch.nonzero(pictures.classes == pictures.names.index(name))[:count, 0] for name in names]
    order = torch.stack(places, 1).flatten().tolist()
    images = [pictures.images[place].permute(1, 2, 0).numpy() for place in order]
    return images, [pictures.names[int(pictures.classes[place])] for place in order]


def photo_bundle(network: Network, side: int = SIDE, *, quantise: bool = True) -> Bundle:
    """The backbone with its statistics.

    Args:
        network: what `ready_network` gives.
        side: of the pictures it is shown.
        quantise: weights as int8; False leaves them float32.
    """
    content = to_onnx(Embedding(network), preprocessing(side).shape)
    backbone = OnnxBackbone(quantised(content) if quantise else content, preprocessing(side), name=NAME)
    images, labels = some_of_each(MEASURED)
    return Bundle.measure(backbone, seen_anew(images, side), labels)


def seen_anew(images: list[npt.NDArray[np.uint8]], side: int, batch: int = 100) -> list[npt.NDArray[np.uint8]]:
    """Random views (side, side, 3) of pictures (H, W, 3), recoloured, the same ones every time."""
    generator = torch.Generator().manual_seed(0)
    seen: list[npt.NDArray[np.uint8]] = []
    for first in range(0, len(images), batch):
        part = torch.from_numpy(np.stack(images[first : first + batch])).permute(0, 3, 1, 2)
        views = VIEW(len(part), generator).render(part, side)
        seen += list(RECOLOUR(views, generator).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return seen


def main() -> None:
    """Write the bundle into the package, or into the folder that is given."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    torch.set_num_threads(1)
    bundle = photo_bundle(ready_network())
    bundle.save(folder, overwrite=True)
    print(f"{folder}: {bundle.width} features, fingerprint {bundle.fingerprint}")


if __name__ == "__main__":
    main()
