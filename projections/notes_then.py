"""Notes as they were: folded up to a position, for one shard, from the log and its archive."""

from __future__ import annotations

from contextlib import aclosing

from roost.streams import DamagedEvent, Log, Position, Shard
from roost.streams.event import pairs
from roost.streams.log import event_of, read_horizon

from .notes import NotesFold

FOLDED = frozenset(
    {b"note.written", b"note.expired", b"note.forgotten", b"work.claimed", b"work.failed", b"work.computed"}
)
"""Types that a fold of notes takes in: most of a log is passed over without being parsed."""


async def fold_until(shard: Shard, until: Position, known: NotesFold | None = None) -> NotesFold:
    """The notes as of a position. `known` is a fold of the same shard to begin with, if it comes from before; it is
    changed.

    Raises ServerUnavailable; of a log that was trimmed, the errors of its archive.
    """
    fold = known or await _start(shard, until)
    last = fold.position
    async with aclosing(Log(shard).pages(last, until=until)) as pages:
        async for page in pages:
            last = Position.parse(page[-1][0].decode(), shard=shard.number)
            for entry, flat in page:
                fields = pairs(flat)
                if fields.get(b"type") in FOLDED:
                    try:
                        fold.evolve(event_of(shard.number, entry, fields))
                    except DamagedEvent:
                        continue  # written by something that is not Roost; the server has no such note
    fold.position = last  # not `until`: more may come at the same time
    return fold


async def _start(shard: Shard, until: Position) -> NotesFold:
    """What the archive has stored, if that is from before; else nothing: then the archived events are folded, too."""
    if await read_horizon(shard) is not None:
        from roost.streams.archive.shelf import open_shelf

        from .start import load_state

        shelf, manifest = await open_shelf(shard)
        state = await load_state(shelf, manifest)
        if state is not None and state.position <= until:
            return state.notes
    return NotesFold()


class ForgottenSince:
    """The notes of a shard that were forgotten after a position. One that was written again under its ID is among them:
    it is another note by now."""

    def __init__(self, shard: Shard, after: Position) -> None:
        self._shard = shard
        self._read = after
        self.notes: set[str] = set()

    async def look(self) -> set[str]:
        """Those up to now: what has come since the last look is read."""
        async with aclosing(Log(self._shard).pages(self._read)) as pages:
            async for page in pages:
                for entry, flat in page:
                    fields = pairs(flat)
                    if fields.get(b"type") == b"note.forgotten":
                        try:
                            self.notes.add(str(event_of(self._shard.number, entry, fields).data["note"]))
                        except (DamagedEvent, ValueError, KeyError, TypeError):
                            continue  # written by something that is not Roost: it has made nobody forget
                self._read = Position.parse(page[-1][0].decode(), shard=self._shard.number)
        return self.notes
