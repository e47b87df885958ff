"""Checking a log against its seals: it is read once, from its start, in the archive and on the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress

from ..errors import RoostError, ServerUnavailable
from ..log import Log
from ..position import Position, start_of
from ..shard import Shard
from .chain import Chain, Source
from .faults import DamagedSeal
from .finding import Checked, Finding, Kind
from .key import Trusted
from .seal import Seal, place_of
from .tally import Tally, flat_of, is_sealed


async def check_seals(
    shard: Shard, sources: Sequence[Source], trusted: Trusted, *, progress: Callable[[int], None] = lambda _: None
) -> Checked:
    """Follow the chain, then compare the log with it. The first source is the one that must be complete. The flock may
    be at work meanwhile. Raises ServerUnavailable."""
    found = Checked(shard.number)
    chain = Chain(shard.keys.flock, shard.number, trusted)
    for source in sources:
        chain.take(source, found)
    reading = _Reading(shard, chain, found)
    try:
        await reading.read(progress)
    except ServerUnavailable:
        raise
    except RoostError as error:  # of an archive that was tampered with: it is a finding like others
        what = f"the log cannot be read on behind {reading.last or 'its start'}: {error}"
        found.add(Finding(shard.number, "unreadable", what))
    chain.compare(found)
    return found


class _Reading:
    """Goes through the log with the seals in hand."""

    def __init__(self, shard: Shard, chain: Chain, found: Checked) -> None:
        self._shard = shard
        self._chain = chain
        self._found = found
        self._seals = chain.current(found)
        self._told: dict[int, str] = {}
        """By number, the digests of the seals of which the log tells."""
        self._at = 0
        self._tally = Tally()
        self._stray = 0
        self.last = ""

    async def read(self, progress: Callable[[int], None]) -> None:
        log, found = Log(self._shard), self._found
        if self._seals:
            found.head, found.head_time = self._seals[-1].number, self._seals[-1].time
        until = await log.last()
        after = Position.parse(self._seals[0].after if self._seals else "0-0", shard=self._shard.number)
        start = None if after == start_of(self._shard.number) else after
        async with aclosing(log.pages(start, until=until)) as pages:
            async for page in pages:
                for entry, fields in page:
                    self._take(entry, fields)
                progress(len(page))
        while self._at < len(self._seals):
            self._close()
        self._compare_told()

    def _take(self, entry: bytes, fields: object) -> None:
        self.last = entry.decode(errors="replace")
        place = place_of(self.last)
        while self._at < len(self._seals) and place > place_of(self._seals[self._at].last):
            self._close()
        flat = flat_of(fields)
        is_told = is_sealed(flat)
        if is_told:
            with suppress(DamagedSeal, ValueError):
                seal = Seal.parse(dict(zip(flat[::2], flat[1::2], strict=True)).get(b"data", b""))
                self._told[seal.number] = seal.own_digest
                self._know(seal)
        if self._at == len(self._seals):
            if not is_told:
                self._found.unsealed += 1
                self._found.unsealed_since = self._found.unsealed_since or self.last
        elif place > place_of(self._seals[self._at].after):
            self._tally.add(entry, flat)

    def _know(self, seal: Seal) -> None:
        """A seal that the log tells of, and no file has: it is as good, if it is signed."""
        if seal.number in self._chain.seals or self._chain.trusted.fault(seal) is not None:
            return
        if (seal.flock, seal.shard) == (self._shard.keys.flock, self._shard.number):
            what = (
                f"the log tells of seal {seal.number}, which no file of seals has: it was removed there, or "
                "`roost seal` was cut off before it wrote it down, and does so with its next round"
            )
            self._found.add(Finding(seal.shard, "seal removed", what, seal.number, seal.first, seal.last))

    def _close(self) -> None:
        """The log has been read beyond a range, or to its end."""
        seal, tally = self._seals[self._at], self._tally
        self._at, self._tally = self._at + 1, Tally()
        if (tally.digest, tally.events) == (seal.digest, seal.events):
            self._found.seals += 1
            self._found.events += seal.events
            return
        kind, what = _judge(seal, tally, self.last)
        self._found.add(Finding(seal.shard, kind, what, seal.number, seal.first, seal.last))

    def _compare_told(self) -> None:
        """Each seal's event came behind its range: those of the last seals are in no range yet, but the files know."""
        lost = [seal for seal in self._seals if self._told.get(seal.number) != seal.own_digest]
        for seal in lost:
            if seal.number in self._told:
                what = f"the event that tells of seal {seal.number} tells of another one"
                self._found.add(Finding(seal.shard, "changed", what, seal.number))
            elif seal is self._seals[-1]:
                what = (
                    f"the log ends at {self.last or 'its start'} without the event of seal {seal.number}, the last "
                    f"one: what came behind {seal.last} was cut off, or the server has lost it"
                )
                self._found.add(Finding(seal.shard, "cut off", what, seal.number))
            else:
                what = f"the event that told of seal {seal.number} is not in the log any more"
                self._found.add(Finding(seal.shard, "removed", what, seal.number))


def _judge(seal: Seal, tally: Tally, end: str) -> tuple[Kind, str]:
    """What has happened to a range that is not as it was sealed, as far as can be told."""
    there = f"{tally.events:,} of {seal.events:,} events are there"
    if not end or place_of(end) < place_of(seal.last):
        return "cut off", f"the log ends at {end or 'its start'}, and was sealed up to {seal.last}: {there}"
    if tally.events < seal.events:
        return "removed", f"{there}: {seal.events - tally.events:,} were removed"
    if tally.events > seal.events:
        return "inserted", f"{tally.events:,} events are there, and {seal.events:,} were sealed: others were put in"
    if tally.fields == seal.fields:
        where = "" if tally.ids == seal.ids else ", under other IDs"
        return "reordered", f"the same {seal.events:,} events are there, but not in their order{where}"
    if tally.ids == seal.ids:
        return "changed", f"of {seal.events:,} events at least one has other bytes than when it was sealed"
    return "changed", f"of {seal.events:,} events some were removed, and as many others put in"
