"""Makes redis-py clients the way Roost needs them, and gives the untyped library a type, in this one place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol, cast

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from .packing import (
    ClusterConnection,
    ClusterSSLConnection,
    PackingConnection,
    PackingSSLConnection,
    PackingUnixConnection,
)
from .sentinel import make_guided_client
from .url import ServerUrl

CONNECT_TIMEOUT = timedelta(seconds=5)
COMMAND_TIMEOUT = timedelta(seconds=10)
HEALTH_CHECK = timedelta(seconds=30)
CLUSTER_CONNECTIONS = 512
"""redis-py's cluster client refuses instead of waiting when a node's connections are all in use."""

Argument = bytes | str | int | float
Reply = Any
"""What redis-py makes of a RESP2 reply: bytes, int, None, lists of these; dicts for a few commands such as HGETALL."""


class CommandClient(Protocol):
    """The part of redis-py's clients that Roost uses. Keys and values come back as bytes.

    One call is one attempt: a lost connection is raised as redis.exceptions.ConnectionError or TimeoutError, and the
    call may have been carried out. Whoever calls decides about another attempt.
    """

    async def execute_command(self, *args: Argument, **options: Any) -> Reply: ...
    async def ping(self) -> bool: ...
    async def evalsha(self, sha: str, numkeys: int, *keys_and_args: Argument) -> Reply: ...
    async def script_load(self, script: str) -> str: ...
    async def get(self, name: str) -> bytes | None: ...
    async def set(self, name: str, value: Argument, **options: Any) -> Reply: ...
    async def delete(self, *names: str | bytes) -> int: ...
    async def exists(self, *names: str) -> int: ...
    async def hget(self, name: str, key: str) -> bytes | None: ...
    async def hgetall(self, name: str) -> dict[bytes, bytes]: ...
    async def hset(self, name: str, *, mapping: Mapping[Any, Argument]) -> int: ...
    async def xadd(self, name: str, fields: Mapping[Any, Argument], id: str = "*", **options: Any) -> bytes: ...
    async def xlen(self, name: str) -> int: ...
    async def xrange(self, name: str, min: str = "-", max: str = "+", count: int | None = None) -> Reply: ...
    async def xrevrange(self, name: str, max: str = "+", min: str = "-", count: int | None = None) -> Reply: ...
    async def xread(self, streams: Mapping[str, str], count: int | None = None, block: int | None = None) -> Reply: ...
    async def xreadgroup(
        self,
        groupname: str,
        consumername: str,
        streams: Mapping[str, str],
        count: int | None = None,
        block: int | None = None,
        noack: bool = False,
    ) -> Reply: ...
    async def aclose(self) -> None: ...


class RawConnection(Protocol):
    """One of redis-py's connections, below its clients: what is sent and what comes back are not paired."""

    socket_timeout: float | None
    """Seconds that a reply may take; None: for ever."""

    async def connect(self) -> None: ...
    async def send_command(self, *args: Argument, check_health: bool = True) -> None: ...
    async def read_response(self, *, timeout: float | None = None) -> Reply: ...
    async def disconnect(self, nowait: bool = False) -> None: ...


def make_client(
    url: ServerUrl,
    *,
    connections: int,
    command_timeout: timedelta | None = COMMAND_TIMEOUT,
    connect_timeout: timedelta = CONNECT_TIMEOUT,
    name: str = "roost",
) -> CommandClient:
    """A client that connects when it is first used and has at most that many connections; further callers wait.

    `command_timeout` is how long a reply may take; None waits for ever.
    """
    options: dict[str, Any] = {
        "username": url.username,
        "password": url.password,
        "client_name": name,
        "socket_timeout": None if command_timeout is None else command_timeout.total_seconds(),
        "socket_connect_timeout": connect_timeout.total_seconds(),
        "health_check_interval": HEALTH_CHECK.total_seconds(),
        "decode_responses": False,
        # RESP2: every server and every proxy before it speaks it, and replies have one shape everywhere (RESP3 turns
        # some lists into maps and mixes pushes into the replies). Scripts answer in flat lists, so nothing is lost.
        "protocol": 2,
        # No retries below Roost: a call whose reply was lost may have been carried out, and only its caller knows
        # whether a repeat is harmless.
        "retry": Retry(NoBackoff(), 0),
    }
    if url.is_cluster:
        return _make_cluster(url, options)
    options["db"] = url.db
    if url.is_watched:
        return _with_raw_ranges(make_guided_client(url, connections, options))
    if url.path:
        options |= {"connection_class": PackingUnixConnection, "path": url.path}
    else:
        host, port = url.hosts[0]
        options |= {"connection_class": PackingConnection, "host": host, "port": port, "socket_keepalive": True}
    if url.is_tls:
        options |= {"connection_class": PackingSSLConnection, **url.tls}
    # timeout=None: whoever finds every connection in use waits for one; how long a call may take is bounded above.
    pool = BlockingConnectionPool(max_connections=connections, timeout=None, **options)
    return _with_raw_ranges(Redis.from_pool(pool))


def _with_raw_ranges(client: Any) -> CommandClient:
    """Let `raw=True` give what XRANGE answers as it comes: whoever reads a whole log spends a third of its time on the
    dictionaries that redis-py makes of entries."""
    parse = client.response_callbacks["XRANGE"]

    def ranged(reply: Any, *, raw: bool = False, **options: Any) -> Any:
        return reply if raw else parse(reply, **options)

    client.set_response_callback("XRANGE", ranged)
    return cast(CommandClient, client)


def _make_cluster(url: ServerUrl, options: dict[str, Any]) -> CommandClient:
    nodes = [ClusterNode(host, port) for host, port in url.hosts]
    # reinitialize_steps=0: at every fifth moved slot it would close itself, with all that others do on it.
    cluster = RedisCluster(
        startup_nodes=nodes, ssl=url.is_tls, max_connections=CLUSTER_CONNECTIONS, reinitialize_steps=0, **options,
        **url.tls,
    )  # fmt: skip
    connection_class = ClusterSSLConnection if url.is_tls else ClusterConnection
    untyped = cast(Any, cluster)
    untyped.connection_kwargs["connection_class"] = connection_class  # of the nodes that it will find
    for node in untyped.startup_nodes:
        node.connection_class = connection_class

    async def aclose() -> None:  # its own closes nothing when it has just lost a node
        untyped._initialize = True
        await untyped.nodes_manager.aclose()
        await untyped.nodes_manager.aclose("startup_nodes")

    untyped.aclose = aclose
    return cast(CommandClient, cluster)


def on_close(client: CommandClient, tell: Callable[[CommandClient], Awaitable[None] | None]) -> None:
    """Calls `tell` when somebody closes that client, and awaits what it answers."""
    close = client.aclose

    async def aclose() -> None:
        told = tell(client)
        if told is not None:
            await told
        await close()

    cast(Any, client).aclose = aclose


async def ask_one_node(client: CommandClient, *args: Argument) -> Reply:
    """The reply of a server, or of one node of a cluster, to a command that has no key."""
    untyped = cast(Any, client)
    if isinstance(untyped, RedisCluster):
        await untyped.initialize()
        return await untyped.execute_command(*args, target_nodes=untyped.get_default_node())
    return await client.execute_command(*args)


async def ask_all_nodes(client: CommandClient, *args: Argument) -> list[Reply]:
    """The replies of a server, or of every primary of a cluster, to a command that has no key."""
    untyped = cast(Any, client)
    if not isinstance(untyped, RedisCluster):
        return [await client.execute_command(*args)]
    await untyped.initialize()
    nodes = cast("list[Any]", untyped.get_primaries())
    return [await untyped.execute_command(*args, target_nodes=node) for node in nodes]


async def ask_node_of(client: CommandClient, key: str, *args: Argument) -> Reply:
    """The reply of the server that has `key` to a command without keys."""
    untyped = cast(Any, client)
    if not isinstance(untyped, RedisCluster):
        return await client.execute_command(*args)
    await untyped.initialize()
    return await untyped.execute_command(*args, target_nodes=untyped.get_node_from_key(key))


async def make_raw_connection(client: CommandClient, key: str) -> RawConnection:
    """A new connection, not yet connected, to the server that has `key` now. Whoever asks for it disconnects it."""
    untyped = cast(Any, client)
    if isinstance(untyped, RedisCluster):
        await untyped.initialize()
        node = cast(Any, untyped.get_node_from_key(key))
        return cast(RawConnection, node.connection_class(**node.connection_kwargs))
    return cast(RawConnection, untyped.connection_pool.make_connection())


def take_over(connection: RawConnection, protocol: asyncio.Protocol) -> asyncio.WriteTransport:
    """Lets a protocol have what a connection, that has connected, receives from now on; what it sends by. Raises redis-
    py's ConnectionError."""
    writer = cast(Any, connection)._writer
    if writer is None or writer.transport.is_closing():
        raise RedisConnectionError("the server closed the connection")
    transport: asyncio.WriteTransport = writer.transport
    transport.set_protocol(protocol)
    return transport


def has_connections(client: object) -> bool:
    """Whether it is a client of redis-py's, of which connections can be had."""
    return isinstance(client, Redis | RedisCluster)


def is_cluster(client: object) -> bool:
    """Whether it is the client of a cluster."""
    return isinstance(client, RedisCluster)


async def forget_topology(client: CommandClient) -> None:
    """Makes a cluster client ask anew which node has which keys; nothing to do for a single server."""
    untyped = cast(Any, client)
    if isinstance(untyped, RedisCluster):
        await untyped.nodes_manager.initialize()
