"""`roost archive`: what it does, says, and refuses, and a loop of it that outlives its server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from roost_tests.command import RoostCommand
from roost_tests.own_server import OwnServer
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.streams import Event
from roost.streams.log import read_horizon

StartServer = Callable[[], Awaitable[OwnServer]]


def seen(number: int) -> Event:
    return Event(type="page.seen", subject=f"page/{number}")


async def test_events_leave_and_are_read_on_and_the_place_is_remembered(
    roost: RoostCommand, flock: Flock, tmp_path: Path
) -> None:
    appended = await flock.append(*[seen(number) for number in range(30)])
    refused = await roost("archive")
    assert (refused.code, "has no archive yet; say where it is to be: --to DIRECTORY" in refused.err) == (2, True)
    place = str(tmp_path / "there")
    kept = await roost("archive", "--to", place, "--keep", "--json")
    (shard,) = kept.json["shards"]
    assert (kept.json["place"], shard["archived"], shard["trimmed"], shard["horizon"]) == (place, 30, 0, None)
    some = (await roost("archive", "--until", str(appended.positions[9]), "--json")).json["shards"][0]
    assert (some["archived"], some["trimmed"], some["horizon"]) == (0, 10, str(appended.positions[9]))
    assert "Left the server" in (await roost("archive")).out
    assert await flock.log.length() == 0
    told = (await roost("log", "--after", "0-0", "--json")).json_lines
    assert [event["subject"] for event in told] == [f"page/{number}" for number in range(30)]
    checked = await roost("archive", "--check")
    assert (checked.code, checked.out.strip()) == (0, "read: segments 1, events 30, contents 0")

    (segment,) = (tmp_path / "there").rglob("*--*.jsonl.zst")
    segment.write_bytes(segment.read_bytes() + b"x")
    for words in (("archive", "--check"), ("log", "--after", "0-0")):
        damaged = await roost(*words)
        assert damaged.code == 1
        assert f"{segment} is not as it was written (SHA-256 " in damaged.err
        assert damaged.err.strip().endswith("put a copy of it back")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--until", "5-0", "--older-than", "7d"), "--until stands alone"),
        (("--memory", "1gb", "--keep"), "choose one"),
        (("--check", "--keep"), "--check only reads"),
        (("--older-than", "7 apples"), "write 7d, 12h, 30m or 45s"),
        (("--memory", "lots"), "write 512mb, 2gb, or 70%"),
        (("--until", "yesterday"), "is no position"),
        (("--to", "s3://me:secret@bucket/x"), "leave credentials out"),
        (("--to", "/dev/null/x"), "cannot be made: Not a directory"),
    ],
)
async def test_what_cannot_be_meant_is_one_line(
    roost: RoostCommand, flock: Flock, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    await flock.append(seen(1))
    place = () if "--to" in words else ("--to", str(tmp_path / "there"))
    refused = await roost("archive", *place, *words)
    assert (refused.code, told in refused.err) == (2, True), refused.err
    assert "secret" not in refused.err
    assert await flock.log.length() == 1


async def test_a_loop_outlives_its_server_and_is_silent_while_there_is_nothing_to_do(
    own_server: StartServer, tmp_path: Path
) -> None:
    server = await own_server()
    roost = RoostCommand(tmp_path, ROOST_URL=server.url, ROOST_FLOCK="owls")
    async with Flock.open("owls", server.url) as flock:
        await flock.append(seen(1))
        loop = await roost.start("archive", "--to", str(tmp_path / "there"), "--every", "0.1s", "--json")
        try:

            async def has_left(count: int) -> bool:
                return await flock.log.length() == 0 and len([1 async for _ in flock.log.read()]) == count

            await wait_until(lambda: has_left(1), timeout=20)
            horizon = await read_horizon(flock.shard)
            await server.kill()
            await server.start()
            await flock.append(seen(2))
            await wait_until(lambda: has_left(2), timeout=20)
            assert await read_horizon(flock.shard) != horizon
            loop.send_signal(signal.SIGTERM)
            out, _ = await asyncio.wait_for(loop.communicate(), 20)
        finally:
            if loop.returncode is None:
                loop.kill()
                await loop.communicate()
    assert loop.returncode == 0
    assert out.count(b'"place"') == 2, "a line for each round that did something"
