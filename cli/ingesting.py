"""`roost bridge kafka --ingest`: a topic's events into the flock."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roost.streams import Settings, Shard
    from roost.streams.kafka.access import KafkaAccess
    from roost.streams.kafka.ingest.ingest import Ingested

    from .options import Common

ITS_OWN = {"from_end": "--from-end", "stop_at_refused": "--stop-at-refused", "accept_gap": "--accept-gap"}
OF_THE_MIRROR = {"types": "--types", "standby": "--standby", "accept": "--accept-divergence", "drop": "--drop"}


def check_ingest(given: dict[str, Any]) -> None:
    """Raises SettingsError for options that do not go together."""
    from roost.streams import SettingsError

    topic: str | None = given["ingest"]
    for name, option in (OF_THE_MIRROR if topic else ITS_OWN).items():
        if given[name]:
            what = (
                f"{option} is for mirroring, and --ingest takes in" if topic else f"{option} goes with --ingest TOPIC"
            )
            raise SettingsError(f"{what}: leave it out" if topic else what)


async def ingest_topic(
    common: Common, access: KafkaAccess, settings: Settings, shards: list[Shard], given: dict[str, Any]
) -> int:
    """Until Ctrl-C, or until all that is there has been taken."""
    from roost.actors import Flock
    from roost.streams.kafka.ingest.consumer import KafkaSource
    from roost.streams.kafka.ingest.ingest import Ingested, Ingesting, ingest

    from .failure import tell
    from .until_signal import until_signal

    topic: str = given["ingest"]
    how = Ingesting(given["from_end"], given["stop_at_refused"], given["accept_gap"], given["once"])
    done = Ingested()
    until = "until all that is there has been taken" if how.once else "until Ctrl-C"
    tell(f"taking topic {topic} at {access.bootstrap} into flock {settings.flock} {until}")
    async with AsyncExitStack() as stack:
        if len(shards) > 1:  # it brings to other shards what is for them
            await stack.enter_async_context(
                Flock.open(settings.flock, settings.url, home=settings.home, agent="ingest")
            )
        work = ingest(shards, KafkaSource(access, topic), how, progress=done, tell=tell)
        try:
            await until_signal(work, "roost ingest")
        finally:
            if done.refused:
                tell(f"{done.refused:,} of {done.records:,} records were refused: roost log --type record.refused")
    _show(common, topic, done)
    return 0


def _show(common: Common, topic: str, done: Ingested) -> None:
    from .json_lines import dump_safely
    from .terminal import show, table, write

    partitions = sorted(done.partitions.items())
    if common.json:
        told = [
            {"partition": number, "records": one.records, "refused": one.refused, "offset": one.offset}
            for number, one in partitions
        ]
        write(dump_safely({"topic": topic, "partitions": told}))
        return
    counts = ("Records", "Refused", "Next offset")
    shown = table("Partition", *counts, right=counts)
    for number, one in partitions:
        offset = "" if one.offset is None else f"{one.offset:,}"
        shown.add_row(str(number), f"{one.records:,}", f"{one.refused:,}", offset)
    show(shown)
