"""Forgetting somebody: the key is destroyed under which all that is about them is stored, wherever it lies."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from roost.streams import (
    LimitExceeded,
    NoteNotFound,
    Notes,
    OutcomeUnknown,
    Reader,
    RoostError,
    SettingsError,
    Shard,
    Writer,
)
from roost.streams.answer import Written
from roost.streams.encryption.vault import Vault
from roost.streams.together import together
from roost.streams.unit import Unit

AT_ONCE = 200
"""Notes whose records are asked for at the same time."""


@dataclass(frozen=True, slots=True)
class ForgottenSubject:
    """`name` stands for the subject in records and events. `key`: whether there was a key, which is destroyed now;
    `notes`: how many live notes were about the subject, which are forgotten now."""

    name: str
    key: bool
    notes: int


def vault_of(shard: Shard) -> Vault:
    """Raises SettingsError where the flock is not encrypted."""
    if shard.vault is None:
        raise SettingsError(
            f"flock {shard.keys.flock!r} is not encrypted: its notes do not tell whom they are about, so forget them "
            "one by one, by their IDs"
        )
    return shard.vault


async def name_of(shard: Shard, subject: str) -> bytes:
    """By what a subject is kept. Raises LimitExceeded for none: what is about nobody has the flock's own key, and to
    destroy that would take all of it along."""
    if not subject:
        raise LimitExceeded("say who is to be forgotten: no name was given")
    return await vault_of(shard).name_of(subject)


Looked = Callable[[int], None]
"""Told how many notes were looked at since the last time."""


async def notes_about(
    shards: Sequence[Shard], name: str, looked: Looked = lambda _: None
) -> AsyncGenerator[tuple[Shard, str]]:
    """The notes that live and are about a subject, by its name, with where they are."""
    for shard in shards:
        cursor: Any = 0
        while True:
            cursor, page = await shard.command("ZSCAN", shard.keys.key("deadlines"), cursor, "COUNT", AT_ONCE)
            ids = [ident.decode() for ident, _ in page]
            bodies: list[bytes | None] = await together(
                *[shard.command("HGET", shard.keys.key("note", ident), "record") for ident in ids]
            )
            for ident, body in zip(ids, bodies, strict=True):
                if body is not None and name.encode() in body and _is_about(body, name):
                    yield shard, ident
            looked(len(ids))
            if int(cursor) == 0:
                break


async def forget_subject(
    shards: Sequence[Shard], subject: str, reader: Reader, *, looked: Looked = lambda _: None
) -> ForgottenSubject:
    """Make all content unreadable that is about a subject, also in copies of the log, and forget the notes that live.

    It may be repeated when it was cut off. Raises LimitExceeded for no name,
    SettingsError where the flock is not encrypted or its keys are not here, RoostError for a subject that nothing is
    known of, ServerUnavailable.
    """
    vault = vault_of(shards[0])
    ident = await name_of(shards[0], subject)
    name = ident.hex()
    # 1. The key: from here on nobody can open what is about the subject, whatever becomes of us.
    had_key = await vault.destroy(ident)
    # 2. The act is an event. One that was cut off before it is told of when it is repeated.
    destroyed = await vault.destroyed(ident)
    if not destroyed:
        raise RoostError(f"flock {shards[0].keys.flock!r} knows nothing about {subject!r}: nothing was forgotten")
    if had_key or not await _is_told(shards[0], name):
        await tell_forgotten(shards[0], reader, name, destroyed)
    # 3. The notes that live: their records go, and with them what caches, indexes and other processes hold.
    count = 0
    async for shard, note_id in notes_about(shards, name, looked):
        try:
            await Notes(shard).forget(note_id, reader)
        except NoteNotFound:  # somebody else did, or it has just expired
            continue
        count += 1
    return ForgottenSubject(name, had_key, count)


async def _is_told(shard: Shard, name: str) -> bool:
    return bool(await shard.command("HEXISTS", shard.keys.key("versions"), f"about/{name}"))


async def tell_forgotten(shard: Shard, reader: Reader, name: str, destroyed: Iterable[bytes]) -> None:
    """Log that keys of a subject were destroyed."""
    data = orjson.dumps({"about": name, "keys": sorted(key.hex() for key in destroyed)})
    event = reader.event("subject.forgotten", f"about/{name}", data)
    writer = Writer(shard)
    try:
        answer = await writer.write(Unit().past().event(event))
        if not isinstance(answer, Written):
            raise RoostError(f"the event of it was answered with {answer}")
    except OutcomeUnknown:
        if not await _is_told(shard, name):
            raise
    finally:
        await writer.close()


def _is_about(body: bytes, name: str) -> bool:
    try:
        return any(str(ref).startswith(f"{name}.") for ref in orjson.loads(body).get("about", ()))
    except (ValueError, AttributeError):
        return False
