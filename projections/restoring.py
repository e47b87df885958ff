"""Restoring: a flock's log, its notes and their contents from its mirror, into a flock that has none."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from roost.streams import Keys, NoteNotFound, Notes, Position, Reader, RoostError, SettingsError, Shard
from roost.streams.agent_limits import restore_limits
from roost.streams.client import CommandClient
from roost.streams.durability import Durability, check
from roost.streams.every_shard import find_shards
from roost.streams.kafka.place import Place
from roost.streams.restoration import Kept, Origin, Restoration, Restoring, fits, read_restored
from roost.streams.together import together

from .mirror_reading import MirrorReading
from .rebuild import rebuild

PATIENCE = timedelta(seconds=60)
AT_ONCE = 16
MOST_HELD = 8 * 1024 * 1024
"""Contents on their way at once, and bytes of them."""
HOLD = timedelta(days=1)
"""For how long contents wait in the server for the events that name them, when a restore is cut off."""
RESTORER = Reader("restore")


@dataclass(frozen=True, slots=True)
class Restored:
    """What the flock has now. `forgotten`: notes that were forgotten after the time up to which it was restored, and
    are forgotten here, too, by an event each. `resumed`: a restore that was cut off was ended."""

    events: int
    contents: int
    forgotten: int
    resumed: bool
    last: tuple[Position, ...]
    """The last event of each shard that has one."""


async def find_bounds(shards: Sequence[Shard], source: str, flock: str, until_ms: int | None) -> dict[int, str]:
    """Up to where the shards of a restore that was cut off are to be filled; nothing for a flock that is not there yet,
    or has no events. Raises RoostError for any other."""
    bounds: dict[int, str] = {}
    wanted = Origin(source, flock, "", until_ms)
    for shard in shards:
        restored = await read_restored(shard)
        if restored is not None and wanted.is_same(restored[0]):
            bounds[shard.number] = restored[0].at
            continue
        key, ask = shard.keys.key, shard.command
        held = int(await ask("EXISTS", key("log"), key("versions")))
        held += len([one for one in await ask("HMGET", key("meta"), "horizon", "imported") if one])
        if held or (restored is not None and restored[1]):
            raise _occupied(shard, None if restored is None else restored[0])
    return bounds


async def make_flock(client: CommandClient, flock: str, places: Sequence[Place], durability: Durability) -> list[Shard]:
    """The shards of a flock that is as the mirrored one was, but for its durability. Raises SettingsError."""
    home = Shard(client, Keys(flock), patience=PATIENCE)
    home.restores = True
    await home.make(durability, len(places), vault=places[0].vault)
    shards = await find_shards(client, flock, patience=PATIENCE)
    for shard in shards:
        shard.restores = True
        await shard.open(home.settings)
    return shards


async def find_target(
    client: CommandClient, flock: str, reading: MirrorReading, mirrored: str, durability: Durability
) -> dict[int, str]:
    """Up to where a restore that was cut off is to come. Raises RoostError where the flock cannot be restored there."""
    shards = await find_shards(client, flock, patience=PATIENCE)
    bounds = await find_bounds(shards, reading.source.name, mirrored, reading.until_ms)
    count = len(reading.places)
    if await shards[0].command("EXISTS", shards[0].keys.key("meta")):
        if len(shards) != count:
            raise RoostError(
                f"flock {flock!r} is there already, made with another number of shards ({len(shards)}, not {count}): "
                "take another one by --into"
            )
    else:
        try:
            await check(durability, client, shards[0].keys.log, flock)
        except SettingsError as error:
            raise SettingsError(f"{error}, by --durability") from error
    return bounds


async def restore(reading: MirrorReading, shards: Sequence[Shard], flock: str) -> Restored:
    """Write what was read into the shards of a flock that was made for it, and that nobody uses until this is done.
    `flock` is the one that was mirrored.

    Nothing is delivered to actors. What was cut off goes on when it is done again. Raises RoostError.
    """
    bounds = await find_bounds(shards, reading.source.name, flock, reading.until_ms)
    resumed, doing = bool(bounds), list[_Restoring]()
    for shard, place in zip(shards, reading.places, strict=True):
        at = bounds.get(shard.number, place.position)
        one = _Restoring(reading, shard, Origin(reading.source.name, flock, at, reading.until_ms))
        if await one.begin():
            doing.append(one)
    # 1. Contents, before the events that name them.
    for one in doing:
        await one.upload()
    # 2. All events of all shards, and what is read of them.
    for one in doing:
        await one.add()
    for one in doing:
        reading.progress("notes", 0, 0)
        await rebuild(one.shard, "notes", shards=len(shards))
    if doing:
        await restore_limits(shards, RESTORER)
    # 3. It is there.
    for one in doing:
        await one.end()
    forgotten = await _forget(reading, shards)
    if not doing and not forgotten:
        raise RoostError(
            f"flock {shards[0].keys.flock!r} was restored from {reading.source.name} already: `roost verify` checks it"
        )
    places = (reading.spool.last(place.shard, reading.most_ms) for place in reading.places)
    last = tuple(place for place in places if place is not None)
    return Restored(reading.count(), reading.contents.count(), forgotten, resumed, last)


class _Restoring:
    """Of one shard."""

    def __init__(self, reading: MirrorReading, shard: Shard, origin: Origin) -> None:
        self._reading = reading
        self.shard = shard
        self._origin = origin
        self._restoration = Restoration(shard, origin, lenient=reading.partial)
        self._at: Position | None = None

    async def begin(self) -> bool:
        """False: it is done."""
        standing = self._fine(await self._restoration.begin())
        self._at = standing.at
        if self._at is not None and not self._reading.spool.has(self._at):
            raise RoostError(
                f"the event at {self._at}, which flock {self.shard.keys.flock!r} was restored up to, counts no more in "
                f"{self._reading.source.name}: empty the flock, or take another one, and restore from the beginning"
            )
        return standing.how != "done"

    async def upload(self) -> None:
        """All contents, some at once; a large one by itself. Those that are missing were told of."""
        contents, notes, number = self._reading.contents, Notes(self.shard), self.shard.number
        total = contents.count(number)
        held: list[tuple[str, bytes]] = []
        for done, digest in enumerate(contents.digests(number), 1):
            content = contents.content(number, digest)
            if not isinstance(content, bytes):
                continue
            if held and (len(held) == AT_ONCE or sum(len(one) for _, one in held) + len(content) > MOST_HELD):
                await together(*[notes.upload(*one, hold=HOLD) for one in held])
                held = []
                self._reading.progress("contents", done, total)
            held.append((digest, content))
        await together(*[notes.upload(*one, hold=HOLD) for one in held])

    async def add(self) -> None:
        reading = self._reading
        total, done = reading.spool.count(self.shard.number, reading.most_ms), 0
        held: list[Kept] = []
        size = 0
        for entry in reading.spool.entries(self.shard.number, reading.most_ms, self._at):
            if not fits(held, size, entry):
                self._fine(await self._restoration.add(held), is_begun=True)
                done += len(held)
                reading.progress("events", done, total)
                held, size = [], 0
            held.append(entry)
            size += entry.size
        if held:
            self._fine(await self._restoration.add(held), is_begun=True)

    async def end(self) -> None:
        self._fine(await self._restoration.add((), done=True), is_begun=True)

    def _fine(self, standing: Restoring, *, is_begun: bool = False) -> Restoring:
        flock = self.shard.keys.flock
        if standing.how in ("open", "done"):
            return standing
        if standing.how == "gap":
            raise RoostError(
                f"the event at {standing.at} does not follow upon the one before it: nothing more is written"
            )
        if is_begun or standing.other == self._origin:
            raise RoostError(
                f"somebody wrote into flock {flock!r} while it was restored, which cannot go on: let nobody use it, "
                "empty it, or take another one by --into, and restore from the beginning"
            )
        raise _occupied(self.shard, standing.other)


async def _forget(reading: MirrorReading, shards: Sequence[Shard]) -> int:
    """Notes that were forgotten later than the time up to which was restored have no contents, and are to be read no
    more: the log says so, too."""
    count = 0
    for shard in shards:
        notes = Notes(shard)
        for note in reading.contents.forgotten(shard.number):
            with suppress(NoteNotFound):  # that was done already
                await notes.forget(note, RESTORER)
                count += 1
    return count


def _occupied(shard: Shard, other: Origin | None) -> RoostError:
    flock = shard.keys.flock
    if other is not None:
        until = (
            "" if other.until_ms is None else f" up to {datetime.fromtimestamp(other.until_ms / 1000, UTC).isoformat()}"
        )
        return RoostError(
            f"flock {flock!r} is restored from {other.source}{until}: take another server, or another flock by --into"
        )
    return RoostError(
        f"flock {flock!r} has events already, and a log is restored into a flock that has none: take another server, "
        "or another flock by --into"
    )
