"""Which run of a flock is meant, for commands that take one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import orjson

from roost.streams import Log, Shard
from roost.streams.ahead import ahead
from roost.streams.event import pairs

from .report.choice import SeenRun, choose_run


async def find_run(shards: Sequence[Shard], text: str) -> str:
    """The ID of the run that `text` names: an ID, the beginning of one, or `latest`. Raises RoostError, which says what
    there is."""
    if await is_run(shards, text):
        return text
    return choose_run(await seen_runs(shards), text, shards[0].keys.flock).id


async def is_run(shards: Sequence[Shard], text: str) -> bool:
    """Whether that is a run's whole ID: then the log need not be read for it."""
    for shard in shards:
        if await shard.command("HEXISTS", shard.keys.key("versions"), f"run/{text}"):
            return True
    return False


async def seen_runs(shards: Sequence[Shard]) -> list[SeenRun]:
    """The runs, in the order of their first events. Only what is needed for that is parsed, and what is no event is
    passed over."""
    first: dict[str, int] = {}
    began: dict[str, int] = {}
    last: dict[str, int] = {}
    for shard in shards:
        async with aclosing(ahead(Log(shard).pages())) as pages:
            async for page in pages:
                for entry, fields in page:
                    known = pairs(fields)
                    run = _run_of(known.get(b"meta", b""))
                    if run is None:
                        continue
                    ms = int(entry.rpartition(b"/")[2].partition(b"-")[0])
                    first[run] = min(first.get(run, ms), ms)
                    last[run] = max(last.get(run, ms), ms)
                    if known.get(b"type") == b"run.started":
                        began.setdefault(run, ms)
    listed = sorted(first, key=lambda run: first[run])
    return [SeenRun(run, began.get(run, first[run]), last[run]) for run in listed]


def _run_of(meta: bytes) -> str | None:
    if b'"run"' not in meta:
        return None
    try:
        run: Any = orjson.loads(meta).get("run")
    except (ValueError, AttributeError):
        return None
    return run if isinstance(run, str) else None
