"""Alerts: each thing that is wrong has a sentence of its own, and what to do about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from roost.actors.standing.bridges import BridgeStanding
from roost.actors.standing.flocks import FlockSize
from roost.actors.standing.holding import Holding
from roost.actors.standing.views import ListedView
from roost.actors.standing.workers import Workers
from roost.dashboard.annals.agents import AgentError, Outage
from roost.dashboard.standing import Room, Standing, alerts_of
from roost.streams import InboxState, Position
from roost.streams.server import ServerStatus
from roost.streams.views import Standing as ViewStanding

CALM_FLOCK = FlockSize("owls", "memory", 10, 2, 0, 1, (InboxState("ann", 3, 2, 0, 0, None, 2.0),))
SERVER = ServerStatus(True, True, "redis://here", memory_used=100, maxmemory=1000, uptime=timedelta(hours=1))
THERE = {"ann": Workers(frozenset({"host.1"}), frozenset({"host.1", "host.2"}))}
CALM = Standing(1_000, CALM_FLOCK, (), (), SERVER, "everysec", THERE)
GIB = 1024**3


def inbox(workers: int = 0, **changed: Any) -> Standing:
    state = replace(InboxState("ann", 3, 0, 0, 0), **changed)
    there = frozenset(f"host.{number}" for number in range(workers))
    return replace(CALM, flock=replace(CALM_FLOCK, inboxes=(state,)), workers={"ann": Workers(there, there)})


def view(*, stopped: str | None = None, **changed: Any) -> Standing:
    standing = ViewStanding(Position(0, 1, 0), 5, 0, stopped)
    listed = ListedView("runs", "1", 0, standing, behind=0, is_read=True, leader=True, failures=[])
    return replace(CALM, views=(replace(listed, **changed),))


def flock(**changed: Any) -> Standing:
    return replace(CALM, flock=replace(CALM_FLOCK, **changed))


def bridge(**changed: Any) -> Standing:
    one = BridgeStanding("bridge/kafka/far", ("5-0",), 100, 300, 120.0, None)
    return flock(bridges=(replace(one, **changed),))


def test_when_all_is_well_nothing_is_said() -> None:
    assert alerts_of(CALM) == ()
    assert alerts_of(inbox(oldest_s=59.0)) == ()
    assert alerts_of(inbox(1, oldest_s=240.0, pending=3)) == ()  # a handler may take long
    assert alerts_of(replace(CALM, disk=Room(50 * GIB, 2000 * GIB))) == ()
    assert alerts_of(view(behind=9_000)) == ()
    assert alerts_of(bridge(behind=0, behind_s=0.0)) == ()
    assert alerts_of(bridge(behind_s=30.0)) == ()  # on its way to another process, perhaps
    assert alerts_of(bridge(behind=9_000, behind_s=300.0, holder="process 7 on a")) == ()


@pytest.mark.parametrize(
    ("standing", "severity", "words", "act"),
    [
        (replace(CALM, server=replace(SERVER, answers=False)), "trouble", "does not answer", "disk"),
        (replace(CALM, server=replace(SERVER, memory_used=850)), "warning", "85% full", "maxmemory"),
        (replace(CALM, server=replace(SERVER, memory_used=990)), "trouble", "99% full", "maxmemory"),
        (flock(log=Holding(growth_bytes_s=1.0)), "warning", "full in 15 min", "roost archive"),
        (replace(CALM, durability="none"), "warning", "a restart loses everything", "appendonly"),
        (replace(CALM, durability="snapshots"), "warning", "a crash loses everything since", "appendonly"),
        (replace(CALM, server=replace(SERVER, disk_fails=True)), "trouble", "could not write to its disk", "Make room"),
        (replace(CALM, disk=Room(GIB, 100 * GIB)), "warning", "has 1.0 GiB left, of 100", "Make room there"),
        (flock(parked=1), "trouble", "1 parked delivery waits for a decision", "retry, or drop"),
        (flock(parked=1200), "trouble", "1,200 parked deliveries wait for a decision", "retry, or drop"),
        (inbox(oldest_s=240.0), "trouble", "3 deliveries of ann wait, the first for 4 min, and nobody", "roost work"),
        (inbox(oldest_s=240.0, length=1), "trouble", "1 delivery of ann waits, for 4 min, and nobody", "roost work"),
        (inbox(oldest_s=240.0, pending=1), "trouble", "nobody takes them: is a worker", "Who had it in hand is gone."),
        (inbox(2, oldest_s=240.0), "trouble", "nobody takes them, though 2 workers are there", "rest until"),
        (inbox(1, oldest_s=400.0, pending=1), "warning", "ann is behind: 3 deliveries wait", "more workers"),
        (inbox(limit=3), "warning", "inbox of ann is full", "more workers"),
        (view(behind=12_000), "warning", "runs/1 is 12,000 events behind; it is followed", "roost views"),
        (view(behind=12_000, leader=False), "warning", "nobody follows it", "roost views"),
        (view(stopped="5-0"), "trouble", "runs/1 has stopped", "roost rebuild runs"),
        (flock(relaying=3, relay_lag_s=70.0), "warning", "3 units are on their way", "open"),
        (flock(log=Holding(kept_by="kafka")), "warning", "because kafka has not come further", "roost views"),
        (
            bridge(behind=300),
            "warning",
            "is 300 events behind, for 2 min, and nobody runs it",
            "--topic-prefix far --flock",
        ),
        (bridge(behind=None), "warning", "bridge/kafka/far is behind, for 2 min, and nobody", "--drop"),
        (
            bridge(behind=20_000, holder="process 7 on a"),
            "warning",
            "and process 7 on a is at work",
            "See what it says",
        ),
        (bridge(name="bridge/mine"), "warning", "bridge/mine is 300 events behind", "take its mark away"),
        (flock(halfway=("a" * 24,)), "warning", "Run aaaaaaaa stopped half-way", "roost resume aaaaaaaa"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(standing: Standing, severity: str, words: str, act: str) -> None:
    [alert] = alerts_of(standing)
    assert alert.severity == severity
    assert words in alert.words
    assert act in alert.do


def test_the_worst_comes_first_and_many_are_counted() -> None:
    states = tuple(InboxState(f"agent-{number}", 1, 0, 0, 0, None, 100.0) for number in range(9))
    alerts = alerts_of(replace(flock(inboxes=states, parked=1), durability="none"))
    assert [alert.severity for alert in alerts] == ["trouble"] * 7 + ["warning"]
    assert any("4 more inboxes" in alert.words for alert in alerts)


def test_who_fails_often_and_who_rests_is_told() -> None:
    error = AgentError(900, "gave up nest.found: TimeoutError: no answer", None)
    assert alerts_of(CALM, [("ann", 4, error)]) == ()
    [often] = alerts_of(CALM, [("ann", 5, error)])
    assert often.words == (
        "ann failed 5 times in the last five minutes; at last it gave up nest.found: TimeoutError: no answer"
    )
    down = [Outage(agent="ann", consumer=f"host.{number}", error="E: m", since_ms=400) for number in (1, 2)]
    [rests] = alerts_of(CALM, (), down)
    assert (
        "2 workers of ann take no deliveries, for 600 ms now: what its handlers depend on is down (E: m)" in rests.words
    )
    waits = replace(CALM, flock=replace(CALM_FLOCK, inboxes=(InboxState("ann", 1, 0, 0, 0, None, 100.0),)))
    [rests] = alerts_of(waits, (), down[1:])  # and that is why
    assert rests.words.startswith("A worker of ann takes")
    [gone] = alerts_of(replace(waits, workers={}), (), down)  # no worker of which it was told is there any more
    assert "is a worker running?" in gone.words
