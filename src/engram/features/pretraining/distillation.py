"""Distillation from a teacher bundle: a small network learns to say what a larger one says of the same view.

Three losses meet on the student's features. Its teacher's features, whitened so that every direction in which they
vary counts alike (as in FitNets, Romero et al. 2014, arXiv 1412.6550, but of the pooled features); its teacher's
answers, softened (Hinton et al. 2015, arXiv 1503.02531), where the teacher has any; and the true classes. Student and
teacher look at the same part of the picture (Beyer et al. 2022, arXiv 2106.05237). No weight of the teacher's ends up
in the student.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.preprocessing import Preprocessing
from engram.features.pretraining.families.network import Network
from engram.features.pretraining.loop import Batch
from engram.features.pretraining.photo_augmentation import RandomView, Recolour, View
from engram.features.pretraining.recipe import Recipe
from engram.learner import InputError

CENTRE, SPREAD = 120.0, 64.0
"""What a student is shown are pixels minus the first, by the second."""


@dataclass(frozen=True)
class Target:
    """What a student has to hit, from its teacher's features.

    Attributes:
        mean: (D,) of the teacher's features at unit length.
        projection: (D, K): onto their principal directions, each brought to about the same variance.
        answers: (C, D) weights and (C,) biases with which the teacher answers from its raw features, or None.
    """

    mean: Tensor
    projection: Tensor
    answers: tuple[Tensor, Tensor] | None = None

    @classmethod
    def measure(cls, features: Tensor, directions: int, answers: tuple[Tensor, Tensor] | None = None) -> Self:
        """The target from examples (N, D) of the teacher's features.

        Directions with less than a tenth of the middle one's variance are mostly noise: they are not blown up.
        """
        unit = functional.normalize(features.double())
        mean = unit.mean(0)
        variances, axes = torch.linalg.eigh((unit - mean).T @ (unit - mean) / len(unit))
        variances, axes = variances.flip(0)[:directions], axes.flip(1)[:, :directions]
        # Either sign of an axis is as good: the same one each time, or an interrupted training would not fit.
        axes = axes * axes.gather(0, axes.abs().argmax(0)[None]).sign()
        variances = variances.clamp_min(0)
        floor = torch.maximum(0.1 * variances[len(variances) // 2], 1e-6 * variances[0])  # fewer examples than axes
        return cls(mean.float(), (axes / (variances + floor).sqrt()).float(), answers)

    @property
    def directions(self) -> int:
        """K."""
        return int(self.projection.shape[1])

    def of(self, features: Tensor) -> Tensor:
        """(N, K), each row of unit length."""
        return functional.normalize((functional.normalize(features.float()) - self.mean) @ self.projection)

    def softened(self, features: Tensor, temperature: float) -> Tensor:
        """(N, C): the teacher's answers as probabilities.

        Raises:
            InputError: the teacher gives no answers.
        """
        if self.answers is None:
            raise InputError("This teacher gives no answers: set the weight of answers to 0.")
        weights, biases = self.answers
        return ((features.float() @ weights.T + biases) / temperature).softmax(1)


class Distillation(Recipe):
    """The true classes, the teacher's features and its answers, all read linearly from the student's features.

    Args:
        network, classes, side: see Recipe.
        teacher: an ONNX or PyTorch backbone of pictures, whose `run` takes prepared inputs (N, 3, H, W).
        target: from `Target.measure`.
        truth, features, answers: weights of the three losses.
        temperature: of the teacher's answers.
        smoothing: share of the truth's probability that is spread over all classes.
    """

    def __init__(
        self,
        network: Network,
        classes: int,
        side: int,
        teacher: Any,
        target: Target,
        *,
        truth: float = 1.0,
        features: float = 3.0,
        answers: float = 1.0,
        temperature: float = 2.0,
        smoothing: float = 0.1,
    ) -> None:
        super().__init__(network, classes, side)
        if answers and target.answers is None:
            raise InputError("This teacher gives no answers: set the weight of answers to 0.")
        self.teacher, self.target = teacher, target
        self.truth, self.features, self.answers = truth, features, answers
        self.temperature, self.smoothing = temperature, smoothing
        self.view, self.recolour = RandomView(), Recolour()
        self.classifier = nn.Linear(network.width, classes)
        self.imitation = nn.Linear(network.width, target.directions)
        self.answering = nn.Linear(network.width, len(target.answers[1])) if answers and target.answers else None

    def batch(self, pictures: Tensor, classes: Tensor, generator: torch.Generator) -> Batch:
        """Views (N, 3, S, S), their classes, and the teacher's features (N, D) of the same views."""
        view = self.view(len(pictures), generator)
        return self.seen(pictures, view, self.side, generator), classes, taught(self.teacher, pictures, view)

    def seen(self, pictures: Tensor, view: View, side: int, generator: torch.Generator) -> Tensor:
        """The student's input, (N, C, side, side): a view of (N, C, H, W) pictures, recoloured."""
        return prepared(self.recolour(view.render(pictures, side), generator))

    def forward(self, images: Tensor, classes: Tensor, features: Tensor) -> Tensor:
        """The loss, a scalar."""
        embedded = self.network.embed(images).float()
        with torch.autocast(images.device.type, enabled=False):
            loss = self.truth * functional.cross_entropy(
                self.classifier(embedded), classes, label_smoothing=self.smoothing
            )
            if self.features:
                likeness = (functional.normalize(self.imitation(embedded)) * self.target.of(features)).sum(1)
                loss = loss + self.features * (1 - likeness.mean())
            if self.answering is not None:
                said = self.target.softened(features, self.temperature)
                loss = loss + self.answers * functional.cross_entropy(self.answering(embedded), said)
        return loss


def distilled_from(
    teacher: Bundle, network: Network, pictures: Tensor, classes: int, side: int, *,
    directions: int = 256, **options: Any,
) -> Distillation:
    """The recipe for any teacher: its features alone are imitated, as it sees up to 4,096 of the pictures.

    Args:
        teacher: a bundle of an ONNX or PyTorch backbone of square RGB pictures.
        network, classes, side: see Recipe.
        pictures: (N, 3, H, W) uint8, what will be trained on.
        directions: how many of the teacher's features' principal directions are imitated, where it has as many.
        options: weights and smoothing; see Distillation.

    Raises:
        InputError: the teacher does not take square RGB pictures.
    """
    sees = getattr(teacher.backbone, "preprocessing", None)
    if sees is None or sees.shape != (3, sees.size[0], sees.size[0]):
        raise InputError(f"{teacher.name} cannot teach: a teacher takes square RGB pictures, channels first.")
    some = pictures[:: max(1, len(pictures) // 4096)]
    view = RandomView()(len(some), torch.Generator().manual_seed(0))
    parts = [
        taught(teacher.backbone, some[part], view.at(part))
        for part in torch.arange(len(some)).tensor_split(tuple(range(64, len(some), 64)))
    ]
    target = Target.measure(torch.cat(parts), min(directions, teacher.width))
    return Distillation(network, classes, side, teacher.backbone, target, **{"answers": 0.0, **options})


def prepared(pixels: Tensor) -> Tensor:
    """(N, C, H, W) pixels from 0 to 255 as a student's input, in the memory layout that convolutions are fastest in."""
    return ((pixels - CENTRE) / SPREAD).contiguous(memory_format=torch.channels_last)


def as_student_sees(side: int) -> Preprocessing:
    """`prepared`, for pictures of any size: how a student's network is shown whole pictures."""
    return Preprocessing((side, side), fit="cover", mean=(CENTRE,), scale=(1 / SPREAD,))


def taught(teacher: Any, pictures: Tensor, view: View) -> Tensor:
    """The teacher's features (N, D) of views of pictures (N, 3, H, W) uint8, prepared as its bundle says."""
    prepare = teacher.preprocessing
    mean = torch.tensor(prepare.mean, dtype=torch.float32)[None, :, None, None]
    scale = torch.tensor(prepare.scale, dtype=torch.float32)[None, :, None, None]
    inputs = (view.render(pictures, prepare.size[0]) - mean) * scale
    return torch.from_numpy(np.asarray(teacher.run(inputs.numpy()), np.float32))
