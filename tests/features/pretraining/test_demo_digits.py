from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

import engram.features.backbones
from engram.features.backbones.bundle import Bundle
from engram.lab.data_sets.digits import WITHHELD, digits

FOLDER = Path(engram.features.backbones.__file__).parent / "data" / "digits"


def test_the_packaged_bundle_is_small_and_whole():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000
    assert Bundle.open(FOLDER).covariance is not None


def test_its_features_recognise_digits_it_was_not_trained_on_even_the_one_it_never_saw():
    data, bundle = digits(), Bundle.open(FOLDER)

    def features(places):
        raw = bundle.features(data.images[places]).astype(float)
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)

    # Only what teaches heads takes part here: means from its first half, questions from its second.
    taught, asked = np.split(data.teach, [200])
    vectors, labels = features(taught), data.labels[taught]
    means = np.stack([vectors[labels == digit].mean(0) for digit in range(10)])
    right = (features(asked) @ means.T).argmax(1) == data.labels[asked]
    assert right.mean() > 0.93
    assert right[data.labels[asked] == WITHHELD].mean() > 0.85


def test_the_script_writes_a_bundle_that_the_same_seed_writes_again(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from dataclasses import replace

    from engram.lab.recipes import demo_digits
    from engram.lab.recipes.demo_digits import RECIPE, demo_bundle

    short = replace(RECIPE, schedule=replace(RECIPE.schedule, steps=5))
    first = demo_bundle(recipe=short)
    first.save(tmp_path / "digits")
    assert Bundle.open(tmp_path / "digits").fingerprint == demo_bundle(recipe=short).fingerprint
    assert demo_bundle(seed=1, recipe=short).fingerprint != first.fingerprint
    assert first.width == Bundle.open(FOLDER).width
    assert demo_digits.FOLDER == FOLDER
