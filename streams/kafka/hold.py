"""The bridge's hold on a shard: that no other mirrors it, how far it is, and whether what it read still stands."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import orjson

from ..errors import RoostError
from ..event import new_id
from ..marks import Holder
from ..position import Position
from ..shard import Shard
from .faults import BridgeBusy, BridgeFenced

LEASE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the shard says. `metas`: of each entry that was asked for, its meta, or None: it is not in the log."""

    epoch: str
    horizon: Position | None
    metas: list[bytes | None]


class Hold:
    """Kept by a task of its own, until `release`. Whoever stands still for longer than the lease has lost it."""

    def __init__(self, shard: Shard, bridge: str, *, lease: timedelta = LEASE) -> None:
        self._shard = shard
        self._bridge = bridge
        self._lease = lease
        self._who = orjson.dumps({"who": new_id(), "host": socket.gethostname()[:100], "process": os.getpid()}).decode()
        self._renewing: asyncio.Task[None] | None = None
        self._taken: str | None = None
        self._has = False

    async def take(self) -> Standing:
        """Raises BridgeBusy while another has it."""
        standing = await self._call("", [])
        if isinstance(standing, str):
            raise BridgeBusy(
                f"{_named(standing)} mirrors flock {self._shard.keys.flock!r} with this prefix already, and one does "
                "it all: end that one first, start this one with --standby, or choose another --topic-prefix"
            )
        self._has = True
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(), name="roost bridge hold")
        return standing

    async def keep(self, passed: Position | None, *ask: Position, events: int = 0) -> Standing:
        """Tell how far the mirror has come, and how many events there are up to there, and ask what stands at these
        entries. Raises BridgeFenced."""
        if self._taken is not None:
            raise _fenced(self._taken, self._shard.keys.flock)
        standing = await self._call("" if passed is None else f"{passed.entry} {events}", [one.entry for one in ask])
        if isinstance(standing, str):
            self._taken = standing
            raise _fenced(standing, self._shard.keys.flock)
        return standing

    async def release(self) -> None:
        """Another may have it at once."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
            self._renewing = None
        if self._has and self._taken is None:
            with suppress(RoostError, TimeoutError):
                async with asyncio.timeout(2):  # it ends by itself where the server is away
                    await self._shard.run("bridge", self._bridge, self._who, 0, "")

    async def drop(self) -> None:
        """Nothing waits for this mirror any more. Raises BridgeBusy while one is at work."""
        standing = await self._call("-", [], lease_ms=0)
        if isinstance(standing, str):
            raise BridgeBusy(f"{_named(standing)} mirrors flock {self._shard.keys.flock!r} just now: end that first")

    async def _renew(self) -> None:
        while self._taken is None:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            with suppress(RoostError):  # whoever mirrors meets it, too
                standing = await self._call("", [])
                if isinstance(standing, str):
                    self._taken = standing

    async def _call(self, passed: str, ask: list[str], *, lease_ms: int | None = None) -> Standing | str:
        """The standing, or who else has the hold."""
        lease_ms = round(self._lease.total_seconds() * 1000) if lease_ms is None else lease_ms
        match await self._shard.run("bridge", self._bridge, self._who, lease_ms, passed, *ask):
            case [b"ok", epoch, horizon, *told]:
                trimmed = Position.parse(horizon.decode(), shard=self._shard.number) if horizon else None
                return Standing(epoch.decode(), trimmed, [one[1:] if one[:1] == b"+" else None for one in told])
            case [b"taken", holder]:
                return str(holder.decode())
            case _:
                raise RoostError(f"there is no flock {self._shard.keys.flock!r} on this server, or none any more")


def _named(holder: str) -> str:
    """Who that is, for people."""
    return str(Holder.parse(holder.encode()))


def _fenced(holder: str, flock: str) -> BridgeFenced:
    return BridgeFenced(
        f"{_named(holder)} has taken the mirror of flock {flock!r} over, because this one stood still for too long: it "
        "ends, and has written nothing since"
    )
