"""A projection: how events become rows that are read. Roost's own are made with it, and so are a program's."""

from __future__ import annotations

import inspect
import re
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

from pydantic import TypeAdapter

from roost.streams import Event, SettingsError

from .rows import Rows

Row = TypeVar("Row")

OnPoison = Literal["stop", "skip"]
NAME = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)


class Projection(Generic[Row]):
    """A read model: rows by their keys, folded from the log. Subclass it with a name, and say what an event changes.

    ```python
    @dataclass
    class Author:
        notes: int = 0

    class Authors(Projection[Author]):
        name = "authors"

        def evolve(self, event: Event, rows: Rows[Author]) -> None:
            if event.type == "note.written" and event.actor:
                rows[event.actor] = Author(rows.get(event.actor, Author()).notes + 1)
    ```

    A row is whatever pydantic can write as JSON and read again; without a type it is a plain dict. `evolve` depends on
    the event and the rows alone, for it is called again for an event when rows that it asked for had to be fetched; it
    keeps nothing in the object. With several shards there are partial rows in each: `merge` makes one of two.
    """

    name: ClassVar[str]
    """What it is called, in the whole flock: letters, digits, dots, dashes and underscores."""
    version: ClassVar[int] = 1
    """Raise it when `evolve` changes: the new one is built beside the old, and takes over when it has caught up."""
    types: ClassVar[frozenset[str] | None] = None
    """The types of events that it wants; None: all."""
    compact: ClassVar[bool] = False
    """Members of a row that are as its type has them by default are not stored: less memory. A default that changes
    needs a new version then."""
    on_poison: ClassVar[OnPoison] = "stop"
    """What becomes of an event on which `evolve` fails: it is recorded, and then the projection stops, or goes on."""

    def evolve(self, event: Event, rows: Rows[Row]) -> None:
        """Take one event in, by reading and changing rows. The order is that of the log, shard by shard."""
        raise NotImplementedError

    def merge(self, one: Row, other: Row) -> Row:
        """One row of two that have the same key in different shards."""
        raise NotImplementedError(f"{type(self).__name__} has rows of several shards under one key: give it a merge()")

    @classmethod
    def row_type(cls) -> Any:
        """What `Projection[…]` was given; a dict where it was given nothing."""
        for base in cls.__mro__:
            for each in getattr(base, "__orig_bases__", ()):
                for given in get_args(each):
                    if not isinstance(given, TypeVar):
                        return given
        return dict[str, Any]

    @classmethod
    def adapter(cls) -> TypeAdapter[Any]:
        """How rows are written as JSON, and read."""
        return TypeAdapter(cls.row_type())

    def check(self) -> None:
        """Raises SettingsError for what would break keys or be folded into nothing: its name, version and the like."""
        kind, name, version = type(self).__name__, getattr(self, "name", None), self.version
        given: Any = version
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise SettingsError(
                f"projection {kind} needs a name of 1 to 100 letters, digits, dots, dashes and underscores, "
                f"not {name!r:.100}"
            )
        if type(given) is not int or given < 1:
            raise SettingsError(f"projection {name} needs a whole number from 1 on as version, not {given!r:.100}")
        if self.on_poison not in get_args(OnPoison):
            raise SettingsError(f'projection {name} has on_poison {self.on_poison!r:.100}: "stop" or "skip"')
        if inspect.iscoroutinefunction(self.evolve):
            raise SettingsError(f"evolve() of projection {name} is async and would change nothing: make it plain")
