"""The tally: what a range of the log comes to, entry by entry. The same bytes, and no others, give the same tally."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, cast

KIND = "log.sealed"


def flat_of(fields: Any) -> list[bytes]:
    """An entry's fields in their order, names and values in turn, also where one stands twice."""
    if isinstance(fields, dict):  # as an archive gives them
        told = cast("dict[bytes, bytes]", fields)
        return [part for pair in told.items() for part in pair]
    return cast("list[bytes]", fields)


def canonical(parts: Iterable[bytes]) -> bytes:
    """Each part behind its length in four bytes: no two lists of parts come to the same."""
    return b"".join([len(part).to_bytes(4, "big") + part for part in parts])


class Tally:
    """Counts and digests the entries that it is given.

    `digest` is of all bytes. `ids` (of the entries' IDs) and `fields` (of their fields, whatever their order among each
    other) only help to tell what has happened where it does not fit.
    """

    def __init__(self) -> None:
        self.first = self.last = ""
        self.events = 0
        self.sealed = 0
        """How many of them tell of seals."""
        self._all, self._ids = sha256(), sha256()
        self._fields: list[bytes] = []

    def add(self, entry: bytes, fields: Any) -> None:
        flat = flat_of(fields)
        stored = canonical(flat)
        head = len(flat).to_bytes(4, "big") + canonical((entry,))
        self._all.update(head)
        self._all.update(stored)
        self._ids.update(canonical((entry,)))
        self._fields.append(sha256(stored).digest())
        self.last = entry.decode(errors="replace")
        self.first = self.first or self.last
        self.events += 1
        self.sealed += is_sealed(flat)

    @property
    def digest(self) -> str:
        return self._all.hexdigest()

    @property
    def ids(self) -> str:
        return self._ids.hexdigest()

    @property
    def fields(self) -> str:
        return sha256(b"".join(sorted(self._fields))).hexdigest()


def is_sealed(flat: list[bytes]) -> bool:
    """Whether an entry tells of a seal."""
    return flat[:2] == [b"type", KIND.encode()]
