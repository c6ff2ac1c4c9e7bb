"""What every strategy is: a network whose outputs grow, an optimiser and a loop; how it answers while it learns, is
restored where learning is interrupted, and is saved.

A method fills as little as it needs:

    loss                            another loss, or a term more (regularisation, distillation, energies)
    observe                         what one step sees (replay adds examples to the batch)
    project                         the gradients, between backward and step
    train                           the passes over what arrived (structural change, another schedule)
    consolidate                     what happens where an experience ends, or while idle
    extra_state, load_extra_state   what it saves beside the network
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import Any, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.heads.head import from_json_array, json_array
from engram.inputs.vectors import as_batch, as_labels, kept_labels
from engram.learner import Consolidation, DamagedError, InputError, Label, Predictions, State
from engram.networks.module_copy import module_copy
from engram.networks.strategies import optimiser as optimisers
from engram.networks.strategies.growing_network import (
    Answering,
    GrowingNetwork,
    Snapshot,
    dry_step,
    shape_of,
)
from engram.networks.strategies.networks import build, seeded
from engram.networks.structure.denormals import denormals_flushed
from engram.networks.structure.masks import compact, expand
from engram.networks.structure.multiply_adds import multiply_adds


class Strategy:
    """A network that goes on learning by gradient descent: a Learner of inputs (N, ...) with labels.

    Asked while it learns, it answers from before. Where learning is interrupted (Ctrl-C, no memory), the network is
    again what it was before the call; only the optimiser's running averages start anew.

    Args:
        network: (N, ...) float32 -> (N, width) features: a module, which is copied, or the `spec` of one of `networks`.
            What is frozen in a module stays frozen: parameters with `requires_grad=False`, parts in evaluation mode,
            running statistics of normalisation layers in a part of which no parameter trains.
        epochs: passes over what one call of `learn` brings.
        batch: examples in a step.
        learning_rate, optimiser: one of `optimiser.OPTIMISERS`.
        active: the outputs that compete in the loss: all labels seen so far, or those that arrived together with the
            example's own (task-incremental learning: van de Ven, Tolias 2018, arXiv 1809.10635).
        seed: of everything random in learning; the network has its own.
        device: "cpu", "cuda" or another of PyTorch's.
        shape: of one input, where the network has no attribute `shape`.

    Raises:
        InputError: no shape; a network that does not fit it, fails when a copy of it is taught and asked, or whose
            answer to an input depends on what else is asked; or a setting that cannot be.
    """

    exact = False
    boundaries = False

    def __init__(
        self,
        network: nn.Module | Mapping[str, Any],
        *,
        epochs: int = 1,
        batch: int = 128,
        learning_rate: float = 1e-3,
        optimiser: str = "adam",
        active: Literal["all", "experience"] = "all",
        seed: int = 0,
        device: str = "cpu",
        shape: Sequence[int] | None = None,
    ) -> None:
        given = isinstance(network, nn.Module)
        network = module_copy(network) if isinstance(network, nn.Module) else build(network)
        found = shape_of(network, shape)
        if found is None:
            raise InputError("The shape of an input is unknown: pass shape=(...).")
        for name, count in {"epochs": epochs, "batch": batch}.items():
            if not isinstance(count, int) or count < 1:
                raise InputError(f"{name} must be a whole number of at least 1, not {count!r}.")
        if not learning_rate > 0:
            raise InputError(f"learning_rate must be above 0, not {learning_rate!r}.")
        if active not in ("all", "experience"):
            raise InputError(f"active must be 'all' or 'experience', not {active!r}.")
        self.epochs, self.batch, self.learning_rate, self.optimiser_name = epochs, batch, learning_rate, optimiser
        self.active, self.seed, self.device, self.shape = active, seed, device, found
        self.model = GrowingNetwork(network, found, device)
        if given:
            dry_step(self.model, found)
        self.generator = torch.Generator().manual_seed(seed)
        self.companions = torch.zeros(0, 0, dtype=torch.bool, device=device)  # which labels arrived together
        self.optimiser = self.fresh_optimiser()
        self._answering = Answering(self.model)

    @property
    def network(self) -> nn.Module:
        """Inputs to features."""
        return self.model.network

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels taught so far, in the order of their first arrival."""
        return self.model.labels

    @property
    def multiply_adds(self) -> int:
        """Multiplications with a weight that is not zero, for one input."""
        with self._answering.at_rest():
            return multiply_adds(self.model, self.shape)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the whole state: network, optimiser and whatever the method remembers."""
        return sum(array.nbytes for array in self.state().values())

    def learn(self, inputs: Any, targets: Any) -> None:
        """Learn (N, ...) inputs, or one, with a label for each.

        Raises:
            InputError, LabelError: nothing was changed. If training diverged, the previous state was restored.
        """
        examples, labels = self.admitted(inputs, targets)
        with self.changing():
            self.grow(labels)
            self.train(examples, self.places(labels))

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,): `epochs` passes in random order, `batch` examples at a time."""
        self.model.train()
        for _ in range(self.epochs):
            for rows in torch.split(torch.randperm(len(inputs), generator=self.generator), self.batch):
                self.observe(inputs[rows], targets[rows])
        self.require_finite()  # before a method remembers what it was taught in vain

    def observe(self, inputs: Tensor, targets: Tensor) -> None:
        """One training step on `inputs` (N, …) and `targets` (N,), the places of their labels in `labels`."""
        loss = self.loss(inputs, targets)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.project()
        self.optimiser.step()

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy over the outputs that compete, a scalar; `inputs` (N, …), `targets` (N,)."""
        return functional.cross_entropy(self.competing(self.model(inputs), targets), targets)

    def competing(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The logits (N, C), at minus infinity where an output does not compete for the example."""
        return logits if self.active == "all" else logits.masked_fill(~self.companions[targets], -torch.inf)

    def project(self) -> None:
        """Change the gradients before the step; here they stay."""

    def consolidate(self) -> Consolidation:
        """Nothing to do between experiences unless a method says otherwise."""
        return Consolidation()

    def admitted(self, inputs: Any, targets: Any) -> tuple[Tensor, list[Label]]:
        """What is to be learned: inputs (N, ...) where the network lives, and the label of each.

        Raises:
            InputError, LabelError: they cannot be learned.
        """
        batch = as_batch(inputs, self.shape)
        labels = as_labels(targets, len(batch), next(iter(self.labels), None))
        return torch.from_numpy(batch).to(self.device), labels

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """Answer (N, ...) inputs, or one; `among` limits the candidates (task-incremental use).

        Raises:
            InputError: wrong shape, NaN or infinity.
            LabelError: `among` names a label that was never taught.
        """
        return self._answering.predictions(torch.from_numpy(as_batch(inputs, self.shape)), among)

    def fresh_optimiser(self) -> torch.optim.Optimizer:
        """An optimiser for the network as it is, that has taken no step."""
        return optimisers.make(self.optimiser_name, self.model.parameters(), self.learning_rate)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The network may change here, seeded; others are answered from before, and an exception takes it back.

        Raises:
            InputError: it diverged.
        """
        with self._answering.changing() as before:
            companions, generator = self.companions.clone(), self.generator.get_state()
            try:
                with seeded(int(torch.randint(2**62, (), generator=self.generator))), denormals_flushed():
                    yield
                self.require_finite()
            except BaseException:
                self.become(before)
                self.companions = companions
                self.generator.set_state(generator)
                raise

    @torch.no_grad()
    def require_finite(self) -> None:
        """Called where training ends: what diverged would go on answering, and could not be loaded.

        Raises:
            InputError: a weight is NaN or infinite.
        """
        sound = [parameter.sum().isfinite() for parameter in self.model.parameters()]  # one NaN is enough; no copies
        sound += [~buffer.isnan().any() for buffer in self.model.buffers()]  # some hold infinities on purpose: masks
        if not torch.stack(sound).all():
            raise InputError("Training diverged: weights are no longer finite. Use a smaller learning_rate, or inputs "
                             "of smaller numbers.")

    def become(self, snapshot: Snapshot) -> None:
        """Know this and nothing else; the optimiser starts anew."""
        self.model.become(snapshot)
        self.fit_companions()
        self.optimiser = self.fresh_optimiser()

    def fit_companions(self) -> None:
        """A row and a column for every label; one that is new has arrived with none yet."""
        count, known = len(self.labels), self.companions[: len(self.labels), : len(self.labels)]
        self.companions = known.new_zeros(count, count)
        self.companions[: len(known), : len(known)] = known

    def extra_state(self) -> State:
        """What the method keeps beside the network and the optimiser, as arrays."""
        return {}

    def load_extra_state(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore what `extra_state` returned, arrays by name."""

    def grow(self, labels: list[Label]) -> list[Label]:
        """Outputs for the labels that are new, which are returned; all of these arrived together."""
        new = self.model.outputs.grow(labels)
        if new:
            old, self.optimiser = self.optimiser, self.fresh_optimiser()
            optimisers.carry(old, self.optimiser)
            self.fit_companions()
        together = self.places(list(dict.fromkeys(labels)))
        self.companions[together[:, None], together] = True
        return new

    def places(self, labels: list[Label]) -> Tensor:
        """(N,) int64: the output of each label."""
        book = self.model.outputs.book
        return torch.from_numpy(np.fromiter(map(book.__getitem__, labels), np.int64, len(labels))).to(self.device)

    def state(self) -> State:
        """The whole learner as arrays: what `from_state` needs, no pickle. Waits while it learns."""
        with self._answering.at_rest():
            return _packed(self)

    @classmethod
    def from_state(
        cls, state: Mapping[str, npt.NDArray[Any]], network: nn.Module | None = None, device: str | None = None
    ) -> Self:
        """The learner that `state` described.

        Args:
            network: one of the same structure, where it was not made by `networks`.
            device: where it is to live; None for where it lived.

        Raises:
            DamagedError: another method's, or entries are missing or do not fit each other.
            InputError: the network has to be passed.
        """
        return _unpacked(cls, state, network, device)


S = TypeVar("S", bound=Strategy)

ATTRIBUTES = {"optimiser": "optimiser_name"}


def _config(strategy: Strategy) -> dict[str, Any]:
    """The arguments of the constructor but the network, as JSON values: each is an attribute of the same name, or of
    the one in `ATTRIBUTES`."""
    constructors = [vars(kind)["__init__"] for kind in type(strategy).__mro__[:-1] if "__init__" in vars(kind)]
    parameters = [p for constructor in constructors for p in inspect.signature(constructor).parameters.values()]
    names = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} - {"self", "network"}
    values = {name: getattr(strategy, ATTRIBUTES.get(name, name)) for name in sorted(names)}
    return {name: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
            for name, value in values.items()}


def _packed(strategy: Strategy) -> State:
    """Everything that `_unpacked` needs; no pickle."""
    about = {"strategy": type(strategy).__name__, "config": _config(strategy), "labels": list(strategy.labels),
             "network": getattr(strategy.network, "spec", None), "frozen": strategy.model.frozen,
             "resting": sorted(strategy.model.resting)}
    parts = {
        "network": compact({name: tensor.cpu().numpy() for name, tensor in strategy.model.state_dict().items()}),
        "optimiser": optimisers.arrays_of(strategy.optimiser),
        "remembered": strategy.extra_state(),
    }
    arrays = {f"{part}/{name}": array for part, content in parts.items() for name, array in content.items()}
    return {"about": json_array(about), "companions": strategy.companions.cpu().numpy().copy(),
            "generator": strategy.generator.get_state().numpy().copy(), **arrays}


def _unpacked(
    kind: type[S], state: Mapping[str, npt.NDArray[Any]], network: nn.Module | None = None, device: str | None = None
) -> S:
    """The strategy that was packed."""
    try:
        about = from_json_array(state["about"])
        unnamed = network is None and about["network"] is None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedError(f"Not a saved {kind.__name__}: {error}") from error
    if unnamed:
        raise InputError(f"{kind.__name__}.from_state needs the network it was made with: pass network=...")
    try:
        if about["strategy"] != kind.__name__:
            raise DamagedError(f"This is a saved {about['strategy']}, not a {kind.__name__}.")
        settings = about["config"] | ({} if device is None else {"device": device})
        tensors = expand(_part(state, "network"))
        if network is None:
            _require_shapes(about["network"], tensors)  # before anything as large as they say is made
        frozen = about.get("frozen", ()), about.get("resting", ())  # earlier versions did not say
        given: Any = about["network"] if network is None else network
        made = kind(_frozen(given, *frozen) if any(frozen) else given, **settings)
        _restore(made, about, tensors, state)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError, RecursionError, MemoryError,
            OverflowError) as error:
        raise DamagedError(f"Not a saved {kind.__name__}: {error}") from error
    return made


def _part(state: Mapping[str, npt.NDArray[Any]], name: str) -> State:
    return {key.removeprefix(f"{name}/"): np.array(array) for key, array in state.items() if key.startswith(f"{name}/")}


def _frozen(
    network: nn.Module | Mapping[str, Any], parameters: Iterable[str], resting: Iterable[str]
) -> nn.Module:
    """The network, or a copy of the one that was passed, frozen as the saved one was."""
    own = module_copy(network) if isinstance(network, nn.Module) else build(network)
    for name in parameters:
        own.get_parameter(name).requires_grad_(False)
    for name in resting:
        own.get_submodule(name).training = False
    return own


def _require_shapes(spec: Mapping[str, Any], tensors: State) -> None:
    """The network of this description has the tensors that were saved; nothing is allocated to find out."""
    with torch.device("meta"):
        described = {f"network.{name}": tuple(t.shape) for name, t in build(spec).state_dict().items()}
    for name, shape in described.items():
        if tensors[name].shape != shape:
            raise ValueError(f"{name} has the shape {tensors[name].shape}, the network described {shape}")


def _restore(
    strategy: Strategy, about: Mapping[str, Any], tensors: State, state: Mapping[str, npt.NDArray[Any]]
) -> None:
    labels = about["labels"]
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity")
    known = {name: torch.from_numpy(array).to(strategy.device) for name, array in tensors.items()}
    strategy.become(Snapshot(tuple(kept_labels(labels, len(labels))), known))
    strategy.load_extra_state(_part(state, "remembered"))
    companions = np.array(state["companions"], bool)
    if companions.shape != (len(labels), len(labels)):
        raise ValueError(f"{companions.shape} companions of {len(labels)} labels")
    strategy.companions = torch.from_numpy(companions).to(strategy.device)
    strategy.generator.set_state(torch.from_numpy(np.array(state["generator"])))
    optimisers.restore(strategy.optimiser, _part(state, "optimiser"))
