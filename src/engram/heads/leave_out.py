"""How taught examples are answered, each as if it and its near-duplicates had never been taught: in closed form.

Leaving a group of g examples out of n moves the class mean μ to μ' = (nμ − g v)/(n − g), where v is the mean of the
group, moves the middle with it, and takes g(n − g)/n · w wᵀ, w = v − μ', out of the scatter (a rank-one change of A).
What the group scatters within itself, next to nothing, stays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engram.heads.head import Positions
from engram.heads.metric import Centres, Comparison, Metric
from engram.heads.sample import Sample
from engram.learner import FloatArray

_MANY_CLASSES = 64  # beyond which a class more or less does not move the middle


class _Left(NamedTuple):
    """Of each example: the products of A with w, and what is left of its class."""

    x_w: FloatArray  # (M,) xᵀ A w
    w_w: FloatArray  # (M,)
    v_w: FloatArray  # (M,)
    u_w: FloatArray  # (M, K) with every centre
    gain: FloatArray  # (M,) A' = A + gain · A w wᵀ A
    shift: FloatArray  # (M,) the middle moves by −shift · w


def compare_left_out(metric: Metric, classes: Centres, centres: Centres, sample: Sample, holder: Positions) -> Comparison:
    """The sample compared with K centres, each example without its group.

    Args:
        classes: the class means.
        centres: what is compared with: the class means, or prototypes about the same middle.
        holder: (M,) the centre that holds each group; one that holds nothing else gets a product of −inf.
    """
    rows, groups, means = sample.rows - classes.middle, sample.means - classes.middle, centres.means()
    moved = metric.apply(rows)
    moved_groups = moved if sample.single else metric.apply(groups)
    x_x, x_v = (np.einsum("md,md->m", moved, other) for other in (rows, groups))
    v_v = np.einsum("md,md->m", moved_groups, groups)
    x_u, v_u = moved @ means.T, moved_groups @ means.T
    left = _left(metric, classes, means, sample, (x_v, v_v), (moved, moved_groups))
    e = left.shift
    products = x_u + e[:, None] * left.u_w + (e * left.x_w + e**2 * left.w_w)[:, None]
    with_w = left.u_w + (e * left.w_w)[:, None]
    norms = centres.norms + 2 * e[:, None] * left.u_w + (e**2 * left.w_w)[:, None]
    index = np.arange(len(rows)), holder
    rest = np.maximum(centres.counts[holder] - sample.sizes, 1e-9)
    keep, lose = centres.counts[holder] / rest, sample.sizes / rest
    products[index] = (keep * (x_u[index] + e * left.u_w[index]) - lose * (x_v + e * left.v_w)
                       + e * (left.x_w + e * left.w_w))
    with_w[index] = keep * left.u_w[index] - lose * left.v_w + e * left.w_w
    norms[index] = (keep**2 * centres.norms[holder] + lose**2 * v_v + e**2 * left.w_w - 2 * keep * lose * v_u[index]
                    + 2 * e * (keep * left.u_w[index] - lose * left.v_w))
    x_with_w = left.x_w + e * left.w_w
    products += (left.gain * x_with_w)[:, None] * with_w
    norms = np.maximum(norms + left.gain[:, None] * np.square(with_w), 0.0)
    own = x_x + 2 * e * left.x_w + e**2 * left.w_w + left.gain * np.square(x_with_w)
    widening = np.broadcast_to(centres.widening, products.shape).copy()
    widening[index] = rest / (rest + 1.0)
    gone = centres.counts[holder] - sample.sizes < 0.5
    products[index[0][gone], holder[gone]] = -np.inf
    return Comparison(products, norms, own, widening)


def compare_as_strangers(metric: Metric, classes: Centres, sample: Sample) -> Comparison:
    """The sample compared with the classes that there would be without its own: as if no such thing had been taught.

    The product with its own class is −inf. What the class scatters stays in A.
    """
    rows, means = sample.rows - classes.middle, classes.means()
    taught = classes.counts > 0
    count = int(taught.sum())
    moved = metric.apply(rows)
    products, norms = moved @ means.T, np.broadcast_to(classes.norms, (len(rows), len(means))).copy()
    own = np.einsum("md,md->m", moved, rows)
    if 2 <= count <= _MANY_CLASSES:
        present, which = np.unique(sample.truth, return_inverse=True)
        away = _middle_without(classes, means, taught, present)
        moved_away = metric.apply(away)
        x_h, h_u = np.einsum("md,md->m", moved, away[which]), (moved_away @ means.T)[which]
        h_h = np.einsum("pd,pd->p", moved_away, away)[which]
        products += (h_h - x_h)[:, None] - h_u
        norms = np.maximum(norms - 2 * h_u + h_h[:, None], 0.0)
        own = own - 2 * x_h + h_h
    products[np.arange(len(rows)), sample.truth] = -np.inf
    return Comparison(products, norms, own, classes.widening[None])


def _middle_without(
    classes: Centres, means: FloatArray, taught: np.ndarray[tuple[int], np.dtype[np.bool_]], present: Positions
) -> FloatArray:
    """(P, D) where the middle would lie without each of these classes, from where it lies."""
    count = int(taught.sum())
    if count < 3:  # one class is left: the origin is m0
        return np.broadcast_to(-classes.middle, (len(present), len(classes.middle)))
    if not classes.pull:
        return np.zeros((len(present), len(classes.middle)))
    total = means[taught].sum(axis=0)  # from the middle
    without: FloatArray = (total - means[present]) / (count - 1) + classes.middle
    return classes.pull * without - classes.middle


def _left(
    metric: Metric, classes: Centres, means: FloatArray, sample: Sample,
    with_groups: tuple[FloatArray, FloatArray], moved: tuple[FloatArray, FloatArray],
) -> _Left:
    x_v, v_v = with_groups
    present, which = np.unique(sample.truth, return_inverse=True)
    own = classes.sums[present] * classes.inverse[present, None] - classes.middle
    moved_own = metric.apply(own)
    x_c = np.einsum("md,md->m", moved[0], own[which])
    v_c = np.einsum("md,md->m", moved[1], own[which])
    count = classes.counts[sample.truth]
    rest = np.maximum(count - sample.sizes, 1e-9)
    part = np.where(count - sample.sizes < 0.5, 0.0, count / rest)  # where the whole class goes, its mean goes with it
    w_w = np.maximum(part**2 * (v_v - 2 * v_c + classes.norms[sample.truth]), 0.0)
    weight = sample.sizes * rest / count
    gain = weight / np.maximum(1.0 - weight * w_w, 1e-9)
    u_w = part[:, None] * (moved[1] @ means.T - (moved_own @ means.T)[which])
    shift = classes.pull / max(int((classes.counts > 0).sum()), 1) * sample.sizes / count
    return _Left(part * (x_v - x_c), w_w, part * (v_v - v_c), u_w, gain, shift)
