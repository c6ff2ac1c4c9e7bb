# ruff: noqa: E402
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engram.features.pretraining.onnx_network import to_onnx
from engram.features.pretraining.supervised_contrastive import supervised_contrastive
from engram.lab.recipes.digit_recipe import CharacterNetwork, CosineClassifier


def slow_contrast(directions, classes, temperature):
    """Khosla et al. 2020, equation 2, one example at a time."""
    losses = []
    for i in range(len(classes)):
        others = [a for a in range(len(classes)) if a != i]
        companions = [p for p in others if classes[p] == classes[i]]
        total = sum(np.exp(directions[i] @ directions[a] / temperature) for a in others)
        if companions:
            logs = [directions[i] @ directions[p] / temperature - np.log(total) for p in companions]
            losses.append(-np.mean(logs))
    return np.mean(losses)


def test_the_contrastive_loss_is_the_published_formula():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(12, 5))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    classes = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 1, 4])
    ours = supervised_contrastive(torch.tensor(directions), torch.tensor(classes), 0.2)
    assert ours.item() == pytest.approx(slow_contrast(directions, classes, 0.2), rel=1e-9)


def test_a_cosine_classifier_ignores_length_and_has_bounded_logits():
    torch.manual_seed(0)
    classifier = CosineClassifier(6, 4, 5, sharpness=10)
    torch.nn.init.zeros_(classifier.projection.bias)
    features = torch.randn(7, 6)
    assert torch.allclose(classifier(features), classifier(3 * features), atol=1e-4)
    assert classifier(features).abs().max() <= 10.001


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = CharacterNetwork((4, 8), 16, 13)
    network.train()
    for _ in range(3):
        network(torch.rand(32, 1, 13, 13))
    return network.eval()


def test_features_are_two_parts_of_unit_length(network):
    features = network(torch.rand(6, 1, 13, 13))
    assert features.shape == (6, network.width) == (6, 16 + 4 * 8)
    assert torch.allclose(features[:, :16].norm(dim=1), torch.ones(6), atol=1e-5)
    assert torch.allclose(features[:, 16:].norm(dim=1), torch.ones(6), atol=1e-5)


def test_the_onnx_file_gives_the_same_features(network):
    onnxruntime = pytest.importorskip("onnxruntime")
    images = torch.rand(9, 1, 13, 13)
    session = onnxruntime.InferenceSession(to_onnx(network, (1, 13, 13)), providers=["CPUExecutionProvider"])
    (features,) = session.run(["features"], {"images": images.numpy()})
    assert np.abs(features - network(images).detach().numpy()).max() < 1e-4
