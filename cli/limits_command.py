"""`roost limits`: what all processes of a flock together may ask of a model, and what an agent may keep and ask."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from .command import Command
from .measures import Size
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.streams import AgentLimits, ModelLimits, Shard

    from .agents_limited import LimitedAgent

PATIENCE = timedelta(seconds=10)
MOST = 2**53
NUMBER = click.IntRange(1, MOST)


@click.command("limits", cls=Command)
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--agent", metavar="NAME", help="Limits of this agent, or of each that has none of its own: '*'.")
@click.option("--notes", metavar="N", type=NUMBER, help="Notes of the agent that live.")
@click.option("--bytes", "size", metavar="SIZE", type=Size(), help="What they hold together: 512mb, 2gb.")
@click.option("--concurrent", metavar="N", type=NUMBER, help="Calls at once.")
@click.option("--requests", "--calls", metavar="N", type=NUMBER, help="Calls a minute.")
@click.option("--tokens", metavar="N", type=NUMBER, help="Tokens a minute, of requests and answers.")
@click.option("--off", is_flag=True, help="Take the limits of the model, or of the agent, away.")
@common_options(json=True)
def limits(
    common: Common, model: str | None, agent: str | None, notes: int | None, size: int | None, concurrent: int | None,
    requests: int | None, tokens: int | None, off: bool,
) -> None:  # fmt: skip
    """Set what all processes of the flock, on all hosts, together may ask of MODEL, or what an agent may keep in the
    memory and ask of all models; or show what is set, and what agents have.

    MODEL is a name such as openai/gpt-5-mini. What is not given is without a limit. Who is at work already keeps the
    new limits from its next event on. Calls wait until they may be made; notes that are too many are refused.
    """
    kept, asked = (notes, size), (concurrent, requests, tokens)
    setting = any(number is not None for number in (*kept, *asked))
    if model is not None and agent is not None:
        raise click.UsageError("limits are those of a model, or of an agent for all models: name one of them")
    if setting and off:
        raise click.UsageError("--off takes all limits away: leave the others out")
    if agent is None and any(number is not None for number in kept):
        raise click.UsageError("--notes and --bytes are what an agent may keep: name it by --agent")
    if model is None and agent is None and (setting or off):
        raise click.UsageError("name the model whose limits these are, such as openai/gpt-5-mini, or an --agent")
    from roost.streams import AgentLimits, ModelLimits
    from roost.streams.agent_limits import check_agent

    if agent is not None:
        chosen = AgentLimits(notes, size, concurrent, requests, tokens) if setting else None
        asyncio.run(_agents(common, check_agent(agent), chosen, changing=setting or off))
        return
    limited = ModelLimits(concurrent, requests, tokens) if setting else None
    asyncio.run(_models(common, model, limited, changing=setting or off))


async def _agents(common: Common, agent: str, chosen: AgentLimits | None, *, changing: bool) -> None:
    from roost.streams import Reader
    from roost.streams.agent_limits import limit_agent
    from roost.streams.every_shard import find_shards

    from .agents_limited import find_agents

    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        await _open(shards, changing=changing)
        if changing:
            await limit_agent(shards, agent, chosen, Reader("cli"))
        found = await find_agents(shards, agent)
    _show(common, None, found)


async def _models(common: Common, model: str | None, chosen: ModelLimits | None, *, changing: bool) -> None:
    from roost.streams.every_shard import find_shards
    from roost.streams.permits import Permits

    from .agents_limited import find_agents

    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        await _open(shards, changing=changing)
        permits = Permits(shards[0])
        if changing and model is not None:
            await permits.limit(model, chosen)
        found = {name: limit for name, limit in permits.limits().items() if model in (None, name)}
        rows = [(name, limit, await permits.at_once(name)) for name, limit in sorted(found.items())]
        agents = await find_agents(shards) if model is None else None
    _show(common, rows, agents)


async def _open(shards: list[Shard], *, changing: bool) -> None:
    """Who only looks makes no flock."""
    for shard in shards:
        if changing or await shard.command("EXISTS", shard.keys.key("meta")):
            await shard.open(shards[0].settings)


def _show(
    common: Common, models: list[tuple[str, ModelLimits, int]] | None, agents: list[LimitedAgent] | None
) -> None:  # fmt: skip
    from .agents_limited import table_of
    from .json_lines import dump_safely
    from .terminal import foreign, show, table, write

    if common.json:
        told: dict[str, Any] = {}
        if models is not None:
            told["limits"] = [
                {
                    "model": name, "concurrent": limit.concurrent, "requests_per_minute": limit.requests_per_minute,
                    "tokens_per_minute": limit.tokens_per_minute, "at_once": at_once,
                }
                for name, limit, at_once in models
            ]  # fmt: skip
        if agents is not None:
            told["agents"] = [agent.to_json() for agent in agents]
        write(dump_safely(told))
        return
    if not models and not agents:
        write("no limits are set")
    if models:
        counts = ("Now", "At once", "Calls a minute", "Tokens a minute")
        rows_shown = table("Model", *counts, right=counts)
        for name, limit, at_once in models:
            numbers = (at_once, limit.concurrent, limit.requests_per_minute, limit.tokens_per_minute)
            rows_shown.add_row(foreign(name), *["any" if number is None else f"{number:,}" for number in numbers])
        show(rows_shown)
    if agents:
        if models:
            write("")
        show(table_of(agents))
        if not all(agent.is_counted for agent in agents):
            write("", "notes are being counted: figures are still too low")
