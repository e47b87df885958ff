"""Following what somebody wants of the log: the server looks through it, and sends that alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, cast

import structlog

from .client import CommandClient as Commands
from .errors import LimitExceeded
from .event import DamagedEvent, Event, pairs
from .log import Log, entries_of, event_of
from .patience import explain, patiently
from .position import Position
from .shard import Shard

log = structlog.get_logger(__name__)

LOOKED_AT_ONCE = 1000
"""Entries that a call looks through: about a millisecond of the server's."""
FOUND_AT_ONCE = 100
LINGER = timedelta(milliseconds=10)
"""After an entry that nobody wanted: on a busy log each call shall look through many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events: all that is given must be so; what is empty, any will do. The last three ask of a note's event."""

    types: tuple[str, ...] = ()
    run: str = ""
    actor: str = ""
    subject: str = ""
    author: str = ""
    prefix: str = ""
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for kind in self.types:
            if not kind or "," in kind:
                raise LimitExceeded(f"{kind!r} is no type of event")

    def takes(self, event: Event) -> bool:
        """Whether the event is wanted. The server looks for itself; this is for events that have left it."""
        if (self.types and event.type not in self.types) or (self.subject and event.subject != self.subject):
            return False
        if (self.run and event.run != self.run) or (self.actor and event.actor != self.actor):
            return False
        if not (self.author or self.prefix or self.tags):
            return True
        try:
            data = event.data
        except ValueError:
            return True
        if not isinstance(data, dict):
            return True
        told = cast("dict[str, Any]", data)
        key, tags = told.get("key"), told.get("tags")
        if (self.author and told.get("author") != self.author) or (
            self.prefix and not (isinstance(key, str) and key.startswith(self.prefix))
        ):
            return False
        given: Any = tags
        return not self.tags or (isinstance(tags, list) and set(self.tags) <= set(given))

    def arguments(self) -> tuple[str, ...]:
        return (",".join(self.types), self.run, self.actor, self.subject, self.author, self.prefix, *self.tags)


@dataclass(frozen=True, slots=True)
class Matches:
    """What a look has found. `last` is how far it went, None if there was nothing; `more` may stand behind it."""

    events: list[Event]
    last: str | None
    more: bool
    horizon: Position | None = None


async def matching(shard: Shard, wanted: Wanted, after: str) -> Matches:
    """Wanted events after an entry: up to a hundred or about 1 MiB, from a thousand entries at most."""
    last, more, entries, horizon = await shard.run(
        "matching", after, LOOKED_AT_ONCE, FOUND_AT_ONCE, *wanted.arguments()
    )
    events: list[Event] = []
    for entry, fields in entries:
        try:
            events.append(event_of(shard.number, entry, fields))
        except DamagedEvent as error:  # who follows the log must not stand before it for ever
            log.warning("an entry of the log is passed over", error=str(error))
    passed = Position.parse(horizon.decode(), shard=shard.number) if horizon else None
    return Matches(events, last.decode() or None, more == b"1", passed)


async def follow(
    shard: Shard, client: Commands, wanted: Wanted, since: Position | None, *, block: timedelta = timedelta(seconds=5)
) -> AsyncGenerator[Event]:
    """Wanted events after a position, or from now on, without end. Nothing is fetched before it is asked for.

    `client` is a connection of the caller's own: it blocks, until whatever comes, of which it takes one entry.
    """
    last = (since or await Log(shard).last()).entry
    block_ms = round(block.total_seconds() * 1000)
    while True:
        matches = await matching(shard, wanted, last)
        if matches.horizon is not None and Position.parse(last, shard=shard.number) < matches.horizon:
            # What was asked for has left the server, or has left it just now.
            async for event in Log(shard).read(Position.parse(last, shard=shard.number), until=matches.horizon):
                if wanted.takes(event):
                    yield event
            last = matches.horizon.entry
            continue
        last = matches.last or last
        for event in matches.events:
            yield event
        if matches.more:
            continue
        command = ("XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", shard.keys.log, last)
        try:
            reply = await patiently(partial(client.execute_command, *command), shard.patience)
        except Exception as error:
            raise explain(error) from error
        if entries_of(reply) and not _may_be(wanted, entries_of(reply)[0][1]):
            await asyncio.sleep(LINGER.total_seconds())


def _may_be(wanted: Wanted, fields: Any) -> bool:
    return not wanted.types or pairs(fields).get(b"type", b"").decode(errors="replace") in wanted.types
