"""Characters that nobody ever wrote, as classes of their own: the upper half of one on the lower half of
another.

Ten digits, or nine, are few shapes to learn from; their composites are a hundred, and a network that tells
them apart has to describe the parts of a shape rather than recognise a whole. (Mixing images to extend the
label space rather than to blend labels: Yun et al. 2019, arXiv 1905.04899, is the blend.)
"""

from __future__ import annotations

import torch
from torch import Tensor


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
    """Where whole characters stand among count² composites: both halves are of the same class.

    >>> whole_class(torch.tensor([0, 1, 2]), 3).tolist()
    [0, 4, 8]
    """
    return classes * (count + 1)
