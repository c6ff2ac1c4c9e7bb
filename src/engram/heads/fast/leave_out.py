"""How taught examples are answered, each as if it and its near-duplicates had never been taught: in closed form.

Leaving a group of g examples out of n moves the class mean μ to μ' = (nμ − g v)/(n − g), where v is the mean of the
group, moves the middle with it, and takes g(n − g)/n · w wᵀ, w = v − μ', out of the scatter (a rank-one change of A).
What the group scatters within itself, next to nothing, stays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engram.heads.fast.metric import Centres, Comparison, Metric
from engram.heads.fast.products import Products
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
        products: of these, where they are known.
    """

    def __init__(self, metric: Metric, classes: Centres, sample: Sample, products: Products | None = None) -> None:
        self.metric, self.classes, self.sample = metric, classes, sample
        self._products = Products.of(metric, classes, sample) if products is None else products

    def length(self) -> float:
        """The mean squared length of the sample from the middle, in A."""
        return float(self._products.x_x.mean()) if len(self._products.x_x) else 0.0

    def compare_with_classes(self) -> Comparison:
        """With the class means, each example without its group; a class that is nothing else gets a product of −inf."""
        products, truth = self._products, self.sample.truth
        return self._compare(self.classes, truth, products.x_u, products.v_u, products.u_u[:, truth].T)

    def compare(self, centres: Centres, holder: Positions) -> Comparison:
        """With K prototypes about the same middle, each example without its group.

        Args:
            holder: (M,) the one that holds each group; where it holds nothing else the product is −inf.
        """
        sample, means = self.sample, centres.means()
        x_u = self._along(sample.rows, means)
        v_u = x_u if sample.single else self._along(sample.means, means)
        classes = self.classes.means()
        return self._compare(centres, holder, x_u, v_u, (self.metric.apply(classes) @ means.T)[sample.truth])

    def _along(self, rows: FloatArray, means: FloatArray) -> FloatArray:
        """(M, K) products of rows with means from the middle."""
        rows = rows - self.classes.middle
        along: FloatArray = rows @ self.metric.apply(means).T if len(means) < len(rows) else (
            self.metric.apply(rows) @ means.T)
        return along

    def _compare(
        self, centres: Centres, holder: Positions, x_u: FloatArray, v_u: FloatArray, own_u: FloatArray
    ) -> Comparison:
        """From (M, K) products of the examples, of their groups and of their class means with K centres."""
        sample, x_v, v_v = self.sample, self._products.x_v, self._products.v_v
        left = self._left(v_u, own_u)
        e = left.shift
        index = np.arange(len(e)), holder
        rest = np.maximum(centres.counts[holder] - sample.sizes, 1e-9)
        keep, lose = centres.counts[holder] / rest, sample.sizes / rest
        held_w = keep * left.u_w[index] - lose * left.v_w
        held = keep * x_u[index] - lose * x_v + e * (held_w + left.x_w + e * left.w_w)
        held_norm = (keep**2 * centres.norms[holder] + lose**2 * v_v - 2 * keep * lose * v_u[index]
                     + 2 * e * held_w + e**2 * left.w_w)
        x_with_w = left.x_w + e * left.w_w
        with_w = left.u_w + (e * left.w_w)[:, None]
        with_w[index] = held_w + e * left.w_w
        products = e[:, None] * left.u_w
        norms = 2.0 * products
        norms += (centres.norms[:, None] + e**2 * left.w_w).T
        norms[index] = held_norm
        products += x_u
        products += (e * x_with_w)[:, None]
        products[index] = held
        products += (left.gain * x_with_w)[:, None] * with_w
        np.square(with_w, out=with_w)
        with_w *= left.gain[:, None]
        norms += with_w
        np.maximum(norms, 0.0, out=norms)
        own = self._products.x_x + 2 * e * left.x_w + e**2 * left.w_w + left.gain * np.square(x_with_w)
        widening = np.empty_like(products)
        widening[:] = centres.widening
        widening[index] = rest / (rest + 1.0)
        gone = centres.counts[holder] - sample.sizes < 0.5
        products[index[0][gone], holder[gone]] = -np.inf
        return Comparison(products, norms, own, widening)

    def compare_as_strangers(self) -> Comparison:
        """With the class means that there would be without its own class: as if no such thing had been taught.

        The product with its own class is −inf. What the class scatters stays in A.
        """
        classes, found, truth = self.classes, self._products, self.sample.truth
        products, own = found.x_u.copy(order="K"), found.x_x
        norms = np.broadcast_to(classes.norms, products.shape)
        taught = classes.counts > 0
        count = np.count_nonzero(taught)
        if 2 <= count <= _MANY_CLASSES:
            # without class c the middle moves by h = a (Σu − u_c) + b m; where one class is left, to the origin
            a, b = (0.0, -1.0) if count < 3 else (classes.pull / (count - 1), classes.pull - 1.0)
            others = found.u_u[taught].sum(axis=0)  # (C,) products of Σu with each class mean
            h_u = a * (others[:, None] - found.u_u) + b * found.u_m[:, None]  # (C, C) for each u, and each c left out
            h_h = (a**2 * (others[taught].sum() - 2 * others + np.diagonal(found.u_u))
                   + 2 * a * b * (found.u_m[taught].sum() - found.u_m) + b**2 * found.m_m)
            x_h = (a * (found.x_u[:, taught].sum(axis=1) - found.x_u[np.arange(len(truth)), truth])
                   + b * found.x_m)
            along, h_h = h_u[:, truth].T, h_h[truth]
            products += (h_h - x_h)[:, None]
            products -= along
            norms = norms - 2 * along
            norms += h_h[:, None]
            np.maximum(norms, 0.0, out=norms)
            own = own - 2 * x_h + h_h
        products[np.arange(len(own)), truth] = -np.inf
        return Comparison(products, norms, own, classes.widening[None])

    def _left(self, v_u: FloatArray, own_u: FloatArray) -> _Left:
        classes, sample, found = self.classes, self.sample, self._products
        index = np.arange(len(sample.truth)), sample.truth
        x_c, v_c = found.x_u[index], found.v_u[index]
        count = classes.counts[sample.truth]
        rest = np.maximum(count - sample.sizes, 1e-9)
        part = np.where(count - sample.sizes < 0.5, 0.0, count / rest)  # where the whole class goes, so does its mean
        w_w = np.maximum(part**2 * (found.v_v - 2 * v_c + classes.norms[sample.truth]), 0.0)
        weight = sample.sizes * rest / count
        gain = weight / np.maximum(1.0 - weight * w_w, 1e-9)
        u_w = v_u - own_u
        u_w *= part[:, None]
        shift = classes.pull / max(int(np.count_nonzero(classes.counts)), 1) * sample.sizes / count
        return _Left(part * (found.x_v - x_c), w_w, part * (found.v_v - v_c), u_w, gain, shift)


class _Left(NamedTuple):
    """Of each example: products with w in the metric of A, and what leaving its group out changes."""

    x_w: FloatArray  # (M,)
    w_w: FloatArray  # (M,)
    v_w: FloatArray  # (M,)
    u_w: FloatArray  # (M, K) with every centre
    gain: FloatArray  # (M,) A' = A + gain · A w wᵀ A
    shift: FloatArray  # (M,) the middle moves by −shift · w

