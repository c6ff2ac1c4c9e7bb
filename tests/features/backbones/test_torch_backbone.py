"""PyTorch modules as backbones."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.preprocessing import DIGITS
from engram.learner import DamagedError, InputError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from engram.features.backbones.torch_module import TorchBackbone  # noqa: E402


class Small(torch.nn.Module):
    """A residual step, batch norm and dropout: what differs between training and evaluation."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.trunk = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.ReLU())
        self.drop = torch.nn.Dropout(0.5)
        self.head = torch.nn.Linear(4, 3)
        self.unused = torch.nn.Linear(2, 2)
        self.norm.running_mean += torch.randn(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x))
        return self.head(self.drop((x + self.trunk(x)).mean((2, 3))))


PICTURES = np.random.default_rng(3).integers(0, 17, (6, 8, 8)).astype(np.float64)
INPUTS = torch.tensor(PICTURES[:, None] / 16, dtype=torch.float32)


def test_features_are_the_modules_output_in_evaluation_mode() -> None:
    module = Small().train()
    features = TorchBackbone(module, DIGITS).features(PICTURES)
    assert module.training
    with torch.no_grad():
        assert np.allclose(features, module.eval()(INPUTS), atol=1e-6)


def test_a_cut_gives_the_named_layers_output_averaged_over_its_map() -> None:
    module = Small().eval()
    with torch.no_grad():
        expected = module.trunk(module.norm(module.stem(INPUTS))).mean((2, 3))
    backbone = TorchBackbone(module, DIGITS, cut="trunk.1")
    assert backbone.width == 4
    assert np.allclose(backbone.features(PICTURES), expected, atol=1e-6)
    assert np.allclose(module(INPUTS).detach(), TorchBackbone(module, DIGITS).features(PICTURES), atol=1e-6)


def test_training_the_original_on_changes_nothing() -> None:
    module = Small()
    backbone = TorchBackbone(module, DIGITS)
    before = backbone.features(PICTURES)
    with torch.no_grad():
        module.head.weight += 1
    assert np.array_equal(backbone.features(PICTURES), before)
    assert TorchBackbone(module, DIGITS).fingerprint != backbone.fingerprint


def test_the_fingerprint_changes_with_state_architecture_cut_and_preprocessing_only() -> None:
    same = [TorchBackbone(Small(), DIGITS), TorchBackbone(Small().train(), DIGITS, name="x", batch=4)]
    shifted = Small()
    shifted.norm.running_var += 1
    dropped = Small()
    dropped.drop.p = 0.25
    others = [
        TorchBackbone(Small(1), DIGITS), TorchBackbone(shifted, DIGITS), TorchBackbone(dropped, DIGITS),
        TorchBackbone(Small(), DIGITS, cut="trunk"), TorchBackbone(Small(), replace(DIGITS, crop=0.5)),
    ]
    # Evaluation mode is set on the copy, and printed architectures do not show it.
    assert len({b.fingerprint for b in same}) == 1
    assert len({b.fingerprint for b in [same[0], *others]}) == 1 + len(others)


def test_many_inputs_give_what_each_gives_alone() -> None:
    backbone = TorchBackbone(Small(), DIGITS)
    assert np.array_equal(backbone.features(PICTURES), np.concatenate([backbone.features(p) for p in PICTURES]))
    batched = TorchBackbone(Small(), DIGITS, batch=4)
    assert np.allclose(batched.features(PICTURES), backbone.features(PICTURES), atol=1e-6)


def test_vectors_go_through_a_module_that_takes_vectors() -> None:
    layer = torch.nn.Linear(5, 2)
    rows = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    with torch.no_grad():
        assert np.allclose(TorchBackbone(layer, width=5).features(rows), layer(torch.tensor(rows)), atol=1e-6)


@pytest.mark.parametrize("cut", [None, "trunk", "trunk.0", "norm", "drop"])
def test_its_export_runs_without_pytorch_and_gives_the_same_features(cut: str | None) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    backbone = TorchBackbone(Small(), DIGITS, cut=cut)
    exported = backbone.export()
    assert np.allclose(exported.features(PICTURES), backbone.features(PICTURES), atol=1e-5)


def test_a_bundle_opens_again_only_into_the_module_it_was_made_of(tmp_path: Path) -> None:
    bundle = Bundle.measure(TorchBackbone(Small(), DIGITS, cut="drop", name="small"), PICTURES, [0, 1] * 3)
    bundle.save(tmp_path / "b")
    again = Bundle.open(tmp_path / "b", module=Small(seed=9))
    assert again.fingerprint == bundle.fingerprint
    assert np.array_equal(again.features(PICTURES), bundle.features(PICTURES))
    other = Small()
    other.drop.p = 0.1
    for module in (None, other, torch.nn.Linear(2, 2)):
        with pytest.raises(InputError):
            Bundle.open(tmp_path / "b", module=module)


def test_what_cannot_be_a_backbone_is_refused_with_the_fix() -> None:
    with pytest.raises(InputError, match=r"No layer 'body'.*trunk"):
        TorchBackbone(Small(), DIGITS, cut="body")
    with pytest.raises(InputError, match="no part"):
        TorchBackbone(Small(), DIGITS, cut="unused")
    with pytest.raises(InputError, match="failed"):
        TorchBackbone(Small(), replace(DIGITS, channels="rgb"))
    with pytest.raises(InputError, match="width"):
        TorchBackbone(Small())
    with pytest.raises(InputError, match="no tensor"):
        TorchBackbone(torch.nn.LSTM(5, 2), width=5)
    with pytest.raises(DamagedError):
        TorchBackbone.restore("x", {}, b"", module=Small())


def test_without_pytorch_the_error_names_the_installation() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from engram.features.backbones.torch_module import TorchBackbone\n"
        "from engram.learner import InputError\n"
        "try: TorchBackbone(None, width=3)\n"
        "except InputError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs torch (the extra train): pip install" in done.stdout
