"""What a memory is searched by: indexes on this machine's disk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import orjson

from roost.streams import Connection, Shard, Writer

from .scope import Scope, unit_of

if TYPE_CHECKING:
    from pathlib import Path

    from .searching.finder import Finder
    from .searching.found import Found
    from .searching.question import From, Question


class Searched:
    """Of Memory: to be searched, and what has to be done with its indexes."""

    _shard: Shard
    _writer: Writer
    _connection: Connection
    _home: Path | None = None
    _finder: Finder | None = None

    @property
    def scope(self) -> Scope:
        """Who acts now."""
        raise NotImplementedError

    def search_in(self, home: Path) -> None:
        """Keep indexes for searching in that directory."""
        self._home = home

    async def search(
        self, text: str, *, tags: Iterable[str] = (), author: str | None = None, since: From = None, limit: int = 10
    ) -> Found:
        """The live notes that fit these words best: that have all of them in their key, tags or first 32 KiB; where
        such are few, also those that have some. With all the tags, of that author, and written since a time, for so
        long, or behind a position of the log.

        Hits carry note IDs, scores and snippets; they are logged before this answers, and none counts as read before it
        is got. The first search on a machine indexes the log, a hundred thousand notes in half a minute. A handler's
        drafts are not searched. Raises LimitExceeded, SettingsError.
        """
        from .searching.question import Question

        question, scope = Question.of(text, tags, author, since, limit), self.scope
        found = await self._find_by(question)
        told = await question.told(self._shard.vault)
        told |= {
            "hits": [[hit.id, hit.score] for hit in found], "looked_at": found.looked_at, "complete": found.complete,
        }  # fmt: skip
        event = scope.reader.event("notes.searched", scope.reader.subject, orjson.dumps(told))
        await scope.write(self._writer_of(scope), unit_of([event]))
        return found

    async def _find_by(self, question: Question) -> Found:
        if self._home is None:
            from .searching.newest import search_newest

            return await search_newest(self._shards(), question)
        if self._finder is None:
            from .searching.finder import Finder
            from .searching.place import Place

            self._finder = Finder(self._shards(), Place.of(self._home, self._connection.url))
        return await self._finder.find(question)

    async def drop_forgotten(self) -> None:
        """Let no index that this machine has keep what the log tells to be forgotten."""
        if self._home is not None:
            from .searching.forgotten import drop_forgotten

            await drop_forgotten(self._shards(), self._home, self._connection.url)

    async def drop_note(self, note_id: str) -> None:
        """Let the index that this machine has not keep a note that was forgotten."""
        if self._home is not None:
            from .searching.forgotten import drop_note

            await drop_note(self._shard, self._home, self._connection.url, note_id)

    def close_finder(self) -> None:
        if self._finder is not None:
            self._finder.close()

    def _shards(self) -> list[Shard]:
        return [self._shard]

    def _writer_of(self, scope: Scope) -> Writer:
        """Of events about who acts there."""
        return self._writer
