"""The relay: brings what waits in a shard's outboxes to the other shards. One process of the fleet does it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

import structlog

from roost.streams import Bell, Notes, RoostError, Rung, Shard, Writer, new_id
from roost.streams.answer import Full, Written
from roost.streams.outbox import Outbox, Sent

from .ending import end

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=3)
"""A relay that dies is replaced after this, or sooner where the leases of deliveries are shorter."""
LOOK = timedelta(seconds=1)
"""How long the relay waits for news at most: pushes may be lost."""
PAUSE = timedelta(milliseconds=500)
"""Before what could not be brought over is tried again."""
NEWS = " outbox"
"""What is told under this name: something was put into an outbox."""


class Relay:
    """Relays for one shard, in turn with those of other processes.

    What comes to a shard names what must have come before it, from the same outbox: two relays at once, or one that was
    frozen, bring nothing twice and leave nothing out. Each shard is served by itself; one that is away keeps none up.
    """

    def __init__(
        self, shard: Shard, bell: Bell, others: Mapping[int, tuple[Shard, Writer]], lease: timedelta = LEASE
    ) -> None:
        self._shard = shard
        self._bell = bell
        self._others = others
        self._lease = min(lease, LEASE)
        self._look_s = min(LOOK, self._lease / 3).total_seconds()
        self._outbox = Outbox(shard, len(others) + 1)
        self._who = new_id()
        self._after: dict[int, str] = {}
        """The last that came to each shard, where it is known."""
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._news: Rung | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Relay from now on."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"roost relay {self._shard.number}")

    async def close(self) -> None:
        """Relay no more, and let another."""
        if self._task is None:
            return
        await end([self._task, *self._busy.values()])
        if self._news is not None:
            self._bell.leave(self._news)
            try:
                await self._outbox.give_up(self._who)
            except RoostError as error:
                log.debug("a lease ends by itself", error=str(error))

    async def _run(self) -> None:
        while True:
            if self._news is not None:
                self._news.clear()  # before looking: what comes from now on is news
            try:
                pause_s = await self._look()
            except RoostError as error:
                log.debug("an outbox could not be looked at", error=str(error))
                pause_s = self._look_s
            except Exception as error:  # what comes after must not stay for it
                log.error("an outbox could not be relayed", error=str(error), exc_info=error)
                pause_s = self._look_s
            await self._rest(pause_s)

    async def _look(self) -> float:
        """Set going what is to go; seconds until the next look."""
        look = await self._outbox.look(self._who, self._lease, list(self._busy))
        if not look.leads:
            self._after.clear()  # another brings them now
            return (look.wait_ms / 1000 + 0.05) * random.uniform(1.0, 1.2)
        for number, sent in look.sent.items():
            task = asyncio.create_task(self._serve(number, sent), name=f"roost relay to {number}")
            self._busy[number] = task
            task.add_done_callback(partial(self._served, number))
        if self._news is None:
            self._news = await self._bell.listen(NEWS)
            return 0  # what came before the first news
        return self._look_s

    def _served(self, number: int, _: asyncio.Task[None]) -> None:
        del self._busy[number]
        if self._news is not None:  # there may be more
            self._news.event.set()

    async def _rest(self, pause_s: float) -> None:
        if self._news is None or pause_s <= 0:
            await asyncio.sleep(max(0, pause_s))
            return
        try:
            async with asyncio.timeout(pause_s):
                await self._news.event.wait()
        except TimeoutError:
            return

    async def _serve(self, number: int, sent: Sequence[Sent]) -> None:
        try:
            done = await self._bring(number, sent)
        except RoostError as error:
            log.warning("what is on its way to a shard has to wait", shard=number, error=str(error))
            done = False
        except Exception as error:
            log.error("what is on its way to a shard cannot be brought there", shard=number, exc_info=error)
            done = False
        if not done:
            self._after.pop(number, None)
            await asyncio.sleep(PAUSE.total_seconds())

    async def _bring(self, number: int, sent: Sequence[Sent]) -> bool:
        """Bring these to a shard; whether all of them came there."""
        shard, writer = self._others[number]
        # 1. What has come already? A relay before us may have died before it took that away; or it has done so since
        #    we looked. So what is to go is looked at again, now that it is known what it comes after.
        if number not in self._after:
            after = await Outbox(shard, 1).came(self._shard.number)
            await self._outbox.clear(number, after)
            self._after[number] = after
            return True
        # 2. Contents first, held there until their notes name them.
        for each in sent:
            for digest in each.digests:
                await self._carry(digest, shard)
        # 3. All of them, in order, each behind the one before it: none comes whose predecessor did not.
        names = [self._after[number], *[each.name for each in sent]]
        units = [each.unit(self._shard.number, names[index]) for index, each in enumerate(sent)]
        answers = await asyncio.gather(*[writer.write(unit) for unit in units], return_exceptions=True)
        came = 0
        for answer in answers:
            if not isinstance(answer, Written):
                break
            came += 1
        # 4. What came there is no longer to be kept here.
        if came:
            self._after[number] = names[came]
            await self._outbox.clear(number, names[came])
        if came == len(sent):
            return True
        refusal = answers[came]
        if isinstance(refusal, BaseException):
            raise refusal
        if isinstance(refusal, Full):  # the outbox fills in its turn, and whoever writes into it waits
            await writer.gates.wait(refusal, time.monotonic(), twice=True, limit_s=self._lease.total_seconds())
            return True
        log.info("another relay has been at work, or a content is missing", shard=number, answer=str(refusal))
        return False

    async def _carry(self, digest: str, shard: Shard) -> None:
        raw: bytes | None = await self._shard.command("GET", self._shard.keys.key("blob", digest))
        if raw is not None:  # else another relay has brought it: the write tells
            await Notes(shard).upload(digest, raw)
