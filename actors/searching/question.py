"""The question: what is searched for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from roost.streams import LimitExceeded, Position, SettingsError, Shard
from roost.streams.merging import Since, start_in

MAX_TEXT = 2000
LIMIT, MAX_LIMIT = 10, 100
MAX_TAGS = 32
if TYPE_CHECKING:
    from roost.streams.encryption.vault import Vault

END = 2**62
"""Behind all events of a millisecond."""
From = Since | datetime | timedelta
"""Only what was written since: a time, a while ago, or behind a position of the log."""


@dataclass(frozen=True, slots=True)
class Question:
    """Checked by `of`. `since` is as it was asked for, or a time."""

    text: str
    tags: tuple[str, ...] = ()
    author: str | None = None
    since: Since | datetime = None
    limit: int = LIMIT

    @classmethod
    def of(cls, text: str, tags: Iterable[str], author: str | None, since: From, limit: int) -> Question:
        """Raises LimitExceeded, and SettingsError for a time without a time zone or what is no position."""
        given: Any = text  # not all programs are type-checked
        if not isinstance(given, str) or not text.strip() or len(text) > MAX_TEXT:
            raise LimitExceeded(f"a search asks for a few words, of up to {MAX_TEXT:,} characters")
        if not 1 <= limit <= MAX_LIMIT:
            raise LimitExceeded(f"a search gives 1 to {MAX_LIMIT} hits: narrow it down by tags, author or since")
        if isinstance(tags, str):
            raise LimitExceeded(f"tags are a list of words, not one text: [{tags!r}]")
        wanted = tuple(tags)
        if len(wanted) > MAX_TAGS:
            raise LimitExceeded(f"a search asks for up to {MAX_TAGS} tags")
        try:
            "".join([text, *wanted, author or ""]).encode()
        except (UnicodeEncodeError, TypeError):
            raise LimitExceeded("what a search asks for is text, which UTF-8 can hold") from None
        return cls(text, wanted, author, _checked(since), limit)

    def start_in(self, shard: Shard) -> tuple[int, int] | None:
        """Only what stands behind that place in a shard's log: milliseconds, and the number within."""
        if isinstance(self.since, datetime):
            return int(self.since.timestamp() * 1000) - 1, END
        start = start_in(self.since, shard.number)
        return None if start is None else (start.ms, min(start.seq, END))

    async def told(self, vault: Vault | None) -> dict[str, Any]:
        """As an event of the search tells it: as it was asked, without `since`, which a program that asks the same once
        more may reckon anew. Of an encrypted flock only a name of it, which tells nobody anything who has no key."""
        asked = self._asked()
        return asked if vault is None else {"asked": (await vault.name_of(f"search/{_digest(asked)}")).hex()}

    @property
    def name(self) -> str:
        """By which the same question is known again."""
        return _digest(self._asked())

    def _asked(self) -> dict[str, Any]:
        asked: dict[str, Any] = {"text": self.text}
        if self.tags:
            asked["tags"] = list(self.tags)
        if self.author is not None:
            asked["author"] = self.author
        if self.limit != LIMIT:
            asked["limit"] = self.limit
        return asked


def name_of_told(told: dict[str, Any]) -> str:
    """By which the same question is known again, of what an event tells."""
    if "asked" in told:  # which question it was tells a key; within a handler they come in their order
        return SEALED
    return _digest({name: told[name] for name in ("text", "tags", "author", "limit") if name in told})


def _checked(since: From) -> Since | datetime:
    """Raises SettingsError."""
    if isinstance(since, timedelta):
        return datetime.now(UTC) - since
    if isinstance(since, datetime):
        if since.tzinfo is None:
            raise SettingsError("a time needs its time zone: datetime.now(UTC), or .astimezone()")
        return since
    place: Since = since if since is None or isinstance(since, str | Position) else tuple(since)
    start_in(place, 0)  # what is no position is said now
    return place


SEALED = "of an encrypted flock"


def _digest(asked: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()
