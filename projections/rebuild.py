"""Rebuilding the inline projections of a shard: folded by the server beside what is served, and put in its place."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from roost.streams import RoostError, Shard, new_id
from roost.streams.log import read_horizon
from roost.streams.refold import Folded, Hold, NotFolded, Refold, What, holding
from roost.streams.scan import scan_keys

from .start import FindStart, from_the_beginning

HOLD = timedelta(seconds=2)
"""How long a shard stays held when who holds it dies. Each step of the swap prolongs it."""
ATTEMPTS = 20
"""Others may rebuild, trim or end the hold meanwhile: then it begins again."""
MAX_NAMED = 100
Progress = Callable[[int], None]
"""Told how many events were folded so far."""


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild has done. `held_s`: for how long nothing could be appended."""

    what: What
    events: int = 0
    mended: int = 0
    """Notes that were not as the log says, or were changed just now."""
    seconds: float = 0.0
    held_s: float = 0.0
    strangers: int = 0
    """Notes that were taken away because the log does not know them, and no index did."""
    missing: list[str] = field(default_factory=list[str])
    """Digests of contents that notes name and that are not there, at most 100 of them: they cannot be made again."""
    missing_count: int = 0


async def rebuild(
    shard: Shard,
    what: What = "both",
    *,
    start: FindStart = from_the_beginning,
    progress: Progress | None = None,
    shards: int = 1,
) -> Rebuilt:
    """Fold the log anew and put the result in the place of what is served. Readers see the old or the new.

    Appends go on; they are held for the moment in which the last events are folded and the swap is done. A rebuild that
    was cut off is gone on with; several at once fold nothing twice. `shards`: of the whole flock. Raises RoostError
    when others come in between again and again, and where the log was trimmed and `start` gives no state.
    """
    return await _Rebuilding(shard, what, start, progress, shards).run()


class _Rebuilding:
    def __init__(self, shard: Shard, what: What, start: FindStart, progress: Progress | None, shards: int) -> None:
        self._shard = shard
        self._what: What = what
        self._start = start
        self._progress = progress
        self._shards = shards
        self._refold = Refold(shard, what)
        self._done = Rebuilt(what)

    async def run(self) -> Rebuilt:
        begun = time.monotonic()
        for attempt in range(ATTEMPTS):
            checkpoint = await self._fold()
            # Once from the beginning, also where one that crashed has compared: then go on with others that are at it.
            if await self._compare("?" if attempt else "") and await self._take_over(checkpoint):
                break
        else:
            raise RoostError(
                "others came in between again and again: rebuild when nobody else does, and nothing is trimmed"
            )
        await self._tidy()
        self._done.seconds = time.monotonic() - begun
        return self._done

    async def _fold(self, checkpoint: str = "") -> str:
        """Fold up to the log's last event; the checkpoint."""
        while True:
            match await self._refold.fold(checkpoint):
                case Folded() as folded:
                    checkpoint, self._done.events = folded.checkpoint, folded.events
                    if self._progress is not None:
                        self._progress(folded.events)
                    if folded.at_tail:
                        return checkpoint
                case NotFolded("spoiled"):
                    checkpoint = ""
                    await self._drop()
                case NotFolded("trimmed"):
                    await self._load()
                case NotFolded():
                    checkpoint = ""

    async def _compare(self, cursor: str) -> bool:
        """Which notes are to be put right; False: what was folded is not there any more."""
        cursor = "end" if self._what == "versions" else cursor
        while cursor != "end":
            reached = await self._refold.compare(cursor)
            if reached is None:
                return False
            cursor = reached
        return True

    async def _drop(self) -> None:
        """What a rebuild has left that cannot be gone on with. Another's swap is waited for."""
        while (how := await self._refold.drop()) != "gone":
            if how == "busy":
                await asyncio.sleep(random.uniform(0.02, 0.1))
                return

    async def _load(self) -> None:
        state = await self._start(self._shard)
        if state is None:
            raise RoostError("the log was trimmed meanwhile: rebuild again, from the state that was stored then")
        horizon = await read_horizon(self._shard)
        if horizon is not None:
            state.trim(horizon)
        await self._refold.load(state.rows(self._what), state.position.entry)

    async def _take_over(self, checkpoint: str) -> bool:
        """Hold the shard, fold the rest, swap; whether it came to that."""
        async with holding(self._shard, new_id(), HOLD) as hold:
            begun = time.monotonic()
            try:
                return await self._swap(hold, checkpoint)
            finally:
                self._done.held_s += time.monotonic() - begun

    async def _swap(self, hold: Hold, checkpoint: str) -> bool:
        while True:
            folded = await self._refold.fold(checkpoint)
            if not isinstance(folded, Folded):
                return False
            checkpoint, self._done.events = folded.checkpoint, folded.events
            if not folded.at_tail:
                if await hold.take(HOLD):
                    return False
                continue
            while (swap := await self._refold.swap(hold, checkpoint, HOLD, self._shards)).how == "more":
                pass
            if swap.how != "behind":
                self._done.mended = swap.notes
                return swap.how == "done"

    async def _tidy(self) -> None:
        """What was served before goes; contents that are named stay, and those that are not there are told of."""
        await self._drop()
        if self._what == "versions":
            return
        cursor = "0"
        while True:
            page = await self._refold.mend(cursor)
            cursor = page.cursor
            self._done.missing_count += len(page.missing)
            self._done.missing += page.missing[: MAX_NAMED - len(self._done.missing)]
            if cursor == "0":
                break
        prefix = self._shard.keys.key("note", "")
        async for _, keys in scan_keys(self._shard.client, f"{prefix}*"):  # type: ignore[arg-type]  # it is one
            if keys:
                page = await self._refold.mend("", [key.decode()[len(prefix) :] for key in keys])
                self._done.strangers += page.strangers
