"""Fixtures for the tests of every room: a real server for all, servers and proxies to torment, and a watch on keys."""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from roost_tests.bare_server import BareCluster, BareServer
from roost_tests.own_server import OwnServer
from roost_tests.proxy import Proxy

from roost.streams.connection import Connection, connect
from roost.streams.keys import KINDS
from roost.streams.server import ServerAddress, start_server, stop_server
from roost.streams.url import ServerUrl


@pytest.fixture(scope="session")
def server_home() -> Iterator[Path]:
    """Where this session's server has its data."""
    home = Path(tempfile.mkdtemp(prefix="roost-test-"))
    yield home
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def server(server_home: Path) -> Iterator[ServerAddress]:
    """The server that all tests of this session share. Do not stop it, freeze it or change its settings."""
    address = asyncio.run(start_server(server_home))
    yield address
    asyncio.run(stop_server(server_home))


@pytest.fixture
def server_url(server: ServerAddress) -> str:
    return server.url


@pytest.fixture
def flock_name() -> str:
    """A flock that no other test has."""
    return f"t-{secrets.token_hex(6)}"


@pytest.fixture
async def connection(server_url: str) -> AsyncIterator[Connection]:
    """A connection to the shared server."""
    async with await connect(server_url) as connection:
        yield connection


@pytest.fixture(autouse=True)
def watch_keys(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test that used the shared server: only keys of its own flock, of known kinds, are there. Removes them."""
    if "server" not in request.fixturenames:
        yield
        return
    address: ServerAddress = request.getfixturevalue("server")
    flock: str | None = request.getfixturevalue("flock_name") if "flock_name" in request.fixturenames else None
    yield
    strangers = sorted(key for key in _take_keys(address) if flock is None or not _is_key_of(flock, key))
    assert not strangers, f"keys that are not of this test's flock {flock!r}, or of no known kind: {strangers[:20]}"


def _take_keys(address: ServerAddress) -> set[str]:
    with redis.Redis(unix_socket_path=ServerUrl.parse(address.url).path) as synchronous:
        client: Any = synchronous
        found: set[str] = {key.decode("utf-8", "replace") for key in client.scan_iter(count=1000)}
        client.flushall()
    return found


def _is_key_of(flock: str, key: str) -> bool:
    # Flocks made from the test's own, such as forks, may add to its name.
    shape = re.match(rf"roost:\{{{re.escape(flock)}[^{{}}]*\.\d+\}}:([a-z]+)(:|$)", key)
    return shape is not None and shape[1] in KINDS


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[OwnServer]]]:
    """Starts servers of this test's own: `server = await own_server()`."""
    servers: list[OwnServer] = []

    async def start() -> OwnServer:
        one = OwnServer(tmp_path / f"server-{len(servers)}")
        servers.append(one)
        await one.start()
        return one

    yield start
    for one in servers:
        if one.lives:
            await one.kill()


@pytest.fixture
async def bare_server(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[BareServer]]]:
    """Starts the server program on a TCP port with options: `server = await bare_server("--requirepass", "secret")`."""
    servers: list[BareServer] = []

    async def start(*options: str) -> BareServer:
        one = BareServer(tmp_path / f"bare-{len(servers)}", *options)
        servers.append(one)
        await one.start()
        return one

    yield start
    for one in servers:
        one.stop()


@pytest.fixture
async def bare_cluster(tmp_path: Path) -> AsyncIterator[Callable[[int], Awaitable[BareCluster]]]:
    """Starts a cluster of that many nodes, which takes some seconds: `cluster = await bare_cluster(3)`."""
    clusters: list[BareCluster] = []

    async def start(size: int) -> BareCluster:
        one = BareCluster(tmp_path / f"cluster-{len(clusters)}", size)
        clusters.append(one)
        await one.start()
        return one

    yield start
    for one in clusters:
        one.stop()


@pytest.fixture
async def proxy() -> AsyncIterator[Callable[[str], Awaitable[Proxy]]]:
    """Puts a proxy before a server: `faulty = await proxy(server_url)`, then connect to `faulty.url`."""
    proxies: list[Proxy] = []

    async def start(upstream: str) -> Proxy:
        one = Proxy(upstream)
        proxies.append(one)
        await one.start()
        return one

    yield start
    for one in proxies:
        await one.close()
