"""Gates: where appends wait for inboxes that hold their limits. One look a process tells all who wait how it stands."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from contextvars import Context
from dataclasses import dataclass, field
from heapq import heappop, heappush

import structlog

from .answer import Full
from .errors import Closed, RoostError
from .shard import Shard

log = structlog.get_logger(__name__)

FIRST_PAUSE_S = 0.02
LAST_PAUSE_S = 0.25
"""Between looks at full inboxes: the first while there is some room each time, the last when nothing moves."""
LONG_S = 10.0
"""After so long people are told that somebody waits."""
AGAIN_S = 60.0


@dataclass(slots=True, order=True)
class _Waiting:
    """Who was refused first is let go first, however often it has been refused since."""

    since: float
    number: int
    let_go: asyncio.Future[None] = field(compare=False)


class Gates:
    """The gates of a shard's inboxes, for one process. Who is let go tries again, and may come back."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._queues: dict[tuple[str, bool], list[_Waiting]] = {}
        """By inbox, and whether up to twice its limit counts."""
        self._numbers = itertools.count()
        self._task: asyncio.Task[None] | None = None
        self._told: dict[str, float] = {}
        self._closed = False

    def __len__(self) -> int:
        """How many wait."""
        return sum(not waiting.let_go.done() for waiting in itertools.chain(*self._queues.values()))

    async def wait(self, full: Full, since: float, *, twice: bool = False, limit_s: float | None = None) -> None:
        """Until there may be room in that inbox, at most for a while.

        `since` is when the same append was refused first, by the monotonic clock. `twice` is for what workers write.
        Raises Closed.
        """
        waiting = _Waiting(since, next(self._numbers), asyncio.get_running_loop().create_future())
        heappush(self._queues.setdefault((full.inbox, twice), []), waiting)
        if (self._task is None or self._task.done()) and not self._closed:
            self._task = asyncio.create_task(self._watch(), name="roost gates", context=Context())
        try:
            if not self._closed:
                await asyncio.wait([waiting.let_go], timeout=limit_s)
        finally:
            waiting.let_go.cancel()
        if self._closed:
            raise Closed("this flock was closed while an append waited for a full inbox: nothing of it was written")

    async def close(self) -> None:
        """Nobody waits any longer."""
        self._closed = True
        for waiting in itertools.chain(*self._queues.values()):
            if not waiting.let_go.done():
                waiting.let_go.set_result(None)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _watch(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            self._forget()
            if not self._queues:
                return
            inboxes = list({inbox for inbox, _ in self._queues})
            try:
                rooms = await self._shard.run("room", *inboxes)
            except RoostError as error:  # they are to meet it themselves
                log.debug("nobody knows how full inboxes are", error=str(error))
                rooms = [(0, -1)] * len(inboxes)
            found = {inbox: (int(length), int(limit)) for inbox, (length, limit) in zip(inboxes, rooms, strict=True)}
            moved = [self._let_go(inbox, twice, *found[inbox]) for inbox, twice in list(self._queues) if inbox in found]
            pause_s = FIRST_PAUSE_S if any(moved) else min(pause_s * 1.6, LAST_PAUSE_S)

    def _forget(self) -> None:
        """Those who have gone."""
        for gate, queue in list(self._queues.items()):
            while queue and queue[0].let_go.done():
                heappop(queue)
            if not queue:
                del self._queues[gate]

    def _let_go(self, inbox: str, twice: bool, length: int, limit: int) -> bool:
        """As many as there is room for, oldest first; whether there was any."""
        queue = self._queues[inbox, twice]
        room = len(queue) if limit < 0 else limit * (1 + twice) - length
        if room <= 0:
            self._tell(inbox, length, limit, [waiting for waiting in queue if not waiting.let_go.done()])
        left = room
        while queue and left > 0:
            waiting = heappop(queue)
            if not waiting.let_go.done():
                waiting.let_go.set_result(None)
                left -= 1
        return room > 0

    def _tell(self, inbox: str, length: int, limit: int, queue: list[_Waiting]) -> None:
        now = time.monotonic()
        waited_s = now - min((waiting.since for waiting in queue), default=now)
        if waited_s > LONG_S and now - self._told.get(inbox, -AGAIN_S) >= AGAIN_S:
            self._told[inbox] = now
            log.warning(
                "appends wait for a full inbox: start workers that empty it, or take it away if nobody needs it",
                inbox=inbox, length=length, limit=limit, waiting=len(queue), seconds=round(waited_s),
            )  # fmt: skip
