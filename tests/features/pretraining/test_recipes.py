"""Recipes: each against a slow, independent reference, and each learns something small."""
# ruff: noqa: E402

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engram.features.pretraining import RECIPES, make_recipe
from engram.features.pretraining.contrastive_predictive_coding import (
    Above,
    ContrastivePredictiveCoding,
    info_nce,
    patches,
)
from engram.features.pretraining.cosine_margin import margin_logits
from engram.features.pretraining.families import make_network
from engram.features.pretraining.families.network import Network
from engram.features.pretraining.loop import Schedule, train
from engram.features.pretraining.photo_views import PhotoViews, shown
from engram.features.pretraining.recipe import from_pictures
from engram.features.pretraining.rotation import rotated
from engram.features.pretraining.swav import sinkhorn, swapped_prediction
from engram.learner import InputError

CLASSES = 4
SIDE = 32
SETTINGS = {"swav": {"prototypes": 8, "queue": 64}}


@pytest.fixture(scope="module")
def pictures():
    """Four kinds of pictures: a bright bar of a colour of its own at the top (so that up can be told)."""
    rng = np.random.default_rng(0)
    classes = rng.integers(CLASSES, size=96)
    colours = np.array([[230, 40, 40], [40, 230, 40], [40, 40, 230], [220, 220, 40]])
    images = rng.integers(60, 120, (96, 3, SIDE, SIDE))
    images[:, :, 2:12, 2:30] = colours[classes][:, :, None, None] + rng.integers(-20, 20, (96, 3, 10, 28))
    return torch.from_numpy(images.clip(0, 255).astype(np.uint8)), torch.from_numpy(classes)


class Small(Network):
    """Two convolutions: enough for bars."""

    def __init__(self):
        super().__init__()
        self.width = 16
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
            torch.nn.Conv2d(8, 16, 3, 2, 1), torch.nn.BatchNorm2d(16), torch.nn.ReLU(),
        )

    def maps(self, images):
        return self.layers(images)

    def embed(self, images):
        maps = self.maps(images)
        upper, lower = maps.chunk(2, 2)  # where a thing is matters for rotations
        return torch.cat([upper.mean((2, 3))[:, ::2], lower.mean((2, 3))[:, ::2]], 1)


def small():
    torch.manual_seed(0)
    return Small()


@pytest.mark.parametrize("name", RECIPES)
def test_the_loss_falls_on_a_small_problem(name, pictures):
    recipe = make_recipe(name, small(), CLASSES, SIDE, **SETTINGS.get(name, {}))
    told = []
    draw = from_pictures(recipe, *pictures, passes=48)
    schedule = Schedule(100, learning_rate=0.01, averaging=0.9, bfloat16=False)
    before = mean_loss(recipe, draw)
    train(recipe, draw, schedule, progress=lambda done, steps, what: told.append(float(what.removeprefix("loss "))))
    assert np.isfinite(told).all()
    assert mean_loss(recipe, draw) < 0.9 * before


def mean_loss(recipe, draw):
    """In training mode, as the recipe sees it, over the same four batches; the recipe is left as it was."""
    state = {name: value.clone() for name, value in recipe.state_dict().items()}
    generator = torch.Generator().manual_seed(99)
    recipe.train()
    with torch.no_grad():
        losses = [float(recipe(*draw(generator))) for _ in range(4)]
    recipe.load_state_dict(state)
    return np.mean(losses)


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_seed_draws_the_same_batch(name, pictures):
    recipe = make_recipe(name, small(), CLASSES, SIDE)
    draw = from_pictures(recipe, *pictures, passes=32)
    first, second, other = (draw(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(map(torch.equal, first, second))
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("name", RECIPES)
def test_a_batch_costs_the_passes_it_was_asked_to(name, pictures):
    recipe = make_recipe(name, small(), CLASSES, SIDE)
    batch = from_pictures(recipe, *pictures, passes=120)(torch.Generator().manual_seed(0))
    pixels = sum(part.shape[0] * part.shape[2] * part.shape[3] for part in batch if part.ndim == 4)
    assert pixels / SIDE**2 == pytest.approx(120, rel=0.05)


def test_margin_logits_are_the_published_formulas():
    rng = np.random.default_rng(0)
    cosines, classes = rng.uniform(-0.7, 0.99, (6, 5)), rng.integers(5, size=6)
    for margin, angle in ((0.35, 0.0), (0.0, 0.5), (0.1, 0.2)):
        ours = margin_logits(torch.tensor(cosines), torch.tensor(classes), 30.0, margin, angle).numpy()
        for i in range(6):
            for c in range(5):
                cosine = cosines[i, c]
                if c == classes[i]:
                    cosine = math.cos(math.acos(cosine) + angle) - margin
                assert ours[i, c] == pytest.approx(30.0 * cosine, abs=1e-9)


def test_a_larger_angle_never_pays_however_large():
    cosines = torch.linspace(1, -1, 200, dtype=torch.float64)[:, None]
    logits = margin_logits(cosines, torch.zeros(200, dtype=torch.int64), 1.0, 0.0, 0.5)[:, 0]
    assert (logits.diff() < 0).all()


def test_sinkhorn_reaches_both_sums_and_prefers_what_scores():
    scores = torch.rand(12, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = sinkhorn(scores, sharpness=5.0, rounds=200)
    assert torch.allclose(found.sum(1), torch.ones(12, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(found.sum(0), torch.full((5,), 12 / 5, dtype=torch.float64), atol=1e-6)
    # The optimum of entropic transport is unique: exp(5·score) times a factor per row and one per column.
    ratio = torch.log(found) - 5 * scores
    interaction = ratio - ratio.mean(0, keepdim=True) - ratio.mean(1, keepdim=True) + ratio.mean()
    assert interaction.abs().max() < 1e-8


def test_three_rounds_of_sinkhorn_are_those_of_a_plain_loop():
    scores = np.random.default_rng(1).uniform(-1, 1, (7, 3))
    shares = np.exp(20 * scores)
    for _ in range(3):
        for k in range(3):
            shares[:, k] /= shares[:, k].sum() / (7 / 3)
        for i in range(7):
            shares[i] /= shares[i].sum()
    assert np.allclose(sinkhorn(torch.tensor(scores), 20.0, 3).numpy(), shares, atol=1e-9)


def test_swapped_prediction_is_the_published_sum():
    rng = np.random.default_rng(2)
    views, count, kinds = 3, 4, 5
    scores, codes = rng.normal(size=(views * count, kinds)), rng.dirichlet(np.ones(kinds), 2 * count)
    expected = []
    for own in range(2):
        for other in range(views):
            if other != own:
                for i in range(count):
                    row = scores[other * count + i] / 0.3
                    log_share = row - np.log(np.exp(row).sum())
                    expected.append(-(codes[own * count + i] * log_share).sum())
    ours = swapped_prediction(torch.tensor(scores), views, 0.3, torch.tensor(codes))
    assert ours.item() == pytest.approx(np.mean(expected), rel=1e-9)


def test_swav_remembers_the_newest_projections_in_training_only(pictures):
    recipe = make_recipe("swav", small(), CLASSES, SIDE, queue=40, prototypes=6)
    batch = recipe.batch(*(part[:8] for part in pictures), torch.Generator().manual_seed(0))
    recipe.eval()(*batch)
    assert recipe.filled == 0
    recipe.train()(*batch)
    first = recipe.past[:8].clone()
    assert recipe.filled == 8
    assert torch.allclose(first.norm(dim=1), torch.ones(8), atol=1e-5)
    for start in range(8, 56, 8):
        recipe(*recipe.batch(*(part[start : start + 8] for part in pictures), torch.Generator().manual_seed(0)))
    assert recipe.filled == 40
    assert not torch.equal(recipe.past[32:], first)  # pushed out by the newest
    recipe.past.zero_()
    recipe(*batch)
    assert (recipe.past[8:] == 0).all()


def test_info_nce_is_the_published_formula():
    rng = np.random.default_rng(3)
    predicted, targets, places = rng.normal(size=(5, 4)), rng.normal(size=(9, 4)), rng.permutation(9)[:5]
    losses = []
    for i in range(5):
        similar = [
            predicted[i] @ targets[j] / np.linalg.norm(predicted[i]) / np.linalg.norm(targets[j]) / 0.2
            for j in range(9)
        ]
        losses.append(-similar[places[i]] + np.log(np.sum(np.exp(similar))))
    ours = info_nce(torch.tensor(predicted), torch.tensor(targets), torch.tensor(places), 0.2)
    assert ours.item() == pytest.approx(np.mean(losses), rel=1e-9)


def test_patches_are_windows_of_the_picture_row_by_row():
    images = torch.arange(2 * 1 * 10 * 10).reshape(2, 1, 10, 10)
    found = patches(images, 3, 4)
    assert found.shape == (18, 1, 4, 4)
    assert torch.equal(found[0, 0], images[0, 0, :4, :4])
    assert torch.equal(found[5, 0], images[0, 0, 3:7, 6:])
    assert torch.equal(found[17, 0], images[1, 0, 6:, 6:])


def test_the_context_never_sees_what_is_below():
    torch.manual_seed(0)
    above = Above(3)
    maps = torch.randn(1, 3, 5, 5)
    changed = maps.clone()
    changed[:, :, 3:] += 1
    assert torch.equal(above(maps)[:, :, :3], above(changed)[:, :, :3])
    assert not torch.equal(above(maps)[:, :, 3], above(changed)[:, :, 3])


@pytest.mark.parametrize(("grid", "share"), [(5, 0.375), (4, 0.25), (7, 0.25), (3, 0.5)])
def test_what_is_predicted_shares_no_pixels_with_its_context(grid, share):
    recipe = ContrastivePredictiveCoding(small(), 1, 64, grid, share)
    tops = [round(i * (64 - recipe.patch) / (grid - 1)) for i in range(grid)]
    if recipe.first < grid - 1:
        assert all(tops[i + recipe.first] >= tops[i] + recipe.patch - 1 for i in range(grid - recipe.first))
    assert recipe.first > 0
    assert len(recipe.steps) > 0


def test_pictures_turn_anticlockwise_by_quarters():
    images = torch.rand(4, 3, 6, 6)
    found = rotated(images, torch.tensor([0, 1, 2, 3]))
    for i in range(4):
        assert np.array_equal(found[i].numpy(), np.rot90(images[i].numpy(), i, (1, 2)))


def test_a_rotated_class_is_a_class_of_its_own(pictures):
    recipe = make_recipe("rotation-classes", small(), CLASSES, SIDE)
    _, joint = recipe.batch(*pictures, torch.Generator().manual_seed(0))
    assert torch.equal(joint // 4, pictures[1])
    assert set((joint % 4).tolist()) == {0, 1, 2, 3}


def test_views_are_what_the_trained_network_will_be_shown():
    """A view of everything, unchanged, is what the preprocessing makes of the picture."""
    from engram.features.pretraining.photo_augmentation import Recolour, View

    class Whole:
        def __call__(self, count, generator):
            boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(count, 1)
            return View(boxes, torch.zeros(count, dtype=torch.bool), torch.zeros(count, dtype=torch.bool))

    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 20), dtype=np.uint8)
    views = PhotoViews(20, Whole(), Recolour(0.0, 0.0, 0.0))
    seen = views(torch.from_numpy(pixels)[None], torch.Generator().manual_seed(0))
    assert np.abs(seen[0].numpy() - shown(20)([pixels.transpose(1, 2, 0)])[0]).max() < 1e-3


def test_a_network_of_one_size_is_refused_where_views_differ_in_size():
    lenet = make_network("lenet5", 2, channels=3)
    for name in ("swav", "cpc"):
        with pytest.raises(InputError, match="another family"):
            make_recipe(name, lenet, 2, 32)


def test_what_cannot_be_made_is_refused_with_what_can():
    with pytest.raises(InputError, match=r"Unknown recipe 'simclr'. Choose from: cross-entropy"):
        make_recipe("simclr", small(), 2, 32)
    with pytest.raises(InputError, match="two classes or more"):
        make_recipe("cross-entropy", small(), 1, 32)
    with pytest.raises(InputError, match="cannot be made with"):
        make_recipe("cross-entropy", small(), 2, 32, temperature=1.0)
