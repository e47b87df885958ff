"""What a person says of parked deliveries: that they be retried, or dropped, or how an effect was."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from roost.streams import RoostError, Shard
from roost.streams.dead import ParkedDeliveries, Release, whoever
from roost.streams.effects import settle_effect, standing_of, subject_of_effect
from roost.streams.every_shard import find_shards, parked_in
from roost.streams.parked import ParkedDelivery

from .dead_card import title_of
from .failure import FAILED, tell
from .json_lines import dump_safely
from .options import Common
from .terminal import foreign, write

PATIENCE = timedelta(seconds=10)
SETTLER = "cli"
"""The agent that settles, in the event of it; the person is named besides."""
DONE = {"resumed": "goes back to", "dropped": "is dropped, of"}


@asynccontextmanager
async def opened(common: Common) -> AsyncGenerator[tuple[ParkedDeliveries, list[Shard]]]:
    """What is parked in the flock, and its shards."""
    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        yield parked_in(shards, SETTLER), shards


async def release(
    common: Common, how: str, ids: tuple[str, ...], actor: str | None, run: str | None, by: str | None,
    reason: str | None,
) -> int:  # fmt: skip
    """Retry or drop those of these IDs, or all that are chosen; 1 if any of them could not be."""
    failed, settled = False, 0
    async with opened(common) as (parked, _):
        word = parked.retry if how == "resumed" else parked.drop

        async def each() -> AsyncGenerator[ParkedDelivery]:
            nonlocal failed
            if not ids:
                async for one in parked.list(actor=actor, run=run):
                    yield one
            for text in ids:
                try:
                    yield await parked.get(text)
                except RoostError as error:
                    failed = True
                    tell(str(error))

        async for one in each():
            released = await word(one, by=by, reason=reason)
            _tell(common, one, released.outcome, released.by, released.before)
            failed = failed or released.outcome in (Release.GONE, Release.ENDED)
            settled += 1
    if not ids and not settled and not common.json:
        tell("nothing of that kind is parked")
    return FAILED if failed else 0


async def settle(common: Common, text: str, done: bool, result: Any, by: str | None, reason: str | None) -> int:
    """Say how the effect was for which a delivery is parked, and retry it; 1 if it cannot be retried."""
    async with opened(common) as (parked, shards):
        one = await parked.get(text)
        if one.effect is None:
            raise RoostError(
                f"{title_of(one)} was not parked for an outside effect, but for {one.error}: retry it, or drop it"
            )
        placement = shards[0].placement
        shard = shards[0] if placement is None else shards[placement.of(subject_of_effect(one.effect))]
        standing = await standing_of(shard, one.effect)
        if standing.state != ("done" if done else "free"):  # said already, perhaps for another delivery
            if standing.state in ("done", "free"):
                known = "has happened" if standing.state == "done" else "has not happened"
                raise RoostError(
                    f"the log knows that the effect {one.effect!r} {known}: retry the delivery, or drop it"
                )
            await settle_effect(shard, one.effect, done=done, result=result, by=by or whoever(), agent=SETTLER)
        if not common.json:
            write(foreign(f"the effect {one.effect} {'has happened' if done else 'has not happened'}"))
        released = await parked.retry(one, by=by, reason=reason)
        _tell(common, one, released.outcome, released.by, released.before)
    return 0 if released.outcome is Release.RESUMED else FAILED


def _tell(common: Common, one: ParkedDelivery, outcome: Release, by: str, before: str) -> None:
    word = outcome.value
    if common.json:
        write(dump_safely({"parked": one.id, "outcome": word, "by": by or None, "before": before or None}))
    elif word in DONE:
        write(foreign(f"{title_of(one)} {DONE[word]} {one.actor}"))
    elif word == "ended":
        tell(f"{title_of(one)} cannot be retried: its run has ended, its inbox is no more; drop it, or keep it")
    else:
        quicker = f": {by} was quicker, it was {before}" if by else ": somebody was quicker"
        tell(f"{title_of(one)} is parked no more{quicker}")
