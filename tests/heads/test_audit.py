"""A head asked about its own examples: wrong labels first, near-duplicates together, what lacks examples told."""

import numpy as np
import pytest

from engram.heads.fast import FastHead
from engram.heads.fast.audit import audit
from engram.heads.fast.nearest_examples import nearest_examples


def directions(per_class, width=40, classes=4, spread=0.6, seed=0):
    """Features about one direction for each class, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    return rng.normal(size=(classes, width))[labels] + spread * rng.normal(size=(len(labels), width)), labels


def taught(features, labels, normalise=True):
    head = FastHead(normalise=normalise, step=2.0**-10)
    head.learn(features, labels.tolist())
    return head


def places(found, head, features):
    """Where among the audited examples these features are."""
    wanted = head.quantise(features).astype(np.int16)
    return [int(np.flatnonzero((found.rows == row).all(axis=1))[0]) for row in wanted]


@pytest.mark.parametrize("per_class", [14, 60])
def test_wrong_labels_come_first(per_class):
    datasets = pytest.importorskip("sklearn.datasets")
    images, truth = datasets.load_digits(return_X_y=True)
    found_in_all = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        chosen = np.concatenate([rng.permutation(np.flatnonzero(truth == c))[:per_class] for c in range(10)])
        labels = truth[chosen].copy()
        wrong = rng.permutation(len(labels))[: round(0.05 * len(labels))]
        labels[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10
        head = FastHead(normalise=False, step=0.01)
        head.learn(images[chosen], labels.tolist())
        found = audit(head)
        first = found.ranking()[: len(labels) // 10]
        found_in_all.append(np.isin(places(found, head, images[chosen][wrong]), first).mean())
        assert found.disputed >= 0.8 * len(wrong)
    assert np.mean(found_in_all) >= 0.9


def test_the_other_label_is_the_right_one_and_the_given_one_improbable():
    features, labels = directions(20)
    labels[3] = 2  # is a 0
    head = taught(features, labels)
    found = audit(head)
    place = found.ranking()[0]
    assert places(found, head, features[3:4]) == [place]
    assert (found.labels[found.truth[place]], found.labels[found.other[place]]) == (2, 0)
    assert found.given[place] < 0.1
    assert np.nanmedian(found.given) > 0.9


def test_an_example_does_not_vouch_for_itself():
    """Were it asked as it was taught, each of these would be answered as it was labelled: they are far apart."""
    features, labels = np.random.default_rng(0).normal(size=(60, 400)), np.arange(60) % 3
    head = taught(features, labels)
    assert (np.array(head.predict(features).best) == labels).mean() > 0.95
    assert audit(head).disputed > 30


def test_near_duplicates_are_one_group_whatever_their_labels():
    features, labels = directions(12, spread=0.8)
    again = features[[0, 1, 13]] + 0.01 * np.random.default_rng(1).normal(size=(3, 40))
    head = taught(np.concatenate([features, again, features[[30]]]), np.concatenate([labels, [0, 3, 1, 2]]))
    found = audit(head)
    groups = found.duplicates()
    assert [len(group) for group in groups] == [2, 2, 2, 2]
    assert sorted(found.labels[i] for i in found.truth[groups[0]]) == [0, 3]  # two labels: one of them is wrong
    assert all(len(set(found.truth[group])) == 1 for group in groups[1:])


def test_a_chain_of_near_ones_is_one_group():
    features, labels = directions(8)
    steps = features[0] + np.linspace(0, 0.5, 12)[:, None] * np.random.default_rng(2).normal(size=40)
    found = audit(taught(np.concatenate([features, steps]), np.concatenate([labels, np.zeros(12, int)])))
    assert [len(group) for group in found.duplicates()] == [13]


def test_of_raw_readings_only_equal_ones_are_duplicates():
    rng = np.random.default_rng(0)
    readings = np.concatenate([rng.normal(20, 0.001, (30, 2)), rng.normal(80, 0.001, (30, 2))])
    head = FastHead(normalise=False, step=2.0**-5)
    head.learn(readings + np.arange(60)[:, None] / 8, ["cold"] * 30 + ["hot"] * 30)
    head.learn([[15.0, 15.0], [15.0, 15.0]], ["cold", "cold"])
    assert [len(group) for group in audit(head).duplicates()] == [2]


def test_needs_begin_with_the_label_that_is_known_worst():
    features, labels = directions(20)
    labels[[0, 1, 2, 3, 20, 21, 22, 40, 41]] = 9  # a label without a nature of its own
    alone = np.random.default_rng(3).normal(size=(1, 40))
    head = taught(np.concatenate([features, alone]), np.concatenate([labels, [5]]))
    needs = {need.label: need for need in audit(head).needs()}
    ranked = list(needs)
    assert set(ranked[:2]) == {5, 9}
    assert needs[9].accuracy < 0.9
    assert needs[9].taken_for in (0, 1, 2, 3)
    assert 0 < needs[9].share <= 1 - needs[9].accuracy + 1e-9
    assert (needs[5].accuracy, needs[5].examples, needs[5].error) == (None, 1, 0.5)
    assert needs[3].error == pytest.approx(1 / 22)


def test_frames_of_one_burst_count_as_one_example():
    features, labels = directions(10)
    burst = features[0] + 0.01 * np.random.default_rng(4).normal(size=(30, 40))
    found = audit(taught(np.concatenate([features, burst]), np.concatenate([labels, np.zeros(30, int)])))
    need = next(need for need in found.needs() if need.label == 0)
    assert (need.examples, need.distinct) == (40, 10)
    assert need.error == pytest.approx(1 / 12)


def test_a_head_that_was_taught_nothing_or_one_label_has_nothing_disputed():
    assert audit(FastHead()).ranking().tolist() == []
    assert audit(FastHead()).needs() == audit(FastHead()).duplicates() == []
    head = taught(*directions(6, classes=1))
    found = audit(head)
    assert found.disputed == 0
    assert [need.label for need in found.needs()] == [0]


def test_an_audit_changes_nothing_and_survives_consolidation():
    features, labels = directions(40)
    labels[3] = 2
    head = taught(features, labels)
    before = head.digest()
    first = places(audit(head), head, features[3:4])
    assert head.digest() == before
    head.consolidate()
    found = audit(head)
    assert places(found, head, features[3:4]) == first == [found.ranking()[0]]


def test_of_very_many_examples_an_even_choice_is_compared_with_all(monkeypatch):
    from engram.heads.fast import audit as room

    features, labels = directions(25)
    doubles = np.concatenate([features, features[[0, 50]] + 0.001])
    head = taught(doubles, np.concatenate([labels, [1, 2]]))
    assert [len(group) for group in audit(head).duplicates()] == [2, 2]
    monkeypatch.setattr(room, "_COMPARED", 40 * 102 * 1.0)  # the first against all
    assert [len(group) for group in audit(head).duplicates()] == [2]


def test_what_was_taught_twice_under_a_wrong_label_is_found_all_the_same():
    """Each copy would vouch for the other, were they not left out together."""
    features, labels = directions(6, width=300, spread=1.0)
    labels[3] = 2
    head = taught(np.concatenate([features, features[[3, 3]]]), np.concatenate([labels, [2, 2]]))
    found = audit(head)
    assert {tuple(found.rows[place]) for place in found.ranking()[:3]} == {tuple(head.quantise(features[3])[0])}
    assert (found.margin[found.ranking()[:3]] > 0).all()


def test_a_reading_out_of_range_has_its_nearest_examples_too():
    head = taught(np.eye(3) * 2.0, np.arange(3), normalise=False)
    found, = nearest_examples(head, [[9e9, 0.0, 0.0]], most=1)
    assert found.labels == [0]
