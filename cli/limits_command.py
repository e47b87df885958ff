"""`roost limits`: what all processes of a flock together may ask of a model."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from .command import Command
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.streams import ModelLimits

PATIENCE = timedelta(seconds=10)
MOST = 2**53
NUMBER = click.IntRange(1, MOST)


@click.command("limits", cls=Command)
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--concurrent", metavar="N", type=NUMBER, help="Calls at once.")
@click.option("--requests", metavar="N", type=NUMBER, help="Calls a minute.")
@click.option("--tokens", metavar="N", type=NUMBER, help="Tokens a minute, of requests and answers.")
@click.option("--off", is_flag=True, help="Take the model's limits away.")
@common_options(json=True)
def limits(
    common: Common, model: str | None, concurrent: int | None, requests: int | None, tokens: int | None, off: bool
) -> None:
    """Set what all processes of the flock, on all hosts, together may ask of MODEL, or show what is set.

    MODEL is a name such as openai/gpt-5-mini. What is not given is without a limit. Who is at work already keeps the
    new limits from its next event on.
    """
    setting = any(number is not None for number in (concurrent, requests, tokens))
    if setting and off:
        raise click.UsageError("--off takes all limits away: leave the others out")
    if model is None and (setting or off):
        raise click.UsageError("name the model whose limits these are, such as openai/gpt-5-mini")
    from roost.streams import ModelLimits

    chosen = ModelLimits(concurrent, requests, tokens) if setting else None
    asyncio.run(_limits(common, model, chosen, changing=setting or off))


async def _limits(common: Common, model: str | None, chosen: ModelLimits | None, *, changing: bool) -> None:
    from roost.streams import Keys, Shard
    from roost.streams.permits import Permits

    settings = common.settings()
    async with common.connect(settings) as connection:
        shard = Shard(connection.client, Keys(settings.flock), patience=PATIENCE)
        if changing or await shard.command("EXISTS", shard.keys.key("meta")):  # who only looks makes no flock
            await shard.open()
        permits = Permits(shard)
        if changing and model is not None:
            await permits.limit(model, chosen)
        found = {name: limit for name, limit in permits.limits().items() if model in (None, name)}
        at_once = {name: await permits.at_once(name) for name in found}
    _show(common, found, at_once)


def _show(common: Common, found: dict[str, ModelLimits], at_once: dict[str, int]) -> None:
    from .json_lines import dump_safely
    from .terminal import foreign, show, table, write

    if common.json:
        rows: list[dict[str, Any]] = [
            {
                "model": name, "concurrent": limit.concurrent, "requests_per_minute": limit.requests_per_minute,
                "tokens_per_minute": limit.tokens_per_minute, "at_once": at_once[name],
            }
            for name, limit in sorted(found.items())
        ]  # fmt: skip
        write(dump_safely({"limits": rows}))
        return
    if not found:
        write("no limits are set")
        return
    counts = ("Now", "At once", "Calls a minute", "Tokens a minute")
    rows_shown = table("Model", *counts, right=counts)
    for name, limit in sorted(found.items()):
        numbers = (at_once[name], limit.concurrent, limit.requests_per_minute, limit.tokens_per_minute)
        rows_shown.add_row(foreign(name), *["any" if number is None else f"{number:,}" for number in numbers])
    show(rows_shown)
