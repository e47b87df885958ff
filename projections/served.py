"""What the server serves of notes and versions, beside what was folded: piece by piece, so that any may be looked at
once more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import orjson

from roost.streams import Position, Shard
from roost.streams.event import pairs
from roost.streams.scan import scan_keys

from .notes import ListedNote, NotesFold
from .versions import VersionsFold

Kind = Literal["note", "key", "deadline", "expired", "refs", "blob", "version"]
KINDS: tuple[Kind, ...] = ("note", "key", "deadline", "expired", "refs", "blob", "version")
NAMES: dict[Kind, str] = {
    "key": "key", "deadline": "deadline of note", "expired": "content of expired note",
    "refs": "notes that name blob", "version": "version of",
}  # fmt: skip
HASHES: dict[Kind, str] = {"key": "keys", "expired": "expired", "refs": "refs", "version": "versions"}
FIELDS = ("record", "digest", "size", "deadline", "key", "entry", "work")
PAGE = 500
NOTES_AT_ONCE = 200


class Suspect(NamedTuple):
    """A piece that may differ."""

    kind: Kind
    ident: str


Told = tuple[str, Any, Any]
"""What differs, what was folded, what is served."""


class Served:
    """What the server has, beside folds of the log that the caller takes on."""

    def __init__(self, shard: Shard, notes: NotesFold, versions: VersionsFold | None) -> None:
        self._shard = shard
        self._notes = notes
        self._versions = versions
        self._on_the_way: Counter[str] = Counter()

    @property
    def is_spread(self) -> bool:
        """Whether the flock has several shards: then contents are also named by what is on its way between them."""
        return self._shard.placement is not None

    async def suspects(self) -> list[Suspect]:
        """All pieces that differ at first sight: of a flock at work also those that have changed meanwhile."""
        found: dict[Suspect, None] = {}
        for kind in KINDS:
            known = list(self._folded(kind))
            for first in range(0, len(known), PAGE):
                page = [Suspect(kind, ident) for ident in known[first : first + PAGE]]
                found.update((suspect, None) for suspect, _ in await self.look(page))
            async for stranger in self._strangers(kind):
                found[Suspect(kind, stranger)] = None
        return list(found)

    async def look(self, suspects: Sequence[Suspect]) -> list[tuple[Suspect, Told]]:
        """What differs now of these pieces."""
        told: list[tuple[Suspect, Told]] = []
        for kind in KINDS:
            idents = [suspect.ident for suspect in suspects if suspect.kind == kind]
            if kind == "refs" and idents and self.is_spread:
                self._on_the_way = await self._outboxes()
            for first in range(0, len(idents), PAGE):
                page = idents[first : first + PAGE]
                for ident, served in zip(page, await self._ask(kind, page), strict=True):
                    told += [(Suspect(kind, ident), each) for each in self._judge(kind, ident, served)]
        return told

    def _folded(self, kind: Kind) -> Collection[str]:
        notes = self._notes
        known: dict[Kind, Collection[str]] = {
            "note": notes.by_id, "key": notes.by_key, "deadline": notes.by_id, "expired": notes.expired,
            "refs": notes.names_of_blob, "blob": notes.names_of_blob,
            "version": () if self._versions is None else self._versions.by_subject,
        }  # fmt: skip
        return known[kind]

    async def _ask(self, kind: Kind, idents: Sequence[str]) -> list[Any]:
        key, ask = self._shard.keys.key, self._shard.command
        match kind:
            case "note":
                return await _each(ask, [("HMGET", key("note", ident), *FIELDS) for ident in idents])
            case "blob":
                return await _each(ask, [("PTTL", key("blob", ident)) for ident in idents])
            case "deadline":
                scores = await ask("ZMSCORE", key("deadlines"), *idents)
                return [None if score is None else float(score) for score in scores]
            case _:
                stored = await ask("HMGET", key(HASHES[kind]), *idents)
                return [None if each is None else each.decode(errors="replace") for each in stored]

    def _judge(self, kind: Kind, ident: str, served: Any) -> Iterable[Told]:
        notes = self._notes
        folded: Any = None
        match kind:
            case "note":
                return _differences_of(ident, notes.by_id.get(ident), None if set(served) == {None} else served)
            case "blob":
                named = ident in notes.names_of_blob
                fine = not named or served == -1
                return [] if fine else [(f"blob {ident}", "kept", "missing, or held for a while only")]
            case "deadline":
                note = notes.by_id.get(ident)
                if note is not None:
                    folded = float("inf") if note.deadline_ms is None else float(note.deadline_ms)
            case "refs":
                count = notes.names_of_blob.get(ident, 0) + self._on_the_way[ident]
                folded = str(count) if count else None
            case "version":
                folded = None if self._versions is None else self._versions.by_subject.get(ident)
                if folded != served and self._may_be_over(ident, folded, served):
                    return []
            case _:
                folded = (notes.by_key if kind == "key" else notes.expired).get(ident)
        return [] if folded == served else [(f"{NAMES[kind]} {ident}", folded, served)]

    def _may_be_over(self, subject: str, folded: str | None, served: str | None) -> bool:
        """Versions of a key that means nothing go when its events have left: when that was the log does not tell."""
        horizon = self._notes.horizon
        if horizon is None or not subject.startswith("key/") or subject[4:] in self._notes.by_key:
            return False
        if folded is not None and served is not None:
            return False
        entry = (folded or served or "").partition(" ")[2]
        return entry.replace("-", "", 1).isdigit() and Position.parse(entry, shard=horizon.shard) <= horizon

    async def _strangers(self, kind: Kind) -> AsyncIterator[str]:
        """What the server has and the log does not know."""
        key, ask, known = self._shard.keys.key, self._shard.command, self._folded(kind)
        if kind == "blob" or (kind == "version" and self._versions is None):
            return
        if kind == "note":
            prefix = key("note", "")
            client: Any = self._shard.client
            async for _, page in scan_keys(client, f"{prefix}*"):
                for name in page:
                    ident = name.decode(errors="replace")[len(prefix) :]
                    if ident not in known:
                        yield ident
            return
        where = key("deadlines" if kind == "deadline" else HASHES[kind])
        if int(await ask("ZCARD" if kind == "deadline" else "HLEN", where)) == len(known):
            return  # all that is known is there: see `suspects`
        cursor = 0
        while True:
            reply = await ask("ZSCAN" if kind == "deadline" else "HSCAN", where, cursor, "COUNT", PAGE)
            cursor, listed = int(reply[0]), reply[1]
            names = [name for name, _ in listed] if kind == "deadline" else list(pairs(listed))
            for name in names:
                if name.decode(errors="replace") not in known:
                    yield name.decode(errors="replace")
            if cursor == 0:
                return

    async def _outboxes(self) -> Counter[str]:
        """How often what is on its way to other shards names each content."""
        placement = self._shard.placement
        found: Counter[str] = Counter()
        for number in range(0 if placement is None else placement.shards):
            start = "-"
            while True:
                where = self._shard.keys.key("outbox", str(number))
                page = await self._shard.command("XRANGE", where, start, "+", "COUNT", 50)
                for _, fields in page:
                    found.update(each for each in pairs(fields)[b"blobs"].decode().split(",") if each)
                if len(page) < 50:
                    break
                start = f"({page[-1][0].decode()}"
        return found


async def _each(ask: Callable[..., Any], commands: list[tuple[str, ...]]) -> list[Any]:
    found: list[Any] = []
    for first in range(0, len(commands), NOTES_AT_ONCE):
        found.extend(await asyncio.gather(*[ask(*command) for command in commands[first : first + NOTES_AT_ONCE]]))
    return found


def _differences_of(ident: str, note: ListedNote | None, served: list[bytes | None] | None) -> Iterable[Told]:
    if note is None or served is None:
        if note is not None or served is not None:
            yield f"note {ident}", _whether(note), _whether(served)
        return
    record, deadline_ms = note.record, note.deadline_ms
    folded = (
        note.body, record.digest.encode(), b"%d" % record.size, b"" if deadline_ms is None else b"%d" % deadline_ms,
        (note.key or "").encode(), note.position.entry.encode(),
    )  # fmt: skip
    for name, has, stored in zip(FIELDS, folded, served, strict=False):
        if has != stored:
            yield f"{name} of note {ident}", has, stored
    work = _parsed(served[6])
    if work != note.work:
        yield f"work of note {ident}", note.work, work


def _parsed(work: bytes | None) -> Any:
    try:
        return orjson.loads(work) if work else None
    except orjson.JSONDecodeError:
        return work


def _whether(side: object) -> str:
    return "there is none" if side is None else "there is one"
