"""The desk of the pages: what they ask is answered, bounded in time, and leaves no trace where it only looks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from roost_tests.own_server import OwnServer
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.dashboard.annals import Annals
from roost.dashboard.annals.events import EventsPast
from roost.dashboard.annals.notes import NotesPast
from roost.dashboard.desk import Desk
from roost.dashboard.feed import Feed
from roost.otel.span_links import SpanLinks
from roost.streams import Event, ServerUnavailable, Settings, Shard


@contextmanager
def sitting(url: str, flock: str, home: Path) -> Generator[Desk]:
    links = SpanLinks(None)
    desk = Desk(Feed(url, flock), Settings(url=url, flock=flock, home=home, model=None), url, links)
    desk.start()
    try:
        yield desk
    finally:
        desk.close()
        assert f"roost desk {flock}" not in [thread.name for thread in threading.enumerate()]


def asked(desk: Desk) -> Callable[[Callable[[Sequence[Shard]], Awaitable[object]]], Awaitable[object]]:
    """`desk.look` blocks, as pages want it: here it does so in a thread."""

    async def look(make: Callable[[Sequence[Shard]], Awaitable[object]]) -> object:
        return await asyncio.to_thread(desk.look, make)

    return look


async def length(shards: Sequence[Shard]) -> int:
    return int(await shards[0].command("XLEN", shards[0].keys.log))


def ticked(number: int) -> Event:
    return Event(type="clock.ticked", subject="clock", actor="ann", body=orjson.dumps({"number": number}))


async def test_who_looks_at_a_flock_that_nobody_opened_leaves_no_trace(
    server_url: str, flock_name: str, tmp_path: Path
) -> None:
    with sitting(server_url, flock_name, tmp_path) as desk:
        look = asked(desk)

        async def keys(shards: Sequence[Shard]) -> object:
            return await shards[0].command("KEYS", f"roost:{{{flock_name}.*")

        await wait_until(lambda: desk.annals.share == 1 and not desk.annals.behind)
        await wait_until(lambda: _reached(look), timeout=10)
        assert await look(length) == 0
        assert await look(keys) == []


async def test_a_server_that_is_away_is_an_error_within_the_time_that_was_given(
    own_server: Callable[[], Awaitable[OwnServer]], tmp_path: Path
) -> None:
    server = await own_server()
    with sitting(server.url, "owls", tmp_path) as desk:
        look = asked(desk)
        await wait_until(lambda: _reached(look), timeout=10)
        server.freeze()
        try:
            before = time.monotonic()
            with pytest.raises(ServerUnavailable):
                await asyncio.to_thread(desk.look, length, timeout=timedelta(milliseconds=300))
            assert time.monotonic() - before < 8
        finally:
            server.thaw()
        await wait_until(lambda: _reached(look), timeout=20)
        await server.kill()
        with pytest.raises(ServerUnavailable):
            await look(length)
        await server.start()
        await wait_until(lambda: _reached(look), timeout=20)
    with pytest.raises(ServerUnavailable, match="about to end"):
        desk.look(length)


async def _reached(look: Callable[[Callable[[Sequence[Shard]], Awaitable[object]]], Awaitable[object]]) -> bool:
    try:
        await look(length)
    except ServerUnavailable:
        return False
    return True


@pytest.mark.parametrize("shards", [1, 3])
async def test_the_annals_hold_the_whole_log_and_go_on_with_it(
    server_url: str, flock_name: str, tmp_path: Path, shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    def take(_: NotesPast, event: Event) -> None:
        seen.append(event.data.get("number"))

    monkeypatch.setattr(NotesPast, "evolve", take)
    async with Flock.open(flock_name, server_url, shards=shards) as flock:
        for start in range(0, 1_200, 100):
            about = f"clock/{start}"
            events = [
                Event(type="clock.ticked", subject=about, body=orjson.dumps({"number": number}))
                for number in range(start, start + 100)
            ]
            await flock.append(*events)
        with sitting(server_url, flock_name, tmp_path) as desk:
            await wait_until(lambda: desk.annals.read == 1_200)
            assert (desk.annals.share, desk.annals.behind) == (1, 0)
            await flock.append(ticked(1_200))
            await wait_until(lambda: desk.annals.read == 1_201)
            assert sorted(seen, key=str) == sorted(range(1_201), key=str)
            assert len(desk.annals.positions) == shards


async def test_a_flock_that_is_made_later_with_several_shards_is_read_whole(
    server_url: str, flock_name: str, tmp_path: Path
) -> None:
    with sitting(server_url, flock_name, tmp_path) as desk:
        await wait_until(lambda: _reached(asked(desk)), timeout=10)
        async with Flock.open(flock_name, server_url, shards=3) as flock:
            for number in range(9):
                await flock.append(Event(type="clock.ticked", subject=f"clock/{number}", body=b"{}"))
            await wait_until(lambda: desk.annals.read == 9, timeout=10)


async def test_an_event_that_cannot_be_indexed_is_counted_and_passed_over(
    server_url: str, flock_name: str, flock: Flock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object, event: Event) -> None:
        if event.data["number"] == 1:
            raise ZeroDivisionError

    monkeypatch.setattr(EventsPast, "evolve", fail)
    await flock.append(ticked(1), ticked(2))
    with sitting(server_url, flock_name, tmp_path) as desk:
        await wait_until(lambda: desk.annals.read == 2)
        assert desk.annals.odd == 1


async def test_another_log_is_read_from_its_beginning(
    own_server: Callable[[], Awaitable[OwnServer]], tmp_path: Path
) -> None:
    server = await own_server()
    async with Flock.open("owls", server.url) as flock:
        await flock.append(ticked(1), ticked(2))
        with sitting(server.url, "owls", tmp_path) as desk:
            await wait_until(lambda: desk.annals.read == 2)
            before = desk.annals.generation
            await flock.shard.command("FLUSHALL")
            async with Flock.open("owls", server.url) as anew:
                await anew.append(ticked(7))
            await wait_until(lambda: _is_anew(desk.annals, before), timeout=10)


def _is_anew(annals: Annals, before: int) -> bool:
    with annals.reading():
        return annals.generation > before and annals.read == 1
