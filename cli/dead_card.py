"""Parked deliveries as people and programs are shown them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click
import orjson

from roost.streams.amounts import SHORT_ID, abridge, shorten_ids, show_iso, show_moment, show_span
from roost.streams.parked import FailedAttempt, ParkedDelivery
from roost.streams.printable import printable

from .json_lines import dump_safely
from .terminal import foreign, is_plain, show, table, width, write

ROOM_FOR_ABOUT = 100
"""Columns from which on it has one of its own."""
LINES, CHARACTERS = 40, 4000
"""Of an event's data, and of a traceback, that are shown; of a traceback the last ones. --json has all."""


def title_of(parked: ParkedDelivery) -> str:
    return f"{parked.event.type} ({parked.id[:SHORT_ID]})"


def as_json(parked: ParkedDelivery, *, whole: bool = False) -> dict[str, Any]:
    """What is known; `whole`: with the event's data and the traceback."""
    event = parked.event
    document: dict[str, Any] = {
        "id": parked.id,
        "actor": parked.actor,
        "inbox": parked.inbox,
        "handler": parked.handler,
        "key": parked.key,
        "run": event.run,
        "event": event.id,
        "type": event.type,
        "subject": event.subject,
        "position": None if event.position is None else str(event.position),
        "error": parked.error,
        "message": parked.message,
        "attempts": parked.attempts,
        "appended": _iso(parked.appended_ms),
        "first_attempt": _iso(parked.first_attempt_ms),
        "parked": _iso(parked.parked_ms),
        "consumer": parked.consumer,
        "host": parked.host,
        "code": parked.code,
        "effect": parked.effect,
        "halted": parked.halted,
    }
    if whole:
        document["earlier"] = [_plain(attempt) for attempt in parked.earlier]
        document |= {"traceback": parked.traceback, "data": _data_of(parked)}
    return document


def table_of(found: Sequence[ParkedDelivery], now_ms: int) -> Any:
    """What went wrong needs the room first: in a narrow terminal what each is about is left to `show`."""
    about = ("About",) if width() >= ROOM_FOR_ABOUT else ()
    names = ("ID", "Actor", "Event", *about, "Error", "Tries", "Parked")
    made = table(*names, right=("Tries",), keep=("ID", "Parked"))
    for parked in found:
        cells: dict[str, Any] = {
            "ID": foreign(parked.id[:SHORT_ID], "bold"),
            "Actor": foreign(parked.actor),
            "Event": foreign(parked.event.type),
            "About": foreign(shorten_ids(parked.key or parked.event.subject)),
            "Error": foreign(f"{parked.error}: {parked.message}", "red"),
            "Tries": f"{parked.attempts:,}",
            "Parked": f"{show_span(timedelta(milliseconds=now_ms - parked.parked_ms))} ago",
        }
        made.add_row(*[cells[name] for name in names])
    return made


def show_parked(parked: ParkedDelivery, *, is_open: bool) -> None:
    """To standard output, for people. `is_open`: its inbox is there, so that it can be retried."""
    from rich.table import Table

    rows = Table.grid(padding=(0, 3, 0, 0))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    for name, fact in _facts(parked).items():
        if fact:
            rows.add_row(name, foreign(fact, wrap=True))
    show(rows)
    write("", _bold("Error"), _flat(f"{parked.error}: {parked.message}"))
    if parked.earlier:
        write("", _bold("Attempts before"), *[_show_attempt(attempt) for attempt in parked.earlier])
    if parked.traceback:
        write("", _bold("Traceback"), *_last_lines(printable(parked.traceback.rstrip())))
    write("", _bold("Data"), *_first_lines(_show_data(parked)))
    write("", _bold("What to do"), *_advice(parked, is_open))


def _facts(parked: ParkedDelivery) -> dict[str, str]:
    event = parked.event
    times = "once" if parked.attempts == 1 else f"{parked.attempts:,} times"
    first = "" if parked.first_attempt_ms is None else f", first at {show_moment(parked.first_attempt_ms)}"
    place = "" if event.position is None else f", at {event.position}"
    return {
        "Parked": parked.id,
        "When": show_moment(parked.parked_ms),
        "Actor": parked.actor if parked.handler is None else f"{parked.actor}, handler {parked.handler}",
        "Code": parked.code or "",
        "Key": parked.key or "",
        "Halted": "the key stands still until this is settled" if parked.halted else "",
        "Inbox": "" if parked.inbox == parked.actor else parked.inbox,
        "Event": f"{event.type} {event.id}{place}",
        "About": event.subject,
        "From": event.actor or "",
        "Run": event.run or "",
        "Appended": "" if parked.appended_ms is None else show_moment(parked.appended_ms),
        "Tried": f"{times}{first}",
        "Worker": parked.consumer or "",
        "Effect": parked.effect or "",
    }


def _advice(parked: ParkedDelivery, is_open: bool) -> Iterator[str]:
    short = parked.id[:SHORT_ID]
    if parked.effect is not None:
        yield _flat(f"Find out whether the effect {parked.effect} has happened outside, and say so:")
        yield _flat(
            f"roost dead settle {short} --done     it has: nothing is repeated, {parked.actor} goes on behind it"
        )
        yield _flat(f"roost dead settle {short} --undone   it has not: {parked.actor} carries it out")
    elif is_open:
        yield _flat(f"roost dead retry {short}   when the cause is mended: gives it back to {parked.actor}, tried anew")
    if not is_open:
        yield _flat(f"Its inbox {parked.inbox} is no more, because its run has ended: it cannot be retried.")
    yield _flat(f"roost dead drop {short}    when it need not be handled: removes it, for good")


def _show_attempt(attempt: FailedAttempt) -> str:
    took = "" if attempt.seconds is None else f" after {show_span(timedelta(seconds=attempt.seconds))}"
    return _flat(f"{attempt.number}. {show_moment(attempt.at_ms)}{took}  {attempt.error}: {attempt.message}")


def _show_data(parked: ParkedDelivery) -> str:
    data = _data_of(parked)
    return printable(data) if isinstance(data, str) else dump_safely(data, pretty=True)


def _data_of(parked: ParkedDelivery) -> Any:
    try:
        return parked.event.data
    except orjson.JSONDecodeError:
        return parked.event.body.decode(errors="replace")


def _first_lines(text: str) -> list[str]:
    shown = text[:CHARACTERS].split("\n")[:LINES]
    left = len(text) - len("\n".join(shown))
    return shown if left <= 0 else [*shown, _dim(f"… {left:,} more characters; --json prints all")]


def _last_lines(text: str) -> list[str]:
    shown = text[-CHARACTERS:].split("\n")[-LINES:]
    left = len(text) - len("\n".join(shown))
    return shown if left <= 0 else [_dim(f"… {left:,} characters before; --json prints all"), *shown]


def _plain(attempt: FailedAttempt) -> dict[str, Any]:
    facts = asdict(attempt)
    return {"at": _iso(facts.pop("at_ms")), **facts}


def _iso(time_ms: int | None) -> str | None:
    return None if time_ms is None else show_iso(time_ms)


def _flat(text: str) -> str:
    return abridge(printable(text).replace("\n", "\\n").replace("\t", " "), CHARACTERS)


def _bold(text: str) -> str:
    return text if is_plain() else click.style(text, bold=True)


def _dim(text: str) -> str:
    return text if is_plain() else click.style(text, dim=True)
