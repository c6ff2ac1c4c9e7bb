# ruff: noqa: E402
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engram.features.pretraining.loop import Schedule
from engram.lab.data_sets.mnist import mnist
from engram.lab.experiments.head import digit_features as module
from engram.lab.experiments.head.digit_features import cached_bundle, split
from engram.lab.recipes.digit_recipe import DigitRecipe, as_tensor, pretrain_digits
from engram.learner import InputError
from engram.locations import MissingDataError

TINY = DigitRecipe(channels=(4, 8), embedding=16, projection=8, batch=64, schedule=Schedule(steps=60))


def bars(count, rng):
    """Images (N, 12, 12) of 0: a row, 1: a column, 2: both; and which."""
    labels = rng.integers(3, size=count)
    images = 0.2 * rng.random((count, 12, 12), np.float32)
    images[np.isin(labels, [0, 2]), 6] = 1
    images[np.isin(labels, [1, 2]), :, 6] = 1
    return images, labels


@pytest.fixture(scope="module")
def trained():
    return pretrain_digits(*bars(600, np.random.default_rng(0)), withhold=(2,), seed=0, recipe=TINY)


def test_a_withheld_class_is_unknown_to_the_networks_own_classifier(trained):
    assert trained.digits == (0, 1)
    images, labels = bars(300, np.random.default_rng(1))
    known = labels != 2
    assert (trained.classify(images[known]) == labels[known]).mean() > 0.95
    assert set(trained.classify(images[~known]).tolist()) <= {0, 1}


def test_features_tell_a_withheld_class_from_the_others(trained):
    images, labels = bars(300, np.random.default_rng(1))
    with torch.no_grad():
        features = trained.features()(as_tensor(images)).numpy()
    means = np.stack([features[:150][labels[:150] == c].mean(0) for c in range(3)])
    nearest = ((features[150:, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == labels[150:]).mean() > 0.95


def test_the_same_seed_gives_the_same_network(trained):
    again = pretrain_digits(*bars(600, np.random.default_rng(0)), withhold=(2,), seed=0, recipe=TINY)
    other = pretrain_digits(*bars(600, np.random.default_rng(0)), withhold=(2,), seed=1, recipe=TINY)
    images = as_tensor(bars(5, np.random.default_rng(2))[0])
    with torch.no_grad():
        assert torch.equal(trained.features()(images), again.features()(images))
        assert not torch.equal(trained.features()(images), other.features()(images))


def test_withholding_all_but_one_digit_is_refused():
    with pytest.raises(InputError, match="two or more"):
        pretrain_digits(*bars(60, np.random.default_rng(0)), withhold=(1, 2), recipe=TINY)


def test_images_that_teach_are_never_those_that_train():
    places = split()
    assert not set(places.pretraining.tolist()) & set(places.teach.tolist())
    assert (len(places.pretraining), len(places.teach)) == (50_000, 10_000)


def test_a_digit_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match="0 to 9"):
        cached_bundle((10,))


def test_a_backbone_is_trained_once_and_then_comes_from_the_cache(tmp_path, monkeypatch):
    try:
        mnist()
    except MissingDataError as missing:
        pytest.skip(str(missing))
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "MEASURED", 300)
    steps = []
    first = cached_bundle((3, 5), 0, TINY, lambda *step: steps.append(step))
    assert steps
    steps.clear()
    again = cached_bundle((5, 3), 0, TINY, lambda *step: steps.append(step))
    assert not steps
    assert again.bundle.fingerprint == first.bundle.fingerprint
    assert again.digits == (0, 1, 2, 4, 6, 7, 8, 9)
    assert (again.seconds, again.accuracy) == (first.seconds, first.accuracy)
    known = np.isin(mnist().test_labels, again.digits)
    assert again.accuracy == (again.predictions == mnist().test_labels)[known].mean()
    assert [path.name.split("-seed")[0] for path in (tmp_path / "backbones").iterdir()] == ["mnist-without-35"]
    assert len(list((tmp_path / "trained").iterdir())) == 1


def test_a_training_that_fails_leaves_no_finished_backbone(tmp_path, monkeypatch):
    from engram.locations import cached

    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path))

    def fail(folder):
        (folder / "half").touch()
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cached("backbones/thing", fail)
    assert not list((tmp_path / "backbones").iterdir())
    place = cached("backbones/thing", lambda folder: (folder / "whole").touch())
    assert [path.name for path in place.iterdir()] == ["whole"]
