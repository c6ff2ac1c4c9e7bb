"""What a brain is made of and can say of itself: its backbone, what it was taught, its inbox; saved and opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any, NoReturn, Self
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from engram.brain.both_errors import accepted, in_words
from engram.brain.contributions import Contributions, describe
from engram.brain.edicts import Edict
from engram.brain.examples import takes
from engram.brain.memory_map import MapPoint, memory_map
from engram.brain.slots import Slot
from engram.brain.unknowns import Unknowns
from engram.features.backbones.bundle import Bundle
from engram.heads.exact_sums import ExactSums
from engram.heads.fast import FastHead
from engram.heads.fast.left_out import LeftOut
from engram.heads.fast.novelty import ALPHAS, ErrorRates
from engram.learner import InputError, Label, State


class Knowledge:
    """A bundle, what was taught upon it by which device, and an inbox of unknowns.

    Args:
        options: gate, alpha and memory budget of its heads.
        unknowns: how many refused inputs the inbox keeps.
        device: its id; None for a random one.

    Attributes:
        unknowns: the inbox.
        seq: how many events there have been.
    """

    boundaries = False

    def __init__(self, options: Mapping[str, Any], unknowns: int, device: str | None) -> None:
        if device is not None and not (isinstance(device, str) and device):
            raise InputError(f"device is the id of this brain, a str that is not empty; not {device!r}.")
        self._lock = RLock()
        self._options = dict(options)
        self._bundle: Bundle | None = None
        self._columns: tuple[str, ...] | None = None
        self._taught = Contributions(device or uuid4().hex, self._new_head)
        self.unknowns = Unknowns(unknowns)
        self.seq = 0

    def __reduce__(self) -> NoReturn:
        raise InputError("A brain is not pickled or copied as an object: brain.save(FOLDER) writes all of it, and "
                         "Brain.open(FOLDER) is the copy; call fork() on it if both are to learn.")

    def __repr__(self) -> str:
        stands_on = "nothing yet" if self._bundle is None else repr(self._bundle.name)
        return f"<{type(self).__name__} of {len(self.labels)} labels on {stands_on}>"

    @property
    def exact(self) -> bool:
        """Whether the laws of batching, order, melding and forgetting hold to the bit: always but for a gate."""
        return self._options["gate"] is None

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels known, in the order of their first arrival."""
        return self._taught.total.labels

    @property
    def counterexamples(self) -> dict[Label, int]:
        """How many counterexamples each label has that has any; see `Brain.learn_not`."""
        return self._taught.total.counterexamples

    @property
    def bundle(self) -> Bundle | None:
        """The backbone with its statistics; None before anything decided it."""
        return self._bundle

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns that it was taught, in their order; None where they came without names."""
        return self._columns

    @property
    def options(self) -> dict[str, Any]:
        """Gate, alpha and memory budget, as they are now."""
        return {**self._options, "alpha": self.alpha}

    @property
    def alpha(self) -> float:
        """The share of known things that may be refused, but for labels that have one of their own."""
        return self._taught.total.alpha

    @property
    def alphas(self) -> dict[Label, float]:
        """The labels that have an alpha of their own, and what it is."""
        return {label: share for label, share in self._taught.alphas.items() if label in self.labels}

    @property
    def device(self) -> str:
        """The id of this brain among those it is melded with."""
        return self._taught.own.device

    @property
    def epoch(self) -> int:
        """How often this brain itself has changed what it knows."""
        return self._taught.own.epoch

    @property
    def edicts(self) -> tuple[Edict, ...]:
        """Forgets and renames, which everything melded must obey."""
        return tuple(self._taught.edicts.values())

    def slots(self) -> list[Slot]:
        """Every device's contribution, one's own among them; not to be changed."""
        with self._lock:
            return [slot for slot in self._taught.all() if slot.epoch]

    def exact_sums(self) -> ExactSums:
        """A copy of the sums, classes in the order of `labels`."""
        with self._lock:
            return self._taught.total.exact_sums()

    def digest(self) -> str:
        """SHA-256 of the exact sums, and of any counterexamples: equal exactly where the same is held under the same
        labels.
        """
        return self._taught.total.digest()

    def sums_digest(self) -> str:
        """SHA-256 of the exact sums alone: `digest` where there are no counterexamples."""
        return self._taught.total.sums_digest()

    def rebuild(self) -> None:
        """Derive the read-out anew from the sums."""
        self._taught.total.rebuild()

    def left_out(self) -> LeftOut:
        """How the examples that calibrate the head are answered, each as if it had never been taught."""
        with self._lock:
            return self._taught.total.left_out()

    def error_rates(self, alphas: Iterable[float] = ALPHAS) -> list[ErrorRates]:
        """Both errors of "Nothing I know" that are to be expected, for each alpha; none where nothing was taught."""
        with self._lock:
            return self._taught.total.error_rates(alphas)

    def memory_map(self, like: Sequence[MapPoint] = ()) -> list[MapPoint]:
        """Classes, prototypes and the inbox, oldest first, in two dimensions; turned like the map shown before."""
        with self._lock:
            unknowns = [unknown.features for unknown in self.unknowns]
            return memory_map(self._taught.total, np.stack(unknowns) if unknowns else None, like=like)

    def info(self) -> dict[str, Any]:
        """What there is to know, as JSON values; `errors` says in words what "Nothing I know" will get wrong."""
        with self._lock:
            bundle, total = self._bundle, self._taught.total
            rates = self.error_rates([self.alpha])
            return {
                "labels": [{"label": label, "examples": n} for label, n in total.counts.items()],
                "examples": total.sums.total,
                "counterexamples": [{"label": label, "examples": n} for label, n in total.counterexamples.items()],
                "digest": self.digest(),
                "backbone": bundle and bundle.name,
                "takes": bundle and takes(bundle),
                "width": bundle and bundle.width,
                "columns": self._columns and list(self._columns),
                "zero_columns": self._zero_columns(),
                "fingerprint": bundle and bundle.fingerprint,
                "device": self.device,
                "devices": describe(self._taught.all()),
                "seq": self.seq,
                "unknowns": len(self.unknowns),
                "edicts": len(self._taught.edicts),
                "memory_bytes": self.memory_bytes,
                **self.options,
                "alphas": [{"label": label, "alpha": share} for label, share in self.alphas.items()],
                "refused": rates[0].refused if rates else None,
                "accepted": accepted(rates[0]) if rates else None,
                "errors": in_words(rates[0], self.alphas) if rates else None,
            }

    def _zero_columns(self) -> list[str | int]:
        """Columns of vectors of which nothing is kept: names, or places from 0. They are 0 in all that was taught, or
        less than half a step.
        """
        sums = self._taught.total.sums
        if self._bundle is None or takes(self._bundle) != "vectors" or not sums.total:
            return []
        places = np.flatnonzero(np.diagonal(sums.gram()) == 0).tolist()
        return [self._columns[place] if self._columns else place for place in places]

    @property
    def memory_bytes(self) -> int:
        """Bytes held by what was learned."""
        with self._lock:
            receipts = self._taught.own.receipts.nbytes
            return sum(head.memory_bytes for head in self._taught.heads()) + receipts + self.unknowns.nbytes

    @property
    def memory_limit(self) -> int:
        """Bytes beyond which the memory does not grow: the head's bound, and 16 to 28 for each example's receipt."""
        from engram.brain.saving import overhead_bytes

        with self._lock:
            return sum(head.memory_limit for head in self._taught.heads()) + overhead_bytes(self)

    # Saving

    def state(self) -> State:
        """The whole brain as arrays, its backbone's files among them."""
        from engram.brain.saving import state

        with self._lock:
            return state(self)

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]], **parts: Any) -> Self:
        """The brain that `state` described. Raises DamagedError where entries are missing or do not fit."""
        from engram.brain.saving import from_state

        return from_state(cls, state, **parts)

    def _new_head(self) -> FastHead:
        bundle = self._bundle
        if bundle is None:
            return FastHead(**self._options)
        return FastHead(bundle.mean, bundle.covariance, step=bundle.step, normalise=bundle.normalise,
                        freedom=bundle.freedom, measured=bundle.measured, **self._options)

    @contextmanager
    def _standing_on(self, bundle: Bundle) -> Iterator[None]:
        """Stand on this bundle from now on, if on none yet, unless what is done in here is refused."""
        before = self._bundle, self._taught
        self._adopt(bundle)
        try:
            yield
        except BaseException:
            if before[0] is None:
                self._bundle, self._taught = before
            raise

    def _adopt(self, bundle: Bundle) -> None:
        """Stand on this bundle from now on, if on none yet."""
        if self._bundle is None:
            self._bundle = bundle
            before, self._taught = self._taught, Contributions(self.device, self._new_head)
            self._taught.succeed(before)
        elif bundle is not self._bundle and bundle.fingerprint != self._bundle.fingerprint:
            raise InputError(f"This brain stands on {self._bundle.name!r}, the inputs were made for {bundle.name!r}.")
