"""The exported C file compiles without a warning, needs no library, and answers as the masked network does."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engram.export.c import source, to_c
from engram.learner import InputError
from engram.networks.strategies.networks import lenet5, perceptron
from engram.networks.structure.masks import Masks
from engram.networks.structure.sparse_layers import Flatten, Linear
from engram.networks.structure.sparse_network import SparseNetwork

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wmissing-prototypes", "-Werror")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")


@torch.no_grad()
def masked(module: nn.Module, density: float) -> nn.Module:
    torch.manual_seed(0)
    masks = Masks(module)
    for name in masks:
        masks[name] = torch.rand_like(masks[name]) < density
    return module.eval()


def compiled(path: Path) -> ctypes.CDLL:
    built = path.with_suffix(".so")
    subprocess.run(["cc", *STRICT, "-O1", "-shared", "-fPIC", "-nostdlib", str(path), "-o", str(built)], check=True)
    return ctypes.CDLL(str(built))


def answers(library: ctypes.CDLL, name: str, inputs: np.ndarray, outputs: int) -> np.ndarray:
    run = getattr(library, f"{name}_run")
    run.argtypes, run.restype = [ctypes.c_void_p, ctypes.c_void_p], None
    out = np.empty((len(inputs), outputs), np.float32)
    rows = np.ascontiguousarray(inputs.reshape(len(inputs), -1), np.float32)
    for row, place in zip(rows, out, strict=True):
        run(row.ctypes.data, place.ctypes.data)
    return out


NETWORKS = {
    "lenet-300-100": (lambda: nn.Sequential(perceptron((28, 28)), nn.Linear(100, 10)), (28, 28)),
    "lenet-5": (lambda: nn.Sequential(lenet5(), nn.Linear(84, 10)), (1, 28, 28)),
    "strides, padding, groups": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 6, (3, 5), stride=(2, 1), padding=(1, 2)), nn.ReLU(), nn.AvgPool2d((2, 3), (1, 2)),
            nn.Conv2d(6, 4, 2, groups=2, dilation=2), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64, 3),
        ),
        (2, 13, 13),
    ),
    "ends in maps": (lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.MaxPool2d(3, 2)), (1, 20, 20)),
}


@needs_compiler
@pytest.mark.parametrize("density", [0.0, 0.08, 1.0])
@pytest.mark.parametrize("kind", list(NETWORKS))
def test_the_c_file_answers_as_the_masked_network_does(kind: str, density: float, tmp_path: Path) -> None:
    make, shape = NETWORKS[kind]
    module = masked(make(), density)
    network = SparseNetwork.of(module, shape, compiled=False)
    to_c(network, tmp_path / "net.c")
    x = torch.randn(8, *shape)
    with torch.no_grad():
        expected = module(x).flatten(1).numpy()
    given = answers(compiled(tmp_path / "net.c"), "net", x.numpy(), expected.shape[1])
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-5 * max(1, np.abs(expected).max()))


@needs_compiler
def test_weights_far_apart_and_rows_without_any_are_found(tmp_path: Path) -> None:
    weight = np.zeros((4, 2000), np.float32)
    weight[0, [0, 255, 511, 1999]] = 1, 2, 3, 4
    weight[2, 1500] = 5
    weight[3, [256, 766]] = 6, 7
    network = SparseNetwork([Linear(weight, np.arange(4, dtype=np.float32))], compiled=False)
    to_c(network, tmp_path / "far.c")
    x = np.random.default_rng(0).normal(size=(5, 2000)).astype(np.float32)
    np.testing.assert_allclose(answers(compiled(tmp_path / "far.c"), "far", x, 4), network(x), rtol=1e-5, atol=1e-5)


@needs_compiler
def test_labels_go_along_in_any_language_and_two_networks_live_in_one_program(tmp_path: Path) -> None:
    labels = ["Zürich ??/", 'say "no"\\\n', 3]
    one = SparseNetwork([Linear(np.eye(3))], compiled=False)
    other = SparseNetwork([Linear(2 * np.eye(3)), Linear(np.eye(3)), Linear(np.eye(3))], compiled=False)
    to_c(one, tmp_path / "one.c", labels=labels)
    to_c(other, tmp_path / "2nd.c", name="other")
    (tmp_path / "both.c").write_text('#include "one.c"\n#include "2nd.c"\n')
    library = compiled(tmp_path / "both.c")
    table = (ctypes.c_char_p * 3).in_dll(library, "one_labels")
    assert [text.decode() for text in table] == [str(label) for label in labels]
    assert answers(library, "one", np.ones((1, 3)), 3).tolist() == [[1, 1, 1]]
    assert answers(library, "other", np.ones((1, 3)), 3).tolist() == [[2, 2, 2]]


def test_the_file_says_what_it_takes_and_a_live_weight_takes_five_bytes() -> None:
    weight = np.zeros((30, 200), np.float32)
    weight[:, ::20] = 1
    text = source(SparseNetwork([Linear(weight), Linear(np.ones((10, 30)))], compiled=False), "small")
    constants, activations = map(int, re.findall(r"(\d+) bytes of", text))
    assert constants == 5 * 300 + (2 + 4) * 30 + 4 * 300 + 4 * 10
    assert activations == 4 * 30
    assert "#define SMALL_INPUTS 200\n#define SMALL_OUTPUTS 10\n" in text
    assert "convolution" not in text


@needs_compiler
def test_a_network_of_nothing_but_flattening_copies(tmp_path: Path) -> None:
    to_c(SparseNetwork([Flatten()], (2, 3)), tmp_path / "flat.c")
    x = np.arange(6, dtype=np.float32).reshape(1, 6)
    assert (answers(compiled(tmp_path / "flat.c"), "flat", x, 6) == x).all()


@pytest.mark.parametrize("name", ["1st", "a-b", "", "näh", "a b"])
def test_a_name_that_c_does_not_allow_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name="):
        to_c(SparseNetwork([Linear(np.eye(3))], compiled=False), tmp_path / "x.c", name=name)
    assert list(tmp_path.iterdir()) == []


def test_a_torch_module_is_to_be_made_sparse_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a Sequential: pass SparseNetwork\.of\(module, input_shape\)"):
        to_c(nn.Sequential(nn.Linear(3, 2)), tmp_path / "x.c")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_labels_must_be_as_many_as_outputs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 labels"):
        to_c(SparseNetwork([Linear(np.eye(3))], compiled=False), tmp_path / "x.c", labels=["a", "b"])
