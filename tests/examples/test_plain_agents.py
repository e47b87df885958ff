"""Agents without Roost, which follow docs/wire.md, in one flock with Roost's own."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from roost_tests.crew import events_of
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.streams import event
from roost.streams.assemble import assemble
from roost.streams.script import script
from roost.streams.url import ServerUrl


@event("page.found")
@dataclass(frozen=True)
class PageFound:
    name: str
    note: str


@event("page.counted")
@dataclass(frozen=True)
class PageCounted:
    name: str
    words: int


class Listener(Actor):
    """Roost's own actor, which hears what the others have counted."""

    heard: dict[str, tuple[int, str | None]]

    @on(PageCounted)
    async def hear(self, counted: PageCounted, ctx: Context[None]) -> None:
        self.heard[counted.name] = (counted.words, ctx.event.actor)


@asynccontextmanager
async def running(*command: str | Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=pipe, stderr=pipe)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        _, err = await process.communicate()
        print(err.decode())  # noqa: T201  # what pytest shows when the test fails


async def check_agent(command: Sequence[str | Path], inbox: str, url: str, name: str, scripts: Path) -> None:
    """The agent counts pages that a flock has found; killed, it goes on where it was."""
    assemble(scripts)
    listener = Listener()
    listener.heard = {}
    async with Flock.open(name, url) as flock, flock.work(listener):

        async def counts(*inboxes: str) -> bool:
            routes = await flock.connection.client.execute_command("HKEYS", flock.shard.keys.key("routes"))
            return set(inboxes) <= {route.decode() for route in routes}

        async def find(name: str, text: str) -> None:
            page = await flock.memory.put(text, key=f"page/{name}")
            await flock.append(PageFound(name, page.id), run="r1" if name == "wrens" else None)

        async with running(*command):
            await wait_until(lambda: counts(inbox), timeout=30)
            await find("owls", "Owls hunt at night.")
            await find("wrens", "Wrens sing — loudly.\nVery.")
            await wait_until(lambda: len(listener.heard) == 2, timeout=30)
        await find("storks", "They walk")
        async with running(*command):
            await wait_until(lambda: len(listener.heard) == 3, timeout=30)
        assert listener.heard == {"owls": (4, inbox), "wrens": (5, inbox), "storks": (2, inbox)}

        inbox_key = flock.shard.keys.key("inbox", inbox)
        await wait_until(lambda: _is_empty(flock, inbox_key))
        found = {each.id: each for each in await events_of(flock, "page.found")}
        counted = await events_of(flock, "page.counted")
        assert [(found[each.cause or ""].data["name"], each.run) for each in counted] == [
            ("owls", None), ("wrens", "r1"), ("storks", None),
        ]  # fmt: skip
        assert [each.subject for each in counted] == [f"actor/{inbox}"] * 3
        reads = [each for each in await events_of(flock, "note.read") if each.actor == inbox]
        assert [each.cause for each in reads] == [each.cause for each in counted]


async def _is_empty(flock: Flock, inbox: str) -> bool:
    return int(await flock.connection.client.execute_command("XLEN", inbox)) == 0


async def test_an_agent_with_a_plain_redis_client_works_in_a_flock(
    server_url: str, flock_name: str, root: Path, tmp_path: Path
) -> None:
    program, scripts = root / "examples" / "plain_redis_agent.py", tmp_path / "lua"
    command: list[str | Path] = [sys.executable, "-W", "error", program, server_url, flock_name, scripts]
    await check_agent(command, "plain-counter", server_url, flock_name, scripts)


@pytest.mark.node
async def test_an_agent_in_javascript_works_in_a_flock(
    server_url: str, flock_name: str, root: Path, tmp_path: Path
) -> None:
    folder, node = root / "examples" / "node", shutil.which("node")
    if node is None or not (folder / "node_modules" / "redis").is_dir():
        pytest.skip("THE JAVASCRIPT AGENT WAS NOT TESTED: install Node.js, then `make test-node`")
    place = ServerUrl.parse(server_url).path
    assert place is not None
    command: list[str | Path] = [node, folder / "agent.mjs", place, flock_name, tmp_path / "lua"]
    await check_agent(command, "node-counter", server_url, flock_name, tmp_path / "lua")


def test_the_scripts_are_written_out_whole(tmp_path: Path) -> None:
    written = assemble(tmp_path / "new" / "lua")
    names = {file.stem for file in written}
    assert {"write", "read", "open", "subscribe", "take_over"} <= names
    assert "prelude" not in names
    assert {file.stem: file.read_text("utf-8") for file in written} == {
        name: script(name, clustered=True).text for name in names
    }
