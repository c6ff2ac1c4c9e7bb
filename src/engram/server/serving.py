"""Running the server: sockets, HTTPS, signals, and an end in which everything acknowledged is kept."""

from __future__ import annotations

import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

import uvicorn

from engram.server.app import create_app
from engram.server.context import Context
from engram.server.http_protocol import GuardedProtocol, refused
from engram.server.listening import BACKLOG, Listening, room_for
from engram.server.problems import Refusal
from engram.server.request_log import Forwarded, RequestLog
from engram.server.settings import Settings

_GARBAGE = (20_000, 20, 20)  # objects made before they are looked through: an answer makes hundreds, and no cycles
_SWITCH = 0.0005  # seconds a thread keeps Python to itself while others wait: asking must not wait for a lesson


class _Server(uvicorn.Server):
    """Tells those who listen for changes that it is over, before it waits for requests to finish."""

    def __init__(self, config: uvicorn.Config, context: Context) -> None:
        super().__init__(config)
        self._context = context

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal ends it in order; a second SIGINT at once. A server that was asked to end has not failed."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._context.stop()
        await super().shutdown(sockets)


def serve(
    folders: Mapping[str, Path], settings: Settings, *, started: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished, and every brain is closed.

    Args:
        folders: name -> folder of every brain.
        settings: where to listen, whom to let in.
        started: called with the address once requests are taken; brains may still be opening then.

    Raises:
        InputError: the settings do not fit, or the address cannot be listened on.
    """
    log = RequestLog()
    app = create_app(folders, settings, log)
    sys.setswitchinterval(_SWITCH)
    listening = _listen(settings, log)
    _forward_logs(log)
    config = uvicorn.Config(
        app, http=GuardedProtocol, log_config=None, access_log=False, server_header=False, date_header=True,
        timeout_keep_alive=30, timeout_graceful_shutdown=int(settings.grace), lifespan="on", ws="none",
        ssl_certfile=settings.certificate, ssl_keyfile=settings.key, proxy_headers=False, backlog=BACKLOG,
    )
    server = _Server(config, app.api.state.context)  # type: ignore[attr-defined]
    address = _address(settings, listening)
    log.write("listening", address=address, brains=sorted(folders))
    if started is not None:
        started(address)
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()


def _listen(settings: Settings, log: RequestLog) -> Listening:
    """A socket that is listened on. Raises InputError where that cannot be."""
    full = Refusal("busy", "This server holds as many connections as it can: come back later.",
                   headers={"Retry-After": "1"})
    return Listening(
        settings.host, settings.port, most=room_for(settings.connections),
        farewell=b"" if settings.certificate else refused(full),
        refused=lambda: log.write_seldom("connection refused", "warning", most=settings.connections),
    )


def _address(settings: Settings, listening: socket.socket) -> str:
    """Where a browser finds the page."""
    host = "127.0.0.1" if settings.wildcard else settings.host
    scheme = "https" if settings.certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/"


def _forward_logs(log: RequestLog) -> None:
    """What libraries have to say goes into the same log, from warnings on."""
    root = logging.getLogger()
    root.handlers[:] = [Forwarded(log)]
    root.setLevel(logging.WARNING)
