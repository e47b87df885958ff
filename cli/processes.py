"""Child processes that do the same work: started, replaced when they die, stopped in good order, never left behind."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from roost.streams.errors import RoostError

from .failure import FAILED, tell

HURRY = timedelta(seconds=15)
"""What children that were told to stop at once are given, to hand back what they have."""
GRACE = timedelta(seconds=30)
"""What children that were told to stop are given, before they are killed."""
FIRST_PAUSE = timedelta(milliseconds=500)
"""Before a dead child is replaced; doubled with each death within the window."""
MAX_DEATHS = 5
WINDOW = timedelta(minutes=1)


class ProcessesFailed(RoostError):
    """The processes cannot go on.

    `code` is the exit code for it; `told` says that a child has told the reason on standard error.
    """

    def __init__(self, message: str, *, code: int = FAILED, told: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.told = told


class Child:
    """A child process. `ready` is set when it has said so on its lifeline; `word` is what it said."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self.name = name
        self.process = process
        self.ready = asyncio.Event()
        self.word = ""
        self._channel = channel

    @property
    def pid(self) -> int:
        return self.process.pid

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"

    async def listen(self) -> None:
        """Until it has said that it is ready, or has ended."""
        said = b""
        while not said.endswith(b"\n"):
            more = await asyncio.get_running_loop().sock_recv(self._channel, 1024)
            if not more:
                return
            said += more
        self.word = said.decode(errors="replace").strip()
        self.ready.set()

    def send(self, number: signal.Signals) -> None:
        try:
            self.process.send_signal(number)
        except ProcessLookupError:
            return  # it has ended meanwhile

    def close(self) -> None:
        self._channel.close()


class Processes:
    """`count` children of the same command, for as long as the `async with` block runs.

    Each gets a lifeline as its standard input (see Lifeline): it ends when this process does, however it ends. The
    first must say there that it is ready before the others are started, so that what is wrong with all of them is told
    once. One that dies later is replaced after a pause; one that dies too often within a minute ends it all: `failed`.
    Children are in process groups of their own: Ctrl-C reaches them only through this process.
    """

    def __init__(
        self,
        argv: Sequence[str],
        count: int,
        *,
        name: str = "worker",
        environment: Mapping[str, str] | None = None,
        grace: timedelta = GRACE,
        report: Callable[[str], None] = tell,
        first_pause: timedelta = FIRST_PAUSE,
        max_deaths: int = MAX_DEATHS,
    ) -> None:
        self._argv = list(argv)
        self._names = [f"{name} {number + 1}" for number in range(count)]
        self._environment = None if environment is None else dict(environment)
        self._grace = grace
        self._report = report
        self._first_pause = first_pause
        self._max_deaths = max_deaths
        self._children: dict[str, Child] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._proven = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.killed = 0
        """Children that did not stop in time and had to be killed."""

    @property
    def children(self) -> list[Child]:
        """Those that live now."""
        return list(self._children.values())

    async def failed(self) -> None:
        """Waits, and raises ProcessesFailed when the processes cannot go on. Never returns otherwise."""
        await asyncio.shield(self._failure)

    async def __aenter__(self) -> Self:
        self._keepers = [
            asyncio.create_task(self._guard(name, first=not index), name=name) for index, name in enumerate(self._names)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        finally:
            self.kill()  # whoever is still there: this process is being cancelled itself
            for keeper in self._keepers:
                keeper.cancel()
            await asyncio.gather(*self._keepers, return_exceptions=True)
            if not self._failure.done():
                self._failure.cancel()

    async def stop(self) -> None:
        """Tell the children to end, wait for them, and kill those that have not ended after the grace."""
        self._stopping.set()
        for child in self.children:
            child.send(signal.SIGTERM)
        late, given = await self._late(self._grace, unless=self._hurried), self._grace
        if late and self._hurried.is_set():
            late, given = await self._late(HURRY), HURRY
        if late:
            for child in self.children:
                self.killed += 1
                self._report(f"{child} did not stop within {given.total_seconds():g} s and was killed")
            self.kill()
            await asyncio.wait(late)

    async def _late(self, grace: timedelta, unless: asyncio.Event | None = None) -> list[asyncio.Task[None]]:
        """Those whose children have not ended when so much time has passed, or that has happened."""
        ended = asyncio.ensure_future(asyncio.wait(self._keepers))
        happened = [] if unless is None else [asyncio.create_task(unless.wait())]
        await asyncio.wait([ended, *happened], timeout=grace.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        for wait in (ended, *happened):
            wait.cancel()
        return [keeper for keeper in self._keepers if not keeper.done()]

    def hurry(self) -> None:
        """Tell children that stop to do so at once: their grace ends now."""
        self._hurried.set()
        for child in self.children:
            child.send(signal.SIGTERM)

    def kill(self) -> None:
        """End all children at once. What they had in hand is taken over by others when its lease is over."""
        self._stopping.set()
        for child in self.children:
            child.send(signal.SIGKILL)

    async def _guard(self, name: str, *, first: bool) -> None:
        try:
            await self._keep(name, first=first)
        except Exception as error:
            self._fail(ProcessesFailed(f"{name} cannot be started: {type(error).__name__}: {error}"))

    async def _keep(self, name: str, *, first: bool) -> None:
        """One child after the other, as long as they are wanted."""
        if not first:
            await _first_of(self._proven, self._stopping)
        deaths: deque[float] = deque()
        while not self._stopping.is_set():
            child = await self._start(name)
            code = await self._follow(child)
            if self._stopping.is_set():
                return
            if not self._proven.is_set():
                self._fail(ProcessesFailed(f"{child} {_ending(code)} before it was ready", code=code, told=code > 0))
                return
            now = time.monotonic()
            deaths.append(now)
            while deaths[0] < now - WINDOW.total_seconds():
                deaths.popleft()
            if len(deaths) > self._max_deaths:
                self._fail(
                    ProcessesFailed(f"{name} died {len(deaths)} times within a minute; the last {_ending(code)}")
                )
                return
            pause = self._first_pause * 2 ** (len(deaths) - 1)
            self._report(f"{child} {_ending(code)}; another is started in {pause.total_seconds():g} s")
            await _wait(self._stopping, pause)

    async def _start(self, name: str) -> Child:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv, stdin=theirs.fileno(), env=self._environment, process_group=0
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        child = self._children[name] = Child(name, process, ours)
        if self._stopping.is_set():  # told while it was being started
            child.send(signal.SIGTERM)
        return child

    async def _follow(self, child: Child) -> int:
        """Until it has ended; its exit code, negative for a signal."""
        listening = asyncio.create_task(child.listen())
        ended = asyncio.create_task(child.process.wait())
        try:
            await asyncio.wait([listening, ended], return_when=asyncio.FIRST_COMPLETED)
            if child.ready.is_set():
                self._proven.set()
                self._report(f"{child} works: {child.word}")
            return await ended
        finally:
            listening.cancel()
            ended.cancel()
            await asyncio.gather(listening, ended, return_exceptions=True)
            self._children.pop(child.name, None)
            child.close()

    def _fail(self, failure: ProcessesFailed) -> None:
        if not self._failure.done():
            self._failure.set_exception(failure)


async def _first_of(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _wait(event: asyncio.Event, timeout: timedelta) -> None:
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            await event.wait()
    except TimeoutError:
        return


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
