"""Ctrl-C that waits for the step under way, so that a checkpoint of whole steps can be written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def waiting_interruption() -> Iterator[Callable[[], bool]]:
    """Within it, the first Ctrl-C only makes the function that it yields answer True; the second interrupts at once.

    Outside the main thread, where Python delivers no signals, and where Ctrl-C was already taken over, nothing changes.

    >>> with waiting_interruption() as asked_to_stop:
    ...     asked_to_stop()
    False
    """
    asked = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
