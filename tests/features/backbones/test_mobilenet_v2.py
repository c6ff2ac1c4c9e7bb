"""MobileNetV2 from its weights file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from engram.features.backbones.inverted_residuals import WIDTH
from engram.features.backbones.mobilenet_v2 import BLOCKS, layers, load, meta, to_onnx
from engram.features.backbones.preprocessing import MOBILENET
from engram.inputs.images import scan
from engram.learner import DamagedError, InputError

DATA = Path(os.environ.get("ENGRAM_DATA", "no-data"))
WEIGHTS = DATA / "weights/mobilenetv2_1.0_224_int8.npz"
needs_data = pytest.mark.skipif(not WEIGHTS.is_file(), reason="MobileNetV2's weights are not under $ENGRAM_DATA")


def small_weights(path: Path, **changes: np.ndarray | None) -> Path:
    """A file of the right layout with weights of chance; a change of None leaves an entry out."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for i, layer in enumerate(layers()):
        fan = np.prod(layer.shape[1:])
        arrays |= {
            f"{i:02d}.w": rng.integers(-127, 128, layer.shape, dtype=np.int8),
            f"{i:02d}.scale": np.full(layer.outputs, np.sqrt(2 / fan) / 73, np.float32),
            f"{i:02d}.bias": rng.normal(0, 0.1, layer.outputs).astype(np.float32),
            f"{i:02d}.meta": np.array(meta(layer)),
        }
    kept = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
    np.savez(path, **kept)
    return path


def by_hand(path: Path, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and logits by PyTorch, with TensorFlow's SAME padding computed as its guide defines it."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    arrays = np.load(path)
    number = 0

    def convolve(x):  # type: ignore[no-untyped-def]
        nonlocal number
        weights, scale, bias, (stride, depthwise, activation) = (
            arrays[f"{number:02d}.{part}"] for part in ("w", "scale", "bias", "meta")
        )
        weights = torch.tensor(weights * scale[:, None, None, None])
        kernel, side = weights.shape[2], x.shape[2]
        pad = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        x = torch.nn.functional.pad(x, (pad // 2, pad - pad // 2) * 2)
        groups = x.shape[1] if depthwise else 1
        x = torch.nn.functional.conv2d(x, weights, torch.tensor(bias), int(stride), groups=groups)
        number += 1
        return torch.nn.functional.relu6(x) if activation == 3 else x

    with torch.inference_mode():
        x = convolve(torch.tensor(pixels))
        for expansion, outputs, repeats, stride in BLOCKS:
            for repeat in range(repeats):
                y = convolve(x) if expansion > 1 else x
                y = convolve(convolve(y))
                x = x + y if repeat and stride and y.shape == x.shape and y.shape[1] == outputs else y
        features = convolve(x).mean((2, 3), keepdim=True)
        return features[:, :, 0, 0].numpy(), convolve(features)[:, :, 0, 0].numpy()


def test_the_written_network_is_valid_onnx(tmp_path: Path) -> None:
    written = to_onnx(small_weights(tmp_path / "w.npz"), logits=True)
    model = onnx.load_from_string(written)
    onnx.checker.check_model(model, full_check=True)
    assert sum(node.op_type == "Conv" for node in model.graph.node) == 53
    assert sum(node.op_type == "Add" for node in model.graph.node) == 10


def test_features_and_logits_are_those_of_an_independent_implementation(tmp_path: Path) -> None:
    path = WEIGHTS if WEIGHTS.is_file() else small_weights(tmp_path / "w.npz")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 60, 80, 3), dtype=np.uint8)
    features, logits = by_hand(path, MOBILENET(pictures))
    assert load(path).width == WIDTH
    for seen, expected in ((load(path), features), (load(path, logits=True), logits)):
        assert np.allclose(seen.features(pictures), expected, atol=1e-4 * np.abs(expected).max())


def test_the_core_installation_imports_it_and_sees_with_it(tmp_path: Path) -> None:
    """From the weights file to a bundle that opens again, with nothing but the core's requirements."""
    code = f"""
import sys
for name in ("torch", "onnx", "onnxscript", "scipy", "sklearn", "matplotlib"):
    sys.modules[name] = None
import numpy as np
from engram.features.backbones import catalogue
from engram.features.backbones.bundle import Bundle
catalogue.import_file({str(small_weights(tmp_path / "w.npz"))!r}, "mine")
print(Bundle.named("mine").features(np.zeros((9, 9, 3), np.uint8)).shape)
"""
    environment = {**os.environ, "ENGRAM_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "(1, 1280)", done.stderr


@pytest.mark.parametrize(
    "changes",
    [
        {"17.w": None}, {"52.scale": None}, {"00.w": np.zeros((32, 3, 3, 3), np.float32)},
        {"00.w": np.zeros((32, 3, 5, 5), np.int8)}, {"03.bias": np.zeros(7, np.float32)},
        {"04.meta": np.array([1, 1, 3])}, {"05.w": np.array([{}], dtype=object)},
    ],
    ids=str,
)
def test_weights_of_another_network_are_damaged(tmp_path: Path, changes: dict[str, np.ndarray | None]) -> None:
    with pytest.raises(DamagedError):
        load(small_weights(tmp_path / "w.npz", **changes))


def test_files_that_are_truncated_missing_or_something_else_are_refused(tmp_path: Path) -> None:
    content = small_weights(tmp_path / "w.npz").read_bytes()
    for part in (b"", content[:1000], content[: len(content) // 2], content[:-30], b"PK" + content[2:500]):
        (tmp_path / "cut.npz").write_bytes(part)
        with pytest.raises(DamagedError):
            load(tmp_path / "cut.npz")
    with pytest.raises(InputError, match="No file"):
        load(tmp_path / "missing.npz")


@needs_data
@pytest.mark.parametrize(("folder", "floor"), [("photos", 95.0), ("steel-defects", 92.0)])
def test_class_means_of_14_pictures_tell_real_classes_apart(folder: str, floor: float) -> None:
    """Expected about 97% on either (the data's notes: 96% on ten easy classes, 96% on steel)."""
    paths, labels = scan(DATA / folder)
    names = sorted(set(labels or ()))[:6]
    rng = np.random.default_rng(0)
    mine = {name: rng.permutation([str(p) for p, label in zip(paths, labels or (), strict=True) if label == name])
            for name in names}
    backbone = load(WEIGHTS)

    def directions(chosen: list[str]) -> np.ndarray:
        features = backbone.features(chosen).astype(np.float64)
        return features / np.linalg.norm(features, axis=1, keepdims=True)

    means = np.stack([directions(list(mine[name][:14])).mean(axis=0) for name in names])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    hits = [np.argmax(directions(list(mine[name][14:30])) @ means.T, axis=1) == i for i, name in enumerate(names)]
    assert 100 * np.concatenate(hits).mean() >= floor
