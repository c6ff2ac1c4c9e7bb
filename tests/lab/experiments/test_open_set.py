"""Known, unknown, read-outs and corrections beside simple rivals: scikit-learn's digits for pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("sklearn")

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.vectors import VectorBackbone
from engram.heads.fast import FastHead
from engram.lab.data_sets.clinc150 import DOMAINS
from engram.lab.data_sets.digits import digits
from engram.lab.experiments.experiment import ExperimentError, execute, silent
from engram.lab.experiments.head import corrections, open_set, readout
from engram.lab.experiments.head.featured_sets import FeaturedSet, of_pictures
from engram.lab.experiments.head.open_set import Asked
from engram.lab.experiments.head.simple_rivals import Task, open_set_rivals, read_out_rivals, whitening
from engram.learner import InputError

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="module")
def small() -> FeaturedSet:
    """Ten digits under a bundle of the other digits' statistics; a copy is off by a little noise."""
    data = digits()
    pixels = data.images.reshape(len(data.images), -1).astype(np.float32) + 0.01
    bundle = Bundle.measure(VectorBackbone(64), pixels[data.pretraining], data.labels[data.pretraining].tolist())
    rows, noise = pixels[data.test], np.random.default_rng(0).normal(0, 0.01, (4, *pixels[data.test].shape))
    copies = (rows + noise).astype(np.float32)
    versions = {"mirrored": copies[0], "resaved": copies[1], "burst": copies[2:].swapaxes(0, 1)}
    return FeaturedSet(bundle, rows, np.array([NAMES[i] for i in data.labels[data.test]]), versions)


@pytest.fixture
def blobs() -> tuple[Task, np.ndarray, np.ndarray]:
    """Four classes well apart in 16 dimensions, twelve taught of each, and whether each of those asked is known."""
    rng = np.random.default_rng(0)
    centres = 3 * np.eye(16)[:8]
    labels = np.repeat(np.arange(4), 12)
    teach = centres[labels] + 0.3 * rng.normal(size=(48, 16))
    truth = np.repeat(np.arange(8), 10)
    ask = centres[truth] + 0.3 * rng.normal(size=(80, 16))
    return Task(teach, labels, ask, np.zeros(16), 0.09 * np.eye(16)), truth, truth < 4


def test_every_rival_tells_what_is_well_apart(blobs):
    task, truth, known = blobs
    for name, answers in open_set_rivals(task).items():
        assert (answers.best[known] == truth[known]).all(), name
        scores = Asked(100.0, answers.knownness[known], answers.knownness[~known])
        assert scores.auroc > (40 if name == "relative distance" else 90), name
    for name, best in read_out_rivals(task).items():
        assert np.mean(best[known] == truth[known]) > 0.95, name


def test_whitening_brings_a_covariance_near_the_identity():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(5000, 4)) @ np.diag([1.0, 1.1, 1.2, 1.3])
    moved = rows @ whitening(np.cov(rows.T))
    assert np.abs(np.cov(moved.T) - np.eye(4)).max() < 0.15


def test_strangers_are_counted_where_a_share_of_the_known_is_refused():
    asked = Asked(100.0, np.arange(100.0), np.array([-5.0, 1.0, 50.0, 200.0]))
    assert asked.accepted(0.05) == 50.0
    assert asked.accepted(0.005) == 75.0


def test_a_figure_is_what_lies_between_the_head_and_the_best_rival():
    scores = {"head": {"auroc": 90.0, "accepted-at-2": 30.0, "accepted-at-5": 10.0},
              "a": {"auroc": 92.0, "accepted-at-2": 15.0, "accepted-at-5": 5.0},
              "b": {"auroc": 80.0, "accepted-at-2": 90.0, "accepted-at-5": 90.0}}
    assert open_set.over_best_rival(scores, "auroc") == -2.0
    assert open_set.accepted_over_rival(open_set.Config(), {"1": {"scores": scores}}) == 2.0


def test_nothing_is_both_taught_and_asked_and_strange_intents_are_of_other_domains(small):
    config = open_set.Config(shots=(1, 3))
    drawn = open_set.draw(config, small, np.random.default_rng(0))
    assert drawn.teach.shape == (5, 3)
    everything = np.concatenate([drawn.teach.ravel(), drawn.ask, drawn.strangers])
    assert len(np.unique(everything)) == len(everything)
    assert set(small.labels[drawn.ask]) == set(small.labels[drawn.teach.ravel()])
    assert not set(small.labels[drawn.ask]) & set(small.labels[drawn.strangers])
    intents = [f"{domain}/{intent}" for domain, members in DOMAINS.items() for intent in members]
    known, strange = open_set.split_classes(10, [*intents, "outside"], np.random.default_rng(0))
    assert len(known) == len(strange) == 10
    assert not {label.split("/")[0] for label in known} & {label.split("/")[0] for label in strange}


def test_the_set_is_measured_in_every_way_that_pictures_are_taught(small, tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(open_set, "featured", lambda name: small)
    settings = {"draws": 2, "shots": (1, 4), "ask": 8, "sets": ("photos",)}
    values = execute("open-set", open_set, 1, tmp_path, settings=settings)["values"]
    at = values["sets"]["photos"]["4"]
    assert set(at["refused"]) == {"once", "twice", "mirrored", "resaved", "burst", "own-statistics"}
    assert at["scores"]["head"]["accuracy"]["mean"] > 80
    assert values["photos.refused-4"]["mean"] == at["refused"]["once"]["mean"]
    measured = {key.removeprefix("open.") for key in open_set.FIGURES if key.startswith("open.photos.")}
    expected = {name for name in measured if not name.endswith(("-2", "-5", "-14"))}
    assert expected <= set(values)
    assert list(tmp_path.glob("open-set*.svg"))


def test_a_lesson_is_taught_in_the_parts_that_it_comes_in(small, monkeypatch):
    taught = []
    learn = FastHead.learn
    monkeypatch.setattr(FastHead, "learn", lambda self, rows, labels: (taught.append(len(rows)),
                                                                       learn(self, rows, labels))[1])
    config = open_set.Config(shots=(2,), classes=3, ask=4)
    places = open_set.draw(config, small, np.random.default_rng(0))
    open_set.taught_otherwise(config, small, places)
    assert taught == [6, 6, 6, 6, 6, 6, *[2] * 6]  # twice, mirrored, resaved; then a burst for each picture


def test_the_read_out_is_measured_from_one_example_to_all(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    settings = {"draws": 2, "draws_of_all": 1, "shots": (1, 14), "sets": ("iris",)}
    values = execute("readout", readout, 1, tmp_path, settings=settings)["values"]
    assert set(values["sets"]["iris"]) == {"1", "14", "all"}
    assert values["sets"]["iris"]["all"]["LDA"]["mean"] > 90
    worst = min(readout.under_best_rival({name: value["mean"] for name, value in at.items()})
                for at in values["sets"]["iris"].values())
    assert values["under-rival.iris"]["mean"] == pytest.approx(worst, abs=1e-4)


def test_the_generated_tables_are_as_hard_as_they_are_said_to_be():
    rng = np.random.default_rng(0)

    def of_rivals(name: str) -> dict[str, float]:
        table = readout.TABLES[name]()
        teach, ask = readout.split(table, 60, rng)
        rivals = read_out_rivals(Task(table.rows[teach], table.labels[teach], table.rows[ask]))
        return {model: 100 * float(np.mean(best == table.labels[ask])) for model, best in rivals.items()}

    bananas = of_rivals("bananas")
    assert max(bananas["LDA"], bananas["logistic, C=100"]) < 60
    assert bananas["5 nearest"] > 75
    assert of_rivals("sea")["logistic, C=100"] > 95
    assert of_rivals("levels")["class mean"] > 95


@pytest.mark.parametrize(("experiment", "wrong"), [(open_set, InputError), (readout, ExperimentError)])
def test_a_set_that_does_not_exist_is_refused_with_those_that_do(experiment, wrong):
    with pytest.raises(wrong, match="steel"):
        experiment.one_set(experiment.Config(), "stele", 0, silent)


def test_wrong_labels_stand_first_in_the_audit_and_in_the_simple_list_too(small):
    config = replace(corrections.Config(), shots=4, ask=4, classes=4)
    found = corrections.wrong_labels(config, small, np.random.default_rng(0))
    assert found["simple-found"] > 80
    assert found["found"] > 80
    told = corrections.counterexamples(config, small, np.random.default_rng(0))
    assert set(told) in (set(), {"accepted-before", "accepted-after", "refused-before", "refused-after"})


def test_pictures_come_with_versions_of_themselves(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    pictures = np.kron(rng.integers(0, 256, (3, 4, 4, 3)), np.ones((1, 8, 8, 1))).astype(np.uint8)

    class Pixels(VectorBackbone):
        def features(self, inputs, progress=None):
            return super().features(np.stack([picture.ravel() for picture in inputs]).astype(np.float64), progress)

    bundle = Bundle.bare(Pixels(32 * 32 * 3))
    made = of_pictures(bundle, "toy", lambda place: pictures[place], ["a", "b", "c"])
    plain = made.features.reshape(3, 32, 32, 3)
    assert (made.versions["mirrored"].reshape(3, 32, 32, 3)[:, :, ::-1] == plain).all()
    assert 0 < np.abs(made.versions["resaved"] - made.features).mean() < 20
    frames = made.versions["burst"]
    assert frames.shape == (3, 20, made.features.shape[1])
    assert len(np.unique(frames[0], axis=0)) == 20
    assert 0 < np.abs(frames - made.features[:, None]).mean() < 40
