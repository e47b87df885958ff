"""Claims of clients: a piece of work that one of them does while the others wait.

A claim is a computation of `Memory.once` that waits for its client. So its renewal, takeover, fencing and waiting are
those of every computation in the flock, whoever asks for the key and by whatever surface.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

from roost.actors import Computed, Flock, Work
from roost.streams import LimitExceeded, Note, NoteRecord, RoostError

from .seat import Seat

MAX_IN_HAND = 32
"""Claims of one client."""
MAX_ENDED = 1000
"""Claims that have ended and are remembered, so that who comes too late can be told."""
MAX_SOURCES = 1000
SHORTEST_S = 0.1
HAND_IN_S = 15.0
"""Longer than the command is patient with a server that is away."""
LATE_WAIT_S = 2.0
LATE_LIMIT = timedelta(minutes=1)


class GaveUp(RoostError):
    """The agent that had claimed the work gave it up."""


class UnknownTicket(RoostError):
    """No claim of yours has that ticket; working_on lists those that you hold."""


@dataclass(slots=True, eq=False, kw_only=True)
class Claim:
    """A piece of work that a client has asked for. `until_ms` is when it must be handed in, by this machine's clock."""

    seat: Seat
    key: str
    label: str | None
    limit: timedelta
    ticket: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    granted: asyncio.Event = field(default_factory=asyncio.Event)
    answer: asyncio.Future[Computed] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    task: asyncio.Task[Note] = field(init=False)
    sources: dict[str, None] = field(default_factory=dict[str, None])
    until_ms: float = 0.0
    digest: str | None = None

    async def compute(self) -> Computed:
        """What `once` runs when the work is ours: it waits for the client."""
        self.until_ms = (time.time() + self.limit.total_seconds()) * 1000
        self.granted.set()
        return await self.answer

    def has_read(self, note_id: str) -> None:
        if len(self.sources) < MAX_SOURCES:
            self.sources[note_id] = None

    def give_up(self, reason: str) -> None:
        if not self.granted.is_set():
            self.answer.cancel()  # should the work become ours yet, it ends at once
        elif not self.answer.done():
            self.answer.set_exception(GaveUp(reason))


@dataclass(frozen=True, slots=True)
class Ended:
    """A claim that has ended: with a note, or with none."""

    seat: str
    key: str
    label: str | None
    digest: str | None
    record: NoteRecord | None
    is_ours: bool
    """Whether that is the note of what was handed in."""


@dataclass(frozen=True, slots=True)
class HandedIn:
    """How handing in a result ended: `kept` if it became the note of the key, which is `record`."""

    key: str
    kept: bool
    record: NoteRecord | None
    in_time: bool = True


class Claims:
    """What the clients of this process have claimed."""

    def __init__(self, flock: Flock) -> None:
        self._flock = flock
        self._held: dict[str, Claim] = {}
        self._asked: set[Claim] = set()
        """Claims that clients wait for."""
        self._ended: dict[str, Ended] = {}

    def of(self, seat: Seat) -> list[Claim]:
        """What that client has in hand, the oldest first."""
        return [claim for claim in self._held.values() if claim.seat is seat]

    def has_read(self, seat: Seat, note_id: str) -> None:
        """What a client reads is a source of what it has in hand."""
        for claim in self.of(seat):
            claim.has_read(note_id)

    async def take(
        self, seat: Seat, key: str, *, label: str | None, wait_s: float, limit: timedelta
    ) -> Claim | Note | None:
        """The claim if the work is the client's now; its note if it is known, or is brought by another within the time;
        None while another has it. Raises what `once` raises."""
        if len(self.of(seat)) + sum(claim.seat is seat for claim in self._asked) >= MAX_IN_HAND:
            raise LimitExceeded(f"you hold or wait for {MAX_IN_HAND} claims: complete or give up some of them first")
        claim = Claim(seat=seat, key=key, label=label, limit=limit)
        # A task of its own: it must outlive the request, and the next ones of this client must not touch its context.
        claim.task = asyncio.create_task(
            self._flock.memory.once(key, claim.compute, limit=limit, label=label), name=f"roost mcp {key[:40]}"
        )
        claim.task.add_done_callback(lambda task: self._landed(claim, task))
        self._asked.add(claim)
        try:
            await self._settled(claim, wait_s)
            if claim not in self._asked:  # nobody would ever give it up
                raise LimitExceeded("this client has left: what it waited for is for others")
        except BaseException:  # the request has gone, and nobody would ever know the ticket
            self._withdraw(claim)
            raise
        finally:
            self._asked.discard(claim)
        if claim.granted.is_set():
            self._held[claim.ticket] = claim
            if claim.task.done():  # its limit was shorter than the way here
                self._landed(claim, claim.task)
            return claim
        if claim.task.done():
            return claim.task.result()
        self._withdraw(claim)
        return None

    async def _settled(self, claim: Claim, wait_s: float) -> None:
        """Until the claim is ours, the note is there, or the time is over and another has the claim."""
        granted = asyncio.create_task(claim.granted.wait())
        either = {claim.task, granted}
        try:
            await asyncio.wait(either, timeout=max(wait_s, SHORTEST_S), return_when=asyncio.FIRST_COMPLETED)
            while not (claim.granted.is_set() or claim.task.done()):
                held = await self.is_held(claim.key)
                # Once more, since the claim that is held may be ours, its answer on the way.
                await asyncio.wait(either, timeout=SHORTEST_S, return_when=asyncio.FIRST_COMPLETED)
                if held:
                    return
        finally:
            granted.cancel()

    async def is_held(self, key: str) -> bool:
        """Whether anybody in the flock computes that key now."""
        shard = self._flock.shard
        return bool(await shard.command("EXISTS", shard.keys.key("claim", key)))

    def _withdraw(self, claim: Claim) -> None:
        # A flight that others have joined goes on without us: if it is ours, it must end by itself.
        claim.give_up("the client did not wait for its claim")
        if not claim.granted.is_set():
            claim.task.cancel()

    def _landed(self, claim: Claim, task: asyncio.Task[Note]) -> None:
        """Remember how a claim ended."""
        failed = task.cancelled() or task.exception() is not None
        if self._held.pop(claim.ticket, None) is None:
            return  # it was never handed out
        note = None if failed else task.result()
        is_ours = note is not None and _is_ours(note, claim.seat, claim.digest)
        record = None if note is None else note.record
        self._ended[claim.ticket] = Ended(claim.seat.key, claim.key, claim.label, claim.digest, record, is_ours)
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]

    async def complete(
        self, seat: Seat, ticket: str, content: str, *, tags: Sequence[str], sources: Sequence[str] | None
    ) -> HandedIn:
        """Hand in a result. Raises UnknownTicket, LimitExceeded, ServerUnavailable: then it may be handed in again."""
        digest = sha256(content.encode()).hexdigest()
        claim = self._held.get(ticket)
        if claim is None or claim.seat is not seat or claim.answer.done():
            return await self._hand_in_late(
                seat, ticket, Computed(content, Work(), _some(sources), tuple(tags)), digest
            )
        computed = Computed(content, Work(), tuple(claim.sources) if sources is None else tuple(sources), tuple(tags))
        claim.digest = digest
        claim.answer.set_result(computed)
        # Who was frozen while another took the work over would wait for that one.
        await asyncio.wait([claim.task], timeout=HAND_IN_S)
        if not claim.task.done():
            claim.task.cancel()
            return HandedIn(claim.key, False, None, in_time=False)
        note = claim.task.result()
        return HandedIn(claim.key, _is_ours(note, seat, digest), note.record)

    async def _hand_in_late(self, seat: Seat, ticket: str, computed: Computed, digest: str) -> HandedIn:
        """The claim has ended: what is known by now stands. If nobody has the work, the result is welcome."""
        ended = self._ended.get(ticket)
        if ended is None or ended.seat != seat.key:
            raise UnknownTicket
        if ended.record is not None and ended.digest == digest:  # its first answer was lost
            return HandedIn(ended.key, ended.is_ours, ended.record)

        async def at_hand() -> Computed:
            return computed

        try:
            async with asyncio.timeout(LATE_WAIT_S):
                note = await self._flock.memory.once(ended.key, at_hand, limit=LATE_LIMIT, label=ended.label)
        except TimeoutError:  # another is at it
            return HandedIn(ended.key, False, None, in_time=False)
        return HandedIn(ended.key, _is_ours(note, seat, digest), note.record, in_time=False)

    async def give_up(self, seat: Seat, ticket: str, reason: str) -> str:
        """Free the work for others; its key. Raises UnknownTicket."""
        claim = self._held.get(ticket)
        if claim is None or claim.seat is not seat:
            ended = self._ended.get(ticket)
            if ended is None or ended.seat != seat.key:
                raise UnknownTicket
            return ended.key
        claim.give_up(reason)
        await asyncio.wait([claim.task])
        return claim.key

    async def leave(self, seat: Seat) -> None:
        """Give up whatever that client has in hand, or still asks for."""
        self._asked = {claim for claim in self._asked if claim.seat is not seat}
        claims = self.of(seat)
        for claim in claims:
            claim.give_up("the client has left")
        if claims:
            await asyncio.wait([claim.task for claim in claims])


def _some(sources: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if sources is None else tuple(sources)


def _is_ours(note: Note, seat: Seat, digest: str | None) -> bool:
    """Whether that is what the client handed in. A record that is sealed has another digest than its content."""
    kept = note.record.digest if not note.record.about else sha256(note.raw).hexdigest()
    return kept == digest and note.author == seat.agent
