"""A PyTorch module read as a chain of layers for sparse execution."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from engram.learner import InputError
from engram.networks.structure.evaluation_mode import evaluating
from engram.networks.structure.masks import SUFFIX
from engram.networks.structure.sparse_layers import (
    Chain,
    Convolution,
    Flatten,
    Floats,
    Layer,
    Linear,
    Pair,
    Pool,
    Shape,
)

TOLERANCE = 1e-4
"""The chain may differ from the module by this share of the largest output before it is refused."""

KNOWN = (
    nn.Linear, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.ReLU, nn.LeakyReLU, nn.MaxPool2d, nn.AvgPool2d,
    nn.AdaptiveAvgPool2d, nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d,
)
# Functions and methods, and the module that does the same; their further arguments are the module's.
FUNCTIONS: dict[Any, type[nn.Module]] = {
    F.relu: nn.ReLU, torch.relu: nn.ReLU, "relu": nn.ReLU, F.leaky_relu: nn.LeakyReLU,
    F.max_pool2d: nn.MaxPool2d, torch.max_pool2d: nn.MaxPool2d, F.avg_pool2d: nn.AvgPool2d,
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d, F.dropout: nn.Identity, torch.flatten: nn.Flatten,
    "flatten": nn.Flatten, "view": nn.Flatten, "reshape": nn.Flatten, torch.reshape: nn.Flatten,
}
ASKED = {"size", getattr, operator.getitem}  # about the shape of what goes by


def layers_of(module: nn.Module, input_shape: Shape) -> tuple[Layer, ...]:
    """The layers that do to an input of this shape what the module does in evaluation mode.

    Raises:
        InputError: an operation that is not understood, no chain, or other outputs than the module's.
    """
    with evaluating(module):
        layers: list[Layer] = []
        probes = np.random.default_rng(0).normal(size=(3, *input_shape)).astype(np.float32)
        answers = _answers(module, probes)  # first: hooks compute weights anew in a pass
        for step in _steps(module):
            _add(layers, step, Chain(tuple(layers), input_shape).shapes[-1] if layers else input_shape)
        chain = Chain(tuple(layers), input_shape)
        ours, theirs = chain.run(probes), _array(answers)
    if ours.shape != theirs.shape or np.abs(ours - theirs).max() > TOLERANCE * max(1, np.abs(theirs).max()):
        raise InputError(f"{type(module).__name__} does something else than its layers one after the other.")
    return chain.layers


class _Tracer(fx.Tracer):
    """Stops at the layers that are understood, subclasses of them included."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, KNOWN) or super().is_leaf_module(m, module_qualified_name)


def _steps(module: nn.Module) -> Iterator[nn.Module]:
    """The module's operations in order, each as a module."""
    if isinstance(module, KNOWN):
        yield module
        return
    try:
        graph = _Tracer().trace(module)
    except Exception as error:  # whatever a forward pass does that cannot be followed
        raise InputError(f"{type(module).__name__} is no chain of layers that can be followed: {error}") from error
    parts, before = dict(module.named_modules()), None
    for node in graph.nodes:
        if node.op == "placeholder" and before is None:
            before = node
        elif node.op == "output":
            if node.args != (before,):
                raise InputError(f"{type(module).__name__} gives more than the output of its last layer.")
        elif node.op != "get_attr" and node.target not in ASKED:
            if not node.args or node.args[0] is not before:
                raise InputError(f"{type(module).__name__} is no chain of layers: see {node.format_node()}.")
            yield parts[node.target] if node.op == "call_module" else _module_of(node, module)
            before = node


def _module_of(node: fx.Node, whole: nn.Module) -> nn.Module:
    """A call of a function or a method as the module that does the same."""
    if node.target is F.linear:
        return _linear(whole, *node.args[1:], **node.kwargs)
    kind = FUNCTIONS.get(node.target)
    if kind is None:
        raise InputError(f"Sparse execution does not know {node.target}.")
    if kind in (nn.Identity, nn.ReLU):
        return kind()
    if kind is nn.Flatten:  # by any of its names; that it keeps the count of inputs shows when outputs are compared
        return nn.Flatten()
    return kind(*node.args[1:], **{name: value for name, value in node.kwargs.items() if name != "inplace"})


def _linear(whole: nn.Module, weight: Any, bias: Any = None) -> nn.Module:
    """A layer of tensors that the module holds itself."""
    if not all(isinstance(tensor, fx.Node) and tensor.op == "get_attr" for tensor in (weight, bias or weight)):
        raise InputError("Sparse execution knows linear functions whose weights the module holds as they are.")
    layer = nn.Linear(1, 1, bias=bias is not None)
    layer.weight = operator.attrgetter(weight.target)(whole)
    if bias is not None:
        layer.bias = operator.attrgetter(bias.target)(whole)
    return layer


def _add(layers: list[Layer], step: nn.Module, entry: Shape) -> None:
    """One operation as a layer, or as part of the one before."""
    match step:
        case nn.Linear():
            layers.append(Linear(_weight(step), _array(step.bias)))
        case nn.Conv2d():
            layers.append(_convolution(step))
        case nn.ReLU():
            _bend(layers, 0.0)
        case nn.LeakyReLU():
            _bend(layers, float(step.negative_slope))
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            _normalise(layers, step)
        case nn.MaxPool2d():
            if _pair(step.padding) != (0, 0) or _pair(step.dilation) != (1, 1) or step.ceil_mode:
                raise InputError("Sparse execution knows maximum pooling without padding, dilation and ceil_mode.")
            layers.append(Pool("maximum", _pair(step.kernel_size), _pair(step.stride or step.kernel_size)))
        case nn.AvgPool2d():
            if _pair(step.padding) != (0, 0) or step.ceil_mode or step.divisor_override:
                raise InputError("Sparse execution knows average pooling without padding, ceil_mode and divisor.")
            layers.append(Pool("average", _pair(step.kernel_size), _pair(step.stride or step.kernel_size)))
        case nn.AdaptiveAvgPool2d():
            if _pair(step.output_size) != (1, 1) or len(entry) != 3:
                raise InputError("Sparse execution knows adaptive pooling to one place per map.")
            layers.append(Pool("average", entry[1:], entry[1:]))
        case nn.Flatten():
            layers.append(Flatten())
        case nn.Identity() | nn.Dropout() | nn.Dropout1d() | nn.Dropout2d():
            pass
        case _:
            raise InputError(f"Sparse execution does not know {type(step).__name__}.")


def _convolution(step: nn.Conv2d) -> Convolution:
    stride, dilation, size = _pair(step.stride), _pair(step.dilation), step.weight.shape[2:]
    if step.padding_mode != "zeros":
        raise InputError(f"Sparse execution pads with zeros, not by {step.padding_mode!r}.")
    if step.padding == "same":
        reach = [gap * (side - 1) for gap, side in zip(dilation, size, strict=True)]
        if any(side % 2 for side in reach):
            raise InputError("Sparse execution pads both sides alike: padding='same' needs odd sizes.")
        padding = (reach[0] // 2, reach[1] // 2)
    else:
        padding = (0, 0) if isinstance(step.padding, str) else _pair(step.padding)
    return Convolution(_weight(step), _array(step.bias), 1.0, stride, padding, dilation, step.groups)


def _bend(layers: list[Layer], slope: float) -> None:
    """An activation; after flattening it belongs to the layer before, and after another they multiply."""
    for place in reversed(range(len(layers))):
        layer = layers[place]
        if not isinstance(layer, Flatten):
            layers[place] = dataclasses.replace(layer, slope=layer.slope * slope)
            return
    raise InputError("Sparse execution begins with a layer, not with an activation.")


def _normalise(layers: list[Layer], step: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """Batch normalisation with its running statistics, as part of the weights before it."""
    layer = layers[-1] if layers else None
    if not isinstance(layer, Linear | Convolution) or layer.slope != 1 or step.running_var is None:
        raise InputError("Sparse execution knows batch normalisation with running statistics right after a layer.")
    scale = 1 / np.sqrt(_array(step.running_var).astype(np.float64) + step.eps)
    if step.affine:
        scale = scale * _array(step.weight)
    shift = (layer.bias - _array(step.running_mean)) * scale + (_array(step.bias) if step.affine else 0)
    weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    layers[-1] = dataclasses.replace(layer, weight=weight.astype(np.float32), bias=shift.astype(np.float32))


def _answers(module: nn.Module, probes: Floats) -> Any:
    device = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))
    with torch.no_grad():
        try:
            return module(torch.from_numpy(probes).to(device))
        except Exception as error:  # whatever the layers raise
            raise InputError(f"The network does not take inputs of {probes.shape[1:]}: {error}") from error


def _weight(step: Any) -> Floats:
    mask = getattr(step, "weight" + SUFFIX, None)
    weight: Floats = _array(step.weight)
    return weight if mask is None else weight * _array(mask)


def _array(tensor: Any) -> Any:
    return None if tensor is None else tensor.detach().float().cpu().numpy().copy()


def _pair(value: Any) -> Pair:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))
