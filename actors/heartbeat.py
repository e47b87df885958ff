"""The heartbeat: a thread that tells the server what this process still works on.

A thread of its own, so that a handler that blocks the event loop is not mistaken for a dead worker while its time limit
has not passed. Past the limit it is let go, alive or not. The same thread sees when the loop has been blocked for
longer than any handler may take: then nothing of what the process has in hand is renewed, and others take it over.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

import structlog

from roost.streams import CLAIM_LEASE, Claims, Connection, Inbox, Shard, Token
from roost.streams.absence import Absence
from roost.streams.permits import Permits

from .watch import Blocked, Watch

log = structlog.get_logger(__name__)

DELIVERY_LEASE = timedelta(seconds=15)
Renew = Callable[[Shard], Awaitable[object]]


def _log_blocked(blocked: Blocked) -> None:
    log.error("the event loop is blocked: others take over what it has in hand", what=str(blocked), at=blocked.stack)


class Heartbeat:
    """Renews claims and deliveries three times a lease until they are dropped or their time is up.

    Whoever holds something drops it. The two tables are written by the loop and copied by the thread, each in one step
    of the interpreter, so that no delivery waits for a lock.
    """

    def __init__(
        self, connection: Connection, shard: Shard, *, claim_lease: timedelta = CLAIM_LEASE,
        delivery_lease: timedelta = DELIVERY_LEASE,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._shard = shard
        self.claim_lease = claim_lease
        self.delivery_lease = delivery_lease
        self._claims: dict[tuple[str, str], float] = {}
        self._deliveries: dict[Token, float] = {}
        self._kept: dict[str, tuple[float, Renew]] = {}
        self._limits: dict[str, float] = {}
        """By consumer, how many seconds its handlers may take."""
        self._watch: Watch | None = None
        self._is_blocked = False
        self.on_blocked: Callable[[Blocked], None] = _log_blocked
        """Called by the thread, once, when the loop has been blocked for too long. It may end the process."""
        self.on_beat: Callable[[float], None] | None = None
        """Called by the thread at each beat, with the seconds for which the loop may be blocked; 0 without workers."""
        self._absence = Absence(log, "heartbeat missed", "heartbeats reach the server again")
        self._permits: dict[tuple[str, str], float] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def hold_claim(self, key: str, nonce: str, limit: timedelta) -> None:
        """Renew this claim until it is dropped, at most for `limit`."""
        self._claims[key, nonce] = time.monotonic() + limit.total_seconds()
        self._start()

    def drop_claim(self, key: str, nonce: str) -> None:
        self._claims.pop((key, nonce), None)

    def limit(self, consumer: str, timeout_s: float) -> None:
        """How long a handler of that consumer may take."""
        self._limits[consumer] = timeout_s
        if self.on_beat is not None:
            self._start()  # before there is anything in hand: what comes first may keep the thread from starting
            self.on_beat(self._most_s(self._limits))

    def forget(self, consumer: str) -> None:
        """It has left."""
        self._limits.pop(consumer, None)

    def hold_permit(self, model: str, permit: str, limit: timedelta) -> None:
        """Renew this permit to call a model until it is dropped, at most for `limit`. Its lease is that of claims."""
        self._permits[model, permit] = time.monotonic() + limit.total_seconds()
        self._start()

    def drop_permit(self, model: str, permit: str) -> None:
        self._permits.pop((model, permit), None)

    def hold(self, token: Token, limit_s: float) -> None:
        """Renew this delivery until it is dropped, at most for `limit_s`."""
        self._deliveries[token] = time.monotonic() + limit_s
        if self._thread is None:
            self._start()

    def drop(self, token: Token) -> None:
        self._deliveries.pop(token, None)

    def keep(self, consumer: str, limit_s: float, renew: Renew) -> None:
        """Let `renew` be called three times a lease, at most for `limit_s`, by the thread, with a shard of its own."""
        self._kept[consumer] = (time.monotonic() + limit_s, renew)
        self._start()

    def leave(self, consumer: str) -> None:
        self._kept.pop(consumer, None)

    async def close(self) -> None:
        """Stop the thread. What was held is no longer renewed."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:  # a beat under way may wait for its server, this loop need not
            await asyncio.to_thread(thread.join, 5)

    def _start(self) -> None:
        if self._thread is None and not self._stop.is_set():
            self._watch = Watch()
            self._thread = threading.Thread(target=self._beat, name="roost heartbeat", daemon=True)
            self._thread.start()

    def _beat(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        """The thread's own loop, with a client of its own: the other loop may be blocked."""
        lease = min(self.claim_lease, self.delivery_lease)
        client = self._connection.separate(command_timeout=lease / 6)
        shard = Shard(client, self._shard.keys, patience=timedelta(0))
        pause = every = lease.total_seconds() / 3
        try:
            while not self._stop.wait(pause):
                try:
                    self._look(pause)
                    await self._renew(shard)
                    self._absence.ended()
                    pause = every
                except Exception as error:  # the leases outlast a missed beat, if the next comes soon
                    self._absence.noticed(error)
                    pause = every / 4
        finally:
            await client.aclose()

    def _look(self, pause_s: float) -> None:
        """At the loop that the work is done in."""
        assert self._watch is not None
        silent_s = self._watch.look(pause_s)
        consumers = {token.consumer for token in self._deliveries.copy()} | self._kept.copy().keys()
        if self.on_beat is not None:
            self.on_beat(self._most_s(self._limits.copy()))
        most_s = self._most_s(consumers)
        was, self._is_blocked = self._is_blocked, 0 < most_s < silent_s
        if self._is_blocked and not was:
            self.on_blocked(self._watch.tell())
        elif was and not self._is_blocked:
            log.warning("the event loop goes on again")

    def _most_s(self, consumers: Iterable[str]) -> float:
        """For how long these may block the loop, 0 for none: as long as a handler may take. The lease is for all that
        keeps a busy machine."""
        limits = [limit for consumer in consumers if (limit := self._limits.get(consumer))]
        return max(limits) + self.delivery_lease.total_seconds() if limits else 0.0

    async def _renew(self, shard: Shard) -> None:
        for until, renew in list(self._kept.copy().values()):
            if until > time.monotonic() and not self._is_blocked:
                await renew(shard)
        claims, deliveries = self._current()
        await Claims(shard).renew(claims, self.claim_lease)
        now = time.monotonic()
        going_on = [permit for permit, until in self._permits.copy().items() if until > now]
        await Permits(shard).renew(going_on, self.claim_lease)
        for (inbox, consumer), tokens in deliveries.items():
            for first in range(0, len(tokens), 500):
                await Inbox(shard, inbox, consumer).renew(tokens[first : first + 500])

    def _current(self) -> tuple[list[tuple[str, str]], dict[tuple[str, str], list[Token]]]:
        """What is still to be renewed; what has used up its time is not."""
        now = time.monotonic()
        deliveries: dict[tuple[str, str], list[Token]] = defaultdict(list)
        for token, until in self._deliveries.copy().items():
            if until > now and not self._is_blocked:
                deliveries[token.inbox, token.consumer].append(token)
        return [claim for claim, until in self._claims.copy().items() if until > now], deliveries
