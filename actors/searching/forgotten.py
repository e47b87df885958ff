"""Forgotten: what is to be in no index any more, at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

import structlog

from roost.streams import RoostError, Shard

from .filling import Filling
from .index import Index, IndexDamaged
from .place import IndexUnusable, Place

log = structlog.get_logger(__name__)

PATIENCE = timedelta(seconds=30)
"""Another process may be at the index."""


async def drop_forgotten(shards: Sequence[Shard], home: Path, url: str) -> None:
    """Bring the indexes that this machine has of these shards up to date: what the log tells to be forgotten is in none
    of their files when this returns. Where there is no index, nothing is done.

    An index that cannot be brought up to date is removed: the next search makes it anew.
    """
    for shard in shards:
        await _see_to(Place.of(home, url), shard, lambda filling: filling.catch_up(patience=PATIENCE))


async def drop_note(shard: Shard, home: Path, url: str, note_id: str) -> None:
    """Take one note out of the index that this machine has of its shard, however far behind that is. As
    `drop_forgotten` otherwise."""
    await _see_to(Place.of(home, url), shard, lambda filling: filling.drop(note_id, PATIENCE))


async def _see_to(place: Place, shard: Shard, do: Callable[[Filling], Awaitable[bool]]) -> None:
    index = Index(place.folder(shard), shard.number)
    if not index.exists:
        return
    try:
        if not await do(Filling(shard, index)):
            log.warning(
                "another process is at the index, and drops what was forgotten when it has come so far",
                folder=str(index.folder),
            )
    except (IndexUnusable, IndexDamaged, RoostError) as error:
        log.warning("an index cannot be brought up to date, and is removed", error=str(error))
        try:
            await asyncio.to_thread(index.remove)
        except (IndexUnusable, IndexDamaged) as stays:
            log.error("an index still has what was forgotten: remove its folder", error=str(stays))
    finally:
        index.close()
