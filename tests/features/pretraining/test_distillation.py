# ruff: noqa: E402
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.preprocessing import Preprocessing
from engram.features.backbones.torch_module import TorchBackbone
from engram.features.pretraining.distillation import Distillation, Target, distilled_from, prepared, taught
from engram.features.pretraining.families.resnet import BasicBlock, ResNet
from engram.features.pretraining.loop import Schedule, train
from engram.features.pretraining.photo_augmentation import View
from engram.features.pretraining.recipe import from_pictures
from engram.learner import InputError


def student():
    torch.manual_seed(0)
    return ResNet(BasicBlock, (1, 1, 1, 1), (8, 8, 16, 16), stem=8, kernel=3, pool=False, classes=0)


class Means(torch.nn.Module):
    """A teacher that can be checked by eye: mean and spread of each colour."""

    def forward(self, images):
        return torch.cat([images.mean((2, 3)), images.std((2, 3))], 1)


@pytest.fixture(scope="module")
def teacher():
    return TorchBackbone(Means(), Preprocessing((16, 16), mean=(100.0,), scale=(0.01,)))


def pictures(count=60, side=16):
    """Colour, brightness and stripes differ; the class is which colour is strongest."""
    rng = np.random.default_rng(0)
    base = rng.uniform(30, 225, (count, 3, 1, 1)) + rng.uniform(0, 30, (count, 3, 1, 1)) * rng.normal(
        size=(count, 3, side, side)
    )
    images = torch.from_numpy(np.clip(base, 0, 255).astype(np.uint8))
    return images, images.float().mean((2, 3)).argmax(1)


def everything(count):
    nothing = torch.zeros(count, dtype=torch.bool)
    return View(torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(count, 1), nothing, nothing)


def test_the_teacher_sees_views_as_its_preprocessing_says(teacher):
    images, _ = pictures(5)
    expected = (images.float().mean((2, 3)) - 100) * 0.01
    assert torch.allclose(taught(teacher, images, everything(5))[:, :3], expected, atol=1e-5)


def test_a_target_has_directions_of_even_variance_and_none_of_noise():
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([3.0, 2.0, 1.0, 0.5, 1e-4])
    features = torch.randn(4000, 5, generator=generator) * spread + 10
    target = Target.measure(features, 3)
    unit = torch.nn.functional.normalize(features)
    hit = (unit - target.mean) @ target.projection
    covariance = hit.T @ hit / len(hit)
    assert torch.allclose(covariance, torch.diag(covariance.diag()), atol=0.02)
    assert float(covariance.diag().max()) < 2 * float(covariance.diag().min())
    assert torch.allclose(target.of(features).norm(dim=1), torch.ones(4000), atol=1e-4)
    assert target.directions == 3


def test_fewer_examples_than_directions_give_a_target_all_the_same():
    features = torch.randn(10, 30, generator=torch.Generator().manual_seed(0))
    target = Target.measure(features, 24)
    assert torch.isfinite(target.projection).all()
    assert torch.isfinite(target.of(torch.randn(5, 30))).all()


def test_answers_are_softened():
    features = torch.eye(2)
    target = Target(torch.zeros(2), torch.eye(2), (torch.eye(2) * 4, torch.zeros(2)))
    sharp, soft = target.softened(features, 1.0), target.softened(features, 4.0)
    assert torch.allclose(soft[0], torch.softmax(torch.tensor([1.0, 0.0]), 0))
    assert sharp[0, 0] > soft[0, 0]
    with pytest.raises(InputError, match="no answers"):
        Target.measure(torch.randn(9, 4), 2).softened(features, 1.0)


def test_a_recipe_that_wants_answers_needs_a_teacher_that_gives_them(teacher):
    target = Target.measure(torch.randn(20, 6), 4)
    with pytest.raises(InputError, match="weight of answers"):
        Distillation(student(), 3, 16, teacher, target)


def test_a_student_learns_to_say_what_its_teacher_says(teacher):
    images, classes = pictures()
    features = taught(teacher, images, everything(len(images)))
    target = Target.measure(features, 4)
    recipe = Distillation(student(), 3, 16, teacher, target, truth=0.2, answers=0.0)

    def likeness():
        recipe.eval()
        with torch.no_grad():
            said = recipe.imitation(recipe.network.embed(prepared(images.float())))
        return float((torch.nn.functional.normalize(said) * target.of(features)).sum(1).mean())

    before = likeness()
    train(recipe, from_pictures(recipe, images, classes, 32),
          Schedule(steps=120, learning_rate=5e-3, averaging=0.9, bfloat16=False))
    assert before < 0.4
    assert likeness() > 0.75


def test_any_bundle_of_square_pictures_can_teach(teacher):
    images, classes = pictures()
    recipe = distilled_from(Bundle.bare(teacher), student(), images, 3, 16, directions=4)
    assert recipe.target.directions == 4
    train(recipe, from_pictures(recipe, images, classes, 8), Schedule(steps=2, bfloat16=False))
    assert torch.isfinite(recipe.network.embed(prepared(images[:2].float()))).all()
    assert distilled_from(Bundle.bare(teacher), student(), images, 3, 16).target.directions == 6
    with pytest.raises(InputError, match="square RGB"):
        distilled_from(Bundle.of_vectors(6), student(), images, 3, 16)


def test_a_batch_is_the_same_for_the_same_seed_and_shows_both_the_same_part(teacher):
    images, classes = pictures(12)
    recipe = Distillation(student(), 3, 16, teacher, Target.measure(torch.randn(20, 6), 4), answers=0.0)
    first, second = (recipe.batch(images, classes, torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(map(torch.equal, first, second))
    shown, _, features = first
    assert shown.shape == (12, 3, 16, 16)
    # The brighter what the student sees, the brighter what the teacher saw.
    brightness = np.corrcoef(shown.mean((1, 2, 3)).numpy(), features[:, :3].mean(1).numpy())[0, 1]
    assert brightness > 0.7
