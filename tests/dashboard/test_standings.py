"""How a flock stands is asked once for all who look, and remembered while the server is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from roost_tests.own_server import OwnServer
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.dashboard.desk import Desk
from roost.dashboard.feed import Feed
from roost.dashboard.standing import Standing, alerts_of
from roost.otel.span_links import SpanLinks
from roost.streams import RoostError, Settings


async def test_it_is_asked_once_for_all_and_how_it_was_is_told_while_the_server_is_away(
    own_server: Callable[[], Awaitable[OwnServer]], tmp_path: Path
) -> None:
    server = await own_server()
    async with Flock.open("owls", server.url) as flock:
        await flock.memory.put("one")
    links = SpanLinks(None)
    desk = Desk(
        Feed(server.url, "owls"), Settings(url=server.url, flock="owls", home=tmp_path, model=None), server.url, links
    )

    async def look() -> Standing | None:
        try:
            return await asyncio.to_thread(desk.standings.look, desk)
        except RoostError:
            return None

    desk.start()
    try:

        async def is_there() -> bool:
            return await look() is not None

        await wait_until(is_there, timeout=20)
        desk.standings.stale()
        first, second = await asyncio.gather(look(), look())
        assert first is second
        assert first is not None
        assert (first.flock.name, first.flock.events > 0, first.parked, first.disk) == ("owls", True, (), None)
        assert [each.words for each in alerts_of(first) if each.severity == "trouble"] == []
        desk.standings.stale()
        assert await look() is not first

        await server.kill()
        desk.standings.stale()
        with pytest.raises(RoostError):
            await asyncio.to_thread(desk.standings.look, desk)
        assert desk.standings.last is not None
        assert desk.standings.last.flock.events == first.flock.events
    finally:
        await asyncio.to_thread(desk.close)
