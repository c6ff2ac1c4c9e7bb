"""Time series: a linear read-out of what a core makes of them, settings chosen on a series of their own, and rivals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from engram.features.cores.core import Core
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.result import Values
from engram.lab.experiments.steps import measured
from engram.learner import FloatArray, State

Settings = dict[str, Any]


class Readout:
    """Ridge regression on standardised features, an intercept beside them.

    Args:
        features: (T, K).
        targets: (T, M).
        ridge: what is added to the diagonal of the features' correlations.

    >>> x = np.arange(9.0)[:, None]
    >>> Readout(x, 2 * x + 1, 1e-9)(np.array([[20.0]])).round(4).tolist()
    [[41.0]]
    """

    def __init__(self, features: FloatArray, targets: FloatArray, ridge: float) -> None:
        spread = features.std(axis=0)
        self._scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-12)
        self._mean, self._offset = features.mean(axis=0), targets.mean(axis=0)
        scaled = (features - self._mean) * self._scale
        gram = scaled.T @ scaled / len(scaled)
        gram[np.diag_indices_from(gram)] += ridge
        self._weights = np.linalg.solve(gram, scaled.T @ (targets - self._offset) / len(scaled))

    def __call__(self, features: FloatArray) -> FloatArray:
        """(N, M) for (N, K)."""
        return np.asarray((features - self._mean) * self._scale @ self._weights + self._offset)


def nmse(found: FloatArray, wanted: FloatArray) -> float:
    """The mean squared error over the variance of what was wanted."""
    return float(np.square(found - wanted).mean() / wanted.var())


def heard(core: Core, frames: FloatArray) -> FloatArray:
    """(T, width) outputs for a series (T, channels), one unit of time apart."""
    return np.asarray(core.advance(core.start(1), frames[None], np.ones((1, len(frames))))[1][0])


def with_squares(outputs: FloatArray, frames: FloatArray) -> FloatArray:
    """(T, 2 K + C): outputs, their squares, and the frames themselves."""
    return np.concatenate([outputs, np.square(outputs), frames], axis=1)


def delayed(frames: FloatArray, count: int, stride: int = 1) -> FloatArray:
    """(T, count · C): each frame with those before it; what lies before the first is like the first."""
    padded = np.pad(frames, (((count - 1) * stride, 0), (0, 0)), mode="edge")
    return np.concatenate([padded[k * stride : k * stride + len(frames)] for k in range(count)], axis=1)


def random_features(frames: FloatArray, count: int, seed: int, gain: float) -> FloatArray:
    """(T, count): tanh of random sums of the current frame alone."""
    rng = np.random.default_rng([seed, 7])
    weights = gain * rng.normal(size=(frames.shape[1], count))
    return np.tanh(frames @ weights + rng.normal(size=count))


def memoryless_network(
    frames: FloatArray, targets: FloatArray, units: int, seed: int
) -> Callable[[FloatArray], FloatArray]:
    """A trained network of the current frame alone, one layer of rectified units (scikit-learn's, Adam, early stop)."""
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import StandardScaler

    entry, out = StandardScaler().fit(frames), StandardScaler().fit(targets)
    network = MLPRegressor(hidden_layer_sizes=(units,), early_stopping=True, max_iter=300, random_state=seed)
    network.fit(entry.transform(frames), out.transform(targets).squeeze())
    return lambda asked: out.inverse_transform(network.predict(entry.transform(asked)).reshape(len(asked), -1))


def free_run(
    core: Core, state: State, frame: FloatArray, steps: int,
    following: Callable[[FloatArray, FloatArray], FloatArray],
) -> FloatArray:
    """(n, steps, C): each frame that follows is what was read out after the one before.

    Args:
        state: of n sequences, after `frame` (n, C) was heard.
        following: (outputs (n, K), frame (n, C)) -> (n, C); the first outputs are read by hearing padding.
    """
    found = []
    now, outputs = core.advance(state, frame[:, None], np.zeros((len(frame), 1)))
    for _ in range(steps):
        frame = following(outputs[:, -1], frame)
        found.append(frame)
        now, outputs = core.advance(now, frame[:, None], np.ones((len(frame), 1)))
    return np.stack(found, axis=1)


def grid(**values: Iterable[Any]) -> list[Settings]:
    """Every combination.

    >>> grid(a=(1, 2), b=(3,))
    [{'a': 1, 'b': 3}, {'a': 2, 'b': 3}]
    """
    return [dict(zip(values, some, strict=True)) for some in product(*values.values())]


def chosen(
    name: str, settings: Sequence[Settings], ridges: Sequence[float], errors: Callable[[Settings], Sequence[float]]
) -> tuple[Settings, list[Values]]:
    """The settings with the least error on validation data, and what each came to.

    Args:
        name: under which trials are kept on disk.
        settings, ridges: what is tried.
        errors: settings -> the error of each ridge.
    """
    tried = []
    for i, one in enumerate(settings):
        found = measured(f"{name}-{i}", partial(_tried, errors, one))["errors"]
        tried += [{"settings": one | {"ridge": ridge}, "error": error}
                  for ridge, error in zip(ridges, found, strict=True)]
    return min(tried, key=lambda trial: trial["error"])["settings"], tried


def _tried(errors: Callable[[Settings], Sequence[float]], settings: Settings) -> Values:
    return {"errors": list(errors(settings))}


def bars(result: Mapping[str, Any], titles: Mapping[str, str], what: str, log: bool = True) -> Any:
    """One bar a method, the best one on top."""
    figure, (axes,) = canvas(width=6.0, height=0.9 + 0.3 * len(titles))
    values = result["values"]
    found = {title: (values[name]["mean"], values[name]["sd"]) for name, title in titles.items() if name in values}
    ordered = dict(sorted(found.items(), key=lambda one: -one[1][0]))
    draw_bars(axes, ordered, what, span=(min(1e-6, 0.0), 1.1 * max(mean for mean, _ in found.values())))
    if log:
        axes.set_xscale("log")
        axes.set_xlim(0.5 * min(mean for mean, _ in found.values()), 2 * max(mean for mean, _ in found.values()))
    return figure
