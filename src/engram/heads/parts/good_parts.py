"""The head that is taught good parts alone, and says of a picture whether, and where, it is not one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.discriminant import Change
from engram.heads.fast.fast_head import FastHead
from engram.heads.fast.left_out import LeftOut
from engram.heads.fast.novelty import ALPHAS, ErrorRates
from engram.heads.fast.readout import ReadOut
from engram.heads.fast.view import HeadView
from engram.heads.head import softmax
from engram.heads.parts.parts_view import PartsView
from engram.heads.parts.place_gaussians import PlaceGaussians
from engram.heads.parts.place_sums import PlaceSums
from engram.learner import Consolidation, FloatArray, InputError, Label, State

SAMPLE = 64
"""Pictures of a label by which its threshold is found: those of the smallest SHA-256, whatever their order."""


class GoodParts(FastHead):
    """A Gaussian for each label and each place of a map; what is strange at one place is "Nothing I know".

    A label is a product, or a side of it; it is taught by good pictures alone, at any time, beside others. All that is
    known are integer sums (`PlaceSums`) and the maps themselves, so order, batching, melding and unlearning end in the
    same SHA-256. How answers follow: `engram.heads.parts.place_gaussians`.

    Args:
        mean: (D,) what is subtracted from maps; None for zeros.
        covariance: must be None: places have covariances of their own.
        grid: rows and columns of a map; D = rows · columns · channels.
        step, normalise, alpha, memory_budget: as for `FastHead`. Beyond the budget, teaching is refused.
        options: the others of `FastHead`, which change nothing here; `gate` must be None.

    Raises:
        InputError: a gate or a covariance.

    >>> rng = np.random.default_rng(0)
    >>> head = GoodParts(step=0.01, normalise=False, grid=(2, 2))
    >>> head.learn(rng.normal(size=(20, 8)), "plate")
    >>> marred = rng.normal(size=8)
    >>> marred[2:4] += 9
    >>> head.predict([np.zeros(8), marred]).labels
    ['plate', None]
    >>> int(head.heat(marred)[0].argmax())
    1
    """

    cubic = False

    def __init__(
        self, mean: npt.ArrayLike | None = None, covariance: npt.ArrayLike | None = None, *,
        grid: Sequence[int] = (1, 1), **options: Any,
    ) -> None:
        if options.get("gate") is not None or covariance is not None:
            raise InputError("A head of good parts takes neither a gate nor a covariance: leave them away.")
        self._grid = (int(grid[0]), int(grid[1]))
        super().__init__(mean, **options)

    # What a user can ask

    def heat(self, inputs: Any) -> FloatArray:
        """(N, rows, columns) how strange each place of (N, D) maps is, above 0 where a map is refused for it.

        Raises:
            InputError: wrong width, NaN or infinity.
        """
        view = self.view()
        assert isinstance(view, PartsView)
        return view.heat(inputs)

    def error_rates(self, alphas: Iterable[float] = ALPHAS) -> list[ErrorRates]:
        """The share of good pictures that is refused, for each alpha; what faults would pass cannot be told.

        None is refused while no label has two pictures.
        """
        with self._lock:
            judged = any(count > 1 for count in self.counts.values())
            return [ErrorRates(alpha, alpha if judged else 0.0, float("nan")) for alpha in alphas] if self._book else []

    def left_out(self) -> LeftOut:
        """How the sampled pictures are answered when left out."""
        view = self.view()
        assert isinstance(view, PartsView)
        scores, truth, known, rows = [], [], [], []
        for place, (part, threshold) in enumerate(zip(view.parts, view.thresholds, strict=True)):
            if threshold is None:
                continue
            others = np.stack([other.score(other.squares(part.sample)) for other in view.parts], axis=1)
            others[:, place] = part.score(part.left_out)
            scores.append(others)
            truth += [place] * len(others)
            known.append(part.worst_left_out <= threshold)
            rows.append(part.sample.reshape(len(others), -1))
        if not scores:
            return LeftOut.none()
        together = np.concatenate(scores)
        shares = softmax(together)
        return LeftOut(view.labels, np.array(truth, np.intp), together.argmax(axis=1), np.concatenate(known),
                       shares.max(axis=1), shares, np.concatenate(rows))

    def consolidate(self, labels: Iterable[Label] | None = None) -> Consolidation:
        """Nothing is merged: maps are what thresholds are found by."""
        with self._lock:
            for label in labels or ():
                self._place(label)
        return Consolidation()

    def let_go(self) -> None:
        """Nothing is let go: there is room for what may be taught."""

    def similarity(self, inputs: Any) -> FloatArray:
        """(N, N) cosines between maps, from the mean of what was taught."""
        return self.view().similarity(inputs)

    @property
    def memory_limit(self) -> int:
        """Bytes that the memory never exceeds with the labels that it has now."""
        width, channels = self.width or 1, self._channels(self.width or 1)
        return self.memory_budget + 4 * self.memory_budget // (2 * width) + 8 * len(self._book) * width * (channels + 2)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "grid": list(self._grid)}

    # How it differs from the head whose memory it shares

    def _channels(self, width: int) -> int:
        places = self._grid[0] * self._grid[1]
        if width % places:
            raise InputError(f"{width} values are no map of {self._grid[0]} x {self._grid[1]} places.")
        return max(width // places, 1)

    def _new_sums(self, width: int) -> ExactSums:
        return PlaceSums(width, self._channels(width), max(self.memory_budget // (2 * max(width, 1)), 1))

    def _sums_from(self, state: Mapping[str, npt.NDArray[Any]]) -> ExactSums:
        width = int(state["sums"].shape[1])
        empty = self._new_sums(width)
        assert isinstance(empty, PlaceSums)
        return PlaceSums.restored(dict(state), empty.channels, empty.most)

    def _new_readout(self) -> ReadOut:
        return _Unread(self.sums, self._episodes, self._prior, not self._quantise.normalise, self.readout)

    def _second_moment(self, place: int) -> FloatArray:
        return np.zeros(())

    def _same_space(self, other: FastHead) -> bool:
        return isinstance(other, GoodParts) and self._grid == other._grid and super()._same_space(other)

    def _make_room(self) -> None:
        """There is room: what is beyond it was refused."""

    def _learn_not(self, rows: npt.NDArray[Any], labels: list[Label]) -> None:
        raise InputError("Good parts are known by good pictures alone: counterexamples cannot be taught. Forget a"
                         " picture that was none.")

    def _see(self) -> HeadView:
        if (seen := self._fresh()) is None:
            before = self._seen[1] if self._seen is not None else None
            known = before.parts if isinstance(before, PartsView) else ()
            seen = PartsView(self.labels, self.width, self._quantise, None, self._parts(known), self._shares(),
                             self._grid)
            self._seen = self._state(), seen
        return seen

    def _parts(self, known: Sequence[PlaceGaussians]) -> list[PlaceGaussians]:
        """Of each label; those of labels that did not change are taken from what is known, with all they worked out."""
        sums = self.sums
        assert isinstance(sums, PlaceSums)
        same = {id(part.moments): part for part in known}
        return [same.get(id(sums.moments[place])) or self._gaussians(sums, place) for place in self._book.values()]

    def _gaussians(self, sums: PlaceSums, place: int) -> PlaceGaussians:
        episodes = self._episodes[place]
        sample = episodes.rows[episodes.smallest(SAMPLE)].astype(np.float64)
        shape = -1, sums.channels
        return PlaceGaussians(float(sums.counts[place]), sums.sums[place].reshape(shape).copy(), sums.moments[place],
                              sample.reshape(len(sample), *sums.moments[place].shape[:2]), self._grid)

    def _reading(self) -> Any:
        raise NotImplementedError("maps are answered by a PartsView")

    def settle(self) -> None:
        """Do now the work that the next prediction would have to wait for."""
        view = self.view()
        assert isinstance(view, PartsView)
        _ = view.thresholds

    def _scores(self, vectors: FloatArray) -> FloatArray:
        return self.view().predict(vectors).scores

    def _arrays(self) -> State:
        return {**self._small_arrays(), **self._episodes.state()}


class _Unread(ReadOut):
    """Counts changes; what is read of maps is in `PartsView`."""

    def note(self, change: Change) -> None:
        """The sums have changed."""
        self.regrouped()
