"""The conductor: the one process that starts a run, or goes on with it, follows it and ends it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import structlog

from roost.streams import RoostError, ServerUnavailable, Shard, new_id

from ..ending import end, ended_by

log = structlog.get_logger(__name__)

CONDUCTOR_LEASE = timedelta(seconds=6)
"""After so long without a word of it a run's conductor is taken for dead."""


class RunUnderWay(RoostError):
    """Another process conducts the run."""


class ConductorReplaced(RoostError):
    """Another process has taken the run over, since this one gave no word for a lease: it was frozen, or cut off."""


class Baton:
    """Who has it conducts."""

    def __init__(self, keep: Callable[[], Awaitable[bool]]) -> None:
        self.is_lost = False
        self._keep = keep

    async def is_held(self) -> bool:
        """Whether it is still this process's, by the server's word: after a pause, nobody here knows."""
        if not self.is_lost:
            self.is_lost = not await self._keep()
        return not self.is_lost


@asynccontextmanager
async def conducting(
    shard: Shard, run: str, *, lease: timedelta = CONDUCTOR_LEASE, waiting: Callable[[], None] = lambda: None
) -> AsyncGenerator[Baton]:
    """Be the one who conducts a run while the block runs.

    Waits for the lease of one who was killed, unless it was a process of this host, and tells so by `waiting`; raises
    RunUnderWay where somebody goes on to conduct it. The block is cancelled, and ConductorReplaced raised, when the
    lease was lost.
    """
    who = _name()
    await _take(shard, run, who, lease, waiting)
    baton = Baton(partial(_lease, shard, run, who, lease))
    renewing = asyncio.create_task(_renew(run, lease, baton), name=f"roost conducts {run}")
    try:
        async with ended_by([renewing]):
            yield baton
    finally:
        await end([renewing])
        try:
            await _lease(shard, run, who, timedelta(0))
        except ServerUnavailable as error:
            log.debug("a lease ends by itself", error=str(error))


async def _take(shard: Shard, run: str, who: str, lease: timedelta, waiting: Callable[[], None]) -> None:
    left_ms, is_told = 2.0**63, False
    while not await _lease(shard, run, who, lease):
        # 1. One of this host whose process is gone gives no word any more: nobody need wait for its lease.
        holder, remaining_ms = await _holder(shard, run)
        if _is_dead(holder):
            await _lease(shard, run, holder, timedelta(0))
            continue
        # 2. One that has renewed it lives.
        if remaining_ms > left_ms:
            raise RunUnderWay(f"run {run} is under way in another process: let that end it, or stop it first")
        left_ms = remaining_ms
        if not is_told:
            is_told = True
            waiting()
        await asyncio.sleep(lease.total_seconds() / 20)


async def is_conducted(shard: Shard, run: str) -> bool:
    """Whether a process has the run in hand, as far as is known: one of another host may have died within a lease."""
    holder, _ = await _holder(shard, run)
    return bool(holder) and not _is_dead(holder)


async def _holder(shard: Shard, run: str) -> tuple[str, float]:
    key = shard.keys.key("lease", f"run/{run}")
    holder: bytes | None = await shard.command("GET", key)
    return (holder or b"").decode(), float(await shard.command("PTTL", key))


def _name() -> str:
    return f"{socket.gethostname()} {os.getpid()} {new_id()}"


def _is_dead(holder: str) -> bool:
    """Whether it was a process of this host that is no more."""
    host, _, rest = holder.partition(" ")
    pid = rest.partition(" ")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is somebody else's
        return False
    return False


async def _renew(run: str, lease: timedelta, baton: Baton) -> None:
    while True:
        await asyncio.sleep(lease.total_seconds() / 4)
        try:
            if not await baton.is_held():
                raise ConductorReplaced(f"run {run} was taken over by another process: this one gave no sign of life")
        except ServerUnavailable as error:  # whoever works for the run finds out; perhaps it is back in time
            log.debug("a lease could not be renewed", error=str(error))


async def _lease(shard: Shard, run: str, who: str, lease: timedelta) -> bool:
    return bool(await shard.run("lease", f"run/{run}", who, round(lease.total_seconds() * 1000)))
