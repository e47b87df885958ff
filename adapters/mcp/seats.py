"""The seats: which clients are there. Who has left, or has been silent for too long, gives its claims back."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import structlog
from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import DEFAULT_SESSION_IDLE_TIMEOUT

from roost.actors import Flock
from roost.streams import LimitExceeded

from .claims import Claims
from .identity import STDIO, Identity, identify, is_session, seat_of_session
from .seat import Seat

log = structlog.get_logger(__name__)

MAX_SEATS = 1000
MAX_REQUESTS = 100
"""Requests of one client that are being answered."""
SILENCE = timedelta(minutes=10)
RECONNECT = timedelta(seconds=30)
"""A client whose stream has ended comes back within this time, or has gone."""
LOOK_EVERY_S = 1.0


class Seats:
    """`silence` is how long a client over HTTP may say nothing while it holds claims."""

    def __init__(
        self, flock: Flock, claims: Claims, *, agent: str | None, run: str | None, silence: timedelta = SILENCE
    ) -> None:
        self._flock = flock
        self._claims = claims
        self._agent = agent
        self._run = run
        self._silence_s = silence.total_seconds()
        self._reconnect_s = min(RECONNECT, silence).total_seconds()
        self._seats: dict[str, Seat] = {}
        self._streams: Counter[str] = Counter()
        """Requests of a session that are open, by its seat: a stream may be open for as long as the client lives."""
        self._lost: dict[str, float] = {}
        """When the last stream of a seat ended."""

    @asynccontextmanager
    async def at(self, ctx: ServerRequestContext[Any, Any]) -> AsyncGenerator[Seat]:
        """The seat of the client that asks, while it is answered. Raises LimitExceeded when there is no room, or when
        the client asks too much at once."""
        seat = await self._seat(identify(ctx, self._agent, self._run))
        if seat.requests >= MAX_REQUESTS:
            raise LimitExceeded(f"you have {MAX_REQUESTS} requests open: wait for an answer first")
        with seat.heard():
            yield seat

    async def _seat(self, identity: Identity) -> Seat:
        seat = self._seats.get(identity.seat)
        if seat is None:
            if len(self._seats) >= MAX_SEATS:
                raise LimitExceeded(f"{MAX_SEATS} clients are here already: try again later")
            seat = self._seats[identity.seat] = Seat(self._flock, identity.seat, identity.agent, identity.run)
        await seat.ready()
        return seat

    def arrive(self, session: str) -> None:
        """A request of that session has come."""
        key = seat_of_session(session)
        self._streams[key] += 1
        self._lost.pop(key, None)

    def depart(self, session: str, *, was_stream: bool) -> None:
        """It has ended."""
        key = seat_of_session(session)
        self._streams[key] -= 1
        if self._streams[key] <= 0:
            del self._streams[key]
        if key in self._seats:
            self._seats[key].last_s = time.monotonic()
            if was_stream and key not in self._streams:
                self._lost[key] = time.monotonic()

    async def leave(self, session: str) -> None:
        """The client has ended its session."""
        await self._clear(seat_of_session(session))

    async def watch(self) -> None:
        """Give back what those hold who have gone, without end."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for seat in [seat for seat in self._seats.values() if self._has_gone(seat)]:
                try:
                    await self._give_back(seat)
                except Exception:  # the next one's turn must come
                    log.exception("what a client holds could not be given back", agent=seat.agent)

    def _has_gone(self, seat: Seat) -> bool:
        if seat.key == STDIO or seat.requests or self._streams[seat.key] > 0:
            return False
        now, lost = time.monotonic(), self._lost.get(seat.key)
        return now - seat.last_s > self._silence_s or (lost is not None and now - lost > self._reconnect_s)

    async def _give_back(self, seat: Seat) -> None:
        """A session that comes back finds its seat, as long as the SDK keeps sessions, but no longer its claims."""
        if is_session(seat.key) and time.monotonic() - seat.last_s <= DEFAULT_SESSION_IDLE_TIMEOUT:
            await self._claims.leave(seat)
        else:
            await self._clear(seat.key)

    async def _clear(self, key: str) -> None:
        self._lost.pop(key, None)
        seat = self._seats.pop(key, None)
        if seat is not None:
            log.info("a client has left", agent=seat.agent)
            await self._claims.leave(seat)
            await seat.leave()

    async def close(self) -> None:
        """Everybody leaves."""
        await asyncio.gather(*[self._clear(key) for key in list(self._seats)])
