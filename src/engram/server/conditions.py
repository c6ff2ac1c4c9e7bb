"""Conditional requests (RFC 9110, section 13): the ETag of a brain is its sequence number.

Where a resource shows more than the number tells, such as the inbox, something follows after a hyphen: "42-1f". What is
to be changed is guarded by the number alone.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from starlette.requests import Request

from engram.server.problems import Refusal

_TAG = re.compile(r'(?:W/)?"([^"]*)"')


def etag(seq: int, *more: Any) -> str:
    """
    >>> etag(42)
    '"42"'
    """
    if not more:
        return f'"{seq}"'
    return f'"{seq}-{hashlib.sha256(repr(more).encode()).hexdigest()[:8]}"'


def unchanged(request: Request, tag: str) -> bool:
    """Whether whoever asks has this already, by If-None-Match."""
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    return given.strip() == "*" or tag.strip('"') in _TAG.findall(given)


def wanted_seq(request: Request) -> frozenset[int] | None:
    """The sequence numbers at which a change is wanted, by If-Match; None for any.

    Raises:
        Refusal: If-Match holds no sequence number.
    """
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    numbers = [tag.split("-")[0] for tag in _TAG.findall(given)]
    if not numbers or not all(re.fullmatch("[0-9]{1,19}", number) for number in numbers):
        raise Refusal("out-of-date", 'If-Match must hold a sequence number, such as "42".')
    return frozenset(int(number) for number in numbers)


def check_seq(wanted: frozenset[int] | None, seq: int) -> None:
    """Raises Refusal where the brain has moved on."""
    if wanted is not None and seq not in wanted:
        raise Refusal(
            "out-of-date", f"The brain is at {seq}, not {sorted(wanted)[0]}: read it again, then repeat the change.",
            headers={"ETag": etag(seq)},
        )
