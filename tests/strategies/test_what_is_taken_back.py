"""An interrupted learning leaves no trace, and nobody who asks meanwhile sees one."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engram.strategies.grow_and_prune import GrowAndPrune  # noqa: E402
from engram.strategies.naive import Naive  # noqa: E402

SPEC = {"name": "perceptron", "inputs": [4], "hidden": [12]}
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(60, 4)).astype(np.float32)
LABELS = ["a", "b", "c"] * 20


class Interrupted(Naive):
    """Stops in the middle of learning, once, when told to."""

    stop_at = -1
    seen = 0

    def observe(self, inputs: Any, targets: Any) -> None:
        self.seen += 1
        if self.seen == self.stop_at:
            raise KeyboardInterrupt
        super().observe(inputs, targets)


def make() -> Interrupted:
    return Interrupted(SPEC, epochs=3, batch=8, active="experience")


def test_learning_that_is_interrupted_and_repeated_ends_where_it_would_have_ended_at_once() -> None:
    stopped, straight = make(), make()
    for learner in (stopped, straight):
        learner.learn(INPUTS[:20], LABELS[:20])
        learner.steps = learner.fresh_steps()  # an interruption starts the running averages anew
    before = stopped.state()
    stopped.stop_at = stopped.seen + 5
    with pytest.raises(KeyboardInterrupt):
        stopped.learn(INPUTS, ["a", "b", "d"] * 20)
    after = stopped.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    for learner in (stopped, straight):
        learner.learn(INPUTS, ["a", "b", "d"] * 20)
    assert np.array_equal(stopped.predict(INPUTS).scores, straight.predict(INPUTS).scores)


def test_many_may_ask_while_it_learns() -> None:
    learner = Naive(SPEC, epochs=300, batch=8)
    learner.learn(INPUTS[:20], LABELS[:20])
    before = learner.predict(INPUTS).scores
    wrong: list[Any] = []
    done = threading.Event()

    def ask() -> None:
        try:
            while not done.is_set():
                scores = learner.predict(INPUTS).scores
                if not done.is_set() and learner._answering._before is not None and not np.allclose(scores, before):
                    wrong.append(scores)
        except Exception as error:
            wrong.append(error)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    learner.learn(INPUTS, LABELS)
    done.set()
    for asker in askers:
        asker.join(30)
    assert not wrong


def test_a_compression_that_is_interrupted_leaves_the_network_and_its_report() -> None:
    recipe = {"constant_budget": 0, "all_epochs": 2, "prune_epochs": 4}
    learner = GrowAndPrune(SPEC, parameters=60, batch=8, recipe=recipe)
    learner.learn(INPUTS, LABELS)
    report, scores = learner.report, learner.predict(INPUTS).scores

    def stop(share: float, what: str) -> None:
        raise KeyboardInterrupt

    learner.progress = stop
    with pytest.raises(KeyboardInterrupt):
        learner.compress(40)
    assert learner.report == report
    assert np.array_equal(learner.predict(INPUTS).scores, scores)
    assert learner.recipe.recoverable


def test_a_learner_may_go_on_from_what_another_one_knows() -> None:
    one, two = make(), make()
    one.learn(INPUTS, LABELS)
    two.become(one.whole.knowledge())
    assert np.array_equal(two.predict(INPUTS).scores, one.predict(INPUTS).scores)
    two.learn(INPUTS[:8], ["c", "d"] * 4)
    assert two.labels == ("a", "b", "c", "d")
