"""Running the server: sockets, HTTPS, signals, and an end in which everything acknowledged is kept.

The socket that listens: answers leave at once, and no more connections are held than fit.

Nagle's algorithm (RFC 896) would keep an answer back until the client has acknowledged what came before, and clients
wait 40 ms with that (RFC 1122, section 4.2.3.2). TCP_NODELAY turns it off.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakSet

import uvicorn

from engram.learner import InputError
from engram.server.app import create_app
from engram.server.context import Context
from engram.server.http_protocol import GuardedProtocol, refused
from engram.server.problems import Refusal
from engram.server.request_log import Forwarded, RequestLog
from engram.server.settings import Settings

BACKLOG = 2048
_SPARE = 256  # file descriptors kept for everything that is no connection: brains, logs, uploads
_NONE_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class _Connection(socket.socket):
    """An accepted connection that is counted while it is open."""

    __slots__ = ("_counted",)

    def count_in(self, counted: WeakSet[_Connection]) -> None:
        self._counted = counted
        counted.add(self)

    def close(self) -> None:
        self._counted.discard(self)
        super().close()


class Listening(socket.socket):
    """A TCP socket that listens.

    Args:
        host, port: where; port 0 takes any that is free.
        most: connections held at once; more are refused.
        refused: called for each connection that is refused.
        farewell: what one that is refused is told.

    Raises:
        InputError: the address cannot be listened on.
    """

    def __init__(
        self, host: str, port: int, *, most: int, refused: Callable[[], None], farewell: bytes = b""
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio asks for the protocol by number
        self._most, self._refused, self._farewell = most, refused, farewell
        self._open: WeakSet[_Connection] = WeakSet()
        self._reserve = os.open(os.devnull, os.O_RDONLY)
        try:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted inherits it
            self.bind((host, port))
            self.listen(BACKLOG)
        except (OSError, OverflowError) as error:
            self.close()
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"Cannot listen on {host}:{port}: {reason}.") from error
        self.set_inheritable(False)

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection. Raises BlockingIOError where none waits, or one was refused."""
        try:
            accepted, address = super().accept()
        except OSError as error:
            if error.errno in _NONE_LEFT:
                self._turn_away()
            raise
        connection = _Connection(self.family, self.type, self.proto, accepted.detach())
        connection.count_in(self._open)
        if len(self._open) > self._most:
            self._refuse(connection)
            raise BlockingIOError(errno.EAGAIN, "refused")
        return connection, address

    def close(self) -> None:
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1
        super().close()

    def _turn_away(self) -> None:
        """With no file descriptor left, use the one in reserve: what nobody accepts would be offered for ever."""
        os.close(self._reserve)
        try:
            self._refuse(super().accept()[0])
        except OSError:
            pass
        finally:
            self._reserve = os.open(os.devnull, os.O_RDONLY)
        raise BlockingIOError(errno.EAGAIN, "no file descriptor is left")

    def _refuse(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            if self._farewell:
                connection.send(self._farewell)
        except OSError:
            pass
        finally:
            connection.close()
        self._refused()


def room_for(connections: int) -> int:
    """How many connections fit beside everything else, with as many file descriptors as the system allows.

    >>> room_for(10)
    10
    """
    try:
        import resource
    except ImportError:  # not on this system: connections are no file descriptors there
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else min(connections, max(16, soft - _SPARE))


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
    context: Context = app.api.state.context  # type: ignore[attr-defined]
    server = _Server(config, context)
    address = _address(settings, listening)
    log.write("listening", address=address, brains=sorted(brain.name for brain in context.shelf))
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
    logging.captureWarnings(True)
