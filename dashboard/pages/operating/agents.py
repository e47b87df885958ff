"""The agents: what each does, how much, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import streamlit as st

from roost.dashboard.annals.agents import AgentThen
from roost.dashboard.sight import Sight, go
from roost.dashboard.table import Column, Row, show_table
from roost.streams.amounts import SHORT_ID, show_moment, show_span
from roost.streams.printable import printable

from .acts import show_acts
from .opened import toggle

MOST = 200
SILENT_MS = 60_000
NOW_MS = 2_000
BARS = "▁▂▃▄▅▆▇█"
COLUMNS = (
    Column("Agent"),
    Column("State", "when"),
    Column("Last seen", "when"),
    Column("Events a minute", "count"),
    Column("Last 20 minutes", "id"),
    Column("Handled", "count"),
    Column("Notes", "count"),
    Column("Computed", "count"),
    Column("Reused", "count"),
    Column("Errors", "count"),
)
ERRORS = (Column("When", "when"), Column("What went wrong"), Column("Run", "id"))
RUNS = (Column("Its runs, the last one first", "id"),)


def show_agents(sight: Sight, now_ms: int) -> None:
    """All of them, the last seen first, and the one that was opened."""
    with sight.desk.annals.reading() as annals:
        agents, count = annals.agents.agents(now_ms, most=MOST), annals.agents.count(now_ms)
        fallen = annals.agents.fallen
    busy = {agent.id.name: len(agent.doing) for agent in sight.desk.feed.look(2**62).agents if agent.doing}
    opened: str | None = st.query_params.get("agent")
    rows = [_row(agent, now_ms, busy.get(agent.name, 0) if sight.at_ms is None else 0) for agent in agents]
    st.subheader("Agents")
    if count + fallen > len(agents):
        st.text(f"The {len(agents)} that were seen last, of {count + fallen:,}.")
    picked = show_table("agents", COLUMNS, rows, empty="Nobody has been here yet.", picked=opened)
    if picked is not None:
        toggle("agent", picked, opened)
    if opened is not None:
        _show_one(sight, opened, now_ms)


def sparkline(counts: Sequence[int]) -> str:
    """A bar for each count; the highest is full."""
    most = max(counts, default=0)
    return "".join(BARS[count * (len(BARS) - 1) // most] if most and count else "·" for count in counts)


def _row(agent: AgentThen, now_ms: int, busy: int) -> Row:
    silent = now_ms - agent.last_ms
    state = f"● computes {busy}" if busy else "◐ at work" if silent < SILENT_MS else "○ silent"
    has_failed = bool(agent.errors) and now_ms - agent.errors[0].at_ms < SILENT_MS
    counts = [agent.counts[kind] for kind in ("handled", "notes", "computed", "reused", "errors")]
    return Row(
        agent.name,
        (
            agent.name,
            state,
            "now" if silent < NOW_MS else f"{show_span(timedelta(milliseconds=silent))} ago",
            f"{agent.per_minute[-1]:,}",
            sparkline(agent.per_minute),
            *[f"{count:,}" for count in counts],
        ),
        "bad" if has_failed else "quiet" if silent >= SILENT_MS else "",
    )


def _show_one(sight: Sight, name: str, now_ms: int) -> None:
    with sight.desk.annals.reading() as annals:
        agent = annals.agents.agent(name, now_ms)
    if agent is None:
        st.text(f"No agent {printable(name)} has been seen by then.")
        return
    st.subheader("What it did")
    since, last = show_moment(agent.first_ms), show_moment(agent.last_ms)
    times = "1 event" if agent.events == 1 else f"{agent.events:,} events"
    st.text(f"{printable(name)}: {times} since {since}, the last at {last}.")
    show_acts(sight, name, now_ms)
    left, right = st.columns(2)
    with left:
        rows = [Row(run, (run[:SHORT_ID],)) for run in agent.runs]
        run = show_table("agent runs", RUNS, rows, empty="It acted outside of runs.", high=260)
        if run is not None:
            go("run", run=run)
    with right:
        first = agent.counts["errors"]
        errors = [
            Row(f"{first - number}", (show_moment(each.at_ms), each.words, (each.run or "")[:SHORT_ID]))
            for number, each in enumerate(agent.errors)
        ]
        show_table("agent errors", ERRORS, errors, empty="Nothing of it went wrong.", opens=False, high=260)
    if st.button(f"The {agent.counts['notes']:,} notes it wrote" if agent.counts["notes"] else "Its notes"):
        go("memory", agent=name)
