"""Which run of a flock is meant, for commands that take one."""

from __future__ import annotations

from collections.abc import Sequence

from roost.streams import Shard
from roost.streams.merging import MergedLog

from .report.choice import SeenRuns, choose_run
from .report.reading import read_log


async def find_run(shards: Sequence[Shard], text: str) -> str:
    """The ID of the run that `text` names: an ID, the beginning of one, or `latest`. Raises RoostError, which says what
    there is."""
    if await _is_run(shards, text):
        return text
    seen = SeenRuns()
    async for event in read_log(shards, until=await MergedLog(shards).ends(), what="looking for the run", quiet=True):
        seen.evolve(event)
    return choose_run(seen.runs, text, shards[0].keys.flock).id


async def _is_run(shards: Sequence[Shard], text: str) -> bool:
    """Whether that is a run's whole ID: then the log need not be read for it."""
    for shard in shards:
        if await shard.command("HEXISTS", shard.keys.key("versions"), f"run/{text}"):
            return True
    return False
