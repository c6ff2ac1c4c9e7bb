"""The socket that listens: answers leave at once, and no more connections are held than fit.

Nagle's algorithm (RFC 896) would keep an answer back until the client has acknowledged what came before, and clients
wait 40 ms with that (RFC 1122, section 4.2.3.2). TCP_NODELAY turns it off.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from engram.learner import InputError

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
