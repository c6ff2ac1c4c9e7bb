"""Active dendrites: units answer as their segments recognise the context, which nobody tells."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engram.learner import InputError  # noqa: E402
from engram.networks.strategies.active_dendrites import ActiveDendrites, strongest  # noqa: E402
from engram.networks.strategies.naive import Naive  # noqa: E402

NETWORK = {"name": "perceptron", "inputs": [8], "hidden": [60], "slope": 0.0}
FAST = {"epochs": 15, "batch": 20, "learning_rate": 0.02}
ORDERS = [np.random.default_rng(number).permutation(8) for number in range(3)]


def order(number: int) -> tuple[np.ndarray, list[int]]:
    """The same question about values in another order, at another mean."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(120, 8)) + np.linspace(-2, 2, 8)
    labels = (values[:, 0] + values[:, 7] > 0).astype(int).tolist()
    return values[:, ORDERS[number]].astype(np.float32), labels


def through(learner, tasks: int):
    for number in range(tasks):
        learner.learn(*order(number))
        learner.consolidate()
    return learner


def right(learner) -> float:
    return float(np.mean([np.array(learner.predict(order(n)[0]).best) == order(n)[1] for n in range(3)]))


def test_in_contexts_that_nobody_tells_it_forgets_less_than_naive() -> None:
    assert right(through(ActiveDendrites(NETWORK, **FAST), 3)) > right(through(Naive(NETWORK, **FAST), 3)) + 0.05


def test_a_prototype_is_the_mean_of_what_came_between_two_boundaries() -> None:
    learner = ActiveDendrites(NETWORK, epochs=1)
    inputs, labels = order(0)
    learner.learn(inputs[:50], labels[:50])
    learner.learn(inputs[50:], labels[50:])
    learner.consolidate()
    learner.learn(*order(1))
    prototypes = learner.model.prototypes.numpy()
    assert np.allclose(prototypes, [inputs.mean(axis=0), order(1)[0].mean(axis=0)], atol=1e-5)
    distances = ((inputs[:, None] - prototypes) ** 2).sum(axis=2)
    assert learner.model.context(torch.from_numpy(inputs)).tolist() == distances.argmin(axis=1).tolist()


def test_a_unit_answers_as_the_segment_that_responds_most_says() -> None:
    learner = through(ActiveDendrites(NETWORK, segments=3, winners=0.25, epochs=1), 1)
    inputs, context = order(0)[0], learner.model.prototypes[0].numpy()
    weight, bias = (parameter.detach().numpy() for parameter in learner.network[1].parameters())
    responses = next(iter(learner.model.segments.values())).detach().numpy() @ context
    chosen = responses[np.arange(60), np.abs(responses).argmax(axis=1)]
    answers = (inputs @ weight.T + bias) / (1 + np.exp(-chosen))
    least = np.sort(answers, axis=1)[:, -15:][:, :1]
    expected = np.maximum(answers * (answers >= least), 0)
    found = learner.model.features(torch.from_numpy(inputs)).detach().numpy()
    assert np.allclose(found, expected, atol=1e-4)
    assert (strongest(torch.from_numpy(answers), 0.25) != 0).sum(dim=1).tolist() == [15] * 120


def test_settings_that_cannot_be_are_refused() -> None:
    convolution = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2), torch.nn.Flatten())
    for made in (lambda: ActiveDendrites(NETWORK, segments=0), lambda: ActiveDendrites(NETWORK, winners=0.0),
                 lambda: ActiveDendrites(convolution, shape=(1, 4, 4))):
        with pytest.raises(InputError):
            made()
