"""Neurons that are born and die: units of layers are added or taken out, with all that takes their outputs.

A unit is a neuron of a linear or recurrent layer, or a filter of a convolution. New ones begin with random weights into
them and none out of them, so that the function of the network is at first what it was; as in "neurogenesis deep
learning" (T. J. Draelos et al., IJCNN 2017, arXiv 1612.03770).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from engram.learner import InputError
from engram.networks.structure.evaluation_mode import evaluating

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (nn.Linear, nn.RNNBase, *CONVOLUTIONS, *TRANSPOSED)
NORMALISATIONS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
# Functions that treat each unit by itself: what comes of it has its place.
BY_UNIT = frozenset((
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "tanh", "softplus",
    "hardswish", "hardtanh", "hardsigmoid", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
    "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "instance_norm", "interpolate", "pad", "contiguous", "clone", "detach", "abs", "clamp", "square", "sqrt", "exp",
    "neg", "float", "to", "div", "truediv", "pow", "view", "reshape",
))
JOINS = frozenset(("add", "iadd", "radd", "sub", "isub", "rsub", "mul", "imul", "rmul"))
RECURRENT = frozenset(("lstm", "gru", "rnn_tanh", "rnn_relu"))
GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class Segment(NamedTuple):
    """Neighbouring numbers of a tensor's axis that come from the units of one layer, in their order.

    Attributes:
        source: the layer's name; None: what nobody can add to, such as the network's inputs.
        units: how many.
        each: numbers of one unit, side by side: the pixels of a filter where its picture was flattened.
    """

    source: str | None
    units: int
    each: int = 1


class Layout(NamedTuple):
    """Which units the numbers of a tensor come from, along one of its axes."""

    axis: int
    segments: tuple[Segment, ...]

    @property
    def sources(self) -> set[str]:
        return {segment.source for segment in self.segments if segment.source is not None}


@dataclass
class Grown:
    """What was changed.

    Attributes:
        born: name of a parameter -> where its entries are new, a truth value for each.
        features: for each number that the network gives now, the place that it had before, -1 where it is new.
    """

    born: dict[str, Tensor] = field(default_factory=dict)
    features: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))


class Wiring:
    """Which layers of a module make units, and which take them; found by following one input through it.

    Convolutions, linear layers and `nn.LSTM`, `nn.GRU`, `nn.RNN` can grow where all that follows treats units one by
    one (activations, pooling, batch normalisation, flattening, joins) or takes them as inputs. Where two layers are
    added up, they grow together.

    Args:
        module: changed in place by `grow` and `remove`: its parameters are replaced, so optimisers have to be told.
        shape: of one input.
        dtype: of an input.

    Attributes:
        units: of each layer that can grow, by its name, in the order in which they are met.
        refused: each layer that cannot, and why.

    Raises:
        InputError: the module cannot be followed, such as one that branches by what its inputs are.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    >>> wiring = Wiring(network, (1, 8, 8))
    >>> wiring.units
    {'0': 4, '4': 5}
    >>> images = torch.rand(3, 1, 8, 8)
    >>> with evaluating(network):
    ...     before = network(images)
    ...     grown = wiring.grow({"0": 2})
    ...     bool((network(images) - before).abs().max() < 1e-5)
    True
    >>> network[4].weight.shape, int(grown.born["4.weight"].sum())
    (torch.Size([5, 216]), 360)
    """

    def __init__(self, module: nn.Module, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> None:
        self.module, self.shape, self.dtype = module, tuple(shape), dtype
        self._read()

    def _read(self) -> None:
        try:
            reader = _Reader(self.module)
            device = next((parameter.device for parameter in self.module.parameters()), torch.device("cpu"))
            with torch.no_grad(), evaluating(self.module):
                reader.read(torch.zeros(1, *self.shape, dtype=self.dtype, device=device))
        except Exception as error:  # whatever following a module of somebody's raises
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"The layers of {type(self.module).__name__} cannot be followed: {reason}") from error
        self._reader = reader
        self.refused = dict(reader.refused)
        for name in reader.made:
            together = {other for other in reader.made if reader.root(other) == reader.root(name)}
            reasons = [reader.refused[other] for other in together if other in reader.refused]
            if reasons:
                self.refused[name] = reasons[0]
        self.units = {name: count for name, count in reader.made.items() if name not in self.refused}

    def together(self, name: str) -> list[str]:
        """The layers that grow with this one, itself among them.

        Raises:
            InputError: it cannot grow; says why.
        """
        if name not in self.units:
            raise InputError(f"{name!r} cannot grow: {self.refused.get(name, 'there is no such layer')}. Layers that "
                             f"can: {', '.join(self.units) or 'none'}.")
        return [other for other in self.units if self._reader.root(other) == self._reader.root(name)]

    def grow(self, units: Mapping[str, int]) -> Grown:
        """Add so many units to each of these layers; what the network answers stays. Random weights follow PyTorch's
        generator.

        Raises:
            InputError: a layer cannot grow, or a negative number; nothing was changed.
        """
        places: dict[str, Tensor] = {}
        for name, count in units.items():
            if count < 0:
                raise InputError(f"{count} units cannot be added to {name!r}.")
            old = torch.arange(self.units[self.together(name)[0]])
            places |= dict.fromkeys(self.together(name), torch.cat([old, old.new_full((count,), -1)]))
        return self._placed(places)

    def remove(self, units: Mapping[str, Collection[int]]) -> Grown:
        """Take these units out of their layers, and all weights into them and out of them. The network answers what it
        did where they contributed nothing; see `contributions`.

        Raises:
            InputError: a layer cannot, has no such unit, or would have none left; nothing was changed.
        """
        places: dict[str, Tensor] = {}
        for name, gone in units.items():
            count = self.units[self.together(name)[0]]
            stays = [place for place in range(count) if place not in set(gone)]
            if not stays or not set(gone) <= set(range(count)):
                raise InputError(f"{name!r} has {count} units, of which {sorted(gone)} cannot be taken out.")
            places |= dict.fromkeys(self.together(name), torch.tensor(stays))
        return self._placed(places)

    def resize(self, units: Mapping[str, int]) -> None:
        """Have so many units in each of these layers, whatever their weights; those are to be loaded.

        Raises:
            InputError: a layer cannot, or would have none.
        """
        for name, count in units.items():
            more = count - self.units.get(name, 0)
            if more > 0:
                self.grow({name: more})
            elif more < 0:
                self.remove({name: range(max(count, 0), self.units[name])})
            self.together(name)

    @torch.no_grad()
    def contributions(self, inputs: Tensor) -> dict[str, Tensor]:
        """For each layer, (units,): the most that each of its units adds to anything that takes it, over (N, …) inputs;
        to what the network gives, its own size. Where it is 0, the unit is dead: it can be removed, and nothing else
        changes."""
        found = {name: torch.zeros(count, device=inputs.device) for name, count in self.units.items()}

        def note(layout: Layout, numbers: Tensor, weights: Tensor) -> None:
            rows = numbers.movedim(layout.axis, -1).flatten(0, -2).abs().amax(dim=0) * weights
            for segment, own in zip(layout.segments, torch.split(rows, [s.units * s.each for s in layout.segments]),
                                    strict=True):
                if segment.source in found:
                    most = own.view(segment.units, segment.each).amax(dim=1)
                    found[segment.source] = torch.maximum(found[segment.source], most)

        hooks = [self.module.get_submodule(name).register_forward_pre_hook(
            lambda layer, given, layout=layout: note(layout, given[0], _largest_into(layer)))
            for name, layout in self._reader.taken.items() if layout.sources]
        try:
            with evaluating(self.module):
                answers = self.module(inputs)
        finally:
            for hook in hooks:
                hook.remove()
        note(self._reader.given, answers, answers.new_ones(answers.shape[self._reader.given.axis]))
        return found

    @torch.no_grad()
    def _placed(self, places: dict[str, Tensor]) -> Grown:
        """Let the units of these layers come from those at the places of before, -1 for new ones."""
        done = Grown(features=self._along(self._reader.given, places))
        for name in dict.fromkeys([*self._reader.taken, *self._reader.normalised, *places]):
            layer = self.module.get_submodule(name)
            rows, taken = places.get(name), self._reader.taken.get(name)
            columns = self._along(taken, places) if taken is not None and taken.sources & places.keys() else None
            normalised = self._reader.normalised.get(name)
            if normalised is not None and normalised.sources & places.keys():
                _renormalised(layer, name, self._along(normalised, places), done)
            elif isinstance(layer, nn.RNNBase) and (rows is not None or columns is not None):
                _rewired_recurrent(layer, name, rows, columns, done)
            elif rows is not None or columns is not None:
                _rewired(layer, name, rows, columns, done)
        self._read()
        return done

    def _along(self, layout: Layout, places: Mapping[str, Tensor]) -> Tensor:
        """Of the axis of a layout: the place before of each number after."""
        parts, start = [], 0
        for segment in layout.segments:
            own = places.get(segment.source or "", torch.arange(segment.units))
            spread = own[:, None] * segment.each + torch.arange(segment.each)
            parts.append(torch.where(own[:, None] < 0, -1, spread + start).flatten())
            start += segment.units * segment.each
        return torch.cat(parts)


def _largest_into(layer: nn.Module) -> Tensor:
    """The largest weight out of each number that a layer takes."""
    if isinstance(layer, nn.RNNBase):
        names = [name for name, _ in layer.named_parameters() if name.startswith("weight_ih_l0")]
        return torch.cat([layer.get_parameter(name) for name in names]).abs().amax(dim=0)
    weight: Tensor = layer.get_parameter("weight")
    return weight.abs().flatten(2).amax(dim=2).amax(dim=1 if isinstance(layer, TRANSPOSED) else 0) \
        if weight.ndim > 2 else weight.abs().amax(dim=0)


def _taken_over(new: Tensor, old: Tensor, rows: Tensor, columns: Tensor | None) -> Tensor:
    """Fill `new`, drawn at random, with the entries of `old`: rows and columns come from these places, -1 for new ones;
    new columns of old rows are 0. Returns where entries are new."""
    stays = rows >= 0
    if columns is None:
        new[stays] = old[rows[stays]]
        born = ~stays
        return born.reshape(-1, *[1] * (new.ndim - 1)).expand_as(new).clone()
    kept = columns >= 0
    new[stays] = 0.0
    new[stays.nonzero(), kept.nonzero().T] = old[rows[stays][:, None], columns[kept][None]]
    born = ~(stays[:, None] & kept[None])
    return born.reshape(*born.shape, *[1] * (new.ndim - 2)).expand_as(new).clone()


def _replace(layer: nn.Module, prefix: str, name: str, new: Tensor, born: Tensor, done: Grown) -> None:
    before = getattr(layer, name)
    setattr(layer, name, nn.Parameter(new, requires_grad=before.requires_grad))
    done.born[f"{prefix}.{name}" if prefix else name] = born


def _rewired(layer: nn.Module, name: str, rows: Tensor | None, columns: Tensor | None, done: Grown) -> None:
    """Units (rows) and inputs (columns) of a linear layer or a convolution."""
    swapped = isinstance(layer, TRANSPOSED)
    old = layer.get_parameter("weight").detach()
    straight = old.transpose(0, 1) if swapped else old
    rows = torch.arange(len(straight)) if rows is None else rows
    width = straight.shape[1] if columns is None else len(columns)
    limit = 1 / math.sqrt(width * math.prod(straight.shape[2:]))
    drawn = straight.new_empty(len(rows), width, *straight.shape[2:]).uniform_(-limit, limit)
    born = _taken_over(drawn, straight, rows, torch.arange(width) if columns is None else columns)
    drawn, born = (drawn.transpose(0, 1), born.transpose(0, 1)) if swapped else (drawn, born)
    _replace(layer, name, "weight", drawn.contiguous(), born.contiguous(), done)
    bias = layer._parameters.get("bias")
    if bias is not None:
        drawn = bias.new_empty(len(rows)).uniform_(-limit, limit)
        born = _taken_over(drawn, bias.detach(), rows, None)
        _replace(layer, name, "bias", drawn, born, done)
    sized: Any = layer
    if isinstance(layer, nn.Linear):
        sized.in_features, sized.out_features = width, len(rows)
    else:
        sized.in_channels, sized.out_channels = width, len(rows)


def _rewired_recurrent(
    layer: nn.RNNBase, name: str, rows: Tensor | None, columns: Tensor | None, done: Grown
) -> None:
    """Units of every layer of a recurrent network, and inputs of its first."""
    old_size, gates = layer.hidden_size, GATES[layer.mode]
    units = torch.arange(old_size) if rows is None else rows
    starts = torch.arange(gates)[:, None] * old_size
    in_gates = torch.where(units < 0, -1, units + starts).flatten()
    directions = torch.arange(2 if layer.bidirectional else 1)[:, None] * old_size
    from_below = torch.where(units < 0, -1, units + directions).flatten()
    limit = 1 / math.sqrt(len(units))
    for own, parameter in list(layer.named_parameters()):
        into: Tensor | None = None
        if own.startswith("weight_hh"):
            into = units
        elif own.startswith("weight_ih"):
            first = own.startswith("weight_ih_l0")
            into = (torch.arange(parameter.shape[1]) if columns is None else columns) if first else from_below
        shape = (len(in_gates),) if into is None else (len(in_gates), len(into))
        drawn = parameter.detach().new_empty(shape).uniform_(-limit, limit)
        born = _taken_over(drawn, parameter.detach(), in_gates, into)
        _replace(layer, name, own, drawn, born, done)
    layer.hidden_size = len(units)
    layer.input_size = layer.input_size if columns is None else len(columns)
    layer.flatten_parameters()


def _renormalised(layer: nn.Module, name: str, places: Tensor, done: Grown) -> None:
    """Units of a batch normalisation: new ones are passed on as they come until statistics are gathered."""
    for own, fresh in {"weight": 1.0, "bias": 0.0}.items():
        parameter = layer._parameters.get(own)
        if parameter is not None:
            drawn = parameter.detach().new_full((len(places),), fresh)
            born = _taken_over(drawn, parameter.detach(), places, None)
            _replace(layer, name, own, drawn, born, done)
    for own, fresh in {"running_mean": 0.0, "running_var": 1.0}.items():
        buffer = layer._buffers.get(own)
        if buffer is not None:
            drawn = buffer.new_full((len(places),), fresh)
            _taken_over(drawn, buffer, places, None)
            setattr(layer, own, drawn)
    counted: Any = layer
    counted.num_features = len(places)


class _Reader(TorchFunctionMode):
    """Follows one input through a module, function by function, and notes for each tensor which units its numbers come
    from. What other threads do meanwhile is not seen, nor disturbed.

    Attributes:
        made: layer -> units.
        taken: layer -> the layout of its inputs.
        normalised: batch normalisation -> the layout of what it normalises.
        given: the layout of what the module returns.
        refused: layer -> why it cannot grow.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.made: dict[str, int] = {}
        self.taken: dict[str, Layout] = {}
        self.normalised: dict[str, Layout] = {}
        self.refused: dict[str, str] = {}
        self.given = Layout(1, ())
        self._layouts: dict[int, Layout] = {}
        self._states: dict[int, str] = {}
        self._met: list[Any] = []  # keeps tensors, so that no other gets the id of one
        self._joined: dict[str, str] = {}
        self._owners: dict[int, str] = {}
        self._own()

    def _own(self) -> None:
        """Which layer each tensor belongs to; layers whose tensors are not theirs alone cannot grow."""
        for name, layer in self.module.named_modules():
            if not isinstance(layer, (*LAYERS, *NORMALISATIONS)):
                continue
            tensors = [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
            for tensor in tensors:
                other = self._owners.setdefault(id(tensor), name)
                if other != name:
                    self._refuse({name, other}, f"{name} and {other} share their weights")
            if isinstance(layer, LAYERS) and not any(key.startswith("weight") for key in layer._parameters):
                self._refuse({name}, f"{name} computes its weights from other parameters")
            if any(key.endswith("_mask") for key in layer._buffers):
                self._refuse({name}, f"{name} has masked connections")

    def read(self, inputs: Tensor) -> None:
        """Ask the module about (1, …) inputs."""
        self._note(inputs, Layout(1, (Segment(None, inputs.shape[1] if inputs.ndim > 1 else 1),)))
        with self:
            answers = self.module(inputs)
        self.given = self._layouts[id(answers)]

    def root(self, source: str) -> str:
        """Layers of one root grow together."""
        while source in self._joined:
            source = self._joined[source]
        return source

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function; the layout of its value is noted."""
        value = func(*args, **(kwargs or {}))
        tensors = list(_tensors((*args, *(kwargs or {}).values())))
        if any(id(tensor) in self._layouts or id(tensor) in self._states for tensor in tensors):
            name = getattr(func, "__name__", str(func)).strip("_")
            given = [self._layouts[id(tensor)] for tensor in tensors if id(tensor) in self._layouts]
            states = {self._states[id(tensor)] for tensor in tensors if id(tensor) in self._states}
            self._refuse(states, "its states are taken apart from its outputs")
            self._follow(name, args, kwargs or {}, tensors, given or [Layout(1, ())], value)
        return value

    def _follow(
        self, name: str, args: Any, named: dict[str, Any], tensors: list[Tensor], given: list[Layout], value: Any
    ) -> None:
        if name in ("bool", "item", "tolist"):
            raise InputError("what it does depends on what its inputs are")
        first = value[0] if name in RECURRENT else value
        if not isinstance(first, Tensor):
            return
        owners = {self._owners[id(tensor)] for tensor in tensors if id(tensor) in self._owners}
        if owners:
            found = self._of_layer(owners.pop(), given[0], first)
        elif name in JOINS:
            found = self._joined_up(name, tensors, given)
        elif name in ("cat", "concat", "concatenate"):
            found = self._side_by_side(args, named, given, value)
        elif name in ("flatten", "view", "reshape") and value.ndim == 2:
            found = self._flattened(given[0], tensors[0], value, name)
        elif name == "getitem":
            found = self._picked(args[1], given[0], value)
        elif name in ("transpose", "permute", "swapaxes"):
            found = self._turned(args, given[0], name)
        elif name in ("mean", "amax", "sum"):
            found = self._reduced(args, named, given[0], value, name)
        elif name in BY_UNIT and given[0].axis < value.ndim and (
                value.shape[given[0].axis] == tensors[0].shape[given[0].axis]):
            found = given[0]
        else:
            found = self._unknown(given, f"{name} takes its units in a way that is not known", value)
        self._note(first, found)
        if name in RECURRENT:
            for state in value[1:]:
                self._met.append(state)
                self._states |= dict.fromkeys((id(state),), next(iter(found.sources)))

    def _note(self, tensor: Tensor, layout: Layout) -> None:
        self._met.append(tensor)
        self._layouts[id(tensor)] = layout

    def _of_layer(self, name: str, layout: Layout, value: Tensor) -> Layout:
        layer: Any = self.module.get_submodule(name)
        if name in self.made or name in self.normalised:
            self._refuse({name, *layout.sources}, f"{name} is used more than once")
        if isinstance(layer, NORMALISATIONS):
            self.normalised[name] = layout
            return layout
        convolves = isinstance(layer, CONVOLUTIONS + TRANSPOSED)
        axis = 1 if convolves else value.ndim - 1
        units = layer.hidden_size if isinstance(layer, nn.RNNBase) else value.shape[axis]
        self.made[name], self.taken[name] = units, layout
        if layout.axis != axis:
            self._refuse(layout.sources, f"{name} takes its units along another axis")
        if name in self.refused:
            self._refuse(layout.sources, self.refused[name])
        if convolves and layer.groups > 1:
            self._refuse({name, *layout.sources}, f"{name} convolves in groups")
        if isinstance(layer, nn.RNNBase) and (not layer.batch_first or layer.proj_size):
            self._refuse({name, *layout.sources}, f"{name} has not batch_first=True, or has projections")
        copies = value.shape[axis] // units if isinstance(layer, nn.RNNBase) else 1
        return Layout(axis, (Segment(name, units),) * copies)

    def _joined_up(self, name: str, tensors: list[Tensor], given: list[Layout]) -> Layout:
        """Taken together number by number: both sides grow together, where they are laid out alike."""
        first = given[0]
        if len(given) < len([tensor for tensor in tensors if tensor.numel() > 1]):
            self._refuse(first.sources, f"{name} takes its units together with a tensor of their number")
        for other in given[1:]:
            alike = [(s.units, s.each) for s in first.segments] == [(s.units, s.each) for s in other.segments]
            if other.axis != first.axis or not alike:
                self._refuse(first.sources | other.sources, f"{name} joins layers that are not laid out alike")
                continue
            for one, two in zip(first.segments, other.segments, strict=True):
                if one.source is None or two.source is None:
                    self._refuse({one.source, two.source} - {None}, f"{name} joins it with the network's inputs")
                elif self.root(one.source) != self.root(two.source):
                    self._joined[self.root(two.source)] = self.root(one.source)
        return first

    def _side_by_side(self, args: Any, named: Mapping[str, Any], given: list[Layout], value: Tensor) -> Layout:
        axis = int(args[1] if len(args) > 1 else named.get("dim", 0)) % value.ndim
        if any(layout.axis != axis for layout in given) or len(given) < len(args[0]):
            return self._unknown(given, "cat puts its units side by side along another axis", value)
        return Layout(axis, tuple(segment for layout in given for segment in layout.segments))

    def _flattened(self, layout: Layout, before: Tensor, value: Tensor, name: str) -> Layout:
        if before.ndim == 2 and before.shape == value.shape:
            return layout
        pixels = math.prod(before.shape[2:])
        if layout.axis != 1 or before.shape[0] != value.shape[0]:
            return self._unknown([layout], f"{name} takes its units along another axis than the second", value)
        return Layout(1, tuple(segment._replace(each=segment.each * pixels) for segment in layout.segments))

    def _picked(self, place: Any, layout: Layout, value: Tensor) -> Layout:
        """A place in time, or some examples; not some units."""
        picks = place if isinstance(place, tuple) else (place,)
        along = [axis for axis, pick in enumerate(picks) if not (isinstance(pick, slice) and pick == slice(None))]
        plain = all(isinstance(pick, int | slice) for pick in picks)
        if layout.axis in along or not plain:
            return self._unknown([layout], "some of its units are picked", value)
        gone = [axis for axis in along if isinstance(picks[axis], int)]
        return layout._replace(axis=layout.axis - sum(axis < layout.axis for axis in gone))

    def _turned(self, args: Any, layout: Layout, name: str) -> Layout:
        count = args[0].ndim
        order = list(range(count))
        if name == "permute":
            given = args[1] if isinstance(args[1], list | tuple) else args[1:]
            order = [int(axis) % count for axis in given]
        else:
            one, two = (int(axis) % count for axis in args[1:3])
            order[one], order[two] = order[two], order[one]
        return layout._replace(axis=order.index(layout.axis))

    def _reduced(self, args: Any, named: Mapping[str, Any], layout: Layout, value: Tensor, name: str) -> Layout:
        count = args[0].ndim
        given = args[1] if len(args) > 1 else named.get("dim")
        axes = given if isinstance(given, list | tuple) else range(count) if given is None else [given]
        gone = [int(axis) % count for axis in axes]
        if layout.axis in gone:
            return self._unknown([layout], f"{name} is taken over its units", value)
        shift = sum(axis < layout.axis for axis in gone) if value.ndim < count else 0
        return layout._replace(axis=layout.axis - shift)

    def _unknown(self, given: list[Layout], reason: str, value: Tensor) -> Layout:
        for layout in given:
            self._refuse(layout.sources, reason)
        return Layout(1, (Segment(None, value.shape[1] if value.ndim > 1 else 1),))

    def _refuse(self, sources: Collection[str | None], reason: str) -> None:
        for source in sources:
            if source is not None:
                self.refused.setdefault(source, reason)


def _tensors(values: Any) -> Iterator[Tensor]:
    """The tensors among the arguments of a function, and in lists of them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
