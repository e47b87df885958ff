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


async def forgotten_since(shard: Shard, after: Position) -> set[str]:
    """IDs of notes that were forgotten after a position, and not written again since."""
    found: set[str] = set()
    async with aclosing(Log(shard).pages(after)) as pages:
        async for page in pages:
            for entry, flat in page:
                fields = pairs(flat)
                kind = fields.get(b"type")
                if kind not in (b"note.forgotten", b"note.written"):
                    continue
                try:
                    note = event_of(shard.number, entry, fields).data["note"]
                except (DamagedEvent, ValueError, KeyError, TypeError):
                    continue
                if kind == b"note.forgotten":
                    found.add(note)
                else:
                    found.discard(note)
    return found
