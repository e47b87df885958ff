"""The books: what the events of counters and accounts add up to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import orjson

from roost.streams import Event

from .world import OPENING_BALANCE

COUNTS = ("chaos.counted", "chaos.stepped")
Folded = dict[str, dict[str, tuple[int, bytes]]]


def fold(events: Sequence[Event]) -> Folded:
    """By actor and key: the version of the key's subject and its state as JSON, from the amounts alone."""
    totals: dict[tuple[str, str], int] = defaultdict(int)
    balances: dict[str, int] = defaultdict(lambda: OPENING_BALANCE)
    versions: dict[str, int] = defaultdict(int)
    for event in events:
        actor, key = _keyed(event)
        if not key:
            continue
        versions[event.subject] += 1
        if actor != "Ledger":
            totals[actor, key] += event.type in COUNTS
        else:
            balances[key] += _change(event)
    folded: Folded = {"Counter": {}, "Gate": {}, "Ledger": {}}
    for (actor, key), total in totals.items():
        folded[actor][key] = versions[f"actor/{actor}/{key}"], orjson.dumps({"total": total})
    for key, balance in balances.items():
        folded["Ledger"][key] = versions[f"actor/Ledger/{key}"], orjson.dumps({"balance": balance})
    return folded


def _keyed(event: Event) -> tuple[str, str]:
    """The keyed actor and the key that an event is about; no key if it is about none."""
    kind, _, rest = event.subject.partition("/")
    actor, _, key = rest.partition("/")
    return (actor, key) if kind == "actor" and actor in ("Counter", "Gate", "Ledger") else ("", "")


def _change(event: Event) -> int:
    """What an event adds to its account."""
    if event.type == "chaos.withdrawn":
        return -int(event.data["amount"])
    return int(event.data["amount"]) if event.type == "chaos.deposited" else 0


def check(events: Sequence[Event]) -> Iterator[str]:
    """Each count and each balance follows from the one before; no money is made or lost; nothing is on its way."""
    totals: dict[str, int] = defaultdict(int)
    balances: dict[str, int] = defaultdict(lambda: OPENING_BALANCE)
    on_its_way: dict[str, tuple[int, Event]] = {}
    for event in events:
        _, key = _keyed(event)
        if event.type in COUNTS:
            totals[event.subject] += 1
            if event.data["total"] != totals[event.subject]:
                made = totals[event.subject]
                yield f"counter {key} says {event.data['total']} at {event.position}, its events make {made}"
                totals[event.subject] = event.data["total"]
        elif event.type in ("chaos.withdrawn", "chaos.deposited", "chaos.declined"):
            balances[key] += _change(event)
            if event.data["balance"] != balances[key]:
                yield f"account {key} says {event.data['balance']} at {event.position}, its events make {balances[key]}"
                balances[key] = event.data["balance"]
        yield from _follow(event, on_its_way)
    for command, (amount, event) in on_its_way.items():
        yield f"{amount} of the transfer {command} left {event.subject} at {event.position}, and arrived nowhere"
    total, expected = sum(balances.values()), OPENING_BALANCE * len(balances)
    if total != expected:
        yield f"the accounts hold {total} together, not {expected}"


def _follow(event: Event, on_its_way: dict[str, tuple[int, Event]]) -> Iterator[str]:
    """The money of a transfer, from one account to the other."""
    if event.type == "chaos.withdrawn":
        on_its_way[event.data["command"]] = (event.data["amount"], event)
    elif event.type == "chaos.deposited":
        command, amount = event.data["command"], event.data["amount"]
        sent, _ = on_its_way.pop(command, (None, event))
        if sent != amount:
            yield f"{event.subject} got {amount} of the transfer {command} at {event.position}; sent were {sent}"
