"""A trained network as the content of an ONNX file."""

from __future__ import annotations

import io
import warnings

import torch
from torch import nn

OPSET = 17


def to_onnx(
    network: nn.Module, shape: tuple[int, ...], names: tuple[str, str] = ("images", "features")
) -> bytes:
    """The network in evaluation mode, with one input (N, ...) and one output.

    Args:
        network: takes one float32 tensor and returns one.
        shape: of a single input.
        names: what input and output are called.
    """
    network.eval()
    given, gives = names
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated, and writes the smaller, plainer graph for such networks.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(1, *shape),), file,  # type: ignore[arg-type]
            input_names=[given], output_names=[gives], opset_version=OPSET, dynamo=False,
            dynamic_axes={given: {0: "count"}, gives: {0: "count"}},
        )
    return file.getvalue()
