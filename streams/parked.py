"""A parked delivery: what was given up, with all that is known of it, until a person decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from typing import Any, cast

import orjson

from .event import DamagedEvent, Event
from .inbox import remains_of
from .log import event_of
from .unit import Token


def parked_id(inbox: str, entry: str, shard: int = 0) -> str:
    """The ID of the delivery of that entry, once it is parked."""
    return sha1(f"{f'{shard}/' if shard else ''}{inbox} {entry}".encode(), usedforsecurity=False).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt before the last one: `at_ms` is when it had failed, by the server's clock."""

    at_ms: int
    number: int
    error: str
    message: str
    seconds: float | None = None
    consumer: str | None = None


@dataclass(frozen=True, slots=True)
class ParkedDelivery:
    """A delivery that was given up. Times are milliseconds by the server's clock; None is what is not known.

    `earlier` are the failed attempts before the last one that left a word: those that ended with their worker did not.
    """

    id: str
    inbox: str
    entry: str
    """Its place in the stream of what is parked of its inbox."""
    actor: str
    event: Event
    parked_ms: int
    appended_ms: int | None
    first_attempt_ms: int | None
    error: str
    message: str
    attempts: int
    traceback: str = ""
    earlier: tuple[FailedAttempt, ...] = ()
    handler: str | None = None
    key: str | None = None
    """Of a keyed actor."""
    consumer: str | None = None
    host: str | None = None
    code: str | None = None
    """The digest of the actor's code that failed."""
    effect: str | None = None
    """The key of the outside effect whose outcome is unknown, if that is why."""
    halted: bool = False
    """Whether its key stands still until this is settled."""
    shard: int = 0

    @property
    def run(self) -> str | None:
        return self.event.run


def parked_of(shard: int, member: str, fields: Mapping[bytes, bytes]) -> ParkedDelivery:
    """As the index and the stream of an inbox have it."""
    ident, inbox, dead_entry = member.split(" ")
    token = Token(inbox, "", fields.get(b"entry", b"").decode(), 0)
    try:
        event = event_of(shard, fields.get(b"pos", b"?"), fields)
    except DamagedEvent:
        event = remains_of(token, fields)
    failure = _json(fields.get(b"failure", b"{}"))
    parked_ms, earlier = _ms(dead_entry), _earlier(fields.get(b"tried", b""))
    attempts = int(failure.get("attempts", 0))
    return ParkedDelivery(
        id=ident,
        inbox=inbox,
        entry=dead_entry,
        actor=inbox.partition("@")[0],
        event=event,
        parked_ms=parked_ms,
        appended_ms=None if event.position is None else event.position.ms,
        first_attempt_ms=_first(earlier, parked_ms, attempts, failure.get("seconds")),
        error=str(failure.get("type", "")),
        message=str(failure.get("message", "")),
        attempts=attempts,
        traceback=str(failure.get("traceback", "")),
        earlier=earlier,
        halted=fields.get(b"halted") == b"1",
        shard=shard,
        **{name: failure.get(name) for name in ("handler", "key", "consumer", "host", "code", "effect")},
    )


def _earlier(tried: bytes) -> tuple[FailedAttempt, ...]:
    found: list[FailedAttempt] = []
    for line in tried.splitlines():
        at, _, text = line.partition(b" ")
        told = _json(text)
        if at.isdigit() and told:
            found.append(
                FailedAttempt(
                    int(at), int(told.get("attempt", 0)), str(told.get("type", "")), str(told.get("message", "")),
                    told.get("seconds"), told.get("consumer"),
                )
            )  # fmt: skip
    return tuple(found)


def _first(earlier: tuple[FailedAttempt, ...], parked_ms: int, attempts: int, seconds: float | None) -> int | None:
    """When the first attempt began, where that can be told: its end is by the server's clock, and how long it took."""
    if earlier and earlier[0].number == 1 and earlier[0].seconds is not None:
        return earlier[0].at_ms - round(earlier[0].seconds * 1000)
    if not earlier and attempts == 1 and seconds is not None:
        return parked_ms - round(seconds * 1000)
    return None


def _json(text: bytes) -> dict[str, Any]:
    """Other agents may have written it: what is no object tells nothing."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _ms(entry: str) -> int:
    return int(entry.partition("-")[0])
