"""The feed of the page: one reader of the log for all who look, bounded, through outages."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import timedelta

import orjson
import pytest
from roost_tests.own_server import OwnServer
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.dashboard import feed as feed_module
from roost.dashboard.feed import CATCH_UP, LAST_EVENTS, RING, Feed
from roost.dashboard.view import View
from roost.otel.span_links import SpanLinks
from roost.streams import Event


@contextmanager
def feeding(url: str, flock: str) -> Generator[Feed]:
    feed = Feed(url, flock, shown_url="the server")
    feed.start()
    try:
        yield feed
    finally:
        feed.close()
        assert f"roost feed {flock}" not in [thread.name for thread in threading.enumerate()]


def ticked(number: int, agent: str = "ann") -> Event:
    return Event(
        type="clock.ticked", subject="clock", actor=agent, body=orjson.dumps({"number": number, "key": str(number)})
    )


def keys(view: View) -> list[str | None]:
    return [moment.key for moment in view.moments]


async def test_it_begins_with_the_last_events_and_goes_on_with_new_ones(
    server_url: str, flock_name: str, flock: Flock
) -> None:
    await flock.append(ticked(1), ticked(2))
    with feeding(server_url, flock_name) as feed:
        await wait_until(lambda: feed.look().number == 2)
        await wait_until(lambda: feed.look().away is None)
        view = feed.look()
        assert (keys(view), view.events, view.earlier, view.left_out) == (["1", "2"], 2, 0, 0)

        await flock.append(ticked(3))
        before = time.monotonic()
        await wait_until(lambda: feed.look().number == 3)
        assert time.monotonic() - before < 10
        assert keys(feed.look(after=2)) == ["3"]
        assert keys(feed.look(after=3)) == []


async def test_a_note_whose_span_is_known_leads_to_jaeger(server_url: str, flock_name: str, flock: Flock) -> None:
    def written(note: str, traceparent: str) -> Event:
        data = {"note": note, "digest": "d", "size": 1, "author": "ann", "traceparent": traceparent}
        return Event(type="note.written", subject=f"note/{note}", actor="ann", body=orjson.dumps(data))

    await flock.append(written("a", f"00-{'1' * 32}-{'2' * 16}-01"), written("b", "javascript:alert(1)"))
    feed = Feed(server_url, flock_name, links=SpanLinks("http://localhost:16686"))
    feed.start()
    try:
        await wait_until(lambda: len(feed.look().notes) == 2)
        urls = {row["note"]: row["url"] for row in feed.look().ledger()["notes"]}
    finally:
        feed.close()
    assert urls == {"a": f"http://localhost:16686/trace/{'1' * 32}?uiFind={'2' * 16}", "b": None}


async def test_a_long_log_is_begun_near_its_end(server_url: str, flock_name: str, flock: Flock) -> None:
    for start in range(0, LAST_EVENTS + 1_000, 200):
        await flock.append(*[ticked(start + more) for more in range(200)])
    with feeding(server_url, flock_name) as feed:
        view = await wait_until(lambda: _view(feed, lambda view: view.number))
        assert (view.events, view.earlier, keys(view)[-1]) == (LAST_EVENTS, 1_000, str(LAST_EVENTS + 999))


async def test_a_burst_is_taken_in_whole_and_shown_in_part(server_url: str, flock_name: str, flock: Flock) -> None:
    with feeding(server_url, flock_name) as feed:
        await wait_until(lambda: feed.look().away is None)
        for start in range(0, 5_000, 250):
            await flock.append(*[ticked(start + more, f"agent-{(start + more) % 300}") for more in range(250)])
        view = await wait_until(lambda: _view(feed, lambda view: view.events == 5_000), timeout=20)
        assert (view.number, len(view.moments), keys(view)[-1]) == (5_000, CATCH_UP, "4999")
        assert (len(view.agents), view.fallen >= 100) == (200, True)
        assert view.left_out == RING - CATCH_UP  # more are not kept
        assert feed.look(after=4_990).left_out == 0


def _view(feed: Feed, wanted: Callable[[View], object]) -> View | None:
    view = feed.look()
    return view if wanted(view) else None


async def test_a_server_that_is_away_is_told_and_what_came_meanwhile_is_made_up_for(
    own_server: Callable[[], Awaitable[OwnServer]],
) -> None:
    server = await own_server()
    async with Flock.open("owls", server.url) as flock:
        await flock.append(ticked(1))
        with feeding(server.url, "owls") as feed:
            await wait_until(lambda: feed.look().away is None)
            await server.kill()
            away = await wait_until(lambda: feed.look().away)
            assert "the server" in away
            since = feed.look().away_since_ms
            assert since is not None
            assert abs(since - time.time() * 1000) < 5_000
            assert keys(feed.look()) == ["1"]

            await server.start()
            await flock.append(ticked(2))
            await wait_until(lambda: feed.look().away is None and feed.look().number == 2, timeout=10)
            assert (keys(feed.look()), feed.look().events) == (["1", "2"], 2)


async def test_a_server_that_answers_nothing_is_away(own_server: Callable[[], Awaitable[OwnServer]]) -> None:
    server = await own_server()
    with feeding(server.url, "owls") as feed:
        await wait_until(lambda: feed.look().away is None)
        server.freeze()
        try:
            await wait_until(lambda: feed.look().away, timeout=10)
        finally:
            server.thaw()
        await wait_until(lambda: feed.look().away is None, timeout=10)


async def test_a_page_may_be_served_before_its_server_is_there(own_server: Callable[[], Awaitable[OwnServer]]) -> None:
    server = await own_server()
    await server.kill()
    with feeding(server.url, "owls") as feed:
        await wait_until(lambda: "refuses connections" in (feed.look().away or ""), timeout=20)
        await server.start()
        await wait_until(lambda: feed.look().away is None, timeout=10)


async def test_a_log_that_starts_anew_is_another_log(own_server: Callable[[], Awaitable[OwnServer]]) -> None:
    server = await own_server()
    async with Flock.open("owls", server.url, agent="ann") as flock:
        await flock.append(ticked(1))
        with feeding(server.url, "owls") as feed:
            await wait_until(lambda: feed.look().away is None and feed.look().number == 1)
            await flock.shard.command("FLUSHALL")
            async with Flock.open("owls", server.url, agent="ben") as anew:
                await anew.append(ticked(7, "ben"))
            view = await wait_until(
                lambda: _view(feed, lambda view: view.away is None and keys(view) == ["7"]), timeout=10
            )
            assert ([agent.id.name for agent in view.agents], view.events) == (["ben"], 1)


async def test_first_words_are_shown_until_the_note_is_forgotten(
    server_url: str, flock_name: str, flock: Flock
) -> None:
    with feeding(server_url, flock_name) as feed:
        note = await flock.memory.put("Owls  hunt\nat night. " * 100)
        raw = await flock.memory.put(b"\xff\xfe")
        words = await wait_until(lambda: feed.look().words if len(feed.look().words) == 2 else None)
        assert words[note.id].startswith("Owls hunt at night. Owls")
        assert (len(words[note.id]), words[raw.id]) == (160, "2 bytes")
        reads = [event for event in await flock.log.recent(100) if event.type == "note.read"]
        assert reads == []  # people looked on: nobody has read it

        await flock.memory.forget(note.id)
        await wait_until(lambda: [each.id for each in feed.look().notes] == [raw.id])
        await wait_until(lambda: set(feed.look().words) == {raw.id})


async def test_a_claim_that_nobody_holds_leaves_the_page(
    server_url: str, flock_name: str, flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "CLAIM_AGE_MS", 0)
    monkeypatch.setattr(feed_module, "HOUSEKEEPING", timedelta(milliseconds=20))
    with feeding(server_url, flock_name) as feed:
        await flock.append(Event(type="work.claimed", subject="actor/ann", actor="ann", body=b'{"key":"dead"}'))
        await wait_until(lambda: [agent.id.name for agent in feed.look().agents] == ["ann"])
        await wait_until(lambda: feed.look().agents[0].doing == ())


async def test_a_flock_of_several_shards_is_shown_as_one(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url, agent="ann", shards=3) as flock:
        first = [await flock.memory.put(f"note {number}", key=f"key/{number}") for number in range(9)]
        with feeding(server_url, flock_name) as feed:
            await wait_until(lambda: len(feed.look().notes) == 9)
            more = await flock.memory.put("another", key="another")
            await wait_until(lambda: feed.look().number == 10)
            view = await wait_until(lambda: _view(feed, lambda view: len(view.words) == 10))
            assert {note.id for note in view.notes} == {note.id for note in (*first, more)}
            assert view.words[more.id] == "another"
            assert (view.events, view.earlier) == (10, 0)


async def test_a_flock_that_is_made_later_with_several_shards_is_shown_whole(server_url: str, flock_name: str) -> None:
    with feeding(server_url, flock_name) as feed:
        await wait_until(lambda: feed.look().away is None)
        async with Flock.open(flock_name, server_url, agent="ann", shards=3) as flock:
            for number in range(9):
                await flock.memory.put(f"note {number}", key=f"key/{number}")
            await wait_until(lambda: len(feed.look().notes) == 9, timeout=10)
            await wait_until(lambda: feed.look().away is None)


async def test_a_damaged_entry_is_passed_over(server_url: str, flock_name: str, flock: Flock) -> None:
    with feeding(server_url, flock_name) as feed:
        await flock.append(ticked(1))
        await wait_until(lambda: feed.look().number == 1)
        await flock.shard.command("XADD", flock.shard.keys.log, "*", "what", "is this")
        await flock.append(ticked(2))
        await wait_until(lambda: feed.look().number == 2)
        assert feed.look().away is None


async def test_an_error_that_nobody_foresaw_is_shown_and_survived(
    server_url: str, flock_name: str, flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flock.append(ticked(1))

    async def fail(*_: object) -> None:
        raise ZeroDivisionError("what now")

    with monkeypatch.context() as patch:
        patch.setattr(feed_module, "recent_events", fail)
        with feeding(server_url, flock_name) as feed:
            await wait_until(lambda: "ZeroDivisionError" in (feed.look().away or ""))
            patch.undo()
            await wait_until(lambda: feed.look().away is None and feed.look().number == 1)


async def test_a_reader_of_the_feed_is_no_burden_on_the_log(server_url: str, flock_name: str) -> None:
    with feeding(server_url, flock_name) as feed:
        await wait_until(lambda: feed.look().away is None)
        assert feed.look().events == 0
        assert feed.look().agents == ()
    async with Flock.open(flock_name, server_url) as flock:
        assert await flock.log.length() == 0
