"""Network families as plain modules whose tensors are named as in the common model zoos.

Every module turns images (N, channels, H, W) into logits when it is called, and into features by `embed(images)`,
(N, `width`): what comes before the classifier, averaged over all places. `classes=0` leaves the classifier out.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from engram.learner import InputError

if TYPE_CHECKING:
    from engram.features.pretraining.families.network import Network


class Family(NamedTuple):
    """Where a family's maker is, and the pictures it is usually shown.

    Attributes:
        maker: "module:function"; the function takes classes=, channels= and options of its own.
        side: of the square pictures it was published with.
        layers: where else it can be cut than at its features, from the first to the last.
    """

    maker: str
    side: int
    layers: tuple[str, ...]


HOME = "engram.features.pretraining.families."
STAGES = ("layer1", "layer2", "layer3")
FAMILIES = {
    "lenet5": Family(HOME + "lenet:lenet5", 32, ("conv1", "conv2", "fc1")),
    "simplenet": Family(HOME + "simplenet:simplenet", 32, ("features.12", "features.23", "features.31", "features.36")),
    "squeezenet1_1": Family(HOME + "squeezenet:squeezenet1_1", 224,
                            ("features.4", "features.7", "features.10")),
    "mobilenet_v2": Family(HOME + "mobilenet_v2:mobilenet_v2", 224,
                           ("features.6", "features.13", "features.17")),
    "resnet18": Family(HOME + "resnet:resnet18", 224, STAGES),
    "resnet34": Family(HOME + "resnet:resnet34", 224, STAGES),
    "resnet50": Family(HOME + "resnet:resnet50", 224, STAGES),
    "small_resnet": Family(HOME + "resnet:small_resnet", 96, STAGES),
}
"""Every family by its name in the model zoos; each module is imported when it is asked for."""


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
    import torch

    if name not in FAMILIES:
        raise InputError(f"No family {name!r}. There are: {', '.join(FAMILIES)}.")
    module, _, function = FAMILIES[name].maker.partition(":")
    maker = getattr(import_module(module), function)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        try:
            network: Network = maker(classes=classes, **options)
        except TypeError as error:
            raise InputError(f"{name} cannot be made with {sorted(options)}: {error}") from error
    return network
