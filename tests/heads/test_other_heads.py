"""Heads that remember, retrieve, compete or resonate, against slow obvious loops and scikit-learn."""

import numpy as np
import pytest

from engram.heads import HEADS, head_class, make
from engram.heads.exemplars import hashes
from engram.heads.fuzzy_artmap import FuzzyARTMAP
from engram.heads.hopfield import Hopfield
from engram.heads.k_winners_take_all import KWinnersTakeAll
from engram.heads.nearest_neighbors import NearestNeighbors
from engram.heads.online_prototypes import OnlinePrototypes
from engram.learner import DamagedError, InputError, MeldError, NotTaughtError


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 120)
    vectors = rng.normal(size=(3, 5))[labels] + 0.8 * rng.normal(size=(120, 5))
    return vectors.astype(np.float32).astype(float), labels, rng.normal(size=(50, 5)).astype(np.float32).astype(float)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("k", [1, 4, 15])
def test_neighbours_vote_as_in_scikit_learn(data, k, weights):
    neighbors = pytest.importorskip("sklearn.neighbors")
    vectors, labels, probes = data
    head = NearestNeighbors(k, weights, capacity=None, normalise=False)
    head.learn(vectors, labels)
    reference = neighbors.KNeighborsClassifier(k, weights=weights).fit(vectors, labels)
    votes = head.predict(probes, among=[0, 1, 2])
    np.testing.assert_allclose(votes.scores, reference.predict_proba(probes), atol=1e-6)
    np.testing.assert_allclose(votes.confidence, reference.predict_proba(probes).max(1), atol=1e-6)


def test_labels_that_draw_level_stand_in_the_order_of_their_nearest_example():
    head = NearestNeighbors(k=2, normalise=False)
    head.learn([[1.0], [-0.9], [5.0], [4.0]], ["right", "left", "far", "near"])
    ranked = [label for label, _ in head.predict([0.0])[0].ranked]
    assert ranked == ["left", "right", "near", "far"]


def test_what_a_full_memory_keeps_does_not_depend_on_the_order(data):
    vectors, labels, _ = data
    heads = []
    for order in (np.arange(120), np.arange(120)[::-1], np.argsort(labels, kind="stable")):
        heads.append(NearestNeighbors(capacity=10, normalise=False))
        heads[-1].learn(vectors[order], labels[order])
    melded = NearestNeighbors(capacity=10, normalise=False)
    for half in (slice(0, 50), slice(50, None)):
        device = NearestNeighbors(capacity=10, normalise=False)
        device.learn(vectors[half], labels[half])
        melded.meld(device)
    assert len({head.digest() for head in [*heads, melded]}) == 1
    keys = np.sort(hashes(vectors[labels == 0]))[:10]
    np.testing.assert_array_equal(np.sort(heads[0]._classes[heads[0]._book[0]].keys), keys)


def test_an_example_that_gave_way_cannot_be_forgotten_and_one_that_stayed_can(data):
    vectors, labels, _ = data
    head = NearestNeighbors(capacity=10, normalise=False)
    head.learn(vectors, labels)
    own = vectors[labels == 0]
    order = np.argsort(hashes(own))
    with pytest.raises(NotTaughtError, match="not kept"):
        head.forget(own[order[10]], 0)
    head.forget(own[order[9]], 0)
    assert head._classes[head._book[0]].size == 9


def test_a_saved_memory_that_was_altered_is_refused(data):
    head = NearestNeighbors()
    head.learn(data[0], data[1])
    state = head.state()
    state["vectors"][3, 2] += 1e-3
    with pytest.raises(DamagedError, match="not those that were saved"):
        NearestNeighbors.from_state(state)


def test_recall_follows_the_update_of_modern_hopfield_networks(data):
    vectors, labels, probes = data
    head = Hopfield(beta=7.0, steps=3, capacity=None)
    head.learn(vectors, labels)
    held, owners = head._examples_held()
    answers = head.predict(probes, among=[0, 1, 2])
    for probe, scores in zip(probes, answers.scores, strict=True):
        state = probe / np.linalg.norm(probe)
        for _ in range(3):
            weights = np.array([np.exp(7.0 * pattern @ state) for pattern in held])
            weights /= weights.sum()
            state = sum(weight * pattern for weight, pattern in zip(weights, held, strict=True))
        expected = [weights[owners == head._book[label]].sum() for label in range(3)]
        np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_a_cold_network_recalls_the_single_nearest_pattern(data):
    vectors, labels, probes = data
    cold, nearest = Hopfield(beta=1e6, capacity=None, normalise=False), NearestNeighbors(1, normalise=False)
    for head in (cold, nearest):
        head.learn(vectors, labels)
    assert cold.predict(probes).best == nearest.predict(probes).best


def test_a_pattern_with_noise_is_cleaned_in_one_step():
    rng = np.random.default_rng(0)
    patterns = rng.choice([-1.0, 1.0], (200, 64))
    head = Hopfield(beta=64.0, steps=2)
    head.learn(patterns, list(range(200)))
    noisy = patterns * np.where(rng.random((200, 64)) < 0.15, -1, 1)
    state, _ = head.recall(noisy / 8.0)
    assert (np.sign(state) == patterns).mean() > 0.99 > (noisy == patterns).mean()


def test_a_fly_code_is_that_of_a_slow_loop(data):
    vectors, labels, probes = data
    head = KWinnersTakeAll(units=60, active=0.1, inputs=0.4, step=2.0**-8, normalise=False)
    head.learn(vectors, labels)
    codes = head._features(np.rint(probes * 2**8))
    for probe, code in zip(probes, codes, strict=True):
        rounded = [round(value * 2**8) for value in probe.tolist()]
        drive = [sum(x for x, wired in zip(rounded, cell, strict=True) if wired) for cell in head._wiring.T]
        firing = sorted(range(60), key=lambda j: (-drive[j], j))[:6]
        assert set(np.flatnonzero(code)) == set(firing)
    assert (head._wiring.sum(axis=0) == 2).all()


def test_a_fly_synapse_counts_coincidences_and_answers_by_cosine(data):
    vectors, labels, probes = data
    head = KWinnersTakeAll(units=60, active=0.1, step=2.0**-8, normalise=False)
    head.learn(vectors, labels)
    codes, probe_codes = (head._features(np.rint(x * 2**8)) for x in (vectors, probes))
    counts = np.stack([codes[labels == c].sum(axis=0) for c in range(3)])
    cosines = probe_codes @ counts.T / np.linalg.norm(counts, axis=1) / np.sqrt(6)
    np.testing.assert_allclose(head.predict(probes, among=[0, 1, 2]).scores, cosines)


def test_equal_strengths_do_not_mind_a_shift_of_the_whole_vector(data):
    head = KWinnersTakeAll(units=80, inputs=0.5, step=2.0**-8, normalise=False)
    rows = np.rint(data[2] * 2**8)
    np.testing.assert_array_equal(head._features(rows), head._features(rows + 57))


class TextbookARTMAP:
    """Fuzzy ARTMAP by the formulas of the 1992 paper, inputs in [0, 1], complement coding, beta = 1."""

    def __init__(self, vigilance, choice, tracking):
        self.vigilance, self.choice, self.tracking = vigilance, choice, tracking
        self.weights, self.labels = [], []

    def chosen(self, code):
        return [np.minimum(code, w).sum() / (self.choice + w.sum()) for w in self.weights]

    def learn(self, x, label):
        code, vigilance = np.concatenate([x, 1 - x]), self.vigilance
        for j in np.argsort([-t for t in self.chosen(code)], kind="stable"):
            match = np.minimum(code, self.weights[j]).sum() / code.sum()
            if match >= vigilance:
                if self.labels[j] == label:
                    self.weights[j] = np.minimum(code, self.weights[j])
                    return
                vigilance = match + self.tracking
        self.weights.append(code)
        self.labels.append(label)

    def predict(self, x):
        return self.labels[int(np.argmax(self.chosen(np.concatenate([x, 1 - x]))))]


@pytest.mark.parametrize("vigilance", [0.0, 0.6, 0.9])
def test_fuzzy_artmap_follows_the_formulas_of_its_paper(vigilance):
    rng = np.random.default_rng(1)
    vectors = rng.random((300, 4))
    vectors[:2] = [[0, 0, 0, 0], [1, 1, 1, 1]]  # the range is known from the start, as in the paper
    labels = (vectors[:, 0] + vectors[:, 1] > 1).astype(int) + (vectors[:, 2] > 0.7)
    head = FuzzyARTMAP(vigilance, choice=0.01, tracking=1e-4, normalise=False)
    textbook = TextbookARTMAP(vigilance, choice=0.01, tracking=1e-4)
    head.learn(vectors[:200], labels[:200])
    for x, label in zip(vectors[:200], labels[:200], strict=True):
        textbook.learn(x, label)
    assert len(head._owners) == len(textbook.weights)
    np.testing.assert_allclose(np.hstack([head._lower, 1 - head._upper]), textbook.weights)
    assert head.predict(vectors[200:]).best == [textbook.predict(x) for x in vectors[200:]]


def test_fuzzy_artmap_does_not_mind_the_unit_of_any_value():
    rng = np.random.default_rng(2)
    vectors, labels = rng.random((100, 3)), rng.integers(0, 3, 100)
    other = vectors * [1000.0, 1e-3, 1.0] + [-7.0, 5.0, 0.0]
    answers = []
    for inputs in (vectors, other):
        head = FuzzyARTMAP(normalise=False)
        head.learn(inputs[:80], labels[:80])
        answers.append(head.predict(inputs[80:]))
    np.testing.assert_allclose(answers[0].scores, answers[1].scores, rtol=1e-6)


def test_fuzzy_artmap_answers_every_example_it_was_just_taught():
    rng = np.random.default_rng(3)
    vectors, labels = rng.random((60, 4)), rng.integers(0, 4, 60).tolist()
    head = FuzzyARTMAP(normalise=False)
    for _ in range(4):  # fast learning settles within a few passes
        head.learn(vectors, labels)
    assert head.predict(vectors).best == labels


def test_a_prototype_grows_only_where_the_answer_was_wrong():
    head = OnlinePrototypes(normalise=False)
    head.learn([[0.0], [0.2], [10.0], [0.4], [4.0], [4.4]], ["a", "a", "b", "a", "b", "b"])
    state = head.state()
    np.testing.assert_allclose(state["vectors"][:, 0], [0.2, 10.0, 4.2])
    np.testing.assert_allclose(state["counts"], [3, 1, 2])
    assert head.prototypes == 3


def test_a_full_label_moves_its_nearest_prototype():
    head = OnlinePrototypes(capacity=1, normalise=False)
    head.learn([[0.0], [1.0], [0.8]], ["a", "b", "a"])
    np.testing.assert_allclose(head.state()["vectors"][:, 0], [0.4, 1.0])


def test_sleep_merges_those_that_are_nearest_to_each_other_and_keeps_the_borders():
    head = OnlinePrototypes(normalise=False)
    head.learn([[0.0], [1.1], [0.8], [9.0], [0.3], [10.0], [9.8]], ["a", "b", "a", "a", "a", "b", "b"])
    assert sorted(head.state()["vectors"][:, 0]) == pytest.approx([0.15, 0.8, 1.1, 9.0, 9.9])
    head._place(np.array([0.25]), 0, 1.0)
    report = head.consolidate()
    assert (report.before, report.after) == (6, 5)
    assert sorted(head.state()["vectors"][:, 0]) == pytest.approx([(0.3 + 0.25) / 3, 0.8, 1.1, 9.0, 9.9])
    assert head.state()["counts"].sum() == 8
    assert head.predict([[0.15], [1.0], [1.3]]).best == ["a", "b", "b"]


def test_prototypes_grow_few_and_answer_well_and_sleep_costs_little():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 1500)
    vectors = rng.normal(size=(4, 8))[labels] + 0.6 * rng.normal(size=(1500, 8))
    head = OnlinePrototypes(normalise=False)
    head.learn(vectors[:1000], labels[:1000])
    accuracy = [np.mean(np.array(head.predict(vectors[1000:]).best) == labels[1000:])]
    report = head.consolidate()
    accuracy.append(np.mean(np.array(head.predict(vectors[1000:]).best) == labels[1000:]))
    assert report.after < report.before < 300
    assert accuracy[0] > 0.85
    assert accuracy[1] > accuracy[0] - 0.03


def test_old_prototypes_do_not_win_everywhere_in_many_noisy_dimensions():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 700)
    vectors = rng.normal(size=(10, 256))[labels] + 2 * rng.normal(size=(700, 256))
    head = OnlinePrototypes()
    head.learn(vectors[:500], labels[:500])
    assert np.mean(np.array(head.predict(vectors[500:]).best) == labels[500:]) > 0.95


@pytest.mark.parametrize("kind", [FuzzyARTMAP, OnlinePrototypes, Hopfield])
def test_melding_brings_all_that_the_other_recognises(kind, data):
    vectors, labels, _ = data
    one, two = kind(), kind()
    one.learn(vectors[labels == 0], "zero")
    two.learn(vectors[labels == 1], "one")
    one.meld(two)
    right = np.array(one.predict(vectors[labels < 2]).best) == np.array(["zero", "one"])[labels[labels < 2]]
    assert right.mean() > 0.85
    numbered = kind()
    numbered.learn(vectors, labels)
    with pytest.raises(MeldError, match="int labels"):
        one.meld(numbered)


@pytest.mark.parametrize("name", HEADS)
def test_every_head_is_made_by_its_name_and_says_how(name):
    head = make(name)
    assert type(head) is head_class(name)
    assert type(head)(**head.config()).config() == head.config()


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(InputError, match="nearest_class_mean"):
        make("nearest")


@pytest.mark.parametrize(
    "wrong",
    [lambda: NearestNeighbors(k=0), lambda: NearestNeighbors(weights="votes"), lambda: NearestNeighbors(capacity=0),
     lambda: Hopfield(beta=0.0), lambda: Hopfield(steps=0), lambda: KWinnersTakeAll(active=0.0),
     lambda: KWinnersTakeAll(strengths="weak"), lambda: FuzzyARTMAP(vigilance=1.5), lambda: OnlinePrototypes(0)],
)  # fmt: skip
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()
