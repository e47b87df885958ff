"""The memory that a handler has while its delivery is done again: what it was told then, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from roost.streams import Event, Note, NoteNotFound
from roost.streams.matching import Wanted
from roost.streams.merging import Since
from roost.streams.notes import check_key
from roost.streams.trust import LOWEST, Trust, check_label

from ..marking import Marks, Said, check_label_said, known_of, marks_of
from ..memory import COMPUTE_LIMIT, FLOCK_DEFAULT, Memory, Ttl
from ..scope import Scope
from ..searching.found import Found
from ..searching.question import SEALED, From, Question
from .answers import Asked, Failed, Searched
from .revival import revive

if TYPE_CHECKING:
    from ..forgetting import ForgottenSubject
    from .stage import Stage

UNKNOWN_TTL_MS = 1
"""Stands for the flock's own time to live, of which the log does not tell."""


class ReplayedMemory(Memory):
    """As Memory, of one delivery. What it is asked for is looked up in the recording; what is put is staged."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._shard = stage.shard

    @property
    def scope(self) -> Scope:
        return self._stage.scope

    async def get(self, note_id: str, *, verified: bool | None = None, trust: Trust | None = None) -> Note:
        """As it was served then: what was refused was refused then."""
        scope, least = self.scope, LOWEST if trust is None else check_label(trust)
        note_id = self._stage.recording.edited.notes.get(note_id, note_id)
        draft = scope.draft(note_id)
        if draft is not None:
            scope.remember(draft.note, least)
            return draft.note
        if self._stage.answers.has(("get", note_id)):
            if self._stage.answers.next(("get", note_id)) is None:
                raise NoteNotFound(note_id)
        elif note_id not in self._stage.recording.notes:
            raise self._stage.unanswered(f"get({note_id!r})")
        return await self._opened(note_id, least)

    async def find(self, key: str, *, verified: bool | None = None, trust: Trust | None = None) -> Note | None:
        scope, least = self.scope, LOWEST if trust is None else check_label(trust)
        draft = scope.draft_of(key)
        if draft is not None:
            scope.remember(draft.note, least)
            return draft.note
        if (instead := self._stage.recording.edited.keys.get(key)) is not None:
            return await self.get(instead, trust=trust)
        if not self._stage.answers.has(("find", check_key(key))):
            known = self._stage.note_of(key)
            if known is None:
                raise self._stage.unanswered(f"find({key!r})")
            return await self._opened(known, least)
        found = self._stage.answers.next(("find", key))
        return await self._opened(found, least) if isinstance(found, str) else None

    async def once(
        self, key: str, compute: Callable[[], Awaitable[Any]], *, ttl: Ttl = FLOCK_DEFAULT, fresh: bool = False,
        tags: Iterable[str] = (), limit: timedelta = COMPUTE_LIMIT, slots: asyncio.Semaphore | None = None,
        label: str | None = None, about: Iterable[str] = (), trust: Trust | None = None, vouched: bool = False,
    ) -> Note:  # fmt: skip
        """As Memory's; nothing is computed."""
        if not fresh and (instead := self._stage.recording.edited.keys.get(key)) is not None:
            return await self.get(instead)
        if not self._stage.answers.has(("once", check_key(key))):
            known = self._stage.note_of(key)
            if known is None:
                raise self._stage.unanswered(f"once({key!r}){f' ({label})' if label else ''}")
            return await self._opened(known)
        found = self._stage.answers.next(("once", key))
        if isinstance(found, Failed):
            raise revive(found.error, found.message)
        if not isinstance(found, str):
            raise self._stage.unanswered(f"once({key!r}), whose note the log does not name")
        return await self._opened(found)

    async def search(
        self, text: str, *, tags: Iterable[str] = (), author: str | None = None, since: From = None, limit: int = 10
    ) -> Found:
        """As it was answered then: the same notes, with the same scores."""
        question = Question.of(text, tags, author, since, limit)
        names = [_search(question.name), _search(SEALED)]
        asked = next((name for name in names if self._stage.answers.has(name)), None)
        found = None if asked is None else self._stage.answers.next(asked)
        if not isinstance(found, Searched):
            raise self._stage.unanswered(f"search({text!r})")
        hits = [await self._stage.hit(note_id, score, text) for note_id, score in found.hits]
        return Found(tuple(hits), found.looked_at, found.complete)

    async def forget(self, note_id: str) -> None:
        if note_id not in self._stage.answers.forgotten:
            raise self._stage.unanswered(f"forget({note_id!r})")

    async def forget_subject(self, subject: str) -> ForgottenSubject:
        """Nobody is forgotten again. Raises NotRecorded."""
        raise self._stage.unanswered("forget_subject(…)")

    def follow(self, wanted: Wanted, since: Since = None) -> AsyncGenerator[Event]:
        """What comes to be watched is no part of a recording. Raises NotRecorded."""
        raise self._stage.unanswered("watch(…)")

    async def close(self) -> None:
        """Nothing is under way."""

    async def _opened(self, note_id: str, least: Trust = LOWEST) -> Note:
        note = await self._stage.open_note(note_id)
        self.scope.reads += 1
        self.scope.remember(note, least)
        return note

    def _said(self, about: Iterable[str], trust: Trust | None, vouched: bool) -> Said:
        return check_label_said(tuple(about), trust, vouched)

    async def _marked(self, raw: bytes, scope: Scope, sources: Sequence[str], said: Said) -> tuple[bytes, Marks]:
        """As it is: what was sealed then is compared as it was before that. What it takes over is that of the sources
        that the recording knows."""
        known, unread = known_of(scope, sources)
        notes = self._stage.recording.notes
        recorded = [notes[source].record for source in unread if source in notes]
        return raw, marks_of(scope, sources, said, [*known, *recorded])

    async def _upload(self, scope: Scope, digest: str, raw: bytes) -> None:
        """It stays here."""

    def _ttl_ms(self, ttl: Ttl) -> int | None:
        return UNKNOWN_TTL_MS if isinstance(ttl, type(FLOCK_DEFAULT)) else super()._ttl_ms(ttl)


def _search(name: str) -> Asked:
    return ("search", name)
