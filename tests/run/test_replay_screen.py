"""The screen of `roost replay`: forwards, backwards, to a place, to a hit, at a pace; what others wrote is inert."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from roost_tests.command import RoostCommand
from roost_tests.handbook import QUESTIONS, write_handbook
from roost_tests.waiting import wait_until

pytest.importorskip("textual")

from textual.pilot import Pilot
from textual.widgets import Static

from roost.cli.replay.reel import PAGE, Reel
from roost.cli.replay.tui import ReplayApp
from roost.streams import Event, Keys, Log, Shard, Unit, Writer, connect

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
    writer, count = Writer(shard), 5 * PAGE + 7
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
        await pilot.press("slash", *'"n": 777,', "enter")
        await is_at(app, 778)
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
