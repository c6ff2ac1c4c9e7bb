"""Threads beside the event loop: some for answers, many for changes that wait for the disk, few for what takes long.

They are apart so that an answer never queues behind a change or a drawing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")


class Workers:
    """The threads of one server.

    Args:
        writers: how many changes may wait for the disk at once.
    """

    def __init__(self, writers: int = 128) -> None:
        cores = os.cpu_count() or 1
        self._parsing = ThreadPoolExecutor(1, "engram-parse")
        self._operating = ThreadPoolExecutor(1, "engram-operate")
        self._answering = ThreadPoolExecutor(max(2, cores), "engram-answer")
        self._writing = ThreadPoolExecutor(writers, "engram-write")
        self._looking = ThreadPoolExecutor(2, "engram-look")
        self._exporting = ThreadPoolExecutor(2, "engram-export")

    async def parse(self, do: Callable[[], Result]) -> Result:
        """For long JSON: one after another, since each holds the interpreter, and others shall have it in between."""
        return await asyncio.get_running_loop().run_in_executor(self._parsing, do)

    async def operate(self, do: Callable[[], Result]) -> Result:
        """For whoever runs the server: never behind what users ask for."""
        return await asyncio.get_running_loop().run_in_executor(self._operating, do)

    async def answer(self, do: Callable[[], Result]) -> Result:
        """For predictions."""
        return await asyncio.get_running_loop().run_in_executor(self._answering, do)

    async def write(self, do: Callable[[], Result]) -> Result:
        """For changes: they wait for the disk, so many may do so at once and share one sync.

        A request that is cancelled meanwhile does not undo what it asked for.
        """
        return await asyncio.get_running_loop().run_in_executor(self._writing, do)

    async def look(self, do: Callable[[], Result]) -> Result:
        """For what reads much or takes long."""
        return await asyncio.get_running_loop().run_in_executor(self._looking, do)

    async def export(self, do: Callable[[], Result]) -> Result:
        """For what is sent away, as slowly as clients read."""
        return await asyncio.get_running_loop().run_in_executor(self._exporting, do)

    def export_later(self, do: Callable[[], object]) -> None:
        """The same, without waiting for it."""
        with suppress(RuntimeError):  # the server has stopped
            self._exporting.submit(do)

    def close(self) -> None:
        """Wait for what is under way."""
        for pool in (self._parsing, self._operating, self._answering, self._writing, self._looking, self._exporting):
            pool.shutdown(wait=True, cancel_futures=True)
