"""The writer: one a process and shard. What coroutines append while a call is on its way goes into the next one."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import structlog
from redis import exceptions as redis_errors

from roost.otel import active

from .answer import Answer, Limited, Written, parse_answer
from .errors import AgentLimitExceeded, Closed, OutcomeUnknown
from .event import new_id
from .gates import Gates
from .patience import NotConfirmed, explain, patiently
from .replaying import refuse_in_replay
from .sentinel import NoPrimary
from .shard import Shard
from .unavailable import FAILURES
from .unit import Unit

log = structlog.get_logger(__name__)

MAX_CALL_EVENTS = 512
MAX_CALL_BYTES = 1024 * 1024
MAX_CALL_PARTS = 2048
MAX_WAITING_UNITS = 10_000
CROWD = 64
"""Units that wait at once for an idle writer, from which on they go in two calls."""
PRODUCER_LIFETIME = timedelta(minutes=10)
WRITTEN = Written((), ())


class Answered(Protocol):
    """Who is told how a unit ended, in the step of the loop in which the answer comes: a future, or what acts like one.
    `done` says that nobody waits any more. Nothing is raised from the others."""

    def done(self) -> bool: ...
    def set_result(self, result: Answer, /) -> None: ...
    def set_exception(self, exception: Exception, /) -> None: ...


@dataclass(slots=True, eq=False)
class _Waiting:
    unit: Unit
    lead: Unit | None
    answered: Answered
    room: asyncio.Semaphore | None
    """Where it takes a place, to be given back."""
    sent: tuple[Unit, ...] = ()
    """What goes into the call: decided once, since a call is repeated byte for byte."""
    left: Unit | None = None
    """The lead, if it was refused: an outbox that it goes to has no room."""

    def wanted(self) -> tuple[Unit, ...]:
        """The lead and the unit; of an appender that has gone only the lead, which tells what has happened already."""
        unit = () if self.answered.done() else (self.unit,)
        return unit if self.lead is None else (self.lead, *unit)

    def read(self, lines: Iterator[bytes], shard: int) -> Answer:
        """The unit's answer, or its lead's where that goes alone."""
        line = next(lines)
        if self.lead is not None and line.startswith(b"outbox"):
            self.left = self.lead
        for _ in self.sent[1:]:
            line = next(lines)
        # Who posts many asks of none where its events came to stand.
        return WRITTEN if self.room is None and line.startswith(b"ok") else parse_answer(line, shard)

    def leave(self) -> None:
        if self.room is not None:
            self.room.release()


class Producer:
    """A writer's identity and the number of its next call. The server forgets it after its lifetime without calls."""

    def __init__(self, lifetime: timedelta) -> None:
        self._lifetime_s = lifetime.total_seconds()
        self.lifetime_ms = round(self._lifetime_s * 1000)
        self.renew()

    def renew(self) -> None:
        self.id = new_id()
        self.number = 1
        self.pid = os.getpid()
        self.used = time.monotonic()

    def for_call(self) -> tuple[str, int]:
        """The ID and number to use. A new ID after a fork, or when the server may have forgotten this one."""
        if self.pid != os.getpid() or time.monotonic() - self.used > self._lifetime_s / 2:
            self.renew()
        self.used = time.monotonic()
        return self.id, self.number


class Writer:
    """Writes units, in the order in which they were given, each exactly once whatever is cut off or repeated."""

    def __init__(
        self, shard: Shard, *, lifetime: timedelta = PRODUCER_LIFETIME, max_waiting: int = MAX_WAITING_UNITS
    ) -> None:
        self._shard = shard
        self._producer = Producer(lifetime)
        self.gates = Gates(shard)
        """Where those wait whose units were answered Full."""
        self._repeat_for = min(lifetime / 2, shard.patience)
        self._queue: deque[_Waiting] = deque()
        self._room = asyncio.Semaphore(max_waiting)
        self._pump: asyncio.Task[None] | None = None
        self._appenders = 0
        self._all_answered = asyncio.Event()
        self._closed = False

    async def write(self, unit: Unit, *, lead: Unit | None = None) -> Answer:
        """Write a unit and say how it ended. Waits while the writer is full.

        `lead` is a unit that goes before it in the same call, with what must be in the log before the unit's effects;
        it stands even where the unit is refused.

        Raises LimitExceeded, AgentLimitExceeded, Closed, ServerFull, ServerUnavailable (nothing was written) or
        OutcomeUnknown. When the caller is cancelled, a unit that is on its way to the server is written all the same;
        of one that waits, only its lead.
        """
        refuse_in_replay()
        unit.check()
        if lead is not None:
            lead.check()
        if self._closed:
            raise Closed("this flock is closed: open it again to write")
        self._appenders += 1
        try:
            await self._room.acquire()
            answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._queue.append(_Waiting(unit, lead, answered, self._room))
            self._start()
            return await answered
        finally:
            self._appenders -= 1
            if not self._appenders:
                self._all_answered.set()

    def post(self, unit: Unit, answered: Answered, *, lead: Unit | None = None) -> None:
        """As `write`, for who does not wait: it is told, without versions and positions. It never waits for room, so
        whoever posts bounds how much.

        Raises LimitExceeded or Closed; all other errors are told.
        """
        unit.check()
        if lead is not None:
            lead.check()
        if self._closed:
            raise Closed("this flock is closed: open it again to write")
        self._queue.append(_Waiting(unit, lead, answered, None))
        if (self._pump is None or self._pump.done()) and len(self._queue) == 1:
            # Not before all else that this step of the loop has set going: a read that is to overlap with the call.
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        if self._pump is None or self._pump.done():
            # A context of its own: it works for many, and must not carry the trace of the first who came.
            self._pump = asyncio.create_task(self._drain(), name="roost writer", context=Context())

    async def close(self) -> None:
        """Write what is waiting, also for room, then take no more."""
        self._closed = True
        await self.gates.close()
        while self._appenders:
            self._all_answered.clear()
            await self._all_answered.wait()
        if self._queue:
            self._start()
        if self._pump is not None and not self._pump.done():
            await asyncio.wait([self._pump])

    async def _drain(self) -> None:
        # Who has appended together will do so again: with half of them first, those make their next events while the
        # server is at work for the others.
        most = (len(self._queue) + 1) // 2 if len(self._queue) >= CROWD else MAX_CALL_PARTS
        while self._queue:
            batch = self._take(most)
            most = MAX_CALL_PARTS
            try:
                lines = iter(await self._call(batch))
                answers = [waiting.read(lines, self._shard.number) for waiting in batch]
            except Exception as error:  # each appender gets it; none is left waiting
                self._fail(batch, explain(error))
            except BaseException:
                self._producer.renew()  # the call may still arrive: nobody may use its number again
                self._fail(batch, OutcomeUnknown())
                self._fail(self._queue, Closed("the writer was stopped before this was written"))
                self._queue.clear()
                raise
            else:
                for waiting, answer in zip(batch, answers, strict=True):
                    if waiting.left is not None:
                        self._keep_lead(waiting.left)
                    _tell(waiting, answer)

    def _keep_lead(self, lead: Unit) -> None:
        """A lead had to stay behind. What it tells must get into the log, whatever became of the unit behind it."""
        raise AssertionError("only who spreads units over shards has outboxes")

    def _fail(self, batch: Iterable[_Waiting], error: Exception) -> None:
        for waiting in batch:
            _tell(waiting, error)

    def _take(self, most: int) -> list[_Waiting]:
        """As many waiting units as one call may hold, up to `most`; at least one. Units whose appender has gone are
        left out."""
        batch: list[_Waiting] = []
        events = size = parts = 0
        while self._queue and len(batch) < most:
            waiting = self._queue[0]
            waiting.sent = waiting.wanted()
            if not waiting.sent:
                self._queue.popleft().leave()
                continue
            for unit in waiting.sent:
                events, size, parts = events + unit.events, size + unit.size, parts + unit.parts
            if batch and (events > MAX_CALL_EVENTS or size > MAX_CALL_BYTES or parts > MAX_CALL_PARTS):
                break
            batch.append(self._queue.popleft())
        return batch

    async def _call(self, batch: list[_Waiting]) -> list[bytes]:
        """One call: formed, numbered, repeated byte for byte while its answer is lost."""
        if not batch:
            return []
        while True:
            # 1. Form the call. Its number is used up only by an answer that says it was written.
            producer, number = self._producer.for_call()
            units = [unit for waiting in batch for unit in waiting.sent]
            args: list[Any] = [
                self._shard.routes.generation, producer, number, new_id(), self._producer.lifetime_ms, len(units),
            ]  # fmt: skip
            for unit in units:
                args.append(unit.parts)
                args.extend(unit.routed(self._shard.routes))
            # 2. Send it, again and again while the server is away.
            began = time.perf_counter() if active.meters is not None else 0.0
            answer, lost = await self._send(args)
            # 3. Judge the answer.
            match answer[0]:
                case b"ok":
                    self._producer.number += 1
                    if active.meters is not None:
                        seconds = time.perf_counter() - began
                        active.meters.wrote(self._shard.keys.flock, sum(unit.events for unit in units), seconds)
                    return answer[1:]
                case b"routes":  # nothing was written: form it anew for the routes as they are now
                    await self._shard.reopen()
                case b"gap" if int(answer[1]) < number:  # the server lost calls before this one, and so this one too
                    self._begin_anew_after(producer, number)
                case b"unknown" if not lost:
                    self._begin_anew_after(producer, number)
                case _:
                    self._producer.renew()
                    raise OutcomeUnknown()

    def _begin_anew_after(self, producer: str, number: int) -> None:
        """The server has come back without its last moments, or another has taken its place without them."""
        log.warning("server lost acknowledged events", producer=producer, number=number)
        self._producer.renew()
        self._shard.forget_what_it_held()

    async def _send(self, args: list[Any]) -> tuple[list[bytes], int]:
        """The answer, and how many times before it the call may have arrived without an answer."""
        lost = 0

        async def send() -> list[bytes]:
            nonlocal lost
            answer: list[bytes]
            write, log_key, pipe = self._shard.script("write"), self._shard.keys.log, self._shard.pipe
            if self._shard.confirmed is not None:
                try:
                    answer = await self._shard.confirmed.call(write, *args)
                    return answer
                except Exception as error:
                    lost += not _never_arrived(error)
                    raise
            if not lost and pipe.takes:  # the short way; what the server refuses there, the long way deals with
                try:
                    answer = await pipe.call("EVALSHA", write.sha, 1, log_key, *args)
                    return answer
                except (*FAILURES, TypeError) as error:
                    if not _never_arrived(error):
                        lost += 1
                        raise
            try:
                answer = await write(self._shard.client, log_key, *args)
            except Exception as error:
                lost += not _never_arrived(error)
                raise
            return answer

        try:
            return await patiently(send, self._repeat_for), lost
        except Exception as error:
            if lost:  # whatever came after: a full server, say, refuses the repeat of a call that it has carried out
                self._producer.renew()  # nobody may use this number again: the call may still arrive
                if isinstance(error, NotConfirmed):
                    raise OutcomeUnknown(
                        f"an append was written, but {error}: it stands unless that server is lost; bring back what is "
                        "missing, and read the subject to see"
                    ) from error
                raise OutcomeUnknown(
                    f"the server went away and the answer to an append with it ({error}): "
                    "read the subject to see whether it happened"
                ) from error
            raise


def _tell(waiting: _Waiting, how: Answer | Exception) -> None:
    """Tell one who waits. One that fails at being told must not keep the others of its batch waiting for ever."""
    try:
        if waiting.answered.done():
            return
        if isinstance(how, Limited):  # whoever has written it, nobody has another way than to tell
            how = AgentLimitExceeded(how.agent, how.what, limit=how.limit, held=how.held, more=how.more)
        if isinstance(how, Exception):
            waiting.answered.set_exception(how)
        else:
            waiting.answered.set_result(how)
    except Exception as error:
        context = {"message": "an answer of the server could not be taken", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
    finally:
        waiting.leave()


def _never_arrived(error: Exception) -> bool:
    """Whether the server cannot have carried out the call: it answered that it will not, or was never reached."""
    refused = (redis_errors.ResponseError, redis_errors.BusyLoadingError, redis_errors.DataError, NoPrimary, TypeError)
    return isinstance(error, refused) or "connecting to" in str(error)
