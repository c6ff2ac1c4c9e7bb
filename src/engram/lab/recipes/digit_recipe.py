"""The recipe for backbones of handwritten digits: features that serve digits the network never saw.

A small convolutional network learns to tell characters apart under random affine changes. The characters
are the digits and their composites, a hundred shapes though there are ten kinds of digits or fewer. Two
losses act on a projection of the features: supervised contrastive, which gathers each class, and cosine
classification, which also yields a usable classifier.

Composites are characters that nobody ever wrote, as classes of their own: the upper half of one on the lower half of
another. Ten digits, or nine, are few shapes to learn from; their composites are a hundred, and a network that tells
them apart has to describe the parts of a shape rather than recognise a whole. (Mixing images to extend the
label space rather than to blend labels: Yun et al. 2019, arXiv 1905.04899, is the blend.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.features.pretraining.loop import Schedule, train
from engram.features.pretraining.supervised_contrastive import supervised_contrastive
from engram.lab.recipes.views import Views
from engram.learner import InputError
from engram.networks.augmentation import Affine
from engram.progress import Progress


def convolution(inputs: int, outputs: int, side: int, pool: bool = True) -> nn.Sequential:
    """Convolution, pooling, batch normalisation, ReLU. Pooling first makes the rest a quarter of the work."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False)]
    if pool:
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs), nn.ReLU())


class CharacterNetwork(nn.Module):
    """Images (N, 1, S, S) from 0 (background) to 1 (ink) -> features (N, width), none negative.

    Each convolution but the first sees 3×3, the first 5×5; each halves the side (rounded up). One linear
    layer over all places follows, with batch normalisation and ReLU: the embedding, which is trained on.

    The features are the embedding beside the last convolution averaged over each quarter of the image, both
    at unit length. The embedding knows best what it was trained to tell apart; the layer below still keeps
    what nobody asked for, and that is what unseen characters need.

    Args:
        channels: of the convolutions, from first to last.
        embedding: width of the embedding.
        side: S, of the images.

    Raises:
        InputError: the images are too small for so many convolutions.
    """

    def __init__(self, channels: Sequence[int], embedding: int, side: int) -> None:
        super().__init__()
        self.width = embedding + 4 * channels[-1]
        depths = [1, *channels]
        self.convolutions = nn.Sequential(
            *(convolution(depths[i], depths[i + 1], 3 if i else 5) for i in range(len(channels)))
        )
        for _ in channels:
            side = (side + 1) // 2
        if side < 2:
            raise InputError(f"{len(channels)} convolutions leave nothing of a small image: take fewer.")
        self.quarters = nn.AvgPool2d((side + 1) // 2, side // 2)
        self.linear = nn.Linear(channels[-1] * side * side, embedding, bias=False)
        self.scaling = nn.BatchNorm1d(embedding)

    def forward(self, images: Tensor) -> Tensor:
        """(N, D) features of (N, 1, 28, 28) images: embedding and quarters, each of unit length (or all zeros)."""
        maps = self.convolutions(images)
        quarters = self.quarters(maps).flatten(1)
        parts = [functional.normalize(self._embedded(maps)), functional.normalize(quarters)]
        return torch.cat(parts, 1)

    def embed(self, images: Tensor) -> Tensor:
        """(N, embedding), not normalised."""
        return self._embedded(self.convolutions(images))

    def _embedded(self, maps: Tensor) -> Tensor:
        return functional.relu(self.scaling(self.linear(maps.flatten(1))))


class CosineClassifier(nn.Module):
    """Classes as directions; a logit is the cosine to one of them, times `sharpness`
    (Gidaris, Komodakis 2018, arXiv 1804.09458).

    What lies between the embedding and these directions is a linear projection: it takes the loss's wish to
    collapse each class into a point upon itself and leaves the embedding richer (Chen et al. 2020,
    arXiv 2002.05709, section 4.2).

    Args:
        width: of the embedding.
        projection: width of the space in which directions are compared.
        classes: how many.
        sharpness: the largest logit.
    """

    def __init__(self, width: int, projection: int, classes: int, sharpness: float = 16.0) -> None:
        super().__init__()
        self.projection = nn.Linear(width, projection)
        self.directions = nn.Parameter(torch.randn(classes, projection))
        self.sharpness = sharpness

    def project(self, embedded: Tensor) -> Tensor:
        """(N, projection), each row of unit length."""
        return functional.normalize(self.projection(embedded).float())

    def logits(self, projected: Tensor) -> Tensor:
        """(N, classes) from what `project` returned."""
        return self.sharpness * projected @ functional.normalize(self.directions).T

    def forward(self, embedded: Tensor) -> Tensor:
        """(N, classes) logits."""
        return self.logits(self.project(embedded))


def compose(
    upper: Tensor, lower: Tensor, upper_classes: Tensor, lower_classes: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """The upper half of each image in `upper` on the lower half of its partner in `lower`.

    Args:
        upper, lower: (N, 1, H, W) images.
        upper_classes, lower_classes: (N,) from 0 to count − 1.
        count: how many classes there are.

    Returns:
        The composites and their classes, upper · count + lower, of count² in all.
    """
    middle = upper.shape[2] // 2
    images = torch.cat([upper[:, :, :middle], lower[:, :, middle:]], 2)
    return images, upper_classes * count + lower_classes


def whole_class(classes: Tensor, count: int) -> Tensor:
    """(N,) places of whole characters of (N,) classes among count² composites: both halves are of the same class.

    >>> whole_class(torch.tensor([0, 1, 2]), 3).tolist()
    [0, 4, 8]
    """
    return classes * (count + 1)


@dataclass(frozen=True)
class DigitRecipe:
    """How a digit backbone is trained; every default was settled on validation data.

    Attributes:
        channels: of the convolutions.
        embedding: width of the embedding; the features are 4 · channels[-1] wider.
        projection: width of the space in which the losses act.
        batch: images per step.
        composites: share of a batch that is composed of two digits' halves.
        contrastive: weight of the supervised contrastive loss, at `temperature`.
        classification: weight of the cosine classifier's cross-entropy.
        affine: the random changes.
        schedule: length and rates.
    """

    channels: tuple[int, ...] = (16, 32, 64)
    embedding: int = 128
    projection: int = 64
    batch: int = 256
    composites: float = 0.4
    contrastive: float = 1.0
    temperature: float = 0.1
    classification: float = 0.3
    affine: Affine = field(default_factory=Affine)
    schedule: Schedule = field(default_factory=lambda: Schedule(steps=1200))

    def config(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return asdict(self)


class DigitObjective(nn.Module):
    """The network, its classifier of digits and composites, and the loss over a batch.

    Args:
        recipe: widths and weights.
        side: of the images.
        digits: how many kinds of digits there are.
    """

    def __init__(self, recipe: DigitRecipe, side: int, digits: int) -> None:
        super().__init__()
        self.recipe, self.digits = recipe, digits
        self.network = CharacterNetwork(recipe.channels, recipe.embedding, side)
        self.classifier = CosineClassifier(recipe.embedding, recipe.projection, digits * digits)

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """The loss of (N, 1, 28, 28) images of (N,) classes."""
        projected = self.classifier.project(self.network.embed(images))
        contrast = supervised_contrastive(projected, classes, self.recipe.temperature)
        entropy = functional.cross_entropy(self.classifier.logits(projected), classes)
        return self.recipe.contrastive * contrast + self.recipe.classification * entropy

    def upright(self, images: Tensor) -> Tensor:
        """(N, digits): logits of the whole digits among all classes; the trained network's own answer."""
        whole = whole_class(torch.arange(self.digits), self.digits)
        logits: Tensor = self.classifier(self.network.embed(images))
        return logits[:, whole]


class Characters:
    """Batches of digits and composites; all at random, all from the given generator."""

    def __init__(self, images: Tensor, classes: Tensor, digits: int, recipe: DigitRecipe) -> None:
        self.images, self.classes, self.digits, self.recipe = images, classes, digits, recipe

    def __call__(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images (N, 1, S, S) and their classes (N,)."""
        images, classes = self._draw(self.recipe.batch, generator)
        composed = round(self.recipe.composites * len(images))
        partners, partner_classes = self._draw(composed, generator)
        composites, joint = compose(
            images[:composed], partners, classes[:composed], partner_classes, self.digits
        )
        characters = self.recipe.affine(torch.cat([composites, images[composed:]]), generator)
        whole = whole_class(classes[composed:], self.digits)
        return characters.contiguous(memory_format=torch.channels_last), torch.cat([joint, whole])

    def _draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        places = torch.randint(len(self.images), (count,), generator=generator)
        return self.images[places], self.classes[places]


@dataclass(frozen=True, eq=False)
class TrainedDigits:
    """A trained network.

    Attributes:
        objective: network and classifier.
        digits: those that the classifier knows, in the order of its logits.
        side: S, of the images.
        seconds: processor time that training took; on one thread of an idle machine, wall-clock.
    """

    objective: DigitObjective
    digits: tuple[int, ...]
    side: int
    seconds: float

    def features(self) -> nn.Module:
        """Images (N, 1, S, S) in [0, 1] -> features (N, D), averaged over views."""
        return Views(self.objective.network, self.side).eval()

    @torch.inference_mode()
    def classify(self, images: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The digit that the network's own classifier sees in each image (N, S, S), values 0 to 1.

        Its logits are averaged over the same views as the features.
        """
        logits = Views(_Upright(self.objective), self.side).eval()
        best = torch.cat([logits(part) for part in torch.split(as_tensor(images), 100)]).argmax(1)
        found: npt.NDArray[np.int64] = np.asarray(self.digits, np.int64)[best.numpy()]
        return found


class _Upright(nn.Module):
    """The objective's own answer as a network."""

    def __init__(self, objective: DigitObjective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, images: Tensor) -> Tensor:
        return self.objective.upright(images)


def pretrain_digits(
    images: npt.NDArray[Any],
    labels: npt.NDArray[np.integer[Any]],
    *,
    withhold: Sequence[int] = (),
    seed: int = 0,
    recipe: DigitRecipe | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> TrainedDigits:
    """Train a digit backbone.

    Args:
        images: (N, S, S), 0 background to 1 ink.
        labels: (N,) digits.
        withhold: digits that the network must never see.
        seed: of the initial weights and of the batches. One thread, the same seed: the same network.
        recipe: how; None for the settled one.
        progress, checkpoint: see `loop.train`.

    Raises:
        InputError: fewer than two kinds of digits remain.
    """
    recipe = recipe or DigitRecipe()
    kept = ~np.isin(labels, list(withhold))
    digits = tuple(int(digit) for digit in np.unique(labels[kept]))
    if len(digits) < 2:
        raise InputError(f"Withholding {tuple(withhold)} leaves {len(digits)} kinds of digits: keep two or more.")
    classes = torch.from_numpy(np.searchsorted(digits, labels[kept]).astype(np.int64))
    objective = untrained(recipe, images.shape[1], len(digits), seed)
    objective.network.convolutions.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    characters = Characters(as_tensor(images[kept]), classes, len(digits), recipe)
    seconds = train(
        objective, characters, recipe.schedule, seed=seed, progress=progress, checkpoint=checkpoint
    )
    return TrainedDigits(objective, digits, images.shape[1], seconds)


def untrained(recipe: DigitRecipe, side: int, digits: int, seed: int = 0) -> DigitObjective:
    """Network and classifier with the initial weights of this seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DigitObjective(recipe, side, digits)


def as_tensor(images: npt.NDArray[Any]) -> Tensor:
    """(N, S, S) -> (N, 1, S, S) float32."""
    return torch.from_numpy(np.ascontiguousarray(images, np.float32))[:, None]
