"""What a flock's log takes on the server, what has left it, and who keeps the rest there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roost.streams import Position, Shard
from roost.streams.archive.shelf import ArchiveRecord
from roost.streams.log import read_horizon
from roost.streams.marks import read_marks
from roost.streams.views import list_views

SAMPLES = 20
SHORTEST_MS = 60_000
"""What was written in less is not taken for what will be written on and on."""


@dataclass(frozen=True, slots=True)
class Holding:
    """`log_bytes` is what the log takes, `growth_bytes_s` what it grew by a second since its first event that is there.

    `horizon` has the last event that left each shard, of those of which any has; `horizon_s` is how long ago the
    newest of them was written. `archive_lag_s` is the age of the first event that is not archived, 0 when all are;
    None, as `archive`, without an archive. `kept_by` is the bridge or projection furthest behind the archive, if
    any is: it keeps events from leaving.
    """

    log_bytes: int = 0
    growth_bytes_s: float = 0.0
    trimmed: int = 0
    horizon: tuple[str, ...] = ()
    horizon_s: float | None = None
    archive: str | None = None
    archive_lag_s: float | None = None
    kept_by: str | None = None


async def measure_holding(shards: Sequence[Shard]) -> Holding:
    """Of all shards together. Raises ServerUnavailable."""
    each = [await _measure(shard) for shard in shards]
    ages = [one.horizon_s for one in each if one.horizon_s is not None]
    lags = [one.archive_lag_s for one in each if one.archive_lag_s is not None]
    return Holding(
        log_bytes=sum(one.log_bytes for one in each),
        growth_bytes_s=sum(one.growth_bytes_s for one in each),
        trimmed=sum(one.trimmed for one in each),
        horizon=tuple(place for one in each for place in one.horizon),
        horizon_s=min(ages, default=None),
        archive=next((one.archive for one in each if one.archive is not None), None),
        archive_lag_s=max(lags, default=None),
        kept_by=next((one.kept_by for one in each if one.kept_by is not None), None),
    )


async def _measure(shard: Shard) -> Holding:
    seconds, micros = await shard.command("TIME")
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    log, key = shard.keys.log, shard.keys.key
    size = int(await shard.command("MEMORY", "USAGE", log, "SAMPLES", SAMPLES) or 0)
    first = await _first_after(shard, "-")
    horizon, record = await read_horizon(shard), await ArchiveRecord.read(shard)
    marks = {name: mark.position.entry for name, mark in (await read_marks(shard)).items()}
    lag_s = None
    if record is not None:
        waiting = await _first_after(shard, f"({marks.get('archive', '0-0')}")
        lag_s = 0.0 if waiting is None else max(0, now_ms - waiting.ms) / 1000
    return Holding(
        log_bytes=size,
        growth_bytes_s=0.0 if first is None else size / max(SHORTEST_MS, now_ms - first.ms) * 1000,
        trimmed=int(await shard.command("HGET", key("meta"), "trimmed") or 0),
        horizon=() if horizon is None else (str(horizon),),
        horizon_s=None if horizon is None else max(0, now_ms - horizon.ms) / 1000,
        archive=None if record is None else record.place,
        archive_lag_s=lag_s,
        kept_by=None if record is None else await _keeper(shard, marks),
    )


async def _keeper(shard: Shard, marks: dict[str, str]) -> str | None:
    """Who is furthest behind the archive, by the rules of the script `trim`."""
    stored = await list_views(shard)
    stands = {name: entry for name, entry in marks.items() if name not in ("archive", "state")}
    for name, text in stored.items():
        projection, slash, version = name.rpartition("/")
        if slash and version.isdigit() and int(version) >= int(stored.get(projection, "0")):
            stands[name] = text.partition(" ")[0]
    archived = Position.parse(marks.get("archive", "0-0"), shard=shard.number)
    behind = [(Position.parse(entry, shard=shard.number), name) for name, entry in stands.items()]
    position, keeper = min(behind, default=(archived, ""))
    return keeper if position < archived else None


async def _first_after(shard: Shard, start: str) -> Position | None:
    page = await shard.command("XRANGE", shard.keys.log, start, "+", "COUNT", 1)
    return Position.parse(page[0][0].decode(), shard=shard.number) if page else None
