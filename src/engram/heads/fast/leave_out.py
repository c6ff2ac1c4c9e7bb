"""How taught examples are answered, each as if it and its near-duplicates had never been taught: in closed form.

Leaving a group of g examples out of n moves the class mean μ to μ' = (nμ − g v)/(n − g), where v is the mean of the
group, moves the middle with it, and takes g(n − g)/n · w wᵀ, w = v − μ', out of the scatter (a rank-one change of A).
What the group scatters within itself, next to nothing, stays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.fast.metric import Centres, Comparison, Metric
from engram.heads.fast.sample import Sample
from engram.heads.head import Positions
from engram.learner import FloatArray

_MANY_CLASSES = 64  # beyond which a class more or less does not move the middle


class LeaveOut:
    """A sample of what was taught, ready to be compared with and without itself.

    Args:
        metric: A.
        classes: the class means.
        sample: the examples, each for its group of near-duplicates.
        moved: (M, D) their rows times A.
    """

    def __init__(self, metric: Metric, classes: Centres, sample: Sample, moved: FloatArray) -> None:
        self.metric, self.classes, self.sample = metric, classes, sample
        self._rows = sample.rows - classes.middle
        self._moved = moved - metric.apply(classes.middle[None])
        self._groups, self._moved_groups = self._rows, self._moved
        if not sample.single:
            self._groups = sample.means - classes.middle
            self._moved_groups = self._moved.copy()
            several = sample.sizes > 1.0
            self._moved_groups[several] = metric.apply(self._groups[several])
        self._x_x = _dot(self._moved, self._rows)
        self._present, self._which = np.unique(sample.truth, return_inverse=True)

    def length(self) -> float:
        """The mean squared length of the sample from the middle, in A."""
        return float(self._x_x.mean()) if len(self._x_x) else 0.0

    def compare(self, centres: Centres, holder: Positions) -> Comparison:
        """With K centres, each example without its group.

        Args:
            centres: the class means, or prototypes about the same middle.
            holder: (M,) the centre that holds each group; one that holds nothing else gets a product of −inf.
        """
        sample, means = self.sample, centres.means()
        x_v, v_v = _dot(self._moved, self._groups), _dot(self._moved_groups, self._groups)
        x_u = self._moved @ means.T
        v_u = x_u if sample.single else self._moved_groups @ means.T
        left = self._left(means, x_v, v_v, v_u)
        e = left.shift
        products = x_u + e[:, None] * left.u_w + (e * left.x_w + e**2 * left.w_w)[:, None]
        with_w = left.u_w + (e * left.w_w)[:, None]
        norms = centres.norms + 2 * e[:, None] * left.u_w + (e**2 * left.w_w)[:, None]
        index = np.arange(len(e)), holder
        rest = np.maximum(centres.counts[holder] - sample.sizes, 1e-9)
        keep, lose = centres.counts[holder] / rest, sample.sizes / rest
        held_w = keep * left.u_w[index] - lose * left.v_w
        products[index] = keep * x_u[index] - lose * x_v + e * (held_w + left.x_w + e * left.w_w)
        with_w[index] = held_w + e * left.w_w
        norms[index] = (keep**2 * centres.norms[holder] + lose**2 * v_v - 2 * keep * lose * v_u[index]
                        + 2 * e * held_w + e**2 * left.w_w)
        x_with_w = left.x_w + e * left.w_w
        products += (left.gain * x_with_w)[:, None] * with_w
        norms = np.maximum(norms + left.gain[:, None] * np.square(with_w), 0.0)
        own = self._x_x + 2 * e * left.x_w + e**2 * left.w_w + left.gain * np.square(x_with_w)
        widening = np.broadcast_to(centres.widening, products.shape).copy()
        widening[index] = rest / (rest + 1.0)
        gone = centres.counts[holder] - sample.sizes < 0.5
        products[index[0][gone], holder[gone]] = -np.inf
        return Comparison(products, norms, own, widening)

    def compare_as_strangers(self) -> Comparison:
        """With the class means that there would be without its own class: as if no such thing had been taught.

        The product with its own class is −inf. What the class scatters stays in A.
        """
        classes, means = self.classes, self.classes.means()
        products = self._moved @ means.T
        norms = np.broadcast_to(classes.norms, products.shape).copy()
        own = self._x_x
        if 2 <= np.count_nonzero(classes.counts) <= _MANY_CLASSES:
            away = self._middle_without(means)
            moved_away = self.metric.apply(away)
            x_h, h_u = _dot(self._moved, away[self._which]), (moved_away @ means.T)[self._which]
            h_h = _dot(moved_away, away)[self._which]
            products += (h_h - x_h)[:, None] - h_u
            norms = np.maximum(norms - 2 * h_u + h_h[:, None], 0.0)
            own = own - 2 * x_h + h_h
        products[np.arange(len(own)), self.sample.truth] = -np.inf
        return Comparison(products, norms, own, classes.widening[None])

    def _middle_without(self, means: FloatArray) -> FloatArray:
        """(P, D) where the middle would lie without each of the sampled classes, from where it lies."""
        classes = self.classes
        taught = classes.counts > 0
        count = int(taught.sum())
        if count < 3:  # one class is left: the origin is m0
            return np.broadcast_to(-classes.middle, (len(self._present), len(classes.middle)))
        total = means[taught].sum(axis=0)  # from the middle
        without: FloatArray = (total - means[self._present]) / (count - 1) + classes.middle
        return classes.pull * without - classes.middle

    def _left(self, means: FloatArray, x_v: FloatArray, v_v: FloatArray, v_u: FloatArray) -> _Left:
        classes, sample, which = self.classes, self.sample, self._which
        own = classes.sums[self._present] * classes.inverse[self._present, None] - classes.middle
        moved_own = self.metric.apply(own)
        x_c, v_c = _dot(self._moved, own[which]), _dot(self._moved_groups, own[which])
        count = classes.counts[sample.truth]
        rest = np.maximum(count - sample.sizes, 1e-9)
        part = np.where(count - sample.sizes < 0.5, 0.0, count / rest)  # where the whole class goes, so does its mean
        w_w = np.maximum(part**2 * (v_v - 2 * v_c + classes.norms[sample.truth]), 0.0)
        weight = sample.sizes * rest / count
        gain = weight / np.maximum(1.0 - weight * w_w, 1e-9)
        u_w = part[:, None] * (v_u - (moved_own @ means.T)[which])
        shift = classes.pull / max(int(np.count_nonzero(classes.counts)), 1) * sample.sizes / count
        return _Left(part * (x_v - x_c), w_w, part * (v_v - v_c), u_w, gain, shift)


class _Left(NamedTuple):
    """Of each example: products with w in the metric of A, and what leaving its group out changes."""

    x_w: FloatArray  # (M,)
    w_w: FloatArray  # (M,)
    v_w: FloatArray  # (M,)
    u_w: FloatArray  # (M, K) with every centre
    gain: FloatArray  # (M,) A' = A + gain · A w wᵀ A
    shift: FloatArray  # (M,) the middle moves by −shift · w


def _dot(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> FloatArray:
    """(M,) products of the rows of two (M, D) arrays."""
    product: FloatArray = np.einsum("md,md->m", one, other)
    return product
