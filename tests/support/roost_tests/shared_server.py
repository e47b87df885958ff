"""The server that all tests of a session share, of the kind that ROOST_TEST_SERVER names."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.asyncio import Redis

from roost.streams.keys import Keys
from roost.streams.server import start_server, stop_server
from roost.streams.url import ServerUrl

from .bare_cluster import BareCluster
from .bare_server import BareServer


class SharedServer:
    """It runs. `url` is its address, `kind` one of KINDS."""

    def __init__(self, kind: str, url: str, ports: list[int]) -> None:
        self.kind = kind
        self.url = url
        self._ports = ports

    def take_keys(self) -> set[str]:
        """All keys that there are, which it removes."""
        found: set[str] = set()
        for synchronous in self._clients():
            client: Any = synchronous
            with client:
                found |= {key.decode("utf-8", "replace") for key in client.scan_iter(count=1000)}
                client.flushall()
        return found

    def _clients(self) -> Iterator[Any]:
        if not self._ports:
            yield redis.Redis(unix_socket_path=ServerUrl.parse(self.url).path)
        for port in self._ports:
            yield redis.Redis(port=port)


def plain_client(url: str, flock: str, **options: Any) -> Any:
    """redis-py's own client of the server that has the flock's first shard, for looking at what is there."""
    parsed = ServerUrl.parse(url)
    if parsed.path:
        return Redis(unix_socket_path=parsed.path, **options)
    host, port = parsed.hosts[0]
    if parsed.is_cluster:
        with redis.RedisCluster(host, port) as synchronous:
            cluster: Any = synchronous
            port = cluster.get_node_from_key(Keys(flock).log).port
    return Redis(host=host, port=port, **options)


@contextmanager
def shared_server(kind: str, home: Path) -> Generator[SharedServer]:
    """Runs it, with its data in `home`."""
    if kind == "valkey":
        yield SharedServer(kind, asyncio.run(start_server(home)).url, [])
        asyncio.run(stop_server(home))
        return
    aof = ("--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction")
    server: BareCluster | BareServer
    if kind == "cluster":
        # Other tests may take the processor for seconds: that is to be no reason for a failover.
        server = cluster = BareCluster(home, 3, replicas=1, options=(*aof, "--cluster-node-timeout", "15000"))
        ports = [node.port for node in cluster.nodes[:3]]
    else:
        server = one = BareServer(home, *aof, program=kind)
        ports = [one.port]
    try:
        asyncio.run(server.start())
        yield SharedServer(kind, server.url, ports)
    finally:
        server.stop()
