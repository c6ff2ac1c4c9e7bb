"""What happened, as JSON lines on stderr: requests with their ids, never what was taught, asked, or a token."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO

from engram.printable import printable_json

_WAITING_AT_MOST = 10_000  # lines; a stalled reader of stderr must not stall the server
_SELDOM = 10.0  # seconds between two lines of what anybody could make happen any number of times
_WRITTEN_EVERY = 0.1  # seconds: to wake the writer for each line would make every request wait for Python's lock


class RequestLog:
    """Writes one JSON object a line, in a thread of its own.

    Args:
        stream: where to; None for stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lines: deque[tuple[float, str, str, dict[str, Any]]] = deque(maxlen=_WAITING_AT_MOST)
        self._writer: threading.Thread | None = None
        self._seldom: dict[str, tuple[float, int]] = {}
        self._starting = threading.Lock()
        self._closed = threading.Event()

    def write(self, event: str, level: str = "info", **values: Any) -> None:
        """Log something; returns at once."""
        self._lines.append((time.time(), level, event, values))
        if self._writer is None:
            self._start()

    def write_seldom(self, event: str, level: str = "info", **values: Any) -> None:
        """Log what strangers could otherwise fill the disk with: one line in ten seconds, with how many it stands for.

        Call it from one thread only.
        """
        now = time.monotonic()
        written, times = self._seldom.get(event, (-_SELDOM, 0))
        if now - written < _SELDOM:
            self._seldom[event] = (written, times + 1)
        else:
            self._seldom[event] = (now, 0)
            self.write(event, level, times=times + 1, **values)

    def close(self) -> None:
        """Write what is waiting, but not for longer than two seconds."""
        writer = self._writer
        if writer is not None:
            self._closed.set()
            writer.join(2.0)
            self._writer = None
            self._closed.clear()

    def _start(self) -> None:
        with self._starting:
            if self._writer is None:
                self._writer = threading.Thread(target=self._run, name="engram-log", daemon=True)
                self._writer.start()

    def _run(self) -> None:
        last = False
        while not last:
            last = self._closed.wait(_WRITTEN_EVERY)
            lines = []
            while self._lines:
                moment, level, event, values = self._lines.popleft()
                when = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
                entry = {"time": when, "level": level, "event": event, **values}
                line = json.dumps(entry, ensure_ascii=False, default=str)
                lines.append(printable_json(line) + "\n")
            if lines:
                self._print("".join(lines))

    def _print(self, text: str) -> None:
        stream = self._stream or sys.stderr
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.write(text)
            stream.flush()


class Forwarded(logging.Handler):
    """Carries what libraries log, uvicorn above all, into the same log."""

    def __init__(self, log: RequestLog) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        more = {}
        if record.exc_info and record.exc_info[1] is not None:
            more["trace"] = trace_of(record.exc_info[1])
        self._log.write("log", record.levelname.lower(), logger=record.name, message=record.getMessage(), **more)


def trace_of(error: BaseException) -> list[str]:
    """Where an error was raised: files, lines and functions, without the values that went through them."""
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames] + [type(error).__name__]
