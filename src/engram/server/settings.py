"""What a server is started with: where it listens, whom it lets in, and how much it takes at once."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from engram.inputs.images import PIXEL_LIMIT
from engram.learner import InputError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to serve.

    Attributes:
        host, port: where to listen; port 0 takes any that is free.
        token_file: the tokens that let someone in; None lets everyone in, on loopback only.
        certificate, key: PEM files for HTTPS; None for plain HTTP.
        allow_hosts: further names under which this server may be addressed.
        follow: read only: follow what another process teaches the brains.
        body_limit: bytes of one request.
        json_limit: bytes of one request in JSON, which takes more time and memory than what is sent as it is.
        bodies_at_once: bytes of all the requests that are being received or worked on.
        brain_limit: bytes of a brain that is sent to be melded.
        pixel_limit: pixels of one picture.
        pixels_at_once: pixels of all the pictures of one request.
        rate: requests a second from one client; None takes 5,000 on loopback and 200 elsewhere.
        connections: open at the same time; more are refused. Fewer where the system allows fewer file descriptors.
        requests_at_once: requests worked on at the same time; more are told to come back.
        patience: seconds to wait for a head, for the next part of a body, or for a client to read its answer.
        grace: seconds that requests get to finish when the server stops.
        access_log: log every request.
    """

    host: str = "127.0.0.1"
    port: int = 8420
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    allow_hosts: tuple[str, ...] = ()
    follow: bool = False
    body_limit: int = 2**25
    json_limit: int = 2**23
    bodies_at_once: int = 2**28
    brain_limit: int = 2**28
    pixel_limit: int = PIXEL_LIMIT
    pixels_at_once: int = PIXEL_LIMIT
    rate: float | None = None
    connections: int = 1024
    requests_at_once: int = 512
    patience: float = 20.0
    grace: float = 30.0
    access_log: bool = True
    folder: Path = Path("brains")
    """The shelf: the brains in it are served, and new ones are made there."""

    @property
    def loopback(self) -> bool:
        """Whether only programs on this machine can reach it."""
        return is_loopback(self.host)

    @property
    def requests_per_second(self) -> float:
        """The rate that holds."""
        return (5000.0 if self.loopback else 200.0) if self.rate is None else self.rate

    @property
    def wildcard(self) -> bool:
        """Whether it listens on every address of the machine."""
        return self.host in ("0.0.0.0", "::", "")

    def hosts(self) -> frozenset[str]:
        """The names under which it may be addressed, in lower case, without ports."""
        names = {self.host, *self.allow_hosts}
        if self.loopback or self.wildcard:
            names |= set(LOOPBACK_NAMES)
        if not self.loopback:
            names |= {socket.gethostname(), socket.getfqdn()}
        return frozenset(name.lower().strip("[]") for name in names if name)

    def check(self) -> None:
        """Raises InputError where these settings would let strangers in, or do not fit each other."""
        if not self.loopback and self.token_file is None:
            raise InputError(
                f"{self.host} is not a loopback address: non-loopback addresses require --token-file "
                "(engram token add FILE NAME creates the file). Or serve on 127.0.0.1."
            )
        if (self.certificate is None) != (self.key is None):
            raise InputError("HTTPS needs both --tls-cert and --tls-key.")
        for file in (self.certificate, self.key, self.token_file):
            if file is not None and not file.is_file():
                raise InputError(f"The file {file} does not exist.")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, seen from itself.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
