"""Fixtures for the tests of every room: a real server for all, servers and proxies to torment, and a watch on keys."""

from __future__ import annotations

import gc
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from roost_tests.bare_cluster import BareCluster
from roost_tests.bare_server import BareServer
from roost_tests.own_server import OwnServer
from roost_tests.programs import NoProgram, find_program, shared_kind
from roost_tests.proxy import Proxy
from roost_tests.shared_server import SharedServer, shared_server

from roost.streams.connection import Connection, connect
from roost.streams.keys import KINDS

# How long an example takes says something about who else uses the machine, and nothing about Roost.
settings.register_profile("roost", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("roost")


def pytest_configure(config: pytest.Config) -> None:
    """Ends a session whose server is not on this machine, and says so."""
    kind = shared_kind()
    try:
        find_program("valkey" if kind == "cluster" else kind)
    except NoProgram as missing:
        if kind != "valkey":
            pytest.exit(f"SKIPPED, all tests on {kind}: {missing}", returncode=0)
    if "ROOST_HOME" not in os.environ:  # flocks that tests open keep nothing in that of whoever runs them
        os.environ["ROOST_HOME"] = home = tempfile.mkdtemp(prefix="roost-test-home-")
        config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """A failure is told in peace. It is told by parsing source; a collection of garbage amid that, of something that
    complains of its end, parses as well, and Python before 3.11.8 cannot do both: the whole session would end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_report_header(config: pytest.Config) -> str:
    return f"server that tests share: {shared_kind()}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On another server than the usual one: only the tests that use it."""
    if shared_kind() == "valkey":
        return
    for item in items if shared_kind() == "cluster" else ():
        if item.get_closest_marker("one_server"):
            item.add_marker(pytest.mark.skip("about the connections to one server, and this is a cluster"))
    others = [item for item in items if "server" not in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if "server" in getattr(item, "fixturenames", ())]


@pytest.fixture(scope="session")
def server_home() -> Iterator[Path]:
    """Where this session's server has its data."""
    home = Path(tempfile.mkdtemp(prefix="roost-test-"))
    yield home
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def server(server_home: Path) -> Iterator[SharedServer]:
    """The server that all tests of this session share. Do not stop it, freeze it or change its settings."""
    with shared_server(shared_kind(), server_home) as server:
        yield server


@pytest.fixture
def server_url(server: SharedServer) -> str:
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
    server: SharedServer = request.getfixturevalue("server")
    flock: str | None = request.getfixturevalue("flock_name") if "flock_name" in request.fixturenames else None
    yield
    strangers = sorted(key for key in server.take_keys() if flock is None or not _is_key_of(flock, key))
    assert not strangers, f"keys that are not of this test's flock {flock!r}, or of no known kind: {strangers[:20]}"


def _skip_without(program: str) -> None:
    try:
        find_program(program)
    except NoProgram as missing:
        pytest.skip(str(missing))


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
    """Starts a server program on a TCP port with options: `server = await bare_server("--requirepass", "secret")`.

    `program="redis8"` for another than Valkey; the test is skipped where that is not installed.
    """
    servers: list[BareServer] = []

    async def start(*options: str, program: str = "valkey") -> BareServer:
        _skip_without(program)
        one = BareServer(tmp_path / f"bare-{len(servers)}", *options, program=program)
        servers.append(one)
        await one.start()
        return one

    yield start
    for one in servers:
        one.stop()


@pytest.fixture
async def bare_cluster(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[BareCluster]]]:
    """Starts a cluster of that many primaries, which takes some seconds: `cluster = await bare_cluster(3, replicas=1)`.

    Further keywords are BareCluster's. The test is skipped where the program is not installed.
    """
    clusters: list[BareCluster] = []

    async def start(size: int, **more: Any) -> BareCluster:
        _skip_without(more.get("program", "valkey"))
        one = BareCluster(tmp_path / f"cluster-{len(clusters)}", size, **more)
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
