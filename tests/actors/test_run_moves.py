"""A run is moved in a file: what is told of it elsewhere is what was told where it was made."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from roost_tests.command import RoostCommand
from roost_tests.crew import events_of
from roost_tests.own_server import OwnServer
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.actors.replay import FiledRun, LoggedRun, RecordedRun, Replay
from roost.actors.replay.exporting import export_run
from roost.actors.replay.importing import Imported, import_run
from roost.actors.stored_states import StoredStates
from roost.projections.retention import archive
from roost.projections.verify import verify
from roost.streams import Event, NoteNotFound, Notes, Position, RoostError, ServerFull, Shard, connect
from roost.streams import event as declare
from roost.streams.archive.store import Store
from roost.streams.every_shard import find_only_shard, find_shards
from roost.streams.run_file import RunFileUnusable, RunFileWriter, SpooledRun
from roost.streams.run_file.header import Header
from roost.streams.run_file.part import Part

from .conftest import Join

RUN, EARLIER = "r1", "r0"
MANY = 3000


@declare("moves.asked")
@dataclass(frozen=True, slots=True)
class Asked:
    n: int


@declare("moves.told")
@dataclass(frozen=True, slots=True)
class Told:
    n: int
    words: int


@dataclass(frozen=True, slots=True)
class Sum:
    words: int = 0


class Reader(Actor):
    """Reads pages, which all runs share, and puts drafts."""

    @on(Asked)
    async def read(self, asked: Asked, ctx: Context[Any]) -> Told:
        page = await ctx.memory.once(f"page/{asked.n}", lambda: self.download(asked.n))
        draft = await ctx.memory.put(f"A draft of page {asked.n} for {ctx.run}.", tags=["draft"])
        same = await ctx.memory.put("The same in all drafts.")
        return Told(asked.n, len(f"{page.text} {draft.text} {same.text}".split()))

    async def download(self, n: int) -> str:
        return f"Page {n} tells of owls. " * (4000 if n == 1 else 1)


class Adder(Actor):
    """Counts the words of a page, over all runs."""

    state = Sum

    def evolve(self, state: Sum, event: object) -> Sum:
        return Sum(state.words + event.n) if isinstance(event, Added) else state

    @on(Told, key=lambda told: str(told.n))
    async def add(self, told: Told, ctx: Context[Sum]) -> Added:
        return Added(told.words)


@declare("moves.added")
@dataclass(frozen=True, slots=True)
class Added:
    n: int


async def play(flock: Flock, run: str, *pages: int) -> None:
    """A run that has ended."""
    async with flock.work(Reader(), Adder(), run=run):
        await flock.append(*[Asked(n) for n in pages], run=run)

        async def done() -> bool:
            ended = await events_of(flock, "delivery.handled")
            return len([event for event in ended if event.run == run]) == 2 * len(pages)

        await wait_until(done)


async def all_of(events: AsyncGenerator[Event] | AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


async def contents_of(run: RecordedRun) -> dict[str, bytes | None]:
    written = [event for event in await all_of(run.events()) if event.type == "note.written"]
    written += [event for event in await all_of(run.before()) if event.type == "note.written"]
    return {event.data["digest"]: await run.content(event.data["digest"]) for event in written}


def unversioned(events: list[Event]) -> list[tuple[Any, ...]]:
    return [(e.position, e.id, e.type, e.subject, e.body, e.meta()) for e in events]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "run.roost"


Elsewhere = Callable[..., Awaitable[Shard]]


@pytest.fixture
async def elsewhere(server_url: str, flock_name: str) -> AsyncIterator[Elsewhere]:
    """An empty flock, or the one of that name: `shard = await elsewhere("b")`."""
    async with await connect(server_url) as connection:

        async def make(name: str = "there") -> Shard:
            patience = timedelta(seconds=10)
            name = f"{flock_name}-{name}"
            return await find_only_shard(connection.client, name, patience=patience, what="an import")

        yield make


async def bring(place: Path, shard: Shard) -> Imported:
    return await import_run(SpooledRun(place), shard)


async def is_right(shard: Shard) -> None:
    verdict = await verify([shard], content=True)
    assert verdict.is_clean, verdict.findings
    assert verdict.odd == 0


async def test_a_file_tells_all_that_the_log_tells(flock: Flock, place: Path) -> None:
    await play(flock, EARLIER, 0, 1)
    await play(flock, RUN, 1, 2)
    logged = LoggedRun([flock.shard], RUN)
    written = (await export_run([flock.shard], RUN, place)).written
    filed = FiledRun(place)
    assert (filed.run, filed.flock) == (RUN, flock.name)
    assert await all_of(filed.events()) == await all_of(logged.events())
    before = await all_of(logged.before())
    assert {event.type for event in before} >= {"note.written", "work.computed", "moves.added"}
    assert await all_of(filed.before()) == before
    contents = await contents_of(logged)
    assert None not in contents.values()
    assert await contents_of(filed) == contents
    assert max(len(content or b"") for content in contents.values()) > 64 * 1024
    assert (written.contents, written.forgotten, written.others) == (len(contents), 0, len(before))


async def test_a_run_that_goes_on_is_told(flock: Flock, place: Path) -> None:
    for kind, goes_on in (("test.t", False), ("run.started", True), ("test.t", True), ("run.ended", False)):
        await flock.append(Event(type=kind, subject=f"run/{RUN}", run=RUN))
        assert (await export_run([flock.shard], RUN, place)).goes_on == goes_on


async def test_what_roost_did_not_write_is_left_out_and_counted(
    flock: Flock, place: Path, elsewhere: Elsewhere
) -> None:
    await play(flock, RUN, 1)
    odd = (Event(type="t", subject="s", id=7, run=RUN), Event(type="t", subject="s", run=RUN, actor=["a"]))  # type: ignore[arg-type]  # that is what is odd
    await flock.append(
        *odd, Event(type="note.written", subject="s", body=b'{"note":"n","digest":"/etc","size":-1}', run=RUN)
    )
    assert (await export_run([flock.shard], RUN, place)).odd == 2
    assert len(await all_of(FiledRun(place).events())) == len(await all_of(LoggedRun([flock.shard], RUN).events())) - 2
    await bring(place, await elsewhere())


async def test_a_damaged_content_is_told_and_nothing_is_written(flock: Flock, place: Path) -> None:
    await play(flock, RUN, 1)
    digest = (await events_of(flock, "note.written"))[0].data["digest"]
    await flock.shard.command("SETRANGE", flock.shard.keys.key("blob", digest), 0, "X")
    with pytest.raises(RunFileUnusable, match="roost verify --content"):
        await export_run([flock.shard], RUN, place)
    assert list(await asyncio.to_thread(lambda: [*place.parent.iterdir()])) == []


async def test_the_memory_of_a_file_is_what_the_flock_s_was_then(flock: Flock, place: Path) -> None:
    await play(flock, RUN, 1, 2)
    positions = [event.position for event in await events_of(flock, "note.written", "delivery.handled")]
    draft = next(event.data for event in await events_of(flock, "note.written") if event.data.get("tags"))
    await flock.memory.forget(draft["note"])
    await export_run([flock.shard], RUN, place)
    filed = Replay(FiledRun(place))
    for position in positions[::3] + positions[-1:]:
        assert position is not None
        then, here = await filed.at(str(position)), await flock.at(position)
        assert [note async for note in then.notes()] == [note async for note in here.notes()]
        assert await then.find("page/1") == await here.find("page/1")
        assert await then.state(Adder(), "1") == await here.state(Adder(), "1")
        assert {hit.record.id for hit in (await then.search("owls")).hits} == {
            hit.record.id for hit in (await here.search("owls")).hits
        }
    then = await filed.at(str(positions[-1]))
    assert (await then.get(draft["note"])).mark == "forgotten"
    assert len(then) > 3
    with pytest.raises(NoteNotFound):
        await (await filed.at("1-0")).get(draft["note"])
    now = await filed.at(datetime.now(UTC))
    assert len(now) == len(then) - 1


async def test_several_read_a_file_at_once(flock: Flock, place: Path) -> None:
    await play(flock, RUN, 1, 2)
    await export_run([flock.shard], RUN, place)
    with_file = FiledRun(place)
    once = await all_of(with_file.events())
    assert await asyncio.gather(*[all_of(with_file.events()) for _ in range(3)]) == [once] * 3
    async with aclosing(with_file.events()) as events:
        assert (await anext(events)) == once[0]
        with_file.close()
        with pytest.raises(RunFileUnusable, match="was closed"):
            await with_file.content(next(each.data["digest"] for each in once if each.type == "note.written"))


async def test_what_went_into_the_archive_is_in_the_file(flock: Flock, place: Path, tmp_path: Path) -> None:
    await play(flock, EARLIER, 0, 1)
    await play(flock, RUN, 1, 2)
    await export_run([flock.shard], RUN, place)
    middle = (await all_of(LoggedRun([flock.shard], RUN).events()))[5].position
    store = Store(str(tmp_path / "archive"))
    for until in (middle, None):
        await archive(flock.shard, store, until)
        again = tmp_path / "again.roost"
        await export_run([flock.shard], RUN, again)
        assert await asyncio.to_thread(again.read_bytes) == await asyncio.to_thread(place.read_bytes)


async def test_an_imported_run_is_what_it_was(flock: Flock, place: Path, elsewhere: Elsewhere, join: Join) -> None:
    await play(flock, EARLIER, 0, 1)
    await play(flock, RUN, 1, 2)
    await export_run([flock.shard], RUN, place)
    shard = await elsewhere()
    imported = await bring(place, shard)
    assert (imported.run, imported.origin, imported.flock) == (RUN, flock.name, shard.keys.flock)
    await is_right(shard)
    logged, moved = LoggedRun([flock.shard], RUN), LoggedRun([shard], RUN)
    assert unversioned(await all_of(moved.events())) == unversioned(await all_of(logged.events()))
    assert unversioned(await all_of(moved.before())) == unversioned(await all_of(logged.before()))
    assert await contents_of(moved) == await contents_of(logged)
    there = await join(flock=shard.keys.flock)
    check = await there.replay(RUN).check(Reader(), Adder())
    assert (check.checked, check.divergences, check.unchecked) == (4, [], []), str(check)

    # States are folded from the keys' own events, which are all there.
    states = StoredStates([shard], Adder())
    assert await states.rebuild() == (2, 2)
    for page in ("1", "2"):
        value = [await each.command("HGET", each.keys.key("state", "Adder"), page) for each in (shard, flock.shard)]
        assert value[0] == value[1] is not None

    # Its memory serves what it knew, and goes on: nobody computes the page again.
    found = await there.memory.once("page/1", lambda: Reader().download(9))
    assert "Page 1 tells" in found.text
    await play(there, "r2", 2, 3)
    await is_right(shard)


async def test_what_was_forgotten_stays_so(flock: Flock, place: Path, elsewhere: Elsewhere, join: Join) -> None:
    await play(flock, RUN, 1, 2)
    notes = [event.data for event in await events_of(flock, "note.written")]
    shared = next(data for data in notes if data["size"] == len("The same in all drafts."))
    other = next(data for data in notes if data["digest"] == shared["digest"] and data is not shared)
    draft = next(data for data in notes if data.get("tags") == ["draft"])
    for data in (shared, draft):
        await flock.memory.forget(data["note"])
    written = (await export_run([flock.shard], RUN, place)).written
    assert (written.forgotten, draft["digest"] in SpooledRun(place).forgotten) == (1, True)
    filed = FiledRun(place)
    assert await filed.content(draft["digest"]) is None
    assert await all_of(filed.events()) == await all_of(LoggedRun([flock.shard], RUN).events())
    shard = await elsewhere()
    assert (await bring(place, shard)).missing == 1
    await is_right(shard)
    there = await join(flock=shard.keys.flock)
    assert (await there.memory.get(other["note"])).text == "The same in all drafts."
    for data in (shared, draft):
        with pytest.raises(NoteNotFound):
            await there.memory.get(data["note"])


async def test_what_has_expired_meanwhile_is_not_served_and_its_content_stays(
    flock: Flock, place: Path, elsewhere: Elsewhere, join: Join
) -> None:
    body = b'{"note":"%b","digest":"%b","size":5,"written":1,"key":"k","author":"a","run":"r1","ttl_ms":1}'
    ident, digest = "ab" * 12, sha256(b"hello").hexdigest()
    written = Event(
        type="note.written", subject="key/k", body=body % (ident.encode(), digest.encode()), id=ident, run=RUN,
        version=1, position=Position(0, 1_700_000_000_000, 0),
    )  # fmt: skip
    with RunFileWriter(place, Header(RUN, "owls")) as file:
        file.add(written, Part.RUN)
        file.add_content(digest, 5, b"hello")
        file.finish()
    shard = await elsewhere()
    await bring(place, shard)
    await is_right(shard)
    assert await LoggedRun([shard], RUN).content(digest) == b"hello"
    there = await join(flock=shard.keys.flock)
    assert await there.memory.find("k") is None
    await Notes(shard).expire()
    assert len(await events_of(there, "note.expired")) == 1
    assert await LoggedRun([shard], RUN).content(digest) == b"hello"


async def test_several_shards_become_one(place: Path, elsewhere: Elsewhere, flock_name: str, server_url: str) -> None:
    wide = f"{flock_name}-wide"
    async with Flock.open(wide, server_url, shards=3) as flock:
        await play(flock, EARLIER, 0, 1, 4)
        await play(flock, RUN, 1, 2, 3, 4)
    async with await connect(server_url) as connection:
        shards = await find_shards(connection.client, wide, patience=timedelta(seconds=5))
        await export_run(shards, RUN, place)
        logged = await all_of(LoggedRun(shards, RUN).events())
        contents = await contents_of(LoggedRun(shards, RUN))
    filed = FiledRun(place)
    assert await all_of(filed.events()) == logged
    assert len({event.position.shard for event in logged if event.position}) == 3
    shard = await elsewhere()
    await bring(place, shard)
    await is_right(shard)
    moved = LoggedRun([shard], RUN)
    assert [event.id for event in await all_of(moved.events())] == [event.id for event in logged]
    assert await contents_of(moved) == contents


def write_many(place: Path) -> list[Event]:
    """A file of a run that takes a while to import."""
    events = [
        Event(
            type="page.read", subject=f"page/{n % 7}", body=b'{"text":"%b"}' % (b"word " * 40), run=RUN, version=n,
            position=Position(0, 1_700_000_000_000 + n // 3, n % 3),
        )
        for n in range(1, MANY + 1)
    ]  # fmt: skip
    with RunFileWriter(place, Header(RUN, "owls")) as file:
        for event in events:
            file.add(event, Part.RUN)
        file.finish()
    return events


async def test_an_import_that_was_killed_is_ended_by_another(
    place: Path, tmp_path: Path, elsewhere: Elsewhere, server_url: str
) -> None:
    events = write_many(place)
    shard = await elsewhere()
    roost = RoostCommand(tmp_path, ROOST_URL=server_url)
    process = await roost.start("import", str(place), "--flock", shard.keys.flock)
    goal = random.randrange(1, MANY // 2)

    async def has_come_so_far() -> bool:
        return int(await shard.command("XLEN", shard.keys.log)) >= goal

    await wait_until(has_come_so_far, every=0.001, timeout=20)
    process.kill()
    await process.communicate()
    assert int(await shard.command("XLEN", shard.keys.log)) < MANY, "it was killed in the middle"
    assert (await bring(place, shard)).resumed
    moved = await all_of(LoggedRun([shard], RUN).events())
    assert unversioned(moved) == unversioned(events)
    await is_right(shard)
    with pytest.raises(RoostError, match=r"is in flock .* already"):
        await bring(place, shard)


async def test_replies_that_are_lost_on_the_way_change_nothing(
    place: Path, flock_name: str, server_url: str, proxy: Callable[[str], Awaitable[Proxy]]
) -> None:
    events = write_many(place)
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection:
        name = f"{flock_name}-there"
        shard = await find_only_shard(connection.client, name, patience=timedelta(seconds=10), what="an import")
        faults = [faulty.lose_reply("EVALSHA", nth=nth) for nth in (2, 4, 7, 16, 17, 18)]
        faults += [faulty.lose_request("EVALSHA", nth=nth) for nth in (9, 12)]
        await bring(place, shard)
        assert all(fault.happened.is_set() for fault in faults)
        assert unversioned(await all_of(LoggedRun([shard], RUN).events())) == unversioned(events)
        await is_right(shard)


async def test_two_imports_of_a_file_at_once_do_no_harm(place: Path, elsewhere: Elsewhere) -> None:
    events = write_many(place)
    shard = await elsewhere()
    await asyncio.gather(*[bring(place, await elsewhere()) for _ in range(2)])
    assert unversioned(await all_of(LoggedRun([shard], RUN).events())) == unversioned(events)
    await is_right(shard)


async def test_a_log_that_others_write_into_is_not_taken(
    flock: Flock, place: Path, elsewhere: Elsewhere, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    await play(flock, RUN, 1)
    await export_run([flock.shard], RUN, place)
    with pytest.raises(RoostError, match="has events already"):
        await bring(place, flock.shard)
    shard = await elsewhere()
    monkeypatch.setattr("roost.streams.adoption.MOST_EVENTS", 5)
    run, calls = shard.run, list[str]()

    async def interrupted(name: str, *args: Any) -> Any:
        calls.append(name)
        if calls.count("adopt") == 3:
            await (await join(flock=shard.keys.flock)).append(Event(type="test.t", subject="s"))
        return await run(name, *args)

    monkeypatch.setattr(shard, "run", interrupted)
    with pytest.raises(RoostError, match="somebody wrote into flock"):
        await bring(place, shard)
    with pytest.raises(RoostError, match="somebody wrote into flock"):
        await bring(place, await elsewhere())
    await export_run([flock.shard], RUN, place)
    other = await elsewhere("other")
    await bring(place, other)
    write_many(place)
    with pytest.raises(RoostError, match="an import of run r1 from another file"):
        await bring(place, other)


async def test_events_in_the_wrong_place_are_refused_before_anything_is_written(
    place: Path, elsewhere: Elsewhere
) -> None:
    shard = await elsewhere()
    for places, why in (
        ([(5, 0), (5, 0)], "wrong place"), ([(5, 1), (5, 0)], "wrong place"), ([(2**54, 0)], "wrong place"),
        ([(1, 0), (4_000_000_000_000, 0)], "a time to come"),
    ):  # fmt: skip
        with RunFileWriter(place, Header(RUN, "owls")) as file:
            for ms, seq in places:
                file.add(Event(type="t", subject="s", run=RUN, version=1, position=Position(0, ms, seq)), Part.RUN)
            file.finish()
        with pytest.raises(RunFileUnusable, match=why):
            await bring(place, shard)
    assert not await shard.command("EXISTS", shard.keys.key("meta"))


async def test_a_server_that_is_full_takes_the_rest_later(
    place: Path, own_server: Callable[[], Awaitable[OwnServer]]
) -> None:
    events = write_many(place)
    server = await own_server()
    async with await connect(server.url) as connection:
        client = connection.client
        shard = await find_only_shard(client, "there", patience=timedelta(seconds=1), what="an import")
        used = int((await client.execute_command("INFO", "memory"))["used_memory"])
        await client.execute_command("CONFIG", "SET", "maxmemory", used + 1_000_000)
        with pytest.raises(ServerFull):
            await bring(place, shard)
        come = await shard.command("XLEN", shard.keys.log)
        await client.execute_command("CONFIG", "SET", "maxmemory", 0)
        assert 0 < come < MANY
        assert (await bring(place, shard)).resumed
        assert unversioned(await all_of(LoggedRun([shard], RUN).events())) == unversioned(events)
        await is_right(shard)
