"""Predictions as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from engram.learner import Predictions
from engram.server.wire import shown


def answers_json(predictions: Predictions, top: int, seq: int) -> bytes:
    """`schemas.Answers` of these predictions, without going through a model: this is what is asked most often."""
    answers = [
        {
            "label": shown(best) if known and best is not None else None, "known": known, "confidence": confidence,
            "focus": focus, "familiarity": familiarity, "ranked": ranked,
        }
        for best, known, confidence, focus, familiarity, ranked in zip(
            predictions.best, predictions.known.tolist(), _finite(predictions.confidence), _finite(predictions.focus),
            _finite(predictions.familiarity), _ranked(predictions, top), strict=True,
        )
    ]
    return json.dumps({"answers": answers, "seq": seq}, ensure_ascii=False, separators=(",", ":")).encode()


def _ranked(predictions: Predictions, top: int) -> list[list[dict[str, Any]]]:
    """The `top` best candidates of each, best first."""
    scores, names = predictions.scores, predictions.candidates
    if len(names) > 4 * top:
        chosen = np.argpartition(-scores, top - 1, axis=1)[:, :top]
        best = np.take_along_axis(scores, chosen, 1)
        order = np.take_along_axis(chosen, np.argsort(-best, axis=1, kind="stable"), 1)
    else:
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    values = np.take_along_axis(scores, order, 1).tolist()
    return [
        [{"label": shown(names[place]), "score": _number(value)} for place, value in zip(places, row, strict=True)]
        for places, row in zip(order.tolist(), values, strict=True)
    ]


def _finite(values: Any) -> Sequence[float | None]:
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
