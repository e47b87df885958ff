"""What the processes of a chaos run do: worker and producer."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import orjson
import structlog

from roost.actors import Flock
from roost.streams import OutcomeUnknown, RoostError, ServerUnavailable, new_id

from .nursery import say
from .world import ACTORS, OUTSIDE, Count, Job, Step, Transfer, is_poison

OPEN_LIMIT_S = 30.0


@asynccontextmanager
async def opened(settings: dict[str, Any]) -> AsyncGenerator[Flock]:
    """The run's flock, however often that must be tried: the server may be away just now."""
    lease = timedelta(seconds=settings["lease_s"])
    patience = timedelta(seconds=settings["patience_s"])

    def opening() -> AbstractAsyncContextManager[Flock]:
        return Flock.open(
            settings["flock"], settings["url"], agent=settings["agent"], claim_lease=lease, delivery_lease=lease,
            patience=patience, **settings.get("options", {}),
        )  # fmt: skip

    until = time.monotonic() + OPEN_LIMIT_S
    async with AsyncExitStack() as stack:
        while True:
            try:
                flock = await stack.enter_async_context(opening())
                break
            except ServerUnavailable:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.2)
        yield flock


def told_to_stop() -> asyncio.Event:
    """Set by SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop


async def work(name: str, settings: dict[str, Any]) -> None:
    """All the actors, until it is told to stop; then in good order."""
    os.environ[OUTSIDE] = settings["outside"]
    stop = told_to_stop()
    async with opened(settings) as flock, flock.work(*ACTORS, grace=timedelta(seconds=settings["grace_s"])):
        say(name=name, ready=True)
        await stop.wait()


async def produce(name: str, settings: dict[str, Any]) -> None:
    """Appends commands in several lines at once, each in order, and keeps a journal of what became of them."""
    stop = told_to_stop()
    journal = Journal(settings["journal"])
    async with opened(settings) as flock:
        say(name=name, ready=True)
        lines = [Line(flock, journal, f"{name}.{number}", settings, stop) for number in range(settings["lines"])]
        async with asyncio.TaskGroup() as group:
            for line in lines:
                group.create_task(line.run())


class Journal:
    """A file that outlives its writer: one line a step. What was sent and never ended is unknown."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, step: str, commands: list[Any], **more: Any) -> None:
        names = [command.command for command in commands]
        os.write(self._file, orjson.dumps({"step": step, "commands": names, **more}) + b"\n")


class Line:
    """One after the other: the next command is appended when the last one's fate is known."""

    def __init__(
        self, flock: Flock, journal: Journal, name: str, settings: dict[str, Any], stop: asyncio.Event
    ) -> None:
        self._flock = flock
        self._journal = journal
        self._name = name
        self._stop = stop
        self._pause_s: float = settings["lines"] / settings["rate"]
        self._lease_s: float = settings["lease_s"]
        self._acts: dict[str, float] = settings["acts"]
        self._shards: int = settings["shards"]
        self._keys: int = settings["keys"]
        self._random = random.Random(f"{settings['seed']} {name}")
        self._count = 0

    async def run(self) -> None:
        while not self._stop.is_set():
            commands = [self._command() for _ in range(self._size())]
            await self._append(commands)
            pause = self._pause_s * len(commands) * self._random.uniform(0.2, 1.8)
            try:
                async with asyncio.timeout(pause):
                    await self._stop.wait()
            except TimeoutError:
                continue

    def _size(self) -> int:
        """How many stand or fall together: of several shards only one, which could not."""
        return self._random.choice((1, 1, 1, 2, 3)) if self._shards == 1 else 1

    async def _append(self, commands: list[Any]) -> None:
        self._journal.write("sent", commands)
        try:
            appended = await self._flock.append(*commands)
        except OutcomeUnknown as error:
            self._journal.write("unknown", commands, error=str(error))
        except RoostError as error:
            self._journal.write("refused", commands, error=f"{type(error).__name__}: {error}")
        else:
            self._journal.write("accepted", commands, positions=[str(position) for position in appended.positions])

    def _command(self) -> Any:
        self._count += 1
        command, draw = f"{self._name}-{self._count}", self._random
        kind = draw.choices(("count", "step", "transfer", "job"), (30, 15, 30, 25))[0]
        act = self._act()
        if kind == "count":
            return Count(command, f"k{draw.randrange(self._keys)}", act)
        if kind == "step":
            return Step(command, f"g{draw.randrange(self._keys)}", "mend" if is_poison(act) else act)
        if kind == "transfer":
            source, target = draw.sample(range(self._keys), 2)
            return Transfer(command, f"a{source}", f"a{target}", draw.randint(1, 120), act)
        topic = f"{int(time.time()) // 2}.{draw.randrange(3)}"
        return Job(command, topic, act, reminder_ms=draw.choice((0, 0, 300, 1500)), mail=draw.random() < 0.3)

    def _act(self) -> str:
        (act,) = self._random.choices(["", *self._acts], [100.0, *self._acts.values()])
        if act == "raise":
            return f"raise:{self._random.randint(1, 3)}"
        if act in ("sleep", "block"):
            return f"{act}:{self._lease_s * self._random.uniform(1.2, 2.5):.2f}"
        return act


ROLES: dict[str, Callable[[str, dict[str, Any]], Coroutine[Any, Any, None]]] = {"work": work, "produce": produce}


def play(role: str, name: str, settings: dict[str, Any]) -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars, structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.add_log_level, structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(_standard_error()),
    )  # fmt: skip
    settings = {"agent": f"{name}-{new_id()[:6]}", **settings}
    asyncio.run(ROLES[role](name, settings))


def tell_end(error: BaseException) -> None:
    structlog.get_logger("chaos").error("a process ended by itself", error=repr(error), exc_info=error)


def _standard_error() -> Any:
    return os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8")
