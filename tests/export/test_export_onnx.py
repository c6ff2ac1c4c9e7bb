"""The exported ONNX file answers as the network does, and holds neither masks nor training."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from engram.export.onnx import to_onnx
from engram.learner import InputError
from engram.networks.strategies.naive import Naive
from engram.networks.strategies.networks import lenet5, perceptron
from engram.networks.structure.masks import Masks


@torch.no_grad()
def masked(module: nn.Module) -> Masks:
    masks = Masks(module)
    for name in masks:
        masks[name] = torch.rand_like(masks[name]) < 0.1
    return masks


@pytest.mark.parametrize(("make", "shape"), [(lambda: perceptron((28, 28)), (28, 28)), (lenet5, (1, 28, 28))])
def test_onnx_runtime_answers_as_the_masked_network_does(make, shape, tmp_path: Path) -> None:
    module = make().train()
    masks = masked(module)
    to_onnx(module, tmp_path / "net.onnx", shape)
    assert module.training
    model = onnx.load(tmp_path / "net.onnx")
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    assert sum(array.size for array in arrays if array.ndim) == masks.total  # masks would double it
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    x = torch.randn(7, *shape)
    with torch.no_grad():
        np.testing.assert_allclose(session.run(None, {"inputs": x.numpy()})[0], module.eval()(x), rtol=1e-5, atol=1e-5)


def test_a_strategys_network_is_exported_with_its_labels(tmp_path: Path) -> None:
    learner = Naive(perceptron(20, [8]))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 20)).astype(np.float32)
    learner.learn(x, ["ä", "b", "c"] * 10)
    to_onnx(learner.model, tmp_path / "net.onnx", learner.shape, labels=learner.labels)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
    to_onnx(learner.model, tmp_path / "numbers.onnx", learner.shape, labels=list(np.array([3, 5, 8])))
    numbers = onnxruntime.InferenceSession(tmp_path / "numbers.onnx").get_modelmeta().custom_metadata_map["labels"]
    assert json.loads(numbers) == [3, 5, 8]
    best = session.run(["outputs"], {"inputs": x})[0].argmax(axis=1)
    assert [labels[i] for i in best] == learner.predict(x).best


def test_what_cannot_be_exported_is_refused_and_nothing_written(tmp_path: Path) -> None:
    for module, shape, labels in (
        (nn.Linear(4, 2), (5,), None), (nn.Linear(4, 2), (4,), ["a"]), (nn.LSTM(4, 2), (4, 4), None),
    ):
        with pytest.raises(InputError):
            to_onnx(module, tmp_path / "net.onnx", shape, labels=labels)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_torch_module_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"torch module.*not a Naive"):
        to_onnx(Naive(perceptron(4, [3])), tmp_path / "net.onnx", (4,))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["nowhere/net.onnx", ""])
def test_a_path_that_cannot_be_written_is_named_as_it_was_given(name: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=re.escape(f"{tmp_path / name}'")) as refused:
        to_onnx(perceptron(4, [3]), tmp_path / name, (4,))
    assert "engram-tmp" not in str(refused.value)
