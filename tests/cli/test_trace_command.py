"""`roost trace`: who built on whom, told from the log alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from roost_tests.command import COLOUR, Ran, RoostCommand

from roost.actors import Computed, Flock, Work
from roost.cli.trace.stages import StagesFold
from roost.otel.identity import root_of, trace_of
from roost.streams import Event, Position

EVIL = "a\x1b]0;owned\x07b\x9b31m\u202ec\n[bold red]d[/] é"
JAEGER = "http://localhost:16686"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CARE = "# {name}\n\n{name} need water every morning. Their food is {food}.\n\n## Nights\n\n{name} sleep in a barn.\n"


def of_type(document: Any, *kinds: str) -> list[Any]:
    return [edge for edge in document["edges"] if edge["type"] in kinds]


def nodes_of(document: Any) -> dict[str, Any]:
    return {node["id"]: node for node in document["nodes"]}


async def reuses(flock: Flock) -> list[Event]:
    return [event async for event in flock.log.read() if event.type == "work.reused"]


def reached(document: Any, start: str) -> set[str]:
    """All notes that a note was made of, and those that these were made of."""
    found, edge = {start}, [start]
    while edge:
        edge = [each["to"] for each in of_type(document, "made_from") if each["from"] in edge]
        edge = [each for each in edge if each not in found]
        found.update(edge)
    return found - {start}


@pytest.fixture
def birds(tmp_path: Path) -> list[str]:
    """The names of two small documents, where the command runs."""
    for name, food in (("Geese", "grass"), ("Hens", "insects")):
        (tmp_path / f"{name.lower()}.md").write_text(CARE.format(name=name, food=food))
    return ["geese.md", "hens.md"]


async def test_a_second_run_is_traced_through_its_answer_to_the_sections_and_the_run_that_read_them(
    roost: RoostCommand, flock: Flock, birds: list[str], tmp_path: Path
) -> None:
    question = "What do hens need?"
    first = (await roost("run", *birds, "-q", question, "--json")).json["run"]
    second = (await roost("run", *birds, "-q", question, "--json", OTEL_TRACES_EXPORTER="console")).out
    second = re.findall(r'"run": ?"([0-9a-f]{24})"', second)[-1]
    assert (await roost("archive", "--to", str(tmp_path / "archive"))).code == 0
    run, text, narrow = await asyncio.gather(
        roost("trace", "latest", "--json", ROOST_JAEGER_URL=JAEGER + "/"),
        roost("trace", second[:10], "--jaeger", JAEGER),
        roost.on_terminal("trace", second, columns=80),
    )
    document = run.json
    assert (document["kind"], document["id"]) == ("run", second)
    nodes = nodes_of(document)

    # Reuse, counted as the log has it, and all of it of the first run.
    log = [event for event in await reuses(flock) if event.run == second]
    edges = of_type(document, "reused")
    assert sum(edge["found"] + edge["joined"] for edge in edges) == len(log) > 4
    spared = [edge for edge in edges if edge["found"]]
    assert {nodes[edge["to"]]["run"] for edge in spared} == {first}
    assert {nodes[edge["from"]]["run"] for edge in edges} == {second}
    calls = [event for event in log if event.data["work"]["kind"] in ("summary", "answer")]
    assert sum(edge["saved"]["calls"] for edge in edges) == len(calls)
    used = {event.data["note"] for event in log}
    from_first = sum(each["notes"] for each in document["built_on"] if each["run"] == first)
    assert from_first >= len(used)

    # Stages, by what their agents take and give.
    phases = {node["name"]: node["phase"] for node in nodes.values() if "phase" in node}
    assert {name: phases[name] for name in ("reader", "summarizer", "shuffler", "reducer")} == {
        "reader": "read", "summarizer": "map", "shuffler": "shuffle", "reducer": "reduce",
    }  # fmt: skip
    (offered,) = [edge for edge in of_type(document, "sent") if edge["event"] == "part.offered"]
    assert (nodes[offered["from"]]["name"], nodes[offered["to"]]["name"]) == ("reader", "summarizer")
    assert offered["count"] == sum(event.data["work"]["kind"] == "summary" for event in log) == 2

    # The answer, down to the documents, across the runs.
    (answer,) = of_type(document, "came_to")
    assert answer["question"] == question
    below = [nodes[each] for each in reached(document, answer["to"])]
    assert {node["kind"] for node in below} == {"section", "document"}
    assert {node["run"] for node in (nodes[answer["to"]], *below)} == {first}
    assert {"hens.md"} <= {node["label"] for node in below}

    # Spans: of the second run only, for the first was not traced.
    trace_id, root = f"{trace_of(second):032x}", f"{root_of(second):016x}"
    assert nodes[f"run/{second}"]["url"] == f"{JAEGER}/trace/{trace_id}?uiFind={root}"
    assert {each["trace"] for each in (*document["nodes"], *document["edges"]) if "trace" in each} == {None, trace_id}
    assert f"{JAEGER}/trace/{trace_id}?uiFind={root}" in text.out.splitlines()[0]
    assert (text.code, text.err) == (0, "")
    assert f"run {first[:8]}" in text.out
    assert re.search(r"answer What do hens need\? [0-9a-f]{8} of run " + first[:8], text.out)
    assert f"saved {len(calls)} calls" in text.out
    told = _lines(narrow)
    assert max(map(len, told)) <= 80
    assert "├── map" in told

    earlier, of_answer = await asyncio.gather(
        roost("trace", first, "--json"), roost("trace", answer["to"].removeprefix("note/"), "--json")
    )
    later = [each for each in of_type(earlier.json, "built_upon") if f"/{second}/" in each["from"]]
    assert sum(each["found"] + each["joined"] for each in later) == len(log)
    found = of_type(of_answer.json, "found", "joined")
    assert sum(each["count"] for each in found) == sum(event.data["note"] == of_answer.json["id"] for event in log) == 1
    assert found[0]["from"] == f"agent/{second}/reducer"
    assert found[0]["trace"] == trace_id


def _lines(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.out
    return [line.rstrip() for line in COLOUR.sub("", ran.out).replace("\r", "").splitlines()]


WORK = Work(
    kind="summary", model="openai/x", calls=1, input_tokens=1200, output_tokens=9, cost_usd=Decimal("0.25")
)  # fmt: skip


async def compute() -> Computed:
    return Computed("the sum", WORK)


async def test_of_a_note_one_sees_who_wrote_it_who_was_spared_the_work_and_what_was_made_of_it(
    roost: RoostCommand, flock: Flock
) -> None:
    async def read_and_compute() -> Computed:
        await flock.memory.get(page.id)
        return await compute()

    async with flock.acting("reader", run="r1"):
        page = await flock.memory.put("a page", tags=["page"])
    async with flock.acting("summarizer", run="r1"):
        summary = await flock.memory.once("sum of the page", read_and_compute)
    async with flock.acting("editor", run="r2"):
        await flock.memory.once("sum of the page", compute)
        await flock.memory.once("sum of the page", compute)
        report = await flock.memory.put("report", sources=[summary.id], tags=["report"])
    async with flock.acting("critic", run="r3"):
        await flock.memory.get(summary.id)
        await flock.memory.put("critique", sources=[report.id], tags=["critique"])
    await flock.flush()
    by_key, run, as_json = await asyncio.gather(
        roost("trace", "sum of the page"), roost("trace", "r1"), roost("trace", summary.id[:20], "--json")
    )
    used, note = by_key.out.split("\n\n")
    lines = [line.strip("│├└─ ") for line in used.splitlines()]
    assert lines[0].startswith("Used by 2 agents in 2 runs  saved 2 calls, 2,418 tokens, $0.50, ")
    assert [line for line in lines if line.startswith("run ")] == ["run r2  another run", "run r3  another run"]
    assert lines[2].startswith("editor found it instead of computing 2 times  saved 2 calls, 2,418 tokens, $0.50, ")
    assert f"editor made of it: report {report.id[:8]}" in lines
    assert any(line.startswith("critic made of it: critique ") and line.endswith("of run r3") for line in lines)
    assert any(line.startswith("critic read it  ") for line in lines)
    assert note.splitlines()[0].startswith(f"summary sum of the page {summary.id}  7 B")
    assert "written by summarizer run r1" in note
    assert "openai/x: 1 call, 1,209 tokens, $0.25, " in note
    assert f"page {page.id[:8]}  by reader · 6 B" in note

    assert {edge["type"]: edge["count"] for edge in of_type(as_json.json, "read", "found")} == {
        "read": 3,
        "found": 2,
    } or [edge["count"] for edge in of_type(as_json.json, "found")] == [2]
    assert nodes_of(as_json.json)[f"note/{summary.id}"]["work"]["cost_usd"] == "0.25"
    assert "came to" in run.out  # a run of agents that are no map-reduce job, by what nothing in it was made of
    assert f"summary sum of the page {summary.id[:8]}" in run.out.split("came to")[1]
    assert "used later by" in run.out
    assert "editor 1 note  found 2" in run.out


async def test_each_line_may_end_with_the_address_of_its_span(roost: RoostCommand, flock: Flock) -> None:
    sampled, unsampled = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{'c' * 16}-00"

    def note(name: str, sender: Any, **more: Any) -> Event:
        data = {"note": name, "digest": "d", "size": 1, "author": "writer", "run": "r", **more}
        return append_event("note.written", f"note/{name}", data, "writer", sender)

    await flock.append(
        note("1" * 24, sampled), note("2" * 24, unsampled), note("3" * 24, "00-0-0-odd\x1b"),
        note("4" * 24, None, sources=["1" * 24, "2" * 24, "3" * 24], traceparent=f"00-{TRACE}-{'e' * 16}-03"),
        append_event("note.read", "note/" + "4" * 24, {"note": "4" * 24, "size": 1, "count": 1}, "reader", sampled),
    )  # fmt: skip
    linked, by_variable, named, plain, as_json, lineage, data = await asyncio.gather(
        roost("trace", "4" * 24, "--jaeger", JAEGER + "/"),
        roost("trace", "r", "--depth", "1", ROOST_JAEGER_URL="https://example.org/jaeger"),
        roost("trace", "4" * 24, "--verbose"),
        roost("trace", "4" * 24),
        roost("trace", "4" * 24, "--json"),
        roost("note", "4" * 24, "--lineage", "--jaeger", JAEGER),
        roost("note", "4" * 24, "--lineage", "--json", "--jaeger", JAEGER),
    )
    url = f"{JAEGER}/trace/{TRACE}?uiFind="
    by_first = {
        line.strip("│├└─ ").split("  ")[0]: line.rpartition("  ")[2] for line in linked.out.splitlines() if line
    }
    assert by_first["written by writer run r"] == f"{url}{'e' * 16}"
    assert by_first["reader read it"] == f"{url}{SPAN}"
    assert by_first[f"note {'1' * 8}"] == f"{url}{SPAN}"
    assert "http" not in by_first[f"note {'2' * 8}"] + by_first[f"note {'3' * 8}"]
    assert f"https://example.org/jaeger/trace/{TRACE}?uiFind=" in by_variable.out
    assert f"trace {TRACE} span {'e' * 16}" in named.out
    assert TRACE not in plain.out
    (wrote,) = [edge for edge in of_type(as_json.json, "wrote") if edge["to"] == f"note/{'4' * 24}"]
    assert (wrote["trace"], wrote["span"], wrote["url"]) == (TRACE, "e" * 16, None)
    assert f"{url}{SPAN}" in lineage.out
    (first, second, third) = data.json["lineage"]["sources"]
    assert [each["url"] for each in (first, second, third)] == [f"{url}{SPAN}", None, None]
    assert (second["traceparent"], third["traceparent"]) == (unsampled, None)
    assert data.json["lineage"]["url"] == f"{url}{'e' * 16}"
    narrow = _lines(await roost.on_terminal("trace", "4" * 24, "--jaeger", JAEGER, columns=60))
    assert f"{url}{SPAN}" in "".join(narrow)  # never cut


def append_event(kind: str, subject: str, data: Any, actor: str, traceparent: Any) -> Event:
    return Event(
        type=kind, subject=subject, body=orjson.dumps(data), actor=actor, run="r", traceparent=traceparent
    )  # fmt: skip


async def test_a_forgotten_note_still_has_its_trace(roost: RoostCommand, flock: Flock) -> None:
    page = await flock.memory.put("page", key="page/1")
    async with flock.acting("writer", run="5e" * 12):
        await flock.memory.get(page.id)
        chapter = await flock.memory.put("chapter", tags=["chapter"])
    await flock.memory.forget(page.id)
    below, above = await asyncio.gather(roost("trace", chapter.id), roost("trace", page.id[:22]))
    assert re.search(rf"note page/1 {page.id[:8]} outside any run  by tester · 4 B · was forgotten", below.out)
    assert "was forgotten" in above.out
    assert f"writer made of it: chapter {chapter.id[:8]}" in above.out


async def test_nothing_from_notes_reaches_the_terminal_raw(roost: RoostCommand, flock: Flock) -> None:
    async with flock.acting(EVIL, run=EVIL):
        source = await flock.memory.put("x", key=f"key/{EVIL}", tags=(EVIL,))
        await flock.memory.get(source.id)
        note = await flock.memory.once(EVIL, compute, label=EVIL)
    async with flock.acting(f"other {EVIL}", run=f"other {EVIL}"):
        await flock.memory.once(EVIL, compute, label=EVIL)
    await flock.append(
        Event(type=f"x{EVIL}", subject="x", actor=EVIL, run=EVIL, traceparent=EVIL),
        Event(
            type="job.finished",
            subject="x",
            actor=EVIL,
            run=EVIL,
            body=b'{"results":{"\\u001b[2J":"%b"}}' % note.id.encode(),
        ),
    )
    await flock.flush()
    shown = await asyncio.gather(
        *[roost.on_terminal("trace", word, columns=60) for word in (note.id, source.id, EVIL, f"{EVIL}x", "other")],
        roost("trace", note.id, "--json"),
    )
    for ran in shown:
        assert ran.out
        assert ran.danger == []
    assert [ran.code for ran in shown] == [0, 0, 0, 1, 0, 0]


async def test_what_is_not_there_or_not_clear_is_one_line(roost: RoostCommand, flock: Flock) -> None:
    none = await roost("trace", "latest")
    assert (none.code, none.out) == (1, "")
    assert "has no runs yet" in none.err
    async with flock.acting("writer", run="ab" * 12):
        named = await flock.memory.put("1", key="abba")
    async with flock.acting("writer", run="abcd" * 6):
        await flock.memory.put("2", key="abcd" * 6)
        await flock.append(Event(type="run.started", subject=f"run/{'abcd' * 6}", run="abcd" * 6))
    await flock.flush()
    unknown, empty, runs, both, key, wrong = await asyncio.gather(
        roost("trace", "nothing\x1b"), roost("trace", ""), roost("trace", "ab"), roost("trace", "abcd" * 6),
        roost("trace", "abba", "--json"), roost("trace", "x", "--jaeger", "localhost:16686"),
    )  # fmt: skip
    assert unknown.err.strip().endswith("has no note and no run whose ID begins with 'nothing\\x1b', and no such key")
    assert f"run {'ab' * 12}, run {'abcd' * 6}" in runs.err or f"run {'abcd' * 6}" in runs.err
    assert "may be any of 2" in both.err
    for ran in (unknown, empty, runs, both):
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert key.json["id"] == named.id
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)


async def test_five_hundred_sources_are_counted_and_a_few_are_shown(roost: RoostCommand, flock: Flock) -> None:
    async with flock.acting("reader", run="r"):
        pages = await asyncio.gather(*[flock.memory.put(f"page {number}") for number in range(500)])
        book = await flock.memory.put("book", sources=[page.id for page in pages])
    text, as_json = await asyncio.gather(roost("trace", book.id), roost("trace", book.id, "--json"))
    assert "made of 500 notes" in text.out
    assert text.out.endswith("… and 480 more notes\n")
    assert len(text.out.splitlines()) < 30
    assert len(of_type(as_json.json, "made_from")) == 500
    assert nodes_of(as_json.json)[f"note/{book.id}"]["more_sources"] == 0


def folded(events: Iterable[Event]) -> StagesFold:
    stages = StagesFold("r")
    for event in events:
        stages.evolve(event)
    return stages


def test_events_that_do_not_fit_their_type_are_left_out() -> None:
    bodies = [
        b"{",
        b"[]",
        b'"x"',
        b'{"note":1,"type":1,"how":"x","results":[1],"questions":7,"report":3,"sources":[1]}',
    ]
    kinds = ["note.written", "note.read", "work.computed", "work.reused", "delivery.handled", "job.finished"]
    kinds += ["run.started", "run.ended"]
    events = [
        Event(type=kind, subject="s", actor="a", run=run, body=body, position=Position(0, 5, 0))
        for kind in kinds for body in bodies for run in ("r", "other")
    ]  # fmt: skip
    stages = folded(events)
    assert [(agent.name, agent.wrote, agent.found) for agent in stages.agents] == [("a", 0, 0)]
    assert (stages.answers, stages.later, stages.span) == ([], [], None)
