"""What a strategy learned slowly is what a brain learns upon fast: its network is a backbone like any other."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from engram import Brain  # noqa: E402
from engram.features.backbones.bundle import Bundle  # noqa: E402
from engram.features.backbones.torch_module import TorchBackbone  # noqa: E402
from engram.heads.fast import FastHead  # noqa: E402
from engram.networks.strategies.grow_and_prune import GrowAndPrune  # noqa: E402
from engram.networks.strategies.naive import Naive  # noqa: E402

RECIPE = {"constant_budget": 12_000, "new_epochs": 1, "all_epochs": 4, "prune_epochs": 3, "learning_rate": 0.01,
          "prune_rate": 0.01, "averaging": 0.9}


def ringed(label: int, count: int, draw: int) -> np.ndarray:
    """Vectors of 10 values: two of them on a ring, which one tells the label; a line could not tell them apart."""
    rng = np.random.default_rng([label, draw])
    angle = rng.uniform(0, 2 * np.pi, count)
    vectors = 0.1 * rng.normal(size=(count, 10))
    vectors[:, 0] += (0.5 + label) * np.cos(angle)
    vectors[:, 1] += (0.5 + label) * np.sin(angle)
    return vectors.astype(np.float32)


@pytest.fixture(scope="module")
def learner() -> GrowAndPrune:
    """Taught rings 0, 2 and 4, pruned to a quarter."""
    learner = GrowAndPrune({"name": "perceptron", "inputs": [10], "hidden": [40, 20]}, parameters=400, batch=32,
                           recipe=RECIPE)
    learner.learn(np.concatenate([ringed(label, 150, 0) for label in (0, 2, 4)]), np.repeat([0, 2, 4], 150))
    return learner


def share_right(brain: Brain | FastHead, labels: tuple[int, ...]) -> float:
    return float(np.mean([np.mean(np.array(brain.predict(ringed(label, 60, 9)).best) == str(label))
                          for label in labels]))


def test_a_brain_on_a_pruned_network_learns_new_labels_at_once_and_keeps_the_old(
    learner: GrowAndPrune, tmp_path: Path
) -> None:
    assert learner.masks.live <= 400
    known = np.concatenate([ringed(label, 50, 1) for label in (0, 2, 4)])
    backbone = TorchBackbone(learner.network, width=10, name="rings").export()
    bundle = Bundle.measure(backbone, known, np.repeat([0, 2, 4], 50))
    brain, raw = Brain(bundle), FastHead(normalise=False, step=2.0**-9, readout="linear")
    for one in (brain, raw):
        for label in range(5):
            one.learn(ringed(label, 40, 2), [str(label)] * 40)
    assert share_right(brain, (0, 1, 2, 3, 4)) > 0.75
    assert share_right(brain, (0, 1, 2, 3, 4)) > share_right(raw, (0, 1, 2, 3, 4)) + 0.2
    brain.save(tmp_path / "rings.brain")
    opened = Brain.open(tmp_path / "rings.brain")
    assert opened.digest() == brain.digest()
    assert share_right(opened, (0, 4)) == share_right(brain, (0, 4))


def test_training_on_the_strategy_leaves_the_brain_as_it_is(learner: GrowAndPrune) -> None:
    bundle = Bundle.measure(TorchBackbone(learner.network, width=10), ringed(0, 30, 3), [0] * 30)
    before = bundle.features(ringed(2, 5, 4))
    state = learner.state()
    again = GrowAndPrune.from_state(state)
    later = Bundle.measure(TorchBackbone(again.network, width=10), ringed(0, 30, 3), [0] * 30)
    assert later.fingerprint == bundle.fingerprint
    again.learn(ringed(1, 60, 0), [1] * 60)
    assert np.array_equal(later.features(ringed(2, 5, 4)), before)
    moved = Bundle.measure(TorchBackbone(again.network, width=10), ringed(0, 30, 3), [0] * 30)
    assert moved.fingerprint != bundle.fingerprint  # its brains do not meld with those of before


def test_features_are_those_the_strategy_sees(learner: GrowAndPrune) -> None:
    inputs = ringed(2, 20, 5)
    backbone = TorchBackbone(learner.network, width=10)
    logits = backbone.features(inputs) @ learner.model.outputs.weight.detach().numpy().T
    logits += learner.model.outputs.bias.detach().numpy()
    assert np.allclose(logits, learner.predict(inputs).scores, atol=1e-4)
    assert np.allclose(backbone.export().features(inputs), backbone.features(inputs), atol=1e-4)


def test_a_convolutional_network_takes_pictures() -> None:
    from engram.features.backbones.preprocessing import Preprocessing

    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (8, 28, 28), np.uint8)
    learner = Naive({"name": "lenet-5"})
    learner.learn(pictures[:, None] / 255, ["a", "b"] * 4)
    looks = Preprocessing((28, 28), "grey")
    backbone = TorchBackbone(learner.network, looks)
    with torch.no_grad():
        expected = learner.network.eval()(torch.from_numpy(pictures[:, None] / 255).float()).numpy()
    assert np.allclose(backbone.features(list(pictures)), expected, atol=1e-4)
    brain = Brain(Bundle.measure(backbone, list(pictures), ["a", "b"] * 4))
    brain.learn(list(pictures), ["a", "b"] * 4)
    assert set(brain.predict(list(pictures)).best) == {"a", "b"}
