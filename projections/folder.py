"""The folder: takes a projection's view in one shard on, from where it stands towards the log's end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import structlog

from roost.streams import Position, RoostError, Shard
from roost.streams.event import pairs
from roost.streams.log import event_of
from roost.streams.views import Standing, StoredView

from .fetched_rows import MAX_HELD, FetchedRows, RowWanted
from .held_view import HeldView
from .projection import Projection

log = structlog.get_logger(__name__)

PAGE = 500
MAX_ROWS = 500
MAX_BYTES = 512 * 1024
SCOUTS = 3
"""How often what is left of a page is tried only to see which rows it wants; from then on they are fetched singly."""

Entry = tuple[bytes, Any]


class ProjectionStopped(RoostError):
    """A projection cannot fold an event, and is to stop then."""

    def __init__(self, projection: Projection[Any], position: Position, kind: str, error: str) -> None:
        super().__init__(
            f"projection {projection.name} version {projection.version} stops before the event at {position} ({kind}), "
            f"which it cannot fold: {error}. Mend its evolve() and start it again; or let it pass such events over: "
            'on_poison = "skip"'
        )
        self.position = position


class Folder:
    """Folds one projection in one shard. Several may do so at once, anywhere: each step is stored by one of them.

    `standing` is where it knows the view to be.
    """

    def __init__(
        self,
        shard: Shard,
        projection: Projection[Any],
        *,
        view: StoredView | HeldView | None = None,
        max_held: int = MAX_HELD,
    ) -> None:
        projection.check()
        self._shard = shard
        self._projection = projection
        self._view: StoredView | HeldView = view or StoredView(shard, projection.name, projection.version)
        self._rows = FetchedRows(projection.adapter(), max_held=max_held, compact=projection.compact)
        self._text: str | None = None
        self.standing = Standing.start(shard.number)
        types = projection.types
        self._types = None if types is None else frozenset(kind.encode() for kind in types)

    async def begin(self) -> Standing:
        """Learn where the view stands. Needed again after StaleCheckpoint."""
        self._rows.forget()
        self._text, self.standing = await self._view.read_standing()
        return self.standing

    async def is_elsewhere(self) -> bool:
        """Whether the view has been taken on, or away, by another."""
        text, _ = await self._view.read_standing()
        return text != self._text

    async def fold_page(self, entries: Sequence[Entry]) -> None:
        """Take these entries of the log in, which follow on where the view stands.

        Raises StaleCheckpoint when another has taken it on, ProjectionStopped, ServerFull, ServerUnavailable.
        """
        if self._text is None:
            await self.begin()
        # 1. What does not concern the projection is passed over without a look inside.
        wanted: list[tuple[int, Entry]] = [
            (number, entry)
            for number, entry in enumerate(entries)
            if self._types is None or pairs(entry[1]).get(b"type") in self._types
        ]
        done, scouts, at = 0, 0, 0
        failures: list[bytes] = []
        while at < len(wanted):
            number, entry = wanted[at]
            # 2. One event: all of its changes, or none.
            failed = self._try(entry)
            if self._rows.wanted:
                self._rows.drop_event()
                if scouts < SCOUTS:
                    scouts += 1
                    self._scout(wanted[at:])
                await self._fetch()
                continue
            if failed is not None:
                self._rows.drop_event()
                failures.append(self._failed(entry, failed))
                if self._projection.on_poison == "stop":
                    await self._store(entries[done:number], failures[-1:], stopped=entry)
                    raise ProjectionStopped(
                        self._projection, _place(self._shard.number, entry), _kind(entry), _say(failed)
                    ) from failed
            at += 1
            # 3. More than a step may store: what has been folded so far goes first.
            if len(self._rows.changes) >= MAX_ROWS or self._rows.size >= MAX_BYTES:
                await self._store(entries[done : number + 1], failures)
                done, failures = number + 1, []
        if done < len(entries):
            await self._store(entries[done:], failures)

    def _try(self, entry: Entry) -> Exception | None:
        """Fold one event; what its projection raised, if it did. Neither counts while rows are wanted: an `evolve`
        that catches everything has hidden that it was stopped."""
        try:
            self._projection.evolve(event_of(self._shard.number, *entry), self._rows)
            if not self._rows.wanted:
                self._rows.keep_event()
        except RowWanted:
            pass
        except Exception as error:  # whatever the code of a projection raises
            return error
        return None

    def _scout(self, wanted: Sequence[tuple[int, Entry]]) -> None:
        """Which rows the rest of the page asks for, as far as can be seen without having them."""
        self._rows.scout(True)
        try:
            for _, entry in wanted:
                try:
                    self._projection.evolve(event_of(self._shard.number, *entry), self._rows)
                except Exception:  # it has rows before it that are not true: what fails now may not, then
                    pass
                finally:
                    self._rows.drop_event()
        finally:
            self._rows.scout(False)

    async def _fetch(self) -> None:
        keys = list(self._rows.wanted)
        for key, row in zip(keys, await self._view.get_many(keys), strict=True):
            self._rows.hold(key, row)
        self._rows.wanted.clear()

    async def _store(self, entries: Sequence[Entry], failures: list[bytes], stopped: Entry | None = None) -> None:
        assert self._text is not None
        standing = self.standing
        if entries:
            position = _place(self._shard.number, entries[-1])
            standing = standing.at(position, passed=len(entries), failed=len(failures) if stopped is None else 0)
        if stopped is not None:
            if self.standing.stopped == stopped[0].decode():  # whoever starts it again tells nothing new
                failures = []
            standing = standing.stop(stopped[0].decode())
        self._text = await self._view.store(self._text, standing, self._rows.changes, failures)
        self.standing = standing
        self._rows.stored()

    def _failed(self, entry: Entry, error: Exception) -> bytes:
        log.warning(
            "a projection cannot fold an event",
            projection=self._projection.name,
            position=str(_place(self._shard.number, entry)),
            error=_say(error),
        )
        kind = _kind(entry)
        return orjson.dumps({"entry": entry[0].decode(), "type": kind, "error": _say(error)})


def _place(shard: int, entry: Entry) -> Position:
    return Position.parse(entry[0].decode(), shard=shard)


def _kind(entry: Entry) -> str:
    return pairs(entry[1]).get(b"type", b"").decode(errors="replace")


def _say(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
