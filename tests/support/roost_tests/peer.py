"""Another process of the flock: started with a role, told to go, heard, frozen and killed.

As a module it is that process: `python -m roost_tests.peer ROLE JSON`. It says each thing as a line of JSON. With
`processes` among its settings it forks so many, before anything else happens, and each plays the role.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from .waiting import wait_until

SUPPORT = Path(__file__).parent.parent


class Peer:
    """A process in a role. `heard` is what it has said so far."""

    def __init__(self, role: str, **settings: Any) -> None:
        self._command = [sys.executable, "-m", "roost_tests.peer", role, orjson.dumps(settings).decode()]
        self._processes: int = settings.get("processes", 1)
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.heard: list[dict[str, Any]] = []

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    async def start(self) -> None:
        pipe = asyncio.subprocess.PIPE
        path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, env={**os.environ, "PYTHONPATH": path}
        )
        self._reading = asyncio.create_task(self._read())
        await self.hear_all("ready", timeout=20)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.heard.append(orjson.loads(line))

    def go(self) -> None:
        """Let it begin, or end what it does until it is told to."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"g" * self._processes)

    async def hear(self, word: str, *, timeout: float = 15.0) -> Any:
        """What it says under that word, as soon as it does."""
        await wait_until(lambda: self.said(word), timeout=timeout, every=0.005)
        return self.said(word)[0]

    async def hear_all(self, word: str, *, timeout: float = 15.0) -> list[Any]:
        """What each of its processes says under that word."""
        await wait_until(lambda: len(self.said(word)) >= self._processes, timeout=timeout, every=0.005)
        return self.said(word)

    def said(self, word: str) -> list[Any]:
        return [line[word] for line in self.heard if word in line]

    def kill(self) -> None:
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def end(self) -> int:
        """Waits for its end; its exit code."""
        code = await self.process.wait()
        assert self._reading is not None
        await self._reading
        return code

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self.thaw()
            self.kill()
            await self.end()


@asynccontextmanager
async def peers(*these: Peer) -> AsyncGenerator[tuple[Peer, ...]]:
    """Processes that have started, and are gone when the block ends."""
    try:
        await asyncio.gather(*[one.start() for one in these])
        yield these
    finally:
        await asyncio.gather(*[one.stop() for one in these])


def say(**said: Any) -> None:
    os.write(1, orjson.dumps(said) + b"\n")  # in one piece: forked processes share the pipe


async def told_to_go() -> None:
    await asyncio.get_running_loop().run_in_executor(None, os.read, 0, 1)


async def once(settings: dict[str, Any]) -> None:
    """Asks for one key with several tasks at once."""
    from .crew import open_flock

    async def compute() -> str:
        say(computing=time.monotonic())
        await asyncio.sleep(settings.get("sleep_s", 0))
        time.sleep(settings.get("block_s", 0))  # noqa: ASYNC251  # it is to block the loop
        return str(settings.get("answer", "computed"))

    async def ask() -> tuple[str, float]:
        note = await flock.memory.once(settings["key"], compute)
        return note.id, time.monotonic()

    async with open_flock(settings) as flock:
        say(ready=os.getpid())
        await told_to_go()
        answers = await asyncio.gather(*[ask() for _ in range(settings.get("tasks", 1))])
        say(notes=[note for note, _ in answers], done=[at for _, at in answers])


async def shared(settings: dict[str, Any]) -> None:
    """Calls a function that its module shares."""
    from .crew import open_flock
    from .surveys import Bird, survey

    async with open_flock(settings):
        say(ready=os.getpid())
        await told_to_go()
        found = await survey(
            Bird(settings["bird"]), slow_s=settings.get("sleep_s", 0), told=lambda: say(computing=True)
        )
    say(found=repr(found))


async def fetch(settings: dict[str, Any]) -> None:
    """Fetches a page, or reads a file."""
    from .crew import open_flock

    async with open_flock(settings) as flock:
        say(ready=os.getpid())
        await told_to_go()
        place = settings["place"]
        found = await (flock.fetch(place, allow_private=True) if "://" in place else flock.read(place))
        say(note=found.note.id, text=found.text)


async def work(settings: dict[str, Any]) -> None:
    """Lets an actor of the crew work until it is told to go."""
    from roost.cli.watchdog import Watchdog

    from .crew import ACTORS, open_flock

    actors = [ACTORS[name] for name in settings["actors"]]
    async with open_flock(settings) as flock:
        grace = timedelta(seconds=settings.get("grace_s", 5))
        if settings.get("watched"):
            Watchdog().guard(flock)
        async with flock.work(*actors, run=settings.get("run"), grace=grace):
            say(ready=os.getpid())
            await told_to_go()
    say(left=True)


async def give(settings: dict[str, Any]) -> None:
    """Appends as quickly as it may."""
    from .crew import Given, open_flock

    async with open_flock(settings) as flock:
        say(ready=os.getpid())
        await told_to_go()
        first, count = settings["first"], settings["count"]
        given = await asyncio.gather(*[flock.append(Given(n)) for n in range(first, first + count)])
    say(given=len(given))


async def ask(settings: dict[str, Any]) -> None:
    """Asks the model several things at once."""
    from roost.actors.models import ModelBusy

    from .crew import open_flock

    async def ask_one(number: int) -> None:
        say(asking=number)
        try:
            await flock.complete(f"What is {settings.get('about', 'it')} {number}?")
            say(answered=number)
        except ModelBusy as error:
            say(busy=error.retry_after.total_seconds() if error.retry_after else None)

    async with open_flock(settings) as flock:
        if settings.get("warm"):  # a first call takes long on its way
            await flock.complete(f"Is {settings.get('about', 'it')} there?")
        say(ready=os.getpid())
        await told_to_go()
        await asyncio.gather(*[ask_one(number) for number in range(settings.get("count", 1))])
    say(done=True)


async def fill(settings: dict[str, Any]) -> None:
    """Puts notes until one is refused, or as many as it is told."""
    from roost.streams import AgentLimitExceeded

    from .crew import open_flock

    written = 0
    async with open_flock(settings) as flock:
        say(ready=os.getpid())
        await told_to_go()
        try:
            for number in range(settings["count"]):
                await flock.memory.put(f"{os.getpid()} {number}")
                written += 1
        except AgentLimitExceeded as error:
            say(refused=str(error))
    say(done=written)


ROLES: dict[str, Callable[[dict[str, Any]], Coroutine[Any, Any, None]]] = {
    "ask": ask,
    "fetch": fetch,
    "fill": fill,
    "give": give,
    "once": once,
    "shared": shared,
    "work": work,
}


def play(role: str, settings: dict[str, Any]) -> None:
    import roost_tests.crew  # once, before the fork

    assert roost_tests.crew.ACTORS
    if "skew_s" in settings:
        _skew(settings["skew_s"])
    children = [_fork(role, settings) for _ in range(settings.get("processes", 1) - 1)]
    asyncio.run(ROLES[role](settings))
    for child in children:
        os.waitpid(child, 0)


def _skew(seconds: float) -> None:
    """This process's clock is wrong, as clocks of hosts are."""
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + seconds
    time.time_ns = lambda: right_ns() + round(seconds * 1e9)


def _fork(role: str, settings: dict[str, Any]) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.run(ROLES[role](settings))
            code = 0
        finally:
            os._exit(code)
    return child


if __name__ == "__main__":
    import logging

    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    play(sys.argv[1], orjson.loads(sys.argv[2]))
