"""The recommended head: learns an example in well under a millisecond and forgets nothing.

A discriminant over exact integer sums, shrunk towards the backbone's own statistics, prototypes
merged with their counts, and a calibrated "Nothing I know". Its shape follows the Lifelong-DNN brief (Neurala 2019):
a frozen backbone below, a fast, exact, melding memory on top.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from threading import Lock, get_ident
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.consolidation import consolidate, make_room
from engram.heads.fast.counterexamples import Counterexamples
from engram.heads.fast.discriminant import Change, Discriminant
from engram.heads.fast.episodes import EpisodicMemory, Keys, keys_of
from engram.heads.fast.left_out import LeftOut
from engram.heads.fast.novelty import ALPHAS, ErrorRates, Novelty, as_alpha
from engram.heads.fast.reading import Reading, ReadOutKind
from engram.heads.fast.readout import ReadOut
from engram.heads.fast.shrinkage import Prior
from engram.heads.fast.view import HeadView, cosines
from engram.heads.head import Head, Positions
from engram.heads.quantisation import FARTHEST, LIMIT, Quantisation, check_rows
from engram.inputs.vectors import (
    as_covariance,
    as_labels,
    as_vectors,
    check_varies,
    kept_labels,
    positions,
)
from engram.learner import (
    Consolidation,
    FloatArray,
    InputError,
    Label,
    LabelError,
    MeldError,
    NotTaughtError,
    Predictions,
    State,
)


class FastHead(Head):
    """Learns at once, exactly: any order, batching, melding or unlearning ends in the same SHA-256.

    Args:
        mean: (D,) the bundle's m0, in units of the (normalised) feature; None for zeros.
        covariance: (D, D) the bundle's within-class covariance S0, same units squared; None where the
            backbone ships no statistics.
        step: quantisation step, same units; values up to 2^13 steps from the mean can be taught.
        normalise: scale features to unit length first. Off for raw sensor vectors.
        alpha: share of known things that may be refused as unknown.
        gate: skip what is already known: learn an example only where its cosine does not lead the
            next label's by this much. None learns everything. A gated head depends on the order of teaching.
        readout: "auto" takes what does best on left-out examples: cosines with class means, a linear discriminant with
            or without the classes' shares as priors, prototypes, and for raw readings a kernel or a logistic
            regression; where `scaled`, all of them as a "pool"; "class" the class means alone, however they do best;
            "cosine", "linear", "priors", "prototypes", "kernel", "logistic" and "pool" fix it.
        memory_budget: bytes for single examples; beyond it they are consolidated, and the least of them,
            by SHA-256, let go. Their class can still be forgotten exactly.
        freedom: how many examples less classes the covariance was measured on; None where nothing says it.
        measured: (N, 8) uint8 sketches of those examples: where they are taught, the covariance is trusted less.
        alphas: labels with an alpha of their own.
        scaled: where `normalise` is off: ask in units of the readings' own deviations, which follow from the sums, pool
            the read-outs, and take values up to 2^15 − 1 steps. Off for what bundles without that mark taught.
        units: (D,) what each reading is multiplied by to be in the unit that it came in, where a backbone scaled it.

    >>> head = FastHead(step=0.01, normalise=False)
    >>> head.learn([[1.0, 0.1], [0.0, 1.0], [0.9, 0.0]], ["right", "up", "right"])
    >>> head.predict([0.95, 0.1], among=["right", "up"]).best
    ['right']
    >>> before = head.digest()
    >>> head.learn([-1.0, 0.0], "left")
    >>> head.forget([-1.0, 0.0], "left")
    >>> head.digest() == before
    True
    """

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
        scaled: bool = True,
        units: npt.ArrayLike | None = None,
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
        self._scaled = scaled and not normalise
        self._units = None if units is None or not self._scaled else as_vectors(units)[0]
        self._quantise = Quantisation(step, normalise, limit=FARTHEST if self._scaled else LIMIT)
        self._covariance: FloatArray | None = None
        self._making = Lock()  # held by the thread that makes a view
        self._seen: tuple[tuple[Any, ...], HeadView] | None = None  # the last view, and the state it is of
        self._learned_by: int | None = None  # the thread that taught or forgot last
        self._counterexamples = Counterexamples()
        self._set_statistics(mean, covariance)

    # What a user does

    def learn(self, inputs: Any, targets: Any) -> None:
        """Learn (N, D) features, or one (D,), with one label for each.

        Raises:
            InputError, LabelError, CapacityError: nothing was changed.
        """
        if self.gate is None:
            super().learn(inputs, targets)
            return
        with self._lock:
            rows, labels = self._examples(inputs, targets)
            self._check(rows, labels)
            for row, label in zip(rows, labels, strict=True):
                if not self.knows_well(row, label):
                    self.width = rows.shape[1]
                    self._learn(row[None], positions([label], self._book))

    def learn_rows(
        self, rows: npt.NDArray[np.int16], targets: Any, digests: Sequence[bytes] | None = None
    ) -> None:
        """Learn (N, D) rows that `quantise` made before, as a log keeps them; no gate skips any.

        Args:
            digests: the SHA-256 of each row as little-endian int16, or its first bytes (eight at least), if known: it
                need not be made again.

        Raises:
            InputError, LabelError, CapacityError: nothing was changed.
        """
        with self._lock:
            labels = self._row_labels(rows, targets)
            self._check(rows, labels)
            if digests is not None and (len(digests) != len(rows) or min(map(len, digests), default=8) < 8):
                raise InputError(f"Expected {len(rows)} digests of 8 bytes or more.")
            self.width = rows.shape[1]
            self._learn(rows, positions(labels, self._book), None if digests is None else keys_of(digests))

    def forget_rows(self, rows: npt.NDArray[np.int16], targets: Any) -> None:
        """`forget` for (N, D) rows that `quantise` made before. Raises NotTaughtError likewise."""
        with self._lock:
            self._forget(rows, self._row_labels(rows, targets))

    def forget(self, inputs: Any, targets: Any) -> None:
        """Unlearn examples: the digest is again that of a head that never saw them.

        Raises:
            NotTaughtError: never taught under that label (where rows were let go: not so many); nothing was changed.
        """
        with self._lock:
            rows = self._quantise.small(as_vectors(inputs, self.width))
            self._forget(rows, self._row_labels(rows, targets))

    def _forget(self, rows: npt.NDArray[np.int16], labels: list[Label]) -> None:
        classes = np.array([self._place(label) for label in labels], np.intp)
        lacking = self._episodes.lacking(rows, classes)
        if lacking is not None:
            raise NotTaughtError(
                f"An example to forget was never taught as {self.labels[lacking]!r}, or not so often."
            )
        self.sums.subtract(rows, classes)
        self._episodes.remove(rows, classes)
        self._readout.note(Change(rows, classes, -1))
        self._learned_by = get_ident()
        for label in set(labels):
            if not self.sums.counts[self._book[label]]:
                self._drop(label, np.zeros(()))

    def learn_not(self, inputs: Any, labels: Any) -> None:
        """Learn that (N, D) features, or one (D,), are not of these labels, one for each or one for all.

        What is more like a counterexample of a label than like the label itself is not called so; what is more like it
        than like anything taught is unknown, unless the counterexample was taught as something else.

        Raises:
            InputError, LabelError: nothing was changed.
        """
        with self._lock:
            self._learn_not(*self._examples(inputs, labels))

    def learn_not_rows(self, rows: npt.NDArray[np.int16], labels: Any) -> None:
        """`learn_not` for (N, D) rows that `quantise` made before. Raises LabelError likewise."""
        with self._lock:
            self._learn_not(rows, self._row_labels(rows, labels))

    def _learn_not(self, rows: npt.NDArray[Any], labels: list[Label]) -> None:
        self.width = rows.shape[1]
        if not self.sums.width:
            self._start(self.width)
        self._counterexamples.add(rows, labels)
        self._learned_by = get_ident()

    def forget_not(self, inputs: Any, labels: Any) -> None:
        """Unlearn counterexamples: the digest is again that of a head that never saw them.

        Raises:
            NotTaughtError: one is no counterexample of that label, or not so often; nothing was changed.
        """
        with self._lock:
            rows = self._quantise.small(as_vectors(inputs, self.width))
            self._forget_not(rows, self._row_labels(rows, labels))

    def forget_not_rows(self, rows: npt.NDArray[np.int16], labels: Any) -> None:
        """`forget_not` for (N, D) rows that `quantise` made before. Raises NotTaughtError likewise."""
        with self._lock:
            self._forget_not(rows, self._row_labels(rows, labels))

    def _forget_not(self, rows: npt.NDArray[np.int16], labels: list[Label]) -> None:
        lacking = self._counterexamples.lacking(rows, labels)
        if lacking is not None:
            raise NotTaughtError(f"A counterexample to forget was never taught against {lacking!r}, or not so often.")
        self._counterexamples.remove(rows, labels)
        self._learned_by = get_ident()

    def forget_label(self, label: Label) -> None:
        """Unlearn everything taught under a label and against it, exactly.

        Raises:
            NotTaughtError: the label was never taught.
        """
        with self._lock:
            if label in self._book or label not in self._counterexamples:
                self._drop(label, self._second_moment(self._place(label)))
            self._counterexamples.drop(label)

    def rename(self, old: Label, new: Label) -> None:
        """Call a class by another name.

        Raises:
            NotTaughtError: `old` was never taught.
            LabelError: `new` is taken (meld is the way to unite two classes), of the other type, or no label.
        """
        self.rename_as_recorded(old, as_labels(new, 1)[0])

    def rename_as_recorded(self, old: Label, new: Label) -> None:
        """The same for a name that was accepted earlier: earlier versions took any str."""
        with self._lock:
            if old not in self._counterexamples:
                self._place(old)
            if self.holds(new):
                raise LabelError(f"{new!r} exists already: forget it first, or choose another name.")
            if type(new) is not type(old):
                raise LabelError(f"Labels here are {type(old).__name__}; {new!r} is {type(new).__name__}.")
            self._book = {new if label == old else label: i for label, i in self._book.items()}
            self._counterexamples.rename(old, new)
            if old in self._alphas:
                self._alphas[new] = self._alphas.pop(old)

    def meld(self, other: FastHead) -> None:
        """Take over all that another head on the same backbone learned; the same as having learned both.

        Raises:
            MeldError: other statistics, step or normalisation, or labels of another type.
        """
        if not isinstance(other, FastHead) or not self._same_space(other):
            raise MeldError("These heads have different backbones or settings: their sums cannot be added.")
        first, second = sorted((self, other), key=id)  # always in the same order, lest two melds wait forever
        with first._lock, second._lock:
            if other.like is None:
                return
            if self.like is not None and type(self.like) is not type(other.like):
                raise MeldError("The labels of one head are str, those of the other int.")
            self.sums.check_meld(other.sums)
            if self.width is None:
                self._start(other.sums.width)
            places = positions(other.labels, self._book)
            self.sums.merge(other.sums, places)
            self._episodes.reserve(len(self.sums.counts))
            self._episodes.meld(other._episodes, places)
            self._counterexamples.meld(other._counterexamples)
            self._readout.invalidate()
            self._make_room()

    def consolidate(self, labels: Iterable[Label] | None = None) -> Consolidation:
        """Merge redundant examples into weighted prototypes; sums, and predictions by class, stay.

        Args:
            labels: only theirs; None for all.

        Raises:
            NotTaughtError: one of them was never taught; nothing was changed.
        """
        with self._lock:
            chosen = list(self.labels if labels is None else labels)
            places = [self._place(label) for label in chosen]
            if not places:
                return Consolidation()
            discriminant = self._readout.discriminant()
            done = consolidate([self._episodes[place] for place in places], discriminant)
            self._readout.regrouped()
            before, after = (sum(pair[i] for pair in done) for i in (0, 1))
            return Consolidation(before, after, dict(zip(map(str, chosen), (a for _, a in done), strict=True)))

    def let_go(self) -> None:
        """Keep no single example that is like others: each lives on in a prototype, and all in the sums."""
        with self._lock:
            if self._book:
                make_room(self._episodes, self._readout.discriminant(), all_of_it=True)
                self._readout.regrouped()

    def rebuild(self) -> None:
        """Derive the read-out anew from the sums, without the rounding that changes one by one leave behind."""
        with self._lock:
            self._readout.invalidate()

    def settle(self) -> None:
        """Do now the work that the next prediction would have to wait for."""
        with self._lock:
            if self._book:
                self._reading()

    # What a user can ask

    def left_out(self) -> LeftOut:
        """How taught examples are answered when left out: for a confusion matrix, and accuracy by class."""
        with self._lock:
            if not self._book:
                return LeftOut.none()
            return LeftOut.of(self.labels, *self._readout.left_out(self._shares()))

    def view(self) -> HeadView:
        """What the head knows now, for any thread to ask while it learns on; work that is due is done first."""
        with self._lock:
            if self._learned_by in (None, get_ident()):  # no one else waits for the lock
                return self._see()
            if (seen := self._fresh()) is not None:
                return seen
        with self._making:  # a view is made by one thread at a time, from a copy: whoever teaches need not wait for it
            with self._lock:
                if (seen := self._fresh()) is not None:
                    return seen
                twin = self.copy()
            view = twin._see()
            with self._lock:
                self._readout.adopt(twin._readout)
                if self._state() == twin._state():
                    self._seen = twin._seen
            return view

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """Answer (N, D) features, or one (D,); `among` limits the candidates. Teaching never waits for it.

        Raises:
            InputError: wrong width, NaN or infinity.
            LabelError: `among` names a label that was never taught.
        """
        return self.view().predict(inputs, among)

    def similarity(self, inputs: Any) -> FloatArray:
        """(N, N) cosines between features in the metric of the read-out: what is alike, by what was learned."""
        with self._lock:
            rows, _ = self._asked(np.atleast_2d(np.asarray(inputs, np.float64)))
            return cosines(rows, self._readout.discriminant().apply(rows) if self._book else rows)

    @property
    def discriminant(self) -> Discriminant:
        """The metric of the read-out, up to date with the sums."""
        with self._lock:
            return self._readout.discriminant()

    def set_alpha(self, alpha: float, label: Label | None = None) -> None:
        """Change the share of known things that may be refused, at any time: nothing is learned anew.

        Args:
            alpha: between 0 and 1.
            label: only for inputs that are most like this one; None for all that have none of their own.

        Raises:
            InputError: alpha is no such share.
            NotTaughtError: the label was never taught.
        """
        share = as_alpha(alpha)
        with self._lock:
            if label is None:
                self.alpha = share
            else:
                self._place(label)
                self._alphas[label] = share

    def error_rates(self, alphas: Iterable[float] = ALPHAS) -> list[ErrorRates]:
        """Both errors of "Nothing I know" that are to be expected, for each alpha; none where nothing was taught."""
        with self._lock:
            return [self._readout.novelty().rates(alpha) for alpha in alphas] if self._book else []

    @property
    def read_by(self) -> ReadOutKind | None:
        """The read-out in use: that of `readout`, or the one that does best on left-out examples; None: none yet."""
        with self._lock:
            return self._readout.chosen() if self._book else None

    @property
    def novelty(self) -> Novelty:
        """The calibrated test behind "Nothing I know"."""
        with self._lock:
            return self._readout.novelty()

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

    @property
    def like(self) -> Label | None:
        """Some label that has examples or counterexamples: new ones share its type. None where there is none."""
        with self._lock:
            return next(iter(self._book or self._counterexamples.counts), None)

    def holds(self, label: Label) -> bool:
        """Whether a label has examples or counterexamples."""
        return label in self._book or label in self._counterexamples

    def rows_not(self, label: Label) -> npt.NDArray[np.int16]:
        """(N, D) the quantised rows of a label's counterexamples."""
        with self._lock:
            if label not in self._counterexamples:
                return np.zeros((0, 0), np.int16)
            return self._counterexamples.rows(label)

    def lacks_not(self, rows: npt.NDArray[np.int16], labels: Sequence[Label]) -> Label | None:
        """A label that does not have all of (N, D) quantised rows as counterexamples, each as often; None: none."""
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
            made._measured, made._units = self._measured, self._units
            made.sums, made._episodes = self.sums.copy(), self._episodes.copy()
            made._counterexamples = self._counterexamples.copy()
            made._readout = self._readout.copy(made.sums, made._episodes)
            return made

    def config(self) -> dict[str, Any]:
        return {**self._quantise.config(), "alpha": self.alpha, "gate": self.gate, "readout": self.readout,
                "memory_budget": self.memory_budget, "freedom": self._freedom, "alphas": list(self._alphas.items()),
                "scaled": self._scaled}

    @classmethod
    def made_with(cls, config: dict[str, Any]) -> dict[str, Any]:
        """What was saved by earlier versions is asked as it was then."""
        return {"scaled": False, **config}

    # What the base class asks for

    def _prepare(self, vectors: FloatArray) -> FloatArray:
        return self._quantise(vectors)

    def _asked(self, vectors: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        return self._quantise.asked(vectors)

    def _examples(self, inputs: Any, targets: Any) -> tuple[npt.NDArray[Any], list[Label]]:
        vectors = as_vectors(inputs, self.width)
        labels = as_labels(targets, len(vectors), self.like)
        rows = self._quantise.small(vectors)
        self._quantise.check_kept(vectors, rows)
        return rows, labels

    def _row_labels(self, rows: npt.NDArray[np.int16], targets: Any) -> list[Label]:
        check_rows(rows, self.width)
        return kept_labels(targets, len(rows), self.like)

    def _check(self, vectors: npt.NDArray[Any], labels: list[Label]) -> None:
        self.sums.check_rows(vectors)

    def _arrays(self) -> State:
        return {**self._small_arrays(), **self._episodes.state()}

    def _small_arrays(self) -> State:
        """All but the episodes, which may be large."""
        spread: State = {} if self._covariance is None else {"covariance": self._covariance}
        if self._measured is not None:
            spread["measured"] = self._measured
        if self._units is not None:
            spread["units"] = self._units
        return {**self._quantise.arrays(), **spread, **self.sums.state(), **self._counterexamples.state()}

    def _restore(self, state: State) -> None:
        self._measured, self._units = state.get("measured"), state.get("units")
        self._set_statistics(state.get("mean"), state.get("covariance"))
        sums = self._sums_from(state)
        self._start(sums.width)
        self.sums = sums
        self._episodes.restore(state)
        if not len(sums.counts) == len(self._episodes) == len(self._book) or self.width not in (None, sums.width):
            raise ValueError("labels, sums and episodes do not fit each other")
        self._counterexamples = Counterexamples.from_state(state, sums.width)
        self.width = self.width or sums.width or None  # without a bundle's mean, what was taught says it
        self._readout = self._new_readout()

    def _learn(self, vectors: npt.NDArray[Any], classes: Positions, keys: Keys | None = None) -> None:
        if not self.sums.width:
            self._start(vectors.shape[1])
        self.sums.add(vectors, classes)
        self._episodes.reserve(len(self.sums.counts))
        self._episodes.add(vectors, classes, keys)
        self._readout.note(Change(vectors, classes, 1))
        self._learned_by = get_ident()
        self._make_room()

    def _scores(self, vectors: FloatArray) -> FloatArray:
        return self._reading().answer(vectors, None).scores

    # How it is done

    def _set_statistics(self, mean: npt.ArrayLike | None, covariance: npt.ArrayLike | None) -> None:
        centre = None if mean is None else _own(as_vectors(mean)[0])
        width = None if centre is None else len(centre)
        spread = None if covariance is None else _own(as_covariance(covariance, width))
        if spread is not None:
            check_varies(spread)
        self._quantise = replace(self._quantise, mean=centre)
        self._covariance = spread
        known = centre if centre is not None else spread
        self.width = None if known is None else known.shape[-1]
        self._start(self.width or 0)

    def _start(self, width: int) -> None:
        """Nothing taught yet; the width is known now, or 0."""
        self.sums = self._new_sums(width)
        self._episodes = EpisodicMemory(width, self.memory_budget)
        covariance = None if self._covariance is None else self._covariance / self._quantise.step**2
        self._prior = Prior(width, covariance, self._freedom, self._measured, not self._quantise.normalise,
                            self._scaled, self._units)
        self._readout = self._new_readout()

    def _new_sums(self, width: int) -> ExactSums:
        return ExactSums(width)

    def _sums_from(self, state: Mapping[str, npt.NDArray[Any]]) -> ExactSums:
        """Raises ValueError where the arrays do not fit."""
        return ExactSums.from_state(dict(state))

    def _second_moment(self, place: int) -> FloatArray:
        """Σxxᵀ over the examples of the class at this place, (D, D)."""
        return self._episodes[place].second_moment()

    def _new_readout(self) -> ReadOut:
        return ReadOut(self.sums, self._episodes, self._prior, not self._quantise.normalise, self.readout)

    def _same_space(self, other: FastHead) -> bool:
        mine, theirs = self._quantise, other._quantise
        same = (mine.step, mine.normalise, self._freedom) == (theirs.step, theirs.normalise, other._freedom)
        same &= self._scaled == other._scaled
        same &= not self.sums.width or not other.sums.width or self.sums.width == other.sums.width
        pairs = ((mine.mean, theirs.mean), (self._covariance, other._covariance), (self._units, other._units))
        return same and all(np.array_equal(a, b) if a is not None and b is not None else a is b for a, b in pairs)

    def _state(self) -> tuple[Any, ...]:
        """What a view depends on: equal exactly while no other one is due."""
        versions = self._readout.version, self._counterexamples.version
        return *versions, self.labels, self.width, self.alpha, tuple(self._alphas.items())

    def _fresh(self) -> HeadView | None:
        return self._seen[1] if self._seen is not None and self._seen[0] == self._state() else None

    def _see(self) -> HeadView:
        if (seen := self._fresh()) is None:
            reading = self._reading().kept() if self._book else None
            seen = HeadView(self.labels, self.width, self._quantise, reading)
            self._seen = self._state(), seen
        return seen

    def _reading(self) -> Reading:
        """What answers come from, up to date; the class sums and counts in it change with the next example."""
        plain = self._readout.reading(self._shares())
        against = [label for label in self._book if label in self._counterexamples]
        if not against:
            return plain
        rows = [self._counterexamples.rows(label) for label in against]
        taught = [self._episodes.holding(some, self._counterexamples.keys(label))
                  for label, some in zip(against, rows, strict=True)]
        return self._readout.excluding(plain, [self._book[label] for label in against], rows, taught)

    def _shares(self) -> FloatArray:
        return np.array([self._alphas.get(label, self.alpha) for label in self._book])

    def _place(self, label: Label) -> int:
        if label not in self._book:
            raise NotTaughtError(f"{label!r} was never taught. Known: {list(self._book)[:20]}.")
        return self._book[label]

    def _drop(self, label: Label, second_moment: FloatArray) -> None:
        place = self._book[label]
        self.sums.drop(place, second_moment)
        self._episodes.drop(place)
        self._alphas.pop(label, None)
        self._book = {other: i for i, other in enumerate(known for known in self._book if known != label)}
        self._readout.invalidate()

    def knows_well(self, row: npt.NDArray[np.int16], label: Label) -> bool:
        """Whether the label's score for a quantised (D,) row leads every other one's by the gate."""
        if self.gate is None or label not in self._book or len(self._book) < 2:
            return False
        scores = self._readout.cosines(row[None].astype(np.float64))[0]
        others = np.delete(scores, self._book[label])
        return bool(scores[self._book[label]] - others.max() > self.gate)

    def _make_room(self) -> None:
        if self._episodes.over_budget:
            make_room(self._episodes, self._readout.discriminant())
            self._readout.regrouped()


def _own(array: FloatArray) -> FloatArray:
    """The array, if no one can change it, else a copy."""
    return array.copy() if array.flags.writeable else array
