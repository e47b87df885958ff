"""The writer of a shard of several: what a unit has for the others goes into outboxes, written with the unit."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextvars import Context
from functools import partial

import structlog

from .agent_shares import MOST_MOVES, AgentShares
from .answer import Answer, OutboxFull
from .errors import AgentLimitExceeded, Closed, ServerUnavailable
from .outbox import OUTBOX_MOST, spread
from .placement import Placement
from .shard import Shard
from .unit import Unit
from .writer import Answered, Writer

log = structlog.get_logger(__name__)

MOST_LEADS = 1000
"""Leads that found no room in an outbox and wait for it, from which on nothing more is taken that has a lead."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds before a unit is tried again that found no room in an outbox."""


class SpreadingWriter(Writer):
    """As Writer. A unit that finds no room in an outbox waits for it, as long as for a server that is away."""

    def __init__(self, shard: Shard, placement: Placement, *, most: int = OUTBOX_MOST) -> None:
        super().__init__(shard)
        self.shares: AgentShares | None = None
        """Those of all shards, by which one gets what others can spare of an agent's limits."""
        self._moving: set[asyncio.Task[None]] = set()
        self._number = shard.number
        self._placement = placement
        self._most = most
        self._patience_s = shard.patience.total_seconds()
        self._again: set[asyncio.TimerHandle] = set()
        self._leads: set[_Lead] = set()
        """What tells of something that has happened, and is still to find room."""
        self._lead_went = asyncio.Event()

    async def write(self, unit: Unit, *, lead: Unit | None = None) -> Answer:
        """As Writer's. Raises ServerUnavailable when an outbox stays full."""
        unit, lead = self._spread(unit), None if lead is None else self._spread(lead)
        started, pause = time.monotonic(), FIRST_PAUSE
        while lead is not None and len(self._leads) >= MOST_LEADS and not self._closed:
            self._lead_went.clear()
            await self._lead_went.wait()
        moved = 0
        while True:
            moves = 0 if self.shares is None else self.shares.moves
            try:
                answer = await super().write(unit, lead=lead)
            except AgentLimitExceeded as refused:
                if self.shares is None or moved == MOST_MOVES:
                    raise
                lead, moved = None, moved + 1  # the lead stands
                await self.shares.make_room(self._shard, refused, moves)
                continue
            if not isinstance(answer, OutboxFull):
                return answer
            if time.monotonic() - started > self._patience_s:
                raise _stays_full(answer)
            lead = None  # it stands
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE)

    def post(self, unit: Unit, answered: Answered, *, lead: Unit | None = None) -> None:
        """As Writer's. Who finds an outbox full is told ServerUnavailable when it stays so."""
        if lead is not None and len(self._leads) >= MOST_LEADS and not self._closed:
            self._later(FIRST_PAUSE, partial(self.post, unit, answered, lead=lead), answered)
            return
        unit, lead = self._spread(unit), None if lead is None else self._spread(lead)
        super().post(unit, _Patient(self, unit, answered, time.monotonic() + self._patience_s), lead=lead)

    def move(self, unit: Unit, patient: _Patient, refused: AgentLimitExceeded) -> None:
        """Post a unit again when its shard has got more of an agent's limits, if others can spare it."""
        shares = self.shares
        if shares is None or self._closed:
            patient.give_up(refused)
            return

        async def move() -> None:
            try:
                await shares.make_room(self._shard, refused, patient.moves)
                patient.moves = shares.moves
                super(SpreadingWriter, self).post(unit, patient)
            except Exception as error:
                patient.give_up(error)

        task = asyncio.create_task(move(), name="roost shares", context=Context())
        self._moving.add(task)
        task.add_done_callback(self._moving.discard)

    def post_again(self, unit: Unit, patient: Answered, pause: float) -> None:
        """Post a unit after a pause, as it is."""
        self._later(pause, partial(super().post, unit, patient), patient)

    def _keep_lead(self, lead: Unit) -> None:
        one = _Lead(self, lead)
        self._leads.add(one)
        self.post_again(lead, one, FIRST_PAUSE)

    def lead_ended(self, lead: _Lead) -> None:
        self._leads.discard(lead)
        self._lead_went.set()

    def _later(self, pause: float, call: Callable[[], None], answered: Answered) -> None:
        def again() -> None:
            self._again.discard(handle)
            try:
                call()
            except Exception as error:  # closed, meanwhile
                answered.set_exception(error)

        handle = asyncio.get_running_loop().call_later(pause, again)
        self._again.add(handle)

    async def close(self) -> None:
        for handle in self._again:
            handle.cancel()
        self._lead_went.set()
        while self._moving:
            await asyncio.wait(self._moving)
        await super().close()
        if self._leads:
            log.error("what was read was not told to a shard that has no room for it", units=len(self._leads))

    def _spread(self, unit: Unit) -> Unit:
        return spread(unit, self._number, self._placement, self._most)


class _Patient:
    """Who is told how a posted unit ended, once it has found room."""

    __slots__ = ("_answered", "_moved", "_pause", "_unit", "_until", "_writer", "moves")

    def __init__(self, writer: SpreadingWriter, unit: Unit, answered: Answered, until: float) -> None:
        self._writer = writer
        self._unit = unit
        self._answered = answered
        self._until = until
        self._pause = FIRST_PAUSE
        self._moved = 0
        self.moves = 0 if writer.shares is None else writer.shares.moves
        """How often shares of agents had been moved when it was posted."""

    def done(self) -> bool:
        return self._answered.done()

    def set_result(self, result: Answer, /) -> None:
        if not isinstance(result, OutboxFull):
            self._answered.set_result(result)
        elif time.monotonic() > self._until:
            self._answered.set_exception(_stays_full(result))
        else:
            self._writer.post_again(self._unit, self, self._pause * random.uniform(0.5, 1.0))
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def give_up(self, error: Exception) -> None:
        self._answered.set_exception(error)

    def set_exception(self, exception: Exception, /) -> None:
        if not isinstance(exception, AgentLimitExceeded) or self._moved == MOST_MOVES:
            self.give_up(exception)
            return
        self._moved += 1
        self._writer.move(self._unit, self, exception)


class _Lead:
    """A lead that found no room: it goes by itself when there is some."""

    __slots__ = ("_unit", "_writer")

    def __init__(self, writer: SpreadingWriter, unit: Unit) -> None:
        self._writer = writer
        self._unit = unit

    def done(self) -> bool:
        return False

    def set_result(self, result: Answer, /) -> None:
        if isinstance(result, OutboxFull):
            self._writer.post_again(self._unit, self, LONGEST_PAUSE * random.uniform(0.5, 1.0))
        else:
            self._writer.lead_ended(self)

    def set_exception(self, exception: Exception, /) -> None:
        if isinstance(exception, ServerUnavailable):  # nothing was written
            self._writer.post_again(self._unit, self, LONGEST_PAUSE * random.uniform(0.5, 1.0))
        elif not isinstance(exception, Closed):
            log.error("nobody knows whether a shard was told what was read", error=str(exception))
            self._writer.lead_ended(self)


def _stays_full(answer: OutboxFull) -> ServerUnavailable:
    return ServerUnavailable(
        f"what is on its way to shard {answer.shard} of this flock is as much as may be: "
        "see that the server of that shard is up, and that a process of the flock runs"
    )
