"""`roost views`: how far projections have come, and taking away those that nobody needs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from .command import Command
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.actors.standing.views import ListedView
    from roost.streams import Shard

PATIENCE = timedelta(seconds=10)


@click.command("views", cls=Command)
@click.option("--drop", metavar="NAME/VERSION", help="Take a version of a projection away, with its rows.")
@click.option("--live", is_flag=True, help="With --drop: even the one that is read.")
@common_options(json=True)
def views(common: Common, drop: str | None, live: bool) -> int:
    """Tell how far each projection has come in the flock's log, and what it could not fold.

    A projection that nobody follows any more keeps old events from leaving the server: drop it. What is dropped can be
    folded again from the log.
    """
    if live and drop is None:
        raise click.UsageError("--live goes with --drop")
    return asyncio.run(_views(common, drop, live))


async def _views(common: Common, drop: str | None, live: bool) -> int:
    from roost.actors.standing.views import list_standing
    from roost.streams.every_shard import find_shards

    from .failure import FAILED, tell

    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        if drop is not None:
            dropped = await _drop(shards, drop, live)
            tell(f"dropped {drop}" if dropped else f"there is no view {drop} in flock {settings.flock}")
            return 0 if dropped else FAILED
        listed = [each for shard in shards for each in await list_standing(shard)]
    _show(common, listed)
    return 0


async def _drop(shards: list[Shard], which: str, live: bool) -> bool:
    from roost.streams import SettingsError
    from roost.streams.views import StoredView

    name, slash, version = which.rpartition("/")
    if not slash or not name or not version:
        raise click.UsageError("--drop takes NAME/VERSION, as `roost views` shows them")
    answers = [await StoredView(shard, name, version).drop(live=live) for shard in shards]
    if "live" in answers:
        raise SettingsError(f"{which} is what is read: add --live to drop it all the same")
    return "dropped" in answers


def _show(common: Common, listed: list[ListedView]) -> None:
    from .json_lines import dump_safely
    from .terminal import foreign, show, table, write

    if common.json:
        write(dump_safely({"views": [each.to_data() for each in listed]}))
        return
    if not listed:
        write("no projection has been folded yet")
        return
    several = len({each.shard for each in listed}) > 1
    counts = ("Events", "Behind", "Failed")
    rows = table("Projection", "Version", *["Shard"] * several, "State", *counts, right=counts)
    for each in listed:
        numbers = (each.standing.passed, each.behind, each.standing.failed)
        where = [str(each.shard)] if several else []
        rows.add_row(foreign(each.name), foreign(each.version), *where, each.state, *[f"{one:,}" for one in numbers])
    show(rows)
    for each in listed:
        for failure in each.failures:
            write("")
            show(foreign(f"{each.name}/{each.version} at {failure.position}, {failure.type}: {failure.error}"))
