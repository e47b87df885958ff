"""The way to a server: one shared client for commands, and further ones for what blocks."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType

from .client import COMMAND_TIMEOUT, CONNECT_TIMEOUT, CommandClient, ask_one_node, make_client, on_close
from .errors import ServerUnavailable
from .facts import ServerFacts, find_facts
from .pushes import Pushes
from .unavailable import FAILURES, explain
from .url import ServerUrl

CONNECTIONS = 32
"""Of the shared client. Whoever finds all of them in use waits."""
BLOCK_MARGIN = timedelta(seconds=10)
"""How long a reply to a blocking read may be late."""


class Connection:
    """A server that has been reached and is fit for Roost. `facts` were true when it was reached."""

    def __init__(self, url: ServerUrl, raw_url: str, client: CommandClient, facts: ServerFacts) -> None:
        self._url = url
        self._clients = {client}
        self._pushes: list[Pushes] = []
        self.client = client
        self.facts = facts
        self.url = raw_url
        """With its password: not for people to read."""

    @property
    def shown_url(self) -> str:
        return self._url.shown

    def dedicated(self, *, block: timedelta | None = None, connections: int = 1) -> CommandClient:
        """A client of its own, for reads that block up to `block`; None: for as long as the server likes.

        It lives until its `aclose`, or until this connection is closed.
        """
        timeout = None if block is None else block + BLOCK_MARGIN
        client = make_client(self._url, connections=connections, command_timeout=timeout)
        self._clients.add(client)
        on_close(client, self._clients.discard)
        return client

    def separate(self, *, command_timeout: timedelta = COMMAND_TIMEOUT) -> CommandClient:
        """A client that this connection does not own: for the event loop of another thread, which must close it."""
        return make_client(self._url, connections=1, command_timeout=command_timeout)

    def pushes(self) -> Pushes:
        """Sharded pub/sub of one slot that looks after itself: see Pushes. Closed with this connection."""
        pushes = Pushes(self.dedicated(block=COMMAND_TIMEOUT), self.shown_url)
        self._pushes = [one for one in self._pushes if not one.closed] + [pushes]
        return pushes

    async def ping(self) -> timedelta:
        """How long one round trip took. Raises ServerUnavailable."""
        before = time.perf_counter()
        try:
            await ask_one_node(self.client, "PING")
        except FAILURES as error:
            raise explain(error, self.shown_url) from error
        return timedelta(seconds=time.perf_counter() - before)

    async def wait_until_up(self, timeout: timedelta = timedelta(seconds=30)) -> None:
        """Waits for a server that restarts. Raises the last ServerUnavailable when `timeout` has passed."""
        deadline = time.monotonic() + timeout.total_seconds()
        while True:
            try:
                await self.ping()
                return
            except ServerUnavailable:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        for pushes in self._pushes:
            await pushes.close()
        for client in list(self._clients):
            await client.aclose()

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Connection to {self.shown_url}>"


async def connect(
    url: str | None = None,
    *,
    home: Path | None = None,
    connections: int = CONNECTIONS,
    command_timeout: timedelta = COMMAND_TIMEOUT,
    connect_timeout: timedelta = CONNECT_TIMEOUT,
) -> Connection:
    """Reaches the server at `url`; without one, Roost's own in `home`, which is started if need be.

    With neither, the settings of this process decide.

    Raises ServerUnavailable if it cannot be reached or is not fit for Roost, SettingsError if the URL makes no sense.
    """
    if url is None:
        url = await _choose_server(home)
    parsed = ServerUrl.parse(url)
    client = make_client(
        parsed, connections=connections, command_timeout=command_timeout, connect_timeout=connect_timeout
    )
    facts = await _find_facts(client, parsed)
    if facts.cluster and not parsed.is_cluster:
        # A cluster's node at a plain address would answer MOVED to most keys.
        await client.aclose()
        if parsed.is_watched:
            raise ServerUnavailable(
                f"{parsed.shown} is a node of a cluster, which fails over by itself: redis+cluster://…"
            )
        if parsed.path:
            raise ServerUnavailable(f"{parsed.shown} is a node of a cluster; give its address as redis+cluster://…")
        return await connect(
            url.replace("://", "+cluster://", 1), command_timeout=command_timeout, connect_timeout=connect_timeout
        )
    return Connection(parsed, url, client, facts)


async def _choose_server(home: Path | None) -> str:
    from .server import start_server
    from .settings import Settings

    if home is None:
        settings = Settings.read()
        if settings.url is not None:
            return settings.url
        home = settings.home
    return (await start_server(home)).url


async def _find_facts(client: CommandClient, url: ServerUrl) -> ServerFacts:
    try:
        return await find_facts(client, url.shown)
    except FAILURES as error:
        await client.aclose()
        raise explain(error, url.shown) from error
    except BaseException:
        await client.aclose()
        raise
