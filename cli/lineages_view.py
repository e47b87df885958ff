"""The index of all notes, from which lineages are told, as commands read it."""

from __future__ import annotations

from collections.abc import Sequence

from roost.projections import Lineages, View
from roost.projections.shipped.lineages import LineageRow
from roost.streams import Shard

from .reading_progress import show_reading

LONG = 20_000
"""Events that take long enough for progress to be shown."""


async def lineages_view(shards: Sequence[Shard]) -> View[LineageRow]:
    """It, brought up to the log's end: quickly, unless nobody has asked for long."""
    for shard in shards:
        if await shard.command("EXISTS", shard.keys.key("meta")):  # who only looks makes no flock
            await shard.open()
    view = View(shards, Lineages())
    behind = (await view.lag()).events
    if behind < LONG:
        await view.catch_up()
        return view
    with show_reading() as reading:
        reading.begin("reading the log", behind)
        first: list[int] = []

        def tell(done: int, _: int) -> None:
            first[:] = first or [done]
            reading.reach(done - first[0])

        await view.catch_up(tell)
    return view
