"""The page Operations: is anything wrong, and what is to be done about it?"""

from __future__ import annotations

import time
from datetime import timedelta

import streamlit as st

from roost.actors.standing.durability import SENTENCES
from roost.dashboard.alerts import show_alerts
from roost.dashboard.notice import show_notice
from roost.dashboard.pages.operating.agents import show_agents
from roost.dashboard.pages.operating.bridges import show_bridges
from roost.dashboard.pages.operating.parked import show_parked, show_parked_then
from roost.dashboard.sight import Sight
from roost.dashboard.standing import Alert, Standing, alerts_of
from roost.dashboard.table import Column, Row, show_table
from roost.streams import RoostError
from roost.streams.amounts import abridge, show_size, show_span

EVERY_S = 2
CALM = "All is well: whatever waits is taken, nothing was given up, and there is room."
LATELY_MS = 300_000
WAITS = {"memory": "once the server has it in memory", "disk": "once it is on the server's disk"}
INBOXES = (
    Column("Inbox"), Column("To do", "count"), Column("In hand", "count"), Column("Waiting", "count"),
    Column("Parked", "count"), Column("Limit", "count"), Column("The oldest for", "when"), Column("Workers", "count"),
)  # fmt: skip
VIEWS = (
    Column("Projection"), Column("Version"), Column("Shard", "count"), Column("State"), Column("Events", "count"),
    Column("Behind", "count"), Column("Failed", "count"),
)  # fmt: skip
FAILURES = (Column("Could not fold"), Column("At", "id"), Column("Event"), Column("Error", "wide"))
LONGEST = 300


def show(sight: Sight) -> None:
    """How things stand, or stood."""
    if sight.at_ms is not None:
        show_notice("then", "What only the present knows is left out: inboxes, projections' lag, the server's memory.")
        show_parked_then(sight, sight.at_ms)
        show_agents(sight, sight.at_ms)
        return

    @st.fragment(run_every=EVERY_S)
    def operations() -> None:
        _show_now(sight)

    operations()


def _show_now(sight: Sight) -> None:
    standings, away = sight.desk.standings, ""
    try:
        standings.look(sight.desk)
    except RoostError as error:
        away = f"{error}"
    now_ms = round(time.time() * 1000) + sight.desk.feed.skew_ms
    standing = standings.last
    if away or standing is None:
        ago = f", {show_span(timedelta(seconds=time.time() - (standings.last_at or 0)))} ago" if standing else ""
        start = "roost up starts it. " if sight.desk.settings.url is None else ""
        below = f"{start}What is below is how it was{ago}." if standing else f"{start}Nothing is known of it yet."
        show_alerts("alerts", [Alert("trouble", f"The server is away: {away.partition(';')[0]}.", below)], calm="")
    else:
        with sight.desk.annals.reading() as annals:
            failing, outages = annals.agents.failing(now_ms - LATELY_MS, now_ms), annals.agents.outages()
        show_alerts("alerts", alerts_of(standing, failing, outages), calm=CALM)
    if standing is not None:
        show_parked(sight, standing, away=bool(away))
    show_agents(sight, now_ms)
    if standing is not None:
        _show_standing(standing)


def _show_standing(standing: Standing) -> None:
    st.subheader("Inboxes")
    inboxes = [
        Row(
            each.inbox,
            (
                each.inbox,
                f"{each.length - each.pending:,}",
                f"{each.pending:,}",
                f"{each.waiting:,}",
                f"{each.parked:,}",
                "" if each.limit is None else f"{each.limit:,}",
                "" if each.oldest_s is None else show_span(timedelta(seconds=each.oldest_s)),
                f"{len(standing.workers_of(each.inbox).there):,}",
            ),
        )
        for each in sorted(standing.flock.inboxes, key=lambda each: (-each.length, each.inbox))
    ]
    show_table("inboxes", INBOXES, inboxes, empty="No agent has an inbox now.", opens=False, high=320)
    if standing.flock.inbox_count > len(inboxes):
        st.text(f"{len(inboxes)} of {standing.flock.inbox_count:,} inboxes.")
    _show_views(standing)
    show_bridges(standing)
    st.subheader("Server")
    facts = [Row(name, (name, words)) for name, words in _facts(standing).items() if words]
    show_table("server", (Column("What"), Column("How it is")), facts, empty="", opens=False)


def _show_views(standing: Standing) -> None:
    st.subheader("Projections")
    several = standing.flock.shards > 1
    rows = [
        Row(
            f"{each.name}/{each.version}/{each.shard}",
            (
                each.name,
                each.version,
                *[f"{each.shard}"] * several,
                each.state,
                f"{each.standing.passed:,}",
                f"{each.behind:,}",
                f"{each.standing.failed:,}",
            ),
            "bad" if each.standing.stopped is not None else "",
        )
        for each in standing.views
    ]
    columns = [column for column in VIEWS if several or column.title != "Shard"]
    show_table("views", columns, rows, empty="No projection has been folded yet.", opens=False, high=260)
    failures = [
        Row(
            f"{view.name}/{view.version}/{view.shard}/{failure.position}",
            (f"{view.name}/{view.version}", f"{failure.position}", failure.type, abridge(failure.error, LONGEST)),
        )
        for view in standing.views
        for failure in view.failures
    ]
    if failures:
        show_table("failures", FAILURES, failures, empty="", opens=False, high=260)


def _facts(standing: Standing) -> dict[str, str]:
    server, flock = standing.server, standing.flock
    used = "" if server.memory_used is None else show_size(server.memory_used)
    if server.maxmemory is None or server.headroom is None:
        memory = f"{used} used; no limit is set" if used else ""
    else:
        memory = f"{used} of {show_size(server.maxmemory)} used, {show_size(server.headroom)} left"
    size = "" if server.append_only_size is None else f" ({show_size(server.append_only_size)} in the append-only file)"
    disk = "" if standing.disk is None else f"; the disk has {show_size(standing.disk.free)} left"
    rate = show_size(round(flock.log.growth_bytes_s))
    growth = f", {rate} more a second since the first of them" if flock.log.growth_bytes_s else ""
    trimmed = f", {flock.log.trimmed:,} have left it" if flock.log.trimmed else ""
    return {
        "Server": f"{server.kind} {server.version}" if server.kind else "",
        "At": server.url,
        "Running": "" if server.uptime is None else f"for {show_span(server.uptime)}",
        "Memory": memory,
        "Durability": SENTENCES[standing.durability],
        "Acknowledged": WAITS.get(flock.durability, f"by the rule {flock.durability}"),
        "Data": "" if server.home is None else f"{server.home}{size}{disk}",
        "Log": f"{flock.events:,} events, {show_size(flock.log.log_bytes)}{growth}{trimmed}",
        "Shards": f"{flock.shards}" if flock.shards > 1 else "",
        "Archive": flock.log.archive or "",
    }
