"""What every strategy is: a network whose outputs grow, an optimiser and a loop; how it answers while it learns, is
restored where learning is interrupted, and is saved.

A method fills as little as it needs:

    loss, penalty        the loss of the task, and a term more that does not depend on it (regularisation)
    training_step        what one step sees (replay adds examples to the batch)
    project              the gradients, between backward and step
    train                the passes over what arrived (structural change, another schedule)
    before_experience    what happens when examples arrived and before any was learned
    after_step           … after each step
    after_epoch          … after each pass
    consolidate          … where an experience ends, or while idle
    restored             a look at what was loaded, to refuse what does not fit

and registers what it remembers beside the network: `register`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from functools import wraps
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.heads.head import from_json_array, json_array
from engram.inputs.vectors import as_batch, as_labels, kept_labels
from engram.learner import Consolidation, DamagedError, InputError, Label, LabelError, Predictions, State
from engram.networks.module_copy import module_copy
from engram.networks.strategies import optimiser as optimisers
from engram.networks.strategies import parts
from engram.networks.strategies.growing_network import (
    Answering,
    GrowingNetwork,
    Snapshot,
    dry_step,
    shape_of,
)
from engram.networks.strategies.networks import build, seeded
from engram.networks.strategies.rollback import Rollback
from engram.networks.strategies.schedule import factor_of
from engram.networks.structure.denormals import denormals_flushed
from engram.networks.structure.evaluation_mode import evaluating
from engram.networks.structure.masks import compact, expand
from engram.networks.structure.multiply_adds import multiply_adds
from engram.networks.structure.units import Condition, condition

FORMAT = 2
"""Of a saved strategy. In 1, which did not say so, a recipe's `constant_budget` was that of one epoch."""

OTHERS = ("_answering", "callbacks")
"""Attributes that belong to others than the learner: an interruption leaves them alone."""

FORMER = {"observe": "training_step", "optimiser": "optimizer"}
"""What hooks and settings were called by earlier versions."""


class Strategy:
    """A network that goes on learning by gradient descent: a Learner of inputs (N, ...) with labels.

    Asked while it learns, it answers from before. Where `learn` or `consolidate` is interrupted (Ctrl-C, no memory, a
    refusal, divergence), everything is again what it was before the call: network, optimiser, generators, and every
    attribute of the method, registered or not. What cannot be copied (a lock, an open file) stays as it is.

    Args:
        network: (N, ...) float32 -> (N, width) features: a module, which is copied, or the `spec` of one of `networks`.
            What is frozen in a module stays frozen: parameters with `requires_grad=False`, parts in evaluation mode,
            running statistics of normalisation layers in a part of which no parameter trains.
        epochs: passes over what one call of `learn` brings.
        steps: of one call, whatever it brings, in place of `epochs`.
        batch: examples in a step.
        learning_rate, optimizer: one of `optimiser.OPTIMISERS`.
        weight_decay: None for what is usual with the optimiser.
        clip_gradients: the largest norm of all gradients together; None: as large as they are.
        schedule: of the learning rate, one of `schedule.SCHEDULES`: from its full value down within each call of
            `learn`, so that it starts anew with what arrives next.
        schedule_steps: the schedule is stretched over so many steps of the learner's whole life instead. Where it ends
            at a rate of 0, learning on is refused.
        patience: passes without a smaller loss on a tenth of what arrived, which is held out for it, after which
            training ends early; the best weights stay. None: all passes.
        active: the outputs that compete in the loss: all labels seen so far, or those that arrived together with the
            example's own (task-incremental learning: van de Ven, Tolias 2018, arXiv 1809.10635).
        seed: of everything random in learning; the network has its own.
        device: "cpu", "cuda" or another of PyTorch's.
        shape: of one input, where the network has no attribute `shape`.
        dtype: of an input: "float32", or "int64" for numbers of tokens (`nn.Embedding`).
        callbacks: objects that are told what happens, by methods named as the hooks and called with the strategy
            first: `before_experience(strategy, inputs, targets)`, `after_step(strategy, loss)`,
            `after_epoch(strategy, epoch)`. See `callbacks`. They are not saved.

    Attributes:
        steps_taken: steps of gradient descent so far.
        examples_shown: examples in all of these steps together, replayed ones among them.

    Raises:
        InputError: no shape; a network that does not fit it, fails when a copy of it is taught and asked, or whose
            answer to an input depends on what else is asked; a setting that cannot be; or a class that overrides
            `consolidate` and does not say whether it wants to be told of `boundaries`.
    """

    exact = False
    boundaries = False
    renamed_parts: ClassVar[Mapping[str, str]] = {}
    """How the names of saved arrays began in format 1 -> how they begin now."""

    def __init__(
        self,
        network: nn.Module | Mapping[str, Any],
        *,
        epochs: int = 1,
        steps: int | None = None,
        batch: int = 128,
        learning_rate: float = 1e-3,
        optimizer: str = "adam",
        weight_decay: float | None = None,
        clip_gradients: float | None = None,
        schedule: str = "constant",
        schedule_steps: int | None = None,
        patience: int | None = None,
        active: Literal["all", "experience"] = "all",
        seed: int = 0,
        device: str = "cpu",
        shape: Sequence[int] | None = None,
        dtype: Literal["float32", "int64"] = "float32",
        callbacks: Sequence[object] = (),
    ) -> None:
        _require_boundaries(type(self))
        given = isinstance(network, nn.Module)
        network = module_copy(network) if isinstance(network, nn.Module) else build(network)
        found = shape_of(network, shape)
        if found is None:
            raise InputError("The shape of an input is unknown: pass shape=(...).")
        for name, count in {"epochs": epochs, "batch": batch, "steps": steps, "schedule_steps": schedule_steps,
                            "patience": patience}.items():
            if (count is None and name in ("epochs", "batch")) or (
                    count is not None and (not isinstance(count, int) or count < 1)):
                raise InputError(f"{name} must be a whole number of at least 1, not {count!r}.")
        for name, value in {"learning_rate": learning_rate, "clip_gradients": clip_gradients}.items():
            if value is not None and not value > 0:
                raise InputError(f"{name} must be above 0, not {value!r}.")
        if weight_decay is not None and not weight_decay >= 0:
            raise InputError(f"weight_decay must be 0 or more, not {weight_decay!r}.")
        if active not in ("all", "experience"):
            raise InputError(f"active must be 'all' or 'experience', not {active!r}.")
        if dtype not in ("float32", "int64"):
            raise InputError(f"dtype must be 'float32' or 'int64', not {dtype!r}.")
        factor_of(schedule, 0.0)
        self.epochs, self.steps, self.batch = epochs, steps, batch
        self.learning_rate, self.optimizer_name, self.weight_decay = learning_rate, optimizer, weight_decay
        self.clip_gradients, self.schedule, self.schedule_steps = clip_gradients, schedule, schedule_steps
        self.patience, self.callbacks = patience, list(callbacks)
        self.active, self.seed, self.device, self.shape, self.dtype = active, seed, device, found, dtype
        self.model = self.make_model(network, found, device, dtype)
        if given:
            dry_step(self.model, found)
        self.generator = torch.Generator().manual_seed(seed)
        self.companions = torch.zeros(0, 0, dtype=torch.bool, device=device)  # which labels arrived together
        self.optimizer = self.fresh_optimizer()
        self.steps_taken = self.examples_shown = 0
        self._registered: list[str] = []
        self._answering = Answering(self.model)

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        for name, now in FORMER.items():
            if name in vars(cls) and callable(vars(cls)[name]):
                raise TypeError(f"{cls.__name__}.{name}: this hook is called {now} now.")
        for name in ("learn", "consolidate"):
            if name in vars(cls):
                setattr(cls, name, _restored_where_interrupted(vars(cls)[name]))

    def make_model(self, network: nn.Module, shape: Sequence[int], device: str, dtype: str) -> GrowingNetwork:
        """The network with its outputs; called once by the constructor, before all else that is random."""
        return GrowingNetwork(network, shape, device, dtype)

    def register(self, **remembered: Any) -> None:
        """Remember things beside the network: each becomes an attribute of its name, which may be assigned anew.

        They live on the strategy's device, are saved by `state` and restored by `from_state`, and count in
        `memory_bytes`. `parts` lists the kinds. A function is called to make what it returns, and all that is random in
        that follows from the strategy's seed; so a network that the method trains is registered as
        `register(decoder=lambda: nn.Linear(8, 4))`.

        Raises:
            InputError: it is of no kind that can be saved.
        """
        for name, part in remembered.items():
            if inspect.isroutine(part):
                with seeded(self.seed):
                    part = part()
            part = parts.moved(part, self.device)
            parts.packed(name, part)
            setattr(self, name, part)
            if name not in self._registered:
                self._registered.append(name)

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

    def condition(self, inputs: Any) -> Condition:
        """How fit the network is to go on learning, by its answers to (N, ...) inputs: dead units, effective rank.

        Raises:
            InputError: inputs of another shape, or that are not finite.
        """
        with self._answering.at_rest():
            return condition(self.network, self._as_inputs(inputs).to(self.device))

    def config(self) -> dict[str, Any]:
        """The network, the settings, the versions it runs with, and the steps and examples so far, as JSON values."""
        import engram

        own = getattr(self.network, "spec", None)
        return {
            "network": own or {"module": type(self.network).__qualname__,
                               "parameters": sum(parameter.numel() for parameter in self.network.parameters())},
            **_config(self), "steps_taken": self.steps_taken, "examples_shown": self.examples_shown,
            "versions": {"engram": engram.__version__, "torch": torch.__version__, "numpy": np.__version__},
        }

    def learn(self, inputs: Any, targets: Any = None) -> None:
        """Learn (N, ...) inputs, or one, with a label for each; or all that a `DataLoader` brings.

        Args:
            inputs: an array, or a tensor; or an iterable of batches (inputs, targets), without `targets`: they are
                learned together, as one call.

        Raises:
            InputError, LabelError: nothing was changed. If training diverged, the previous state was restored.
        """
        examples, labels = self.admitted(*((inputs, targets) if targets is not None else _gathered(inputs)))
        with self.changing():
            self.grow(labels)
            places = self.places(labels)
            self.before_experience(examples, places)
            self._tell("before_experience", examples, places)
            self.train(examples, places)

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,): passes in random order, `batch` examples at a time."""
        judged = inputs[:0], targets[:0]
        if self.patience is not None and (held := len(inputs) // 10):
            order = torch.randperm(len(inputs), generator=self.generator)
            judged = inputs[order[:held]], targets[order[:held]]
            inputs, targets = inputs[order[held:]], targets[order[held:]]
        planned = self.steps or self.epochs * -(-len(inputs) // self.batch)
        done = epoch = waited = 0
        best: tuple[float, Snapshot] | None = None
        self.model.train()
        while done < planned and waited < (self.patience or 1):
            passed = torch.split(torch.randperm(len(inputs), generator=self.generator), self.batch)[: planned - done]
            for rows in passed:
                self.set_rate((done + 0.5) / planned)
                self.stepped(self.training_step(inputs[rows], targets[rows]))
                done += 1
            self.after_epoch(epoch)
            self._tell("after_epoch", epoch)
            epoch += 1
            if len(judged[1]):
                found = self.loss_of(*judged)
                waited += 1
                if best is None or found < best[0]:
                    best, waited = (found, self.model.snapshot()), 0
        if best is not None:
            self.model.load_state_dict(best[1].tensors)
        self.require_finite()  # before a method remembers what it was taught in vain

    def training_step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One step of descent on `inputs` (N, …) and `targets` (N,), the places of their labels in `labels`.

        Returns:
            The loss before the step, penalty included: a scalar without gradients.
        """
        loss = self.loss(inputs, targets)
        penalty = self.penalty()
        if penalty is not None:
            loss = loss + penalty
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.project(inputs, targets)
        if self.clip_gradients is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_gradients)
        self.optimizer.step()
        self.steps_taken += 1
        self.examples_shown += len(inputs)
        return loss.detach()

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy over the outputs that compete, a scalar; `inputs` (N, …), `targets` (N,)."""
        return functional.cross_entropy(self.competing(self.model(inputs), targets), targets)

    def penalty(self) -> Tensor | None:
        """A scalar that is added to the loss in every step; None: nothing is."""
        return None

    @torch.no_grad()
    def loss_of(self, inputs: Tensor, targets: Tensor) -> float:
        """The loss of the task on examples that are not trained on; `inputs` (N, …), `targets` (N,)."""
        with evaluating(self.model):
            return float(self.loss(inputs, targets))

    def competing(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The logits (N, C), at minus infinity where an output does not compete for the example."""
        return logits if self.active == "all" else logits.masked_fill(~self.companions[targets], -torch.inf)

    def project(self, inputs: Tensor, targets: Tensor) -> None:
        """Change the gradients before the step; here they stay. `inputs` (N, …) and `targets` (N,) are the step's."""

    def before_experience(self, inputs: Tensor, targets: Tensor) -> None:
        """Called by `learn` when there is an output for every label and nothing was trained yet."""

    def after_step(self, loss: Tensor) -> None:
        """Called after each step of `train` with its loss, a scalar."""

    def stepped(self, loss: Tensor) -> None:
        """Calls `after_step`, and tells the callbacks."""
        self.after_step(loss)
        if self.callbacks:
            self._tell("after_step", loss)

    def after_epoch(self, epoch: int) -> None:
        """Called after each pass of `train`; they count from 0 in each call."""

    def set_rate(self, share: float) -> None:
        """The learning rate by the schedule, when a share of the call's steps is done.

        Raises:
            InputError: the schedule of the learner's life has ended at a rate of 0.
        """
        if self.schedule == "constant":
            return
        if self.schedule_steps is not None:
            share = min((self.steps_taken + 0.5) / self.schedule_steps, 1.0)
        factor = factor_of(self.schedule, share)
        if not factor:
            raise InputError(f"The schedule {self.schedule!r} ended after {self.schedule_steps} steps at a learning "
                             "rate of 0, so nothing more would be learned: give more schedule_steps, or none, with "
                             "which it starts anew with every call of learn.")
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * factor

    def consolidate(self) -> Consolidation:
        """Nothing to do between experiences unless a method says otherwise."""
        return Consolidation()

    def restored(self) -> None:
        """Called when a saved state was loaded.

        Raises:
            ValueError: its parts do not fit each other.
        """

    def _tell(self, hook: str, *what: Any) -> None:
        for callback in self.callbacks:
            told = getattr(callback, hook, None)
            if told is not None:
                told(self, *what)

    def admitted(self, inputs: Any, targets: Any) -> tuple[Tensor, list[Label]]:
        """What is to be learned: inputs (N, ...) where the network lives, and the label of each.

        Raises:
            InputError, LabelError: they cannot be learned.
        """
        batch = self._as_inputs(inputs)
        targets = targets.tolist() if isinstance(targets, Tensor) else targets
        labels = as_labels(targets, len(batch), next(iter(self.labels), None))
        return batch.to(self.device), labels

    def _as_inputs(self, inputs: Any) -> Tensor:
        batch = torch.from_numpy(as_batch(inputs, self.shape))
        if self.dtype == "float32":
            return batch
        whole = batch.long()
        if not torch.equal(whole.to(batch.dtype), batch):
            raise InputError("Inputs of dtype='int64' are whole numbers of at most 2**24.")
        return whole

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """Answer (N, ...) inputs, or one; `among` limits the candidates (task-incremental use).

        Raises:
            InputError: wrong shape, NaN or infinity.
            LabelError: `among` names a label that was never taught.
        """
        return self._answering.predictions(self._as_inputs(inputs), among)

    def fresh_optimizer(self) -> torch.optim.Optimizer:
        """An optimiser for the network as it is, that has taken no step."""
        return optimisers.make(self.optimizer_name, self.model.parameters(), self.learning_rate, self.weight_decay)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The network may change here, seeded; others are answered from before, and an exception takes it all back.

        Raises:
            InputError: it diverged.
        """
        with self._revocable(), seeded(int(torch.randint(2**62, (), generator=self.generator))):
            yield

    @contextmanager
    def _revocable(self) -> Iterator[None]:
        with self._answering.changing():
            before = Rollback(self, OTHERS)
            try:
                with denormals_flushed():
                    yield
                self.require_finite()
            except BaseException:
                before.restore()
                raise

    @torch.no_grad()
    def require_finite(self) -> None:
        """Called where training ends: what diverged would go on answering, could not be loaded, or never learn again.

        Raises:
            InputError: a weight, a running average of an optimiser or a tensor that was registered is NaN or infinite.
        """
        own = [getattr(self, name) for name in self._registered]
        tensors = [tensor for part in (self.model, self.optimizer, *own) for tensor in parts.trained(part)]
        sound = [tensor.sum().isfinite() for tensor in tensors]  # one NaN is enough; no copies
        sound += [~buffer.isnan().any() for buffer in self.model.buffers()]  # some hold infinities on purpose: masks
        if not torch.stack(sound).all():
            raise InputError("Training diverged: weights are no longer finite. Use a smaller learning_rate, or inputs "
                             "of smaller numbers.")

    def become(self, snapshot: Snapshot) -> None:
        """Know this and nothing else; the optimiser starts anew."""
        self.model.become(snapshot)
        self.fit_companions()
        self.optimizer = self.fresh_optimizer()

    def fit_companions(self) -> None:
        """A row and a column for every label; one that is new has arrived with none yet."""
        count, known = len(self.labels), self.companions[: len(self.labels), : len(self.labels)]
        self.companions = known.new_zeros(count, count)
        self.companions[: len(known), : len(known)] = known

    def extra_state(self) -> State:
        """What the method keeps beside the network, the optimiser and what it registered, as arrays."""
        return {}

    def load_extra_state(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore what `extra_state` returned, arrays by name."""

    def grow(self, labels: list[Label]) -> list[Label]:
        """Outputs for the labels that are new, which are returned; all of these arrived together."""
        before = list(self.model.outputs.parameters())
        new = self.model.outputs.grow(labels)
        if new:
            optimisers.exchange(self.optimizer, dict(zip(before, self.model.outputs.parameters(), strict=True)))
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
    def settings_before(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """The arguments of the constructor, of those that a learner saved in format 1 was made with."""
        return settings

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

ATTRIBUTES = {"optimizer": "optimizer_name"}
UNSAVED = {"self", "network", "callbacks"}


def _require_boundaries(kind: type[Strategy]) -> None:
    """A class with a `consolidate` of its own says whether it is to be called where an experience ends.

    Raises:
        InputError: it does not.
    """
    for ancestor in kind.__mro__:
        if ancestor is Strategy or "boundaries" in vars(ancestor):
            return
        if "consolidate" in vars(ancestor):
            raise InputError(f"{ancestor.__name__} has a consolidate of its own, which nobody calls: write boundaries "
                             "= True in the class to be told where an experience ends, or boundaries = False if it is "
                             "only for idle time.")


Change = TypeVar("Change", bound=Callable[..., Any])


def _restored_where_interrupted(method: Change) -> Change:
    """The method, which an exception leaves without a trace; what is random in it follows from the seed."""

    @wraps(method)
    def whole(self: Strategy, *arguments: Any, **named: Any) -> Any:
        with self._revocable(), seeded(self.seed + self.steps_taken):
            return method(self, *arguments, **named)

    return whole  # type: ignore[return-value]


def _gathered(batches: Any) -> tuple[Any, Any]:
    """The inputs and targets of all batches together.

    Raises:
        InputError: no batches.
        LabelError: inputs without targets.
    """
    if isinstance(batches, np.ndarray | Tensor | str) or not isinstance(batches, Iterable):
        raise LabelError("Inputs are learned with a label for each: learn(inputs, targets).")
    try:
        pairs = [(torch.as_tensor(inputs), targets.tolist() if isinstance(targets, Tensor | np.ndarray) else targets)
                 for inputs, targets in batches]
        return torch.cat([inputs for inputs, _ in pairs]), [label for _, labels in pairs for label in labels]
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError("Without targets, inputs are batches, each a pair (inputs, targets), such as a DataLoader "
                         f"brings them: {error}") from error


def _config(strategy: Strategy) -> dict[str, Any]:
    """The arguments of the constructor but the network, as JSON values: each is an attribute of the same name, or of
    the one in `ATTRIBUTES`."""
    constructors = [vars(kind)["__init__"] for kind in type(strategy).__mro__[:-1] if "__init__" in vars(kind)]
    parameters = [p for constructor in constructors for p in inspect.signature(constructor).parameters.values()]
    names = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} - UNSAVED
    values = {name: getattr(strategy, ATTRIBUTES.get(name, name)) for name in sorted(names)}
    return {name: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
            for name, value in values.items()}


def _packed(strategy: Strategy) -> State:
    """Everything that `_unpacked` needs; no pickle."""
    about = {"format": FORMAT, "strategy": type(strategy).__name__, "config": _config(strategy),
             "labels": list(strategy.labels), "network": getattr(strategy.network, "spec", None),
             "frozen": strategy.model.frozen, "resting": sorted(strategy.model.resting),
             "steps": strategy.steps_taken, "shown": strategy.examples_shown}
    remembered = {key: array for name in strategy._registered
                  for key, array in parts.packed(name, getattr(strategy, name)).items()}
    content = {
        "network": compact({name: tensor.cpu().numpy() for name, tensor in strategy.model.state_dict().items()}),
        "optimiser": optimisers.arrays_of(strategy.optimizer),
        "remembered": remembered | strategy.extra_state(),
    }
    arrays = {f"{part}/{name}": array for part, inside in content.items() for name, array in inside.items()}
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
        settings = {FORMER.get(name, name): value for name, value in about["config"].items()}
        if about.get("format", 1) == 1:
            settings = kind.settings_before(settings)
        settings |= {} if device is None else {"device": device}
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
    companions = np.array(state["companions"], bool)
    if companions.shape != (len(labels), len(labels)):
        raise ValueError(f"{companions.shape} companions of {len(labels)} labels")
    strategy.companions = torch.from_numpy(companions).to(strategy.device)
    strategy.generator.set_state(torch.from_numpy(np.array(state["generator"])))
    optimisers.restore(strategy.optimizer, _part(state, "optimiser"))
    strategy.steps_taken, strategy.examples_shown = int(about.get("steps", 0)), int(about.get("shown", 0))
    _restore_parts(strategy, _part(state, "remembered"), about.get("format", 1))
    strategy.restored()


def _restore_parts(strategy: Strategy, remembered: State, version: int) -> None:
    """What was registered, and the rest to the method that saved it."""
    own: dict[str, State] = {name: {} for name in strategy._registered}
    rest: State = {}
    for key, array in remembered.items():
        if version == 1:
            before = next((start for start in strategy.renamed_parts if key.startswith(start)), "")
            key = strategy.renamed_parts.get(before, "") + key.removeprefix(before)
        name, _, inside = key.partition(":")
        if name in own:
            own[name][inside] = array
        else:
            rest[key] = array
    for name, saved in own.items():
        setattr(strategy, name, parts.unpacked(getattr(strategy, name), saved, strategy.device))
    strategy.load_extra_state(rest)

