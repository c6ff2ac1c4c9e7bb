"""How large a request's body may be: as large as what it is for; and how large all of them together."""

from __future__ import annotations

from engram.server.problems import Refusal
from engram.server.settings import Settings

NOTE = 2**16
"""Bytes of a body that holds no examples: names, labels, options."""

_EXAMPLES = ("/predict", "/examples", "/infer")
_AS_IT_IS = (b"application/octet-stream", b"multipart/form-data", b"image/")
_FOLDERS = (b"application/zip", b"multipart/form-data")


def body_limit(path: str, content_type: bytes, settings: Settings) -> int:
    """The most bytes.

    >>> body_limit("/v1/brains/b/predict", b"image/png", Settings()), body_limit("/v1/brains/b:undo", b"", Settings())
    (33554432, 65536)
    """
    kind = content_type.strip().lower()
    if path.endswith(":meld") and kind.startswith(_FOLDERS):
        return settings.brain_limit
    if not path.endswith(_EXAMPLES):
        return NOTE
    return settings.body_limit if kind.startswith(_AS_IT_IS) else min(settings.json_limit, settings.body_limit)


class Room:
    """What the bodies of all requests take together, while they are received or worked on.

    Args:
        size: bytes.
    """

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        """Raises Refusal where there is not as much room."""
        if size > self._left:
            raise Refusal("too-many-requests", "The server is receiving too much data at this moment: try again later.",
                          headers={"Retry-After": "2"})
        self._left -= size

    def give_back(self, size: int) -> None:
        """For others."""
        self._left += size
