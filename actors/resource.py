"""A resource: a page or a file, whole, as it was when somebody last looked; one note for all agents."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from roost.streams import LimitExceeded, Note, RoostError


class NotKept(RoostError):
    """A page of which its server allows no copies has no note."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What `fetch` and `read` answer. Parts are served from the whole, which agents pass on by `note.id`.

    `location` is where it was found: the URL after redirects, or the absolute path. `media` is its media type,
    `encoding` what its text is written in. `checked` is when the server, or the file system, was last asked.
    """

    location: str
    media: str
    encoding: str
    checked: datetime
    raw: bytes = field(repr=False)
    kept: Note | None = field(default=None, repr=False)
    """Its note; None where the server forbids copies (`Cache-Control: no-store`)."""

    @property
    def note(self) -> Note:
        """The note that holds the whole. Raises NotKept."""
        if self.kept is None:
            raise NotKept(f"{self.location}: its server allows no copies (no-store), so there is no note of it")
        return self.kept

    def facts(self) -> dict[str, Any]:
        """What must be known to make it again from its note."""
        return {
            "location": self.location, "media": self.media, "encoding": self.encoding,
            "checked": self.checked.isoformat(), "note": None if self.kept is None else self.kept.id,
        }  # fmt: skip

    @classmethod
    def of(cls, facts: dict[str, Any], note: Note) -> Resource:
        """As it was when `facts` were told of it."""
        return cls(
            location=facts["location"], media=facts["media"], encoding=facts["encoding"],
            checked=datetime.fromisoformat(facts["checked"]), raw=note.raw, kept=note,
        )  # fmt: skip

    @property
    def size(self) -> int:
        """Bytes of the whole."""
        return len(self.raw)

    @property
    def text(self) -> str:
        """The whole as text, without a byte order mark; what is no text of its encoding is replaced."""
        return self.raw.decode(self.encoding, errors="replace")

    def lines(self, first: int, last: int | None = None) -> str:
        """Lines `first` to `last`, both with it, counted from 1, with their ends; as far as there are such."""
        _check("lines", first, 1)
        if last is not None:
            _check("lines", last, 1)
        return "".join(self.text.splitlines(keepends=True)[first - 1 : last])

    def characters(self, start: int, stop: int | None = None) -> str:
        """The text from `start` up to and without `stop`, counted from 0, as far as there is such."""
        _check("characters", start, 0)
        if stop is not None:
            _check("characters", stop, 0)
        return self.text[start:stop]

    def bytes(self, start: int, stop: int | None = None) -> bytes:
        """The bytes from `start` up to and without `stop`, counted from 0, as far as there are such."""
        _check("bytes", start, 0)
        if stop is not None:
            _check("bytes", stop, 0)
        return self.raw[start:stop]


def _check(what: str, number: int, least: int) -> None:
    if number < least:
        raise LimitExceeded(f"{what} are counted from {least}, and {number} is before that")
