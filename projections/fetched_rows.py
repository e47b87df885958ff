"""Rows as a projection is folded on: those that it asks for are fetched, and what it changes waits to be stored."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from pydantic import TypeAdapter

from roost.streams import LimitExceeded

from .rows import MAX_KEY_BYTES

MAX_ROW_BYTES = 256 * 1024
MAX_EVENT_ROWS = 5_000
MAX_EVENT_BYTES = 1024 * 1024
"""What one event may change: all of it is stored in one step."""
MAX_HELD = 20_000
GONE = b""
"""A row that is not there: none is as short."""


class RowWanted(BaseException):
    """Stops `evolve` until the row has been fetched. No Exception: an `except` in there must not hide it."""


class FetchedRows:
    """The rows of one view that are at hand, as JSON, the least recently used making room; and changes of them.

    An event's changes are kept or dropped as a whole. Each `get` makes a row anew, so that what `evolve` does with it
    before it is called again leaves no trace.
    """

    def __init__(self, adapter: TypeAdapter[Any], *, max_held: int = MAX_HELD, compact: bool = False) -> None:
        self._adapter = adapter
        self._compact = compact
        self._max_held = max_held
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._changes: dict[str, bytes] = {}
        self._of_event: dict[str, Any] = {}
        self._scouting = False
        self.wanted: dict[str, None] = {}
        """Keys that were asked for and are not at hand."""
        self.size = 0
        """Bytes of the changes that wait."""

    # What `evolve` sees

    def get(self, key: str, default: Any = None) -> Any:
        row = self._find(key)
        return default if row is None else row

    def __getitem__(self, key: str) -> Any:
        row = self._find(key)
        if row is None:
            raise KeyError(key)
        return row

    def __contains__(self, key: str) -> bool:
        return self._find(key) is not None

    def __setitem__(self, key: str, row: Any) -> None:
        _check_key(key)
        self._of_event[key] = row

    def __delitem__(self, key: str) -> None:
        _check_key(key)
        self._of_event[key] = None

    def _find(self, key: str) -> Any:
        if key in self._of_event:
            row = self._of_event[key]
            return None if row is None else self._adapter.validate_json(self._adapter.dump_json(row))
        stored = self._changes.get(key)
        if stored is None:
            stored = self._held.get(key)
            if stored is None:
                _check_key(key)  # a key of no sense is the event's failure, not that of fetching
                self.wanted[key] = None
                if self._scouting:
                    return None
                raise RowWanted(key)
            self._held.move_to_end(key)
        return None if stored == GONE else self._adapter.validate_json(stored)

    # What the folder does

    def scout(self, is_scouting: bool) -> None:
        """While scouting, a row that is not at hand is none, and `wanted` grows."""
        self._scouting = is_scouting

    def drop_event(self) -> None:
        """Nothing of this event's changes is kept."""
        self._of_event.clear()

    def keep_event(self) -> None:
        """Take this event's changes to those that wait. Raises what pydantic raises for a row that is no JSON,
        LimitExceeded for one that is too large, or too many of them; then nothing of them is kept."""
        if len(self._of_event) > MAX_EVENT_ROWS:
            raise LimitExceeded(f"one event changes {len(self._of_event):,} rows, over the bound of {MAX_EVENT_ROWS:,}")
        kept: dict[str, bytes] = {}
        size = 0
        for key, row in self._of_event.items():
            kept[key] = GONE if row is None else self._adapter.dump_json(row, exclude_defaults=self._compact)
            if len(kept[key]) > MAX_ROW_BYTES:
                raise LimitExceeded(
                    f"row {key[:100]!r} has {len(kept[key]):,} bytes, over the bound of {MAX_ROW_BYTES:,}: "
                    "let the projection keep several rows instead"
                )
            size += len(key.encode()) + len(kept[key])
            if size > MAX_EVENT_BYTES:
                raise LimitExceeded(f"one event changes rows of more than {MAX_EVENT_BYTES:,} bytes together")
        for key, stored in kept.items():
            self.size += len(key) + len(stored) - len(self._changes.get(key, b""))
        self._changes.update(kept)
        self._of_event.clear()

    @property
    def changes(self) -> dict[str, bytes]:
        """What waits to be stored: JSON by key, b"" for a row that is to go."""
        return self._changes

    def stored(self) -> None:
        """The changes are in the view now."""
        for key, row in self._changes.items():
            self.hold(key, row)
        self._changes = {}
        self.size = 0
        while len(self._held) > self._max_held:  # not before: an event may ask for more rows than that
            self._held.popitem(last=False)

    def hold(self, key: str, row: bytes | None) -> None:
        """This is what the view has there."""
        self._held[key] = GONE if row is None else row
        self._held.move_to_end(key)
        self.wanted.pop(key, None)

    def forget(self) -> None:
        """Another may have changed the view: nothing that is at hand counts."""
        self._held.clear()
        self._changes = {}
        self._of_event.clear()
        self.wanted.clear()
        self.size = 0


def _check_key(key: Any) -> None:
    if not isinstance(key, str):
        raise TypeError(f"the key of a row is a text, not {key!r:.100}")
    if not 0 < len(key.encode()) <= MAX_KEY_BYTES:
        raise LimitExceeded(f"the key of a row has 1 to {MAX_KEY_BYTES:,} bytes: {key[:100]!r}")
