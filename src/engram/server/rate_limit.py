"""How often one client may ask: a token bucket for each, as in ATM's generic cell rate algorithm (ITU-T I.371)."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

_CLIENTS = 4096


class RateLimit:
    """At most `rate` requests a second from one client, and `burst` at once.

    Of more clients than can be remembered those are forgotten that have been silent longest.

    >>> limit = RateLimit(rate=2, burst=2, clock=lambda: 10.0)
    >>> [limit.wait("ada") for _ in range(3)], limit.wait("bob")
    ([0.0, 0.0, 0.5], 0.0)
    """

    def __init__(self, rate: float, burst: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._spacing = 1 / rate if rate > 0 else 0.0
        self._tolerance = self._spacing * ((max(2 * rate, 1.0) if burst is None else burst) - 1)
        self._clock = clock
        self._due: OrderedDict[Hashable, float] = OrderedDict()

    def wait(self, client: Hashable) -> float:
        """Seconds until this client may ask again: 0 now, and it counts as asked."""
        if not self._spacing:
            return 0.0
        now = self._clock()
        due = max(self._due.get(client, now), now)
        if due - now > self._tolerance + 1e-9:
            return due - now - self._tolerance
        self._due[client] = due + self._spacing
        self._due.move_to_end(client)
        if len(self._due) > _CLIENTS:
            self._due.popitem(last=False)
        return 0.0
