# ruff: noqa: E402
import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from engram.features.pretraining.photo_augmentation import RandomView, Recolour, View, blurred, luma


def photographs(count=4, side=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)


def view(*box, mirrored=False, grey=False, count=4):
    return View(torch.tensor([box]).repeat(count, 1), torch.full((count,), mirrored), torch.full((count,), grey))


def test_the_whole_at_its_own_size_is_the_photograph():
    images = photographs()
    assert torch.allclose(view(0.0, 0.0, 1.0, 1.0).render(images, 16), images.float(), atol=1e-3)


def test_a_mirrored_view_is_the_view_backwards():
    images = photographs()
    box = (0.2, 0.1, 0.6, 0.7)
    assert torch.allclose(
        view(*box, mirrored=True).render(images, 20), view(*box).render(images, 20).flip(3), atol=1e-3
    )


def test_an_enlarged_crop_is_what_pillow_makes_of_it():
    images = photographs()
    seen = view(0.25, 0.5, 0.5, 0.25).render(images, 32)
    for image, mine in zip(images, seen, strict=True):
        # Pillow's own bilinear enlargement of the crop, inside it, where no neighbour is missing
        pixels = Image.fromarray(image.permute(1, 2, 0).numpy())
        crop = pixels.resize((32, 32), Image.Resampling.BILINEAR, (4, 8, 12, 12))
        inner = np.s_[:, 4:-4, 4:-4]
        assert np.abs(np.asarray(crop, np.float32).transpose(2, 0, 1)[inner] - mine.numpy()[inner]).max() <= 1.0


def test_a_grey_view_is_luma_in_all_channels():
    images = photographs()
    seen = view(0.0, 0.0, 1.0, 1.0, grey=True).render(images, 16)
    assert torch.allclose(seen, luma(images.float()).expand(-1, 3, -1, -1), atol=1e-2)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), area=st.floats(0.05, 1.0), aspect=st.floats(1.0, 2.0))
def test_random_views_lie_within_the_photograph(seed, area, aspect):
    drawn = RandomView(area=(area, 1.0), aspect=aspect)(50, torch.Generator().manual_seed(seed))
    left, top, width, height = drawn.boxes.unbind(1)
    assert (width > 0).all()
    assert (height > 0).all()
    assert (drawn.boxes >= 0).all()
    assert (left + width <= 1 + 1e-5).all()
    assert (top + height <= 1 + 1e-5).all()


def test_random_views_have_the_areas_and_shares_that_were_asked_for():
    drawn = RandomView(area=(0.5, 0.8), close=0.0, aspect=1.0, grey=0.25)(20_000, torch.Generator().manual_seed(0))
    areas = drawn.boxes[:, 2] * drawn.boxes[:, 3]
    assert 0.5 <= float(areas.min()) <= float(areas.max()) <= 0.8 + 1e-5
    assert float(areas.mean()) == pytest.approx(0.65, abs=0.01)
    assert float(drawn.grey.float().mean()) == pytest.approx(0.25, abs=0.02)
    assert float(drawn.mirrored.float().mean()) == pytest.approx(0.5, abs=0.02)
    close = RandomView(area=(0.4, 0.4), close=1.0, aspect=1.0)(2_000, torch.Generator().manual_seed(0))
    areas = close.boxes[:, 2] * close.boxes[:, 3]
    assert 0.1 <= float(areas.min()) < 0.15
    assert 0.35 < float(areas.max()) <= 0.4 + 1e-5


def test_the_same_seed_draws_the_same_views():
    first, second = (RandomView()(9, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first.boxes, second.boxes)
    places = torch.tensor([7, 2])
    assert torch.equal(first.at(places).boxes, second.boxes[[7, 2]])


def test_recolouring_by_nothing_changes_nothing():
    images = photographs().float()
    still = Recolour(brightness=0.0, contrast=0.0, saturation=0.0)
    assert torch.allclose(still(images, torch.Generator()), images, atol=1e-3)


def test_a_grey_picture_stays_grey_and_within_the_range_of_pixels():
    grey = luma(photographs().float()).expand(-1, 3, -1, -1)
    changed = Recolour(0.9, 0.9, 0.9, focus=0.5)(grey, torch.Generator().manual_seed(1))
    assert torch.allclose(changed[:, 0], changed[:, 1], atol=1e-2)
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 255
    assert not torch.allclose(changed, grey, atol=1.0)


def test_blurring_keeps_a_ramp_and_spreads_a_point():
    ramp = torch.arange(9.0).expand(1, 3, 9, 9)
    assert torch.allclose(blurred(ramp)[:, :, :, 1:-1], ramp[:, :, :, 1:-1])
    point = torch.zeros(1, 1, 5, 5)
    point[0, 0, 2, 2] = 16
    assert blurred(point)[0, 0, 1:4, 1:4].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
