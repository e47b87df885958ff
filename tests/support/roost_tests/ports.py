"""TCP ports of this machine that servers of tests can have, again and again."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

FIRST, BUS = 12_000, 10_000
"""A cluster's nodes talk to each other by a second port, 10,000 above: it is free, too. Both are below those that the
system gives to outgoing connections: one of them would keep a server from its port, or be taken for the server, when it
is that server's own client that knocks."""
_given = set[int]()


def free_port() -> int:
    """Nobody listens there now, and nobody else in this process has got it."""
    while True:
        port = FIRST + secrets.randbelow(BUS)
        if port in _given:
            continue
        with suppress(OSError), socket.socket() as one, socket.socket() as bus:
            one.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + BUS))
            _given.add(port)
            return port
