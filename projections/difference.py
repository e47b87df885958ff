"""The difference: where the notes that the server keeps are not what the log makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from roost.streams import Log, RoostError, Shard

from .folding import fold
from .notes import ListedNote, NotesFold

ATTEMPTS = 20
PAGE = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """The first that was found: of what, and what each side has there."""

    what: str
    folded: Any
    served: Any

    def __str__(self) -> str:
        return f"{self.what}: the log says {self.folded!r}, the server has {self.served!r}"


@dataclass(slots=True)
class _Served:
    """What the server has: notes as hashes, keys, deadlines, digests of what has expired, how many notes name each
    blob, and those blobs that would vanish."""

    notes: dict[str, dict[bytes, bytes]]
    keys: dict[str, str]
    deadlines: dict[str, str]
    expired: dict[str, str]
    names_of_blob: dict[str, int]
    unkept_blobs: list[str]


async def compare_with_server(shard: Shard, notes: NotesFold | None = None) -> Difference | None:
    """Fold the log on to its end and compare with what the server keeps; the first difference, or None.

    Compared are each note's record, digest, size, deadline, key, position and work, what keys mean, the deadlines, and
    that content which is named is kept. Raises RoostError when notes are written faster than they can be compared.
    """
    known = notes if notes is not None else NotesFold()
    log = Log(shard)
    for _ in range(ATTEMPTS):
        await fold(log.read(after=known.position), known)
        changes = known.changes
        served = await _read_served(shard, known)
        await fold(log.read(after=known.position), known)
        if known.changes == changes:  # nothing was written while the server was asked
            return next(_differences(known, served), None)
    raise RoostError("notes are written faster than they can be compared: compare again when less is going on")


async def _read_served(shard: Shard, known: NotesFold) -> _Served:
    key = shard.keys.key
    keys = _texts(await shard.command("HGETALL", key("keys")))
    scores: list[bytes] = await shard.command("ZRANGE", key("deadlines"), 0, -1, "WITHSCORES")
    deadlines = {name.decode(): score.decode() for name, score in zip(scores[::2], scores[1::2], strict=True)}
    expired = _texts(await shard.command("HGETALL", key("expired")))
    blobs = {digest: int(count) for digest, count in _texts(await shard.command("HGETALL", key("refs"))).items()}
    wanted = dict.fromkeys([*known.by_id, *known.expired, *expired, *keys.values(), *deadlines])
    hashes = await _ask(shard, [("HGETALL", key("note", note)) for note in wanted])
    lives = await _ask(shard, [("PTTL", key("blob", digest)) for digest in blobs])
    return _Served(
        notes={note: stored for note, stored in zip(wanted, hashes, strict=True) if stored},
        keys=keys,
        deadlines=deadlines,
        expired=expired,
        names_of_blob=blobs,
        unkept_blobs=[digest for digest, life in zip(blobs, lives, strict=True) if life != -1],
    )


async def _ask(shard: Shard, commands: list[tuple[str, str]]) -> list[Any]:
    found: list[Any] = []
    for first in range(0, len(commands), PAGE):
        page = commands[first : first + PAGE]
        found.extend(await asyncio.gather(*[shard.command(*command) for command in page]))
    return found


def _texts(stored: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in stored.items()}


def _differences(known: NotesFold, served: _Served) -> Iterator[Difference]:
    for note_id in _both(known.by_id, served.notes):
        note, stored = known.by_id.get(note_id), served.notes.get(note_id)
        if note is None or stored is None:
            yield Difference(f"note {note_id}", _whether(note), _whether(stored))
            return
        yield from _of_note(note, stored)
    deadlines = {note.id: "inf" if note.deadline_ms is None else str(note.deadline_ms) for note in known}
    yield from _of_map("key", known.by_key, served.keys)
    yield from _of_map("deadline of note", deadlines, served.deadlines)
    yield from _of_map("content of expired note", known.expired, served.expired)
    yield from _of_map("notes that name blob", known.names_of_blob, served.names_of_blob)
    for digest in served.unkept_blobs:
        yield Difference(f"blob {digest}", "kept", "missing, or held for a while only")


def _of_note(note: ListedNote, stored: dict[bytes, bytes]) -> Iterator[Difference]:
    work = stored.get(b"work", b"")
    sides = {
        "record": (note.body, stored.get(b"record")),
        "digest": (note.record.digest.encode(), stored.get(b"digest")),
        "size": (b"%d" % note.record.size, stored.get(b"size")),
        "deadline": (b"" if note.deadline_ms is None else b"%d" % note.deadline_ms, stored.get(b"deadline")),
        "key": ((note.key or "").encode(), stored.get(b"key")),
        "entry": (note.position.entry.encode(), stored.get(b"entry")),
        "work": (note.work, orjson.loads(work) if work else None),
    }
    for name, (folded, has) in sides.items():
        if folded != has:
            yield Difference(f"{name} of note {note.id}", folded, has)


def _of_map(what: str, folded: dict[str, Any], served: dict[str, Any]) -> Iterator[Difference]:
    for name in _both(folded, served):
        if folded.get(name) != served.get(name):
            yield Difference(f"{what} {name}", folded.get(name), served.get(name))


def _both(one: Iterable[str], other: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*one, *other]))


def _whether(side: object) -> str:
    return "there is none" if side is None else "there is one"
