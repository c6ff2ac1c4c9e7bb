"""What happened, as JSON lines on stderr: requests with their ids, never what was taught, asked, or a token."""

from __future__ import annotations

import json
import logging
import queue
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

_WAITING_AT_MOST = 10_000  # lines; a stalled reader of stderr must not stall the server


class RequestLog:
    """Writes one JSON object a line, in a thread of its own.

    Args:
        stream: where to; None for stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._starting = threading.Lock()

    def write(self, event: str, level: str = "info", **values: Any) -> None:
        """Log something; returns at once."""
        if self._lines.qsize() < _WAITING_AT_MOST:
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._lines.put({"time": time, "level": level, "event": event, **values})
        if self._writer is None:
            self._start()

    def close(self) -> None:
        """Write what is waiting, but not for longer than two seconds."""
        writer = self._writer
        if writer is not None:
            self._lines.put(None)
            writer.join(2.0)
            self._writer = None

    def _start(self) -> None:
        with self._starting:
            if self._writer is None:
                self._writer = threading.Thread(target=self._run, name="engram-log", daemon=True)
                self._writer.start()

    def _run(self) -> None:
        while (entry := self._lines.get()) is not None:
            stream = self._stream or sys.stderr
            try:
                stream.write(json.dumps(entry, ensure_ascii=False, default=str) + "\n")
                stream.flush()
            except (OSError, ValueError):  # nobody reads it any more
                continue


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
