"""Outside effects that must not happen twice, such as a mail or a payment: an intent before, the outcome after.

Nothing outside can be rolled back, and a worker may die at any step. So each effect has a key, and the log an intent
for it before the action is called, which is called once for an intent. What has no outcome is unknown, and a person's.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import structlog

from roost.streams import (
    Delivery,
    EffectBusy,
    EffectUnknown,
    Event,
    Inbox,
    NotDone,
    OutcomeUnknown,
    RoostError,
    Shard,
    Writer,
)
from roost.streams.answer import Conflicted, Fenced, Granted, Held, Stale, Written
from roost.streams.effects import (
    Standing,
    claim_of_effect,
    is_held,
    standing_of,
    subject_of_effect,
)
from roost.streams.errors import SelfWait, ServerFull, SettingsError
from roost.streams.unit import Unit

from .failure import message_of
from .heartbeat import Heartbeat
from .kept import Action, Kept
from .scope import Scope
from .settlement import TakenOver

log = structlog.get_logger(__name__)

WAIT = timedelta(seconds=10)
"""How long a delivery waits for another that carries the same effect out. Then it is tried again later."""
MARGIN = timedelta(seconds=30)
MAX_PAUSE_S = 0.5
MAX_OWED = 1000

ACTING: ContextVar[frozenset[str]] = ContextVar("roost_effects", default=frozenset())


@dataclass(frozen=True, slots=True)
class Intent:
    """The right to call the action, once. `version` is that of the subject with the intent."""

    key: str
    nonce: str
    version: int
    scope: Scope

    def tells(self, kind: str, **data: Any) -> Event:
        """An event about it."""
        return self.scope.reader.event(kind, subject_of_effect(self.key), orjson.dumps({"key": self.key, **data}))


class Effects:
    """Carries out effects for the handlers and programs of a process."""

    def __init__(self, shard: Shard, writer: Writer, heartbeat: Heartbeat) -> None:
        self._shard = shard
        self._writer = writer
        self._heartbeat = heartbeat
        self._owner = f"{socket.gethostname()}-{os.getpid()}".replace(" ", "-")
        self._acting: set[str] = set()
        """Intents whose actions have been called here, and have not ended."""
        self._owed: dict[str, Event] = {}
        """Outcomes by intent that are known here, and not known to be in the log."""
        self._telling: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Wait until what is known is in the log."""
        if self._telling:
            await asyncio.wait(self._telling, timeout=self._shard.patience.total_seconds())

    async def carry_out(
        self, scope: Scope, key: str, action: Action, kept: Kept, limit: timedelta, *,
        delivery: Delivery | None = None, unknown: Callable[[EffectUnknown], None] = lambda _: None,
    ) -> Any:  # fmt: skip
        """What the action has answered, now or before. See `Context.effect`.

        `unknown` is told when the action is interrupted: the cancellation goes on, and cannot tell it.
        """
        subject_of_effect(key)
        _check(key, action, limit)  # before an intent, which a person would have to settle
        if key in ACTING.get():
            raise SelfWait(f"the action of the effect {key!r} asks for {key!r} itself and would wait for ever")
        standing, pause, until = Standing("free"), 0.02, time.monotonic() + WAIT.total_seconds()
        while True:
            # 1. An intent, where nothing is known that speaks against it.
            if standing.state == "free":
                intent = await self._intend(scope, key, standing.version, delivery)
                if intent is not None:
                    return await self._act(intent, action, kept, limit, unknown)
            standing = await standing_of(self._shard, key)
            # 2. It has happened, or nobody knows.
            if standing.state == "done":
                return kept.read(standing.result)
            if standing.state == "lost":
                raise EffectUnknown(key, f"has happened, but its result could not be kept ({standing.told('lost')})")
            if standing.state == "failed":
                raise EffectUnknown(key, f"failed, perhaps half way ({_failure(standing)})")
            if standing.state == "intended":
                if await self._make_good(standing, scope, key):
                    continue
                if not await self._is_under_way(standing, key):
                    again = await standing_of(self._shard, key)  # the outcome may have come before the claim's end
                    if again.version == standing.version:
                        raise EffectUnknown(key, "was begun, and whoever did has not told how it ended")
                    continue
            # 3. Somebody who lives is at it: no other call.
            if delivery is not None and time.monotonic() > until:
                raise EffectBusy(key)
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE_S)

    async def _is_under_way(self, standing: Standing, key: str) -> bool:
        here = standing.last is not None and standing.last.id in self._acting
        return here or await is_held(self._shard, key)

    async def _intend(self, scope: Scope, key: str, version: int, delivery: Delivery | None) -> Intent | None:
        """None: the subject is at another version, or somebody else has the claim. Raises TakenOver."""
        told: dict[str, Any] = {"key": key, "owner": self._owner}
        unit = Unit()
        if delivery is not None:  # a worker that was frozen, and has lost it, begins nothing
            token = delivery.token
            told |= {
                "event": delivery.event.id, "inbox": token.inbox, "consumer": token.consumer, "entry": token.entry,
                "attempt": delivery.attempt,
            }  # fmt: skip
            if scope.shard is self._shard:
                if delivery.generation:
                    unit.in_lane(token.inbox, delivery.generation)
                unit.hold(token)
            elif not all(await Inbox(scope.shard, token.inbox, token.consumer).renew([token])):
                raise TakenOver  # the intent is fenced by its version alone: it is not where the delivery is
        intended = scope.reader.event("effect.intended", subject_of_effect(key), orjson.dumps(told))
        intent = Intent(key, intended.id, version + 1, scope)
        unit.expect(intended.subject, version)
        unit.claim(claim_of_effect(key), intent.nonce, self._heartbeat.claim_lease, "*", self._owner, intended)
        writing = self._in_background(scope.write(self._writer, unit), f"roost intends {key}")
        try:
            answer = await asyncio.shield(writing)
        except OutcomeUnknown as error:  # it may be in the log; its action was not called
            self._owe(intent, _undone(intent, error))
            raise
        except asyncio.CancelledError:
            self._in_background(self._withdraw(intent, writing), f"roost withdraws {key}")
            raise
        match answer:
            case Granted():
                return intent
            case Conflicted() | Held():
                return None
            case Fenced():
                raise TakenOver
            case _:
                raise RoostError(f"an intent was answered with {answer}")

    async def _withdraw(self, intent: Intent, writing: asyncio.Task[Any]) -> None:
        """Nobody waits for this intent any more: should it get into the log, it has not been begun."""
        answer = await writing
        if isinstance(answer, Granted):
            cancelled = RoostError("it was cancelled before it was begun")
            await self._tell(intent, _undone(intent, cancelled))

    async def _act(
        self, intent: Intent, action: Action, kept: Kept, limit: timedelta, unknown: Callable[[EffectUnknown], None]
    ) -> Any:
        key, claim = intent.key, claim_of_effect(intent.key)
        self._heartbeat.hold_claim(claim, intent.nonce, limit + MARGIN)
        self._acting.add(intent.nonce)
        began, before = time.perf_counter(), ACTING.set(ACTING.get() | {key})
        clock = asyncio.timeout(limit.total_seconds())
        try:
            async with clock:
                answered = await action(key)
        except NotDone as error:
            await self._end(intent, _undone(intent, error))
            raise
        except Exception as error:
            late = isinstance(error, TimeoutError) and clock.expired()
            why = f"took longer than {limit}" if late else f"failed, perhaps half way ({message_of(error)})"
            await self._end(intent, _failed(intent, error))
            raise EffectUnknown(key, why) from error
        except BaseException as error:  # cancelled, in the middle: it is told while we leave
            unknown(EffectUnknown(key, "was interrupted, perhaps half way"))
            self._in_background(self._tell(intent, _failed(intent, error)), f"roost tells of {key}")
            raise
        else:
            raw, trouble = kept.dump(answered)
            told = {"result": orjson.Fragment(raw), "ms": round((time.perf_counter() - began) * 1000, 3)}
            await self._end(intent, intent.tells("effect.done", **told, **({"lost": trouble} if trouble else {})))
            if trouble:
                raise EffectUnknown(key, f"has happened, but its result could not be kept ({trouble})")
            return kept.read(raw)
        finally:
            ACTING.reset(before)
            self._acting.discard(intent.nonce)
            self._heartbeat.drop_claim(claim, intent.nonce)

    async def _end(self, intent: Intent, outcome: Event) -> None:
        """The outcome, in the log; cancelled, it gets there all the same. Raises what the server says."""
        await asyncio.shield(self._in_background(self._tell(intent, outcome), f"roost tells of {intent.key}"))

    async def _make_good(self, standing: Standing, scope: Scope, key: str) -> bool:
        """Tell an outcome that this process knows and could not tell before."""
        last = standing.last
        outcome = None if last is None else self._owed.get(last.id)
        if last is None or outcome is None:
            return False
        try:
            await self._tell(Intent(key, last.id, standing.version, scope), outcome)
        except EffectUnknown:  # settled meanwhile: the log knows more
            log.debug("an outcome came too late", effect=key)
        return True

    async def _tell(self, intent: Intent, outcome: Event) -> None:
        """Write the outcome and release the claim, if it still stands: a fact does not depend on it."""
        self._owe(intent, outcome)
        claimed, until, pause = True, time.monotonic() + self._shard.patience.total_seconds(), 0.1
        while True:
            unit = Unit().past().expect(outcome.subject, intent.version)
            if claimed:
                unit.complete(claim_of_effect(intent.key), intent.nonce)
            try:
                answer = await intent.scope.write(self._writer, unit.event(outcome))
            except (ServerFull, OutcomeUnknown):  # the version tells whether it was written
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
                continue
            match answer:
                case Written():
                    break
                case Stale():
                    claimed = False
                case Conflicted():
                    found = await standing_of(self._shard, intent.key)
                    if found.last is None or found.last.id != outcome.id:
                        self._owed.pop(intent.nonce, None)
                        log.error("an effect was settled before it had ended", effect=intent.key, outcome=outcome.type)
                        raise EffectUnknown(intent.key, f"ended ({outcome.type}) after somebody had settled it")
                    break
                case _:
                    raise RoostError(f"an outcome was answered with {answer}")
        self._owed.pop(intent.nonce, None)

    def _owe(self, intent: Intent, outcome: Event) -> None:
        self._owed[intent.nonce] = outcome
        if len(self._owed) > MAX_OWED:
            del self._owed[next(iter(self._owed))]

    def _in_background(self, steps: Any, name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(steps, name=name)
        self._telling.add(task)
        task.add_done_callback(self._told)
        return task

    def _told(self, task: asyncio.Task[Any]) -> None:
        self._telling.discard(task)
        if not task.cancelled() and task.exception() is not None:  # whoever waits gets it, too
            log.warning("what became of an effect could not be told", task=task.get_name(), error=str(task.exception()))


def _check(key: str, action: object, limit: object) -> None:
    if not callable(action):
        raise SettingsError(f"the effect {key!r} needs a function that takes its key, not {action!r}")
    if not isinstance(limit, timedelta):
        raise SettingsError(f"the effect {key!r} takes a timedelta as limit=, not {limit!r}")


def _failed(intent: Intent, error: BaseException) -> Event:
    return intent.tells("effect.failed", error=type(error).__name__, message=message_of(error))


def _undone(intent: Intent, error: Exception) -> Event:
    return intent.tells("effect.undone", error=type(error).__name__, message=message_of(error))


def _failure(standing: Standing) -> str:
    return f"{standing.told('error')}: {standing.told('message')}"
