"""Confirmed calls: a script, and behind it on the same connection the wait until what it wrote is safe.

WAIT and WAITAOF speak of what their own connection has written last. So a call that is repeated, perhaps on another
connection, must write again, were it only a deadline: behind a call that has written nothing, nothing is waited for.

A node of a cluster that has lost the lead and got it again meanwhile goes on with a WAIT as if nothing had been, and
counts what its replicas have of another history. So it is asked behind each WAIT which history it writes.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast

from redis import exceptions as redis

from .client import CommandClient, RawConnection, forget_topology, has_connections, make_raw_connection, on_close
from .durability import Durability
from .keys import Keys
from .patience import NotConfirmed
from .script import Script
from .syncing import ensure_synced

HISTORY = ("INFO", "replication")


class Confirmed:
    """Calls of one shard, one after the other. It connects with the first."""

    def __init__(self, client: object, keys: Keys, durability: Durability) -> None:
        self._client = cast(CommandClient, client)
        self._key = keys.log
        self._flock = keys.flock
        self._durability = durability
        self._connection: RawConnection | None = None
        self._turn = asyncio.Lock()
        self._astray = False
        self._history = b""
        """What the server at the other end wrote when it was connected to."""
        if has_connections(client):
            on_close(self._client, lambda _: self.close())

    async def call(self, script: Script, *args: Any) -> Any:
        """The script's answer, once it is safe. Raises NotConfirmed, and redis-py's errors as one attempt."""
        async with self._turn:
            try:
                connection = await self._connected()
                answer, confirmed, history = await self._send(connection, "EVALSHA", script.sha, args)
                if isinstance(answer, redis.NoScriptError):
                    answer, confirmed, history = await self._send(connection, "EVAL", script.text, args)
            except BaseException:  # a reply may still be on its way
                await self._leave()
                raise
            if isinstance(answer, Exception):
                await self._leave()
                raise answer
            if isinstance(confirmed, Exception):  # the server has become a replica, for one
                await self._leave()
                raise NotConfirmed(f"{self._durability.missing}: {confirmed}") from confirmed
            if history != self._history:
                await self._leave()
                raise NotConfirmed(f"{self._durability.missing}: it had lost the lead, and with it the call")
            got, *_ = cast("list[int]", confirmed) if self._durability.disk else [int(confirmed)]
            if got < self._durability.needs:
                raise NotConfirmed(self._durability.missing)
            return answer

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _connected(self) -> RawConnection:
        if self._astray:
            await forget_topology(self._client)
            self._astray = False
        if self._connection is None:
            self._connection = await make_raw_connection(self._client, self._key)
            await self._connection.connect()
            if self._durability.disk:
                await ensure_synced(self._connection, self._flock)
            else:
                await self._connection.send_command(*HISTORY)
                self._history = _history_of(await self._connection.read_response())
        return self._connection

    async def _leave(self) -> None:
        """The slot may have moved, or the server changed its role: connect anew, to who has it now."""
        self._astray = True
        await self.close()

    async def _send(
        self, connection: RawConnection, how: str, text: str, args: tuple[Any, ...]
    ) -> tuple[Any, Any, bytes]:
        """All in one write; their replies, errors among them, and the history that the server writes now."""
        untyped = cast(Any, connection)
        packed = [*untyped.pack_command(how, text, 1, self._key, *args), *untyped.pack_command(*self._durability.wait)]
        if not self._durability.disk:
            packed += untyped.pack_command(*HISTORY)
        await untyped.send_packed_command(packed)
        answer, confirmed = await _reply(connection), await _reply(connection)
        return answer, confirmed, b"" if self._durability.disk else _history_of(await _reply(connection))


async def _reply(connection: RawConnection) -> Any:
    try:
        return await connection.read_response()
    except redis.ResponseError as error:
        return error


def _history_of(info: Any) -> bytes:
    """Its name: a new one for each time that a server begins to lead."""
    found = re.search(rb"^master_replid:(\w+)", info, re.MULTILINE) if isinstance(info, bytes) else None
    return b"?" if found is None else found[1]
