"""What must always hold, whatever happens in whatever order: a state machine against a real server.

Several writers append, claim, complete, read, forget and settle deliveries, in calls of one or several units. Replies
and requests are lost, producers are forgotten, leases and deadlines end, deliveries are taken over, late commits come.
After every step the whole shard is compared with what it should be, and with the fold of its own log.

ROOST_EXAMPLES=2000 runs it for longer, and so does `-m long`; both look for the shortest way to a failure.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from hashlib import sha256
from typing import Any, ClassVar, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.exceptions import ConnectionError as LostReply
from roost_tests.core import LEAST, ME, MINUTE, Core, claim_unit, happened, note_unit
from roost_tests.lossy import LossyClient
from roost_tests.shadow import Routed, Shadow, ShadowInbox, ShadowNote, State

from roost.streams import Claims, Connection, Delivery, Inbox, Keys, Log, NoteNotFound, Notes, Shard, Writer
from roost.streams.answer import Answer, Conflicted, Fenced, Granted, Held, Present, Stale, Written
from roost.streams.client import ask_all_nodes
from roost.streams.connection import connect
from roost.streams.unit import StoredContent, Unit

T = TypeVar("T")
Foreseen = tuple[Unit, tuple[type[Answer], object]]
"""A unit, and how it must end."""
NOW, LONG = timedelta(0), timedelta(hours=1)
WRITERS, CONSUMERS, SUBJECTS, KEYS = range(3), ("c1", "c2", "c3"), ("a", "b", "c"), ("k0", "k1")
CONTENTS = (b"", b"short", b"other", b"x" * 70_000)
INBOXES: dict[str, tuple[list[str], str | None]] = {
    "A": (["thing.happened"], None),
    "B": (["thing.happened", "thing.done"], "r1"),
    "C": (["note.written", "note.read", "note.missed", "note.expired", "note.forgotten", "work.claimed"], None),
}
numbers = st.integers(0, 30)
writers = st.sampled_from(WRITERS)
operations = st.tuples(st.sampled_from(["append", "settle", "put", "claim", "complete"]), numbers, numbers, numbers)


class LogMachine(RuleBasedStateMachine):
    """One flock, three processes that write, three consumers for each inbox."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    connection: ClassVar[Connection]
    flock: ClassVar[str]
    patience: ClassVar[timedelta] = timedelta(seconds=10)
    runs: ClassVar[Any] = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.shadow = Shadow()
        self.ids = itertools.count()
        self.clients: list[LossyClient] = []
        self.cores: list[Core] = []
        self.granted: list[tuple[str, str]] = []
        self.entries: dict[str, tuple[int, str]] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize()
    def open(self) -> None:
        keys = Keys(f"{self.flock}-{next(self.runs)}")
        for _ in WRITERS:
            client = LossyClient(self.connection.client)
            shard = Shard(client, keys)
            self.run(shard.open())
            core = Core(self.connection, shard, Writer(shard), Log(shard), Notes(shard), Claims(shard))
            self.clients.append(client)
            self.cores.append(core)
        for name in ("A", "B"):
            self.subscribe(0, name)
        self.write(1, [("append", number, number, 2) for number in range(4)])

    def teardown(self) -> None:
        for core in self.cores:
            self.run(core.writer.close())

    # What is lost, forgotten, and over.

    @rule(writer=writers, losses=st.lists(st.sampled_from(["reply", "request"]), min_size=1, max_size=2))
    def lose(self, writer: int, losses: list[str]) -> None:
        self.clients[writer].losses = losses

    @rule(writer=writers, lost=st.booleans())
    def forget_producer(self, writer: int, lost: bool) -> None:
        """It was idle for too long, or the server lost its last second."""
        if not self.clients[writer].losses:
            for key in self.run(self.find("producer")):
                command = ("HINCRBY", key, "number", -2) if lost else ("DEL", key)
                self.run(self.connection.client.execute_command(*command))
            for each in WRITERS:
                self.clients[each].losses = []
                self.write(each, [("append", 0, 0, 0)])

    @rule(key=st.sampled_from(KEYS))
    def end_lease(self, key: str) -> None:
        self.run(self.connection.client.delete(self.key("claim", key)))
        self.shadow.claims.pop(key, None)

    @precondition(lambda self: self.shadow.notes)
    @rule(number=numbers)
    def pass_deadline(self, number: int) -> None:
        note = self.note(number)
        if note.state == "live":
            client = self.connection.client
            self.run(client.execute_command("HSET", self.key("note", note.id), "deadline", 1))
            self.run(client.execute_command("ZADD", self.key("deadlines"), 1, note.id))
            note.state = "past"

    # What is subscribed.

    @rule(writer=writers, name=st.sampled_from(sorted(INBOXES)))
    def subscribe(self, writer: int, name: str) -> None:
        types, run = INBOXES[name]
        self.run(self.cores[writer].inbox(name).subscribe(types, run))
        self.shadow.inboxes.setdefault(name, ShadowInbox(frozenset(types), run))

    @precondition(lambda self: self.shadow.inboxes)
    @rule(writer=writers, number=numbers)
    def unsubscribe(self, writer: int, number: int) -> None:
        name, inbox = self.inbox(number)
        left = len(inbox.of("inbox", "pending", "waiting"))
        assert self.run(self.cores[writer].inbox(name).unsubscribe()) == left
        if not left and not inbox.of("dead"):
            del self.shadow.inboxes[name]
        elif not left:
            self.subscribe(writer, name)

    # What is written, one unit or several in a call.

    @rule(writer=writers, batch=st.lists(operations, min_size=1, max_size=5))
    def write(self, writer: int, batch: list[tuple[str, int, int, int]]) -> None:
        """Each unit is foreseen in the shadow, in order; all go out together; each answer must be it."""
        core, claims = self.cores[writer], list(self.granted)
        foreseen = [self.unit(core, claims, *operation) for operation in batch]
        answers = self.run(core.write(*[unit for unit, _ in foreseen]))
        for answer, (_, (kind, detail)) in zip(answers, foreseen, strict=True):
            assert isinstance(answer, kind), (answer, kind, detail)
            match answer:
                case Conflicted(current=value) | Present(note=value) | Stale(note=value) | Written(versions=value):
                    assert value == detail
                case _:
                    pass

    def unit(self, core: Core, claims: list[tuple[str, str]], operation: str, *draw: int) -> Foreseen:
        match operation:
            case "append":
                return self.append_unit(*draw)
            case "settle":
                return self.settle_unit(*draw)
            case "put":
                return self.put_unit(core, *draw)
            case "claim":
                return self.claim_unit(*draw)
            case _:
                return self.complete_unit(core, claims, *draw)

    @rule(writer=writers, draws=st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=4))
    def settle(self, writer: int, draws: list[tuple[int, int, int]]) -> None:
        self.write(writer, [("settle", *draw) for draw in draws])

    def append_unit(self, number: int, events: int, expectation: int) -> Foreseen:
        names = [SUBJECTS[(number + each) % 2] for each in range(events % 3 + 1)]
        unit, current = Unit(), self.shadow.versions[names[0]]
        match expectation % 5:
            case 0:
                unit.expect(names[0], current)
            case 1:
                unit.expect(names[0], current + expectation % 3 + 1)
                return unit.event(happened(names[0])), (Conflicted, current)
            case _:
                pass
        versions: list[int] = []
        for name in names:
            event = happened(name, run="r1" if number % 2 else None)
            unit.event(event)
            self.shadow.append_event(event)
            versions.append(self.shadow.versions[name])
        return unit, (Written, tuple(versions))

    def settle_unit(self, number: int, which: int, how: int) -> Foreseen:
        """With any token that was ever given: a right one, one that was taken over, one that was used."""
        given = [(inbox, *pair) for inbox in self.shadow.inboxes.values() for pair in inbox.tokens[-6:]]
        done = happened("result", "thing.done", run="r1" if number % 2 else None)
        if not given:
            return Unit(), (Written, ())
        inbox, index, token = given[number % len(given)]
        routed, unit = inbox.routed[index], Unit()
        delay = LONG if which % 3 == 0 else NOW
        match how % 3:
            case 0:
                unit.acknowledge(token)
            case 1:
                unit.park(token, b'{"type":"Trouble"}')
            case _:
                unit.postpone(token, delay, routed.attempts + token.count)
        unit.event(done)
        if not routed.is_held_by(token):
            return unit, (Fenced, None)
        ends: tuple[State, ...] = ("handled", "dead", "waiting")
        routed.state, routed.in_hand = ends[how % 3], False
        routed.is_due = delay == NOW
        if routed.state == "waiting":
            routed.attempts += token.count
        self.shadow.append_event(done)
        return unit, (Written, (self.shadow.versions["result"],))

    def put_unit(self, core: Core, number: int, which: int, key: int) -> Foreseen:
        return self.note_unit(core, Unit(), CONTENTS[which % len(CONTENTS)], (None, *KEYS)[key % 3], number)

    def note_unit(self, core: Core, unit: Unit, content: bytes, key: str | None, number: int) -> Foreseen:
        _, record = note_unit(self.stored(core, content), key=key, ttl=LONG if number % 2 else None, unit=unit)
        subject = f"note/{record.id}" if key is None else f"key/{key}"
        self.shadow.append("note.written", subject, record.id)
        self.shadow.write_note(ShadowNote(record.id, key, record.digest, content))
        return unit, (Written, (self.shadow.versions[subject],))

    def stored(self, core: Core, content: bytes) -> StoredContent:
        return self.run(core.notes.store(content))

    def claim_unit(self, number: int, nonce: int, after: int) -> Foreseen:
        key = KEYS[number % len(KEYS)]
        word = f"n{nonce % 4}" if nonce % 2 else f"new{next(self.ids)}"
        version, entry = self.entries.get(key, (0, ""))
        wanted = ("-", "-", "*", entry)[after % 4]
        unit = claim_unit(key, word, MINUTE, wanted, owner=f"owner of {word}")
        match self.shadow.claim(key, word, wanted, version):
            case "note":
                return unit, (Present, self.shadow.keys[key])
            case "held":
                return unit, (Held, None)
            case "claimed":
                pass
            case "granted":
                self.shadow.append("work.claimed", "actor/me")
        self.granted.append((key, word))
        return unit, (Granted, None)

    def complete_unit(self, core: Core, claims: list[tuple[str, str]], number: int, which: int, ttl: int) -> Foreseen:
        """With any claim that was ever granted before this call."""
        if not claims:
            return Unit(), (Written, ())
        key, nonce = claims[-1 - number % min(len(claims), 6)]
        unit, content = Unit().complete(key, nonce), CONTENTS[which % len(CONTENTS)]
        if self.shadow.completes(key, nonce):
            del self.shadow.claims[key]
            return self.note_unit(core, unit, content, key, ttl)
        note_unit(self.stored(core, content), key=key, unit=unit)
        live = self.shadow.live_note(key)
        return unit, (Stale, live.id if live else None)

    @rule(writer=writers, number=numbers, renew=st.booleans())
    def keep_or_release(self, writer: int, number: int, renew: bool) -> None:
        if not self.granted:
            return
        key, nonce = self.granted[number % len(self.granted)]
        mine = self.shadow.claims.get(key, ("", 0))[0] == nonce
        claims = self.cores[writer].claims
        if renew:
            assert self.run(claims.renew([(key, nonce)], MINUTE)) == [mine]
            return
        self.clients[writer].losses = []  # a repeated release finds nothing to release
        assert self.run(claims.release(key, nonce)) == mine
        if mine:
            del self.shadow.claims[key]

    # What is read, swept and forgotten.

    @rule(writer=writers, number=numbers, by_key=st.booleans())
    def read(self, writer: int, number: int, by_key: bool) -> None:
        notes = self.cores[writer].notes
        if by_key or not self.shadow.notes:
            expected = self.shadow.live_note(KEYS[number % len(KEYS)])
            found = self.run(notes.find(KEYS[number % len(KEYS)], ME))
        else:
            note = self.note(number)
            expected = note if note.state == "live" else None
            found = self.run(notes.get(note.id, ME))
        assert (found.raw if found else None) == (expected.content if expected else None)
        if found:
            self.shadow.append("note.read", f"note/{found.id}")
        else:
            self.shadow.append("note.missed", "actor/me")

    @rule(writer=writers)
    def sweep(self, writer: int) -> None:
        past = sorted(note.id for note in self.shadow.notes.values() if note.state == "past")
        lost = bool(self.clients[writer].losses)
        swept = self.run(self.cores[writer].notes.expire())
        assert swept == len(past) or (lost and swept == 0)
        for note_id in past:
            self.shadow.append("note.expired", f"note/{note_id}")
            self.shadow.drop_note(self.shadow.notes[note_id], "expired")

    @precondition(lambda self: self.shadow.notes)
    @rule(writer=writers, number=numbers)
    def forget(self, writer: int, number: int) -> None:
        note = self.note(number)
        if note.state == "forgotten":
            with pytest.raises(NoteNotFound):
                self.run(self.cores[writer].notes.forget(note.id, ME))
            return
        self.run(self.cores[writer].notes.forget(note.id, ME))
        self.shadow.append("note.forgotten", f"note/{note.id}")
        self.shadow.drop_note(note, "forgotten")

    # What is delivered.

    @precondition(lambda self: self.shadow.inboxes)
    @rule(number=numbers, consumer=st.sampled_from(CONSUMERS), count=st.integers(1, 4), lost=st.booleans())
    def deliver(self, number: int, consumer: str, count: int, lost: bool) -> None:
        name, inbox = self.inbox(number)
        fresh = [self.run(self.routed_at(inbox, fields)) for _, fields in self.run(self.stream("inbox", name))]
        expected = [routed for routed in fresh if routed.state == "inbox"][:count]
        client = LossyClient(self.connection.client)
        if lost:
            client.losses = ["reply"]
        try:
            deliveries = self.run(self.at(name, consumer).read(client, count, LEAST))  # type: ignore[arg-type]  # enough of one
        except LostReply:
            for routed in expected:
                routed.state, routed.consumer, routed.count, routed.in_hand = "pending", consumer, 1, False
            self.run(self.learn_entries(name, inbox))
            return
        assert [self.run(self.index_of(each)) for each in deliveries] == [routed.index for routed in expected]
        self.take(inbox, deliveries, consumer)

    @precondition(lambda self: self.shadow.inboxes)
    @rule(number=numbers, consumer=st.sampled_from(CONSUMERS), limit=st.integers(1, 3))
    def find_mine(self, number: int, consumer: str, limit: int) -> None:
        name, inbox = self.inbox(number)
        own = [routed for routed in inbox.of("pending") if routed.consumer == consumer]
        in_hand = [routed.entry for routed in own if routed.in_hand]
        handled = {token.entry: token.count for _, token in inbox.tokens if token.consumer == consumer}
        deliveries = self.run(
            self.at(name, consumer).mine(in_hand, limit, {e: n for e, n in handled.items() if e not in in_hand})
        )
        assert len(deliveries) == min(limit, len(own) - len(in_hand))
        assert not {delivery.token.entry for delivery in deliveries} & set(in_hand)
        self.take(inbox, deliveries, consumer)

    @precondition(lambda self: self.shadow.inboxes)
    @rule(number=numbers, first=st.sampled_from(CONSUMERS), second=st.sampled_from(CONSUMERS), late=st.booleans())
    def freeze(self, number: int, first: str, second: str, late: bool) -> None:
        """A worker gets deliveries and freezes, another takes them over; then both go on, in one order or the other."""
        name, inbox = self.inbox(number)
        self.write(0, [("append", 1, 2, 2)])
        self.deliver(number, first, 2, False)
        self.take_over(number, second, 3)
        for index, token in list(inbox.tokens[-4:]) if late else list(reversed(inbox.tokens[-4:])):
            held = inbox.routed[index].is_held_by(token)
            assert self.run(self.at(name, token.consumer).renew([token])) == [held]
            self.run(self.check())
        self.settle(1, [(each, each, number) for each in range(4)])

    @precondition(lambda self: self.shadow.inboxes)
    @rule(number=numbers, consumer=st.sampled_from(CONSUMERS), limit=st.integers(1, 3))
    def take_over(self, number: int, consumer: str, limit: int) -> None:
        name, inbox = self.inbox(number)
        pending = inbox.of("pending")
        _, deliveries = self.run(self.at(name, consumer).take_over(NOW, "0-0", limit))
        assert len(deliveries) == min(limit, len(pending))
        self.take(inbox, deliveries, consumer)

    @precondition(lambda self: self.shadow.inboxes)
    @rule(number=numbers, token=numbers, hand_back=st.booleans())
    def renew_or_hand_back(self, number: int, token: int, hand_back: bool) -> None:
        name, inbox = self.inbox(number)
        if not inbox.tokens:
            return
        index, chosen = inbox.tokens[-1 - token % min(len(inbox.tokens), 6)]
        routed, part = inbox.routed[index], self.at(name, chosen.consumer)
        if not hand_back:
            assert self.run(part.renew([chosen])) == [routed.is_held_by(chosen)]
        elif routed.is_held_by(chosen):
            lost = bool(self.clients[0].losses)
            behind = routed.attempts + min(chosen.count, 2)
            assert self.run(part.hand_back({chosen: behind})) == 1 or lost
            routed.state, routed.entry, routed.attempts, routed.in_hand = "inbox", "", behind, False
        else:
            assert self.run(part.hand_back({chosen: 0})) == 0

    @precondition(lambda self: self.shadow.inboxes)
    @rule(number=numbers)
    def move_due(self, number: int) -> None:
        name, inbox = self.inbox(number)
        due = [routed for routed in inbox.of("waiting") if routed.is_due]
        lost = bool(self.clients[0].losses)  # then the repeat finds them moved
        moved, _ = self.run(self.at(name, "c1").due())
        assert moved == len(due) or (lost and moved == 0)
        for routed in due:
            routed.state, routed.entry = "inbox", ""

    @precondition(lambda self: self.shadow.inboxes)
    @rule(number=numbers, consumer=st.sampled_from(CONSUMERS), delay=numbers)
    def fail(self, number: int, consumer: str, delay: int) -> None:
        """A delivery fails, waits, and is delivered again, with its attempts behind it."""
        self.deliver(number, consumer, 2, False)
        self.settle(1, [(each, delay, 2) for each in range(3)])
        self.run(self.check())
        self.move_due(number)
        self.run(self.check())
        self.deliver(number, consumer, 2, False)

    @precondition(lambda self: self.shadow.inboxes)
    @rule(number=numbers, consumer=st.sampled_from(CONSUMERS))
    def retire(self, number: int, consumer: str) -> None:
        name, inbox = self.inbox(number)
        busy = any(routed.consumer == consumer for routed in inbox.of("pending"))
        assert self.run(self.at(name, consumer).retire()) == (not busy)

    # What must always hold.

    @invariant()
    def holds(self) -> None:
        if self.cores:
            self.run(self.check())

    async def check(self) -> None:
        entries = await self.stream("log")
        self.check_log(entries, await self.hash("versions"))
        await self.check_notes(entries)
        claims = {key.decode().rpartition(":")[2] for key in await self.find("claim")}
        assert claims == set(self.shadow.claims)
        for key, (nonce, _) in self.shadow.claims.items():
            assert (await self.hash("claim", key))[b"nonce"] == nonce.encode()
        places = {entry: index for index, (entry, _) in enumerate(entries)}
        for name, inbox in self.shadow.inboxes.items():
            await self.check_inbox(name, inbox, places)

    def check_log(self, entries: list[Any], versions: dict[bytes, bytes]) -> None:
        """Every acknowledged event once, in order; versions without gaps; each names the one before it."""
        last: dict[bytes, tuple[int, bytes]] = {}
        assert len(entries) == len(self.shadow.log)
        for (entry, fields), (kind, subject, event_id) in zip(entries, self.shadow.log, strict=True):
            assert (fields[b"type"].decode(), fields[b"subject"].decode()) == (kind, subject)
            assert event_id in (None, orjson.loads(fields[b"meta"])["id"])
            version, previous = last.get(fields[b"subject"], (0, None))
            assert int(fields[b"ver"]) == version + 1
            assert fields.get(b"prev") == previous
            last[fields[b"subject"]] = (version + 1, entry)
        assert versions == {subject: b"%d %s" % pair for subject, pair in last.items()}
        ids = Counter(orjson.loads(fields[b"meta"])["id"] for _, fields in entries)
        assert not [event_id for event_id, times in ids.items() if times > 1]
        for key in KEYS:
            version, entry = last.get(f"key/{key}".encode(), (0, b""))
            self.entries[key] = (version, entry.decode())

    async def check_notes(self, entries: list[Any]) -> None:
        """The notes are the fold of the log, and their contents those that it names."""
        live: dict[str, bytes] = {}
        keys: dict[bytes, bytes] = {}
        expired: dict[bytes, bytes] = {}
        refs: Counter[bytes] = Counter()
        digests: dict[str, bytes] = {}
        for _, fields in entries:
            kind, data = fields[b"type"].decode(), orjson.loads(fields[b"data"])
            if kind == "note.written":
                digests[data["note"]] = live[data["note"]] = data["digest"].encode()
                refs[live[data["note"]]] += 1
                if "key" in data:
                    keys[data["key"].encode()] = data["note"].encode()
            elif kind in ("note.expired", "note.forgotten"):
                if live.pop(data["note"], None):
                    keys = {key: note for key, note in keys.items() if note != data["note"].encode()}
                expired.pop(data["note"].encode(), None)
                if kind == "note.expired":
                    expired[data["note"].encode()] = digests[data["note"]]
                else:
                    refs[digests[data["note"]]] -= 1
        named = {digest: b"%d" % count for digest, count in refs.items() if count}
        assert await self.hash("keys") == keys
        assert await self.hash("expired") == expired
        assert await self.hash("refs") == named
        assert named == {digest.encode(): b"%d" % count for digest, count in self.shadow.refs().items()}
        assert {key.decode().rpartition(":")[2] for key in await self.find("note")} == set(live)
        index = await self.connection.client.execute_command("ZRANGE", self.key("deadlines"), 0, -1)
        assert {note.decode() for note in index} == set(live)
        blobs = {key.decode().rpartition(":")[2].encode() for key in await self.find("blob")}
        assert set(named) <= blobs <= set(named) | {sha256(CONTENTS[-1]).hexdigest().encode()}, "the upload may wait"

    async def check_inbox(self, name: str, inbox: ShadowInbox, places: dict[bytes, int]) -> None:
        """Every routed event is in one place: to be read, given, waiting, parked, or handled."""
        pending = {
            row["message_id"]: (row["consumer"].decode(), int(row["times_delivered"]))
            for row in await self.connection.client.execute_command(
                "XPENDING", self.key("inbox", name), "workers", "-", "+", 10_000, parse_detail=True
            )
        }
        held = {places[fields[b"pos"]]: entry for entry, fields in await self.stream("inbox", name)}
        given = {index: pending[entry] for index, entry in held.items() if entry in pending}
        assert len(given) == len(pending), "nothing is pending that is not there"
        assert given == {each.index: (each.consumer, each.count) for each in inbox.of("pending")}
        assert held.keys() - given.keys() == {each.index for each in inbox.of("inbox")}
        waiting = await self.hash("waiting", name)
        due = await self.connection.client.execute_command("ZRANGE", self.key("timers", name), 0, -1)
        assert set(due) == set(waiting)
        assert {places[position_of(text)] for text in waiting.values()} == {each.index for each in inbox.of("waiting")}
        dead = [places[fields[b"pos"]] for _, fields in await self.stream("dead", name)]
        assert sorted(dead) == sorted(each.index for each in inbox.of("dead"))

    # How it is looked at.

    def key(self, kind: str, ident: str | None = None) -> str:
        return self.cores[0].shard.keys.key(kind, ident)

    def note(self, number: int) -> ShadowNote:
        return list(self.shadow.notes.values())[number % len(self.shadow.notes)]

    def inbox(self, number: int) -> tuple[str, ShadowInbox]:
        return list(self.shadow.inboxes.items())[number % len(self.shadow.inboxes)]

    def at(self, name: str, consumer: str) -> Inbox:
        return self.cores[0].inbox(name, consumer)

    def take(self, inbox: ShadowInbox, deliveries: list[Delivery], consumer: str) -> None:
        """They are in that consumer's hands now, each with a token that nobody has had before."""
        for delivery in deliveries:
            routed = inbox.routed[self.run(self.index_of(delivery))]
            assert delivery.token not in [token for _, token in inbox.tokens]
            assert delivery.attempt == routed.attempts + min(delivery.token.count, 2)
            routed.state, routed.consumer, routed.in_hand = "pending", consumer, True
            routed.entry, routed.count = delivery.token.entry, delivery.token.count
            inbox.tokens.append((routed.index, delivery.token))

    async def routed_at(self, inbox: ShadowInbox, fields: dict[bytes, bytes]) -> Routed:
        places = [entry for entry, _ in await self.stream("log")]
        return inbox.routed[places.index(fields[b"pos"])]

    async def index_of(self, delivery: Delivery) -> int:
        places = [entry for entry, _ in await self.stream("log")]
        return places.index(str(delivery.event.position).encode())

    async def learn_entries(self, name: str, inbox: ShadowInbox) -> None:
        for entry, fields in await self.stream("inbox", name):
            (await self.routed_at(inbox, fields)).entry = entry.decode()

    async def stream(self, kind: str, ident: str | None = None) -> list[Any]:
        entries: list[Any] = await self.connection.client.xrange(self.key(kind, ident))
        return entries

    async def hash(self, kind: str, ident: str | None = None) -> dict[bytes, bytes]:
        return await self.connection.client.hgetall(self.key(kind, ident))

    async def find(self, kind: str) -> list[bytes]:
        pattern = self.key(kind, "").replace("{", "\\{") + "*"
        found = await ask_all_nodes(self.connection.client, "KEYS", pattern)
        return [key for keys in found for key in keys]


def position_of(fields: bytes) -> bytes:
    """The place in the log of a delivery that waits."""
    flat: list[str] = orjson.loads(fields)
    return flat[flat.index("pos") + 1].encode()


def run_machine(url: str, flock: str, examples: int, steps: int, *, shrink: bool = True) -> None:
    loop = asyncio.new_event_loop()
    try:
        connection = loop.run_until_complete(connect(url))

        class Machine(LogMachine):
            pass

        Machine.loop, Machine.connection, Machine.flock = loop, connection, flock
        # Looking for the shortest way takes minutes, which the quick suite does not have.
        phases = [phase for phase in Phase if shrink or phase not in (Phase.shrink, Phase.explain)]
        checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                phases=phases,
                suppress_health_check=checks,
            ),
        )
        loop.run_until_complete(connection.close())
    finally:
        loop.close()


def test_the_invariants_hold_through_losses_repeats_and_take_overs(server_url: str, flock_name: str) -> None:
    examples = os.environ.get("ROOST_EXAMPLES")
    run_machine(server_url, flock_name, int(examples or 20), 40, shrink=examples is not None)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_invariants_hold_for_long(server_url: str, flock_name: str) -> None:
    run_machine(server_url, flock_name, 1000, 80)
