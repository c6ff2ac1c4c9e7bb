"""Engram: software that keeps learning after it is deployed.

The names below load when first used; `import engram` itself imports nothing heavy.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from engram.renamed import RenamedFinder

if TYPE_CHECKING:
    from engram.brain import Brain, MultimodalBrain, meld
    from engram.learner import Predictions

# ONNX Runtime from 1.31 on makes a lasting device id, and looks up its maker's address, when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

sys.meta_path.insert(0, RenamedFinder())  # before the one that would load a former name as a second module

__version__ = "0.1.0"
__all__ = ["Brain", "MultimodalBrain", "Predictions", "__version__", "meld"]

_HOME = {
    "Brain": "engram.brain",
    "MultimodalBrain": "engram.brain",
    "meld": "engram.brain",
    "Predictions": "engram.learner",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'engram' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
