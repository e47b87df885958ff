"""The reel: what the page Live showed, or would have shown, at a moment of the past."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from roost.dashboard.feed import CATCH_UP, LAST_EVENTS, RING
from roost.dashboard.moment import Moment, take
from roost.dashboard.view import View
from roost.dashboard.words import Words
from roost.projections import Activity
from roost.streams import Event, Position, Shard

from .reading import events_after, events_until

FOLLOWED = 400
"""No eye follows more events at once: they do not move."""
TURNS = count(1)
"""No two stories of a process have the same number, whoever tells them."""


class Reel:
    """One watcher's way through the past of a flock. `look` is for one event loop, `view` for any thread.

    A moment that comes soon after the last is come to by the events in between, so that what moves moves as it did. To
    any other it jumps, and reads the last 5,000 events up to there.
    """

    def __init__(self, *, last: int = LAST_EVENTS) -> None:
        self._last = last
        self._winding = asyncio.Lock()
        self._lock = threading.Lock()
        self._words = Words()
        self.turn = self._number = self._fresh = 0
        self._generation: int | None = None
        self._set(Activity())

    def _set(self, activity: Activity) -> None:
        self._activity = activity
        self._moments: deque[Moment] = deque(maxlen=RING)
        self._positions: dict[int, Position] = {}
        self._at_ms: int | None = None

    async def look(self, shards: Sequence[Shard], at_ms: int, *, generation: int = 0) -> None:
        """Wind to the end of that millisecond. Another `generation` is of another log.

        Raises ServerUnavailable, and the errors of an archive; then it stands where it stood.
        """
        async with self._winding:
            if generation != self._generation:
                self._generation, self._at_ms = generation, None
            forward = self._at_ms is not None and at_ms >= self._at_ms
            events = await events_after(shards, self._positions, at_ms, self._last) if forward else None
            all_anew = await events_until(shards, at_ms, self._last) if events is None else None
            with self._lock:
                if all_anew is not None:
                    self._begin(all_anew, is_jump=not forward)
                self._take(events or [])
                if len(events or all_anew or []) > FOLLOWED:
                    self._fresh = self._number
                self._at_ms = at_ms
            self._words.want(self._activity.notes)
            await self._words.read_wanted(shards)

    def view(self, live: View, before: int, after: int = 0) -> View:
        """What stands now, told as `live` is, which tells of the flock itself. `before` is how many events there had
        been by then; moments after the number `after` come along."""
        with self._lock:
            new = [moment for moment in self._moments if moment.number > after]
            return replace(
                live,
                at_ms=self._at_ms,
                turn=self.turn,
                fresh=self._fresh,
                earlier=max(0, before - self._activity.events),
                number=self._number,
                events=self._activity.events,
                figures=self._activity.figures(),
                agents=tuple(self._activity.agents),
                fallen=self._activity.fallen,
                notes=tuple(self._activity.notes),
                words=self._words.known(),
                moments=tuple(new[-CATCH_UP:]),
                left_out=max(0, min(self._number - after, len(self._moments)) - CATCH_UP),
                inboxes=(),  # those of the present: the log does not tell how full they were
            )

    def _begin(self, events: Sequence[Event], *, is_jump: bool) -> None:
        """With these alone. Who goes on, however far, is still told the same story."""
        self._set(Activity())
        if is_jump:
            self.turn = next(TURNS)
        self._take(events)
        if is_jump:
            self._fresh = self._number

    def _take(self, events: Sequence[Event]) -> None:
        for event in events:
            moment = take(event, self._activity, self._number + 1)
            if moment is not None:
                self._number += 1
                self._moments.append(moment)
            if event.position is not None:
                self._positions[event.position.shard] = event.position
