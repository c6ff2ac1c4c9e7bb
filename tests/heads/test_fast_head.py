"""The recommended head against slow, obvious references, and its laws as properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.heads.fast import FastHead
from engram.heads.fast.leave_out import LeaveOut
from engram.heads.fast.metric import middle_of
from engram.heads.fast.readout import Fits, holders, judge
from engram.learner import DamagedError, InputError, LabelError, MeldError, NotTaughtError

WIDTH = 6


def make(**options):
    return FastHead(mean=np.full(WIDTH, 0.05), covariance=np.diag(np.linspace(1, 2, WIDTH)) * 0.02, **options)


def stream(count, seed=0, classes=4, width=WIDTH):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, width))
    labels = rng.integers(classes, size=count)
    return centres[labels] + 0.3 * rng.normal(size=(count, width)), [f"c{i}" for i in labels]


def reference_precision(head, prior, shrinkage):
    """A = (κ t B + S_w)⁻¹ with the scatter summed class by class from what the head holds."""
    scatter = head.sums.gram() - sum(
        np.outer(s, s) / n for s, n in zip(head.sums.sums, head.sums.counts, strict=True)
    )
    return np.linalg.inv(shrinkage.kappa * shrinkage.scale * prior.matrix(shrinkage) + scatter)


orders = st.permutations(range(12))


@given(orders, st.lists(st.integers(1, 11), max_size=3))
@settings(max_examples=30, deadline=None)
def test_order_and_batching_end_in_the_same_digest(order, cuts):
    x, y = stream(12)
    whole, pieces = make(), make()
    whole.learn(x, y)
    for part in np.split(np.array(order), sorted(cuts)):
        if len(part):
            pieces.learn(x[part], [y[i] for i in part])
    assert pieces.digest() == whole.digest()


@given(st.integers(0, 10_000), st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_forgetting_is_never_having_learned(seed, extra):
    x, y = stream(40 + extra, seed)
    never, regretted = make(), make()
    never.learn(x[:40], y[:40])
    regretted.learn(x, y)
    regretted.predict(x[:3])
    regretted.forget(x[40:], y[40:])
    assert regretted.digest() == never.digest()
    assert set(regretted.labels) == set(never.labels)
    never.rebuild()
    regretted.rebuild()
    order = [never.labels.index(label) for label in regretted.labels]
    np.testing.assert_allclose(regretted.predict(x).scores, never.predict(x).scores[:, order], atol=1e-9)


@given(st.lists(st.integers(0, 2), min_size=60, max_size=60))
@settings(max_examples=20, deadline=None)
def test_melding_is_having_learned_the_union_in_any_order_of_melds(devices):
    x, y = stream(60)
    parts = [make(), make(), make()]
    for row, label, device in zip(x, y, devices, strict=True):
        parts[device].learn(row, label)
    whole = make()
    whole.learn(x, y)
    for order in ((0, 1, 2), (2, 0, 1)):
        melded = make()
        for i in order:
            melded.meld(parts[i])
        assert melded.digest() == whole.digest()
        assert melded.counts == whole.counts


def test_forgetting_a_label_is_never_having_learned_it_even_after_consolidation_and_a_tight_budget():
    x, y = stream(400)
    head, never = make(memory_budget=200 * WIDTH * 2), make()
    for start in range(0, 400, 50):
        head.learn(x[start : start + 50], y[start : start + 50])
    head.consolidate()
    head.forget_label("c1")
    keep = [i for i in range(400) if y[i] != "c1"]
    never.learn(x[keep], [y[i] for i in keep])
    assert head.digest() == never.digest()
    assert "c1" not in head.labels


def test_updates_in_blocks_agree_with_the_inverse_of_the_scatter():
    x, y = stream(200)
    head = make()
    head.learn(x[:20], y[:20])
    head.predict(x[:1])
    for i in range(20, 200):
        head.learn(x[i], y[i])
        if i % 7 == 0:
            head.predict(x[i])
        if i % 11 == 0:
            head.forget(x[i], y[i])
    discriminant = head._readout.discriminant()
    expected = reference_precision(head, head._prior, discriminant.shrinkage)
    probe = np.eye(WIDTH)
    np.testing.assert_allclose(discriminant.apply(probe), expected, rtol=1e-9)
    np.testing.assert_allclose(
        discriminant.norms, np.einsum("cd,de,ce->c", head.sums.sums, expected, head.sums.sums), rtol=1e-9
    )


@pytest.mark.parametrize("prototypes", [False, True])
def test_leave_one_out_in_closed_form_agrees_with_really_leaving_each_out(prototypes):
    x, y = stream(60)
    head = make()
    head.learn(x, y)
    if prototypes:
        head.consolidate()
    readout = head._readout
    discriminant, sample = readout.discriminant(), readout.sample()
    leave_out = LeaveOut(discriminant.metric, discriminant.classes(), sample)
    kind = "prototypes" if prototypes else "cosine"
    judged = judge(discriminant, readout.episodes, leave_out, Fits.none(), kind, head._prior)
    centres = judged.reader.centres if prototypes else judged.classes
    middle = judged.classes.middle
    holder = holders(readout.episodes, sample) if prototypes else sample.truth
    fast = leave_out.compare(centres, holder) if prototypes else leave_out.compare_with_classes()
    pull, classes = judged.classes.pull, len(head.sums.counts)
    for i in range(0, len(sample.rows), 5):
        c, size, group = sample.truth[i], sample.sizes[i], sample.means[i]
        assert size == 1.0
        before = head.sums.sums[c] / head.sums.counts[c]
        sums, counts = head.sums.sums.copy(), head.sums.counts.copy()
        sums[c] -= size * group
        counts[c] -= size
        gram = head.sums.gram() - size * np.outer(group, group)
        scatter = gram - sum(np.outer(s, s) / n for s, n in zip(sums, counts, strict=True))
        shrinkage = discriminant.shrinkage
        precision = np.linalg.inv(shrinkage.kappa * shrinkage.scale * head._prior.matrix(shrinkage) + scatter)
        moved = middle + pull * (sums[c] / counts[c] - before) / classes
        centre_sums, centre_counts = centres.sums.copy(), centres.counts.copy()
        centre_sums[holder[i]] -= size * group
        centre_counts[holder[i]] -= size
        live = centre_counts > 0
        means = centre_sums[live] / centre_counts[live][:, None] - moved
        row = sample.rows[i] - moved
        np.testing.assert_allclose(fast.products[i, live], means @ precision @ row, rtol=1e-6, atol=1e-9)
        expected = np.einsum("kd,de,ke->k", means, precision, means)
        np.testing.assert_allclose(np.broadcast_to(fast.norms, fast.products.shape)[i, live], expected, rtol=1e-6)
        assert fast.own[i] == pytest.approx(row @ precision @ row, rel=1e-8)
        assert np.isneginf(fast.products[i, ~live]).all()


def test_scores_are_cosines_about_the_middle_in_the_metric_of_the_posterior_precision():
    x, y = stream(80)
    head = make(readout="cosine")
    head.learn(x, y)
    answer = head.predict(x[:10])
    precision = reference_precision(head, head._prior, head._readout.discriminant().shrinkage)
    middle, pull = middle_of(head.sums.sums, head.sums.counts)
    assert 0 <= pull < 1
    rows, means = head.quantise(x[:10]) - middle, head.sums.means() - middle
    for i in range(10):
        for c in range(len(means)):
            length = np.sqrt((rows[i] @ precision @ rows[i]) * (means[c] @ precision @ means[c]))
            assert answer.scores[i, c] == pytest.approx(rows[i] @ precision @ means[c] / length, abs=1e-9)


def test_consolidation_keeps_sums_and_class_predictions_and_few_prototypes():
    x, y = stream(1000, width=64)
    head = FastHead(readout="class")
    head.learn(x, y)
    head.rebuild()
    digest, before = head.digest(), head.predict(x).scores
    done = head.consolidate()
    assert (done.before, head.digest()) == (1000, digest)
    np.testing.assert_allclose(head.predict(x).scores, before, atol=1e-12)
    assert done.after < 40
    for label, (counts, means) in head.prototypes.items():
        assert counts.sum() == head.counts[label]
        np.testing.assert_array_equal(np.rint(counts @ means), head.sums.sums[head.labels.index(label)])


def test_a_class_of_two_modes_is_read_by_prototypes_after_consolidation():
    rng = np.random.default_rng(1)
    corners = np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]]) * 0.5
    which = rng.integers(4, size=600)
    x = corners[which] + 0.05 * rng.normal(size=(600, 2))
    y = (which // 2).tolist()
    head = FastHead(normalise=False, step=1e-3)
    head.learn(x[:400], y[:400])
    head.consolidate()
    right = np.mean([a == b for a, b in zip(head.predict(x[400:]).best, y[400:], strict=True)])
    assert right > 0.99


def test_a_stranger_is_nothing_i_know_and_a_friend_is_known():
    rng = np.random.default_rng(2)
    centres = np.eye(8)[:5]
    x = np.repeat(centres, 40, axis=0) + 0.05 * rng.normal(size=(200, 8))
    head = FastHead(covariance=np.eye(8) * 0.0025)
    head.learn(x, np.repeat(np.arange(5), 40))
    friends = centres.repeat(100, axis=0) + 0.05 * rng.normal(size=(500, 8))
    strangers = np.eye(8)[5] + 0.05 * rng.normal(size=(100, 8))
    assert head.predict(friends).known.mean() > 0.93
    assert not head.predict(strangers).known.any()
    assert head.predict(strangers).labels == [None] * 100


def test_gated_learning_skips_what_is_well_known():
    x, y = stream(300)
    head = make(gate=0.3)
    head.learn(x, y)
    assert not head.exact
    assert 4 <= sum(head.counts.values()) < 150
    full = make()
    full.learn(x, y)
    probe, truth = stream(300)
    gated = np.mean(np.array(head.predict(probe).best) == truth)
    assert gated >= np.mean(np.array(full.predict(probe).best) == truth) - 0.02


def test_a_saved_head_answers_as_before_and_goes_on_alike():
    x, y = stream(120)
    head = make()
    head.learn(x[:50], y[:50])
    head.predict(x[:2])
    head.consolidate()
    head.learn(x[50:60], y[50:60])
    again = FastHead.from_state(head.state())
    for step in range(60, 120, 20):
        a, b = head.predict(x), again.predict(x)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-9)
        assert (a.labels, head.digest()) == (b.labels, again.digest())
        for one in (head, again):
            one.learn(x[step : step + 20], y[step : step + 20])


@pytest.mark.parametrize("missing", ["sums", "gram", "rows", "head"])
def test_a_state_with_a_part_missing_is_refused(missing):
    x, y = stream(20)
    head = make()
    head.learn(x, y)
    state = head.state()
    del state[missing]
    with pytest.raises(DamagedError):
        FastHead.from_state(state)


def test_what_cannot_be_done_says_so_and_changes_nothing():
    x, y = stream(30)
    head = make()
    head.learn(x, y)
    digest = head.digest()
    refusals = [
        (NotTaughtError, lambda: head.forget(x[0] + 0.5, y[0])),
        (NotTaughtError, lambda: head.forget(np.stack([x[0], x[0]]), [y[0], y[0]])),
        (NotTaughtError, lambda: head.forget(x[0], "nobody")),
        (NotTaughtError, lambda: head.forget_label("nobody")),
        (NotTaughtError, lambda: head.rename("nobody", "c9")),
        (LabelError, lambda: head.rename("c0", "c1")),
        (LabelError, lambda: head.learn(x[0], 3)),
        (LabelError, lambda: head.predict(x[0], among=["nobody"])),
        (InputError, lambda: head.learn(np.zeros(WIDTH), "c1")),
        (InputError, lambda: head.learn(x[0] * np.nan, "c1")),
        (MeldError, lambda: head.meld(FastHead(step=0.5))),
    ]
    for error, attempt in refusals:
        with pytest.raises(error):
            attempt()
        assert head.digest() == digest


def test_values_beyond_the_exact_range_are_refused():
    for scaled, farthest in ((True, 33.0), (False, 9.0)):
        head = FastHead(normalise=False, step=1e-3, scaled=scaled)
        with pytest.raises(InputError, match="step"):
            head.learn([1.0, farthest], "far")
        assert head.labels == ()
