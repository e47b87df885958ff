"""The checker of the chaos run: silent about a log that is right, and not about one that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from roost_tests.chaos.checker import check
from roost_tests.chaos.evidence import Consumer, Evidence, Sent
from roost_tests.chaos.ledger import fold
from roost_tests.chaos.world import KEYS, TAKERS

from roost.streams import Event, InboxState, Position

Doctor = Callable[[Evidence], Evidence]


class Tale:
    """Writes a log that is right."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.sent: list[Sent] = []
        self.versions: dict[str, int] = {}

    def add(self, kind: str, subject: str, cause: Event | None = None, actor: str | None = None, **data: Any) -> Event:
        version = self.versions[subject] = self.versions.get(subject, 0) + 1
        number = len(self.events)
        event = Event(
            type=kind, subject=subject, body=orjson.dumps(data), id=f"e{number}", actor=actor, version=version,
            cause=None if cause is None else cause.id, position=Position(0, 1000 + 100 * number, 0),
        )  # fmt: skip
        self.events.append(event)
        return event

    def send(self, command: str, kind: str, **data: Any) -> Event:
        event = self.add(kind, "actor/p", command=command, **data)
        self.sent.append(Sent(command, "accepted", str(event.position)))
        return event

    def end(self, event: Event, how: str = "handled", **data: Any) -> None:
        actor = TAKERS[event.type]
        self.add(f"delivery.{how}", f"actor/{actor}", event, actor, event=event.id, **data)

    def effect(self, event: Event, kind: str, **data: Any) -> Event:
        actor = TAKERS[event.type]
        subject = f"actor/{actor}/{event.data[KEYS[event.type]]}" if event.type in KEYS else f"actor/{actor}"
        return self.add(kind, subject, event, actor, command=event.data["command"], **data)

    def evidence(self) -> Evidence:
        return Evidence(
            events=self.events, sent=self.sent, states=fold(self.events), parked={"Clerk": ["e6"], "Counter": []},
            inboxes=[InboxState(actor, 0, 0, 0, 0) for actor in ("Counter", "Ledger", "Clerk")],
            consumers=[Consumer("Clerk", "gone", 0, 9000)], outside=["mail/p0-5"],
        )  # fmt: skip


@pytest.fixture
def right() -> Evidence:
    """Two counts of a key, a transfer, a job that is parked, and one that is done and reminded of."""
    tale = Tale()
    counts = [tale.send(f"p0-{n}", "chaos.count", key="k", act="") for n in (1, 2)]  # e0, e1
    for total, count in enumerate(counts, 1):
        tale.effect(count, "chaos.counted", key="k", total=total)  # e2, e4
        tale.end(count)  # e3, e5
    poison = tale.send("p0-3", "chaos.job", topic="t", act="poison", reminder_ms=0, mail=False)  # e6
    transfer = tale.send("p0-4", "chaos.transfer", source="a", target="b", amount=30, act="")  # e7
    tale.effect(transfer, "chaos.withdrawn", amount=30, balance=970)  # e8
    deposit = tale.effect(transfer, "chaos.deposit", target="b", amount=30)  # e9
    tale.end(transfer)  # e10
    tale.effect(deposit, "chaos.deposited", amount=30, balance=1030)  # e11
    tale.end(deposit)  # e12
    tale.end(poison, "parked", error="Unwilling", message="poison")  # e13
    job = tale.send("p0-5", "chaos.job", topic="t", act="", reminder_ms=300, mail=True)  # e14
    tale.add("work.claimed", "actor/Clerk", job, "Clerk", key="topic/t")  # e15
    tale.add("note.written", "key/topic/t", job, "Clerk", key="topic/t")  # e16
    tale.add("note.written", "key/job/p0-5", job, "Clerk", key="job/p0-5")  # e17
    tale.effect(job, "chaos.done", learned="e16")  # e18
    tale.end(job)  # e19
    for _ in range(4):
        tale.add("other.thing", "thing/1")  # e20 to e23
    reminder = tale.effect(job, "chaos.reminder")  # e24
    tale.effect(reminder, "chaos.reminded")  # e25
    tale.end(reminder)  # e26
    tale.sent.append(Sent("p0-6", "refused"))
    tale.sent.append(Sent("p0-7", "unknown"))
    return tale.evidence()


def test_a_log_that_is_right_has_no_violations(right: Evidence) -> None:
    assert check(right, ordered=True) == []


def renumbered(evidence: Evidence, events: list[Event]) -> Evidence:
    """The events as a log of their own: positions and versions follow from their order."""
    versions: dict[str, int] = {}
    log: list[Event] = []
    for number, event in enumerate(events):
        versions[event.subject] = versions.get(event.subject, 0) + 1
        position = Position(0, 1000 + 100 * number, 0)
        log.append(replace(event, version=versions[event.subject], position=position))
    places = {event.data.get("command"): str(event.position) for event in reversed(log)}
    sent = [replace(one, position=places.get(one.command, one.position)) for one in evidence.sent]
    return replace(evidence, events=log, sent=sent, states=fold(log))


def without(*ids: str) -> Doctor:
    return lambda right: renumbered(right, [event for event in right.events if event.id not in ids])


def twice(*ids: str) -> Doctor:
    """Events that happen once more at the end, under new identities."""

    def doctor(right: Evidence) -> Evidence:
        again = [replace(event, id=f"{event.id}x") for event in right.events if event.id in ids]
        return renumbered(right, [*right.events, *again])

    return doctor


def with_data(event_id: str, **data: Any) -> Doctor:
    def doctor(right: Evidence) -> Evidence:
        events = [
            replace(event, body=orjson.dumps(event.data | data)) if event.id == event_id else event
            for event in right.events
        ]
        return replace(right, events=events)

    return doctor


def swapped(*ids: str) -> Doctor:
    """The second pair of events comes before the first."""

    def doctor(right: Evidence) -> Evidence:
        found = {event.id: event for event in right.events}
        order = [event.id for event in right.events]
        for old, new in zip(sorted(ids, key=order.index), ids, strict=True):
            order[[event.id for event in right.events].index(old)] = new
        return renumbered(right, [found[one] for one in order])

    return doctor


def but(**other: Any) -> Doctor:
    """The same, apart from what is named."""
    return lambda right: replace(right, **other)


def with_gap(right: Evidence) -> Evidence:
    events = [replace(event, version=9) if event.id == "e23" else event for event in right.events]
    return replace(right, events=events)


def with_fate(command: str, fate: Any) -> Doctor:
    def doctor(right: Evidence) -> Evidence:
        sent = [replace(one, fate=fate) if one.command == command else one for one in right.sent]
        return replace(right, sent=sent)

    return doctor


def with_states(right: Evidence) -> Evidence:
    return replace(right, states=right.states | {"Counter": {"k": (2, b'{"total":3}')}})


def claimed_again(right: Evidence) -> Evidence:
    place = next(place for place, event in enumerate(right.events) if event.id == "e15")
    again = replace(right.events[place], id="e15x")
    return renumbered(right, [*right.events[: place + 1], again, *right.events[place + 1 :]])


@pytest.mark.parametrize(
    ("doctor", "rule", "said"),
    [
        (without("e0", "e2", "e3"), "commands", "p0-1 was accepted at 1000-0 and is not in the log"),
        (twice("e0"), "commands", "p0-1 (accepted) was appended 2 times"),
        (with_fate("p0-1", "refused"), "commands", "p0-1 was refused and is in the log: chaos.count at 1000-0"),
        (with_data("e0", command="p9-9"), "commands", "nobody sent the command p9-9"),
        (swapped("e1", "e0"), "commands", "p0-2 was appended after p0-1, and stands before it"),
        (without("e3"), "deliveries", "p0-1 at 1000-0 ended 0 times at Counter"),
        (twice("e3"), "deliveries", "p0-1 at 1000-0 ended 2 times at Counter: delivery.handled at 1300-0"),
        (twice("e2"), "effects", "p0-1 at 1000-0 was handled and had these effects: chaos.counted at 1200-0"),
        (without("e2"), "effects", "p0-1 at 1000-0 was handled and had these effects: none"),
        (with_data("e2", command="p0-2"), "effects", "p0-1 at 1000-0 had effects of another command"),
        (without("e9", "e11", "e12"), "ledger", "30 of the transfer p0-4 left actor/Ledger/a at"),
        (with_data("e11", amount=31), "ledger", "actor/Ledger/b got 31 of the transfer p0-4"),
        (with_data("e4", total=3), "ledger", "counter k says 3 at 1400-0, its events make 2"),
        (with_data("e8", balance=990), "ledger", "account a says 990 at"),
        (twice("e11"), "ledger", "account b says 1030 at"),
        (with_data("e14", act="poison"), "poison", "p0-5 at 2400-0, poison: delivery.handled at"),
        (with_data("e6", act=""), "poison", "p0-3 at 1600-0, plain: delivery.parked at"),
        (but(parked={"Clerk": []}), "poison", "differ in what was parked: ['e6']"),
        (without("e24", "e25", "e26"), "timers", "p0-5 at 2400-0 led to 0 reminders"),
        (with_data("e14", reminder_ms=5000), "timers", "the reminder of p0-5 came too early"),
        (swapped("e4", "e5", "e2", "e3"), "order", "Counter ended p0-2 of key k before p0-1"),
        (but(outside=[]), "outside", "mail/p0-5 of chaos.job at 2400-0 happened 0 times"),
        (but(outside=["mail/p0-5"] * 2), "outside", "mail/p0-5 of chaos.job at 2400-0 happened 2 times"),
        (but(outside=["mail/p0-5", "mail/p0-9"]), "outside", "mail/p0-9 happened, and nobody asked for it"),
        (with_gap, "log", "thing/1 has version 9 at 3300-0, not 4"),
        (with_states, "states", "the state of Counter k is"),
        (twice("e16"), "once", "topic/t was written 2 times"),
        (claimed_again, "once", "topic/t was claimed again 100 ms after a claim, within its lease"),
        (without("e15"), "once", "topic/t was written without a claim"),
        (with_data("e18", learned="e17"), "once", "p0-5 at 2800-0 used the note e17, which no topic has"),
        (but(waiting={"later": 2}), "keys", "2 still wait in later"),
        (but(claims=["c"]), "keys", "still claimed"),
        (but(strange_keys=["s"]), "keys", "no known kind: s"),
        (but(inboxes=[InboxState("Clerk", 1, 1, 0, 0)]), "inboxes", "still holds 1 entries"),
        (but(consumers=[Consumer("Clerk", "c", 3, 0)]), "consumers", "3 entries of Clerk"),
        (but(consumers=[Consumer("Clerk", "c", 0, 99_000)]), "consumers", "after 99.0 s"),
    ],
)
def test_a_doctored_log_is_found_out(right: Evidence, doctor: Doctor, rule: str, said: str) -> None:
    found = [str(violation) for violation in check(doctor(right), ordered=True)]
    assert any(one.startswith(rule) and said in one for one in found), found


def test_order_across_processes_is_checked_only_where_it_is_promised(right: Evidence) -> None:
    doctored = swapped("e4", "e5", "e2", "e3")(right)
    assert [violation.rule for violation in check(doctored, ordered=False)] == ["ledger", "ledger"]
