"""Networks that users bring, trained by a strategy: their features, ONNX file, C file and sparse run are the same."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

from engram.export.c import to_c  # noqa: E402
from engram.export.onnx import to_onnx  # noqa: E402
from engram.features.backbones.torch_module import TorchBackbone  # noqa: E402
from engram.learner import InputError  # noqa: E402
from engram.networks.strategies.naive import Naive  # noqa: E402
from engram.networks.structure.multiply_adds import multiply_adds  # noqa: E402
from engram.networks.structure.sparse_network import SparseNetwork  # noqa: E402

WIDTH = 6
X = np.random.default_rng(0).normal(size=(16, WIDTH)).astype(np.float32)


class Tied(nn.Module):
    """Two layers with the same weights."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.again = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.again.weight = self.encode.weight

    def forward(self, rows: Tensor) -> Tensor:
        return self.again(self.encode(rows).relu()).relu()


def with_old_hook(kind: str) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(getattr(nn.utils, kind)(nn.Linear(WIDTH, 5)), nn.ReLU())


def pruned() -> nn.Module:
    network = nn.Sequential(nn.Linear(WIDTH, 5), nn.ReLU())
    prune.l1_unstructured(network[0], "weight", 0.5)
    return network


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "tied": Tied,
    "pruned": pruned,
    "weight_norm": lambda: with_old_hook("weight_norm"),
    "spectral_norm": lambda: with_old_hook("spectral_norm"),
    "parametrised": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(WIDTH, 5)), nn.ReLU()),
    "normalised": lambda: nn.Sequential(nn.Linear(WIDTH, 5), nn.BatchNorm1d(5), nn.ReLU()),
}


@pytest.fixture(params=NETWORKS)
def learner(request: pytest.FixtureRequest) -> Naive:
    """One whose last step changed the weights since the last pass."""
    made = Naive(NETWORKS[request.param](), shape=(WIDTH,), batch=4, learning_rate=0.05)
    made.learn(X, ["a", "b"] * 8)
    return made


def test_its_network_is_a_backbone(learner: Naive) -> None:
    width = learner.model.outputs.width
    backbone = TorchBackbone(learner.network, width=WIDTH)
    assert backbone.width == width
    weight, bias = (tensor.detach().numpy() for tensor in learner.model.outputs.parameters())
    assert np.allclose(backbone.features(X) @ weight.T + bias, learner.predict(X).scores, atol=1e-5)
    again = TorchBackbone.restore("torch", backbone.config(), backbone.network(), module=learner.network)
    assert again.fingerprint == backbone.fingerprint
    assert np.array_equal(again.features(X), backbone.features(X))
    if importlib.util.find_spec("onnx"):
        assert np.allclose(backbone.export().features(X), backbone.features(X), atol=1e-5)


@pytest.mark.skipif(importlib.util.find_spec("onnx") is None, reason="needs onnx")
def test_it_is_written_as_onnx(learner: Naive, tmp_path: Path) -> None:
    import onnxruntime

    to_onnx(learner.model, tmp_path / "network.onnx", (WIDTH,), learner.labels)
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx", providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"inputs": X})[0], learner.predict(X).scores, atol=1e-4)


def test_it_runs_sparsely_with_the_weights_of_now(learner: Naive) -> None:
    sparse = SparseNetwork.of(learner.model, (WIDTH,))
    assert np.allclose(sparse(X), learner.predict(X).scores, atol=1e-4)
    assert sparse.live == multiply_adds(learner.model, (WIDTH,)) == learner.multiply_adds


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_it_is_written_as_c(learner: Naive, tmp_path: Path) -> None:
    to_c(SparseNetwork.of(learner.model, (WIDTH,)), tmp_path / "net.c", labels=learner.labels)
    values = ", ".join(f"{value!r}f" for value in X[0].tolist())
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "net.c"\n'
        f"int main(void) {{ float in[] = {{{values}}}, out[2]; net_run(in, out);"
        ' printf("%.9g %.9g", out[0], out[1]); return 0; }\n')
    subprocess.run(["cc", "-std=c99", "-o", tmp_path / "main", tmp_path / "main.c"], check=True)
    told = subprocess.run([tmp_path / "main"], check=True, capture_output=True, text=True).stdout
    assert np.allclose([float(number) for number in told.split()], learner.predict(X[:1]).scores[0], atol=1e-4)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_script_is_a_backbone_where_it_is_frozen() -> None:
    script = torch.jit.script(NETWORKS["normalised"]())
    with pytest.raises(InputError, match=r"give the module it was made from, or freeze it"):
        TorchBackbone(script, width=WIDTH)
    for parameter in script.parameters():
        parameter.requires_grad_(False)
    assert TorchBackbone(script, width=WIDTH).features(X).shape == (len(X), 5)


def test_a_module_without_statistics_of_its_own_is_no_backbone() -> None:
    module = nn.Sequential(nn.Linear(WIDTH, 5), nn.BatchNorm1d(5, track_running_stats=False))
    with pytest.raises(InputError, match="Expected more than 1 value"):
        TorchBackbone(module, width=WIDTH)
