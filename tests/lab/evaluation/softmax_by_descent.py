"""A slow learner small enough to read: softmax regression by stochastic gradient descent, its generator saved with it.

Run as a program it is evaluated on a small stream, and kills itself (SIGKILL) where it is told to:

    python softmax_by_descent.py OUT LEARNER STEP
"""

from __future__ import annotations

import json
import os
import signal
import sys

import numpy as np

from engram.heads import make
from engram.lab.evaluation import evaluate
from engram.lab.streams import class_incremental, from_arrays
from engram.learner import Consolidation, Predictions


class SoftmaxByDescent:
    exact = False
    boundaries = True

    def __init__(self, width: int, rate: float = 0.5, seed: int = 0) -> None:
        self.rate, self.rng = rate, np.random.default_rng(seed)
        self.labels: list[int] = []
        self.weights = np.zeros((0, width))
        self.samples_stored, self.consolidated = 0, 0

    @property
    def multiply_adds(self) -> int:
        return self.weights.size

    def learn(self, inputs, targets):
        targets = [int(target) for target in targets]
        for label in dict.fromkeys(targets):
            if label not in self.labels:
                self.labels.append(label)
                self.weights = np.vstack([self.weights, 0.01 * self.rng.normal(size=self.weights.shape[1])])
        places = np.array([self.labels.index(target) for target in targets])
        for i in self.rng.permutation(len(places)):
            error = np.exp(self.weights @ inputs[i])
            error /= error.sum()
            error[places[i]] -= 1
            self.weights -= self.rate * np.outer(error, inputs[i])

    def predict(self, inputs, among=None):
        if not self.labels:
            return Predictions((), np.zeros((len(inputs), 0)), np.zeros(len(inputs), bool))
        return Predictions(tuple(self.labels), inputs @ self.weights.T, np.ones(len(inputs), bool))

    def consolidate(self):
        self.consolidated += 1
        return Consolidation()

    def state(self):
        rng = np.frombuffer(json.dumps(self.rng.bit_generator.state).encode(), np.uint8)
        return {"weights": self.weights.copy(), "labels": np.array(self.labels, np.int64), "rng": rng,
                "consolidated": np.array(self.consolidated)}

    @classmethod
    def from_state(cls, state, rate=0.5):
        learner = cls(state["weights"].shape[1], rate)
        learner.weights, learner.labels = state["weights"].copy(), state["labels"].tolist()
        learner.rng.bit_generator.state = json.loads(state["rng"].tobytes())
        learner.consolidated = int(state["consolidated"])
        return learner


def stream():
    rng = np.random.default_rng(7)
    labels = np.repeat(np.arange(8), 40)
    inputs = rng.normal(size=(8, 12))[labels] + 0.8 * rng.normal(size=(len(labels), 12))
    return class_incremental(from_arrays(inputs, labels, test=0.25), per=2)


LEARNERS = {
    "descent": lambda: SoftmaxByDescent(12, seed=3),
    "fast": lambda: make("fast"),
    "ranpac": lambda: make("ranpac", units=50),
    "online_prototypes": lambda: make("online_prototypes", capacity=3),
}


if __name__ == "__main__":
    out, learner, step = sys.argv[1], sys.argv[2], int(sys.argv[3])
    calls = iter(range(1_000_000))

    def progress(done, total, what):
        if next(calls) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    evaluate(LEARNERS[learner](), stream(), out=out, progress=progress)
