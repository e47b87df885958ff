"""`roost seal`: signs what the log is, so that whoever tampers with it is found out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from .command import Command
from .measures import Duration
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.streams import Shard
    from roost.streams.seals.sealer import Sealed, Sealer

ALGORITHMS = ("ed25519", "hmac-sha256")


@click.command("seal", cls=Command)
@click.option("--every", type=Duration(), metavar="TIME", help="Again and again, until Ctrl-C: 1m, 30s.")
@click.option("--to", "places", metavar="PLACE", multiple=True,
              help="Also there: a file, https://…, or kafka:TOPIC; several are allowed.")  # fmt: skip
@click.option("--key", metavar="FILE", envvar="ROOST_SEAL_KEY",
              help="The key that signs, made if it is not there [default: seals/key in ROOST_HOME].")  # fmt: skip
@click.option("--algorithm", type=click.Choice(ALGORITHMS), default="ed25519", show_default=True,
              help="Of a key that is made.")  # fmt: skip
@click.option("--public-key", "public_keys", metavar="FILE", multiple=True,
              help="Of a key that signed before this one, and still counts.")  # fmt: skip
@click.option(
    "--anew", is_flag=True, help="Begin at the log's start again: it has lost what was sealed, and you know why."
)
@common_options(json=True)
def seal(common: Common, **given: Any) -> int:
    """Sign the log as it is now, up to its end, as the next link of a chain. `roost verify --seals` compares.

    Seals are kept in seals/FLOCK in ROOST_HOME, and told in the log. Bring them to where nobody can change them who
    can change the server, too, by --to: only that finds a log that was cut off together with its seals.
    """
    if given["anew"] and given["every"]:
        raise click.UsageError("--anew is for once: leave --every out")
    return asyncio.run(_seal(common, given))


async def _seal(common: Common, given: dict[str, Any]) -> int:
    from roost.streams.seals.export import check_place

    from .seal_choice import found_shards, key_path, sealers_for
    from .until_signal import until_signal

    settings = common.settings()
    places = [check_place(place) for place in given["places"]]
    key = key_path(settings.home, given["key"])
    async with common.connect(settings) as connection:
        shards = await found_shards(connection, settings.flock)
        sealers = sealers_for(shards, settings.home, key, given["algorithm"], given["public_keys"])
        if given["every"] is None:
            _show(common, await _round(sealers, places, anew=given["anew"]))
        else:
            await until_signal(_again(common, sealers, places, given["every"].total_seconds()), "roost seal")
    return 0


async def _round(sealers: list[Sealer], places: list[str], *, anew: bool = False) -> list[tuple[Shard, Sealed]]:
    from roost.streams.seals.export import export

    done = [(sealer.shard, await sealer.round(anew=anew)) for sealer in sealers]
    for sealer in sealers:
        await export(sealer.book, places)
    return done


async def _again(common: Common, sealers: list[Sealer], places: list[str], every_s: float) -> None:
    from roost.streams import ServerUnavailable
    from roost.streams.kafka.faults import KafkaUnavailable
    from roost.streams.seals.faults import ExportFailed, SealingBusy

    from .failure import tell

    tell(f"sealing every {every_s:g} s until Ctrl-C")
    while True:
        try:
            done = await _round(sealers, places)
            if any(each.seals for _, each in done):
                _show(common, done)
        except (
            ServerUnavailable,
            SealingBusy,
            ExportFailed,
            KafkaUnavailable,
        ) as error:  # the next may find it otherwise
            tell(f"not this time: {error}")
        await asyncio.sleep(every_s)


def _show(common: Common, rows: list[tuple[Shard, Sealed]]) -> None:
    from .json_lines import dump_safely
    from .terminal import write

    if common.json:
        told = [
            {
                "shard": shard.number,
                "seals": done.seals,
                "events": done.events,
                "head": None if done.head is None else done.head.number,
                "last": None if done.head is None else done.head.last,
                "digest": None if done.head is None else done.head.own_digest,
            }
            for shard, done in rows
        ]
        write(dump_safely({"shards": told}))
        return
    for shard, done in rows:
        which = f"shard {shard.number}: " if len(rows) > 1 else ""
        if done.head is None:
            write(f"{which}there is nothing to seal")
        elif not done.seals:
            write(f"{which}nothing new; seal {done.head.number} is the last, up to {done.head.last}")
        else:
            write(
                f"{which}{done.events:,} events sealed up to {done.head.last} by {done.seals:,} seals; the last is "
                f"seal {done.head.number}, {done.head.own_digest}"
            )
