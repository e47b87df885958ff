"""`roost rebuild`: folds what is read from the log anew."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from .command import Command
from .options import Common, common_options, fold_options

if TYPE_CHECKING:
    from roost.actors import Actor
    from roost.projections import Projection
    from roost.streams import Shard

    from .reading_progress import Reading

PATIENCE = timedelta(seconds=60)


@click.command("rebuild", cls=Command)
@click.argument("name", metavar="[NAME]", required=False)
@fold_options
@common_options(json=True)
def rebuild(common: Common, name: str | None, actors: str | None, module: str | None) -> None:
    """Fold what is read from the log anew, and put it in the place of what is there. The flock may be at work.

    NAME is notes, versions, states (of the keyed actors that --actors names), search (the index that this machine has
    of what notes hold), or the name of a projection: one that Roost ships, or one of --module. Without it: all of these
    but search. Readers see the old until the new takes its place;
    appends are held for the moment in which notes and versions do.
    """
    from .folds_module import INLINE, SEARCH, STATES, find_keyed, find_projections

    if name == STATES and actors is None:
        raise click.UsageError("states are folded by their actors: say where these are with --actors MODULE")
    projections = find_projections(module)
    if name is not None and name not in (*INLINE, STATES, SEARCH, *projections):
        known = ", ".join([*INLINE, STATES, SEARCH, *sorted(projections)])
        raise click.UsageError(f"there is no projection {name!r}; there are {known}; those of your own need --module")
    asyncio.run(_rebuild(common, name, find_keyed(actors), projections))


async def _rebuild(
    common: Common, name: str | None, keyed: list[Actor], projections: dict[str, Projection[Any]]
) -> None:
    from roost.streams import RoostError
    from roost.streams.every_shard import find_shards

    from .folds_module import INLINE, SEARCH, STATES, built_views
    from .reading_progress import show_reading

    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        if not await shards[0].command("EXISTS", shards[0].keys.key("meta")):
            raise RoostError(f"there is no flock {settings.flock!r} on this server")
        for shard in shards:
            await shard.open()
        if name == SEARCH:
            from .found_notes import make_anew

            _show(common, await make_anew(shards, settings.home, connection), [])
            return
        built = await built_views(shards)
        chosen = [each for each in projections if each == name or (name is None and each in built)]
        rows: list[dict[str, Any]] = []
        with show_reading() as reading:
            if name is None or name in INLINE:
                rows += await _inline(shards, name, reading)
            for actor in keyed if name in (None, STATES) else ():
                rows.append(await _states(shards, actor))
            for each in chosen:
                rows += await _view(shards, projections[each], reading)
    skipped = sorted(built - set(projections)) if name is None else []
    _show(common, rows, skipped)


async def _inline(shards: list[Shard], name: str | None, reading: Reading) -> list[dict[str, Any]]:
    from roost.projections.rebuild import rebuild
    from roost.streams.refold import What

    what: What = "notes" if name == "notes" else "versions" if name == "versions" else "both"
    told = "notes and versions" if what == "both" else what
    rows: list[dict[str, Any]] = []
    for shard in shards:
        reading.begin(told, int(await shard.command("XLEN", shard.keys.log)))
        done = await rebuild(shard, what, progress=reading.reach, shards=len(shards))
        row: dict[str, Any] = {
            "name": told, "shard": shard.number, "events": done.events, "seconds": round(done.seconds, 3),
            "held_ms": round(1000 * done.held_s), "strangers": done.strangers, "missing": done.missing,
            "missing_count": done.missing_count,
        }  # fmt: skip
        rows.append(row)
    return rows


async def _states(shards: list[Shard], actor: Actor) -> dict[str, Any]:
    from roost.actors.stored_states import StoredStates

    seen, mended = await StoredStates(shards, actor).rebuild()
    return {"name": f"states of {actor.name}", "states": seen, "mended": mended}


async def _view(shards: list[Shard], projection: Projection[Any], reading: Reading) -> list[dict[str, Any]]:
    from time import monotonic

    from roost.projections.rebuilding import rebuild_view

    rows: list[dict[str, Any]] = []
    for shard in shards:
        reading.begin(projection.name, int(await shard.command("XLEN", shard.keys.log)))
        begun = monotonic()
        events = await rebuild_view(shard, projection, progress=lambda done, _: reading.reach(done))
        seconds = round(monotonic() - begun, 3)
        rows.append({"name": projection.name, "shard": shard.number, "events": events, "seconds": seconds})
    return rows


def _show(common: Common, rows: list[dict[str, Any]], skipped: list[str]) -> None:
    from .failure import tell
    from .json_lines import dump_safely
    from .terminal import foreign, show, table, write

    if common.json:
        write(dump_safely({"rebuilt": rows, "not_at_hand": skipped}))
    else:
        counts = ("Events", "Seconds", "Held ms")
        shown = table("What", "Shard", *counts, right=counts)
        for row in rows:
            events = row["events"] if "events" in row else f"{row['mended']:,} of {row['states']:,} put right"
            held, shard = row.get("held_ms", ""), row.get("shard", "all")
            count = f"{events:,}" if isinstance(events, int) else events
            shown.add_row(foreign(row["name"]), str(shard), count, str(row.get("seconds", "")), str(held))
        show(shown)
    for row in rows:
        for digest in row.get("missing", ()):
            tell(f"the content {digest} is named by notes and is not there; it cannot be made again")
    for name in skipped:
        tell(f"the projection {name} was not rebuilt: say where its class is with --module MODULE")
