"""Alerts of the work: what waits, what was given up, who fails and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

from roost.dashboard.annals.agents import AgentError, Outage
from roost.streams import InboxState
from roost.streams.amounts import show_span

from .alert import FEW, Alert
from .standing import Standing

NOBODY_TAKES_S = 60
"""So old is the first delivery of an inbox before people are told that nobody takes it."""
SLOW_S = 300
OFTEN = 5
"""Failures of an agent within five minutes of which people are told."""

Failing = tuple[str, int, AgentError]
"""An agent, how often it failed lately, and how it did the last time."""


def alerts_of_inboxes(standing: Standing, outages: Sequence[Outage]) -> Iterator[Alert]:
    """What waits for a decision, and what for somebody to take it, or for an outage to end."""
    resting = [each for each in outages if each.consumer in standing.workers_of(each.agent).known]
    yield from _of_outages(standing, resting)
    yield from _of_parked(standing)
    yield from _of_inboxes(standing, {each.agent for each in resting})


def _of_outages(standing: Standing, outages: Sequence[Outage]) -> Iterator[Alert]:
    for agent, count in _counted(each.agent for each in outages)[:FEW]:
        first = next(each for each in outages if each.agent == agent)
        age = show_span(timedelta(milliseconds=max(0, standing.now_ms - first.since_ms)))
        who = f"A worker of {agent} takes" if count == 1 else f"{count} workers of {agent} take"
        yield Alert(
            "trouble",
            f"{who} no deliveries, for {age} now: what its handlers depend on is down ({first.error}).",
            "It is tried again every now and then, and goes on by itself when that is back.",
        )


def _of_parked(standing: Standing) -> Iterator[Alert]:
    count = standing.flock.parked
    if not count:
        return
    waits = "1 parked delivery waits" if count == 1 else f"{count:,} parked deliveries wait"
    yield Alert(
        "trouble", f"{waits} for a decision: the agent gave up.", "See below what went wrong; then retry, or drop."
    )
    if any(each.halted for each in standing.parked):
        yield Alert(
            "trouble",
            "Keys stand still: what comes for them waits until the parked delivery is settled.",
            "They are marked below.",
        )


def _of_inboxes(standing: Standing, resting: Collection[str]) -> Iterator[Alert]:
    """Of who rests it has been told why nobody takes what waits."""
    stale = [each for each in standing.flock.inboxes if each.oldest_s is not None and each.oldest_s > NOBODY_TAKES_S]
    stale.sort(key=lambda each: each.oldest_s or 0, reverse=True)
    judged = [
        _of_inbox(each, len(standing.workers_of(each.inbox).there)) for each in stale if each.inbox not in resting
    ]
    told = [alert for alert in judged if alert is not None]
    yield from told[:FEW]
    if len(told) > FEW:
        yield Alert("trouble", f"Deliveries wait in {len(told) - FEW} more inboxes.", "They are listed below.")
    for inbox in standing.flock.inboxes:
        if inbox.limit is not None and inbox.length >= inbox.limit:
            yield Alert(
                "warning", f"The inbox of {inbox.inbox} is full: who sends to it has to wait.", "Start more workers."
            )


def _of_inbox(inbox: InboxState, workers: int) -> Alert | None:
    """Of one whose first delivery has been there for more than a minute."""
    age = show_span(timedelta(seconds=inbox.oldest_s or 0))
    to_do = inbox.length - inbox.pending
    what = "1 delivery" if inbox.length == 1 else f"{inbox.length:,} deliveries"
    wait, them = ("waits", "it") if inbox.length == 1 else ("wait", "them")
    there = "a worker is there" if workers == 1 else f"{workers} workers are there"
    since = f"for {age}" if inbox.length == 1 else f"the first for {age}"
    if not workers:
        left = "Who had it in hand is gone. " if inbox.pending else ""
        return Alert(
            "trouble",
            f"{what} of {inbox.inbox} {wait}, {since}, and nobody takes {them}: is a worker running?",
            f"{left}roost work MODULE starts one; of a run that stopped, roost resume RUN goes on.",
        )
    if not inbox.pending:
        return Alert(
            "trouble",
            f"{what} of {inbox.inbox} {wait}, {since}, and nobody takes {them}, though {there}.",
            "They rest until what they depend on is back, or wait for a slot of a limit; their output tells.",
        )
    if (inbox.oldest_s or 0) > SLOW_S and to_do:
        return Alert(
            "warning",
            f"{inbox.inbox} is behind: {what} {wait}, {since}.",
            "Start more workers, or see what they wait for.",
        )
    return None


def alerts_of_agents(failing: Sequence[Failing]) -> Iterator[Alert]:
    """Who fails again and again."""
    often = [each for each in failing if each[1] >= OFTEN]
    for name, count, last in often[:FEW]:
        yield Alert(
            "warning",
            f"{name} failed {count:,} times in the last five minutes; at last it {last.words}",
            "Open it below to see all that it met.",
        )
    if len(often) > FEW:
        yield Alert("warning", f"So did {len(often) - FEW} more agents.", "They are marked below.")


def _counted(names: Iterator[str]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return list(counts.items())
