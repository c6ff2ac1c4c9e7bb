"""ONNX networks as backbones."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from small_network import small_network

from engram.features.backbones.onnx import OnnxBackbone
from engram.features.backbones.onnx_graph import check_self_contained, cut
from engram.features.backbones.preprocessing import DIGITS, MNIST, Preprocessing
from engram.features.backbones.protobuf import put
from engram.learner import DamagedError, InputError

PICTURES = np.random.default_rng(3).integers(0, 17, (7, 8, 8)).astype(np.float64)


def reference(network: bytes, value: str) -> np.ndarray:
    """Features of PICTURES by the onnx package's own evaluator."""
    graph = onnx.load_from_string(network)
    graph.graph.output.append(onnx.ValueInfoProto(name=value))
    inputs = {"pixels": (PICTURES[:, None] / 16).astype(np.float32)}
    return np.asarray(ReferenceEvaluator(graph).run([value], inputs)[0])


def test_features_are_what_the_network_gives(network: bytes) -> None:
    backbone = OnnxBackbone(network, DIGITS)
    features = backbone.features(PICTURES)
    assert backbone.width == 3
    assert features.dtype == np.float32
    assert np.allclose(features, reference(network, "logits"), atol=1e-5)


@pytest.mark.parametrize(("value", "width"), [("pooled", 4), ("averages", 4), ("maps", 4), ("logits", 3)])
def test_it_is_cut_at_any_named_value_and_maps_are_averaged(network: bytes, value: str, width: int) -> None:
    backbone = OnnxBackbone(network, DIGITS, cut=value)
    expected = reference(network, value)
    expected = expected.mean(axis=(2, 3)) if expected.ndim == 4 else expected
    assert backbone.width == width
    assert np.allclose(backbone.features(PICTURES), expected, atol=1e-5)


def test_a_cut_network_holds_only_what_its_value_needs(network: bytes) -> None:
    smaller = onnx.load_from_string(cut(network, "maps"))
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(smaller), full_check=False)
    assert [node.op_type for node in smaller.graph.node] == ["Conv"]
    assert {c.name for c in smaller.graph.initializer} == {"kernel", "bias"}
    assert [o.name for o in smaller.graph.output] == ["maps"]


def test_a_cut_keeps_what_an_inner_graph_takes_from_outside() -> None:
    """The branches of an If name their outer values nowhere but inside themselves."""
    branch = {
        name: helper.make_graph(
            [helper.make_node("Mul", ["doubled", factor], [name])], name, [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
        )
        for name, factor in (("yes", "two"), ("no", "three"))
    }
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["x", "x"], ["doubled"]),
            helper.make_node("If", ["flag"], ["chosen"], then_branch=branch["yes"], else_branch=branch["no"]),
            helper.make_node("Neg", ["chosen"], ["out"]),
        ],
        "branches", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 2])],
        [
            numpy_helper.from_array(np.array(True), "flag"), numpy_helper.from_array(np.float32([2]), "two"),
            numpy_helper.from_array(np.float32([3]), "three"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    assert OnnxBackbone(model, cut="chosen").features([1, 5]).tolist() == [[4, 20]]


def test_teaching_many_is_teaching_one_by_one_to_the_bit(network: bytes) -> None:
    backbone = OnnxBackbone(network, DIGITS)
    together = backbone.features(PICTURES)
    assert np.array_equal(together, np.concatenate([backbone.features(p) for p in PICTURES]))
    assert np.allclose(OnnxBackbone(network, DIGITS, batch=5).features(PICTURES), together, atol=1e-6)


@pytest.mark.parametrize("fixed", [1, 3, 16])
def test_networks_with_a_fixed_batch_take_any_number(fixed: int) -> None:
    backbone = OnnxBackbone(small_network(batch=fixed), DIGITS, batch=4)
    assert np.allclose(backbone.features(PICTURES), reference(small_network(), "logits"), atol=1e-5)


def test_vectors_go_through_a_network_that_takes_vectors() -> None:
    weights = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])], [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    backbone = OnnxBackbone(model)
    rows = np.random.default_rng(1).normal(size=(4, 5))
    assert np.allclose(backbone.features(rows), rows @ weights, atol=1e-5)
    with pytest.raises(InputError, match="Expected 5"):
        backbone.features([1, 2])


def test_tokens_are_averaged_or_the_first_is_taken() -> None:
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])], "tokens",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 2])],
        [numpy_helper.from_array(np.array([-1, 3, 2]), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    row = [[1, 2, 3, 4, 5, 9]]
    assert OnnxBackbone(model).features(row).tolist() == [[3, 5]]
    assert OnnxBackbone(model, pool="first").features(row).tolist() == [[1, 2]]


def test_the_fingerprint_changes_with_whatever_features_depend_on_and_with_nothing_else(network: bytes) -> None:
    same = [
        OnnxBackbone(network, DIGITS), OnnxBackbone(network, DIGITS, name="other"),
        OnnxBackbone(network, DIGITS, threads=2, batch=9), OnnxBackbone(bytes(network), replace(DIGITS)),
    ]
    others = [
        OnnxBackbone(small_network(seed=1), DIGITS), OnnxBackbone(network, DIGITS, cut="pooled"),
        OnnxBackbone(network, DIGITS, cut="maps"), OnnxBackbone(network, DIGITS, pool="first"),
        OnnxBackbone(network, replace(DIGITS, crop=0.9)), OnnxBackbone(network, replace(DIGITS, peak=15)),
        OnnxBackbone(network, replace(DIGITS, ink="inverted")), OnnxBackbone(network, replace(DIGITS, mean=(1.0,))),
    ]
    assert len({b.fingerprint for b in same}) == 1
    assert len({b.fingerprint for b in [same[0], *others]}) == 1 + len(others)


def test_progress_counts_every_input(network: bytes) -> None:
    seen: list[tuple[int, int | None]] = []
    OnnxBackbone(network, DIGITS, batch=3).features(PICTURES, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 7), (6, 7), (7, 7)]


def test_what_does_not_fit_the_preprocessing_is_refused_at_once(network: bytes) -> None:
    for prepare in (MNIST, Preprocessing((8, 8)), Preprocessing((8, 8), "grey", layout="flat"), None):
        with pytest.raises(InputError, match="preprocessing"):
            OnnxBackbone(network, prepare)
    with pytest.raises(InputError, match=r"No value named 'nothing'.*logits"):
        OnnxBackbone(network, DIGITS, cut="nothing")
    with pytest.raises(InputError, match="0 inputs"):
        OnnxBackbone(network, DIGITS).features([])
    with pytest.raises(InputError):
        OnnxBackbone.load("no/such/network.onnx", DIGITS)


def test_features_that_are_not_finite_are_refused_by_number() -> None:
    graph = helper.make_graph(
        [helper.make_node("Log", ["x"], ["y"])], "log",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    with pytest.raises(InputError, match="Input 2"):
        OnnxBackbone(model).features([[1.0], [-1.0]])


def test_weights_kept_in_another_file_are_refused_even_if_it_is_there(
    network: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = onnx.load_from_string(network)
    onnx.save(
        model, tmp_path / "n.onnx", save_as_external_data=True, location="n.bin", size_threshold=0,
    )
    with pytest.raises(InputError, match="single file"):
        OnnxBackbone.load(tmp_path / "n.onnx", DIGITS)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x00" * 50, b"\xff" * 50, b"not a network"], ids=repr)
@pytest.mark.parametrize("value", [None, "pooled"])
def test_what_is_no_network_is_damaged(content: bytes, value: str | None) -> None:
    with pytest.raises((DamagedError, InputError)):
        OnnxBackbone(content, DIGITS, cut=value)


def test_graphs_in_graphs_without_end_are_damage() -> None:
    content = put(1, b"")
    for _ in range(3000):
        content = put(1, put(5, put(6, content)))
    with pytest.raises(DamagedError, match="without end"):
        OnnxBackbone(put(7, content), DIGITS)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_truncated_or_altered_networks_never_escape_as_another_error(network: bytes, data: st.DataObject) -> None:
    content = bytearray(network[: data.draw(st.integers(0, len(network)))])
    for _ in range(data.draw(st.integers(0, 3)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(DamagedError, InputError):
        OnnxBackbone(bytes(content), DIGITS, cut=data.draw(st.sampled_from([None, "pooled"])))


@pytest.mark.parametrize("place", ["sparse value", "sparse values", "default of a function", "training"])
def test_weights_in_another_file_are_found_wherever_they_are_named(place: str) -> None:
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    network = onnx.load_from_string(small_network())
    attribute = onnx.AttributeProto(name="value")
    if place == "training":
        network.training_info.add().algorithm.initializer.append(outside)
    elif place == "default of a function":
        attribute.t.CopyFrom(outside)
        network.functions.add(name="f").attribute_proto.append(attribute)
    else:
        sparse = onnx.SparseTensorProto(values=outside)
        holder = attribute.sparse_tensors.add() if place == "sparse values" else attribute.sparse_tensor
        holder.CopyFrom(sparse)
        network.graph.node.add(op_type="Constant", output=["v"]).attribute.append(attribute)
    with pytest.raises(InputError, match="another file"):
        check_self_contained(network.SerializeToString())
