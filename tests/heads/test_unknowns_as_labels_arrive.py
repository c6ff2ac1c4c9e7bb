"""What counts as known keeps up with the labels: a third label among few does not make the others strangers."""

from __future__ import annotations

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
