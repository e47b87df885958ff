"""`roost log`: what happened, event by event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from .command import Command
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.streams import Event, Position, Shard
    from roost.streams.merging import MergedLog

    from .event_filter import EventFilter

LAST = 50
PATIENCE = timedelta(seconds=10)
BLOCK = timedelta(seconds=5)


@click.command("log", cls=Command)
@click.option("--after", metavar="POSITION", help="Only events after this one, oldest first.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most N events [default: the last 50].")
@click.option("--type", "types", metavar="TYPE", multiple=True, help="Only of this type, or of `note.*`. Repeatable.")
@click.option("--run", metavar="RUN", help="Only of this run (its ID, or how it begins).")
@click.option("--subject", metavar="SUBJECT", help="Only about this subject, or about those that begin so.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new events until Ctrl-C.")
@common_options(json=True)
def log(
    common: Common,
    after: str | None,
    limit: int | None,
    types: tuple[str, ...],
    run: str | None,
    subject: str | None,
    follow: bool,
) -> None:
    """Show the flock's events, writes and reads alike, the newest last.

    Data is abridged, and IDs are shown by their first digits; --json prints everything, one event a line.
    """
    from .event_filter import EventFilter

    asyncio.run(_log(common, after, limit, EventFilter(types, run, subject), follow))


async def _log(common: Common, after: str | None, limit: int | None, wanted: EventFilter, follow: bool) -> None:
    from roost.streams.every_shard import find_shards
    from roost.streams.merging import MergedLog, start_in

    from .failure import tell
    from .terminal import write

    settings = common.settings()
    if after is not None:
        start_in(after, 0)  # before any server is asked
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        events = MergedLog(shards)
        ends = await events.ends()
        head, line = _form(common)
        past = (
            _last(shards, ends, wanted, limit or LAST) if after is None else _after(events, after, ends, wanted, limit)
        )
        shown = False
        async for page in past:
            lines = [line(event) for event in page]
            write(*([] if shown or head is None else [head]), *lines)
            shown = True
        if follow:
            if head is not None and not shown:
                write(head)
            # From the last event looked at, not the last one shown: those between were not wanted.
            client = connection.dedicated(block=BLOCK, connections=len(shards))
            async for batch in events.tail(client, ends, block=BLOCK):
                write(*[line(event) for event in batch if wanted.takes(event)])
        elif not shown and not common.json:
            tell(f"flock {settings.flock} has no events{' of that kind' if any(end.ms for end in ends) else ''}")


def _form(common: Common) -> tuple[str | None, Callable[[Event], str]]:
    """The line before the first event, and how an event becomes a line."""
    from .event_line import EventLines, as_json
    from .terminal import is_plain, width

    if common.json:
        return None, as_json
    lines = EventLines(width(), plain=is_plain())
    return lines.head(), lines.line


async def _last(
    shards: Sequence[Shard], ends: Sequence[Position], wanted: EventFilter, limit: int
) -> AsyncGenerator[list[Event]]:
    """The last wanted events up to `ends`, oldest first, as one page if there are any."""
    from roost.streams.merging import in_order, order_of

    from .newest_first import newest_first

    async def wanted_of(shard: Shard, end: Position) -> AsyncGenerator[Event]:
        async for page in newest_first(shard, until=end):
            for event in page:
                if wanted.takes(event):
                    yield event

    found: list[Event] = []
    sources = [wanted_of(shard, end) for shard, end in zip(shards, ends, strict=True)]
    async for event in in_order(sources, lambda event: [-number for number in order_of(event)]):
        found.append(event)
        if len(found) >= limit:
            break
    if found:
        yield found[::-1]


async def _after(
    events: MergedLog, start: str, ends: Sequence[Position], wanted: EventFilter, limit: int | None
) -> AsyncGenerator[list[Event]]:
    """The first wanted events after `start` up to `ends`, in pages."""
    left = limit
    page: list[Event] = []
    async for event in events.read(start, until=ends):
        if not wanted.takes(event):
            continue
        page.append(event)
        left = None if left is None else left - 1
        if left == 0 or len(page) >= LAST:
            yield page
            page = []
        if left == 0:
            return
    if page:
        yield page
