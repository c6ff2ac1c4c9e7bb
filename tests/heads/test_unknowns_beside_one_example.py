"""A class of which one example is known must not make everything look known."""

from __future__ import annotations

import numpy as np

from engram.heads.fast import FastHead

WIDTH = 64
NOISE = 1.6  # within classes, as large as it may be for strangers to be told at all


def head_and_strangers(seed: int) -> tuple[FastHead, np.ndarray, np.ndarray]:
    """Six classes of ten examples; inputs of eight classes that were never taught; one example of another."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(15, WIDTH))

    def drawn(places: np.ndarray) -> np.ndarray:
        vectors = centres[places] + NOISE * rng.normal(size=(len(places), WIDTH))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    head = FastHead(covariance=np.eye(WIDTH) * NOISE**2 / WIDTH / (1 + NOISE**2))
    classes = np.repeat(np.arange(6), 10)
    head.learn(drawn(classes), [f"class {place}" for place in classes])
    return head, drawn(np.repeat(np.arange(6, 14), 12)), drawn(np.array([14]))


def test_strangers_are_refused_as_before_once_a_class_of_one_example_is_known() -> None:
    before, after = [], []
    for seed in range(5):
        head, strangers, one = head_and_strangers(seed)
        before.append(np.mean(~head.predict(strangers).known))
        head.learn(one, "once")
        after.append(np.mean(~head.predict(strangers).known))
        assert head.predict(one).best == ["once"]
    assert np.mean(before) > 0.7
    assert np.mean(after) > 0.9 * np.mean(before)
