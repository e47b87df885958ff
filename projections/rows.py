"""Rows: what a projection has, by key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar, overload

Row = TypeVar("Row")
Other = TypeVar("Other")
MAX_KEY_BYTES = 1024


class Rows(Protocol[Row]):
    """The rows as `evolve` sees them. Keys are texts of up to 1 KiB; they are in order, byte by byte, when read.

    Put a row back after changing it: what was got and changed in place is not noticed.
    """

    @overload
    def get(self, key: str, /) -> Row | None: ...

    @overload
    def get(self, key: str, default: Row, /) -> Row: ...

    def __getitem__(self, key: str, /) -> Row:
        """Raises KeyError."""
        ...

    def __setitem__(self, key: str, row: Row, /) -> None: ...

    def __delitem__(self, key: str, /) -> None:
        """Take a row away; nothing happens if there is none."""
        ...

    def __contains__(self, key: str, /) -> bool: ...


class HeldRows(Generic[Row]):
    """All rows in memory: for tests, for logs that are short, and for what is folded anew to be compared."""

    def __init__(self, rows: Iterable[tuple[str, Row]] = ()) -> None:
        self.held: dict[str, Row] = dict(rows)

    def get(self, key: str, default: Any = None) -> Any:
        return self.held.get(key, default)

    def __getitem__(self, key: str) -> Row:
        return self.held[key]

    def __setitem__(self, key: str, row: Row) -> None:
        self.held[key] = row

    def __delitem__(self, key: str) -> None:
        self.held.pop(key, None)

    def __contains__(self, key: str) -> bool:
        return key in self.held

    def range(self, prefix: str = "", *, after: str = "", limit: int | None = None) -> Iterator[tuple[str, Row]]:
        """Rows whose key begins so, in the order of their keys, those behind `after`, at most so many."""
        keys = sorted((key for key in self.held if key.startswith(prefix) and key > after), key=str.encode)
        for key in keys[:limit]:
            yield key, self.held[key]
