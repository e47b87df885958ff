"""The context that a handler has while its delivery is done again: what came from outside comes from the recording."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from roost.streams import Event, NotDone

from ..context import Context, fetched, read_from
from ..kept import EFFECT_LIMIT, Action, Kept
from ..observations import MAX_WHAT, check_what
from ..resource import Resource
from .revival import revive

if TYPE_CHECKING:
    from .stage import Stage

S = TypeVar("S")


class ReplayedContext(Context[S]):
    """As Context, of one delivery."""

    def __init__(self, stage: Stage, flock: Any, actor: str, handler: str, key: str | None, state: S) -> None:
        delivery = stage.as_delivered()
        super().__init__(flock, actor, delivery, handler, delivery.attempt, key, state)
        self._stage = stage

    async def fetch(self, url: str, *, max_age: timedelta | None = None, allow_private: bool = False) -> Resource:
        return await self._resource(fetched(url))

    async def read(self, path: Path | str) -> Resource:
        return await self._resource(read_from(path))

    async def observe(self, what: str, look: Callable[[], Any]) -> Any:
        return self._observed(check_what(what))

    async def effect(self, key: str, action: Action, *, returns: Any = None, limit: timedelta = EFFECT_LIMIT) -> Any:
        """What the effect answered; nothing happens."""
        what, kept = f"effect {key}"[:MAX_WHAT], Kept.of(returns)
        if what in self._stage.answers.observed:
            return kept.read(orjson.dumps(self._observed(what)))
        ended = self._ended(key)
        if ended is None:
            raise self._stage.unanswered(what)
        if ended.type == "effect.undone":
            raise NotDone(str(ended.data.get("message")))
        return kept.read(orjson.dumps(ended.data.get("result")))

    def now(self) -> datetime:
        times = self._stage.answers.times_ms
        if not times:
            raise self._stage.unanswered("the time")
        return datetime.fromtimestamp(times.popleft() / 1000, UTC)

    def _ended(self, key: str) -> Event | None:
        """How the effect ended: for this delivery, or else in the run."""
        own = [event for event in self._stage.delivery.attempt if event.subject == f"effect/{key}"]
        told = [event for event in own if event.type in ("effect.done", "effect.undone")]
        return told[-1] if told else self._stage.recording.effects.get(key)

    async def _resource(self, what: str) -> Resource:
        facts = self._observed(what)
        if facts["note"] is None:
            raise self._stage.unanswered(f"{what}, of which no copy may be kept")
        note = await self._stage.open_note(facts["note"])
        self._stage.scope.remember(note)
        return Resource.of(facts, note)

    def _observed(self, what: str) -> Any:
        """What was answered then; the last answer again. Raises what was raised."""
        rows = self._stage.answers.observed.get(what)
        if not rows:
            raise self._stage.unanswered(what)
        row = rows.popleft() if len(rows) > 1 else rows[0]
        if len(row) > 2:
            raise revive(str(row[2].get("error")), str(row[2].get("message")))
        return row[1]
