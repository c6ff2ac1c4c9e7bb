"""Answers to many inputs: predicted in portions, all from the same view of the brain, so that none takes much time or
memory; and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engram.brain import Brain
from engram.inputs.examples import gather
from engram.learner import FloatArray, Label, Predictions
from engram.server.problems import Refusal
from engram.server.wire import shown

_PRODUCTS = 2**20  # inputs of one portion times what each is compared with
_FEWEST, _MOST = 16, 1024


def predicted(brain: Brain, items: Any, among: Iterable[Label] | None) -> Iterator[Predictions]:
    """What `brain.predict(items, among)` answers, portion after portion.

    Args:
        items: (N, D) vectors, or a list of texts or of pictures' bytes.

    Raises:
        InputError, LabelError: as `Brain.predict`.
    """
    bundle, view = brain.bundle, brain.view
    size = len(items)
    if bundle is None or size <= _FEWEST:
        yield brain.predict(_numbers(items), among)
        return
    rows = min(_MOST, max(_FEWEST, _PRODUCTS // (bundle.width + len(view.labels))))
    for start in range(0, size, rows):
        part = gather(_numbers(items[start : start + rows]), bundle.takes)
        yield view.predict(bundle.features(part.items), among)


def _numbers(items: Any) -> Any:
    """Whole numbers and bytes as numbers that a brain takes: late, since they take eight times the memory."""
    if isinstance(items, np.ndarray) and items.dtype not in (np.float32, np.float64):
        return items.astype(np.float64)
    return items


RANKED_AT_ONCE = 2**20
"""Labels with scores that one request may be answered with."""

_FEW = 256  # scores that Python sorts sooner than numpy
_value = itemgetter(1)


def check_answers(inputs: int, top: int, classes: int) -> None:
    """Raises Refusal where the answer would be larger than one request may be answered with."""
    if inputs * min(top, classes) > RANKED_AT_ONCE:
        raise Refusal("too-large", f"{inputs:,} inputs with {min(top, classes):,} ranked labels each: one request is "
                      f"answered with at most {RANKED_AT_ONCE:,}. Send fewer inputs at once, or a smaller top.")


def answers_json(portions: Iterable[Predictions], top: int, seq: int) -> list[bytes]:
    """`schemas.Answers` of these predictions, in parts to be sent one after another.

    They do not go through a model: this is what is asked most often. Each part is made by itself, so that no thread
    keeps the interpreter for long.
    """
    parts = [orjson.dumps(_answers(portion, top))[1:-1] for portion in portions]
    if len(parts) == 1:
        return [b'{"answers":[%b],"seq":%d}' % (parts[0], seq)]
    following = [b"," + part for part in parts[1:]]
    return [b'{"answers":[', *parts[:1], *following, b'],"seq":%d}' % seq]


class PartsResponse(Response):
    """Parts that are sent as they are: joined they would take their memory twice."""

    def __init__(self, parts: Sequence[bytes], headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(None, 200, {**headers, "Content-Length": str(sum(map(len, parts)))}, media_type)
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _answers(predictions: Predictions, top: int) -> list[dict[str, Any]]:
    """What orjson makes answers of; it writes null for what is not finite."""
    return [
        {
            "label": shown(best) if known and best is not None else None, "known": known, "confidence": confidence,
            "focus": focus, "familiarity": familiarity, "ranked": ranked,
        }
        for best, known, confidence, focus, familiarity, ranked in zip(
            predictions.best, predictions.known.tolist(), predictions.confidence.tolist(), predictions.focus.tolist(),
            predictions.familiarity.tolist(), _ranked(predictions, top), strict=True,
        )
    ]


def _ranked(predictions: Predictions, top: int) -> list[list[dict[str, Any]]]:
    """The `top` best candidates of each, best first."""
    names = predictions.candidates
    return [
        [{"label": shown(names[place]), "score": score} for place, score in row]
        for row in _largest(predictions.scores, top)
    ]


def _largest(scores: FloatArray, top: int) -> list[list[tuple[int, float]]]:
    """Place and value of the `top` largest of each row, largest first, of equal ones the first."""
    if scores.size <= _FEW:
        return [sorted(enumerate(row), key=_value, reverse=True)[:top] for row in scores.tolist()]
    if scores.shape[1] > 4 * top:
        chosen = np.argpartition(-scores, top - 1, axis=1)[:, :top]
        best = np.take_along_axis(scores, chosen, 1)
        order = np.take_along_axis(chosen, np.argsort(-best, axis=1, kind="stable"), 1)
    else:
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    values = scores[np.arange(len(scores))[:, None], order].tolist()
    return [list(zip(places, row, strict=True)) for places, row in zip(order.tolist(), values, strict=True)]
