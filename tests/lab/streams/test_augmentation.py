# ruff: noqa: E402
import pytest

torch = pytest.importorskip("torch")

from engram.lab.recipes.digit_recipe import compose, whole_class
from engram.networks.augmentation import Affine, sampling_grid

STILL = Affine(degrees=0, stretch=0, shear=0, shift=0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_no_change_asked_for_is_no_change():
    images = torch.rand(5, 1, 9, 9)
    assert torch.allclose(STILL(images, seeded()), images, atol=1e-5)


def test_the_same_seed_changes_images_the_same_way_and_another_seed_differently():
    images = torch.rand(5, 1, 9, 9)
    change = Affine(ripple=0.1)
    assert torch.equal(change(images, seeded()), change(images, seeded()))
    assert not torch.equal(change(images, seeded()), change(images, seeded(1)))


@pytest.mark.parametrize(("height", "width"), [(28, 28), (5, 9), (1, 2)])
def test_pixels_come_from_where_the_library_says(height, width):
    turned = torch.randn(7, 2, 3, generator=seeded())
    theirs = torch.nn.functional.affine_grid(turned, [7, 1, height, width], align_corners=False)
    assert torch.allclose(sampling_grid(turned.mT, height, width), theirs, atol=2e-6)


def test_ink_moves_no_further_than_the_shift_allows():
    images = torch.zeros(200, 1, 28, 28)
    images[:, :, 14, 14] = 1
    moved = Affine(degrees=0, stretch=0, shear=0, shift=2 / 14)(images, seeded())
    rows, columns = torch.arange(28.0), torch.arange(28.0)
    down = (moved.sum((1, 3)) @ rows) - 14
    right = (moved.sum((1, 2)) @ columns) - 14
    assert 1.5 < down.abs().max() <= 2.001
    assert 1.5 < right.abs().max() <= 2.001


def test_a_quarter_turn_would_be_found_among_turns_of_up_to_ninety_degrees_only_at_the_end_of_the_range():
    line = torch.zeros(400, 1, 15, 15)
    line[:, :, 7] = 1
    turned = Affine(degrees=90, stretch=0, shear=0, shift=0)(line, seeded())
    upright = turned[:, 0, :, 7].sum(1)
    assert upright.max() > 12
    assert upright.min() < 2


def test_half_of_the_pictures_are_mirrored_and_nothing_else_changes():
    pictures = torch.rand(200, 3, 8, 8)
    seen = Affine(degrees=0, stretch=0, shear=0, shift=0, mirrored=True)(pictures, seeded())
    same, turned = ((seen - ways).abs().amax((1, 2, 3)) < 1e-5 for ways in (pictures, pictures.flip(3)))
    assert bool((same ^ turned).all())
    assert 70 < int(turned.sum()) < 130


def test_a_composite_is_the_upper_half_of_one_on_the_lower_half_of_the_other():
    upper, lower = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    images, classes = compose(upper, lower, torch.tensor([2]), torch.tensor([1]), count=3)
    assert images[0, 0, :, 0].tolist() == [1, 1, 0, 0]
    assert classes.tolist() == [7]


def test_composing_two_of_one_class_gives_that_class_again():
    same = torch.arange(4)
    _, classes = compose(torch.zeros(4, 1, 2, 2), torch.zeros(4, 1, 2, 2), same, same, count=4)
    assert torch.equal(classes, whole_class(same, 4))
    assert len(set(classes.tolist())) == 4
