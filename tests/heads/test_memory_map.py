"""The map of the memory: distances on it are those that answers rest on, and it does not flip."""

from __future__ import annotations

import numpy as np
import pytest

from engram.heads.fast import FastHead
from engram.heads.fast.memory_map import MapPoint, memory_map
from engram.learner import FloatArray, InputError

WIDTH = 8


def taught(classes: int, count: int = 40, seed: int = 0, width: int = WIDTH, flat: bool = False) -> FastHead:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).uniform(-1, 1, size=(classes, width))
    if flat:  # all classes in one plane, the noise in every direction
        centres = centres[:, :2] @ np.linalg.qr(np.random.default_rng(8).normal(size=(width, 2)))[0].T
    head = FastHead(covariance=np.eye(width) * 0.01, normalise=False, step=2.0**-10)
    for i in range(classes):
        head.learn(centres[i] + 0.1 * rng.normal(size=(count, width)), f"c{i}")
    return head


def places(points: list[MapPoint], kind: str) -> FloatArray:
    return np.array([(p.x, p.y) for p in points if p.kind == kind])


def test_classes_that_lie_in_a_plane_keep_their_distances_in_standard_deviations() -> None:
    head = taught(5, flat=True)
    shown = places(memory_map(head), "class")
    means = head.view().means
    apart = means[:, None] - means[None]
    moved = head.view().whiten(apart.reshape(-1, WIDTH)).reshape(apart.shape)
    expected = np.sqrt(np.einsum("abd,abd->ab", moved, apart))
    distances = np.linalg.norm(shown[:, None] - shown[None], axis=2)
    np.testing.assert_allclose(distances, expected, rtol=0.02, atol=0.3)


def test_examples_of_a_class_scatter_by_one_around_its_mean() -> None:
    head = taught(6, count=60)
    points = memory_map(head, each=60)
    means = {p.label: (p.x, p.y) for p in points if p.kind == "class"}
    spread = np.array([(p.x - means[p.label][0], p.y - means[p.label][1]) for p in points if p.kind == "prototype"])
    assert len(spread) == 360
    np.testing.assert_allclose(spread.std(axis=0), 1.0, atol=0.15)


def test_unknowns_are_marked_and_lie_where_they_are() -> None:
    head = taught(4)
    mean = np.random.default_rng(7).uniform(-1, 1, size=(4, WIDTH))[2]
    points = memory_map(head, np.stack([mean, 3 * mean]))
    unknown = [p for p in points if p.label is None]
    assert [p.kind for p in unknown] == ["unknown", "unknown"]
    (of_class,) = (p for p in points if (p.label, p.kind) == ("c2", "class"))
    assert np.hypot(unknown[0].x - of_class.x, unknown[0].y - of_class.y) < 1.0
    with pytest.raises(InputError):
        memory_map(head, np.zeros((1, WIDTH + 1)))


def test_the_map_of_a_memory_that_grows_does_not_flip() -> None:
    shown = places(memory_map(taught(4)), "class")
    for seed in range(1, 6):
        again = places(memory_map(taught(4, count=30 + seed, seed=seed)), "class")
        assert np.abs(again - shown).max() < 0.35 * np.ptp(shown, axis=0).max()
    np.testing.assert_array_equal(places(memory_map(taught(4)), "class"), shown)


def test_a_new_class_moves_the_others_less_when_the_map_is_laid_like_the_one_before() -> None:
    head = taught(4)
    before = memory_map(head)
    head.learn(np.full((40, WIDTH), 1.5) + 0.1 * np.random.default_rng(3).normal(size=(40, WIDTH)), "far")
    alone, like = (places(memory_map(head, like=shown), "class")[:4] for shown in ((), before))
    was = places(before, "class")

    def moved(now: FloatArray) -> float:
        return float(np.square((now - now.mean(axis=0)) - (was - was.mean(axis=0))).sum())

    assert moved(like) <= moved(alone)
    turned = np.linalg.norm(alone[:, None] - alone[None], axis=2)
    np.testing.assert_allclose(np.linalg.norm(like[:, None] - like[None], axis=2), turned, atol=1e-9)


@pytest.mark.parametrize(("classes", "width"), [(1, WIDTH), (2, WIDTH), (3, 1), (1, 1), (2, 2)])
def test_few_classes_and_narrow_features_have_a_map_too(classes: int, width: int) -> None:
    head = taught(classes, width=width)
    for points in (memory_map(head), memory_map(head.view())):
        shown = places(points, "class")
        assert np.isfinite(shown).all()
        if classes > 1:
            assert np.ptp(shown[:, 0]) > 1
    spread = np.ptp(places(memory_map(head), "prototype"), axis=0)
    assert (spread > 0.5).tolist() == [True, width > 1]


def test_consolidated_classes_are_shown_by_their_prototypes_and_a_single_example_by_itself() -> None:
    head = taught(3, count=200)
    head.consolidate()
    head.learn(np.ones(WIDTH), "one")
    points = memory_map(head, each=5)
    assert sum(p.count for p in points if p.kind == "class") == 601
    for label in ("c0", "c1", "c2"):
        counts = [p.count for p in points if (p.label, p.kind) == (label, "prototype")]
        assert 1 <= len(counts) <= 5
        assert counts == sorted(counts, reverse=True)
        assert counts[0] > 5
    assert memory_map(FastHead()) == []
