"""What a fast head holds: exact sums, episodes and the read-out derived from them; how it is saved and copied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.counterexamples import Counterexamples
from engram.heads.fast.episodic_memory import EpisodicMemory
from engram.heads.fast.reading import ReadOutKind
from engram.heads.fast.readout import ReadOut
from engram.heads.fast.shrinkage import Prior
from engram.heads.fast.view import HeadView
from engram.heads.head import Head
from engram.heads.quantisation import Quantisation, check_rows
from engram.inputs.vectors import as_covariance, as_labels, as_vectors, check_varies, kept_labels
from engram.learner import FloatArray, InputError, Label, State


class FastMemory(Head):
    """The memory of a `FastHead`, which says what the arguments mean."""

    cubic = True

    def __init__(
        self,
        mean: npt.ArrayLike | None = None,
        covariance: npt.ArrayLike | None = None,
        *,
        step: float = 2.0**-12,
        normalise: bool = True,
        alpha: float = 0.02,
        gate: float | None = None,
        readout: ReadOutKind = "auto",
        memory_budget: int = 2**28,
        freedom: int | None = None,
        measured: npt.ArrayLike | None = None,
        alphas: Iterable[tuple[Label, float]] = (),
    ) -> None:
        super().__init__()
        if readout not in get_args(ReadOutKind):
            raise InputError(f"readout must be one of {', '.join(get_args(ReadOutKind))}, not {readout!r}.")
        self.exact = gate is None
        self.alpha, self.gate, self.memory_budget = as_alpha(alpha), gate, memory_budget
        self._alphas = {label: as_alpha(share) for label, share in alphas}
        self._freedom = freedom
        self._measured = None if measured is None else np.asarray(measured, np.uint8)
        self.readout: ReadOutKind = readout
        self._quantise = Quantisation(step, normalise)
        self._covariance: FloatArray | None = None
        self._making = Lock()  # held by the thread that makes a view
        self._seen: tuple[tuple[Any, ...], HeadView] | None = None  # the last view, and the state it is of
        self._learned_by: int | None = None  # the thread that taught or forgot last
        self._counterexamples = Counterexamples()
        self._set_statistics(mean, covariance)

    # What can be asked of it

    @property
    def counts(self) -> dict[Label, int]:
        """How many examples each label has."""
        with self._lock:
            return {label: int(self.sums.counts[place]) for label, place in self._book.items()}

    @property
    def counterexamples(self) -> dict[Label, int]:
        """How many counterexamples each label has that has any, taught or not."""
        with self._lock:
            return self._counterexamples.counts

    @property
    def named(self) -> tuple[Label, ...]:
        """The labels that have examples or counterexamples."""
        with self._lock:
            return tuple(dict.fromkeys([*self._book, *self._counterexamples.counts]))

    def holds(self, label: Label) -> bool:
        """Whether a label has examples or counterexamples."""
        return label in self._book or label in self._counterexamples

    def lacks_not(self, rows: npt.NDArray[np.int16], labels: Sequence[Label]) -> Label | None:
        """A label that does not have all of these quantised rows as counterexamples, each as often; None: none."""
        with self._lock:
            return self._counterexamples.lacking(rows, labels)

    @property
    def prototypes(self) -> dict[Label, tuple[FloatArray, FloatArray]]:
        """For each label its prototypes: (P,) counts and (P, D) means, in quantised units."""
        with self._lock:
            parts = {label: self._episodes[place].prototypes() for label, place in self._book.items()}
        return {label: (counts, sums / counts[:, None]) for label, (counts, sums) in parts.items()}

    def leading_prototypes(self, most: int) -> dict[Label, tuple[FloatArray, FloatArray]]:
        """Up to `most` prototypes of each label, as `prototypes`: those of the most examples, then of least SHA-256."""
        with self._lock:
            parts = {label: self._episodes[place].leading(most) for label, place in self._book.items()}
        return {label: (counts, sums / counts[:, None]) for label, (counts, sums) in parts.items()}

    @property
    def loose(self) -> dict[Label, int]:
        """How many examples of each label no prototype holds yet."""
        with self._lock:
            return dict(zip(self._book, self._episodes.loose(), strict=True))

    def digest(self) -> str:
        """SHA-256 of the exact sums, by label, and of any counterexamples; what was forgotten leaves no trace in it."""
        with self._lock:
            return self._counterexamples.digest(self.sums_digest())

    def sums_digest(self) -> str:
        """SHA-256 of the exact sums alone, by label."""
        with self._lock:
            return self.sums.digest(self.labels) if self._book else ExactSums(1).digest(())

    def quantise(self, inputs: Any) -> FloatArray:
        """(N, D) integers that `learn` would add for these features."""
        return self._prepare(np.atleast_2d(np.asarray(inputs, np.float64)))

    def exact_sums(self) -> ExactSums:
        """A copy of the sums, classes in the order of `labels`."""
        with self._lock:
            return self.sums.copy()

    @property
    def memory_limit(self) -> int:
        """Bytes that the memory never exceeds with the labels and counterexamples that it has now."""
        width, classes = self.width or 1, len(self._book)
        return self._episodes.limit + 8 * width * (width + classes) + 8 * classes + self._counterexamples.nbytes

    @property
    def memory_bytes(self) -> int:
        """Bytes held by the state's arrays."""
        with self._lock:
            return sum(array.nbytes for array in self._small_arrays().values()) + self._episodes.nbytes

    def state(self) -> State:
        """The whole head as arrays: what `from_state` needs, no pickle."""
        with self._lock:
            small = {name: array.copy() for name, array in self._small_arrays().items()}
            return {"head": self._about(), **small, **self._episodes.state()}

    def copy(self) -> Self:
        """Another head that knows the same and answers the same; rows are shared, so it costs little."""
        with self._lock:
            made = type(self)(**self.config())
            made.width, made._book = self.width, dict(self._book)
            made._quantise, made._covariance, made._prior = self._quantise, self._covariance, self._prior
            made._measured = self._measured
            made.sums, made._episodes = self.sums.copy(), self._episodes.copy()
            made._counterexamples = self._counterexamples.copy()
            made._readout = self._readout.copy(made.sums, made._episodes)
            return made

    def config(self) -> dict[str, Any]:
        return {**self._quantise.config(), "alpha": self.alpha, "gate": self.gate, "readout": self.readout,
                "memory_budget": self.memory_budget, "freedom": self._freedom, "alphas": list(self._alphas.items())}

    # What the base class asks for

    @property
    def _like(self) -> Label | None:
        """Some label that there is: new ones share its type."""
        return next(iter(self._book), next(iter(self._counterexamples.counts), None))

    def _prepare(self, vectors: FloatArray) -> FloatArray:
        return self._quantise(vectors)

    def _asked(self, vectors: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        return self._quantise.asked(vectors)

    def _examples(self, inputs: Any, targets: Any) -> tuple[npt.NDArray[Any], list[Label]]:
        vectors = as_vectors(inputs, self.width)
        labels = as_labels(targets, len(vectors), self._like)
        rows = self._quantise.small(vectors)
        self._quantise.check_kept(vectors, rows)
        return rows, labels

    def _row_labels(self, rows: npt.NDArray[np.int16], targets: Any) -> list[Label]:
        check_rows(rows, self.width)
        return kept_labels(targets, len(rows), self._like)

    def _check(self, vectors: npt.NDArray[Any], labels: list[Label]) -> None:
        self.sums.check_capacity(len(vectors))

    def _arrays(self) -> State:
        return {**self._small_arrays(), **self._episodes.state()}

    def _small_arrays(self) -> State:
        """All but the episodes, which may be large."""
        spread: State = {} if self._covariance is None else {"covariance": self._covariance}
        if self._measured is not None:
            spread["measured"] = self._measured
        return {**self._quantise.arrays(), **spread, **self.sums.state(), **self._counterexamples.state()}

    def _restore(self, state: State) -> None:
        self._measured = state.get("measured")
        self._set_statistics(state.get("mean"), state.get("covariance"))
        sums = ExactSums.from_state(state)
        self._start(sums.width)
        self.sums = sums
        self._episodes.restore(state)
        if not len(sums.counts) == len(self._episodes) == len(self._book) or self.width not in (None, sums.width):
            raise ValueError("labels, sums and episodes do not fit each other")
        self._counterexamples = Counterexamples.from_state(state, sums.width)
        self.width = self.width or sums.width or None  # without a bundle's mean, what was taught says it
        self._readout = self._new_readout()

    # How it is done

    def _set_statistics(self, mean: npt.ArrayLike | None, covariance: npt.ArrayLike | None) -> None:
        centre = None if mean is None else _own(as_vectors(mean)[0])
        width = None if centre is None else len(centre)
        spread = None if covariance is None else _own(as_covariance(covariance, width))
        if spread is not None:
            check_varies(spread)
        self._quantise = Quantisation(self._quantise.step, self._quantise.normalise, centre)
        self._covariance = spread
        known = centre if centre is not None else spread
        self.width = None if known is None else known.shape[-1]
        self._start(self.width or 0)

    def _start(self, width: int) -> None:
        """Nothing taught yet; the width is known now, or 0."""
        self.sums = ExactSums(width)
        self._episodes = EpisodicMemory(width, self.memory_budget)
        covariance = None if self._covariance is None else self._covariance / self._quantise.step**2
        self._prior = Prior(width, covariance, self._freedom, self._measured, not self._quantise.normalise)
        self._readout = self._new_readout()

    def _new_readout(self) -> ReadOut:
        return ReadOut(self.sums, self._episodes, self._prior, not self._quantise.normalise, self.readout)

    def _same_space(self, other: FastMemory) -> bool:
        mine, theirs = self._quantise, other._quantise
        same = (mine.step, mine.normalise, self._freedom) == (theirs.step, theirs.normalise, other._freedom)
        same &= not self.sums.width or not other.sums.width or self.sums.width == other.sums.width
        pairs = ((mine.mean, theirs.mean), (self._covariance, other._covariance))
        return same and all(np.array_equal(a, b) if a is not None and b is not None else a is b for a, b in pairs)


def as_alpha(alpha: Any) -> float:
    """A share of known things that may be refused. Raises InputError where it is none between 0 and 1."""
    if isinstance(alpha, bool) or not isinstance(alpha, int | float | np.floating) or not 0 < alpha < 1:
        raise InputError(f"alpha must be between 0 and 1, not {alpha!r}.")
    return float(alpha)


def _own(array: FloatArray) -> FloatArray:
    """The array, if no one can change it, else a copy."""
    return array.copy() if array.flags.writeable else array
