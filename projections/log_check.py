"""The log itself, checked as it is read: versions without gaps, links to the event before, causes that are there,
nothing deleted, every entry readable. What it folds on the way is what the server must serve."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any

from roost.streams import DamagedEvent, Event, Position, RoostError, Shard
from roost.streams.event import pairs
from roost.streams.log import event_of
from roost.streams.position import start_of

from .difference import Difference
from .notes import NotesFold
from .start import StartState
from .versions import VersionsFold

PAGE = 500
MAY_BE_OVER = ("key/", "note/")
"""What subjects begin with whose versions go when their events leave the log."""


class LogDamage(Difference):
    """Where the log is not what it must be: `folded` is what must be there, `served` what is."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{self.what}: there must be {self.folded}, there is {self.served}"


class LogCheck:
    """Reads one shard's log on, from its start or from a state, and gives what is wrong to `tell`."""

    def __init__(
        self,
        shard: Shard,
        start: StartState | None,
        tell: Callable[[Difference], None],
        restored: Position | None = None,
    ) -> None:
        """`restored`: up to there the log was put together again, of what had been trimmed where it was, too."""
        self._shard = shard
        self._restored = restored
        self._tell = tell
        self.notes = NotesFold() if start is None else start.notes
        self.versions = VersionsFold() if start is None else start.versions
        self.position = start_of(shard.number) if start is None else start.position
        self.events = 0
        self.ids = array("Q")
        """Of each event's ID eight bytes: causes are looked for in them."""
        self._causes = array("Q")
        self._sealed: int | None = None
        self._caused = array("Q")  # milliseconds and sequence of the event that names the cause, one after the other

    async def advance(self, progress: Callable[[int], None] | None = None) -> Position:
        """Read on to the log's end; where that is."""
        while True:
            page = await self._shard.command(
                "XRANGE", self._shard.keys.log, f"({self.position.entry}", "+", "COUNT", PAGE
            )
            for entry, flat in page:
                self._take(entry, flat)
            self.events += len(page)
            if progress is not None:
                progress(len(page))
            if len(page) < PAGE:
                return self.position

    def _take(self, entry: bytes, flat: Any) -> None:
        self.position = Position.parse(entry.decode(), shard=self._shard.number)
        try:
            event = event_of(self._shard.number, entry, flat)
        except DamagedEvent as error:
            self._tell(LogDamage(f"log entry {self.position}", "an event", str(error)))
            return
        before, last = self.versions.of(event.subject)
        previous = pairs(flat).get(b"prev", b"").decode(errors="replace")
        if (event.version != before + 1 or previous != last) and not self._begins_anew(event, last, previous):
            self._tell(_gap(event, before, last, previous))
        self.notes.evolve(event)
        self.versions.evolve(event)
        self.ids.append(_number(event.id))
        if event.cause is not None:
            self._causes.append(_number(event.cause))
            self._caused.extend((self.position.ms, self.position.seq))

    def _begins_anew(self, event: Event, last: str, previous: str) -> bool:
        """Versions of a key that nothing has begin anew when its events leave; the log does not tell when that was."""
        horizon = self.notes.horizon
        if self._restored is not None and event.subject.startswith(MAY_BE_OVER) and self.position <= self._restored:
            return event.version == 1 and not previous
        if horizon is None or not event.subject.startswith("key/"):
            return False
        if not previous:
            return event.version == 1 and _stands(last, self._shard.number) <= horizon
        return not last and _stands(previous, self._shard.number) <= horizon

    async def check_ends(self) -> None:
        """Whether all that was ever added is there, from the first to the last. Raises RoostError for a log that is
        trimmed at the moment."""
        keys, ask = self._shard.keys, self._shard.command
        if not await ask("EXISTS", keys.log):
            return
        trimmed, horizon = await ask("HMGET", keys.key("meta"), "trimmed", "horizon")
        info = pairs(await ask("XINFO", "STREAM", keys.log))
        if (await ask("HGET", keys.key("meta"), "trimmed")) != trimmed:
            raise RoostError("the log is being trimmed: verify again when that is done")
        added, length = int(info[b"entries-added"]), int(info[b"length"])
        if added - int(trimmed or 0) != length:
            self._tell(LogDamage("number of events in the log", added - int(trimmed or 0), length))
        deleted = _position(info[b"max-deleted-entry-id"], self._shard.number)
        if deleted > (start_of(self._shard.number) if horizon is None else _position(horizon, self._shard.number)):
            self._tell(LogDamage(f"log entry {deleted}", "the event that was appended there", "none: it was deleted"))
        last = info[b"last-entry"][0] if info[b"last-entry"] else horizon
        latest = None if last is None else _position(last, self._shard.number)
        generated = _position(info[b"last-generated-id"], self._shard.number)
        if latest != generated:
            self._tell(LogDamage("last entry of the log", str(generated), "missing" if latest is None else str(latest)))

    def seal(self) -> None:
        """Only causes of what was read until now are looked for: of a flock at work, other shards are read before."""
        self._sealed = len(self._causes)

    def lost_causes(self, known: Any) -> Iterable[Position]:
        """Events whose cause is none of those, the numbers of the IDs of all shards."""
        import numpy as np

        causes = np.array(self._causes[: self._sealed], dtype=np.uint64)
        for index in np.flatnonzero(~np.isin(causes, known)).tolist():
            yield Position(self._shard.number, self._caused[2 * index], self._caused[2 * index + 1])


def known_ids(checks: Sequence[LogCheck]) -> Any:
    """The numbers of the IDs of all events that these have read."""
    import numpy as np

    held = [np.frombuffer(check.ids, dtype=np.uint64) for check in checks if check.ids]
    return np.unique(np.concatenate(held)) if held else np.empty(0, dtype=np.uint64)


def _gap(event: Event, before: int, last: str, previous: str) -> LogDamage:
    """What is missing before an event of a subject, by the entry of it where that is known."""
    if previous and event.version is not None and event.version > before + 1:
        missing = f"version {event.version - 1} of {event.subject}, before {event.position}"
        return LogDamage(f"log entry {previous}", missing, "none")
    must = f"version {before + 1}" + (f" behind {last}" if last else "")
    has = f"version {event.version}" + (f" behind {previous}" if previous else "")
    return LogDamage(f"log entry {event.position}, of {event.subject}", must, has)


def _number(ident: str) -> int:
    try:
        return int(ident[:16], 16) if len(ident) == 24 else _digest(ident)
    except ValueError:
        return _digest(ident)


def _digest(ident: str) -> int:
    return int.from_bytes(blake2b(ident.encode(), digest_size=8).digest())


def _stands(entry: str, shard: int) -> Position:
    try:
        return Position.parse(entry, shard=shard)
    except (RoostError, ValueError):
        return Position(shard, 2**63, 0)  # beyond all that was trimmed


def _position(entry: Any, shard: int) -> Position:
    return Position.parse(entry.decode(), shard=shard)
