"""Sealing: what a note's content is encrypted under, which is whom it is about and whom its sources are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from roost.streams import LimitExceeded, Note, SettingsError, Shard
from roost.streams.encryption.sealed import MAX_ABOUT, Ref


def check_about(shard: Shard, about: Iterable[str]) -> tuple[str, ...]:
    """Whom a note is about, as a caller says. Raises SettingsError where the flock is not encrypted, LimitExceeded."""
    if isinstance(about, str):
        raise LimitExceeded(f"about= is a list of whom the note is about, not one text: [{about!r}]")
    named = tuple(about)
    if not named:
        return named
    if shard.vault is None:
        raise SettingsError(
            f"flock {shard.keys.flock!r} is not encrypted, so nobody can be forgotten by destroying a key: leave out "
            "about=, or make a flock with encrypted=True"
        )
    if len(named) > MAX_ABOUT or not all(isinstance(each, str) and each for each in [*map(_as_any, named)]):
        raise LimitExceeded(f"a note is about up to {MAX_ABOUT} subjects, each named by a text")
    return named


async def seal_content(
    shard: Shard, raw: bytes, about: Sequence[str], inherited: Iterable[str]
) -> tuple[bytes, tuple[str, ...]]:
    """Content as it is stored, and what its record's `about` says: `inherited` is what those of its sources say.
    Raises LimitExceeded, SubjectForgotten."""
    vault = shard.vault
    if vault is None:
        return raw, ()
    refs = set(await vault.refs_of(about)) | {Ref.parse(text) for text in inherited}
    if len(refs) > 1:  # what a source that is about nobody adds is the flock's own key: it would protect nobody
        refs -= set(await vault.refs_of([""]))
    return await vault.seal(raw, refs)


async def sealed_again(shard: Shard, note: Note) -> bytes:
    """What is stored of a note, by its content: the same bytes, or the note is not what was stored."""
    vault = shard.vault
    return note.raw if vault is None else (await vault.seal(note.raw, map(Ref.parse, note.record.about)))[0]


def _as_any(value: object) -> Any:
    return value
