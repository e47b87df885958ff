"""The settlement: how a delivery ended, written together with everything that it led to."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

from roost.streams import Delivery, Event, Reader, RoostError, ServerFull, derived_id
from roost.streams.answer import BlobMissing, Conflicted, Fenced, Full, Written
from roost.streams.event import now_ms
from roost.streams.parked import parked_id
from roost.streams.unit import INLINE_BYTES, MAX_UNIT_BYTES, StoredContent, Unit

from .actor import Actor
from .call import Call
from .emission import Origin
from .failure import MAX_TRIED, Failure, is_an_attempt, message_of
from .later import add_later
from .memory import add_note
from .scope import MAX_OWED, Scope, Staged, unit_of

if TYPE_CHECKING:
    from .flock import Flock

MAX_INLINE_BYTES = MAX_UNIT_BYTES // 4
"""Contents of staged notes that travel with a commit, together. What is more is uploaded before."""

HANDLED = 2
"""Schema of `delivery.handled`. From 2 on all is recorded that a replay needs."""

KEPT_S = 10.0
"""How often what waits for full inboxes is kept alive."""


class TakenOver(Exception):
    """The delivery is no longer ours: nothing of what we did for it has happened."""


class StateChanged(Exception):
    """Another worker has written the key's state since we read it: nothing of ours has happened."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the key's state is at version {version} now")
        self.version = version


class Settlement:
    """Settles the deliveries of one actor. Raises TakenOver, and what the server says: ServerUnavailable and so on."""

    def __init__(self, flock: Flock, actor: Actor, keep: Callable[[], None]) -> None:
        self._flock = flock
        self._keep = keep
        self._actor = actor
        self._subject = f"actor/{actor.name}"
        self._wire_subject = self._subject.encode()
        self._host = socket.gethostname()

    def reader(self, delivery: Delivery) -> Reader:
        """Who reads and writes while this delivery is handled."""
        event = delivery.event
        return Reader(self._actor.name, event.run, event.id, event.traceparent, delivery.inbox)

    def origin(self, delivery: Delivery) -> Origin:
        """What the events of this delivery come from."""
        return Origin(delivery.event, self._actor.name, delivery.inbox)

    def post(self, call: Call) -> bool:
        """Send what `commit` would, without waiting: the call is told. False if that takes several calls of the server.
        Raises LimitExceeded, Closed."""
        scope = call.scope
        staged = list(scope.staged.values()) if scope.staged else []
        contents = _contents(staged) if staged else []
        if contents and any(_is_left(content) for content in contents):
            return False
        unit = self._unit(call, staged, contents, self._handled(call))
        owed = scope.owed()
        try:
            if len(owed) <= MAX_OWED:
                self._flock.writer.post(unit, call, lead=unit_of(owed) if owed else None)
                call.owed, owed = owed, []
                return True
        finally:
            scope.pending[:0] = owed
        return False

    async def commit(self, call: Call) -> None:
        """Everything the handler did and the acknowledgement, or nothing. Raises StateChanged."""
        staged = list((call.scope.staged or {}).values())
        contents = await self._store(staged)
        record = self._handled(call)
        await self._write(call.scope, lambda: self._unit(call, staged, contents, record), staged)

    def _unit(
        self, call: Call, staged: Sequence[Staged], contents: Sequence[StoredContent], record: tuple[bytes, bytes]
    ) -> Unit:
        delivery, state = call.delivery, call.state
        unit = _settled(delivery).acknowledge(delivery.token)
        if delivery.mark == "retry" and call.key is not None:  # though its actor may halt no more
            unit.go_on(delivery.token.inbox, call.key)
        for note, content in zip(staged, contents, strict=True):
            add_note(unit, note.note, note.event, content)
        if state is not None:
            unit.expect(state.subject, state.version)
        for event in call.events:
            unit.event(event)
        if state is not None and any(event.subject == state.subject for event in call.events):
            call.stored = state.to_json()
            unit.state(self._actor.name, state.key, call.stored)
        for event, when in call.set_for_later:
            add_later(unit, event, when)
        return unit.known(
            (self._wire_subject, b"delivery.handled", *record), "delivery.handled", call.delivery.event.run
        )

    def _handled(self, call: Call) -> tuple[bytes, bytes]:
        """Meta and data of the record of a delivery that was handled: one a delivery, so no event is made first."""
        event, inbox, scope = call.delivery.event, call.delivery.inbox, call.scope
        meta: dict[str, Any] = {
            "id": derived_id(event.run or "", event.id, inbox, "handled"), "time": now_ms(), "schema": HANDLED,
            "actor": self._actor.name,
        }  # fmt: skip
        if event.run is not None:
            meta["run"] = event.run
        meta["cause"] = event.id
        if scope.reader.traceparent is not None:
            meta["traceparent"] = scope.reader.traceparent
        data: dict[str, Any] = {
            "event": event.id, "type": event.type, "handler": call.handler.name, "attempt": call.attempt,
            "code": self._actor.code, "outcome": "done", "emitted": len(call.events),
            "notes": len(scope.staged) if scope.staged else 0, "reads": scope.reads,
            "ms": round(call.seconds * 1000, 3),
        }  # fmt: skip
        if call.set_for_later:
            data["later"] = len(call.set_for_later)
        data |= _seen(call)
        if scope.times:
            data["memory_us"] = scope.times
        return orjson.dumps(meta), orjson.dumps(data)

    async def postpone(self, call: Call, error: Exception, delay: timedelta, *, spared: bool = False) -> None:
        """Back into the inbox after a while, with the attempts it has behind it; `spared`: this one does not count."""
        delivery, attempt = call.delivery, call.attempt
        retried = self._retried(call, error, delay)
        failed = orjson.dumps(
            {
                "attempt": attempt, "type": type(error).__name__, "message": message_of(error)[:MAX_TRIED],
                "seconds": call.elapsed_s, "consumer": delivery.token.consumer,
                **({} if call.span is None else {"traceparent": call.span.traceparent}),
            }
        )  # fmt: skip
        tries = 0

        def make() -> Unit:
            nonlocal tries
            tries += 1
            behind = attempt - (spared or _costs_nothing(error, tries))
            return _settled(delivery).postpone(delivery.token, delay, behind, failed).event(retried)

        await self._write(call.scope, make)

    async def step_back(self, delivery: Delivery, delay: timedelta) -> None:
        """Back into the inbox after a while, as if it had not come."""
        scope = Scope(self.reader(delivery), self._flock.shard)
        await self._write(scope, lambda: Unit().postpone(delivery.token, delay, delivery.attempt - 1))

    async def take_back(self, delivery: Delivery) -> None:
        """This attempt has not begun, though it was said to: whoever has the lane next must not count it."""
        scope, token = Scope(self.reader(delivery), self._flock.shard), delivery.token
        await self._write(scope, lambda: _settled(delivery).hold(token).begun(token, delivery.attempt - 1))

    async def record_retry(self, call: Call, error: Exception, delay: timedelta, *, spared: bool = False) -> int:
        """Only the record: a keyed delivery waits where it is, at the head of its key. How many attempts it was."""
        delivery, attempt = call.delivery, call.attempt
        retried = self._retried(call, error, delay)
        tries = 0

        def make() -> Unit:
            nonlocal tries
            tries += 1
            begun = attempt - (spared or _costs_nothing(error, tries))
            return _settled(delivery).hold(delivery.token).begun(delivery.token, begun).event(retried)

        await self._write(call.scope, make)
        return 1 - (spared or _costs_nothing(error, tries))

    async def park(
        self, delivery: Delivery, handler: str, failure: Failure, told: Sequence[Event], scope: Scope,
        key: str | None = None, call: Call | None = None,
    ) -> None:  # fmt: skip
        """Out of the inbox, to where a person decides, with what the actor tells the others. The key halts if its actor
        wants it to.

        Raises LimitExceeded when that is more than one step takes.
        """
        token = delivery.token
        data = self._told(delivery, handler) | {
            "attempts": failure.attempts, "error": failure.type, "message": failure.message, "inbox": delivery.inbox,
            "parked": parked_id(token.inbox, token.entry, self._flock.shard.number),
            "ms": None if failure.seconds is None else round(failure.seconds * 1000),
            **({} if call is None else _seen(call)),
        }  # fmt: skip
        parked = self.record("delivery.parked", delivery, data)
        staged = list((scope.staged or {}).values())
        contents = await self._store(staged)
        where = {"consumer": token.consumer, "host": self._host, "code": self._actor.code}
        reason = orjson.dumps(failure.facts() | where)

        def make() -> Unit:
            unit = _settled(delivery).park(delivery.token, reason)
            if delivery.generation and key is not None and self._actor.halt:
                unit.halt(delivery.token.inbox, key, delivery.token.entry)
            for note, content in zip(staged, contents, strict=True):
                add_note(unit, note.note, note.event, content)
            for event in told:
                unit.event(event)
            return unit.event(parked)

        await self._write(scope, make, staged)

    async def go_on(self, delivery: Delivery, key: str) -> None:
        """Out of the inbox, and the key that was halted goes on."""
        scope = Scope(self.reader(delivery), self._flock.shard)
        token = delivery.token
        await self._write(scope, lambda: _settled(delivery).acknowledge(token).go_on(token.inbox, key))

    async def _write(self, scope: Scope, make: Callable[[], Unit], staged: Sequence[Staged] = ()) -> None:
        """Until the server has judged it. One that is full has written nothing: it is asked again for a while."""
        started, pause = time.monotonic(), 0.1
        while True:
            try:
                answer = await scope.write(self._flock.writer, make())
            except ServerFull:
                if time.monotonic() - started > self._flock.shard.patience.total_seconds():
                    raise
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, 5.0)
                continue
            match answer:
                case Written():
                    return
                case Fenced():
                    raise TakenOver
                case Conflicted(current, _):
                    raise StateChanged(current)
                case BlobMissing(digest):  # the handler took longer than an upload is held
                    raw = next(note.raw for note in staged if note.note.record.digest == digest)
                    await self._flock.notes.upload(digest, raw)
                case Full():  # the slot stays taken: that is how whoever feeds this actor comes to wait in its turn
                    self._keep()
                    await self._flock.writer.gates.wait(answer, started, twice=True, limit_s=KEPT_S)
                case _:
                    raise RoostError(f"a settlement was answered with {answer}")

    async def _store(self, staged: Sequence[Staged]) -> list[StoredContent]:
        """Contents as the commit names them. What does not fit into it is uploaded."""
        contents = _contents(staged)
        for note, content in zip(staged, contents, strict=True):
            if _is_left(content):
                await self._flock.notes.upload(content.digest, note.raw)
        return contents

    def _retried(self, call: Call, error: Exception, delay: timedelta) -> Event:
        data = self._told(call.delivery, call.handler.name) | {
            "attempt": call.attempt, "error": type(error).__name__, "message": message_of(error),
            "delay_ms": round(delay.total_seconds() * 1000), "ms": round(call.elapsed_s * 1000),
        }  # fmt: skip
        return self.record("delivery.retried", call.delivery, data)

    def _told(self, delivery: Delivery, handler: str) -> dict[str, Any]:
        return {"event": delivery.event.id, "type": delivery.event.type, "handler": handler}

    def record(self, kind: str, delivery: Delivery, data: dict[str, Any]) -> Event:
        """An event about the actor, which this delivery has led to."""
        return self.reader(delivery).event(kind, self._subject, orjson.dumps(data))


def _seen(call: Call) -> dict[str, Any]:
    """What the handler was told that no event of its own tells: times, and what it observed."""
    seen: dict[str, Any] = {}
    if call.times_ms:
        seen["now"] = call.times_ms
    if (observed := call.observations) is not None and observed.rows:
        seen["observed"] = observed.rows
    return seen


def _settled(delivery: Delivery) -> Unit:
    """The unit that settles a delivery begins with what must be so."""
    unit = Unit()
    return unit.in_lane(delivery.token.inbox, delivery.generation) if delivery.generation else unit


def _contents(staged: Sequence[Staged]) -> list[StoredContent]:
    """Contents as the commit names them: small ones travel along, as long as they fit into it together."""
    contents: list[StoredContent] = []
    travelling = 0
    for note in staged:
        size, digest = len(note.raw), note.note.record.digest
        travels = size <= INLINE_BYTES and travelling + size <= MAX_INLINE_BYTES
        if travels:
            travelling += size
        contents.append(StoredContent(digest, size, note.raw if travels else None))
    return contents


def _is_left(content: StoredContent) -> bool:
    """Whether it is still to be uploaded: larger contents were when they were put."""
    return content.inline is None and content.size <= INLINE_BYTES


def _costs_nothing(error: Exception, tries: int) -> bool:
    """Whether what the handler met was this server, which has been full until now: that is no attempt of its own."""
    return (isinstance(error, ServerFull) and tries > 1) or not is_an_attempt(error)
