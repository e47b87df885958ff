"""The report of a run, against a count of the same log by other means: of logs made up, and of a flock with shards."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roost_tests.recount import Line, place, recount
from roost_tests.waiting import wait_until

from roost.actors import Actor, Computed, Context, Flock, Retry, Work, on
from roost.cli.event_line import as_json
from roost.projections import RunReport, RunsFold, Tally, compare, report_of
from roost.projections import chain as chains
from roost.projections import timeline as timelines
from roost.projections.timeline import Interval, Longest
from roost.streams import Event, Position, event

RUN = "r"
BEGAN = 1_700_000_000_000


def event_of(line: Line) -> Event:
    return Event(
        type=line["type"], subject=line["subject"], body=orjson.dumps(line["data"]), id=line["id"], actor=line["actor"],
        run=line["run"], cause=line["cause"], position=Position.parse(line["position"]),
    )  # fmt: skip


async def reported(lines: Sequence[Line], run: str = RUN) -> RunReport:
    return await report_of([event_of(line) for line in sorted(lines, key=place)], run)


async def told(lines: Sequence[Line], run: str = RUN) -> dict[str, Any]:
    """The document without `run`, as JSON holds it."""
    document: dict[str, Any] = orjson.loads(orjson.dumps((await reported(lines, run)).to_data()))
    del document["run"]
    return document


# A log that is made up by hand, of which each figure is known.


class Scribe:
    """Writes lines, one after the other."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def tell(self, ms: int, kind: str, data: Any = None, **more: Any) -> str:
        number = len(self.lines)
        line = {"id": f"e{number}", "subject": "run/r", "actor": None, "run": RUN, "cause": None, **more}
        self.lines.append({**line, "position": f"{BEGAN + ms}-{number}", "type": kind, "data": data or {}})
        return f"e{number}"


MODEL: dict[str, Any] = {
    "kind": "summary", "seconds": 0.2, "model": "openai/owl", "calls": 1, "input_tokens": 2000, "output_tokens": 100,
    "cached_tokens": 0, "cost_usd": "0.005", "cost_cached_usd": "0.002", "tokens_estimated": False,
}  # fmt: skip


def a_small_run() -> list[Line]:
    """Two agents: `reader` finds two sections, `writer` sums both up, the second text being that of the first."""
    log = Scribe()
    offered = log.tell(0, "document.offered", {"name": "owls.md"}, actor="main")
    one = log.tell(40, "note.written", actor="reader", cause=offered)
    first = log.tell(50, "part.offered", {"label": "of owls"}, actor="reader", cause=offered)
    second = log.tell(50, "part.offered", {"label": "of owls again"}, actor="reader", cause=offered)
    opened = {"event": offered, "type": "document.offered", "handler": "open", "ms": 30.5}
    log.tell(50, "delivery.handled", opened, actor="reader", cause=offered)
    log.tell(60, "work.claimed", {"key": "k", "label": "summing up"}, actor="writer", cause=first)
    log.tell(60, "note.read", {"note": one, "size": 10, "count": 1}, actor="writer", cause=first)
    log.tell(
        70, "delivery.retried", {"event": second, "type": "part.offered", "handler": "sum", "ms": 5}, actor="writer"
    )
    two = log.tell(270, "note.written", actor="writer", cause=first)
    log.tell(270, "work.computed", {"key": "k", "note": two, **MODEL}, actor="writer", cause=first)
    summed = {"handler": "sum", "type": "part.offered"}
    log.tell(280, "part.summed", {"note": two}, actor="writer", cause=first)
    log.tell(280, "delivery.handled", {**summed, "event": first, "ms": 221, "memory_us": [900, 100]}, actor="writer")
    log.tell(300, "work.reused", {"key": "k", "note": two, "how": "found", "work": MODEL}, actor="writer", cause=second)
    log.tell(300, "note.read", {"note": two, "size": 20, "count": 1}, actor="writer", cause=second)
    last = log.tell(310, "part.summed", {"note": two}, actor="writer", cause=second)
    log.tell(310, "delivery.handled", {**summed, "event": second, "ms": 15, "memory_us": [500]}, actor="writer")
    log.tell(400, "run.ended", {"run": RUN, "outcome": "done", "report": None}, actor="main", cause=last)
    log.tell(500, "note.read", {"note": two, "size": 20, "count": 2}, actor="main")
    return log.lines


async def test_of_a_small_run_each_fact_is_what_one_counts_by_hand() -> None:
    report = await reported(a_small_run())
    document = report.to_data()
    assert document["sharing"] == {
        "asked": 2, "computed": 1, "found": 1, "joined": 0, "referenced": 3, "keys": 1, "duplicate_factor": 1.0,
        "hit_ratio": 0.5, "found_ratio": 0.5, "joined_ratio": 0.0,
        "shares": {"found": 0.25, "joined": 0.0, "referenced": 0.75},
    }  # fmt: skip
    assert document["figures"]["saved"]["cost_usd"] == "0.002"
    assert document["figures"]["saved"]["full_cost_usd"] == document["figures"]["model"]["cost_usd"] == "0.005"
    assert document["time"] == {
        "began_ms": BEGAN, "wall_s": 0.5, "handler_s": 0.2665, "computing_s": 0.2, "critical_path_s": 0.4,
        "speed_up": 0.533, "speed_up_bound": round(0.2665 / 0.0455, 6),
    }  # fmt: skip
    assert document["memory"] == {"count": 3, "p50_us": 500, "p90_us": 900, "p99_us": 900, "max_us": 900}
    assert document["waits"]["by_actor"]["writer"] == {
        "count": 2, "p50_s": 0.009, "p90_s": 0.245, "p99_s": 0.245, "max_s": 0.245,
    }  # fmt: skip
    path = document["critical_path"]
    steps = [
        (step["agent"], step["handler"], step["what"], step["wait_s"], step["handler_s"]) for step in path["steps"]
    ]
    assert steps == [
        ("reader", "open", "owls.md", 0.0195, 0.0305),
        ("writer", "sum", "of owls again", 0.245, 0.015),
        ("main", None, "run/r", 0.0, 0.0),
    ]
    assert (path["other_s"], path["before_s"], path["after_s"], path["share"]) == (0.09, 0.0, 0.1, 0.8)
    intervals = {(each["what"], each["outcome"]): each for each in document["timeline"]["intervals"]}
    assert set(intervals) == {
        ("owls.md", "done"), ("of owls again", "retried"), ("summing up", "computed"), ("of owls", "done"),
        ("of owls again", "done"),
    }  # fmt: skip
    computing = intervals["summing up", "computed"]
    assert (computing["start_s"], computing["end_s"], computing["agent"]) == (0.06, 0.27, "writer")
    edges = {(each["reader"], each["author"]): each for each in document["reuse"]["edges"]}
    assert {pair: (each["found"], each["referenced"]) for pair, each in edges.items()} == {
        ("writer", "reader"): (0, 1), ("writer", "writer"): (1, 0), ("main", "writer"): (0, 2),
    }  # fmt: skip
    assert edges["writer", "writer"]["saved"] == {"calls": 1, "tokens": 2100, "cost_usd": "0.002", "seconds": 0.2}
    assert document["course"][-1]["spent"] == {"calls": 1, "tokens": 2100, "cost_usd": "0.005", "seconds": 0.2}
    assert await told(a_small_run()) == recount(a_small_run(), RUN)


async def test_two_runs_are_held_against_each_other_figure_by_figure() -> None:
    run, log = await reported(a_small_run()), Scribe()
    log.tell(0, "work.computed", {"key": "k", **MODEL, "cost_usd": None})
    log.tell(1000, "work.computed", {"key": "k", **MODEL})
    compared = {each.name: each.to_data() for each in compare(run, await reported(log.lines))}
    assert compared["calls"] == {"first": 1, "second": 2, "ratio": 2.0}
    assert compared["cost_usd"] == {"first": "0.005", "second": None, "ratio": None}
    assert compared["saved_cost_usd"] == {"first": "0.002", "second": "0", "ratio": 0.0}
    assert compared["wall_s"] == {"first": 0.5, "second": 1.0, "ratio": 2.0}
    assert compared["duplicate_factor"] == {"first": 1.0, "second": 2.0, "ratio": 2.0}
    assert compared["joined"]["ratio"] is None
    assert compared["memory_p99_us"] == {"first": 900, "second": None, "ratio": None}


async def test_who_wrote_a_note_is_known_even_where_a_shards_clock_is_ahead_of_anothers() -> None:
    log = Scribe()
    log.tell(0, "note.read", {"note": "e1", "size": 9, "count": 2}, actor="reader")
    log.tell(1, "note.written", actor="writer", run="another")
    assert (await reported(log.lines)).sharing.referenced == recount(log.lines, RUN)["sharing"]["referenced"] == 2


async def test_a_run_without_events_has_a_report_all_the_same() -> None:
    document = (await reported([])).to_data()
    assert (document["run"]["status"], document["figures"]["events"], document["first"]) == ("seen", 0, None)
    assert document["timeline"] == {"intervals": [], "left_out": 0}


# Logs made up at random: prices, caches, joins, failures, retries, parked, late, odd events; two shards; two runs.

NAMES = st.sampled_from([None, "a", "b", "long " * 50])
IDS = st.integers(0, 30).map(lambda number: f"e{number}")
SMALL = st.integers(0, 3)
SECONDS = st.sampled_from([0, 0.0000005, 0.25, 1.000001, 3, -1, True, "1", None])
MS = st.sampled_from([0, 0.5, 1.001, 20, 7.0005, 90.25, None, "2", -1])
USD = st.sampled_from([None, "0", "0.015", "1.50", "0.00000001", "3", "cheap"])


def some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object, at times without one of its members, and now and then none at all."""

    def drop(drawn: tuple[dict[str, Any], int]) -> dict[str, Any]:
        data, number = drawn
        return {name: value for at, (name, value) in enumerate(data.items()) if at != number}

    whole = st.fixed_dictionaries(members)
    return st.one_of(whole, whole, st.tuples(whole, st.integers(0, 11)).map(drop), st.sampled_from([[], "no", None]))


WORK = some(
    kind=st.sampled_from(["document", "summary"]),
    seconds=SECONDS.filter(lambda seconds: seconds is not None),
    model=st.sampled_from([None, "offline", "openai/owl", 7]),
    calls=SMALL, input_tokens=SMALL, output_tokens=SMALL, cached_tokens=SMALL, cost_usd=USD, cost_cached_usd=USD,
    tokens_estimated=st.booleans(),
)  # fmt: skip
KEYS = st.sampled_from(["k1", "k2", "k3"])
LABELS = st.sampled_from([None, "", "a label", 5])
OBJECT = WORK.filter(lambda work: isinstance(work, dict))


def together(both: tuple[dict[str, Any], Any]) -> Any:
    more: dict[str, Any] = both[1]
    return {**both[0], **more} if isinstance(both[1], dict) else more


HANDLERS = st.sampled_from(["open", "sum", None])
FACTS = st.one_of(
    st.tuples(st.just("note.written"), some(key=KEYS)),
    st.tuples(st.just("note.read"), some(note=IDS, count=SMALL, size=SMALL)),
    st.tuples(st.just("note.missed"), some(key=KEYS)),
    st.tuples(st.just("work.claimed"), some(key=KEYS, label=LABELS)),
    st.tuples(
        st.just("work.computed"),
        st.tuples(OBJECT, some(key=KEYS, label=LABELS, late=st.booleans())).map(together),
    ),
    st.tuples(
        st.just("work.reused"),
        some(note=IDS, how=st.sampled_from(["found", "joined", "stolen"]), work=st.none() | WORK, key=KEYS),
    ),
    st.tuples(st.just("work.failed"), some(key=KEYS, label=LABELS, model=st.sampled_from([None, "offline"]))),
    st.tuples(
        st.sampled_from(["delivery.handled", "delivery.handled", "delivery.retried", "delivery.parked"]),
        some(
            ms=MS, event=IDS, handler=HANDLERS, type=st.sampled_from(["part.offered", 5]),
            memory_us=st.lists(st.sampled_from([0, 7, 900, 10**15, "1"]), max_size=3),
        ),
    ),
    st.tuples(
        st.sampled_from(["part.offered", "run.ended", "timer.set"]),
        some(label=LABELS, title=LABELS, name=LABELS, key=LABELS),
    ),
)  # fmt: skip


@st.composite
def logs(draw: st.DrawFn) -> list[Line]:
    lines: list[Line] = []
    ms, pace = BEGAN, draw(st.sampled_from([2, 40, 400]))
    for number, (kind, data) in enumerate(draw(st.lists(FACTS, min_size=1, max_size=30))):
        ms += draw(st.integers(0, pace))
        shard = draw(st.sampled_from(["", "1/"]))
        actor, run = draw(NAMES), draw(st.sampled_from([RUN, RUN, RUN, "another", None]))
        cause = draw(st.none() | st.integers(max(0, number - 4), number + 1).map(lambda other: f"e{other}"))
        lines.append(
            {
                "position": f"{shard}{ms}-{number}", "id": f"e{number % 28}", "type": kind, "subject": f"run/{number}",
                "actor": actor, "run": run, "cause": cause, "data": data,
            }
        )  # fmt: skip
    return lines


@settings(max_examples=80)
@given(logs())
async def test_a_report_agrees_with_a_count_by_other_means(lines: list[Line]) -> None:
    for run in {line["run"] for line in lines} - {None}:
        assert await told(lines, run) == recount(lines, run)


def a_busy_run(seed: int) -> list[Line]:
    """A log in which what happens has to do with what happened before: deliveries of events that were emitted, by three
    agents who claim, compute, reuse and read the notes of one another, in two runs; and some of it odd."""
    chance, log = Random(seed), Scribe()
    ms, notes, sent = 0, list[str](), list[str]()
    agents, keys = ("ann", "bob", "cay", None), ("k1", "k2", "k3")

    def odd(value: Any) -> Any:
        return value if chance.random() > 0.02 else chance.choice([None, -1, "odd", [], True])

    def work() -> dict[str, Any]:
        model = {name: odd(value) for name, value in MODEL.items()}
        model |= {"cost_usd": chance.choice(["0.01", "0.02", "3"]), "calls": chance.choice([0, 1, 1, 2])}
        if chance.random() < 0.5:
            del model["cost_cached_usd"]
        if chance.random() < 0.05:
            model["cost_usd"] = None
        return model if chance.random() < 0.8 else {"kind": "document", "seconds": chance.random()}

    while len(log.lines) < 90:
        ms += chance.choice([0, 0, 1, 7, 40])
        whose = {"run": chance.choice([RUN] * 9 + ["another"]), "actor": chance.choice(agents)}
        event = chance.choice(sent[-6:]) if sent else None
        whose["cause"] = event if chance.random() < 0.9 else None
        key, label = odd(chance.choice(keys)), {} if chance.random() < 0.5 else {"label": odd(f"label {ms}")}
        delivered = {"event": event, "type": "part.offered", "handler": odd("act")}
        match chance.randrange(11):
            case 0:
                notes.append(log.tell(ms, "note.written", {"key": key}, **whose))
            case 1 | 2 if notes:
                log.tell(ms, "note.read", {"note": chance.choice(notes), "size": 5, "count": odd(2)}, **whose)
            case 3 if notes:
                reused = {"key": key, "note": chance.choice(notes), "how": chance.choice(["found", "joined"])}
                reused["work"] = work() if chance.random() < 0.8 else odd(None)
                log.tell(ms, "work.reused", reused, **whose)
                log.tell(ms, "note.read", {"note": reused["note"], "size": 5, "count": 1}, **whose)
            case 4:
                log.tell(ms, "work.claimed", {"key": key, **label}, **whose)
            case 5:
                late = {"late": chance.choice([True, 1])} if chance.random() < 0.2 else {}
                log.tell(ms, "work.computed", {"key": key, **label, **work(), **late}, **whose)
            case 6:
                log.tell(ms, "work.failed", {"key": key, "error": "E", **label}, **whose)
            case 7 | 8:
                sent.append(log.tell(ms, "part.offered", {"title": f"part {ms}"}, **whose))
                took = {"ms": odd(round(chance.random() * 50, 3)), "memory_us": [odd(chance.randrange(900))]}
                log.tell(ms, "delivery.handled", {**delivered, **took}, **whose)
            case 9:
                kind = chance.choice(["delivery.retried", "delivery.parked"])
                log.tell(ms, kind, {**delivered, "ms": chance.choice([None, 5, 2.5])}, **whose)
            case _:
                if chance.random() < 0.2:
                    log.tell(ms, "run.ended", {"outcome": "done"}, **whose)
    return log.lines


@pytest.mark.parametrize("seed", range(40))
async def test_a_busy_runs_report_agrees_with_a_count_by_other_means(seed: int) -> None:
    lines = a_busy_run(seed)
    assert await told(lines) == recount(lines, RUN)


# A flock with several shards.


@event("test.page_found")
@dataclass(frozen=True, slots=True)
class PageFound:
    name: str
    note: str


@event("test.page_read")
@dataclass(frozen=True, slots=True)
class PageRead:
    name: str


OWL_WORK = Work(kind="page", model="owl", calls=1, input_tokens=100, output_tokens=7)


class Finder(Actor):
    """Puts pages, fails with each third of them once and with one for good, and reads those of others."""

    retry = Retry(attempts=2, first_delay=timedelta(milliseconds=5))

    @on(PageFound)
    async def find(self, page: PageFound, ctx: Context[Any]) -> PageRead:
        await ctx.memory.get(page.note)

        async def work() -> Computed:
            await asyncio.sleep(0.02)
            return Computed("done", OWL_WORK)

        await ctx.memory.once(f"page {page.name[-1]}", work)
        if page.name == "page 7" or (page.name.endswith("3") and ctx.attempt == 1):
            raise ValueError("no such page")
        return PageRead(page.name)


class Lister(Actor):
    """Finds what the other has computed."""

    @on(PageRead)
    async def list(self, page: PageRead, ctx: Context[Any]) -> None:
        note = await ctx.memory.find(f"page {page.name[-1]}")
        assert note is not None
        await ctx.memory.once(f"page {page.name[-1]}", self._nothing)
        await ctx.memory.get(note.id)

    async def _nothing(self) -> str:
        raise AssertionError("it is there")


async def test_the_report_of_a_run_in_several_shards_is_that_of_all_of_them(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url, shards=3) as flock:
        async with flock.acting("elsewhere", run="before"):
            note = await flock.memory.put("of another run")
        async with flock.work(Finder(), Lister()):
            pages = [PageFound(f"page {number}", note.id) for number in range(14)]
            await asyncio.gather(*[flock.append(page, subject=f"page/{page.name}", run=RUN) for page in pages])
            await wait_until(lambda: _ended(flock, 13 + 13 + 1))
        await flock.flush()
        events = [event async for event in flock.log.read()]
    lines: list[Line] = [orjson.loads(as_json(event)) for event in events]
    report = await report_of(events, RUN)
    document = orjson.loads(orjson.dumps(report.to_data()))
    del document["run"]
    assert document == recount(lines, RUN)
    assert len({place(line)[2] for line in lines}) == 3
    assert report.figures.odd == 0
    assert (report.figures.parked, report.figures.retries) == (1, 3)
    assert report.sharing.keys == 10
    assert report.memory.count > 13 * 3
    assert {edge.author.run for edge in report.edges if edge.author} == {RUN, "before"}
    assert {step.handler for step in report.path.steps} <= {"find", "list"}  # that which was given up, too
    assert report.path.length > 0


async def _ended(flock: Flock, count: int) -> bool:
    kinds = [event.type async for event in flock.log.read()]
    return kinds.count("delivery.handled") + kinds.count("delivery.parked") >= count


# Bounds.


def test_of_very_many_intervals_the_longest_are_kept_in_their_order() -> None:
    longest = Longest(most=3)
    for start, end in ((0, 5), (1, 2), (2, 7), (3, 8), (4, 5), (5, 105), (6, 11)):
        longest.add(
            Interval(activity="delivery", agent="a", handler="h", what="w", outcome="done", start=start, end=end)
        )
    kept = longest.timeline()
    assert [each.start for each in kept.intervals] == [0, 2, 5]
    assert kept.left_out == 4


async def test_of_a_very_long_path_the_last_steps_are_told_and_all_are_summed_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chains, "MAX_STEPS", 3)
    log = Scribe()
    cause: str | None = None
    for number in range(10):
        cause = log.tell(number * 10, "tick", actor="clock", cause=cause)
    path = (await reported(log.lines)).path
    assert ([step.event for step in path.steps], path.left_out, path.length) == (["e6", "e7", "e8"], 6, 90_000)


async def test_of_more_events_than_are_held_the_path_is_that_of_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains.Chain.__init__, "__defaults__", (4,))
    log = Scribe()
    cause: str | None = None
    for number in range(10):
        cause = log.tell(number * 10, "tick", actor="clock", cause=cause)
    path = (await reported(log.lines)).path
    assert (path.first, path.last, path.length, path.before) == ("e6", "e9", 30_000, 60_000)
    assert timelines.MAX_INTERVALS == 5000


async def test_an_event_with_an_id_or_a_run_that_is_no_text_stops_no_report() -> None:
    strange: list[tuple[Any, Any]] = [(["e"], RUN), (7, RUN), ("e1", ["r"]), ("e2", {})]  # as another program may write
    odd = [
        Event(type="work.computed", subject="s", id=event_id, run=run, position=Position(0, BEGAN, number))
        for number, (event_id, run) in enumerate(strange)
    ]
    runs, tally = RunsFold(), Tally()
    for each in odd:
        runs.evolve(each)
        tally.evolve(each)
    assert (set(runs.by_id), tally.figures().events) == ({RUN}, 4)
    assert (await report_of(odd, RUN)).figures.events == 0
