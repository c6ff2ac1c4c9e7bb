"""A PyTorch network as an ONNX file that any runtime can load: no masks, no code, no trace of how it was trained."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engram.extras import check, refusal
from engram.features.backbones.onnx import open_session
from engram.files import write_atomically
from engram.inputs.vectors import kept_labels
from engram.learner import InputError, Label

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-4
"""The exported network's answers may differ from the original's by this share of the largest."""


def to_onnx(
    network: torch.nn.Module,
    path: str | os.PathLike[str],
    input_shape: Sequence[int],
    labels: Sequence[Label] | None = None,
) -> None:
    """Write the network as it is in evaluation mode: one input "inputs" `(N, *input_shape)`, one output "outputs".

    What a mask has cut is zero in the file. That ONNX Runtime gives the same answers is tried before anything is
    written. Needs the extras train and export.

    Args:
        network: takes one float32 tensor and returns one. It is left in the mode it was in.
        path: where to; a file that is there is replaced, whole or not at all.
        input_shape: of one input, such as (1, 28, 28).
        labels: what each output means, a `labels` entry of the file's metadata: a JSON list.

    Raises:
        InputError: no module, one that cannot be exported or answers otherwise then, or not as many labels as outputs.
    """
    check("Export to ONNX", "train", "export")
    import torch

    from engram.features.pretraining.onnx_network import to_onnx as content_of
    from engram.networks.structure.evaluation_mode import evaluating

    if not isinstance(network, torch.nn.Module):
        raise InputError(f"to_onnx needs a torch module, such as a strategy's `whole`, not a {type(network).__name__}.")
    shape = tuple(int(side) for side in input_shape)
    probes = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    with evaluating(network), torch.no_grad():
        home = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
        try:
            expected = network(torch.from_numpy(probes).to(home)).cpu().numpy()
            content = content_of(network, shape, names=("inputs", "outputs"))
        except ImportError as error:
            raise refusal(error, "Export to ONNX") or error from error
        except Exception as error:  # the network and the exporter raise whatever they meet
            raise InputError(f"This network cannot be exported to ONNX: {error}") from error
    if labels is not None:
        content = _with_labels(content, labels, expected.shape[1])
    _compare(content, probes, expected)
    write_atomically(path, content, public=True)


def _with_labels(content: bytes, labels: Sequence[Label], outputs: int) -> bytes:
    import json

    import onnx

    named = kept_labels(labels, outputs) if len(labels) == outputs else []
    if not named:
        raise InputError(f"{len(labels)} labels do not name {outputs} outputs.")
    model = onnx.load_from_string(content)
    onnx.helper.set_model_props(model, {"labels": json.dumps(named, ensure_ascii=False)})
    written: bytes = model.SerializeToString()
    return written


def _compare(content: bytes, probes: np.ndarray, expected: np.ndarray) -> None:
    session = open_session(content, threads=1)
    for count in (1, len(probes)):
        (given,) = session.run(None, {"inputs": probes[:count]})
        if given.shape != expected[:count].shape or (
            np.abs(given - expected[:count]).max() > TOLERANCE * max(1, np.abs(expected).max())
        ):
            raise InputError("ONNX Runtime gives other answers than this network, so it was not exported.")
