"""`roost dead`: deliveries that were given up, in people's hands."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from .command import Command, Group
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.streams.parked import ParkedDelivery


@click.group(
    "dead",
    cls=Group,
    options_metavar="[--actor A] [--run R]",
    subcommand_metavar="[list | show | retry | drop | settle]",
)
def dead() -> None:
    """Look after deliveries that were given up: each is kept, with its error, until somebody decides.

    Without a command it lists them. `roost dead COMMAND --help` tells more.
    """


def selecting(*, json: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command the options that choose among parked deliveries, behind the common ones."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        run = click.option("--run", metavar="RUN", help="Only of this run (its ID, or how it begins).")
        actor = click.option("--actor", metavar="ACTOR", help="Only of this actor.")
        return actor(run(common_options(json=json)(function)))

    return decorate


def deciding(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command what those share that settle some parked deliveries, or all that are chosen."""

    @click.argument("ids", metavar="ID…", nargs=-1)
    @click.option("--all", "every", is_flag=True, help="All of them, or all of --actor and --run.")
    @click.option("-y", "--yes", is_flag=True, help="Do not ask before --all.")
    @click.option("--by", metavar="NAME", help="Who decides [default: user@host].")
    @click.option("--reason", metavar="TEXT", help="Why; it stands in the log.")
    @selecting()
    @functools.wraps(function)
    def call(**given: Any) -> Any:
        return function(**given)

    return call


@dead.command("list", cls=Command)
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), default=50, show_default=True, help="At most N of them."
)
@selecting()
def list_(common: Common, actor: str | None, run: str | None, limit: int) -> None:
    """List what is parked, the last first."""
    asyncio.run(_list(common, actor, run, limit))


@dead.command("show", cls=Command)
@click.argument("id", metavar="ID")
@common_options(json=True)
def show(common: Common, id: str) -> None:
    """Show one parked delivery: what it was, what went wrong, what can be done. ID may be its first digits."""
    asyncio.run(_show(common, id))


@dead.command("retry", cls=Command)
@deciding
def retry(common: Common, **chosen: Any) -> int:
    """Give parked deliveries back to their actors, to be tried anew. ID may be the first digits.

    Of a keyed actor, what is retried goes before all that waits for its key.
    """
    return _decide(common, "resumed", **chosen)


@dead.command("drop", cls=Command)
@deciding
def drop(common: Common, **chosen: Any) -> int:
    """Remove parked deliveries for good. ID may be the first digits.

    The log keeps their events, and who dropped them.
    """
    return _decide(common, "dropped", **chosen)


@dead.command("settle", cls=Command)
@click.argument("id", metavar="ID")
@click.option("--done", is_flag=True, help="The effect has happened.")
@click.option("--undone", is_flag=True, help="It has not.")
@click.option("--result", metavar="JSON", help="What it has answered, for who asks for it. With --done.")
@click.option("--by", metavar="NAME", help="Who decides [default: user@host].")
@click.option("--reason", metavar="TEXT", help="Why; it stands in the log.")
@common_options(json=True)
def settle(
    common: Common, id: str, done: bool, undone: bool, result: str | None, by: str | None, reason: str | None
) -> int:  # fmt: skip
    """Say how an outside effect has ended that nobody knows of, and retry what was parked for it.

    --done: it has happened, and will not be repeated. --undone: it has not, and is carried out when the delivery is
    handled again.
    """
    if done == undone:  # both would let the order of the words decide whether something is paid twice
        raise click.UsageError("say either --done if the effect has happened, or --undone if it has not")
    if result is not None and not done:
        raise click.UsageError("--result is what the effect has answered: it goes with --done")
    from .dead_decision import settle

    return asyncio.run(settle(common, id, done, _parse(result), by, reason))


def _parse(result: str | None) -> Any:
    import json

    try:
        return None if result is None else json.loads(result)
    except json.JSONDecodeError as error:
        raise click.UsageError(f"--result is no JSON ({error}); text stands in double quotes") from None


async def _list(common: Common, actor: str | None, run: str | None, limit: int) -> None:
    from .dead_card import as_json, table_of
    from .dead_decision import opened
    from .failure import tell
    from .json_lines import dump_safely
    from .terminal import show, write

    found: list[ParkedDelivery] = []
    async with opened(common) as (parked, _):
        async for each in parked.list(actor=actor, run=run, newest_first=True):
            if len(found) == limit:
                tell(f"there are more than these {limit} ({await parked.count():,} in all); --limit shows more")
                break
            found.append(each)
            if common.json:
                write(dump_safely(as_json(each)))
        now_ms = await parked.now_ms()
    if not found and not common.json:
        of_that_kind = "" if actor is None and run is None else " of that kind"
        tell(f"nothing{of_that_kind} is parked in flock {common.settings().flock}")
    elif not common.json:
        show(table_of(found, now_ms))


async def _show(common: Common, text: str) -> None:
    from .dead_card import as_json, show_parked
    from .dead_decision import opened
    from .json_lines import dump_safely
    from .terminal import write

    async with opened(common) as (parked, _):
        found = await parked.get(text)
        is_open = await parked.is_open(found)
    if common.json:
        write(dump_safely(as_json(found, whole=True) | {"open": is_open}, pretty=True))
    else:
        show_parked(found, is_open=is_open)


def _decide(
    common: Common, how: str, ids: tuple[str, ...], every: bool, yes: bool, by: str | None, reason: str | None,
    actor: str | None, run: str | None,
) -> int:  # fmt: skip
    if every == bool(ids):
        raise click.UsageError(
            "name the deliveries by their IDs, or say --all" if not ids else "name IDs or say --all, not both"
        )
    if not every and (actor or run):
        raise click.UsageError("--actor and --run choose among --all: an ID says already which is meant")
    if every and not yes:
        _ask(common, how, actor, run)
    from .dead_decision import release

    return asyncio.run(release(common, how, ids, actor, run, by, reason))


def _ask(common: Common, how: str, actor: str | None, run: str | None) -> None:
    """Outside of any event loop, which would keep Ctrl-C to itself."""
    from roost.streams import RoostError

    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on: add --yes")
    count = asyncio.run(_count(common, actor, run))
    verb = "Retry" if how == "resumed" else "Drop, for good,"
    if count and not click.confirm(f"{verb} {count:,} parked {'delivery' if count == 1 else 'deliveries'}?", err=True):
        raise RoostError("nothing was done")


async def _count(common: Common, actor: str | None, run: str | None) -> int:
    from .dead_decision import opened

    async with opened(common) as (parked, _):
        if actor is None and run is None:
            return await parked.count()
        return len([1 async for _ in parked.list(actor=actor, run=run)])
