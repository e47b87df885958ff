"""Sentinels: servers that watch a primary and its replicas, and tell which of them is the primary now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .packing import Packing
from .url import ServerUrl

ANSWER = timedelta(seconds=1)
"""How long a sentinel may take to answer before the next one is asked."""


class NoPrimary(RedisConnectionError):
    """No server could be connected to, because no sentinel names one."""


class Sentinels:
    """Those of one URL."""

    def __init__(self, url: ServerUrl) -> None:
        self._service = url.service
        seconds = ANSWER.total_seconds()
        options: dict[str, Any] = {
            "username": url.sentinel_username,
            "password": url.sentinel_password,
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            "ssl": url.is_tls,
            **url.tls,
        }
        self._sentinel: Any = cast(Any, Sentinel)(url.hosts, sentinel_kwargs=options)

    async def find_primary(self) -> tuple[str, int]:
        """Where it is, as the first sentinel tells that answers and sees one alive. Raises NoPrimary."""
        try:
            host, port = await self._sentinel.discover_master(self._service)
        except MasterNotFoundError as error:
            problem, cause = await self._explain()
            raise problem from (cause or error)
        except ResponseError as error:  # what answers is no sentinel
            raise NoPrimary(f"no sentinel to ask: {error}") from error
        return str(host), int(port)

    async def aclose(self) -> None:
        await self._sentinel.aclose()

    async def _explain(self) -> tuple[NoPrimary, Exception | None]:
        """Why there is none, and what that came from."""
        known: set[str] = set()
        problem: Exception | None = None
        for sentinel in self._sentinel.sentinels:
            try:
                known |= set(await sentinel.sentinel_masters())
            except (RedisConnectionError, RedisTimeoutError, ResponseError) as error:
                problem = error
        if self._service in known:
            return NoPrimary(f"no primary of the service {self._service!r} is alive"), None
        if known or problem is None:
            return NoPrimary(f"no such service: {self._service!r}"), None
        return NoPrimary(f"no sentinel answers: {problem}"), problem


class _Guided(Packing):
    """Asks for the primary before it connects, and leaves a server that has become a replica."""

    def __init__(self, *, find_primary: Callable[[], Awaitable[tuple[str, int]]], **options: Any) -> None:
        self._find_primary = find_primary
        super().__init__(**options)

    async def connect_check_health(self, *args: Any, **options: Any) -> None:
        connection: Any = self
        if not connection.is_connected:
            connection.host, connection.port = await self._find_primary()
        await cast(Any, super()).connect_check_health(*args, **options)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await cast(Any, super()).read_response(*args, **options)
        except ReadOnlyError:
            await cast(Any, self).disconnect(nowait=True)
            raise


class GuidedConnection(_Guided, Connection):
    """To the primary of a service."""


class GuidedSSLConnection(_Guided, SSLConnection):
    """To the primary of a service, over TLS."""


def make_guided_client(url: ServerUrl, connections: int, options: dict[str, Any]) -> Redis:
    """A client of the primary that the URL's sentinels name, whichever that is when a connection is made."""
    sentinels = Sentinels(url)
    options = options | url.tls | {
        "connection_class": GuidedSSLConnection if url.is_tls else GuidedConnection,
        "find_primary": sentinels.find_primary,
        "socket_keepalive": True,
    }  # fmt: skip
    client = Redis.from_pool(BlockingConnectionPool(max_connections=connections, timeout=None, **options))
    close = client.aclose

    async def aclose() -> None:
        await close()
        await sentinels.aclose()

    cast(Any, client).aclose = aclose
    return client
