"""The names of the keys on a server, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, cast

from redis.asyncio import RedisCluster
from redis.exceptions import NoPermissionError

from .client import CommandClient
from .errors import AccessRefused

PAGE = 1000


async def scan_keys(client: CommandClient, pattern: str) -> AsyncGenerator[tuple[int, list[bytes]]]:
    """Pages of the keys that match, on every primary of a cluster, each with how many keys were looked at for it.

    In no order; a key that is there throughout comes at least once, and may come twice. The server is asked only as
    long as the caller goes on. Raises AccessRefused; other Redis errors are let through.
    """
    untyped = cast(Any, client)
    if not isinstance(untyped, RedisCluster):
        nodes: list[dict[str, Any]] = [{}]
    else:
        await untyped.initialize()
        nodes = [{"target_nodes": node} for node in cast("list[Any]", untyped.get_primaries())]
    for node in nodes:
        cursor = 0
        while True:
            try:
                reply: Any = await client.execute_command("SCAN", cursor, "MATCH", pattern, "COUNT", PAGE, **node)
            except NoPermissionError as error:  # few roles may
                raise AccessRefused(str(error)) from error
            # The cluster client gives a cursor for each node that it asked, here for the one.
            cursor = sum(reply[0].values()) if node else int(reply[0])
            yield PAGE, list(reply[1])
            if cursor == 0:
                break
