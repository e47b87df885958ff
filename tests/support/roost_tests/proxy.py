"""A proxy between a client and a server that does what bad networks do."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from redis.asyncio import Redis

from roost.streams.url import ServerUrl

from .frames import read_command, take_frames
from .waiting import wait_until

_PUSHED = (b"*3\r\n$7\r\nmessage\r\n", b"*3\r\n$8\r\nsmessage\r\n", b"*4\r\n$8\r\npmessage\r\n")

Match = str | Callable[[list[bytes]], bool] | None


@dataclass
class Fault:
    """Something that is to happen to one request. `happened` is set when it has."""

    kind: Literal["lose_request", "lose_reply", "hold_reply"]
    match: Match
    nth: int
    happened: asyncio.Event = field(default_factory=asyncio.Event)
    request: list[bytes] = field(default_factory=list[bytes])
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Lets a held reply go."""
        self.released.set()

    def strikes(self, request: list[bytes]) -> bool:
        if self.happened.is_set() or self.request or not self._matches(request):
            return False
        self.nth -= 1
        if self.nth > 0:
            return False
        self.request = request
        return True

    def _matches(self, request: list[bytes]) -> bool:
        if self.match is None:
            return True
        if isinstance(self.match, str):
            return request[0].upper() == self.match.upper().encode()
        return self.match(request)


class Proxy:
    """Listens on a TCP port of this machine, `url`, and forwards to a server; before a cluster, on one for each node.

    Faults strike one request each: the `nth` from now on that matches. `match` is a command's name, or a function of
    the request's words, or None for any request (the client's own handshake counts too).
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = ServerUrl.parse(upstream)
        self._servers: list[asyncio.Server] = []
        self._nodes: dict[int, int] = {}
        """Of a cluster: the port of each node, and that before it."""
        self._links: set[_Link] = set()
        self._faults: list[Fault] = []
        self._open = asyncio.Event()
        self._open.set()
        self._refuses = False
        self.port = 0
        self.delay = 0.0
        """Seconds that every reply waits."""
        self.requests: deque[list[bytes]] = deque(maxlen=10_000)
        """What went through, oldest first."""
        self.connections = 0
        """How many were ever accepted."""

    @property
    def url(self) -> str:
        return f"{'redis+cluster' if self._nodes else 'redis'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        if not self._upstream.is_cluster:
            self.port = await self._listen(self._accept)
            return
        for port in await ports_of(self._upstream):
            self._nodes[port] = await self._listen(partial(self._accept, node=port))
        self.port = self._nodes[self._upstream.hosts[0][1]]

    async def _listen(self, accept: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> int:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        self._refuses = True
        self._open.set()
        self.cut()
        for server in self._servers:
            server.close()
            await server.wait_closed()
        await wait_until(lambda: not self._links)

    def cut(self, which: Callable[[], bool] = lambda: True) -> int:
        """Ends connections at once, whatever is under way: every one, or those for which `which` says so; new ones are
        taken. Says how many there were."""
        links = [link for link in self._links if which()]
        for link in links:
            link.abort()
        return len(links)

    def refuse(self) -> None:
        """Ends every connection, and each new one as soon as it is made, until `accept`."""
        self._refuses = True
        self.cut()

    def accept(self) -> None:
        self._refuses = False

    def stall(self) -> None:
        """Lets nothing through any more and closes nothing, as a network does that drops packets, until `resume`."""
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    def lose_reply(self, match: Match = None, *, nth: int = 1) -> Fault:
        """The request is carried out; instead of its reply the client sees its connection end."""
        return self._add("lose_reply", match, nth)

    def lose_request(self, match: Match = None, *, nth: int = 1) -> Fault:
        """The request never arrives; the client sees its connection end."""
        return self._add("lose_request", match, nth)

    def hold_reply(self, match: Match = None, *, nth: int = 1) -> Fault:
        """The request is carried out; its reply waits for the fault's `release()`."""
        return self._add("hold_reply", match, nth)

    def _add(self, kind: Literal["lose_request", "lose_reply", "hold_reply"], match: Match, nth: int) -> Fault:
        fault = Fault(kind, match, nth)
        self._faults.append(fault)
        return fault

    def calm(self) -> None:
        """Takes back whatever has not struck yet, and lets go of what is held."""
        for fault in self._faults:
            fault.release()
        self._faults.clear()
        self.delay = 0.0
        self.resume()

    def fault_for(self, request: list[bytes]) -> Fault | None:
        return next((fault for fault in self._faults if fault.strikes(request)), None)

    async def pass_gate(self) -> None:
        await self._open.wait()

    def disguise(self, request: list[bytes], frame: bytes) -> bytes:
        """The reply to a request; where a cluster tells of its nodes, these are said to be on this proxy's ports."""
        if self._nodes and (request[0].upper() == b"CLUSTER" or frame.startswith((b"-MOVED ", b"-ASK "))):
            for port, before in self._nodes.items():
                frame = frame.replace(b":%d\r\n" % port, b":%d\r\n" % before)
        return frame

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, node: int | None = None
    ) -> None:
        self.connections += 1
        if self._refuses:
            writer.transport.abort()
            return
        link = _Link(self, reader, writer)
        self._links.add(link)
        try:
            if node is not None:
                upstream = await asyncio.open_connection("127.0.0.1", node)
            elif self._upstream.path:
                upstream = await asyncio.open_unix_connection(self._upstream.path)
            else:
                upstream = await asyncio.open_connection(*self._upstream.hosts[0])
            await link.run(*upstream)
        except OSError:
            pass  # the server is down: the client sees its connection end
        finally:
            link.abort()
            self._links.discard(link)


async def ports_of(url: ServerUrl) -> list[int]:
    """The ports of all nodes of a cluster on this machine."""
    client: Any = Redis(port=url.hosts[0][1])
    try:
        nodes: dict[str, Any] = await client.execute_command("CLUSTER NODES")
    finally:
        await client.aclose()
    return [int(place.rpartition(":")[2]) for place in nodes]


class _Link:
    """One client's connection and its continuation to the server."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._upstream: asyncio.StreamWriter | None = None
        self._awaited: deque[tuple[list[bytes], Fault | None]] = deque()
        """The requests under way, and what is to happen to the reply of each."""

    def abort(self) -> None:
        for writer in (self._writer, self._upstream):
            if writer is not None:
                writer.transport.abort()

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._upstream = writer
        ways = [asyncio.create_task(self._forward_requests()), asyncio.create_task(self._forward_replies(reader))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.abort()
            for way in ways:
                way.cancel()
            for way in ways:
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await way

    async def _forward_requests(self) -> None:
        data = bytearray()
        assert self._upstream is not None
        while chunk := await self._reader.read(65_536):
            data += chunk
            for frame in take_frames(data):
                await self._proxy.pass_gate()
                request = read_command(frame)
                self._proxy.requests.append(request)
                fault = self._proxy.fault_for(request)
                if fault is not None and fault.kind == "lose_request":
                    fault.happened.set()
                    return
                self._awaited.append((request, fault))
                if request[0].upper().endswith(b"SUBSCRIBE"):  # every channel is answered by a message of its own
                    self._awaited.extend([(request, None)] * (len(request) - 2))
                self._upstream.write(frame)
            await self._upstream.drain()

    async def _forward_replies(self, reader: asyncio.StreamReader) -> None:
        data = bytearray()
        while chunk := await reader.read(65_536):
            data += chunk
            for frame in take_frames(data):
                await self._proxy.pass_gate()
                if self._proxy.delay:
                    await asyncio.sleep(self._proxy.delay)
                # Replies come in the order of their requests; between them what is pushed, which answers nothing.
                answers = self._awaited and not frame.startswith(_PUSHED)
                request, fault = self._awaited.popleft() if answers else ([b""], None)
                if fault is not None:
                    fault.happened.set()
                    if fault.kind == "lose_reply":
                        return
                    await fault.released.wait()
                self._writer.write(self._proxy.disguise(request, frame))
            await self._writer.drain()
