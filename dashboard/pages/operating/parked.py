"""Deliveries that were given up: what went wrong, and what can be done about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import orjson
import streamlit as st

from roost.dashboard.notice import show_notice
from roost.dashboard.sight import Sight
from roost.dashboard.standing import Standing
from roost.dashboard.table import Column, Row, show_table
from roost.streams import RoostError, Shard
from roost.streams.amounts import SHORT_ID, abridge, shorten_ids, show_moment, show_span
from roost.streams.every_shard import parked_in
from roost.streams.parked import FailedAttempt, ParkedDelivery
from roost.streams.printable import printable

from .decision import HOW_TO_DECIDE, ask, forget_choice, show_decided
from .opened import toggle

CHARACTERS = 6_000
"""Of a traceback and of an event's data that are shown."""
LONGEST = 300
"""Of a cell of the table."""
HIGH = 320
MOST_THEN = 100
COLUMNS = (
    Column("ID", "id"),
    Column("Agent"),
    Column("Event"),
    Column("About"),
    Column("Error", "wide"),
    Column("Tries", "count"),
    Column("Parked", "when"),
)
COLUMNS_THEN = tuple(column for column in COLUMNS if column.title != "About")


def show_parked(sight: Sight, standing: Standing, *, away: bool) -> None:
    """What waits for a decision now, and the one that was opened. `away`: the server is, so nothing can be decided."""
    show_decided()
    opened: str | None = st.query_params.get("parked")
    if not standing.flock.parked and opened is None:
        return
    st.subheader("Parked: waiting for a decision")
    rows = [_row(each, standing.now_ms) for each in standing.parked]
    picked = show_table("parked", COLUMNS, rows, empty="Nothing is parked.", picked=opened, high=HIGH)
    if standing.flock.parked > len(rows):
        st.text(f"The last {len(rows)} of {standing.flock.parked:,}. roost dead list --limit N lists more.")
    if picked is not None:
        forget_choice()
        toggle("parked", picked, opened)
    if opened is not None:
        _show_opened(sight, standing, opened, away=away)


def show_parked_then(sight: Sight, at_ms: int) -> None:
    """What waited for a decision then; nothing can be done about it from the past."""
    with sight.desk.annals.reading() as annals:
        parked = annals.agents.parked(at_ms)
    st.subheader("Parked: waiting for a decision then")
    rows = [
        Row(
            each.id,
            (each.id[:SHORT_ID], each.actor, each.type, each.error, f"{each.attempts:,}", _ago(at_ms, each.parked_ms)),
        )
        for each in parked[:MOST_THEN]
    ]
    show_table("parked then", COLUMNS_THEN, rows, empty="Nothing was parked.", opens=False, high=HIGH)
    if len(parked) > MOST_THEN:
        st.text(f"The last {MOST_THEN} of {len(parked):,}.")


def _row(each: ParkedDelivery, now_ms: int) -> Row:
    about = abridge(shorten_ids(each.key or each.event.subject), LONGEST)
    error = abridge(f"{each.error}: {each.message}", LONGEST)
    when = _ago(now_ms, each.parked_ms)
    cells = (each.id[:SHORT_ID], each.actor, each.event.type, about, error, f"{each.attempts:,}", when)
    return Row(each.id, cells, "bad" if each.halted else "")


def _ago(now_ms: int, then_ms: int) -> str:
    return f"{show_span(timedelta(milliseconds=max(0, now_ms - then_ms)))} ago"


def _show_opened(sight: Sight, standing: Standing, ident: str, *, away: bool) -> None:
    one = next((each for each in standing.parked if each.id == ident), None)
    is_open = True
    try:
        one, is_open = (one, True) if away else sight.desk.look(lambda shards: _find(shards, one, ident))
    except RoostError as error:
        show_notice("gone", _gone(sight, ident) or f"{error}")
        return
    if one is None:
        return
    _show_one(one)
    if one.effect:
        settle = f"roost dead settle {one.id[:SHORT_ID]} --done or --undone"
        show_notice("how", f"Find out whether the effect {one.effect} has happened, and say so in a terminal: {settle}")
    elif away:
        show_notice("how", "While the server is away, nothing can be decided.")
    elif not sight.may_write:
        show_notice("how", HOW_TO_DECIDE.format(id=one.id[:SHORT_ID]))
    else:
        if not is_open:
            show_notice("how", f"Its inbox {one.inbox} is no more, because its run has ended: it cannot be retried.")
        ask(sight, one, [each for each in standing.parked if _alike(each, one)], is_open=is_open)


async def _find(shards: Sequence[Shard], one: ParkedDelivery | None, ident: str) -> tuple[ParkedDelivery, bool]:
    parked = parked_in(shards)
    found = await parked.get(ident) if one is None else one
    return found, await parked.is_open(found)


def _gone(sight: Sight, ident: str) -> str:
    """Who has decided meanwhile about what was opened here; "" where that is not known."""
    with sight.desk.annals.reading() as annals:
        settled = annals.agents.settled(ident)
    if settled is None:
        return ""
    title = f"{settled.type} ({settled.id[:SHORT_ID]})"
    return f"{title} is parked no more: {settled.by} was quicker, it was {settled.how}."


def _alike(each: ParkedDelivery, one: ParkedDelivery) -> bool:
    return each.actor == one.actor and each.error == one.error and each.inbox == one.inbox and not each.effect


def _show_one(one: ParkedDelivery) -> None:
    run = f", in run {one.run[:SHORT_ID]}" if one.run else ""
    tried = "once" if one.attempts == 1 else f"{one.attempts:,} times"
    halted = " Its key stands still until this is settled." if one.halted else ""
    effect = f" It was carrying out {one.effect}, and nobody knows whether that has happened." if one.effect else ""
    about = abridge(shorten_ids(one.key or one.event.subject), LONGEST)
    st.text(
        printable(
            f"{one.event.type} about {about}{run}: {one.actor} tried {tried} and gave up at "
            f"{show_moment(one.parked_ms)}.{halted}{effect}"
        )
    )
    st.code(_block(_first(f"{one.error}: {one.message}")), language=None, wrap_lines=True)
    with st.expander("Attempts, traceback and data"):
        attempts = [_attempt(each) for each in one.earlier]
        if attempts:
            st.code(_block("\n".join(["Attempts before:", *attempts])), language=None, wrap_lines=True)
        st.code(_block(_last(one.traceback) or "No traceback was kept."), language=None)
        st.code(_block(_data_of(one)), language=None, wrap_lines=True)


def _attempt(each: FailedAttempt) -> str:
    took = "" if each.seconds is None else f" after {show_span(timedelta(seconds=each.seconds))}"
    return f"{each.number}. {show_moment(each.at_ms)}{took}  {each.error}: {each.message}"


def _last(text: str) -> str:
    left = len(text) - CHARACTERS
    return text if left <= 0 else f"… {left:,} characters before\n{text[left:]}"


def _data_of(one: ParkedDelivery) -> str:
    try:
        text = orjson.dumps(orjson.loads(one.event.body), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        text = one.event.body.decode(errors="replace")
    return _first(text)


def _first(text: str) -> str:
    left = len(text) - CHARACTERS
    return text if left <= 0 else f"{text[:CHARACTERS]}\n… {left:,} more characters; roost dead show prints more"


def _block(text: str) -> str:
    return "\n".join(printable(line) for line in text.splitlines())
