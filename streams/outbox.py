"""The outbox: what a unit has for other shards waits in its own, written with the unit, until a relay brings it over.

A unit on its way is a line of JSON and the contents behind it, one after the other. The line is a list of parts, each a
list: `["e", subject, type, meta, data]` an event, with meta and data as text; `["n", id, key, digest, size, ttl_ms,
record, work, bytes]` the note that the event before it wrote, with how many bytes of the contents are its own: null
where its content was uploaded to the source shard; `["i", inbox, fields]` an entry of an inbox for the same inbox
there; `["W", inbox]` as in a unit; `["past"]`: full inboxes take it, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from .event import pairs
from .placement import Placement, stays
from .shard import Shard
from .unit import StoredContent, Unit

OUTBOX_MOST = 10_000
"""Units on their way to one shard. Whoever would add one more waits."""
AT_ONCE = 200
AT_ONCE_BYTES = 512 * 1024


@dataclass(slots=True)
class _Parcel:
    """Parts for one other shard."""

    parts: list[list[Any]] = field(default_factory=list[list[Any]])
    contents: list[bytes] = field(default_factory=list[bytes])
    digests: list[str] = field(default_factory=list[str])

    def body(self) -> bytes:
        return orjson.dumps(self.parts) + b"\n" + b"".join(self.contents)

    def add_note(self, part: Sequence[Any]) -> None:
        note_id, key, digest, size, ttl_ms, record, work, has, inline = part
        length = len(inline) if has == "1" else None
        if length is None:
            self.digests.append(digest)
        else:
            self.contents.append(inline)
        self.parts.append(["n", note_id, key, digest, size, ttl_ms, record.decode(), work.decode(), length])


@cache
def part_sizes() -> dict[str, int]:
    """How many words each kind of part has behind its letter, as the script says."""
    text = (files(__name__.rpartition(".")[0]) / "lua" / "write.lua").read_text("utf-8")
    table = re.search(r"^local SIZES = \{([^}]+)\}", text, re.MULTILINE)
    assert table is not None
    return {kind: int(size) for kind, size in re.findall(r"(\w) = (\d+)", table[1])}


def spread(unit: Unit, number: int, placement: Placement, most: int = OUTBOX_MOST) -> Unit:
    """That unit as it is written in the shard of that number: what it has for others goes into outboxes.

    Events about an actor as a whole stay where they are. All else that is not in its shard would be a mistake of
    Roost's.
    """
    parcels: dict[int, _Parcel] = {}
    kept, going = unit.emptied(), None
    limits: list[list[Any]] = [["past"]] if unit.is_past else []
    for part in unit.taken_apart(part_sizes()):
        if part.kind == "e":
            subject = part.words[0].decode()
            home = number if stays(subject) else placement.of(subject)
            going = None if home == number else parcels.setdefault(home, _Parcel())
            if going is not None:
                going.parts.append(["e", *[word.decode() for word in part.words[:4]]])
                continue
        elif part.kind == "n" and going is not None:  # of the event before it
            going.add_note(part.words)
            continue
        elif part.kind in "DHPLW":
            limits.append(["W", part.words[0]])
        kept.take(part)
    if not parcels:
        return unit
    for home, parcel in sorted(parcels.items()):
        parcel.parts[:0] = limits
        kept.send(home, most, parcel.body(), parcel.digests)
    return kept


@dataclass(frozen=True, slots=True)
class Sent:
    """A unit on its way. `digests` are those of contents that are held for it."""

    name: str
    body: bytes
    digests: tuple[str, ...]

    def unit(self, source: int, after: str) -> Unit:
        """As it is written where it goes, if `after` was the last that came from there."""
        header, _, contents = self.body.partition(b"\n")
        unit = Unit().receive(source, after, self.name)
        for kind, *words in orjson.loads(header):
            if kind == "e":
                subject, event_type, meta, data = (word.encode() for word in words)
                unit.known((subject, event_type, meta, data), words[1], orjson.loads(meta).get("run"))
            elif kind == "n":
                note_id, key, digest, size, ttl_ms, record, work, length = words
                inline = None if length is None else contents[:length]
                contents = contents[length or 0 :]
                ttl = None if ttl_ms == "" else timedelta(milliseconds=ttl_ms)
                unit.note(
                    note_id, key or None, StoredContent(digest, size, inline), ttl, record.encode(), work.encode()
                )
            elif kind == "i":
                unit.put_in(*words)
            elif kind == "W":
                unit.within(words[0])
            elif kind == "past":
                unit.past()
            else:
                raise ValueError(f"a part {kind!r} is on its way, of a newer Roost perhaps")
        return unit


@dataclass(frozen=True, slots=True)
class OutboxLook:
    """What a look has shown: whether this process is the relay, and the first units for each shard; or for how long
    another is the relay at least."""

    leads: bool
    wait_ms: int
    sent: dict[int, list[Sent]]


class Outbox:
    """The outboxes of one shard."""

    def __init__(self, shard: Shard, shards: int) -> None:
        self._shard = shard
        self._others = [number for number in range(shards) if number != shard.number]

    async def look(self, who: str, lease: timedelta, without: Sequence[int] = ()) -> OutboxLook:
        """Be the relay, for a lease, and get the first units for each other shard, but not `without`."""
        lease_ms = round(lease.total_seconds() * 1000)
        wanted = [number for number in self._others if number not in without]
        first, rest, *boxes = await self._shard.run("relay", who, lease_ms, AT_ONCE, AT_ONCE_BYTES, *wanted)
        if first != b"1":
            return OutboxLook(False, max(0, int(rest)), {})
        sent = {number: [_sent(*entry) for entry in box] for number, box in zip(wanted, boxes, strict=True) if box}
        return OutboxLook(True, 0, sent)

    async def give_up(self, who: str) -> None:
        """Let another be the relay at once."""
        await self._shard.run("relay", who, 0, 0, 0)

    async def clear(self, shard: int, name: str) -> int:
        """Take away what was sent to a shard up to that unit, and let go what was held for it; how much it was. Nothing
        if that unit is not there."""
        cleared = 0
        while count := int(await self._shard.run("relayed", shard, name)):
            if count < 0:  # a rebuild counts what names each content
                await self._shard.reopen()
            else:
                cleared += count
        return cleared

    async def came(self, source: int) -> str:
        """The name of the last unit that came to this shard from another's outbox; '' when none has."""
        stored = await self._shard.command("HGET", self._shard.keys.key("came"), source)
        return "" if stored is None else stored.decode()

    async def lag(self) -> tuple[int, int]:
        """How many units are on their way, and for how many milliseconds the oldest of them."""
        seconds, micros = await self._shard.command("TIME")
        count, oldest = 0, 0
        for number in self._others:
            key = self._shard.keys.key("outbox", str(number))
            length = int(await self._shard.command("XLEN", key))
            if length:
                count += length
                ((entry, _),) = await self._shard.command("XRANGE", key, "-", "+", "COUNT", 1) or ((b"0-0", ()),)
                oldest = max(oldest, int(seconds) * 1000 + int(micros) // 1000 - int(entry.partition(b"-")[0]))
        return count, oldest


def _sent(entry: bytes, flat: Any) -> Sent:
    fields = pairs(flat)
    digests = fields[b"blobs"].decode()
    name = f"{entry.decode()}/{fields[b'call'].decode()}"
    return Sent(name, fields[b"unit"], tuple(digests.split(",")) if digests else ())
