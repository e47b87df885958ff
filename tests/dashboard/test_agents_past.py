"""Agents as of any moment: the same as if the log had ended there."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.dashboard.annals import agents as agents_module
from roost.dashboard.annals.agents import KINDS, AgentsPast
from roost.streams import Event, Position

Step = tuple[int, str, str | None, str | None, str]
TYPES = [*KINDS, "clock.ticked", "delivery.resumed", "delivery.dropped"]


def happened(ms: int, kind: str, who: str | None, run: str | None, ident: str) -> Event:
    data = {"parked": ident, "type": "t", "error": "E", "message": "m", "attempts": 2, "by": "ann@here"}
    return Event(type=kind, subject="s", actor=who, run=run, body=orjson.dumps(data), position=Position(0, ms, 0))


happenings = st.lists(
    st.tuples(
        st.integers(0, 3), st.sampled_from(TYPES), st.sampled_from([None, "ann", "ben"]), st.sampled_from([None, "r"]),
        st.sampled_from("abc"),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(happenings, st.integers(0, 120))
def test_as_of_a_moment_is_as_if_the_log_had_ended_there(
    steps: list[tuple[int, str, str | None, str | None, str]], at: int
) -> None:
    whole, until = AgentsPast(), AgentsPast()
    ms = 0
    for gap, kind, who, run, ident in steps:
        ms += gap
        event = happened(ms, kind, who, run, ident)
        whole.evolve(event)
        if ms <= at:
            until.evolve(event)
    now = whole.agents(at)
    assert now == until.agents(at)
    assert whole.count(at) == len(now)
    assert whole.parked(at) == until.parked(at)
    assert sum(sum(each.per_minute) for each in now) == sum(each.events for each in now)
    for agent in now:
        assert whole.acts(agent.name, at, 5) == until.acts(agent.name, at, 5)
        assert whole.agent(agent.name, at) == until.agent(agent.name, at)


def test_events_of_other_shards_that_come_late_stand_where_they_belong() -> None:
    past = AgentsPast()
    for ms in (10, 30, 20, 30):
        past.evolve(happened(ms, "work.failed", "ann", "r", ""))
    [ann] = past.agents(25)
    assert (ann.events, ann.counts["errors"], ann.last_ms) == (2, 2, 20)
    assert past.acts("ann", 30, 9) == [30, 20, 10]
    assert past.acts("ann", 30, 2) == [30, 20]


def test_a_run_that_went_on_was_there_before() -> None:
    past = AgentsPast()
    for ms, run in ((10, "first"), (20, "second"), (30, "first")):
        past.evolve(happened(ms, "note.read", "ann", run, ""))
    assert [past.agents(at)[0].runs for at in (10, 25, 30)] == [("first",), ("first", "second"), ("first", "second")]


def test_who_fails_and_what_is_down_is_told() -> None:
    past = AgentsPast()
    for ms in (10, 20, 30):
        past.evolve(happened(ms, "work.failed", "ann", None, ""))
    past.evolve(happened(40, "note.read", "ben", None, ""))
    [(name, count, last)] = past.failing(10, 25)
    assert (name, count, last.at_ms) == ("ann", 1, 20)
    assert past.failing(30, 50) == []
    body = b'{"consumer":"host.1","error":"TimeoutError","message":"no answer"}'
    past.evolve(Event(type="circuit.opened", subject="actor/ann", actor="ann", body=body, position=Position(0, 50, 0)))
    assert [(each.agent, each.error, each.since_ms) for each in past.outages()] == [
        ("ann", "TimeoutError: no answer", 50)
    ]
    past.evolve(Event(type="circuit.closed", subject="actor/ann", actor="ann", body=body, position=Position(0, 60, 0)))
    assert past.outages() == []


def test_a_delivery_waits_from_when_it_was_given_up_until_somebody_decides() -> None:
    past = AgentsPast()
    past.evolve(happened(10, "delivery.parked", "ann", "r", "x"))
    past.evolve(happened(20, "delivery.dropped", "cli", None, "x"))
    past.evolve(happened(30, "delivery.dropped", "cli", None, "never was"))
    assert [[each.id for each in past.parked(at)] for at in (9, 10, 19, 20)] == [[], ["x"], ["x"], []]
    settled = past.settled("x")
    assert settled is not None
    assert (settled.how, settled.by, settled.error) == ("dropped", "ann@here", "E: m")
    assert past.settled("never was") is None


def test_memory_is_bounded_and_what_goes_is_counted() -> None:
    past = AgentsPast()
    for number in range(agents_module.MAX_AGENTS + 50):
        past.evolve(happened(number, "note.read", f"agent-{number}", None, ""))
    assert (len(past.agents(10**9)), past.fallen) == (agents_module.MAX_AGENTS, 50)
    for number in range(agents_module.MAX_PARKED + 7):
        past.evolve(happened(number, "delivery.parked", "ann", None, f"{number}"))
    assert (len(past.parked(10**9)), past.parked_gone) == (agents_module.MAX_PARKED, 7)


def test_who_does_very_much_keeps_the_later_half_of_it_and_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents_module, "MAX_TIMES", 100)
    past = AgentsPast()
    past.evolve(happened(0, "note.read", "ben", None, ""))
    for number in range(1_000):
        past.evolve(happened(number, "work.failed", "ann", None, ""))
    ann, ben = past.agents(10**9)
    assert (ann.events, ann.counts["errors"], ann.first_ms, ann.last_ms) == (1_000, 1_000, 0, 999)
    assert ben.events == 1
    [early, _] = past.agents(1)
    assert early.last_ms == 0  # when it was seen then is not known any more, but that it was


def test_odd_events_are_taken_for_what_they_tell() -> None:
    past = AgentsPast()
    for body in (b"[]", b"not json", b'{"parked":7}', b"{}"):
        for kind in ("delivery.parked", "delivery.dropped", "work.failed"):
            past.evolve(Event(type=kind, subject="s", actor="ann", body=body, position=Position(0, 1, 0)))
    assert past.parked(10) == []
    [ann] = past.agents(10)
    assert ann.counts["errors"] == 8
