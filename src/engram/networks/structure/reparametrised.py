"""Weights that are computed from other parameters before each pass: `weight_norm`, `spectral_norm`, pruning masks and
parametrisations of PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from engram.learner import InputError

SOURCES = ("g", "v", "orig")
"""How hooks call what they compute a tensor from: its name, an underscore and one of these."""

UNDONE_BY = ("torch.nn.utils.remove_weight_norm or remove_spectral_norm, torch.nn.utils.prune.remove, "
             "torch.nn.utils.parametrize.remove_parametrizations")


def computed(layer: nn.Module) -> set[str]:
    """The names of the layer's tensors that are computed from others.

    >>> sorted(computed(nn.utils.spectral_norm(nn.Linear(2, 2)))), sorted(computed(nn.Linear(2, 2)))
    (['weight'], [])
    """
    found = set(layer.parametrizations) if parametrize.is_parametrized(layer) else set()  # type: ignore[arg-type]
    for hook in layer._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm | SpectralNorm):
            found.add(hook.name)
        elif isinstance(hook, BasePruningMethod):
            found.add(hook._tensor_name)
    return found


def multiplying(layer: nn.Module) -> Iterator[Tensor]:
    """The layer's own tensors of two or more dimensions, as they are used: computed ones, not what they come from."""
    names = computed(layer)
    sources = {f"{name}_{source}" for name in names for source in SOURCES}
    for name, parameter in layer.named_parameters(recurse=False):
        if parameter.ndim >= 2 and name not in sources:
            yield parameter
    yield from (tensor for name in sorted(names) if (tensor := getattr(layer, name)).ndim >= 2)


def require_own_weights(module: nn.Module) -> None:
    """
    Raises:
        InputError: a layer computes a weight from parameters that train, so that no connection can be cut or grown.
    """
    for name, layer in module.named_modules():
        names = sorted(computed(layer))
        if names and any(parameter.requires_grad for parameter in layer.parameters()):
            raise InputError(f"Layer {name!r} computes its {' and '.join(names)} from other parameters, so that "
                             f"connections cannot come and go: undo that first ({UNDONE_BY}), or freeze the layer.")
