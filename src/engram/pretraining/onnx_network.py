"""A trained network as the content of an ONNX file."""

from __future__ import annotations

import io
import warnings

import torch
from torch import nn

OPSET = 17


def to_onnx(network: nn.Module, shape: tuple[int, ...]) -> bytes:
    """The network in evaluation mode, with one input "images" (N, *shape) and one output "features".

    Args:
        network: takes one float32 tensor and returns one.
        shape: of a single input.
    """
    network.eval()
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated, and writes the smaller, plainer graph for such networks.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(1, *shape),), file,  # type: ignore[arg-type]
            input_names=["images"], output_names=["features"], opset_version=OPSET, dynamo=False,
            dynamic_axes={"images": {0: "count"}, "features": {0: "count"}},
        )
    return file.getvalue()
