"""The mirror: one shard's log into Kafka, each event once, in order, and nothing that the flock may still lose."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import orjson

from roost.otel import active

from ..errors import RoostError, ServerUnavailable
from ..marks import count_up_to
from ..position import Position, start_of
from ..restoration import read_restored
from ..shard import ENCRYPTED, Shard
from .access import KafkaAccess
from .contents import Contents
from .faults import Diverged, MirrorGap, UnfitTopic
from .hold import Hold, Standing
from .message import Message, message_of
from .place import Place, Void
from .places import has_records, read_place
from .reader import Batch, Reader
from .sender import TRANSACTION_S, Compression, Guarantee, Sender
from .split import Split, find_split
from .topics import Topics

QUIET_S = 0.2
"""So long after the last batch the flock is told, if no other has come that tells it."""
SLOW_S = 5.0
"""A batch that takes longer is spoken of."""


@dataclass(frozen=True, slots=True)
class Mirroring:
    """What is mirrored, and how. `types` are patterns such as `note.*`; empty: all. `once`: end when all that was there
    has been mirrored. `accept`: go on behind a divergence, in a new mirror."""

    access: KafkaAccess
    topics: Topics
    guarantee: Guarantee = "exactly-once"
    compression: Compression = "zstd"
    types: tuple[str, ...] = ()
    once: bool = False
    accept: bool = False


@dataclass(slots=True)
class Progress:
    """Of one shard, since this process began. `at`: what Kafka has, and `passed` how many events the log has up
    to there; `mirror` its number."""

    events: int = 0
    contents: int = 0
    bytes: int = 0
    batches: int = 0
    passed: int | None = None
    at: Position | None = None
    mirror: int = 1
    accepted: Split | None = None
    seconds: list[float] = field(default_factory=list[float])
    """How long the last batches took, from the first message to the commit."""


@dataclass(frozen=True, slots=True)
class Watch:
    """`told` is given how many events have just been mirrored; `slow` is called when a batch takes long."""

    told: Callable[[int], None]
    slow: Callable[[], None]


class Mirror:
    """One session: from the fence to the first error, after which nothing of it is of use any more."""

    def __init__(self, shard: Shard, hold: Hold, how: Mirroring, shards: int, progress: Progress, watch: Watch) -> None:
        self._shard = shard
        self._hold = hold
        self._how = how
        self._shards = shards
        self._progress = progress
        self._watch = watch
        self._contents = Contents(shard, how.topics.contents)
        self._chosen: dict[bytes, bool] = {}
        self._place = Place(shard.number, shards)
        self._kept: Position | None = None
        """What the flock has been told."""

    async def run(self) -> None:
        """Until what was there is mirrored, if that is all that is wanted. Raises the errors of Kafka, of the server,
        and of faults.py."""
        how = self._how
        sender = Sender(
            how.access, how.topics.transactional_id(self._shard.number), how.guarantee, how.compression
        )  # fmt: skip
        try:
            # 1. From here on whoever mirrored before cannot commit any more, and what it left open is settled.
            await sender.start()
            # 2. Only now the place is what will stand, and the log is compared with it.
            await self._settle_place(sender)
            # 3. What is behind it.
            reader = Reader(self._shard, self._place.at, once=how.once)
            try:
                await self._follow(reader, sender)
            finally:
                await reader.close()
        finally:
            await sender.stop()

    async def _follow(self, reader: Reader, sender: Sender) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(None if self._kept == self._place.at else QUIET_S):
                    batch = await reader.next()
            except TimeoutError:  # all is mirrored, and nobody has been told
                await self._keep()
                continue
            if batch is None:
                break
            await self._check(batch)
            slow = loop.call_later(SLOW_S, self._watch.slow)
            try:
                async with asyncio.timeout(TRANSACTION_S * 0.9):
                    await self._send(batch, sender)
            finally:
                slow.cancel()
        await self._keep()

    async def _settle_place(self, sender: Sender) -> None:
        how, shard = self._how, self._shard
        found = await read_place(how.access, how.topics, shard.number)
        standing = await self._hold.keep(None, *([] if found is None else [found.at]))
        if found is None:
            await self._check_beginning()
            if standing.horizon is not None:
                await self._find_gap(start_of(shard.number), standing.horizon)
            place = Place(
                shard.number, self._shards, epoch=standing.epoch, types=how.types, durability=str(shard.durability),
                vault=str(shard.home.settings.get(ENCRYPTED, "")),
            )  # fmt: skip
        else:
            place = await self._compared(found, standing, sender)
        self._place = place
        self._progress.at, self._progress.passed, self._progress.mirror = place.at, place.passed, place.mirror
        await self._keep()  # only now: what is mirrored of another history says nothing of this one

    async def _check_beginning(self) -> None:
        """Events without any place are another's, or the topic of the places was made anew: nobody could tell what of
        the log is there already. Raises UnfitTopic. Only behind the fence: what a bridge that was killed has left open
        would be waited for."""
        access, topics = self._how.access, self._how.topics
        if await self._has_place() or not await has_records(access, topics.events):
            return
        if await self._has_place():  # another shard's mirror has just begun, in this process
            return
        raise UnfitTopic(
            f"topic {topics.events} has events and {topics.positions} says of none how far they go: put that topic "
            "back, or choose another --topic-prefix"
        )

    async def _has_place(self) -> bool:
        """Whether any shard has been mirrored."""
        for number in range(self._shards):
            if await read_place(self._how.access, self._how.topics, number) is not None:
                return True
        return False

    async def _compared(self, place: Place, standing: Standing, sender: Sender) -> Place:
        """The place to go on from. Raises Diverged, MirrorGap, BridgeFenced, RoostError."""
        topic, flock = self._how.topics.events, self._shard.keys.flock
        if place.shards != self._shards:
            raise RoostError(
                f"topic {topic} mirrors a flock of {place.shards} shards and {flock!r} has {self._shards}: it is "
                "another flock of this name; choose another --topic-prefix"
            )
        if place.types != self._how.types:
            raise RoostError(
                f"topic {topic} has {_patterns(place.types)}, and you ask for {_patterns(self._how.types)}: choose "
                "another --topic-prefix for that"
            )
        # A log that was restored is another one with the same events: it goes on where it was mirrored.
        is_anew = place.epoch != standing.epoch and await read_restored(self._shard) is None
        if is_anew or not self._stands(place, standing):
            return await self._part(place, standing, sender, is_anew=is_anew)
        place = replace(place, epoch=standing.epoch)
        if standing.horizon is not None and place.at < standing.horizon:
            await self._find_gap(place.at, standing.horizon)
        return place

    def _stands(self, place: Place, standing: Standing) -> bool:
        """Whether the log has at the place what was mirrored there. What has been trimmed was in the archive."""
        if place.at == start_of(place.shard):
            return True
        if standing.horizon is not None and place.at <= standing.horizon:
            return True
        meta = standing.metas[0]
        return meta is not None and _id_in(meta) == place.id

    async def _find_gap(self, after: Position, horizon: Position) -> None:
        """What was trimmed before it was mirrored can be read in the archive, or it is a gap. Raises MirrorGap."""
        from ..log import Log

        try:
            async for _ in Log(self._shard).read(after, until=horizon, limit=1):
                return
        except ServerUnavailable:
            raise
        except RoostError as error:
            raise MirrorGap(
                f"flock {self._shard.keys.flock!r}: events behind {after} up to {horizon} have left the server before "
                f"they were mirrored, and the archive cannot be read: {error}"
            ) from error
        raise MirrorGap(
            f"flock {self._shard.keys.flock!r}: events behind {after} up to {horizon} have left the server before they "
            "were mirrored, and the archive has none of them: put the archive back"
        )

    async def _part(self, place: Place, standing: Standing, sender: Sender, *, is_anew: bool) -> Place:
        """A new mirror in the same topics, if that is wanted. Raises Diverged."""
        how, flock = self._how, self._shard.keys.flock
        split = await find_split(how.access, how.topics, self._shard, place, is_anew=is_anew)
        why = "is another log now" if is_anew else "has lost events, or gone another way"
        if not how.accept:
            raise Diverged(
                f"flock {flock!r} {why}: topic {how.topics.events} has {split}. Nothing more is mirrored. To have them "
                f"back: `roost restore kafka` into another flock; to go on without them: --accept-divergence"
            )
        mirror = place.mirror + 1
        settled = replace(
            place, position=split.since.entry, id=await self._id_at(split.since), epoch=standing.epoch, mirror=mirror,
            voids=(*place.voids, Void(mirror, split.since.entry)), events=max(0, place.events - split.events),
            passed=await count_up_to(self._shard, split.since),
        )  # fmt: skip
        await sender.begin()
        await sender.add(how.topics.positions, _message(settled), self._shard.number)
        await sender.commit()
        self._progress.accepted = split
        return settled

    async def _id_at(self, position: Position) -> str:
        from ..log import Log

        event = None if position == start_of(position.shard) else await Log(self._shard).at(position)
        return "" if event is None else event.id

    async def _check(self, batch: Batch) -> None:
        """Before anything of it goes to Kafka: the flock will not lose it any more, by the durability it was made with,
        and it follows upon what was mirrored. Raises Parted, BridgeFenced."""
        place = self._place
        standing = await self._hold.keep(place.at, place.at, batch.last, events=place.passed)
        self._kept = place.at
        last = batch.last
        is_trimmed = standing.horizon is not None and last <= standing.horizon
        has_last = is_trimmed or standing.metas[1] == batch.entries[-1][1].get(b"meta", b"")
        if standing.epoch == place.epoch and self._stands(place, standing) and has_last:
            return
        raise Parted

    async def _send(self, batch: Batch, sender: Sender) -> None:
        how, begun, began_ns = self._how, time.monotonic(), time.time_ns()
        flock, number, mirror = self._shard.keys.flock, self._shard.number, self._place.mirror
        chosen = batch.entries if not how.types else [one for one in batch.entries if self._takes(one[1])]
        messages = [message_of(flock, number, mirror, entry, fields) for entry, fields in chosen]
        held = sender.bytes
        place = replace(
            self._place,
            position=batch.last.entry,
            id=_id_in(batch.entries[-1][1].get(b"meta", b"")),
            events=self._place.events + len(messages),
            passed=self._place.passed + len(batch.entries),
        )
        # 1. Contents, what names them, and the place in one transaction.
        await sender.begin()
        contents = await self._contents.send(chosen, sender)
        if how.guarantee != "exactly-once":
            await sender.flush()  # contents first, and the place last
        for message in messages:
            await sender.add(how.topics.events, message)
        if how.guarantee != "exactly-once":
            await sender.flush()
        await sender.add(how.topics.positions, _message(place), number)
        await sender.commit()
        # 2. It stands. What waits for it is told with the next batch, or soon.
        self._contents.committed()
        self._place = place
        progress = self._progress
        progress.events += len(messages)
        progress.contents += contents
        progress.bytes += sender.bytes - held
        progress.batches += 1
        progress.at, progress.passed = place.at, place.passed
        progress.seconds = [*progress.seconds[-99:], time.monotonic() - begun]
        if active.meters is not None:
            active.meters.mirrored(flock, how.topics.name, len(messages), sender.bytes - held, progress.seconds[-1])
        if active.tracing is not None:
            active.tracing.mirror(how.topics.events, number, len(messages), began_ns)
        self._watch.told(len(messages))

    async def _keep(self) -> None:
        await self._hold.keep(self._place.at, events=self._place.passed)
        self._kept = self._place.at

    def _takes(self, fields: dict[bytes, bytes]) -> bool:
        kind = fields.get(b"type", b"")
        known = self._chosen.get(kind)
        if known is None:
            text = kind.decode(errors="replace")
            known = any(fnmatchcase(text, pattern) for pattern in self._how.types)
            if len(self._chosen) < 10_000:
                self._chosen[kind] = known
        return known


class Parted(RoostError):
    """The log is not as it was mirrored; the next session finds out how."""


async def drop(shard: Shard, topics: Topics) -> None:
    """Let nothing wait for the mirror any more. Raises BridgeBusy."""
    hold = Hold(shard, topics.name)
    await hold.drop()


def _message(place: Place) -> Message:
    return Message(place.key, place.to_json(), [], time.time_ns() // 1_000_000)


def _id_in(meta: bytes) -> str:
    with suppress(ValueError, KeyError, TypeError):
        told: Any = orjson.loads(meta)
        return str(told["id"])
    return ""


def _patterns(types: tuple[str, ...]) -> str:
    return f"the types {', '.join(types)}" if types else "events of all types"
