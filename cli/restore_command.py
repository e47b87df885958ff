"""`roost restore`: a flock comes back from another system."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from .command import Command, Group
from .kafka_options import kafka_options
from .measures import Moment
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.projections.mirror_reading import MirrorReading, Progress
    from roost.projections.restoring import Restored
    from roost.streams.kafka.access import KafkaAccess
    from roost.streams.kafka.source import Source

    from .reading_progress import Reading

MOST_RUNS = 5
"""Of those that stood halfway so many are named."""


@click.group("restore", cls=Group, subcommand_metavar="kafka")
def restore() -> None:
    """Read a flock's log back from another system.

    `roost restore kafka --help` tells more.
    """


@restore.command("kafka", cls=Command)
@kafka_options
@click.option("--topic-prefix", "prefix", metavar="P", default="roost", show_default=True,
              help="How the names of the topics begin: P.FLOCK for events.")  # fmt: skip
@click.option("--into", metavar="NAME", help="Restore it as a flock of this name, instead of its own.")
@click.option("--until", type=Moment(), metavar="TIME",
              help="Only events up to then: 2026-11-23T14:03:10Z, 14:03:10 today, 2h ago.")  # fmt: skip
@click.option("--durability", metavar="MODE", help="Of the flock: memory, disk, replicated [default: as it was].")
@click.option("--partial", is_flag=True, help="Restore what is there, although events or contents are missing.")
@common_options(json=True)
def kafka(common: Common, access: KafkaAccess, **given: Any) -> None:
    """Rebuild a flock from its mirror in Kafka: log, notes and contents, in a flock that has no events.

    Every event gets its position, version, cause and bytes back. Nothing is written before all of the mirror has been
    read and found whole. A restore that was cut off is ended by the same command. Notes that were forgotten stay so.
    What is no event does not come back: what actors had still to handle, timers, claims, limits of models.
    """
    asyncio.run(_kafka(common, access, given))


async def _kafka(common: Common, access: KafkaAccess, given: dict[str, Any]) -> None:
    from roost.streams.kafka.mirror_topics import MirrorTopics
    from roost.streams.kafka.topics import Topics

    settings = common.settings()
    await restore_from(
        common, MirrorTopics(access, Topics(given["prefix"], settings.flock)), into=given["into"] or settings.flock,
        until_ms=given["until"], durability=given["durability"], partial=given["partial"],
    )  # fmt: skip


async def restore_from(
    common: Common, source: Source, *, into: str, until_ms: int | None, durability: str | None, partial: bool
) -> None:
    """The command, whatever the mirror is in."""
    from roost.projections.mirror_reading import MirrorReading
    from roost.projections.restoring import find_target, make_flock
    from roost.projections.restoring import restore as write
    from roost.streams.durability import Durability
    from roost.streams.kafka.spool import Spool

    from .reading_progress import show_reading

    settings = common.settings()
    wanted = None if durability is None else Durability.parse(durability)
    with show_reading() as shown:
        async with common.connect(settings) as connection:
            spool = Spool()
            try:
                progress = _telling(shown)
                reading = MirrorReading(source, spool, until_ms=until_ms, partial=partial, progress=progress)
                places = await reading.find_places()
                wanted = wanted or Durability.parse(places[0].durability)
                bounds = await find_target(connection.client, into, reading, settings.flock, wanted)
                await reading.read(bounds)
                shards = await make_flock(connection.client, into, places, wanted)
                restored = await write(reading, shards, settings.flock)
            finally:
                spool.close()
    _show(common, reading, restored, settings.flock, into)


def _telling(shown: Reading) -> Progress:
    stage = ""

    def progress(what: str, done: int, total: int) -> None:
        nonlocal stage
        if what != stage:
            stage = what
            shown.begin(what, total)
        shown.reach(done)

    return progress


def _show(common: Common, reading: MirrorReading, restored: Restored, flock: str, into: str) -> None:
    from .json_lines import dump_safely
    from .terminal import foreign, show, table, write

    if common.json:
        told = {
            "source": reading.source.name, "flock": flock, "into": into, "shards": len(reading.places),
            "events": restored.events, "contents": restored.contents, "forgotten": restored.forgotten,
            "missing": reading.missing_count, "strangers": reading.spool.strangers, "resumed": restored.resumed,
            "until_ms": reading.until_ms, "last": [str(place) for place in restored.last],
            "open_runs": reading.open_runs,
        }  # fmt: skip
        write(dump_safely(told))
    else:
        counts = ("Shards", "Events", "Contents")
        shown = table("Flock", *counts, "Up to", right=counts)
        last = ", ".join(map(str, restored.last[:3])) + (", …" if len(restored.last) > 3 else "")
        shown.add_row(foreign(into), str(len(reading.places)), f"{restored.events:,}", f"{restored.contents:,}", last)
        show(shown)
    _tell(reading, restored, into)


def _tell(reading: MirrorReading, restored: Restored, into: str) -> None:
    from .failure import tell

    if reading.missing_count:
        tell(
            f"{reading.missing_count:,} things are missing: {'; '.join(reading.missing)}; `roost verify` names them all"
        )
    if reading.spool.strangers:
        tell(
            f"{reading.spool.strangers:,} messages of these topics are none that the bridge wrote, and were passed over"
        )
    if restored.forgotten:
        tell(f"{restored.forgotten:,} notes that were forgotten later are forgotten here, too")
    tell("what actors had still to handle, timers and claims are no events, and did not come back")
    runs = reading.open_runs
    if runs:
        named = ", ".join(runs[:MOST_RUNS]) + (", …" if len(runs) > MOST_RUNS else "")
        tell(f"{len(runs):,} runs stood halfway ({named}): `roost fork RUN --flock {into}` goes on from there")
