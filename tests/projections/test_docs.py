"""docs/wire.md and docs/metrics.md say what is: held against a session of real use, and by a plain Redis client."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from roost_tests.session import Session

import roost.actors.report
from roost.actors import Flock
from roost.actors.replay.branch import RunForked
from roost.projections import Figures, RunReport, RunState, compare_with_server, figures_of
from roost.projections.comparison import COMPARED
from roost.streams.declaration import DECLARED
from roost.streams.event import Event
from roost.streams.keys import KINDS
from roost.streams.script import script
from roost.streams.url import ServerUrl

DOCS = Path(__file__).resolve().parents[2] / "docs"
WIRE = (DOCS / "wire.md").read_text("utf-8")
METRICS = (DOCS / "metrics.md").read_text("utf-8")
LUA = DOCS.parent / "streams" / "lua"
BLOCKS = re.findall(r"```python\n(.*?)```", WIRE, re.DOTALL)


def rows(text: str, head: str) -> Iterator[list[str]]:
    """Cells of the rows of every table whose first heading is `head`; a column that is not there is empty."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines()]
        names = lines[0]
        if names[0] == head:
            yield from ([*cells, "", ""] for cells in lines[2:])


def ticked(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def documented_types() -> dict[str, list[str]]:
    """Of each documented type of event, the fields of its data: the column after `about`, where there is one."""
    found: dict[str, list[str]] = {}
    for table in re.findall(r"(?:^\|.*\n)+", WIRE, re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines()]
        if lines[0][0] == "type":
            column = lines[0].index("data")
            found |= {ticked(cells[0])[0]: ticked(cells[column]) for cells in lines[2:]}
    return found


def is_ours(event: Event) -> bool:
    return not event.type.startswith("test.")


async def test_the_wires_events_are_documented_with_exactly_the_data_that_they_have(session: Session) -> None:
    documented = documented_types()
    seen: dict[str, list[set[str]]] = {}
    for event in filter(is_ours, session.events):
        seen.setdefault(event.type, []).append(set(event.data))
    assert set(seen) <= set(documented)
    # What is declared as a class is held against the document below, whether or not it happened here.
    assert {kind for kind in documented if kind not in DECLARED.by_name} <= set(seen)
    for kind, names in ((kind, documented[kind]) for kind in seen):
        always = {name for name in names if not name.endswith("?")}
        sometimes = {name.removesuffix("?") for name in names} - always
        for data in seen[kind]:
            assert always <= data <= always | sometimes, f"{kind} has other data than what is documented"
        assert {name for data in seen[kind] for name in data} == always | sometimes, f"{kind}: some is never there"
        assert not [name for name in sometimes if all(name in data for data in seen[kind])], f"{kind}: never absent"


async def test_what_reused_work_tells_is_what_computed_work_told(session: Session) -> None:
    told = {name.removesuffix("?") for name in documented_types()["work.computed"]}
    works = [event.data["work"] for event in session.events if event.type == "work.reused"]
    assert None in works
    assert set().union(*[work for work in works if work is not None]) == told - {"key", "label", "note", "late"}


async def test_events_are_about_what_is_documented(session: Session) -> None:
    about = {ticked(cells[0])[0]: cells[1] for cells in rows(WIRE, "type")}
    words = {"key": "the key", "note": "the note", "actor": "the reader"}
    for event in filter(is_ours, session.events):
        start = event.subject.partition("/")[0]
        if event.type.startswith(("note.", "work.")):
            assert words[start] in about[event.type], f"{event.type} about {event.subject}"
        elif event.type.startswith("delivery."):
            said_by_actor = event.type not in ("delivery.resumed", "delivery.dropped")
            assert event.subject == f"actor/{event.actor if said_by_actor else 'Keeper'}"
            assert event.cause == event.data["event"]
        elif event.type.startswith("effect."):
            assert event.subject == f"effect/{event.data['key']}"
        elif event.type.startswith(("record.", "records.")):
            assert event.subject == f"topic/{event.data['topic']}/{event.data['partition']}"
            assert event.actor == f"kafka/{event.data['topic']}"
        elif event.type == "model.used":
            assert event.subject == f"model/{event.data['model']}"
        elif event.type == "subject.forgotten":
            assert event.subject == f"about/{event.data['about']}"
        elif event.type == "notes.searched":
            assert event.subject == f"actor/{event.actor}"
        elif event.type == "agent.limited":
            assert event.subject == f"actor/{event.data['agent']}"
        elif event.type == "log.sealed":
            assert event.subject == "actor/roost-seal"
        elif event.type.startswith(("timer.", "circuit.")):
            assert event.subject == f"actor/{event.actor}"
        else:
            assert re.fullmatch(rf"run/{event.run}|actor/{event.actor}/.+", event.subject), event


async def test_every_member_of_meta_is_documented(session: Session) -> None:
    documented = {ticked(cells[0])[0] for cells in rows(WIRE, "member")}
    assert set().union(*[json.loads(event.meta()) for event in session.events]) <= documented
    known = Event(type="t", subject="s", schema=2, actor="a", run="r", cause="c", traceparent="p")
    assert set(json.loads(known.meta())) == documented


def test_every_declared_event_is_documented_field_by_field() -> None:
    assert roost.actors.report.RunStarted in DECLARED.by_class
    assert RunForked in DECLARED.by_class
    documented = documented_types()
    declared = {
        name: [field.name for field in dataclasses.fields(declaration.payload)]
        for name, declaration in DECLARED.by_name.items()
        if declaration.payload.__module__.startswith("roost.")
    }
    assert declared
    assert {name: documented.get(name) for name in declared} == declared


def is_form_of(name: str, field: str) -> bool:
    """A documented name may have a part in brackets that stands for a model's name or a number."""
    pattern = re.escape(name).replace("<model>", "[a-z]+").replace("<lane>", r"\d+").replace("<agent>", "[A-Za-z*]+")
    return re.fullmatch(pattern, field) is not None


async def test_the_keys_are_documented_with_their_types_and_their_fields(session: Session) -> None:
    documented: dict[str, tuple[str, list[str]]] = {}
    for cells in rows(WIRE, "kind"):
        documented.setdefault(ticked(cells[0])[0].partition(":")[0], (cells[1], ticked(cells[3])))
    assert set(documented) == set(KINDS)
    several = ("bell", "fresh")  # no key, and keys of several types
    assert {kind: found for kind, found in session.types.items() if kind not in several} == {
        kind: redis_type for kind, (redis_type, _) in documented.items() if kind not in several
    }
    for kind, (_, names) in documented.items():
        if names:
            forms = {
                field: next((name for name in names if is_form_of(name, field)), "") for field in session.fields[kind]
            }
            assert set(forms.values()) == set(names), f"{kind}: {forms}"


async def test_the_fields_of_an_entry_are_documented_in_their_order(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        for _ in range(2):
            await flock.append(Event(type="t", subject="s"))
        page = await flock.connection.client.execute_command("XRANGE", flock.shard.keys.log, "-", "+")
    names = [ticked(cells[0])[0] for cells in rows(WIRE, "field")]
    assert [name.decode() for name in page[1][1]] == names
    shown = re.findall(r'^ {3,}\s*\d*\)? *\d+\) "(type|subject|ver|meta|data|prev)"$', WIRE, re.MULTILINE)
    assert shown == [*names[:5] * 4, "prev"]


def test_the_events_that_are_shown_have_the_data_that_is_documented() -> None:
    documented = documented_types()
    kinds = re.findall(r'"type"\n\s+2\) "(.+)"', WIRE)
    datas = re.findall(r'"data"\n\s+10\) (".+")', WIRE)
    parsed = [(kind, json.loads(json.loads(data))) for kind, data in zip(kinds, datas, strict=True)]
    assert [kind for kind, _ in parsed] == ["work.claimed", "note.written", "work.computed", "note.read"]
    for kind, data in parsed:
        assert set(data) <= {name.removesuffix("?") for name in documented[kind]}


def test_every_part_of_the_write_script_is_documented_with_its_arguments() -> None:
    sizes = re.search(r"local SIZES = \{([^}]*)\}", (LUA / "write.lua").read_text("utf-8"))
    assert sizes is not None
    counts = {letter: int(count) for letter, count in re.findall(r"(\w) = (\d+)", sizes[1])}
    documented = {ticked(cells[0])[0]: len(cells[1].split(",")) for cells in rows(WIRE, "part")}
    assert documented == counts


def test_every_script_that_is_named_exists() -> None:
    named = {"write", "read", "open", "subscribe", "upload", "forget", "claim_renew", "claim_release"}
    named |= {"delivery_renew", "mine", "take_over", "due", "retire", "ring"}
    assert {name for name in named if f"`{name}`" not in WIRE} == set()
    assert {name for name in named if not (LUA / f"{name}.lua").is_file()} == set()


def test_every_figure_is_documented_and_no_other() -> None:
    figures: set[str] = set()
    for name, value in Figures().to_data().items():
        parts = list(cast("dict[str, object]", value)) if isinstance(value, dict) else []
        figures |= {f"{name}.{part}" for part in parts} or {name}
    documented = [name for cells in rows(METRICS, "figure") for name in ticked(cells[0])]
    assert sorted(documented) == sorted(figures)


def test_every_fact_of_a_report_is_documented_and_no_other() -> None:
    facts: set[str] = set()
    documented = {name for cells in rows(METRICS, "fact") for name in ticked(cells[0])}
    report = RunReport(run=RunState(id="r")).to_data()
    for name, value in report.items():
        parts = list(cast("dict[str, object]", value)) if isinstance(value, dict) and name not in documented else []
        facts |= {f"{name}.{part}" for part in parts} or {name}
    of_others = {name for name in facts if name.startswith(("run.", "figures."))}
    assert sorted(documented - {"phases"}) == sorted(facts - of_others)
    parts_of = {"waits": report["waits"], "memory": report["memory"], "course": {"spent": 0, "saved": 0}}
    told = {cells[0].strip("`"): " ".join(cells) for cells in rows(METRICS, "fact")}
    assert {part for name, parts in parts_of.items() for part in parts if part not in told[name].lower()} == set()


def test_every_figure_that_is_compared_is_documented() -> None:
    section = METRICS.partition("### Two runs")[2].partition("## ")[0]
    assert set(COMPARED) <= set(ticked(section))


async def test_a_sessions_figures_are_what_happened_in_it(session: Session) -> None:
    figures = await figures_of(session.events)
    assert figures.odd == 0
    assert (figures.parked, figures.retries, figures.failed, figures.model.failed) == (2, 5, 3, 1)
    assert (await figures_of(session.events, "run-2")).model.name == "offline"


# A client in another language: what the document shows, run as it stands there, with nothing of Roost's but scripts.


@pytest.fixture
def client(server_url: str) -> Iterator[Any]:
    with redis.Redis(unix_socket_path=ServerUrl.parse(server_url).path, decode_responses=True) as client:
        yield client


class Shown:
    """What the document's Python defines, on a flock's log."""

    def __init__(self, client: Any, log: str) -> None:
        self.names: dict[str, Any] = {"client": client, "script": script("write").text, "log": log}
        for block in BLOCKS:
            if "def " in block:
                exec(block, self.names)
        self.event: Any = self.names["event"]

    def follow(self) -> Iterator[Any]:
        events: Iterator[Any] = self.names["follow"](self.names["client"], self.names["log"])
        return events

    def write(self, *units: Any) -> Any:
        return self.names["write"](self.names["client"], self.names["script"], self.names["log"], *units)

    def once(self, key: str, content: str) -> Any:
        client, write, log = (self.names[name] for name in ("client", "script", "log"))
        return self.names["once"](client, write, log, key, lambda: content, "crawler")


async def test_a_plain_client_appends_and_follows_as_shown(server_url: str, flock_name: str, client: Any) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        shown = Shown(client, flock.shard.keys.log)
        (bare,) = [block for block in BLOCKS if "def " not in block]
        exec(bare, shown.names)
        (event,) = await flock.log.recent(1)
        assert (event.type, event.subject, event.version, event.actor) == ("page.seen", "page/1", 1, "crawler")
        told = next(shown.follow())
        assert told == (str(event.position), "page.seen", "page/1", json.loads(event.meta()), {"words": 120})


async def test_what_a_plain_client_appends_reaches_the_inboxes_of_its_run(
    server_url: str, flock_name: str, client: Any
) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        log, key = flock.shard.keys.log, flock.shard.keys.key
        for inbox, run in (("all", None), ("one@r1", "r1"), ("other@r2", "r2")):
            client.eval(script("subscribe").text, 1, log, inbox, json.dumps({"types": ["page.seen"], "run": run}))
        shown = Shown(client, log)
        (line,) = shown.write([["e", *shown.event("page/1", "page.seen", {}, run="r1")]])
        assert [client.xlen(key("inbox", inbox)) for inbox in ("all", "one@r1", "other@r2")] == [1, 1, 0]
        assert line.split(" ") == ["ok", "1", str((await flock.log.recent(1))[0].position)]


async def test_a_plain_client_and_roost_spare_each_other_work(server_url: str, flock_name: str, client: Any) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        shown = Shown(client, flock.shard.keys.log)

        async def ours() -> str:
            return "by Roost"

        theirs = await asyncio.to_thread(shown.once, "theirs", "by the crawler")
        found = await flock.memory.once("theirs", ours)
        assert (found.id, found.text, found.author) == (theirs, "by the crawler", "crawler")
        note = await flock.memory.once("ours", ours)
        assert await asyncio.to_thread(shown.once, "ours", "by the crawler") == note.id
        assert await compare_with_server(flock.shard) is None
        figures = await figures_of(flock.log.read())
        assert (figures.work.computed, figures.work.found, figures.odd) == (2, 1, 0)


async def test_a_plain_client_that_comes_too_late_gets_the_note_that_was_sooner(
    server_url: str, flock_name: str, client: Any
) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        shown, loop = Shown(client, flock.shard.keys.log), asyncio.get_running_loop()

        def compute() -> str:
            sooner = flock.memory.put("sooner", key="k")
            return asyncio.run_coroutine_threadsafe(sooner, loop).result(5).id

        client_once, write, log = shown.names["once"], shown.names["script"], shown.names["log"]
        note = await asyncio.to_thread(client_once, client, write, log, "k", compute, "crawler")
        assert (await flock.memory.get(note)).text == "sooner"
        assert await compare_with_server(flock.shard) is None
