"""Network families as plain modules whose tensors are named as in the common model zoos.

Every module turns images (N, channels, H, W) into logits when it is called, and into features by `embed(images)`,
(N, `width`): what comes before the classifier, averaged over all places. `classes=0` leaves the classifier out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engram.extension import Extension, Extensions

if TYPE_CHECKING:
    from engram.features.pretraining.families.network import Network


@dataclass(frozen=True, kw_only=True)
class Family(Extension):
    """A row of `FAMILIES`: its function takes classes=, channels= and options of its own.

    Attributes:
        side: of the square pictures it was published with.
        layers: where else it can be cut than at its features, from the first to the last.
    """

    side: int
    layers: tuple[str, ...]


HOME = "engram.features.pretraining.families."
STAGES = ("layer1", "layer2", "layer3")
FAMILIES = Extensions("family", {
    "lenet5": Family(
        path=HOME + "lenet:lenet5", takes=("pictures",), needs=("train",), side=32,
        layers=("conv1", "conv2", "fc1"), summary="two convolutions, three full layers", source="LeCun et al. 1998",
    ),
    "simplenet": Family(
        path=HOME + "simplenet:simplenet", takes=("pictures",), needs=("train",), side=32,
        layers=("features.12", "features.23", "features.31", "features.36"),
        summary="thirteen plain convolutions", source="Hasanpour et al. 2016",
    ),
    "squeezenet1_1": Family(
        path=HOME + "squeezenet:squeezenet1_1", takes=("pictures",), needs=("train",), side=224,
        layers=("features.4", "features.7", "features.10"),
        summary="few weights: squeeze, then expand", source="Iandola et al. 2016",
    ),
    "mobilenet_v2": Family(
        path=HOME + "mobilenet_v2:mobilenet_v2", takes=("pictures",), needs=("train",), side=224,
        layers=("features.6", "features.13", "features.17"),
        summary="inverted residuals, for small devices", source="Sandler et al. 2018",
    ),
    "resnet18": Family(
        path=HOME + "resnet:resnet18", takes=("pictures",), needs=("train",), side=224, layers=STAGES,
        summary="residual network of 18 layers", source="He et al. 2016",
    ),
    "resnet34": Family(
        path=HOME + "resnet:resnet34", takes=("pictures",), needs=("train",), side=224, layers=STAGES,
        summary="residual network of 34 layers", source="He et al. 2016",
    ),
    "resnet50": Family(
        path=HOME + "resnet:resnet50", takes=("pictures",), needs=("train",), side=224, layers=STAGES,
        summary="residual network of 50 layers, with bottlenecks", source="He et al. 2016",
    ),
    "small_resnet": Family(
        path=HOME + "resnet:small_resnet", takes=("pictures",), needs=("train",), side=96, layers=STAGES,
        summary="residual network for pictures of 96 pixels or fewer",
    ),
})
"""Every family by its name in the model zoos. To add one: a file in this folder, and a row here."""


def make_network(name: str, classes: int = 1000, *, seed: int | None = None, **options: Any) -> Network:
    """An untrained network of a family.

    Args:
        name: a key of FAMILIES.
        classes: outputs of the classifier; 0 leaves it out.
        seed: of its initial weights; None takes PyTorch's own state.
        options: what the family takes beside: channels=, and e.g. multiplier= (MobileNetV2, ResNet).

    Raises:
        InputError: no such family, or an option that it does not have.
    """
    maker = FAMILIES.load(name)

    import torch

    from engram.learner import InputError

    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        try:
            network: Network = maker(classes=classes, **options)
        except TypeError as error:
            raise InputError(f"{name} cannot be made with {sorted(options)}: {error}") from error
    return network
