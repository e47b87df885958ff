"""The turnstile: lets this process's calls of a model through as the limits of the whole fleet allow."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from roost.streams import RoostError, SettingsError, Shard, new_id
from roost.streams.permits import AGENT, ANYONE, Hold, ModelLimits, Permits

from .heartbeat import Heartbeat
from .models import Model, ModelBusy

log = structlog.get_logger(__name__)

CALL_LIMIT = timedelta(hours=2)
"""A permit is renewed for no longer."""
FIRST_LOOK_S = 0.02
LAST_LOOK_S = 0.25
"""Between looks for a permit that another process may give back at any time."""
LONGEST_REST_S = 5.0
"""Between looks for one whose time is known: limits may be raised meanwhile."""
JITTER_S = 0.05
LONG_S = 10.0
"""After so long people are told that calls wait."""
AGAIN_S = 60.0
LEARN_S = 5.0
"""Between looks at the limits of a flock with several shards."""


@dataclass(slots=True)
class _Gate:
    """Of one model. `turn` lets those of this process come up one after the other, in order: one asks the server."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    given_back: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    told: float = float("-inf")


@dataclass(slots=True)
class Passage:
    """One call. `tokens` is what it took, once that is known; `pause` what its provider asked for."""

    tokens: int | None = None
    pause: timedelta | None = None


class Turnstile:
    """Calls of models that have limits pass here; those of all others go by at no cost."""

    def __init__(self, shard: Shard, heartbeat: Heartbeat) -> None:
        self._shard = shard
        self._permits = Permits(shard)
        self._heartbeat = heartbeat
        self._gates: dict[str, _Gate] = {}
        self._learned = time.monotonic()

    @property
    def limits(self) -> dict[str, ModelLimits]:
        """The models that have limits."""
        return self._permits.limits()

    async def limit(self, model: str, limits: ModelLimits | None) -> None:
        """Set a model's limits for the whole flock, or take them away."""
        await self._permits.limit(model, limits)

    @asynccontextmanager
    async def passing(self, model: str, tokens: int, agent: str | None = None) -> AsyncGenerator[Passage]:
        """Call the model within this block, which begins when it may. `tokens` is how many the call may take; `agent`
        is who calls, whose own limits are kept as well.

        A ModelBusy that is raised there and says for how long makes the whole flock wait for so long.
        """
        passage, permit = Passage(), new_id()
        await self._learn()
        whose = f"{AGENT}{agent or ANYONE}"
        # In this order everywhere: nobody waits in a circle.
        async with self._through(whose, permit, tokens, passage), self._through(model, permit, tokens, passage):
            try:
                yield passage
            except ModelBusy as error:
                passage.pause = error.retry_after
                raise

    @asynccontextmanager
    async def _through(self, name: str, permit: str, tokens: int, passage: Passage) -> AsyncGenerator[None]:
        """With a permit for a model, or for an agent, where that is limited."""
        is_guarded = self._permits.guards(name)
        if is_guarded:
            await self._wait(name, permit, tokens)
            self._heartbeat.hold_permit(name, permit, CALL_LIMIT)
        try:
            yield
        finally:
            pause = None if name.startswith(AGENT) else passage.pause
            if is_guarded or pause is not None:
                await self._give_back(name, permit, Passage(passage.tokens, pause))

    async def _learn(self) -> None:
        """Appends to the other shards of a flock that has several do not tell of new limits."""
        now = time.monotonic()
        if self._shard.placement is not None and now - self._learned > LEARN_S:
            self._learned = now
            await self._shard.open()

    async def _give_back(self, model: str, permit: str, passage: Passage) -> None:
        self._heartbeat.drop_permit(model, permit)
        if passage.pause is not None:
            log.warning("a model's provider asks for a pause, which the whole flock keeps", model=model,
                        seconds=passage.pause.total_seconds())  # fmt: skip
        returning = asyncio.create_task(self._permits.give_back(model, permit, passage.tokens, passage.pause))
        try:
            await asyncio.shield(returning)
        except RoostError as error:  # its lease ends by itself; the call's own end must not be hidden
            log.warning("a permit to call a model could not be given back", model=model, error=str(error))
        finally:
            if model in self._gates:
                self._gates[model].given_back.set()

    async def _wait(self, model: str, permit: str, tokens: int) -> None:
        gate = self._gates.setdefault(model, _Gate())
        since, look_s = time.monotonic(), FIRST_LOOK_S
        gate.waiting += 1
        try:
            async with gate.turn:
                while True:
                    gate.given_back.clear()  # before asking: what is given back from now on is news
                    hold = await self._take(model, permit, tokens)
                    if hold is None:
                        return
                    self._tell(gate, model, hold, since)
                    if hold.why == "concurrent":
                        await _rest(min(hold.ms / 1000, look_s) * random.uniform(0.5, 1.0), gate.given_back)
                        look_s = min(look_s * 1.5, LAST_LOOK_S)
                    else:
                        rest_s = min(hold.ms / 1000, LONGEST_REST_S)
                        await asyncio.sleep(rest_s + random.uniform(0, min(JITTER_S, 0.1 * rest_s + 0.001)))
        finally:
            gate.waiting -= 1

    async def _take(self, model: str, permit: str, tokens: int) -> Hold | None:
        """Whoever is cancelled while it asks gives back what it may have got."""
        taking = asyncio.create_task(self._permits.take(model, permit, tokens, self._heartbeat.claim_lease))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            await asyncio.wait([taking])
            if taking.exception() is None and taking.result() is None:
                await self._give_back(model, permit, Passage())
            raise

    def _tell(self, gate: _Gate, model: str, hold: Hold, since: float) -> None:
        now = time.monotonic()
        if now - since > LONG_S and now - gate.told > AGAIN_S:
            gate.told = now
            whose = {"agent": model[1:]} if model.startswith(AGENT) else {"model": model}
            log.warning("calls of a model wait for the flock's limits", **whose, why=hold.why,
                        waiting=gate.waiting, seconds=round(now - since))  # fmt: skip


async def _rest(seconds: float, woken: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        return


def limits_by_name(
    limits: ModelLimits | Mapping[str, ModelLimits | None] | None, model: Model | str | None
) -> list[tuple[str, ModelLimits | None]]:
    """What was given as limits, model by model; of one without a name, those of `model`. Raises SettingsError."""
    several: list[object] = [*limits.values()] if isinstance(limits, Mapping) else [limits]
    if not all(isinstance(each, ModelLimits | None) for each in several):
        raise SettingsError(f"limits= is a ModelLimits, or a dict of them by the names of models: not {limits!r}")
    if isinstance(limits, ModelLimits):
        chosen = model or "offline"
        return [(chosen if isinstance(chosen, str) else chosen.name, limits)]
    return list(limits.items()) if limits is not None else []
