"""Modules under their former names: importing one warns, and gives the module in which its contents are now."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

ROOMS = {
    "backbones": "features", "pretraining": "features",
    "memory": "networks", "strategies": "networks", "structure": "networks",
    "evaluation": "lab", "experiments": "lab", "streams": "lab",
}
"""The wing in which each former top-level package is now."""

MERGED = {
    "brain.changes.counterexample": "brain.changes.teach",
    "brain.changes.fork": "brain.changes.begin",
    "checks.conduct": "checks.laws",
    "checks.counts": "checks.laws",
    "checks.knowledge": "checks.laws",
    "demo.softmax_layer": "demo.digits_story",
    "heads.fast.episodic_memory": "heads.fast.episodes",
    "heads.fast.fast_memory": "heads.fast.fast_head",
    "heads.fast.judgement": "heads.fast.readout",
    "heads.fast.prototypes": "heads.fast.consolidation",
    "heads.fast.regression": "heads.fast.logistic",
    "inputs.thumbnails": "inputs.images",
    "inputs.word_pieces": "features.backbones.sentence_encoder",
    "lab.evaluation.backbone": "lab.evaluation.few_shot",
    "lab.evaluation.checkpoint": "lab.evaluation.evaluate",
    "lab.evaluation.continual": "lab.evaluation.report",
    "lab.evaluation.word_error_rate": "lab.evaluation.ctc_decoding",
    "lab.experiments.figures": "lab.experiments",
    "lab.experiments.grow_and_prune.growprune_film": "lab.experiments.grow_and_prune.growprune_connectivity",
    "lab.recipes.digits": "lab.experiments.head.digit_features",
    "networks.memory.buffer": "networks.memory",
    "networks.memory.class_balanced": "networks.memory",
    "networks.strategies.answering": "networks.strategies.growing_network",
    "networks.strategies.dry_step": "networks.strategies.growing_network",
    "networks.structure.compact": "networks.structure.masks",
    "server.answers": "server.routes.asking",
    "server.body_limits": "server.front_door",
    "server.content_encoding": "server.front_door",
    "server.exports": "server.parcels",
    "server.gathering": "server.served_brain",
    "server.json_size": "server.bodies",
    "server.page_files": "server.app",
    "server.rate_limit": "server.front_door",
    "server.routes.events": "server.routes.looking",
    "server.routes.operations": "server.app",
    "server.tensors": "server.routes.inference",
    "server.turns": "server.served_brain",
    "store.held": "store.log_files",
    "store.replay": "store.database",
    "store.tables": "store.database",
    "store.verification": "store.database",
}
"""Former module -> the one that its contents are part of now."""


class RenamedFinder(MetaPathFinder, Loader):
    """Finds `engram.backbones…` as `engram.features.backbones…`, and so on; asked before every other finder.

    >>> import engram.backbones.bundle
    >>> engram.backbones.bundle.Bundle.__module__
    'engram.features.backbones.bundle'
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return None if _new_name(fullname) is None else ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        new = _new_name(old)
        assert new is not None
        found = import_module(new)
        warnings.warn(f"{old} is now {new}: import it from there.", DeprecationWarning, stacklevel=2)
        sys.modules[old] = found  # what the import statement gets


def _new_name(old: str) -> str | None:
    """Where the module of a former name is now; None for a name that is none."""
    package, _, rest = old.partition(".")
    if package != "engram":
        return None
    room = rest.partition(".")[0]
    if room in ROOMS:
        rest = f"{ROOMS[room]}.{rest}"
    elif rest not in MERGED:
        return None
    return f"engram.{MERGED.get(rest, rest)}"
