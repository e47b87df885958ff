"""What is parked in a shard: listed, shown, retried, dropped."""

from __future__ import annotations

import getpass
import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Literal

import orjson

from .errors import RoostError
from .event import pairs
from .notes import Reader
from .parked import ParkedDelivery, parked_of
from .routes import Routes
from .shard import Shard

PAGE = 100
MAX_REASON = 500
REMEMBERED = timedelta(hours=1)
"""How long the server can tell who settled a delivery, and that a call is a repeat."""


class Release(Enum):
    """How the word of a person about a parked delivery ended."""

    RESUMED = "resumed"
    """It is in its inbox again, as if it had never been tried."""
    DROPPED = "dropped"
    GONE = "gone"
    """Somebody else has settled it already."""
    ENDED = "ended"
    """Its inbox has been taken away: its run has ended. It is still parked."""


@dataclass(frozen=True, slots=True)
class Released:
    """`by` and `before` tell of GONE, while it is known, who settled it and how."""

    outcome: Release
    by: str = ""
    before: str = ""


class NotParked(RoostError):
    """No delivery of that ID is parked."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"no parked delivery has an ID that begins with {text!r}: it has been settled already, or never was parked"
        )


class ParkedDeliveries:
    """What is parked in a shard."""

    def __init__(self, shard: Shard, agent: str = "main") -> None:
        self._shard = shard
        self._agent = agent
        self._index = shard.keys.key("parked")

    async def count(self) -> int:
        """How many are parked, of all actors and runs."""
        return int(await self._shard.command("ZCARD", self._index))

    async def list(
        self, *, actor: str | None = None, run: str | None = None, newest_first: bool = False
    ) -> AsyncGenerator[ParkedDelivery]:
        """Those of an actor, or of a run (its ID, or how it begins), or all; in the order in which they were parked.

        In pages: any number of them may be parked, and be settled meanwhile.
        """
        cursor: bytes = b""
        while True:
            cursor, page = await self._shard.run("parked", cursor, PAGE, actor or "", int(newest_first))
            for member, fields in page:
                parked = parked_of(self._shard.number, member.decode(), pairs(fields))
                if run is None or (parked.run or "").startswith(run):
                    yield parked
            if not cursor:
                return

    async def get(self, text: str) -> ParkedDelivery:
        """The one whose ID is that, or begins so. Raises NotParked; RoostError when several begin so."""
        member = await self._resolve(text)
        _, inbox, entry = member.split(" ")
        found = await self._shard.command("XRANGE", self._shard.keys.key("dead", inbox), entry, entry)
        if not found:
            raise NotParked(text)
        return parked_of(self._shard.number, member, pairs(found[0][1]))

    async def is_open(self, parked: ParkedDelivery) -> bool:
        """Whether its inbox is still there: a run's is taken away when the run has ended."""
        return bool(await self._shard.command("EXISTS", self._shard.keys.key("inbox", parked.inbox)))

    async def now_ms(self) -> int:
        """The server's clock, by which the times of parked deliveries are."""
        seconds, micros = await self._shard.command("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def retry(self, parked: ParkedDelivery, *, by: str | None = None, reason: str | None = None) -> Released:
        """Back into its inbox, without attempts behind it, before whatever waits there for its key."""
        return await self._release(parked, "resumed", by, reason)

    async def drop(self, parked: ParkedDelivery, *, by: str | None = None, reason: str | None = None) -> Released:
        """Away for good. The event that it was about stays in the log, and so does who said this."""
        return await self._release(parked, "dropped", by, reason)

    async def _release(
        self, parked: ParkedDelivery, how: Literal["resumed", "dropped"], by: str | None, reason: str | None
    ) -> Released:
        member = f"{parked.id} {parked.inbox} {parked.entry}"
        event, kind, who = parked.event, f"delivery.{how}", by or whoever()
        reader = Reader(self._agent, event.run, event.id, event.traceparent)
        data: dict[str, Any] = {
            "parked": parked.id, "event": event.id, "type": event.type, "inbox": parked.inbox, "by": who,
            "reason": reason[:MAX_REASON] if reason else None,
        }  # fmt: skip
        meta, body = reader.meta(), orjson.dumps(data)  # made once: a repeat must be seen to be one
        subject, lifetime_ms = f"actor/{parked.actor}", round(REMEMBERED.total_seconds() * 1000)

        def make(routes: Routes) -> tuple[Any, ...]:
            return member, how, who, subject, meta, body, routes.to(kind, event.run), lifetime_ms

        answer = await self._shard.run_routed("release", make)
        words = [word.decode() for word in answer]
        return Released(Release(words[0]), *words[:0:-1])

    async def _resolve(self, text: str) -> str:
        """The member of the index whose ID is that, or begins so."""
        found: set[str] = set()
        cursor: Any = 0
        if not text.isalnum():
            raise NotParked(text)
        while True:
            cursor, page = await self._shard.command("ZSCAN", self._index, cursor, "MATCH", f"{text}*", "COUNT", 1000)
            found.update(member.decode() for member, _ in page)
            if int(cursor) == 0:
                break
        if len(found) > 1:
            raise RoostError(f"{text!r} begins the IDs of {len(found)} parked deliveries: give more digits")
        if not found:
            raise NotParked(text)
        return found.pop()


def whoever() -> str:
    """Who speaks, as the event of it says: user@host."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user is known here, as in some containers
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
