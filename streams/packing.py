"""Connections that pack commands in C: redis-py's asyncio connections do it argument by argument in Python.

A call of the write script has thousands of arguments; packing them took a third of a process's time.
"""

from __future__ import annotations

from typing import Any, cast

import hiredis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import DataError


def _pack(arguments: tuple[Any, ...]) -> list[bytes]:
    """The command as it goes on the wire. Its name may hold several words, `XINFO CONSUMERS`, as redis-py has it."""
    name = arguments[0]
    words = name.split() if isinstance(name, str | bytes) else [name]
    try:
        packed: bytes = cast(Any, hiredis).pack_command((*words, *arguments[1:]))  # its stub knows one word only
    except TypeError as error:
        raise DataError(f"an argument of {name!r} is neither text, bytes nor a number") from error
    return [packed]


class PackingConnection(Connection):
    def pack_command(self, *args: Any) -> list[bytes]:
        return _pack(args)


class PackingSSLConnection(SSLConnection):
    def pack_command(self, *args: Any) -> list[bytes]:
        return _pack(args)


class PackingUnixConnection(UnixDomainSocketConnection):
    def pack_command(self, *args: Any) -> list[bytes]:
        return _pack(args)
