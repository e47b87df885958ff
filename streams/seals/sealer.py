"""The sealer: closes what the log has beyond the last seal, range by range."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from ..answer import Written
from ..errors import RoostError
from ..event import Event, new_id, now_ms
from ..log import Log
from ..position import Position, start_of
from ..shard import Shard
from ..unit import Unit
from ..writer import Writer
from .book import Book, lines_in, read_book
from .faults import DamagedSeal, SealingBusy, SealsBroken
from .key import Signs, Trusted
from .seal import Seal, place_of
from .tally import KIND, Tally

LEASE = timedelta(seconds=30)
RANGE = 1000
"""Events of a seal at most: whoever tampers is found within so many."""
SUBJECT = "actor/roost-seal"
"""What the events that tell of seals are about: it stays in the shard that is sealed."""
LOOK = "look closer with `roost verify --seals`"


@dataclass(slots=True)
class Sealed:
    """What a round did in a shard. `head` is its last seal."""

    seals: int = 0
    events: int = 0
    head: Seal | None = None


class Sealer:
    """Seals a shard. A seal is first an event `log.sealed`, which one process at a time can append, and then a line of
    the book; whoever is cut off in between leaves a line to be written, and the next one writes it."""

    def __init__(self, shard: Shard, book: Book, key: Signs, trusted: Trusted) -> None:
        self.shard = shard
        self.book = book
        self._key = key
        self._trusted = trusted
        self._who = new_id()
        self._log = Log(shard)
        self._version = 0

    async def round(self, *, anew: bool = False) -> Sealed:
        """Seal all that is in the log now. With `anew` from its start, whatever was sealed before.

        Raises SealingBusy, SealsBroken when the log is not the one that was sealed, SettingsError, ServerUnavailable.
        """
        async with self._leading():
            await self.shard.open()
            writer = Writer(self.shard)
            try:
                # First the version: what another seals after this is met by it.
                versions = self.shard.keys.key("versions")
                stored: bytes | None = await self.shard.command("HGET", versions, SUBJECT)
                self._version = 0 if stored is None else int(stored.split(b" ")[0])
                head = await self._head(anew)
                done = Sealed(head=head)
                async for seal in self._seals(head, anew):
                    await self._write(writer, seal)
                    done.seals, done.events, done.head = done.seals + 1, done.events + seal.events, seal
                return done
            finally:
                await writer.close()

    @asynccontextmanager
    async def _leading(self) -> AsyncGenerator[None]:
        if not await self._lease(LEASE):
            raise SealingBusy(f"another process is sealing flock {self.shard.keys.flock!r}; wait until it has ended")
        renewing = asyncio.create_task(self._renew(), name="roost seal lease")
        try:
            yield
        finally:
            renewing.cancel()
            await self._lease(timedelta(0))

    async def _renew(self) -> None:
        """Whoever loses the lease all the same is refused by the version of the subject."""
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            with suppress(RoostError):  # whoever seals meets it, too
                await self._lease(LEASE)

    async def _lease(self, lease: timedelta) -> bool:
        return bool(await self.shard.run("lease", "seals", self._who, round(lease.total_seconds() * 1000)))

    async def _head(self, anew: bool) -> Seal | None:
        """The last seal, which both the book and the log have when this returns. Raises SealsBroken."""
        written = self._in_book()
        head = written[-1] if written else None
        told = await self._in_log(head)
        missing = [seal for seal in told if head is None or seal.number > head.number]
        before = head.own_digest if head is not None else ""
        for seal in missing:
            fault = self._trusted.fault(seal)
            if fault is not None or seal.before != before:
                raise SealsBroken(
                    f"the log has seal {seal.number} that {self.book.path} has not, and it cannot be taken over: "
                    f"{fault or 'it does not follow the seal before it'}; {LOOK}"
                )
            before = seal.own_digest
        if not anew and head is not None and head.own_digest not in [seal.own_digest for seal in told]:
            raise SealsBroken(
                f"the log of flock {self.shard.keys.flock!r} does not tell of seal {head.number}, the last in "
                f"{self.book.path}: it has lost its end, or is another log; {LOOK}, and if you know why, "
                "go on with `roost seal --anew`"
            )
        if missing:
            self.book.append(missing)
        return missing[-1] if missing else head

    def _in_book(self) -> list[Seal]:
        """Raises SealsBroken for a book that was changed."""
        seals: list[Seal] = []
        before = ""
        for number, seal in lines_in(read_book(self.book.path) or b""):
            fault = str(seal) if isinstance(seal, DamagedSeal) else self._trusted.fault(seal)
            if isinstance(seal, DamagedSeal) or fault is not None or seal.before != before:
                raise SealsBroken(
                    f"{self.book.path}, line {number}: {fault or 'it does not follow the seal before it'}; {LOOK}, and "
                    "put a copy of the file back"
                )
            before = seal.own_digest
            seals.append(seal)
        return seals

    async def _in_log(self, head: Seal | None) -> list[Seal]:
        """The seals that the log tells of from `head` on, in order; all without one."""
        limit = 64
        while True:
            events = await self._log.subject(SUBJECT, limit=limit)
            found: list[Seal] = []
            for event in events:
                with suppress(DamagedSeal):
                    if event.type == KIND:
                        found.append(Seal.parse(event.body))
            if len(events) < limit or (head is not None and found and found[0].number <= head.number):
                return found
            limit *= 8

    async def _seals(self, head: Seal | None, anew: bool) -> AsyncGenerator[Seal]:
        """Seals of all that is in the log now behind the last one, unless that only tells of seals."""
        number, start = self.shard.number, start_of(self.shard.number)
        until = await self._log.last()
        after = start if head is None or anew else Position.parse(head.last, shard=number)
        if until <= after:
            return
        waiting: list[Tally] = []
        is_due, tally = False, Tally()
        async with aclosing(self._log.pages(None if after == start else after, until=until)) as pages:
            async for page in pages:
                for entry, fields in page:
                    tally.add(entry, fields)
                    if tally.events == RANGE:
                        waiting, tally = [*waiting, tally], Tally()
                is_due = is_due or any(one.events > one.sealed for one in (*waiting, tally))
                while is_due and waiting:
                    head = self._seal(waiting.pop(0), head, anew)
                    anew = False
                    yield head
        is_due = is_due or any(one.events > one.sealed for one in (*waiting, tally))
        for one in [*waiting, tally]:
            if is_due and one.events:
                head = self._seal(one, head, anew)
                anew = False
                yield head

    def _seal(self, tally: Tally, head: Seal | None, anew: bool) -> Seal:
        follows = head is not None and not anew
        return self._key.sign(
            Seal(
                flock=self.shard.keys.flock, shard=self.shard.number, number=1 if head is None else head.number + 1,
                epoch=self.shard.epoch, after=head.last if head is not None and follows else "0-0", first=tally.first,
                last=tally.last, events=tally.events,
                passed=tally.events + (head.passed if head is not None and follows else 0), digest=tally.digest,
                ids=tally.ids, fields=tally.fields, before="" if head is None else head.own_digest, time=now_ms(),
                anew=anew,
            )
        )  # fmt: skip

    async def _write(self, writer: Writer, seal: Seal) -> None:
        """First into the log, where only one that follows the last can come, and with it what it seals is as safe as
        the flock's durability says; then into the book."""
        if place_of(seal.last) < place_of(seal.first):
            raise SealsBroken(f"the log of flock {seal.flock!r} is out of order at {seal.last}; {LOOK}")
        unit = Unit().expect(SUBJECT, self._version)
        unit.event_for(Event(type=KIND, subject=SUBJECT, body=seal.to_json()), ())
        answer = await writer.write(unit)
        if not isinstance(answer, Written):
            raise SealingBusy(f"another process has sealed flock {seal.flock!r} meanwhile: seal again")
        self._version += 1
        self.book.append([seal])
