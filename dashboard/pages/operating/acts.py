"""What an agent did last, read from the log."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from roost.dashboard.sight import Sight, go
from roost.dashboard.table import Column, Row, show_table
from roost.projections.recorded import OddData, data_of
from roost.projections.seen import agent_of
from roost.streams import DamagedEvent, Event, RoostError, Shard
from roost.streams.amounts import SHORT_ID, abridge, shorten_ids, show_moment
from roost.streams.log import event_of
from roost.streams.together import together
from roost.streams.told import show_data

MOST = 20
IN_A_MILLISECOND = 100
"""Events that are looked at, of all agents."""
LONGEST = 200
"""Characters of what an event tells."""
COLUMNS = (Column("When", "when"), Column("Event"), Column("About"), Column("It tells", "wide"), Column("Run", "id"))


def show_acts(sight: Sight, name: str, at_ms: int) -> None:
    """Its last events by then. A row about a note opens the note, others the run."""
    with sight.desk.annals.reading() as annals:
        times = annals.agents.acts(name, at_ms, MOST)
    known: tuple[tuple[str, list[int]], list[Event]] | None = st.session_state.get("last acts")
    if known is None or known[0] != (name, times):
        try:
            acts = sight.desk.look(lambda shards: _read(shards, name, times))
        except RoostError as error:
            st.text(f"What it did last cannot be read: {error}")
            return
        st.session_state["last acts"] = known = ((name, times), acts)
    acts = known[1]
    rows = [_row(each) for each in acts]
    empty = "What it did last has left the server; roost log reads the archive." if times else "It has done nothing."
    picked = show_table("agent acts", COLUMNS, rows, empty=empty, high=300)
    if picked is None:
        return
    act = next((each for each in acts if each.id == picked), None)
    note = None if act is None else _note_of(act)
    if note is not None:
        go("memory", note=note)
    if act is not None and act.run:
        go("run", run=act.run)


def _note_of(event: Event) -> str | None:
    """The note that it is about, if it is about one."""
    kind, _, ident = event.subject.partition("/")
    if kind == "note":
        return ident
    try:
        note: object = data_of(event).get("note")
    except OddData:
        return None
    return note if isinstance(note, str) else None


def _row(event: Event) -> Row:
    tells = abridge(show_data(event), LONGEST)
    ms = event.position.ms if event.position is not None else event.time_ms
    cells = (
        show_moment(ms),
        event.type,
        abridge(shorten_ids(event.subject), LONGEST),
        tells,
        (event.run or "")[:SHORT_ID],
    )
    return Row(event.id, cells)


async def _read(shards: Sequence[Shard], name: str, times: Sequence[int]) -> list[Event]:
    """Those of its events that happened in these milliseconds, the newest first, as far as they are on the server."""
    pages = await together(*[_page(shard, ms) for shard in shards for ms in times])
    found = [event for page in pages for event in page if (agent := agent_of(event)) is not None and agent.name == name]
    found.sort(key=lambda event: (event.position.ms, event.position.seq) if event.position is not None else (0, 0))
    return found[: -MOST - 1 : -1]


async def _page(shard: Shard, ms: int) -> list[Event]:
    page = await shard.command("XREVRANGE", shard.keys.log, ms, ms, "COUNT", IN_A_MILLISECOND)
    found: list[Event] = []
    for entry, fields in page:
        try:
            found.append(event_of(shard.number, entry, fields))
        except DamagedEvent:  # the index has told of it
            continue
    return found
