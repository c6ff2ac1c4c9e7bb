"""Networks with connections that are alive or dormant: one binary mask for each weight tensor; and their tensors
without what is dormant: what is saved, and what a small device has to hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engram.learner import InputError, State

SUFFIX = "_mask"
ALIVE, VALUES, SHAPE = ".alive", ".values", ".shape"


class Masks(Mapping[str, Tensor]):
    """The masks of a module, in the order of its layers: name of the weight tensor -> mask, 1 alive and 0 dormant.

    Any module can be masked, once or again: every parameter of two or more dimensions (linear, convolutional,
    recurrent) gets a buffer beside it, `weight` the buffer `weight_mask`, which is saved and copied with the module. A
    dormant connection is exactly zero and gets no gradient. A bias lives as long as its neuron has a live connection.
    Transposed convolutions, whose weights are laid out the other way, are left alone; a tensor that layers share has
    one mask. A copy of the module (`copy.deepcopy`) has the masks, but is to be masked again before it is trained.

    Args:
        module: masked in place; masks it has already are kept, and a tensor that got new rows has them alive.
        skip: names of weight tensors to leave alone.
        frozen: names of parameters that do not train: they are left alone too, and not counted.

    Raises:
        InputError: no module, or one with nothing to mask.

    >>> layer = nn.Linear(3, 2)
    >>> masks = Masks(layer)
    >>> masks["weight"] = torch.tensor([[1, 0, 1], [0, 0, 0]])
    >>> (layer.weight == 0).sum().item(), masks.live, masks.total
    (4, 3, 8)
    """

    def __init__(self, module: nn.Module, skip: Iterable[str] = (), frozen: Iterable[str] = ()) -> None:
        if not isinstance(module, nn.Module):
            raise InputError(f"Masks needs a torch module, not a {type(module).__name__}.")
        self.module = module
        self._frozen = frozenset(frozen)
        self._left_alone = self._frozen | frozenset(skip)
        self._places: dict[str, tuple[nn.Module, str, str | None]] = {}
        seen: set[int] = set()
        for prefix, layer in module.named_modules():
            for name, weight in list(layer.named_parameters(recurse=False)):
                whole = f"{prefix}.{name}" if prefix else name
                wanted = weight.ndim >= 2 and whole not in self._left_alone and not getattr(layer, "transposed", False)
                if wanted and id(weight) not in seen:
                    self._attach(whole, layer, name)
                    seen.add(id(weight))
        if not self._places:
            raise InputError(f"{type(module).__name__} has no weights to mask.")

    def __getitem__(self, name: str) -> Tensor:
        layer, weight, _ = self._places[name]
        mask: Tensor = getattr(layer, weight + SUFFIX)
        return mask

    def __setitem__(self, name: str, mask: Tensor) -> None:
        own = self[name]
        if mask.shape != own.shape:
            raise InputError(f"The mask of {name} has the shape {tuple(own.shape)}, not {tuple(mask.shape)}.")
        own.copy_(mask != 0)
        self.enforce([name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def weight(self, name: str) -> nn.Parameter:
        """The weight tensor of that name."""
        layer, weight, _ = self._places[name]
        parameter: nn.Parameter = getattr(layer, weight)
        return parameter

    def bias(self, name: str) -> nn.Parameter | None:
        """The bias that belongs to the weight tensor, if there is one."""
        layer, _, bias = self._places[name]
        return None if bias is None else getattr(layer, bias)

    def layer(self, name: str) -> nn.Module:
        """The layer that holds the weight tensor."""
        return self._places[name][0]

    @property
    def live(self) -> int:
        """Parameters alive: connections, biases of neurons that have one, and what is not masked; nothing frozen."""
        connections = sum(int(mask.sum()) for mask in self.values())
        biases = sum(int(rows(self[name]).sum()) for name in self if self.bias(name) is not None)
        return connections + biases + self._unmasked

    @property
    def total(self) -> int:
        """All parameters that are not frozen, alive or dormant."""
        return sum(parameter.numel() for parameter in self._counted())

    @torch.no_grad()
    def enforce(self, names: Iterable[str] | None = None) -> None:
        """Set what is dormant to zero again; due after a step of an optimiser that keeps running averages."""
        for name in self if names is None else names:
            mask, bias = self[name], self.bias(name)
            self.weight(name).mul_(mask).add_(0.0)  # -0.0 becomes 0.0: what is saved and loaded has the same bits
            if bias is not None:
                bias.mul_(rows(mask)).add_(0.0)

    def guard(self, optimiser: torch.optim.Optimizer) -> None:
        """Have `enforce` called after each of the optimiser's steps, for as long as the optimiser lives."""
        optimiser.register_step_post_hook(lambda *_: self.enforce())

    @property
    def _unmasked(self) -> int:
        masked = {id(self.weight(name)) for name in self} | {id(self.bias(name)) for name in self}
        return sum(p.numel() for p in self._counted() if id(p) not in masked)

    def _counted(self) -> Iterator[nn.Parameter]:
        return (parameter for name, parameter in self.module.named_parameters() if name not in self._frozen)

    def _attach(self, whole: str, layer: nn.Module, name: str) -> None:
        weight: nn.Parameter = getattr(layer, name)
        known: Tensor | None = getattr(layer, name + SUFFIX, None)
        if known is None or known.shape != weight.shape:
            mask = torch.ones_like(weight, requires_grad=False)
            if known is not None and known.shape[1:] == mask.shape[1:]:
                mask[: len(known)] = known[: len(mask)]
            layer.register_buffer(name + SUFFIX, mask)
        beside = name.replace("weight", "bias")
        bias = None if whole.removesuffix(name) + beside in self._frozen else getattr(layer, beside, None)
        self._places[whole] = layer, name, None
        _close(weight, layer, name)
        if isinstance(bias, nn.Parameter) and bias.ndim == 1:
            self._places[whole] = layer, name, beside
            _close(bias, layer, name)
        self.enforce([whole])


def _close(parameter: nn.Parameter, layer: nn.Module, name: str) -> None:
    """From now on the parameter's gradients are zero where the mask of the weight `name` is."""
    if getattr(parameter, "_follows_mask", False) or not parameter.requires_grad:
        return

    def hook(parameter: Tensor) -> None:
        mask: Tensor = getattr(layer, name + SUFFIX)
        if parameter.grad is not None:
            parameter.grad.mul_(mask if parameter.ndim > 1 else rows(mask))

    parameter._follows_mask = True  # type: ignore[attr-defined]
    parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]


def rows(mask: Tensor) -> Tensor:
    """(rows,): 1 for every neuron that has a live connection from below."""
    return mask.flatten(1).amax(1)


def compact(tensors: Mapping[str, npt.NDArray[Any]]) -> State:
    """Arrays by name, where every masked weight is kept as one bit for each connection and the live values alone.

    Args:
        tensors: a module's `state_dict` as arrays; `x_mask` is the mask of `x`.

    >>> weights = np.array([[1.5, 0.0, 0.0, 2.5]], np.float32)
    >>> small = compact({"weight": weights, "weight_mask": (weights != 0).astype(np.float32)})
    >>> {name: array.tolist() for name, array in small.items()}
    {'weight.alive': [144], 'weight.values': [1.5, 2.5], 'weight.shape': [1, 4]}
    >>> np.array_equal(expand(small)["weight"], weights)
    True
    """
    small: State = {}
    for name, array in tensors.items():
        mask = tensors.get(name + SUFFIX)
        if mask is not None and mask.shape == array.shape:
            small[name + ALIVE] = np.packbits(mask != 0)
            small[name + VALUES] = array[mask != 0]
            small[name + SHAPE] = np.array(array.shape, np.int64)
        elif not _is_mask(name, tensors):
            small[name] = array.copy()
    return small


def _is_mask(name: str, tensors: Mapping[str, npt.NDArray[Any]]) -> bool:
    masked = tensors.get(name.removesuffix(SUFFIX)) if name.endswith(SUFFIX) else None
    return masked is not None and masked.shape == tensors[name].shape


def expand(small: Mapping[str, npt.NDArray[Any]]) -> State:
    """The arrays and masks that `compact` was given.

    Raises:
        KeyError, ValueError: an entry is missing, or values, mask and shape do not fit each other.
    """
    tensors: State = {}
    for name, array in small.items():
        if name.endswith(ALIVE):
            weight = name.removesuffix(ALIVE)
            tensors[weight], tensors[weight + SUFFIX] = _expanded(
                weight, array, small[weight + VALUES], small[weight + SHAPE])
        elif name.rpartition(".")[0] + ALIVE not in small:
            tensors[name] = array
    return tensors


def _expanded(
    name: str, alive: npt.NDArray[Any], values: npt.NDArray[Any], shape: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    sides = [int(side) for side in shape]
    count = math.prod(sides)
    if min(sides, default=0) < 0 or alive.dtype != np.uint8 or alive.shape != ((count + 7) // 8,):
        raise ValueError(f"{alive.shape} bytes do not tell which connections of {name}, {sides}, are alive")
    mask = np.unpackbits(alive, count=count).astype(bool)
    if values.shape != (int(mask.sum()),):
        raise ValueError(f"{values.shape} values for {int(mask.sum())} live connections of {name}")
    whole = np.zeros(count, values.dtype)
    whole[mask] = values
    return whole.reshape(sides), mask.astype(values.dtype).reshape(sides)
