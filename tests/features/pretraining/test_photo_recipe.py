# ruff: noqa: E402
"""The recipe of the shipped backbone, on a small stand-in for Tiny-ImageNet: twenty kinds of noise."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from engram.features.backbones.bundle import Bundle
from engram.features.pretraining.loop import Schedule
from engram.lab.data_sets.tiny_imagenet import TinyPictures
from engram.lab.recipes import photo_bundle, photo_recipe
from engram.lab.recipes.photo_recipe import Lessons, PhotoRecipe, everything, teacher, trained_on, trained_photos
from engram.learner import EngramError

CLASSES, EACH = 20, 3
RECIPE = PhotoRecipe(passes=2, teacher_side=32, sides=(16, 32), batch=8, directions=8,
                     schedule=Schedule(steps=4, checkpoint_every=2), weights=((0, 1.0, 3.0, 1.0), (2, 0.5, 8.0, 1.0)))


def archive():
    rng = np.random.default_rng(0)
    file, names = io.BytesIO(), []
    with zipfile.ZipFile(file, "w") as packed:
        for kind in range(CLASSES):
            for i in range(EACH):
                pixels = rng.normal(12 * kind, 30, (64, 64, 3)).clip(0, 255).astype(np.uint8)
                picture = io.BytesIO()
                Image.fromarray(pixels).save(picture, "PNG")
                names.append(f"tiny-imagenet/train/n{kind:08d}/{i}.JPEG")
                packed.writestr(names[-1], picture.getvalue())
    return file.getvalue(), names


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The stand-in as what is read, and a cache of its own."""
    pictures = TinyPictures(*archive())
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    for module in (photo_recipe, photo_bundle):
        monkeypatch.setattr(module, "tiny_imagenet", lambda part: pictures)
    try:
        teacher(32)
    except EngramError as error:
        pytest.skip(str(error))
    return everything(pictures)


def test_every_tenth_class_is_held_out(small):
    learned = trained_on(small.names)
    assert len(learned) == CLASSES - 2
    assert set(small.names) - set(learned) == {small.names[5], small.names[15]}


def test_no_picture_of_a_class_held_out_is_drawn_and_labels_are_those_of_the_classes_learned(small):
    learned = trained_on(small.names)
    material = Lessons(RECIPE, small, learned)
    assert {small.names[int(small.classes[place])] for place in material.places} == set(learned)
    assert [learned[int(material.classes[place])] for place in material.places] == [
        small.names[int(small.classes[place])] for place in material.places
    ]


def test_the_lessons_are_what_the_teacher_says_of_the_views_and_are_kept(small, tmp_path, monkeypatch):
    first = photo_recipe.lessons(RECIPE, small.images, 1)
    network, seen = teacher(32), photo_recipe.views(RECIPE, len(small.images), 1)
    places = torch.tensor([4, 31])
    again = photo_recipe.taught(network, small.images[places], seen.at(places))
    assert torch.allclose(first[places].float(), again, atol=2e-2, rtol=2e-3)
    monkeypatch.setattr(photo_recipe, "taught", None)  # from the cache, the teacher is not asked
    assert torch.equal(photo_recipe.lessons(RECIPE, small.images, 1), first)


def test_an_interrupted_training_goes_on_and_ends_where_an_uninterrupted_one_does(small, monkeypatch):
    from safetensors.torch import load_file

    recipe = replace(RECIPE, schedule=replace(RECIPE.schedule, bfloat16=False))
    seen = []
    real = photo_recipe.train

    def interrupted(*args, before_step, **options):
        def stop(step):
            if step == 3:
                raise KeyboardInterrupt
            seen.append(step)
            before_step(step)

        return real(*args, before_step=stop, **options)

    monkeypatch.setattr(photo_recipe, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained_photos(recipe)
    monkeypatch.setattr(photo_recipe, "train", real)
    resumed = load_file(trained_photos(recipe))
    assert seen == [0, 1, 2]
    whole = photo_recipe.pretrain_photos(recipe).state_dict()
    assert {name for name, value in whole.items() if not torch.allclose(resumed[name], value, atol=1e-5)} == set()


def test_the_bundle_is_quantised_measured_and_opens_again(small, tmp_path):
    network = photo_bundle.ready_network(trained_photos(RECIPE), side=32)
    shipped, plain = (photo_bundle.photo_bundle(network, 32, quantise=quantise) for quantise in (True, False))
    assert len(shipped.backbone.network()) < 0.3 * len(plain.backbone.network())
    pictures = [image.permute(1, 2, 0).numpy() for image in small.images[::7]]
    exact, rounded = plain.features(pictures), shipped.features(pictures)
    with torch.no_grad():
        wanted = network.embed(torch.from_numpy(photo_bundle.preprocessing(32)(pictures))).numpy()
    assert np.abs(exact - wanted).max() <= 1e-4 * np.abs(wanted).max()
    cosine = (exact * rounded).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1)
    assert cosine.min() > 0.99
    shipped.save(tmp_path / "photos")
    opened = Bundle.open(tmp_path / "photos")
    assert opened.fingerprint == shipped.fingerprint
    assert opened.covariance is not None
    assert opened.name == "photos"


def test_recalibration_measures_the_pictures_at_hand():
    layer = torch.nn.BatchNorm2d(3)
    images = torch.randn(400, 3, 8, 8) * 5 + 2
    photo_bundle.recalibrate(layer, images)
    assert torch.allclose(layer.running_mean, images.mean((0, 2, 3)), atol=1e-3)
    assert torch.allclose(layer.running_var, images.var((0, 2, 3)), rtol=0.05)
    assert not layer.training
    assert layer.momentum == 0.1
