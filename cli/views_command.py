"""`roost views`: how far projections have come, and taking away those that nobody needs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from .command import Command
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.streams import Shard
    from roost.streams.views import Failure, Standing

PATIENCE = timedelta(seconds=10)
SHOWN_FAILURES = 5


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


@dataclass(frozen=True, slots=True)
class _Listed:
    """A version of a projection in one shard."""

    name: str
    version: str
    shard: int
    standing: Standing
    behind: int
    is_read: bool
    leader: bool
    failures: list[Failure]

    @property
    def state(self) -> str:
        if self.standing.stopped is not None:
            return "stopped"
        if "~" in self.version:
            return "being rebuilt"
        if not self.is_read:
            return "not read"
        return "followed" if self.leader else "at rest"

    def to_data(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "shard": self.shard,
            "state": self.state,
            "position": str(self.standing.position),
            "events": self.standing.passed,
            "behind": self.behind,
            "failed": self.standing.failed,
            "stopped_before": self.standing.stopped,
            "failures": [
                {"position": str(each.position), "type": each.type, "error": each.error} for each in self.failures
            ],
        }


async def _views(common: Common, drop: str | None, live: bool) -> int:
    from roost.streams.every_shard import find_shards

    from .failure import FAILED, tell

    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        if drop is not None:
            dropped = await _drop(shards, drop, live)
            tell(f"dropped {drop}" if dropped else f"there is no view {drop} in flock {settings.flock}")
            return 0 if dropped else FAILED
        listed = [each for shard in shards for each in await _list(shard)]
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


async def _list(shard: Shard) -> list[_Listed]:
    from roost.projections.view import events_added
    from roost.streams.views import Standing, StoredView, list_views

    stored = await list_views(shard)
    added = await events_added(shard)
    found: list[_Listed] = []
    for each, text in sorted(stored.items()):
        name, slash, version = each.rpartition("/")
        if not slash:
            continue  # which version is read
        standing = Standing.parse(text, shard.number)
        lease = shard.keys.key("lease", f"follow/{each}")
        found.append(
            _Listed(
                name=name,
                version=version,
                shard=shard.number,
                standing=standing,
                behind=max(0, added - standing.passed),
                is_read=stored.get(name) == version,
                leader=bool(await shard.command("EXISTS", lease)),
                failures=await StoredView(shard, name, version).failures(SHOWN_FAILURES),
            )
        )
    return found


def _show(common: Common, listed: list[_Listed]) -> None:
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
