"""`roost log`."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from roost_tests.command import Ran, RoostCommand

from roost.actors import Flock
from roost.cli.event_filter import EventFilter
from roost.cli.event_line import EventLines
from roost.cli.newest_first import newest_first
from roost.streams import Event, Position

EVIL = "a\x1b]0;owned\x07b\x9b31m\u202ec\u2028d\n[bold red]e[/] \U000e0041 é"
"""What a document may hold to command a terminal, to deceive its reader, or to be taken for markup."""


def event(kind: str, subject: str, *, actor: str | None = None, run: str | None = None, **data: Any) -> Event:
    return Event(type=kind, subject=subject, body=orjson.dumps(data), actor=actor, run=run)


async def fill(flock: Flock) -> list[Position]:
    """Sixty ticks, then four events of two runs about two pages; their positions."""
    positions: list[Position] = []
    for _ in range(60):
        positions += (await flock.append(event("clock.ticked", "clock"))).positions
    run, other = "5e" * 12, "7a" * 12
    for each in (
        event("page.read", "page/1", actor="Reader", run=run, words=100),
        event("page.read", "page/2", actor="Reader", run=other, words=200),
        event("page.judged", "page/1", actor="Judge", run=run, good=True),
        event("book.closed", "book/page", actor="Reader", run=run, link="5e" * 12),
    ):
        positions += (await flock.append(each)).positions
    return positions


def positions_of(ran: Ran) -> list[str]:
    return [line["position"] for line in ran.json_lines]


async def test_the_log_shows_the_last_events_or_those_after_a_position_that_are_asked_for(
    roost: RoostCommand, flock: Flock
) -> None:
    at = [str(position) for position in await fill(flock)]
    last, after, first, kinds, nothing = await asyncio.gather(
        roost("log", "--json"),
        roost("log", "--json", "--after", at[9]),
        roost("log", "--json", "--after", "0-0", "--limit", "2", "--type", "page.read"),
        roost("log", "--json", "--limit", "2", "--type", "page.*", "--type", "book.closed", "--run", "5e5e"),
        roost("log", "--type", "no.such"),
    )
    assert positions_of(last) == at[-50:]
    assert positions_of(after) == at[10:]
    assert positions_of(first) == at[60:62]
    assert positions_of(kinds) == at[62:64]
    assert (nothing.code, nothing.out) == (0, "")
    assert nothing.err.endswith("has no events of that kind\n")
    one = first.json_lines[1]
    assert (one["type"], one["subject"], one["version"]) == ("page.read", "page/2", 1)
    assert (one["actor"], one["run"], one["data"]) == ("Reader", "7a" * 12, {"words": 200})


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (EventFilter(), True),
        (EventFilter(types=("page.*",)), True),
        (EventFilter(types=("page.read", "no.such")), True),
        (EventFilter(types=("page",)), False),
        (EventFilter(run="5e5e"), True),
        (EventFilter(run="5e5f"), False),
        (EventFilter(subject="page/"), True),
        (EventFilter(subject="note/"), False),
        (EventFilter(types=("page.read",), run="5e", subject="note/"), False),
    ],
)
def test_an_event_is_shown_when_type_run_and_subject_are_wanted(wanted: EventFilter, taken: bool) -> None:
    assert wanted.takes(event("page.read", "page/1", run="5e" * 12)) is taken


async def test_lines_fit_the_terminal_and_other_programs_get_all_of_them(roost: RoostCommand, flock: Flock) -> None:
    await flock.append(event("page.read", "page/1", actor="Reader", run="5e" * 12, text="word " * 60))
    piped, wide, narrow, coloured = await asyncio.gather(
        roost("log"),
        roost("log", COLUMNS="130"),
        roost.on_terminal("log", columns=70, NO_COLOR="1"),
        roost.on_terminal("log", columns=80),
    )
    assert coloured.code == 0
    assert ("word " * 60).strip() in piped.out
    assert [len(line) for line in wide.out.splitlines()][1] == 130
    assert "5e5e5e5e" in wide.out
    assert max(len(line) for line in narrow.out.splitlines()) == 70
    assert "…" in narrow.out
    assert "\x1b" not in narrow.out
    assert "\x1b[" in coloured.out


async def test_nothing_from_an_event_reaches_the_terminal_raw(roost: RoostCommand, flock: Flock) -> None:
    await flock.append(event(f"page{EVIL}", EVIL, actor=EVIL, run=EVIL, text=EVIL, more={EVIL: [EVIL]}))
    piped, as_json, terminal = await asyncio.gather(
        roost("log"), roost("log", "--json"), roost.on_terminal("log", columns=200)
    )
    for ran in (piped, as_json, terminal):
        assert ran.code == 0
        assert ran.danger == []
        assert "é" in ran.out
    assert len(piped.out.splitlines()) == 2
    assert "[bold red]e[/]" in piped.out
    assert "\\x1b]0;owned\\x07" in terminal.out
    [line] = as_json.json_lines
    assert (line["subject"], line["data"]["more"]) == (EVIL, {EVIL: [EVIL]})


async def test_following_goes_on_with_what_happens_until_ctrl_c(roost: RoostCommand, flock: Flock) -> None:
    at = await fill(flock)
    process = await roost.start("log", "-f", "--json", "--limit", "1", "--type", "page.*")
    assert process.stdout is not None
    first = orjson.loads(await process.stdout.readline())
    await flock.append(event("clock.ticked", "clock"), event("page.read", "page/3"))
    await flock.append(event("page.torn", "page/3"))
    later = [orjson.loads(await process.stdout.readline()) for _ in range(2)]
    process.send_signal(2)
    out, err = await process.communicate()
    assert first["position"] == str(at[62])
    assert [(each["type"], each["version"]) for each in later] == [("page.read", 1), ("page.torn", 2)]
    assert (process.returncode, out, err) == (130, b"", b"roost: interrupted\n")


async def test_looking_at_a_flock_that_is_not_there_makes_none(roost: RoostCommand, flock_name: str) -> None:
    looked = await asyncio.gather(
        roost("log"), roost("notes"), roost("log", "--json"), roost("note", "abc", "--lineage"),
        roost("forget", "abc", "--yes"),
    )  # fmt: skip
    assert [ran.code for ran in looked] == [0, 0, 0, 1, 1]
    assert [ran.out for ran in looked] == [""] * 5
    assert looked[0].err == f"roost: flock {flock_name} has no events\n"
    assert looked[1].err == f"roost: flock {flock_name} has no notes\n"
    assert looked[2].err == ""
    assert all("there is no note 'abc'" in ran.err for ran in looked[3:])
    assert (await roost("status", "--json")).json["flocks"] == []


async def test_the_log_backwards_has_every_event_once(flock: Flock) -> None:
    for first in range(0, 1100, 100):
        await flock.append(*[event("clock.ticked", "clock", n=first + n) for n in range(100)])
    pages = [page async for page in newest_first(flock.shard)]
    assert [len(page) for page in pages] == [500, 500, 100]
    assert [each.data["n"] for page in pages for each in page] == list(range(1099, -1, -1))
    until = pages[0][200].position
    page = await anext(newest_first(flock.shard, until=until))
    assert page[0].position == until


def test_an_event_whose_data_is_no_object_is_shown_all_the_same() -> None:
    lines = EventLines(120, plain=True)
    for body, shown in ((b"[1,2]", "[1, 2]"), (b"null", "None"), (b"not json \x1b", "not json \\x1b")):
        odd = Event(type="x", subject="y", body=body, position=Position(0, 1, 0), version=1)
        assert lines.line(odd).endswith(shown)
