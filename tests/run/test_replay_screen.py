"""The screen of `roost replay`: forwards, backwards, to a place, to a hit, at a pace; what others wrote is inert."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from roost_tests.command import RoostCommand
from roost_tests.handbook import QUESTIONS, write_handbook
from roost_tests.proxy import Proxy
from roost_tests.recorded_runs import event
from roost_tests.waiting import wait_until

pytest.importorskip("textual")

from textual.pilot import Pilot
from textual.widgets import Input, Static

from roost.actors import Flock
from roost.cli.replay.moment import Moment
from roost.cli.replay.reel import PAGE, Reel
from roost.cli.replay.timeline import Timeline
from roost.cli.replay.tui import ReplayApp
from roost.streams import Event, Keys, Log, ServerUnavailable, Shard, Unit, Writer, connect
from roost.streams.every_shard import find_shards

RUN = "long"
ENTERS, LEAVES = "\x1b[?1049h", "\x1b[?1049l"


@pytest.fixture
async def shard(server_url: str, flock_name: str) -> AsyncIterator[Shard]:
    async with await connect(server_url) as connection:
        shard = Shard(connection.client, Keys(flock_name))
        await shard.open()
        yield shard


@pytest.fixture
async def long_run(shard: Shard) -> int:
    """A run of several pages, beside another; how many events it has."""
    writer, count = Writer(shard), 3 * PAGE + 107
    for first in range(0, count, 100):
        unit = Unit()
        for number in range(first, min(first + 100, count)):
            kind = "delivery.handled" if number % 3 == 0 else "part.seen"
            body = b'{"n": %d, "handler": "h", "type": "t", "emitted": 0, "ms": 1.0}' % number
            unit.event(Event(type=kind, subject="run/long", run=RUN, actor=f"agent{number % 4}", body=body))
            unit.event(Event(type="part.seen", subject="run/other", run="other", actor="stranger"))
        await writer.write(unit)
    await writer.close()
    return count


def text_of(app: ReplayApp, name: str) -> str:
    return str(app.query_one(f"#{name}", Static).render())


async def ready(app: ReplayApp, pilot: Pilot[Any]) -> None:
    await wait_until(lambda: app.reel.first_ms > 0 and "event 1 of" in text_of(app, "head"), timeout=20)
    await pilot.pause()


async def is_at(app: ReplayApp, number: int) -> None:
    await wait_until(lambda: f"event {number:,} of" in text_of(app, "head"), timeout=10)
    assert app.number == number - 1


async def test_one_goes_forwards_and_backwards_to_a_place_and_to_a_hit(shard: Shard, long_run: int) -> None:
    app = ReplayApp([shard], RUN)
    async with app.run_test(size=(110, 30)) as pilot:
        await ready(app, pilot)
        await pilot.press("right", "right", "down", "left")
        await is_at(app, 3)
        assert '"n": 2' in text_of(app, "data")
        await pilot.press("end")
        await is_at(app, long_run)
        handled = sum(agent.handled for agent in (await app.reel.at(long_run - 1)).agents.values())
        assert handled == -(-long_run // 3)
        await pilot.press("g", *"503", "enter")
        await is_at(app, 503)
        await pilot.press("slash", *'"n": 677,', "enter")
        await is_at(app, 678)
        await pilot.press("home", "slash", *"delivery.handled", "enter")
        await is_at(app, 4)
        await pilot.press("n")
        await is_at(app, 7)
        await pilot.press("g", *"nowhere", "enter")
        await pilot.pause()
        assert app.number == 6
        await pilot.press("question_mark", "q")
    assert app.return_code == 0


async def test_it_plays_at_a_pace_and_stops_at_the_end(shard: Shard, long_run: int) -> None:
    app = ReplayApp([shard], RUN, speed=1000)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(lambda: app.reel.first_ms > 0 and app.number == long_run - 1, timeout=20)
        assert not app.playing
        await pilot.press("home", "minus", "space")
        assert app.speed == 500
        await wait_until(lambda: app.number == long_run - 1, timeout=20)


async def test_the_reel_gives_each_event_by_its_number_and_how_all_stood(shard: Shard, long_run: int) -> None:
    reel = Reel([shard], RUN)
    await reel.wind()
    events = [event async for event in Log(shard).read() if event.run == RUN]
    assert reel.count == len(events) == long_run
    for number in (0, 1, PAGE - 1, PAGE, 3 * PAGE + 5, long_run - 1):
        still = await reel.at(number)
        assert (still.told.entry, still.told.data) == (str(events[number].position), events[number].data)
        assert still.summary.figures["handled"] == sum(
            event.type == "delivery.handled" for event in events[: number + 1]
        )
        position = events[number].position
        assert position is not None
        assert await reel.number_of(position) == number
    assert await reel.find("no such thing", 0) is None


async def test_what_others_wrote_is_text_on_the_screen_and_nothing_else(shard: Shard) -> None:
    writer = Writer(shard)
    body = b'{"label": "[red]\\u001b[2Jnot red[/red]", "note": "[link=x]y"}'
    for actor in ("[bold]evil", "\x1b[31m"):
        await writer.write(Unit().event(Event(type="part.mapped", subject="s", run="odd", actor=actor, body=body)))
    await writer.close()
    app = ReplayApp([shard], "odd")
    async with app.run_test(size=(100, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("right")
        await is_at(app, 2)
        assert "\x1b" not in app.export_screenshot()
        assert '"[red]\\u001b[2Jnot red[/red]"' in text_of(app, "data")
        assert "[bold]evil" in text_of(app, "agents")


async def test_what_is_no_place_is_said_and_one_stays_there(shard: Shard, long_run: int) -> None:
    app = ReplayApp([shard], RUN)
    async with app.run_test(size=(110, 30)) as pilot:
        await ready(app, pilot)
        for place in ("+", "1-x", "0001-01-01T00:00"):
            await pilot.press("g")
            app.query_one("#ask", Input).value = place
            await pilot.press("enter", "right")
            await wait_until(lambda: len(app._notifications) > 0)  # pyright: ignore[reportPrivateUsage]  # said there
            app.clear_notifications()
            assert app.is_running
        await is_at(app, 4)


async def test_it_goes_no_further_than_it_is_said_to(shard: Shard, long_run: int) -> None:
    whole = Reel([shard], RUN)
    await whole.wind()
    told = (await whole.at(PAGE + 3)).told
    app = ReplayApp([shard], RUN, until=told.position)
    async with app.run_test(size=(110, 30)) as pilot:
        await is_at(app, PAGE + 4)
        await pilot.press("end", "right")
        await pilot.pause()
        assert (app.number, app.reel.count) == (PAGE + 3, PAGE + 4)
        assert await app.reel.find(f'"n": {PAGE + 4},', 0) is None
    last_ms = told.ms - whole.first_ms
    reel = Reel([shard], RUN, at=Moment.parse(f"+{last_ms}ms"))
    await reel.wind()
    assert reel.count == await whole.number_at(told.ms) + 1


async def test_the_note_that_an_event_names_is_shown_and_no_read_is_logged(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url, agent="writer") as flock:
        notes = [await flock.memory.put(text) for text in ("Owls sleep by day.", "Gone \x1b[2J soon.")]
        for note in notes:
            await flock.append(event("note.read", f"note/{note.id}", "r", "reader", note=note.id, size=18, count=1))
        await flock.memory.forget(notes[1].id)
        shards = await find_shards(flock.connection.client, flock.name, patience=timedelta(seconds=10))
        before = [event async for event in Log(shards[0]).read()]
        app = ReplayApp(shards, "r")
        async with app.run_test(size=(110, 30)) as pilot:
            await ready(app, pilot)
            assert "Owls sleep by day." in text_of(app, "data")
            await pilot.press("right")
            await is_at(app, 2)
            assert "it has expired, or was forgotten" in text_of(app, "data")
        assert [event async for event in Log(shards[0]).read()] == before


async def test_a_run_in_several_shards_with_many_agents_is_gone_through(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url, shards=2) as flock:
        for number in range(30):
            agent = f"agent{number:03}"
            await flock.append(event("part.seen", f"part/{number}", "r", agent, number=number))
        shards = await find_shards(flock.connection.client, flock.name, patience=timedelta(seconds=10))
        app = ReplayApp(shards, "r")
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(app, pilot)
            await pilot.press("end")
            await is_at(app, 30)
            still = await app.reel.at(29)
            assert len(still.agents) == 30
            rows = text_of(app, "agents").split("\n")
            [row] = [number for number, row in enumerate(rows) if str(still.told.meta["actor"]) in row]
            assert row < app.query_one("#agents").size.height


async def test_a_page_that_cannot_be_read_troubles_nobody_who_has_gone_on(
    shard: Shard, long_run: int, proxy: Callable[[str], Awaitable[Proxy]], server_url: str
) -> None:
    faulty, untold = await proxy(server_url), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: untold.append(context))
    async with await connect(faulty.url) as connection:
        reel = Reel([Shard(connection.client, shard.keys, patience=timedelta(seconds=0.2))], RUN)
        await reel.wind()
        faulty.refuse()
        faulty.cut()
        looking = asyncio.create_task(reel.page(2))
        await asyncio.sleep(0)
        reading = list(reel._reading.values())  # pyright: ignore[reportPrivateUsage]  # what goes on without a reader
        looking.cancel()
        await asyncio.wait([looking, *reading])
        del looking, reading
        gc.collect()
    assert untold == []


async def test_a_server_that_goes_away_is_told_in_a_line(
    shard: Shard, long_run: int, proxy: Callable[[str], Awaitable[Proxy]], server_url: str
) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection:
        through = Shard(connection.client, shard.keys, patience=timedelta(seconds=0.2))
        app = ReplayApp([through], RUN)
        async with app.run_test(size=(110, 30)) as pilot:
            await ready(app, pilot)
            faulty.refuse()
            faulty.cut()
            await pilot.press("end")
            await wait_until(lambda: app.return_code == 1, timeout=20)
        assert isinstance(app.failure, ServerUnavailable)


async def test_what_has_no_room_in_a_line_ends_with_an_ellipsis(shard: Shard, long_run: int) -> None:
    app = ReplayApp([shard], RUN)
    async with app.run_test(size=(75, 24)) as pilot:
        await ready(app, pilot)
        timeline = app.query_one(Timeline)
        line = "".join(segment.text for segment in timeline.render_line(1))
        assert line.rstrip().endswith("…")
        assert len(line) < timeline.size.width or not timeline.show_vertical_scrollbar


async def test_on_a_terminal_the_screen_is_the_default_and_q_leaves_it(roost: RoostCommand, tmp_path: Path) -> None:
    book = write_handbook(tmp_path / "book.md", 1)
    await roost("run", str(book), "-q", QUESTIONS[0])
    shown = await roost.on_terminal("replay", typed=b"q")
    assert shown.code == 0, shown.out
    assert ENTERS in shown.out
    assert LEAVES in shown.out
    plain = await roost.on_terminal("replay", "--plain")
    assert "run.started" in plain.out
    assert ENTERS not in plain.out


async def test_a_run_without_events_is_said(shard: Shard) -> None:
    app = ReplayApp([shard], "none")
    async with app.run_test() as pilot:
        await wait_until(lambda: app.return_code == 1, timeout=10)
        await pilot.pause()
