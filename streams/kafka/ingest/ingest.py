"""Ingest: all partitions of a topic into a flock, through whatever goes away and comes back."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from roost.otel import active

from ...errors import RoostError, ServerUnavailable
from ...placement import Placement
from ...shard import Shard
from ...spreading import SpreadingWriter
from ...writer import Writer
from ..faults import KafkaUnavailable, explain
from .bookmark import Place
from .partition import Overtaken, Partition, Progress
from .record import Bounds, Source

FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 30.0
PATIENCE_ONCE_S = 60.0
"""For how long one that is to end waits for a Kafka, or a server, that is away."""
LOOK_S = 10.0
"""Between looks whether Kafka answers, and whether the topic has more partitions."""
LOOKS_AT_END = 5
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ingesting:
    """How. `from_end`: of a topic that is new to the flock only what comes from now on. `stop_at_refused`: at a record
    that cannot be taken, instead of telling it and going on. `accept_gap`: go on although Kafka has not all of what
    comes next any more. `once`: end when all that was there has been taken."""

    from_end: bool = False
    stop_at_refused: bool = False
    accept_gap: bool = False
    once: bool = False
    look_s: float = LOOK_S
    pause_s: float = FIRST_PAUSE_S


@dataclass(slots=True)
class Ingested:
    """What has been done so far, by partition."""

    partitions: dict[int, Progress] = field(default_factory=dict[int, Progress])

    @property
    def records(self) -> int:
        return sum(one.records for one in self.partitions.values())

    @property
    def refused(self) -> int:
        return sum(one.refused for one in self.partitions.values())


async def ingest(
    shards: Sequence[Shard], source: Source, how: Ingesting | None = None, *, progress: Ingested | None = None,
    tell: Tell = lambda _: None, told: Callable[[int], None] = lambda _: None,
) -> None:  # fmt: skip
    """Take a topic's records into the flock of these shards, each once, until cancelled.

    `tell` is given lines for people, `told` how many records have just been taken. In a flock with several shards a
    process of the flock has to run, as for whatever is appended there.

    Raises MissingRecords, RecordRefused, OwnMirror, KafkaRefused, and RoostError where waiting would not help.
    """
    placement = shards[0].placement
    writers = [Writer(shard) if placement is None else SpreadingWriter(shard, placement) for shard in shards]
    made = _Ingest(shards, writers, source, how or Ingesting(), progress or Ingested(), tell, told)
    try:
        await made.run()
    finally:
        await source.close()
        for writer in writers:
            with suppress(RoostError):
                await writer.close()


class _Ingest:
    def __init__(
        self, shards: Sequence[Shard], writers: Sequence[Writer], source: Source, how: Ingesting, progress: Ingested,
        tell: Tell, told: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._shards = shards
        self._writers = writers
        self._placement = shards[0].placement or Placement(1)
        self._source = source
        self._how = how
        self._progress = progress
        self._tell = tell
        self._told = told
        self._is_away = False

    async def run(self) -> None:
        """Sessions, one after the other."""
        pause_s, begun = self._how.pause_s, time.monotonic()
        while True:
            before = self._progress.records
            try:
                await self._session()
            except Exception as error:
                if self._progress.records > before:
                    pause_s, begun = self._how.pause_s, time.monotonic()
                waiting = self._judge(error)
                if waiting is not None and self._how.once and time.monotonic() - begun > PATIENCE_ONCE_S:
                    raise waiting from None
                if waiting is not None and not self._is_away:
                    self._tell(f"{waiting}; what is in the topic waits, and is taken in when it can be")
                    self._is_away = True
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(2 * pause_s, LAST_PAUSE_S)
            else:
                return
            finally:
                await self._source.close()

    async def _session(self) -> None:
        source, how = self._source, self._how
        # 1. What there is, and how far each partition is. The first partition is begun last: while it is new, so is
        # the topic, whatever has been begun before an end.
        await source.open()
        cluster, numbers = await source.cluster(), await source.partitions()
        if not numbers:
            raise KafkaUnavailable(f"topic {source.topic} has no partitions at {source.where}")
        parts = {number: self._partition(number, cluster) for number in sorted(numbers, reverse=True)}
        for part in parts.values():
            await part.find()
        bounds = await self._bounds(parts)
        at_end = how.from_end and not parts[min(numbers)].mark.version
        starts = {
            number: await part.begin(bounds[number], at_end=at_end, accept_gap=how.accept_gap)
            for number, part in parts.items()
        }
        await source.assign(starts)
        # 2. Each by itself: one that waits for a full inbox keeps none up.
        untils = await source.ends(numbers) if how.once else dict.fromkeys(numbers)
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch(numbers), name="roost ingest watch")
                runs = [
                    group.create_task(part.run(starts[number], untils[number]), name=f"roost ingest {number}")
                    for number, part in parts.items()
                ]
                await asyncio.wait(runs)
                watch.cancel()
        except BaseExceptionGroup as failed:
            raise _first(failed) from None

    async def _bounds(self, parts: Mapping[int, Partition]) -> dict[int, Bounds]:
        """A partition whose leader has just changed may not know its end for a moment."""
        bounds = await self._source.bounds(frozenset(parts))
        for _ in range(LOOKS_AT_END):
            if all(part.mark.offset <= bounds[number].end for number, part in parts.items()):
                break
            await asyncio.sleep(self._how.pause_s)
            bounds = await self._source.bounds(frozenset(parts))
        return bounds

    def _partition(self, number: int, cluster: str) -> Partition:
        place = Place(self._source.topic, number, cluster)
        home = self._placement.of(place.subject)
        progress = self._progress.partitions.setdefault(number, Progress())
        return Partition(
            self._source, place, self._shards[home], self._writers[home], progress,
            stop_at_refused=self._how.stop_at_refused, told=self._has_taken,
        )  # fmt: skip

    def _has_taken(self, records: int) -> None:
        self._is_back()
        self._told(records)

    async def _watch(self, numbers: frozenset[int]) -> None:
        """Raises what Kafka says, and Repartitioned."""
        while True:
            await asyncio.sleep(self._how.look_s * random.uniform(0.8, 1.0))
            if await self._source.partitions() != numbers:
                raise Repartitioned
            self._is_back()

    def _is_back(self) -> None:
        if self._is_away:
            self._is_away = False
            self._tell(f"topic {self._source.topic} is taken in again")

    def _judge(self, error: Exception) -> RoostError | None:
        """What is waited for; None: nothing, the next session finds out. Raises what waiting does not mend."""
        if isinstance(error, Overtaken | Repartitioned) or type(error).__name__ == "OffsetOutOfRangeError":
            return None
        if active.meters is not None:
            flock = self._shards[0].keys.flock
            active.meters.hampered(flock, f"ingest/{self._source.topic}", type(error).__name__)
        if isinstance(error, ServerUnavailable | KafkaUnavailable):
            return error
        is_kafkas = any(kind.__name__ == "KafkaError" for kind in type(error).__mro__)
        if is_kafkas or isinstance(error, OSError | TimeoutError):
            explained = explain(error, self._source.where)
            if isinstance(explained, KafkaUnavailable):
                return explained
            raise explained from error
        raise error


class Repartitioned(RoostError):
    """The topic has other partitions now."""


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
