"""`roost status`: how the server is, and what the flocks on it hold."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from .command import Command
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.actors.standing.flocks import FlockSizes
    from roost.streams.server import ServerStatus

NEARLY_FULL = 0.8
SOON = timedelta(hours=1)
PATIENCE = timedelta(seconds=5)
SHOWN_INBOXES = 20
FEW_RUNS = 3


@click.command("status", cls=Command)
@common_options(json=True)
def status(common: Common) -> None:
    """Tell how the server is and what the flocks on it hold. Starts nothing."""
    asyncio.run(_status(common))


async def _status(common: Common) -> None:
    from roost.actors.standing.durability import find_durability
    from roost.actors.standing.flocks import measure_flocks, measure_only
    from roost.streams import AccessRefused, connect
    from roost.streams.server import remote_status, server_status

    from .failure import tell

    settings = common.settings()
    if settings.url is not None:
        url, server = settings.url, await remote_status(settings.url)
    else:
        server = await server_status(settings.home)
        url = server.url
    durability, sizes = None, None
    if server.answers:
        async with await connect(url, connections=4) as connection:
            durability = await find_durability(connection.client, appends=connection.facts.appendonly)
            try:
                sizes = await measure_flocks(connection, PATIENCE)
            except AccessRefused:
                tell(f"this user may not look for flocks: only {settings.flock} is shown")
                sizes = await measure_only(connection, settings.flock, PATIENCE)
    _show(common, server, durability, sizes)


def _show(common: Common, server: ServerStatus, durability: str | None, sizes: FlockSizes | None) -> None:
    from roost.streams.amounts import SHORT_ID

    from .bridges_table import bridges_table
    from .failure import tell
    from .holding_table import holding_table
    from .json_lines import dump_safely
    from .terminal import show, write

    if common.json:
        write(dump_safely(_as_json(server, durability, sizes), pretty=True))
    else:
        show(_server_table(server, durability))
        for made in [] if sizes is None else _flock_tables(sizes):
            show("", made)
        flocks = [] if sizes is None else sizes.flocks
        for made in (holding_table(flocks), bridges_table(flocks)):
            if made is not None:
                show("", made)
    share = _share(server)
    if share is not None and share > NEARLY_FULL:
        tell(
            f"the server's memory is {share:.0%} full; when it is full, nothing more can be written: raise its "
            "maxmemory, let old events leave (`roost archive --memory 70%`), or forget notes"
        )
    _warn_in_time(server, sizes)
    for flock in [] if sizes is None else sizes.flocks:
        if flock.relaying:
            tell(
                f"flock {flock.name}: {flock.relaying:,} units are on their way between its shards, the first for "
                f"{flock.relay_lag_s:.1f} s; a process that has the flock open brings them there"
            )
        for run in (each[:SHORT_ID] for each in flock.halfway[:FEW_RUNS]):
            tell(f"run {run} stopped half-way: `roost resume {run} --flock {flock.name}` goes on with it")
        if len(flock.halfway) > FEW_RUNS:
            tell(f"and {len(flock.halfway) - FEW_RUNS} more runs of flock {flock.name} did")
        if flock.parked:
            what = "1 parked delivery waits" if flock.parked == 1 else f"{flock.parked:,} parked deliveries wait"
            tell(f"{what} for a decision in flock {flock.name}: `roost dead --flock {flock.name}`")
    if server.running and not server.answers:
        tell("the server runs but does not answer: it is loading its data, its disk is full, or it is stuck")


def _warn_in_time(server: ServerStatus, sizes: FlockSizes | None) -> None:
    from roost.streams.amounts import show_span

    from .bridges_table import warn_of_bridges
    from .failure import tell

    flocks = [] if sizes is None else sizes.flocks
    growth = sum(flock.log.growth_bytes_s for flock in flocks)
    if server.headroom is not None and growth and server.headroom / growth < SOON.total_seconds():
        left = show_span(timedelta(seconds=max(0.0, server.headroom / growth)))
        tell(
            f"at the rate at which events are written the server is full in {left}: let old ones leave by "
            "`roost archive --memory 70% --every 1m`"
        )
    for line in warn_of_bridges(flocks):
        tell(line)
    for flock in flocks:
        if flock.log.kept_by is not None and flock.log.kept_by not in [each.name for each in flock.bridges]:
            tell(
                f"flock {flock.name}: events that are archived stay on the server, because {flock.log.kept_by} has not "
                f"come further: `roost views --flock {flock.name}` shows what to do"
            )


def _share(server: ServerStatus) -> float | None:
    if not server.maxmemory or server.memory_used is None:
        return None
    return server.memory_used / server.maxmemory


def _server_table(server: ServerStatus, durability: str | None) -> Any:
    from rich.table import Table

    from roost.actors.standing.durability import SENTENCES
    from roost.streams.amounts import show_size, show_span

    from .terminal import foreign

    rows = Table.grid(padding=(0, 3, 0, 0))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()

    def row(name: str, text: str) -> None:
        rows.add_row(name, foreign(text, wrap=True))

    if server.kind is not None:
        row("Server", f"{server.kind} {server.version}")
    row("At", server.url)
    if not server.running:
        row("Running", "no; it starts with `roost up`, or when a command needs it")
    elif server.uptime is not None:
        process = f", process {server.pid}" if server.pid is not None else ""
        row("Running", f"for {show_span(server.uptime)}{process}")
    else:
        row("Running", f"yes, process {server.pid}, but it does not answer")
    if server.memory_used is not None:
        used = show_size(server.memory_used)
        if server.maxmemory is None or server.headroom is None:
            row("Memory", f"{used} used; no limit is set")
        else:
            row("Memory", f"{used} of {show_size(server.maxmemory)} used, {show_size(server.headroom)} left")
    if durability is not None:
        row("Durability", SENTENCES[durability])
    if server.home is not None:
        size = server.append_only_size
        row("Data", f"{server.home}{'' if size is None else f' ({show_size(size)} in the append-only file)'}")
    return rows


def _flock_tables(sizes: FlockSizes) -> list[Any]:
    from .terminal import foreign, table

    figures = ("Events", "Notes", "Inboxes")
    chosen = any(flock.durability != "memory" for flock in sizes.flocks)
    sealed = any(flock.encrypted for flock in sizes.flocks)
    flocks = table("Flock", *figures, *["Durability"] * chosen, *["Encrypted"] * sealed, right=figures)
    more = "" if sizes.complete else "+"
    for flock in sizes.flocks:
        counts = (f"{flock.events:,}", f"{flock.notes:,}{more}", f"{flock.inbox_count:,}")
        name = flock.name if flock.shards == 1 else f"{flock.name} ({flock.shards} shards)"
        more_of_it = [foreign(flock.durability)] * chosen + ["yes" if flock.encrypted else "no"] * sealed
        flocks.add_row(foreign(name), *counts, *more_of_it)
    if not sizes.flocks:
        return [foreign("No flock yet: the first event makes it.")]
    states = ("To do", "In hand", "Waiting", "Limit", "Parked")
    inboxes = table("Inbox", "Flock", *states, right=states)
    all_of_them = [(flock, state) for flock in sizes.flocks for state in flock.inboxes]
    all_of_them.sort(key=lambda one: not (one[1].length or one[1].waiting or one[1].parked))  # the idle ones last
    for flock, state in all_of_them[:SHOWN_INBOXES]:
        waits = (state.length - state.pending, state.pending, state.waiting, state.limit, state.parked)
        shown = ["" if count is None else f"{count:,}" for count in waits]
        inboxes.add_row(foreign(state.inbox), foreign(flock.name), *shown)
    left = sum(flock.inbox_count for flock in sizes.flocks) - min(len(all_of_them), SHOWN_INBOXES)
    if left > 0:
        inboxes.add_row(foreign(f"and {left:,} more", "dim"))
    return [flocks, inboxes] if all_of_them else [flocks]


def _as_json(server: ServerStatus, durability: str | None, sizes: FlockSizes | None) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "server": {
            "running": server.running,
            "answers": server.answers,
            "url": server.url,
            "kind": server.kind,
            "version": server.version,
            "pid": server.pid,
            "uptime_s": None if server.uptime is None else server.uptime.total_seconds(),
            "memory_used": server.memory_used,
            "maxmemory": server.maxmemory,
            "headroom": server.headroom,
            "durability": durability,
            "home": None if server.home is None else str(server.home),
            "append_only_size": server.append_only_size,
        },
        "flocks": [] if sizes is None else [asdict(flock) for flock in sizes.flocks],
        "complete": True if sizes is None else sizes.complete,
    }
