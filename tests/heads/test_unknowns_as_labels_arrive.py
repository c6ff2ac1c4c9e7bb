"""What counts as known keeps up with the labels: a third label among few does not make the others strangers."""

from __future__ import annotations

import threading

import numpy as np

from engram.heads.fast import FastHead


def test_known_things_stay_known_when_a_third_label_arrives() -> None:
    rng = np.random.default_rng(0)
    centres = {label: rng.normal(20, 5, 16) for label in ("idle", "busy", "worn")}

    def readings(label: str, count: int) -> np.ndarray:
        return centres[label] + rng.normal(size=(count, 16))

    # The mean lies between the first two: their cosines are +1 and -1, their focus 2 with hardly any spread.
    head = FastHead((centres["idle"] + centres["busy"]) / 2, np.eye(16), step=2.0**-7, normalise=False)
    for label in ("idle", "busy"):
        head.learn(readings(label, 30), label)
    assert head.predict(readings("worn", 20)).labels == [None] * 20
    head.learn(readings("worn", 4), "worn")
    for label in ("idle", "busy"):
        assert head.predict(readings(label, 20)).labels.count(label) >= 18


def test_known_things_stay_known_when_the_fit_beside_serving_is_swapped_in() -> None:
    rng = np.random.default_rng(1)
    strengths = np.geomspace(3.0, 0.03, 512)  # far from the identity that the head assumes until it is fitted

    def readings(label: int, count: int) -> np.ndarray:
        return strengths * (np.random.default_rng(label).normal(size=512) + rng.normal(size=(count, 512)))

    head = FastHead(step=2.0**-8, normalise=False)
    for label in range(8):
        head.learn(readings(label, 14), label)
        head.predict(readings(label, 1))
    for thread in threading.enumerate():
        if thread.name == "engram-fit":
            thread.join()
    known = [head.predict(readings(label, 10)).known.mean() for label in range(8)]
    assert np.mean(known) > 0.8
    head.rebuild()
    assert abs(np.mean([head.predict(readings(label, 10)).known.mean() for label in range(8)]) - np.mean(known)) < 0.15


def test_asking_among_one_label_knows_what_asking_among_all_knows():
    rng = np.random.default_rng(3)
    centres = np.eye(8)[:4]
    x = np.repeat(centres, 30, axis=0) + 0.05 * rng.normal(size=(120, 8))
    head = FastHead(covariance=np.eye(8) * 0.0025)
    head.learn(x, np.repeat(np.arange(4), 30))
    friends = centres[[1]].repeat(50, axis=0) + 0.05 * rng.normal(size=(50, 8))
    assert head.predict(friends, among=[1]).known.mean() > 0.9
    np.testing.assert_array_equal(head.predict(friends, among=[1]).known, head.predict(friends).known)
