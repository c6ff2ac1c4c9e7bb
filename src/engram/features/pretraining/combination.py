"""The recipes with labels together: classes in every rotation, told apart by angle and gathered by contrast.

Each asks something else of the features: the margin that classes lie apart, the contrast that examples of one class
lie together, the rotations that the pose is kept, which classes nobody has seen yet may differ by.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engram.features.pretraining.cosine_margin import MarginClassifier
from engram.features.pretraining.families.network import Network
from engram.features.pretraining.loop import Batch
from engram.features.pretraining.photo_views import PhotoViews
from engram.features.pretraining.recipe import Recipe, projection
from engram.features.pretraining.rotation import TURNS, draw_turns, rotated
from engram.features.pretraining.supervised_contrastive import supervised_contrastive


class Combination(Recipe):
    """Cosine margin on the features and supervised contrast on their projection, both over (class, rotation).

    Args:
        network, classes, side: see Recipe.
        contrast: weight of the supervised contrastive loss, at `temperature`.
        scale, margin: see `cosine_margin.margin_logits`.
        width: of the projection.
    """

    passes = 2.0

    def __init__(
        self, network: Network, classes: int, side: int, contrast: float = 0.5, temperature: float = 0.1,
        scale: float = 16.0, margin: float = 0.1, width: int = 128,
    ) -> None:
        super().__init__(network, classes, side)
        self.contrast, self.temperature = contrast, temperature
        self.views = PhotoViews(side)
        self.classifier = MarginClassifier(network.width, TURNS * classes, scale, margin)
        self.projection = projection(network.width, network.width, width)

    def batch(self, pictures: Tensor, classes: Tensor, generator: torch.Generator) -> Batch:
        """Two views of each picture in one rotation (2N, C, S, S), and their joint classes, 4·class + turns."""
        turns = draw_turns(len(pictures), generator).repeat(2)
        images = rotated(self.views(torch.cat([pictures, pictures]), generator), turns)
        return images, TURNS * classes.repeat(2) + turns

    def forward(self, images: Tensor, joint: Tensor) -> Tensor:
        """The loss of (N, C, S, S) images, whose (N,) labels stand for class and rotation together."""
        embedded = self.network.embed(images)
        directions = functional.normalize(self.projection(embedded).float())
        contrast = supervised_contrastive(directions, joint, self.temperature)
        entropy: Tensor = self.classifier(embedded, joint)
        return entropy + self.contrast * contrast
