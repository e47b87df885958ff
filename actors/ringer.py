"""The ringer: appends events that were set for later, when their time has come. One process of the fleet does it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta

import orjson
import structlog

from roost.streams import Bell, RoostError, Shard, Unit, Writer, new_id
from roost.streams.answer import Answer, Fenced, Written
from roost.streams.bell import Rung
from roost.streams.event import now_ms
from roost.streams.timers import Letter, Look, Timers

from .ending import end

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=3)
"""A ringer that dies is replaced after this, or sooner where the leases of deliveries are shorter."""
LOOK = timedelta(seconds=1)
"""How long the ringer waits for news at most: pushes may be lost."""
PUT_OFF = timedelta(seconds=1)
"""What could not be appended, because what it goes to has no room, is tried again after this, and keeps nobody up."""
AT_ONCE = 200
NEWS = " timers"
"""What is told under this name: a timer was set that is the next one."""


class Ringer:
    """Rings the timers of a shard, in turn with those of other processes. Starts when it is first needed.

    Each event is appended by a unit that takes its timer away: whoever dies or repeats, it is appended once.
    """

    def __init__(self, shard: Shard, writer: Writer, bell: Bell, lease: timedelta = LEASE) -> None:
        self._lease = min(lease, LEASE)
        self._look_s = min(LOOK, self._lease / 3).total_seconds()
        self._timers = Timers(shard)
        self._shard = shard
        self._writer = writer
        self._bell = bell
        self._who = new_id()
        self._news: Rung | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def start(self) -> None:
        """This process has to do with timers from now on."""
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._ring(), name="roost ringer")

    async def close(self) -> None:
        """Ring no more, and let another."""
        self._closed = True
        if self._task is None:
            return
        await end([self._task])
        if self._news is not None:
            self._bell.leave(self._news)
            try:
                await self._timers.give_up(self._who)
            except RoostError as error:
                log.debug("a lease ends by itself", error=str(error))

    async def _ring(self) -> None:
        put_off: list[str] = []
        while True:
            if self._news is not None:
                self._news.clear()  # before looking: what comes from now on is news
            try:
                look = await self._timers.look(self._who, self._lease, AT_ONCE, put_off=put_off, by=PUT_OFF)
                put_off = await self._append(look.letters)
                pause_s = await self._pause(look)
                if put_off:  # at once, so that they are put off
                    pause_s = 0
            except RoostError as error:
                log.debug("timers could not be looked at", error=str(error))
                pause_s = self._look_s
            except Exception as error:  # the others' events must not stay for it
                log.error("timers could not be rung", error=str(error), exc_info=error)
                pause_s = self._look_s
            await self._rest(pause_s)

    async def _pause(self, look: Look) -> float:
        """Seconds until the next look."""
        if not look.leads:
            return ((look.wait_ms or 0) / 1000 + 0.05) * random.uniform(1.0, 1.2)
        if self._news is None:
            self._news = await self._bell.listen(NEWS)
            return 0  # what came before the first news
        return self._look_s if look.wait_ms is None else min(self._look_s, look.wait_ms / 1000)

    async def _rest(self, pause_s: float) -> None:
        if self._news is None or pause_s <= 0:
            await asyncio.sleep(max(0, pause_s))
            return
        try:
            async with asyncio.timeout(pause_s):
                await self._news.event.wait()
        except TimeoutError:
            return

    async def _append(self, letters: Sequence[Letter]) -> list[str]:
        """Append these; those that could not be."""
        answers = await asyncio.gather(*[self._ring_one(letter) for letter in letters], return_exceptions=True)
        left: list[str] = []
        for letter, answer in zip(letters, answers, strict=True):
            if isinstance(answer, BaseException) and not isinstance(answer, RoostError | TimeoutError):
                raise answer
            if not isinstance(answer, (Written, Fenced)):  # fenced: another has rung it, or it was cancelled
                log.warning("an event that is due could not be appended yet", letter=letter.id,
                            answer=str(answer) or type(answer).__name__)  # fmt: skip
                left.append(letter.id)
        return left

    async def _ring_one(self, letter: Letter) -> Answer:
        """What finds no room in an outbox for a while is put off, too. Cut off amid its call, it may be appended."""
        async with asyncio.timeout(self._lease.total_seconds()):
            return await self._writer.write(_unit_of(letter))


def _unit_of(letter: Letter) -> Unit:
    """The event, dated now. What is known of it is its wire form: an event may be none that this program declares."""
    subject, kind, stored, data = letter.fields
    try:
        meta = orjson.loads(stored) | {"time": now_ms()}
        stored, run = orjson.dumps(meta), meta.get("run")
    except (ValueError, TypeError):  # it is no event, and who reads it will say so
        run = None
    return Unit().take_timer(letter.id).known((subject, kind, stored, data), kind.decode("utf-8", "replace"), run)
