"""`roost bridge`: every event of a flock in another system, once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from .command import Command, Group
from .kafka_options import kafka_options
from .measures import Duration
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.streams import Shard
    from roost.streams.kafka.access import KafkaAccess
    from roost.streams.kafka.bridge import Bridge
    from roost.streams.kafka.mirror import Mirroring
    from roost.streams.kafka.topics import Topics

PATIENCE = timedelta(seconds=60)
GUARANTEES = ("exactly-once", "idempotent", "at-least-once")
COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")
WEAKER = {
    "idempotent": "what is under way when it ends or fails is mirrored again",
    "at-least-once": "what is under way when it ends or fails is mirrored again, and retries may repeat events",
}


@click.group("bridge", cls=Group, subcommand_metavar="kafka")
def bridge() -> None:
    """Mirror every event into another system.

    `roost bridge kafka --help` tells more.
    """


@bridge.command("kafka", cls=Command)
@kafka_options
@click.option("--topic-prefix", "prefix", metavar="P", default="roost", show_default=True,
              help="How the names of the topics begin: P.FLOCK for events.")  # fmt: skip
@click.option(
    "--types", metavar="PATTERN", multiple=True, help="Only events of such types (`note.*`); may be repeated."
)
@click.option("--once", is_flag=True, help="End when all that is there has been mirrored, or taken in.")
@click.option("--standby", is_flag=True, help="Wait while another process mirrors this flock, then go on for it.")
@click.option("--accept-divergence", "accept", is_flag=True,
              help="Go on although the log has lost events that Kafka has, in a new epoch of the topic.")  # fmt: skip
@click.option("--drop", is_flag=True, help="Give the mirror up: the log waits for it no more. Kafka keeps what it has.")
@click.option("--guarantee", type=click.Choice(GUARANTEES), default="exactly-once", show_default=True,
              help="For brokers without transactions, the others.")  # fmt: skip
@click.option("--compression", type=click.Choice(COMPRESSIONS), default="zstd", show_default=True,
              help="Of what is sent.")  # fmt: skip
@click.option("--partitions", metavar="N", type=click.IntRange(1, 1000), default=6, show_default=True,
              help="Of topics that are made.")  # fmt: skip
@click.option("--replication", metavar="N", type=click.IntRange(1, 99),
              help="Of topics that are made [default: 3, or as many as there are brokers].")  # fmt: skip
@click.option("--retention", type=Duration(), metavar="TIME",
              help="For how long Kafka keeps events [default: for good].")  # fmt: skip
@click.option("--ingest", metavar="TOPIC",
              help="Mirror nothing: take that topic's CloudEvents into the flock, each exactly once.")  # fmt: skip
@click.option("--from-end", is_flag=True, help="Of a topic that is new to the flock only what comes from now on.")
@click.option("--stop-at-refused", is_flag=True,
              help="End at a record that cannot be an event, instead of telling it in the log.")  # fmt: skip
@click.option("--accept-gap", is_flag=True, help="Go on although Kafka has not all records any more.")
@common_options(json=True, traced=True)
def kafka(common: Common, access: KafkaAccess, **given: Any) -> int:
    """Mirror a flock's events into Kafka as CloudEvents, each exactly once, until Ctrl-C.

    It goes on where the last one ended, whatever it ended of. The log keeps what has not been mirrored yet. What is in
    Kafka comes back by `roost restore kafka`. With --ingest it is the other way round: what others write into a topic
    becomes events, and work for agents.
    """
    return asyncio.run(_kafka(common, access, given))


async def _kafka(common: Common, access: KafkaAccess, given: dict[str, Any]) -> int:
    from roost.streams import RoostError
    from roost.streams.every_shard import find_shards
    from roost.streams.kafka.topics import Topics

    from .ingesting import check_ingest, ingest_topic

    check_ingest(given)
    settings = common.settings()
    topics = Topics(given["prefix"], settings.flock)
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        if not await shards[0].command("EXISTS", shards[0].keys.key("meta")):
            raise RoostError(f"there is no flock {settings.flock!r} on this server")
        for shard in shards:
            await shard.open()
        if given["drop"]:
            return await _drop(shards, topics)
        if given["ingest"]:
            return await ingest_topic(common, access, settings, shards, given)
        return await _mirror(common, access, shards, topics, given)


async def _drop(shards: list[Shard], topics: Topics) -> int:
    from roost.streams.kafka.mirror import drop

    from .failure import tell

    for shard in shards:
        await drop(shard, topics)
    tell(f"nothing waits for the mirror in {topics.events} any more; its topics stay as they are")
    return 0


async def _mirror(
    common: Common, access: KafkaAccess, shards: list[Shard], topics: Topics, given: dict[str, Any]
) -> int:  # fmt: skip
    from roost.streams.kafka.bridge import Bridge
    from roost.streams.kafka.mirror import Mirroring
    from roost.streams.kafka.topics import Layout

    from .failure import tell
    from .reading_progress import show_reading
    from .until_signal import until_signal

    how = Mirroring(
        access, topics, given["guarantee"], given["compression"], tuple(given["types"]), given["once"], given["accept"]
    )  # fmt: skip
    retention = given["retention"]
    kept_ms = None if retention is None else retention // timedelta(milliseconds=1)
    layout = Layout(given["partitions"], given["replication"], kept_ms)
    until = "until all is there" if how.once else "until Ctrl-C"
    tell(f"mirroring flock {topics.flock} into {topics.events} at {access.bootstrap} {until}")
    if how.guarantee != "exactly-once":
        tell(f"{how.guarantee}: {WEAKER[how.guarantee]}; consumers tell repeats by the events' IDs (ce_id)")
    if access.mechanism and not access.is_safe:
        tell("the password goes to Kafka without TLS: whoever is on the way can read it; take --security SASL_SSL")
    with show_reading() as reading:
        waiting = sum([int(await shard.command("XLEN", shard.keys.log)) for shard in shards]) if how.once else 0
        reading.begin("mirroring", waiting)
        done = 0

        def told(events: int) -> None:
            nonlocal done
            done += events
            if how.once:
                reading.reach(done)

        made = Bridge(shards, how, layout=layout, standby=given["standby"], tell=tell, told=told)
        try:
            await until_signal(made.run(), "roost bridge")
        finally:
            _tell_accepted(made)
    _show(common, made, how)
    return 0


def _tell_accepted(made: Bridge) -> None:
    from .failure import tell

    for progress in made.progress:
        if progress.accepted is not None:
            tell(f"a new epoch of the topic, {progress.mirror}, has begun behind {progress.accepted}")


def _show(common: Common, made: Bridge, how: Mirroring) -> None:
    from roost.streams.amounts import show_size

    from .json_lines import dump_safely
    from .terminal import show, table, write

    if common.json:
        told = [
            {
                "shard": number,
                "events": one.events,
                "contents": one.contents,
                "bytes": one.bytes,
                "batches": one.batches,
                "position": None if one.at is None else str(one.at),
                "epoch": one.mirror,
            }
            for number, one in enumerate(made.progress)
        ]
        topics = how.topics
        names = {"events": topics.events, "contents": topics.contents, "positions": topics.positions}
        write(dump_safely({"topics": names, "guarantee": how.guarantee, "shards": told}))
        return
    counts = ("Mirrored", "Contents", "Size", "Epoch")
    shown = table("Shard", *counts, "Up to", right=counts)
    for number, one in enumerate(made.progress):
        figures = (f"{one.events:,}", f"{one.contents:,}", show_size(one.bytes), str(one.mirror))
        shown.add_row(str(number), *figures, "" if one.at is None else str(one.at))
    show(shown)
