"""Confirmed calls: a script, and behind it on the same connection the wait until what it wrote is safe.

WAIT and WAITAOF speak of what their own connection has written last. So a call that is repeated, perhaps on another
connection, must write again, were it only a deadline: behind a call that has written nothing, nothing is waited for.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from redis import exceptions as redis

from .client import CommandClient, RawConnection, forget_topology, has_connections, make_raw_connection, on_close
from .durability import Durability
from .keys import Keys
from .patience import NotConfirmed
from .script import Script
from .syncing import ensure_synced


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
        if has_connections(client):
            on_close(self._client, lambda _: self.close())

    async def call(self, script: Script, *args: Any) -> Any:
        """The script's answer, once it is safe. Raises NotConfirmed, and redis-py's errors as one attempt."""
        async with self._turn:
            try:
                connection = await self._connected()
                answer, confirmed = await self._send(connection, "EVALSHA", script.sha, args)
                if isinstance(answer, redis.NoScriptError):
                    answer, confirmed = await self._send(connection, "EVAL", script.text, args)
            except BaseException:  # a reply may still be on its way
                await self._leave()
                raise
            if isinstance(answer, Exception):
                await self._leave()
                raise answer
            if isinstance(confirmed, Exception):  # the server has become a replica, for one
                await self._leave()
                raise NotConfirmed(f"{self._durability.missing}: {confirmed}") from confirmed
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
        return self._connection

    async def _leave(self) -> None:
        """The slot may have moved, or the server changed its role: connect anew, to who has it now."""
        self._astray = True
        await self.close()

    async def _send(self, connection: RawConnection, how: str, text: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """Both in one write; their replies, errors among them."""
        untyped = cast(Any, connection)
        packed = [*untyped.pack_command(how, text, 1, self._key, *args), *untyped.pack_command(*self._durability.wait)]
        await untyped.send_packed_command(packed)
        return await _reply(connection), await _reply(connection)


async def _reply(connection: RawConnection) -> Any:
    try:
        return await connection.read_response()
    except redis.ResponseError as error:
        return error
