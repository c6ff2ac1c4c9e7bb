"""Well-known pre-trained networks, fetched from the Hugging Face hub and made into backbones.

Only tensors (.safetensors) and ONNX graphs are fetched, never anything that could run code. Every file is held to a
SHA-256: the one in this table, which was read on the file's own page, or, where the table has none, the one that the
hub publishes with the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engram.progress import Progress

if TYPE_CHECKING:
    from engram.features.backbones.backbone import Pool
    from engram.features.backbones.onnx import OnnxBackbone
    from engram.features.backbones.preprocessing import Preprocessing

ENDPOINT = "https://huggingface.co"
"""The environment variable HF_ENDPOINT names another, as for the hub's own programs."""

LIMIT = 1_000_000_000
"""Bytes; no network in the table comes near it."""


class Published(NamedTuple):
    """A network on the hub.

    Attributes:
        repository, revision, file: where it is; a revision is a commit, or "main".
        sha256: of the file; None where it is not known here.
        family: of FAMILIES for .safetensors, None for .onnx.
        preprocessing: how pictures become inputs; None for as ImageNet's do.
        pool: what becomes of tokens.
        terms: its licence, as its page states it.
    """

    repository: str
    revision: str
    file: str
    sha256: str | None
    family: str | None
    preprocessing: Preprocessing | None
    terms: str
    pool: Pool = "average"


WELL_KNOWN = {
    "resnet18": Published(
        "timm/resnet18.tv_in1k", "a987fd6b60f845221bfff84b6f0191273ba56ead", "model.safetensors",
        "694f673df6520a3158624e8a89af086f59923ee4cd7436fe5bc3bc71d295ad81", "resnet18", None, "BSD-3-Clause",
    ),
    "resnet34": Published(
        "timm/resnet34.tv_in1k", "main", "model.safetensors", None, "resnet34", None, "BSD-3-Clause",
    ),
    "resnet50": Published(
        "timm/resnet50.tv_in1k", "aa6c2d36d56bc0209040c02b5a7b7d7bf11d57b8", "model.safetensors",
        "5d061a3c593d795bfe682d9b152bafbcf550579873492def3515b46db1189888", "resnet50", None, "BSD-3-Clause",
    ),
    "dinov2-small": Published(
        "Xenova/dinov2-small", "560a572cedd01ab59cf1a614c2d9673397b65ef2", "onnx/model.onnx",
        "83141175ec78b4ff9a2bb58a4c7c264ba0054d1c2e122e5a8114b79a8d4179ea", None, None, "Apache-2.0", "first",
    ),
}
"""Name -> where it is. ResNets as torchvision trained them on ImageNet; DINOv2 (arXiv 2304.07193) without labels."""


def pull(name: str, *, called: str | None = None, progress: Progress | None = None) -> OnnxBackbone:
    """Fetch a network and make it a backbone; an interrupted download goes on where it stopped.

    Args:
        name: a key of WELL_KNOWN.
        called: what to call the backbone; None for `name`.
        progress: told the bytes that are there, and how many there will be.

    Raises:
        InputError: no such name, no connection, or the connection ended early; PyTorch is missing for .safetensors.
        DamagedError: what came has another SHA-256, or is no such network.
    """
    from engram.extras import check
    from engram.features.backbones.download import download
    from engram.learner import InputError
    from engram.locations import cache_folder

    if name not in WELL_KNOWN:
        raise InputError(f"No network {name!r}. There are: {', '.join(WELL_KNOWN)}. Others: `engram backbone import`.")
    network = WELL_KNOWN[name]
    if network.family is not None:
        check(f"{name} comes as PyTorch weights: making a backbone of them", "train", "export")
    endpoint = os.environ.get("HF_ENDPOINT", ENDPOINT).rstrip("/")
    url = f"{endpoint}/{network.repository}/resolve/{network.revision}/{network.file}"
    path = cache_folder() / "downloads" / f"{name}-{Path(network.file).name}"
    download(url, path, sha256=network.sha256, limit=LIMIT, progress=progress)
    try:
        return _backbone(network, path, called or name)
    finally:
        path.unlink(missing_ok=True)


def _backbone(network: Published, path: Path, name: str) -> OnnxBackbone:
    from engram.features.backbones.onnx import OnnxBackbone
    from engram.features.backbones.preprocessing import IMAGENET

    shown = network.preprocessing or IMAGENET
    if network.family is None:
        return OnnxBackbone.load(path, shown, pool=network.pool, name=name)
    from engram.features.pretraining.published_weights import import_weights

    return import_weights(path, name=name, family=network.family, preprocessing=shown)
