"""All agents of the log, and the deliveries that were given up, as of any moment."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from itertools import pairwise

from roost.projections.recorded import Data, OddData, data_of
from roost.projections.seen import agent_of, clip
from roost.streams import Event

MAX_AGENTS = 2_000
MAX_ERRORS = 30
"""Of an agent: its last ones."""
MAX_RUNS = 100
MAX_PARKED = 5_000
"""Deliveries that were given up, settled or not."""
MAX_TIMES = 2_000_000
"""Of acts, of all agents together: beyond, whoever has done the most keeps the later half of theirs, and the count."""
MAX_CIRCUITS = 200
MINUTE_MS = 60_000
KINDS = {
    "note.written": "notes",
    "note.read": "reads",
    "work.computed": "computed",
    "work.reused": "reused",
    "delivery.handled": "handled",
    "delivery.retried": "errors",
    "delivery.parked": "errors",
    "work.failed": "errors",
}
COUNTED = ("notes", "reads", "computed", "reused", "handled", "errors")


@dataclass(frozen=True, slots=True)
class AgentError:
    """Something that went wrong with what an agent did."""

    at_ms: int
    words: str
    run: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentThen:
    """An agent, by its name, in all runs together. `events` is all that it did; `per_minute` what it did in each of the
    last minutes, the last one at the end; `runs` are those it was last seen in, the newest first."""

    name: str
    events: int
    counts: dict[str, int]
    first_ms: int
    last_ms: int
    per_minute: tuple[int, ...]
    runs: tuple[str, ...]
    errors: tuple[AgentError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedThen:
    """A delivery that was given up. `how` and `by` tell how it ended: `resumed` or `dropped`, by whom."""

    id: str
    actor: str
    type: str
    error: str
    attempts: int
    run: str | None
    parked_ms: int
    settled_ms: int | None = None
    how: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What an agent's handlers depend on is down: a worker of it, `consumer`, takes nothing until it is back."""

    agent: str
    consumer: str
    error: str
    since_ms: int


class _Course:
    """Milliseconds of all that an agent did, in order, and of what counts, by kind; `gone` counts those let go."""

    __slots__ = ("all", "errors", "first_ms", "gone", "kinds", "runs")

    def __init__(self, first_ms: int) -> None:
        self.first_ms = first_ms
        self.all: array[int] = array("q")
        self.kinds: dict[str, array[int]] = {}
        self.gone: dict[str, int] = {}
        self.runs: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self.errors: deque[AgentError] = deque(maxlen=MAX_ERRORS)

    def last_by(self, at_ms: int) -> int | None:
        """When it was last seen by the end of that millisecond; None: not yet."""
        place = bisect_right(self.all, at_ms)
        return self.all[place - 1] if place else self.first_ms if self.first_ms <= at_ms else None

    def count_by(self, kind: str, at_ms: int) -> int:
        times = self.kinds.get(kind)
        return 0 if times is None else bisect_right(times, at_ms) + self.gone.get(kind, 0)

    def halve(self) -> int:
        """Let the earlier half go; how many times that were."""
        dropped = 0
        for kind, times in [("all", self.all), *self.kinds.items()]:
            half = len(times) // 2
            del times[:half]
            self.gone[kind] = self.gone.get(kind, 0) + half
            dropped += half
        return dropped


class AgentsPast:
    """Folds the log into its agents. Not thread-safe: use it within `Annals.reading`.

    A million events take about 15 MB. `fallen` counts agents that had to make room, `parked_gone` deliveries.
    """

    def __init__(self) -> None:
        self.fallen = self.parked_gone = 0
        self._agents: OrderedDict[str, _Course] = OrderedDict()  # the longest silent first
        self._times = 0
        self._parked: OrderedDict[str, ParkedThen] = OrderedDict()
        self._outages: OrderedDict[tuple[str, str], Outage] = OrderedDict()

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        ms = event.position.ms if event.position is not None else event.time_ms
        if event.type in ("delivery.parked", "delivery.resumed", "delivery.dropped"):
            self._take_parked(event, ms)
        elif event.type in ("circuit.opened", "circuit.closed"):
            self._take_circuit(event, ms)
        agent = agent_of(event)
        if agent is None:
            return
        course = self._agents.get(agent.name)
        if course is None:
            course = self._agents[agent.name] = _Course(ms)
        self._agents.move_to_end(agent.name)
        _put(course.all, ms)
        self._times += 1
        kind = KINDS.get(event.type)
        if kind is not None:
            times = course.kinds.get(kind)
            if times is None:
                times = course.kinds[kind] = array("q")
            _put(times, ms)
            self._times += 1
            if kind == "errors":
                course.errors.append(AgentError(ms, _words(event), agent.run or None))
        if agent.run:
            first, last = course.runs.get(agent.run, (ms, ms))
            course.runs[agent.run] = (min(first, ms), max(last, ms))
            course.runs.move_to_end(agent.run)
            if len(course.runs) > MAX_RUNS:
                course.runs.popitem(last=False)
        if self._times > MAX_TIMES or len(self._agents) > MAX_AGENTS:
            self._make_room()

    def agents(self, at_ms: int, *, most: int = MAX_AGENTS, minutes: int = 20) -> list[AgentThen]:
        """Those that had done something by the end of a millisecond, the last seen first."""
        seen = [(last, name) for name, course in self._agents.items() if (last := course.last_by(at_ms)) is not None]
        return [self._then(name, self._agents[name], at_ms, minutes) for _, name in heapq.nlargest(most, seen)]

    def count(self, at_ms: int) -> int:
        """How many agents had done something by then, of those that are known."""
        return sum(course.first_ms <= at_ms for course in self._agents.values())

    def agent(self, name: str, at_ms: int, *, minutes: int = 60) -> AgentThen | None:
        """One of them."""
        course = self._agents.get(name)
        return None if course is None or course.first_ms > at_ms else self._then(name, course, at_ms, minutes)

    def acts(self, name: str, at_ms: int, most: int) -> list[int]:
        """The last milliseconds, by the end of that one, in which an agent did something; the newest first."""
        course = self._agents.get(name)
        found: list[int] = []
        place = 0 if course is None else bisect_right(course.all, at_ms)
        while course is not None and place and len(found) < most:
            found.append(course.all[place - 1])
            place = bisect_left(course.all, found[-1], 0, place)
        return found

    def failing(self, from_ms: int, at_ms: int) -> list[tuple[str, int, AgentError]]:
        """Agents for which something went wrong between these moments: how often, and what it was the last time."""
        found: list[tuple[str, int, AgentError]] = []
        for name, course in self._agents.items():
            count = course.count_by("errors", at_ms) - course.count_by("errors", from_ms)
            last = next((each for each in reversed(course.errors) if each.at_ms <= at_ms), None)
            if count > 0 and last is not None:
                found.append((name, count, last))
        return sorted(found, key=lambda each: -each[1])

    def outages(self) -> list[Outage]:
        """What the log tells to be down still, the longest first. Who died meanwhile has not said that it ended."""
        return list(self._outages.values())

    def parked(self, at_ms: int) -> list[ParkedThen]:
        """Deliveries that waited for a decision at the end of a millisecond, the last parked first."""
        stood = [each for each in self._parked.values() if each.parked_ms <= at_ms]
        open_ = [each for each in stood if each.settled_ms is None or each.settled_ms > at_ms]
        return [replace(each, settled_ms=None, how="", by="") for each in reversed(open_)]

    def settled(self, ident: str) -> ParkedThen | None:
        """A delivery of that ID about which somebody has decided, as far as that is known."""
        found = self._parked.get(ident)
        return None if found is None or found.settled_ms is None else found

    def _then(self, name: str, course: _Course, at_ms: int, minutes: int) -> AgentThen:
        edges = [at_ms - MINUTE_MS * back + 1 for back in range(minutes, -1, -1)]
        places = [bisect_left(course.all, edge) for edge in edges]
        runs = [(last, run) for run, (first, last) in course.runs.items() if first <= at_ms]
        return AgentThen(
            name=name,
            events=bisect_right(course.all, at_ms) + course.gone.get("all", 0),
            counts={kind: course.count_by(kind, at_ms) for kind in COUNTED},
            first_ms=course.first_ms,
            last_ms=course.last_by(at_ms) or course.first_ms,
            per_minute=tuple(after - before for before, after in pairwise(places)),
            runs=tuple(run for _, run in sorted(runs, reverse=True)),
            errors=tuple(each for each in reversed(course.errors) if each.at_ms <= at_ms),
        )

    def _make_room(self) -> None:
        while len(self._agents) > MAX_AGENTS:
            _, gone = self._agents.popitem(last=False)
            self._times -= len(gone.all) + sum(map(len, gone.kinds.values()))
            self.fallen += 1
        while self._times > MAX_TIMES:
            self._times -= max(self._agents.values(), key=lambda course: len(course.all)).halve()

    def _take_circuit(self, event: Event, ms: int) -> None:
        try:
            data = data_of(event)
        except OddData:
            return
        kind, _, agent = event.subject.partition("/")
        who = (clip(agent), _text(data, "consumer"))
        self._outages.pop(who, None)
        if event.type == "circuit.opened" and kind == "actor":
            error = clip(f"{_text(data, 'error')}: {_text(data, 'message')}")
            self._outages[who] = Outage(agent=who[0], consumer=who[1], error=error, since_ms=ms)
            if len(self._outages) > MAX_CIRCUITS:
                self._outages.popitem(last=False)

    def _take_parked(self, event: Event, ms: int) -> None:
        try:
            data = data_of(event)
        except OddData:
            return
        ident = data.get("parked")
        if not isinstance(ident, str):
            return
        known = self._parked.get(ident)
        if event.type == "delivery.parked" and known is None:  # of an ID, there is one: what else comes is not Roost's
            self._parked[ident] = _parked(clip(ident), event, data, ms)
            while len(self._parked) > MAX_PARKED:
                self._parked.popitem(last=False)
                self.parked_gone += 1
        elif event.type != "delivery.parked" and known is not None and known.settled_ms is None:
            how, by = event.type.removeprefix("delivery."), _text(data, "by")
            self._parked[ident] = replace(known, settled_ms=ms, how=how, by=by)


def _put(times: array[int], ms: int) -> None:
    """In order: shards are followed side by side, and one's events may come after later ones of another."""
    if times and ms < times[-1]:
        times.insert(bisect_right(times, ms), ms)
    else:
        times.append(ms)


def _parked(ident: str, event: Event, data: Data, ms: int) -> ParkedThen:
    attempts: object = data.get("attempts")
    agent = agent_of(event)
    return ParkedThen(
        id=ident,
        actor="" if agent is None else agent.name,
        type=_text(data, "type"),
        error=clip(f"{_text(data, 'error')}: {_text(data, 'message')}"),
        attempts=attempts if isinstance(attempts, int) else 0,
        run=None if agent is None else agent.run or None,
        parked_ms=ms,
    )


def _words(event: Event) -> str:
    try:
        data = data_of(event)
    except OddData:
        return event.type
    what = {"delivery.retried": "tries again", "delivery.parked": "gave up"}.get(event.type, "failed")
    return clip(
        f"{what} {_text(data, 'type') or _text(data, 'label')}: {_text(data, 'error')}: {_text(data, 'message')}"
    )


def _text(data: Data, name: str) -> str:
    value: object = data.get(name)
    return clip(value) if isinstance(value, str) else ""
