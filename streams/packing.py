"""Connections that pack commands in C, and that write them without hiding a cancellation.

redis-py's asyncio connections pack argument by argument in Python: a call of the write script has thousands of
arguments, and packing them took a third of a process's time. And they write under `asyncio.wait_for`, which on Python
3.11 swallows a cancellation that comes when the write has just ended: a worker told to stop would never stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import hiredis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AskError, ClusterDownError, DataError, MovedError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError


class Packing:
    """What is different from redis-py's connections; to stand before one of them."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """The command as it goes on the wire. Its name may be several words, `XINFO CONSUMERS`, as redis-py has it."""
        name = args[0]
        words = name.split() if isinstance(name, str | bytes) else [name]
        try:
            packed: bytes = cast(Any, hiredis).pack_command((*words, *args[1:]))  # its stub knows one word only
        except TypeError as error:
            raise DataError(f"an argument of {name!r} is neither text, bytes nor a number") from error
        return [packed]

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """Raises redis-py's TimeoutError and ConnectionError; whatever is raised, the connection is closed first."""
        connection: Any = self
        if not connection.is_connected:
            await connection.connect_check_health(check_health=False)
        if check_health:
            await connection.check_health()
        packed = command.encode() if isinstance(command, str) else command
        writer = connection._writer
        if writer is None:  # a cluster client closes connections that others are about to use, when a slot has moved
            raise RedisConnectionError("the connection was closed before the command was written")
        try:
            async with asyncio.timeout(connection.socket_timeout):
                writer.writelines([packed] if isinstance(packed, bytes) else packed)
                await writer.drain()
        except TimeoutError:
            await connection.disconnect(nowait=True)
            raise RedisTimeoutError("the server took no more of a command in time") from None
        except OSError as error:
            await connection.disconnect(nowait=True)
            raise RedisConnectionError(f"the connection broke while a command was written: {error}") from error
        except BaseException:  # half a command may be on its way: what follows on this connection would not be one
            await connection.disconnect(nowait=True)
            raise

    async def _send_ping(self) -> None:
        """What redis-py asks a connection now and then. A server with a full disk refuses even that, and serves reads:
        it says so, and is not taken for one that is gone."""
        asked: Any = super()
        try:
            await asked._send_ping()
        except ResponseError as error:
            if not str(error).startswith("MISCONF"):
                raise


class PackingConnection(Packing, Connection):
    """Over TCP."""


class PackingSSLConnection(Packing, SSLConnection):
    """Over TLS."""


class PackingUnixConnection(Packing, UnixDomainSocketConnection):
    """Over a Unix socket."""


class SlotUnsettled(ResponseError):
    """A cluster moves the slot to another node at this moment, or nobody has it: the same call may go through later."""


class _Settling(Packing):
    """redis-py would follow a key that has moved before the others of its slot, and a script there would find half of
    its shard. It would also close the client's connections, all of them, when a node says that the cluster is down."""

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """Not into a connection that the node has ended since its last use: nobody could tell whether it arrived."""
        connection: Any = self
        if connection.is_connected and connection._reader.at_eof():
            await connection.disconnect(nowait=True)
        await super().send_packed_command(command, check_health)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        reader: Any = super()
        try:
            return await reader.read_response(*args, **options)
        except MovedError:  # an AskError by class
            raise
        except (AskError, TryAgainError, ClusterDownError) as error:
            raise SlotUnsettled(f"the cluster moves a slot, or has lost a node ({error})") from error


class ClusterConnection(_Settling, Connection):
    """To a node of a cluster."""


class ClusterSSLConnection(_Settling, SSLConnection):
    """To a node of a cluster, over TLS."""
