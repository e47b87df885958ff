"""`roost replay`: a past run told again, as lines for people and as JSON, up to a moment, at a pace, key by key."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from roost_tests.command import Ran, RoostCommand
from roost_tests.handbook import QUESTIONS, Events, write_handbook

from roost.cli.main import cli
from roost.streams import Event, Keys, Shard, Unit, Writer, connect


@pytest.fixture
async def ran(roost: RoostCommand, tmp_path: Path) -> dict[str, Any]:
    """The document of a run over three sections."""
    book = write_handbook(tmp_path / "book.md", 3)
    found: dict[str, Any] = (await roost("run", str(book), "-q", QUESTIONS[0], "--json")).json
    return found


def lines_of(told: Ran) -> list[dict[str, Any]]:
    assert told.code == 0, told.err
    return [orjson.loads(line) for line in told.out.splitlines()]


async def test_json_tells_each_event_and_how_the_memory_stood_after_it(
    roost: RoostCommand, ran: dict[str, Any], logged: Events
) -> None:
    told = lines_of(await roost("replay", ran["run"][:8], "--json"))
    events = [event for event in await logged() if event.run == ran["run"]]
    assert [line["position"] for line in told] == [str(event.position) for event in events]
    logs = [orjson.loads(line) for line in (await roost("log", "--after", "0-0", "--json")).out.splitlines()]
    own = [line for line in logs if line["run"] == ran["run"]]
    assert [{name: line[name] for name in own[0]} for line in told] == own
    memory = told[-1]["memory"]
    assert memory["calls"] == ran["model"]["calls"]
    assert memory["tokens"] == ran["model"]["input_tokens"] + ran["model"]["output_tokens"]
    assert memory["notes"] == sum(event.type == "note.written" for event in events)
    assert memory["handled"] == sum(event.type == "delivery.handled" for event in events)
    assert (memory["computing"], memory["parked"]) == (0, 0)
    assert max(line["memory"]["computing"] for line in told) > 0
    assert [line["memory"]["notes"] for line in told] == sorted(line["memory"]["notes"] for line in told)


async def test_it_is_told_up_to_a_position_or_a_time_at_a_pace_and_as_lines(
    roost: RoostCommand, ran: dict[str, Any]
) -> None:
    told = lines_of(await roost("replay", "--json"))
    middle = told[len(told) // 2]["position"]
    until = lines_of(await roost("replay", "--json", "--until", middle))
    assert until == told[: len(told) // 2 + 1]
    assert until[-1]["memory"] == told[len(told) // 2]["memory"]
    first_ms, middle_ms = (int(line["position"].partition("-")[0]) for line in (told[0], told[len(told) // 2]))
    at = lines_of(await roost("replay", "--json", "--at", f"+{middle_ms - first_ms}ms"))
    assert at == [line for line in told if int(line["position"].partition("-")[0]) <= middle_ms]
    clock = datetime.fromtimestamp(first_ms / 1000).astimezone().isoformat()
    assert len(lines_of(await roost("replay", "--json", "--at", clock))) >= 1
    # As long as the run took, by the pace.
    took_s = (int(told[-1]["position"].partition("-")[0]) - first_ms) / 1000
    began = time.monotonic()
    shown = await roost("replay", "--speed", "0.5", COLUMNS="80")
    assert time.monotonic() - began >= 2 * took_s
    # A line an event, which fits the terminal.
    lines = shown.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[:3] == ["0.000", "main", "run.started"]
    assert any("summarizer" in line and "map on part.offered: 1 events" in line for line in lines)


async def test_step_by_step_it_waits_for_a_key(roost: RoostCommand, ran: dict[str, Any]) -> None:
    told = await roost.on_terminal("replay", "--step", typed=b"  q")
    assert "run.started" in told.out
    assert "document.offered" in told.out
    assert told.out.count("\n") < 8
    without = await roost("replay", "--step")
    assert (without.code, "it needs a terminal" in without.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--until", "soon"), "is no position"),
        (("--at", "soon"), "is no time"),
        (("--speed", "0"), "--speed"),
        (("--code", "x.py"), "--code is for --check"),
        (("--check", "--speed", "2"), "leave out"),
    ],
)
def test_what_is_no_way_of_telling_is_said(words: tuple[str, ...], told: str) -> None:
    found = CliRunner().invoke(cli, ["replay", *words])
    assert found.exit_code != 0
    assert told in found.stderr + str(found.exception)


async def write_odd_run(url: str, flock: str) -> None:
    """A run of which not all is as Roost would write it."""
    async with await connect(url) as connection:
        shard = Shard(connection.client, Keys(flock))
        await shard.open()
        writer = Writer(shard)
        for body in (b'{"what": "\\u001b[31mred", "size": "many"}', b"no json\n at all", b'{"a":\n1}'):
            event = Event(type="note.written", subject="note/x", run="odd", actor="a\x1b[2J", body=body)
            await writer.write(Unit().event(event))
        await writer.close()
        await connection.client.xadd(shard.keys.log, {"type": "odd", "meta": "odd"})


async def test_what_is_not_as_roost_writes_it_is_told_and_commands_no_terminal(
    roost: RoostCommand, server_url: str, flock_name: str
) -> None:
    await write_odd_run(server_url, flock_name)
    lines = lines_of(await roost("replay", "odd", "--json"))
    assert [line["data"] for line in lines] == [{"what": "\x1b[31mred", "size": "many"}, "no json\n at all", {"a": 1}]
    none = await roost("replay", "nosuchrun")
    assert (none.code, none.err.count("\n")) == (1, 1)
    assert "no run of flock" in none.err
    shown = await roost("replay", "odd")
    assert shown.code == 0
    assert "\x1b" not in shown.out
    assert len(shown.out.splitlines()) == 3
