"""Alerts of the server: its memory, its disk, its log and what follows it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from roost.streams.amounts import SHORT_ID, show_size, show_span

from .alert import FEW, Alert
from .standing import Standing

NEARLY_FULL = 0.8
FULL = 0.95
DISK_LEFT = 0.05
DISK_IS_ROOMY = 20 * 1024**3
"""Bytes: a disk with more of them left is not nearly full, however large it is."""
FAR_BEHIND = 10_000
"""Events by which a projection is behind before people are told."""
SOON_S = 3600
SLOW_RELAY_S = 60
BRIDGE_AWAY_S = 60
"""A bridge that nobody runs may just be on its way to another process."""


def alerts_of_server(standing: Standing) -> Iterator[Alert]:
    """Whether it will take what is written, and keep it."""
    yield from _of_memory(standing)
    yield from _of_disk(standing)


def alerts_of_log(standing: Standing) -> Iterator[Alert]:
    """What follows the log, and what keeps it long; runs that nobody goes on with."""
    yield from _of_views(standing)
    yield from _of_log(standing)


def _of_memory(standing: Standing) -> Iterator[Alert]:
    server = standing.server
    if not server.answers:
        yield Alert(
            "trouble",
            "The server runs but does not answer: it is loading its data, its disk is full, or it is stuck.",
            "Look at its log, and at the disk that it writes to.",
        )
    if server.maxmemory and server.memory_used is not None:
        share = server.memory_used / server.maxmemory
        if share > NEARLY_FULL:
            yield Alert(
                "trouble" if share > FULL else "warning",
                f"The server's memory is {share:.0%} full; when it is full, nothing more can be written.",
                "Raise its maxmemory, let old events leave (roost archive --memory 70%), or forget notes.",
            )
    growth = standing.flock.log.growth_bytes_s
    if server.headroom is not None and growth and server.headroom / growth < SOON_S:
        left = show_span(timedelta(seconds=server.headroom / growth))
        yield Alert(
            "warning",
            f"At the rate at which events are written the server is full in {left}.",
            "Let old ones leave: roost archive --memory 70% --every 1m",
        )
    if standing.durability in ("none", "snapshots"):
        words = {
            "none": "The server keeps all of this in memory only: a restart loses everything.",
            "snapshots": "The server writes snapshots only: a crash loses everything since the last one.",
        }
        yield Alert("warning", words[standing.durability], "Switch its append-only file on: CONFIG SET appendonly yes")


def _of_disk(standing: Standing) -> Iterator[Alert]:
    server, disk = standing.server, standing.disk
    if server.disk_fails:
        yield Alert(
            "trouble",
            "The server could not write to its disk the last time that it tried: it refuses what is to be written, or "
            "would lose it in a crash.",
            "Make room on that disk, or see in the server's log what is wrong with it.",
        )
    if disk is not None and disk.free < min(disk.total * DISK_LEFT, DISK_IS_ROOMY):
        yield Alert(
            "warning",
            f"The disk that the server writes to has {show_size(disk.free)} left, of {show_size(disk.total)}; when it "
            "is full, nothing more can be written.",
            f"Make room there: the server's files are in {server.home}.",
        )


def _of_views(standing: Standing) -> Iterator[Alert]:
    for view in standing.views:
        name = f"{view.name}/{view.version}"
        if view.standing.stopped is not None:
            yield Alert(
                "trouble",
                f"Projection {name} has stopped before an event that it cannot fold.",
                f"roost views shows it; mend the projection, then roost rebuild {view.name}.",
            )
        elif view.is_read and view.behind > FAR_BEHIND:
            follows = "it is followed" if view.leader else "nobody follows it"
            yield Alert(
                "warning", f"Projection {name} is {view.behind:,} events behind; {follows}.", "See roost views."
            )


def _of_log(standing: Standing) -> Iterator[Alert]:
    flock = standing.flock
    if flock.relaying:
        yield Alert(
            "warning" if flock.relay_lag_s > SLOW_RELAY_S else "note",
            f"{flock.relaying:,} units are on their way between shards, the first for {flock.relay_lag_s:.1f} s.",
            "A process that has the flock open brings them there.",
        )
    yield from _of_bridges(standing)
    if flock.log.kept_by is not None and flock.log.kept_by not in [each.name for each in flock.bridges]:
        yield Alert(
            "warning",
            f"Events that are archived stay on the server, because {flock.log.kept_by} has not come further.",
            "roost views shows what to do.",
        )
    for run in flock.halfway[:FEW]:
        yield Alert(
            "warning", f"Run {run[:SHORT_ID]} stopped half-way.", f"roost resume {run[:SHORT_ID]} goes on with it."
        )
    if len(flock.halfway) > FEW:
        yield Alert("warning", f"{len(flock.halfway) - FEW} more runs stopped half-way.", "roost status names them.")


def _of_bridges(standing: Standing) -> Iterator[Alert]:
    """That nobody runs, or that do not keep up: what they have not mirrored stays on the server."""
    flock = standing.flock
    for bridge in flock.bridges:
        is_slow = bridge.behind is not None and bridge.behind > FAR_BEHIND
        if not bridge.is_behind or (bridge.holder is not None and not is_slow):
            continue
        if bridge.holder is None and bridge.behind_s < BRIDGE_AWAY_S and not is_slow:
            continue
        behind = "" if bridge.behind is None else "1 event " if bridge.behind == 1 else f"{bridge.behind:,} events "
        age = show_span(timedelta(seconds=bridge.behind_s))
        who = "nobody runs it" if bridge.holder is None else f"{bridge.holder} is at work"
        do = "Let its mirror begin again, or take its mark away."
        if bridge.holder is not None:
            do = "See what it says; if it waits for Kafka, that is what is slow."
        elif bridge.command:
            do = f"{bridge.command} --flock {flock.name} goes on with it; with --drop it is given up."
        yield Alert(
            "warning",
            f"The bridge {bridge.name} is {behind}behind, for {age}, and {who}: they stay on the server until then.",
            do,
        )
