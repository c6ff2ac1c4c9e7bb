"""A small real network, built with the onnx package and so independently of what reads them."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def small_network(seed: int = 0, batch: int | str = "batch", side: int = 8) -> bytes:
    """8x8 grey -> 4 maps ("maps") -> mean and ReLU ("pooled") -> 3 logits ("logits")."""
    rng = np.random.default_rng(seed)
    constants = {
        "kernel": rng.normal(size=(4, 1, 3, 3)), "bias": rng.normal(size=4), "head": rng.normal(size=(4, 3)),
    }
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel", "bias"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["averages"]),
        helper.make_node("Flatten", ["averages"], ["pooled"]),
        helper.make_node("MatMul", ["pooled", "head"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 1, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
