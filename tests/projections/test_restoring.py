"""A flock that was lost comes back from its mirror as it was: every event byte for byte, every note, every content."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roost_tests.core import happened, open_core
from roost_tests.crew import events_of
from roost_tests.mirror_source import Messages, mirror_of, read_logs
from roost_tests.playing import LARGE, LEASE, Playing, steps
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.actors.stored_states import StoredStates
from roost.projections.mirror_reading import MirrorIncomplete, MirrorReading
from roost.projections.restoring import Restored, find_bounds, make_flock, restore
from roost.projections.retention import archive
from roost.projections.verify import verify
from roost.streams import (
    AgentLimits,
    Connection,
    Event,
    Keys,
    NoteNotFound,
    Reader,
    RoostError,
    ServerUnavailable,
    Shard,
    Unit,
)
from roost.streams import event as declare
from roost.streams.agent_limits import Held, limit_agent, limits_of_agents, read_held
from roost.streams.archive.store import Store
from roost.streams.durability import MEMORY
from roost.streams.event import pairs
from roost.streams.every_shard import find_shards
from roost.streams.kafka.chunk import chunks_of
from roost.streams.kafka.spool import Spool, SpoolFull

PATIENCE = timedelta(seconds=60)
BLINK = timedelta(milliseconds=1)
numbers = itertools.count()


@declare("restored.counted")
@dataclass(frozen=True, slots=True)
class Counted:
    n: int


@declare("restored.added")
@dataclass(frozen=True, slots=True)
class Added:
    n: int


@dataclass(frozen=True, slots=True)
class Sum:
    n: int = 0


class Adder(Actor):
    """Adds up, and tells the world."""

    state = Sum

    def evolve(self, state: Sum, event: object) -> Sum:
        return Sum(state.n + event.n) if isinstance(event, Added) else state

    @on(Counted, key=lambda counted: f"k{counted.n % 3}")
    async def add(self, counted: Counted, ctx: Context[Sum]) -> Added:
        await ctx.effect(f"told/{counted.n}", self.tell)
        page = await ctx.memory.once(f"page/{counted.n}", lambda: self.read(counted.n))
        return Added(len(page.text))

    async def tell(self, key: str) -> str:
        return key

    async def read(self, n: int) -> str:
        return f"page {n}"


async def play(flock: Flock) -> None:
    """Something of all that a log may have."""
    async with flock.work(Adder(), run="r1"):
        await flock.append(*[Counted(n) for n in range(6)], run="r1")

        async def handled() -> bool:
            return len(await events_of(flock, "delivery.handled")) == 6

        await wait_until(handled)
    await flock.memory.put("kept", tags=["t"])
    await flock.memory.put(LARGE * 12, key="large")
    await flock.memory.put("")
    await flock.memory.forget((await flock.memory.put("forgotten")).id)
    await flock.memory.put("kept by another")
    await flock.memory.forget((await flock.memory.put("kept by another")).id)
    await flock.memory.put("soon over", key="over", ttl=BLINK)

    async def expired() -> bool:
        return bool(await events_of(flock, "note.expired"))

    for notes in [flock.notes] if flock.shards == 1 else []:
        await notes.expire()
    await wait_until(expired)


async def shards_of(connection: Connection, name: str) -> list[Shard]:
    shards = await find_shards(connection.client, name, patience=PATIENCE)
    for shard in shards:
        await shard.open()
    return shards


async def make(connection: Connection, name: str, count: int = 1) -> list[Shard]:
    """A new flock's."""
    await Shard(connection.client, Keys(name), patience=PATIENCE).make(None, count)
    return await shards_of(connection, name)


async def bring_back(
    messages: Messages, shards: Sequence[Shard], *, until_ms: int | None = None, partial: bool = False
) -> Restored:
    spool = Spool()
    try:
        reading = MirrorReading(messages, spool, until_ms=until_ms, partial=partial)
        await reading.find_places()
        await reading.read(await find_bounds(shards, messages.name, messages.flock, until_ms))
        return await restore(reading, shards, messages.flock)
    finally:
        spool.close()


async def test_an_encrypted_flock_comes_back_encrypted_and_forgets_as_before(
    connection: Connection, server_url: str, flock_name: str
) -> None:
    async with Flock.open(flock_name, server_url, encrypted=True) as flock:
        letter = await flock.memory.put("Ada writes.", key="letter", about=["ada"])
    messages = await mirror_of(await shards_of(connection, flock_name))
    assert not any(b"Ada" in (message.value or b"") for message in messages.parts)
    into = f"{flock_name}-back"
    await bring_back(messages, await make_flock(connection.client, into, messages.held, MEMORY))
    async with Flock.open(into, server_url) as back:
        assert (await back.memory.get(letter.id)).text == "Ada writes."
        again = await back.memory.put("Ada writes.", about=["ada"])
        assert again.record.digest == letter.record.digest
        assert (await back.memory.forget_subject("ada")).notes == 2
    async with Flock.open(flock_name, server_url) as flock:  # the key was that of both
        with pytest.raises(NoteNotFound):
            await flock.memory.get(letter.id)


@pytest.mark.parametrize("count", [1, 3])
async def test_every_event_and_every_note_comes_back_as_it_was(
    connection: Connection, server_url: str, flock_name: str, count: int
) -> None:
    async with Flock.open(flock_name, server_url, shards=count) as flock:
        await play(flock)
    origin = await shards_of(connection, flock_name)
    messages = await mirror_of(origin)
    assert any(message.value is None for message in messages.parts)

    target = await make(connection, f"{flock_name}-back", count)
    done = await bring_back(messages, target)
    logs = await read_logs(origin)
    assert await read_logs(target) == logs
    assert (done.events, done.forgotten, done.resumed) == (sum(map(len, logs)), 0, False)
    verdict = await verify(target, content=True)
    assert (verdict.is_clean, verdict.causes_checked) == (True, True), verdict.findings
    assert verdict.contents == (await verify(origin, content=True)).contents
    for shard, back in zip(origin, target, strict=True):
        for kind in ("versions", "keys", "refs", "expired"):
            assert await back.command("HGETALL", back.keys.key(kind)) == await shard.command(
                "HGETALL", shard.keys.key(kind)
            )
    forgotten = hashlib.sha256(b"forgotten").hexdigest()
    assert not [1 for shard in target if await shard.command("EXISTS", shard.keys.key("blob", forgotten))]

    # It goes on from there: states are folded of what came back, effects are known.
    async with Flock.open(f"{flock_name}-back", server_url) as flock:
        async with flock.work(Adder(), run="r2"):
            await flock.append(*[Counted(n) for n in range(6)], run="r2")

            async def handled() -> bool:
                return len(await events_of(flock, "delivery.handled")) == 12

            await wait_until(handled)
        assert len(await events_of(flock, "effect.intended")) == 6
        assert [difference async for difference in StoredStates(target, Adder()).differences()] == []
        states = [await shard.command("HGETALL", shard.keys.key("state", "Adder")) for shard in target]
        assert sorted(value for held in states for value in _flat(held)) == [b'4 {"n":24}'] * 3
    assert (await verify(target, content=True)).is_clean


@pytest.mark.parametrize("count", [1, 3])
async def test_limits_of_agents_come_back_with_what_they_have(
    connection: Connection, server_url: str, flock_name: str, count: int
) -> None:
    origin, reader = await make(connection, flock_name, count), Reader("operator")
    await limit_agent(origin, "gone", AgentLimits(notes=1), reader)
    await limit_agent(origin, "gone", None, reader)
    await limit_agent(origin, "*", AgentLimits(bytes=10**6), reader)
    async with Flock.open(flock_name, server_url, agent="a") as flock:
        notes = [await flock.memory.put(f"note {number}") for number in range(8)]
        await flock.memory.forget(notes[0].id)
    await limit_agent(origin, "a", AgentLimits(notes=9, requests_per_minute=60), reader)
    messages = await mirror_of(origin)
    target = await make_flock(connection.client, f"{flock_name}-back", messages.held, MEMORY)
    await bring_back(messages, target)
    assert await read_logs(target) == await read_logs(origin), "nothing was told once more"
    await origin[0].open()
    await target[0].open()
    assert limits_of_agents(target[0]) == limits_of_agents(origin[0])
    assert set(limits_of_agents(target[0])) == {"*", "a"}
    assert await read_held(target) == await read_held(origin) == ({"a": Held(7, 42)}, True)


class Cutting:
    """Ends a restore at its so many-th script, as if the process had died there: once before it, once behind it."""

    def __init__(self, shards: Sequence[Shard], left: int) -> None:
        self._shards = shards
        self._left = left

    def __enter__(self) -> None:
        for shard in self._shards:
            shard.run = self._cut(shard.run)  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        for shard in self._shards:
            del shard.run

    def _cut(self, run: Any) -> Any:
        async def call(*args: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                raise ServerUnavailable("cut off")
            answer = await run(*args)
            if self._left == 1:
                self._left = 0
                raise ServerUnavailable("cut off")
            return answer

        return call


async def _or_none(restoring: Coroutine[Any, Any, Restored]) -> Restored | None:
    try:
        return await restoring
    except ServerUnavailable:
        return None


@asynccontextmanager
async def open_spread(connection: Connection, name: str) -> AsyncGenerator[Flock]:
    async with Flock.open(name, connection.url) as flock:
        yield flock


def _flat(reply: Any) -> list[bytes]:
    """The values of a hash."""
    return list(pairs(reply).values())


async def test_a_log_that_was_trimmed_and_archived_comes_back_whole(
    connection: Connection, server_url: str, flock_name: str, tmp_path: Path
) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        for _ in range(2):
            await flock.memory.once("again", lambda: _text("again"), ttl=BLINK)
            await wait_until(lambda: _is_over(flock))
            await archive(flock.shard, Store(str(tmp_path)))
        await flock.memory.put("behind")
    (shard,) = origin = await shards_of(connection, flock_name)
    messages = await mirror_of(origin)
    versions = [entry[b"ver"] for _, entry in (await read_logs(origin))[0] if entry[b"subject"] == b"key/again"]
    assert versions == [b"1", b"1"]
    assert await shard.command("XLEN", shard.keys.log) < len(messages.sent)

    target = await make(connection, f"{flock_name}-back")
    await bring_back(messages, target)
    assert await read_logs(target) == await read_logs(origin)
    verdict = await verify(target, content=True)
    assert verdict.is_clean, verdict.findings

    async with Flock.open(f"{flock_name}-back", server_url) as flock:  # and goes the same way again
        await flock.memory.once("again", lambda: _text("again"), ttl=BLINK)
        await wait_until(lambda: _is_over(flock))
        await archive(flock.shard, Store(str(tmp_path / "other")))
        await flock.memory.put("behind that")
        assert (await verify([flock.shard])).is_clean


async def _text(text: str) -> str:
    return text


async def _is_over(flock: Flock) -> bool:
    """Whether the note of that key has expired."""
    await flock.notes.expire()
    return not await flock.shard.command("HEXISTS", flock.shard.keys.key("keys"), "again")


@given(st.lists(st.one_of(steps, st.just(("archive",))), max_size=16))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_was_done_and_archived_comes_back(
    connection: Connection, server_url: str, flock_name: str, tmp_path: Path, played: list[tuple[Any, ...]]
) -> None:
    name = f"{flock_name}-{next(numbers)}"
    async with (
        Flock.open(name, server_url, claim_lease=LEASE) as flock,
        Flock.open(name, server_url, claim_lease=LEASE, agent="other") as other,
        Flock.open(name, server_url, claim_lease=LEASE, agent="aside", sharing="cache") as aside,
    ):
        playing = Playing(flock, other, aside)
        for step in played:
            if step == ("archive",):
                await archive(flock.shard, Store(str(tmp_path / name)))
            else:
                await playing.play(step)
    origin = await shards_of(connection, name)
    messages = await mirror_of(origin)
    target = await make(connection, f"{name}-back")
    if messages.sent:
        await bring_back(messages, target)
    assert await read_logs(target) == await read_logs(origin)
    verdict = await verify(target, content=True)
    assert verdict.is_clean, verdict.findings
    await archive(target[0], Store(str(tmp_path / f"{name}-back")))
    verdict = await verify(target, content=True)
    assert verdict.is_clean, verdict.findings


async def test_entries_that_roost_did_not_write_come_back_too(connection: Connection, flock_name: str) -> None:
    (shard,) = await make(connection, flock_name)
    async with open_core(connection, flock_name) as core:
        await core.append(happened("a"), happened("b"))
        await shard.command("XADD", shard.keys.log, "*", "hello", b"\xff\x00", "prev", "1-1")
        odd = Event(type="odd", subject="a")
        unit = Unit().event(odd)
        args: list[Any] = [shard.routes.generation, "p", 1, "t", 60_000, 1, unit.parts, *unit.routed(shard.routes)]
        args = [b'{"id": 5}' if word == odd.meta() else word for word in args]
        assert b"ok" in (await shard.script("write")(shard.client, shard.keys.log, *args))[0]
        await core.append(happened("a"))
    origin = [shard]
    log = (await read_logs(origin))[0]
    assert [fields.get(b"ver") for _, fields in log] == [b"1", b"1", None, b"2", b"3"]

    target = await make(connection, f"{flock_name}-back")
    assert (await bring_back(await mirror_of(origin), target)).events == 5
    assert await read_logs(target) == [log]
    ((back,), (there,)) = target, origin
    assert await back.command("HGETALL", back.keys.key("versions")) == await there.command(
        "HGETALL", there.keys.key("versions")
    )


async def test_what_a_failover_lost_after_it_was_mirrored_does_not_come_back(
    connection: Connection, flock_name: str
) -> None:
    """Two mirrors in one topic: behind the place where they part only what the second one says counts."""
    origin = await make(connection, flock_name)
    async with open_core(connection, flock_name) as core:
        for n in range(5):
            await core.append(happened(f"a/{n}"))
        before = await mirror_of(origin)
        entries = (await read_logs(origin))[0]
        for entry, _ in entries[3:]:  # the server has lost these
            await core.shard.command("XDEL", core.shard.keys.log, entry)
            await core.shard.command("HDEL", core.shard.keys.key("versions"), f"a/{entries.index((entry, _))}")
        await core.append(happened("a/9"), happened("a/3"))
    after = await mirror_of(origin, mirror=2)
    after.sent = [*before.sent, *after.sent[3:]]
    after.forget_lost(0, entries[2][0].decode(), 2)

    target = await make(connection, f"{flock_name}-back")
    assert (await bring_back(after, target)).events == 5
    assert await read_logs(target) == await read_logs(origin)


async def test_order_and_repeats_in_the_topic_do_not_matter(connection: Connection, flock_name: str) -> None:
    origin = await make(connection, flock_name)
    async with open_core(connection, flock_name) as core:
        for n in range(120):
            await core.append(happened(f"a/{n % 7}"))
    messages = await mirror_of(origin)
    messages.sent = [*messages.sent[::-1], *messages.sent[10:60]]
    messages.sent.append(replace(messages.sent[0], headers=[("of", b"others")]))
    target = await make(connection, f"{flock_name}-back")
    assert (await bring_back(messages, target)).events == 120
    assert await read_logs(target) == await read_logs(origin)


async def test_what_is_missing_is_named_and_nothing_is_written(connection: Connection, flock_name: str) -> None:
    origin = await make(connection, flock_name)
    async with open_core(connection, flock_name) as core:
        for n in range(9):
            await core.append(happened(f"a/{n % 2}"))
        kept = await core.put(LARGE.encode() * 12)
    whole = await mirror_of(origin)
    target = await make(connection, f"{flock_name}-back")

    async def refused(sentence: str, **changed: Any) -> None:
        messages = Messages(whole.flock)
        messages.sent, messages.parts, messages.held = list(whole.sent), list(whole.parts), list(whole.held)
        for name, value in changed.items():
            setattr(messages, name, value)
        with pytest.raises(MirrorIncomplete) as error:
            await bring_back(messages, target)
        assert sentence in str(error.value), error.value
        assert not await target[0].command("EXISTS", target[0].keys.log)

    place = (await read_logs(origin))[0][4][0].decode()
    await refused("1 of 10 events are missing", sent=[*whole.sent[:2], *whole.sent[3:]])
    await refused(f"an event of a/0 before {place}", sent=[*whole.sent[:2], *whole.sent[3:]])
    await refused("3 of 10 events are missing", sent=whole.sent[3:])
    await refused(f"the content {kept.digest} is missing, and nobody has forgotten it", parts=[])
    await refused(f"the content {kept.digest} is incomplete: 1 of 2 parts", parts=whole.parts[:1])
    spoiled = replace(whole.parts[1], value=b"y" * len(whole.parts[1].value or b""))
    await refused(f"the content {kept.digest} does not fit its digest", parts=[whole.parts[0], spoiled])
    swollen = [replace(part, headers=[*part.headers, ("chunks", b"9" * 17)]) for part in whole.parts]
    await refused("is incomplete: 2 of 99999999999999999 parts", parts=swollen)
    swollen = [replace(part, headers=[*part.headers, ("chunks", b"9" * 30)]) for part in whole.parts]
    await refused("is missing, and nobody has forgotten it", parts=swollen)
    await refused("has only a part of the flock, the types a.*", held=[replace(whole.held[0], types=("a.*",))])
    other = replace(whole.sent[3], value=b'{"other":1}')
    await refused("1 messages say something else of an event", sent=[*whole.sent, other])

    # All but that comes back when that is wanted.
    whole.sent, whole.parts = [*whole.sent[:2], *whole.sent[3:]], []
    assert (await bring_back(whole, target, partial=True)).events == 9
    assert len((await read_logs(target))[0]) == 9


async def test_a_flock_that_has_events_is_refused(connection: Connection, flock_name: str) -> None:
    origin = await make(connection, flock_name)
    target = await make(connection, f"{flock_name}-back")
    async with open_core(connection, f"{flock_name}-back") as other:
        await other.append(happened("mine"))
    async with open_core(connection, flock_name) as core:
        await core.append(happened("a"))
    with pytest.raises(RoostError, match="has events already, and a log is restored into a flock that has none"):
        await bring_back(await mirror_of(origin), target)
    assert len((await read_logs(target))[0]) == 1


async def test_a_restore_that_is_cut_off_anywhere_is_ended_by_the_same_again(
    connection: Connection, flock_name: str
) -> None:
    origin = await make(connection, flock_name, 2)
    async with open_spread(connection, flock_name) as flock:
        for n in range(900):
            await flock.append(Event(type="thing", subject=f"a/{n % 40}"))
        await flock.memory.put(LARGE)
    messages = await mirror_of(origin)
    target = await make(connection, f"{flock_name}-back", 2)
    for left in range(1, 40):
        cut = Cutting(target, left)
        with cut:
            done = await _or_none(bring_back(messages, target))
        if done is not None:
            break
        # More has been mirrored meanwhile: it is no part of this restore.
        messages.held[0] = replace(messages.held[0])
    else:
        pytest.fail("it was cut off again and again")
    assert left > 8
    assert done.resumed
    assert await read_logs(target) == await read_logs(origin)
    assert (await verify(target, content=True)).is_clean
    with pytest.raises(RoostError, match=r"was restored from .* already"):
        await bring_back(messages, target)


async def test_two_at_once_do_no_harm(connection: Connection, flock_name: str) -> None:
    origin = await make(connection, flock_name)
    async with open_core(connection, flock_name) as core:
        for n in range(900):
            await core.append(happened(f"a/{n % 9}"))
        await core.put(b"kept", key="k")
    messages = await mirror_of(origin)
    targets = [await make(connection, f"{flock_name}-back") for _ in range(2)]
    came = await asyncio.gather(*[bring_back(messages, one) for one in targets], return_exceptions=True)
    assert [one for one in came if isinstance(one, Restored)]
    assert all(isinstance(one, Restored) or "already" in str(one) for one in came), came
    assert await read_logs(targets[0]) == await read_logs(origin)
    assert (await verify(targets[0], content=True)).is_clean


async def test_somebody_who_writes_meanwhile_ends_it(connection: Connection, flock_name: str) -> None:
    origin = await make(connection, flock_name)
    async with open_core(connection, flock_name) as core:
        for _ in range(500):
            await core.append(happened("a"))
    messages = await mirror_of(origin)
    target = await make(connection, f"{flock_name}-back")
    with Cutting(target, 3):
        assert await _or_none(bring_back(messages, target)) is None
    with pytest.raises(RoostError, match="is being restored, or that was cut off"):
        await make(connection, f"{flock_name}-back")
    with pytest.raises(RoostError, match="is being restored, or that was cut off"):
        await verify(target)
    (shard,) = target
    await shard.command("XADD", shard.keys.log, "*", "somebody", "else")
    with pytest.raises(RoostError, match="somebody wrote into flock"):
        await bring_back(messages, target)


async def test_up_to_a_time_what_was_forgotten_later_stays_forgotten(
    connection: Connection, server_url: str, flock_name: str
) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        secret = await flock.memory.put("secret")
        kept = await flock.memory.put("kept")
        until = (await flock.log.last()).ms
        await wait_until(lambda: _is_later(flock, until))
        await flock.memory.get(kept.id)
        await flock.memory.forget(secret.id)
        await flock.memory.put("later")
    origin = await shards_of(connection, flock_name)
    messages = await mirror_of(origin)
    digest = hashlib.sha256(b"secret").hexdigest()
    messages.parts = [*chunks_of(0, digest, b"secret"), *[part for part in messages.parts if part.value is not None]]

    target = await make(connection, f"{flock_name}-back")
    done = await bring_back(messages, target, until_ms=until)
    assert (done.events, done.forgotten) == (2, 1)
    (log,) = await read_logs(target)
    assert log[:2] == (await read_logs(origin))[0][:2]
    assert [fields[b"type"] for _, fields in log[2:]] == [b"note.forgotten"]
    assert not await target[0].command("EXISTS", target[0].keys.key("blob", digest))
    assert (await verify(target, content=True)).is_clean
    async with Flock.open(f"{flock_name}-back", server_url) as flock:
        assert (await flock.memory.get(kept.id)).text == "kept"
        with pytest.raises(NoteNotFound):
            await flock.memory.get(secret.id)
    with pytest.raises(RoostError, match=r"is restored from|has events"):
        await bring_back(messages, target)


async def _is_later(flock: Flock, ms: int) -> bool:
    seconds, _ = await flock.connection.client.execute_command("TIME")
    return int(seconds) * 1000 > ms


async def test_a_spool_without_room_is_a_sentence(connection: Connection, flock_name: str) -> None:
    origin = await make(connection, flock_name)
    async with open_core(connection, flock_name) as core:
        await core.append(*[happened("a", body=b'"%b"' % (b"x" * 4000)) for _ in range(100)])
    spool = Spool(most_pages=60)
    try:
        reading = MirrorReading(await mirror_of(origin), spool)
        await reading.find_places()
        with pytest.raises(SpoolFull, match="set TMPDIR to a directory with more"):
            await reading.read()
    finally:
        spool.close()
