"""Naive fine-tuning: learn what arrives and nothing else. The lower bound: what was learned before is forgotten."""

from __future__ import annotations

from engram.networks.strategies.strategy import Strategy


class Naive(Strategy):
    """Gradient descent on what arrives, as `Strategy` does it.

    >>> import numpy as np
    >>> learner = Naive({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=50, learning_rate=0.01)
    >>> learner.learn(np.eye(2), ["left", "right"])
    >>> learner.predict([1.0, 0.0]).labels
    ['left']
    """
