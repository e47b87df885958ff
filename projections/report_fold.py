"""The fold of a log into the report of one of its runs."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

from roost.streams import Event, Position

from .chain import Chain
from .course import CourseFold
from .folding import fold
from .quantiles import Quantiles, measured
from .recorded import Data, OddData, RecordedWork, count_of, data_of, how_of, optional_text, spared_work, text_of
from .report import RunReport
from .reuse_edges import UsesFold
from .runs import RunsFold, RunState
from .seen import AgentId, agent_of, clip
from .sharing import Sharing
from .spans import span_of
from .tally import Tally
from .timeline import Interval, Longest

MAX_FOREIGN = 200_000
"""Notes of other runs whose author is remembered, the last that were written."""
MAX_MICROS = 10**15
LABELS = ("label", "title", "name", "key")


@dataclass(frozen=True, slots=True)
class _Claim:
    agent: AgentId | None
    at: int
    what: str


class ReportFold:
    """Folds events, in the order of the log, into the report of a run.

    It also looks at notes of other runs, to tell whose note was reused: give it the log from as far back as may be. It
    holds what its events tell in a few hundred bytes each; times in eight.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._runs, self._tally = RunsFold(), Tally(run)
        self._own: dict[str, AgentId] = {}
        self._foreign: dict[str, AgentId] = {}
        self._uses, self._course, self._chain, self._longest = UsesFold(), CourseFold(), Chain(), Longest()
        self._agents: dict[str, AgentId] = {}
        self._claims: dict[str, _Claim] = {}
        self._keys: set[str] = set()
        self._keyed = self._handled = self._computed = self._odd = 0
        self._memory = measured()
        self._waits: dict[str, array[int]] = {}
        self._first: Position | None = None
        self._last: Position | None = None
        self._takers: dict[str, Callable[[Event, AgentId | None, Data, int], None]] = {
            "note.read": self._read,
            "work.claimed": self._claimed_work,
            "work.computed": self._computed_work,
            "work.reused": self._reused_work,
            "work.failed": self._failed_work,
            "delivery.handled": self._delivery,
            "delivery.retried": self._delivery,
            "delivery.parked": self._delivery,
        }

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        written: Any = event.id  # as it was written, by whomever
        if event.position is None or not isinstance(written, str):
            return
        if event.run != self._run:
            if event.type == "note.written":
                self._written_elsewhere(event)
            return
        self._first, self._last = self._first or event.position, event.position
        odd = self._tally.odd
        if event.type.startswith("run."):
            self._runs.evolve(event)
        self._tally.evolve(event)
        try:
            self._take(event, event.position.ms * 1000)
        except OddData:
            self._odd += self._tally.odd == odd  # it counts once, whoever finds it odd

    def _written_elsewhere(self, event: Event) -> None:
        author = agent_of(event)
        if author is not None:
            self._foreign[event.id] = author
            if len(self._foreign) > MAX_FOREIGN:
                del self._foreign[next(iter(self._foreign))]

    def _take(self, event: Event, at: int) -> None:
        """What the facts need of it. Raises OddData."""
        agent, data = self._agent_of(event), _object_of(event)
        self._chain.add(event, agent, at, what_of(event, data))
        if event.type == "note.written":
            if agent is not None:
                self._own[event.id] = agent
            return
        take = self._takers.get(event.type)
        if take is not None:
            if data is None:
                raise OddData(f"{event.type} {event.id}: the data is no object")
            take(event, agent, data, at)

    def _agent_of(self, event: Event) -> AgentId | None:
        """One and the same for all events of an agent: very many hold on to it."""
        agent = agent_of(event)
        return None if agent is None else self._agents.setdefault(agent.name, agent)

    def _read(self, event: Event, agent: AgentId | None, data: Data, at: int) -> None:
        note, count = text_of(data, "note"), count_of(data, "count")
        self._pin(note)
        self._uses.read(agent, note, count)

    def _claimed_work(self, event: Event, agent: AgentId | None, data: Data, at: int) -> None:
        key, what = _named(data)
        self._claims[key] = _Claim(agent, at, what)

    def _failed_work(self, event: Event, agent: AgentId | None, data: Data, at: int) -> None:
        self._settled(event, agent, *_named(data), at, at, "failed")

    def _pin(self, note: str) -> None:
        """Who wrote a note that this run reads is not forgotten."""
        author = self._foreign.pop(note, None)
        if author is not None:
            self._own[note] = author

    def _reused_work(self, event: Event, agent: AgentId | None, data: Data, at: int) -> None:
        how, note, work = how_of(data), text_of(data, "note"), spared_work(data)
        self._pin(note)
        self._uses.reused(agent, note, how, work)
        if work is not None:
            self._course.saved(self._after_ms(event.position), work)

    def _computed_work(self, event: Event, agent: AgentId | None, data: Data, at: int) -> None:
        work, (key, what) = RecordedWork.from_data(data), _named(data)
        self._computed += work.micros
        self._course.spent(self._after_ms(event.position), work)
        self._keyed += 1
        self._keys.add(key)
        outcome = "late" if data.get("late") is True else "computed"
        self._settled(event, agent, key, what, at, at - work.micros, outcome)

    def _settled(
        self, event: Event, agent: AgentId | None, key: str, what: str, at: int, since: int, outcome: str
    ) -> None:
        """A computation, from its claim on; since `since` when its agent has no claim of the key."""
        claim = self._claims.get(key)
        if claim is not None and claim.agent == agent:
            del self._claims[key]
            since, what = claim.at, claim.what
        self._longest.add(
            Interval(
                activity="computation", agent=agent.name if agent else None, handler=None, what=what, outcome=outcome,
                start=since, end=at, traceparent=span_of(event.traceparent),
            )
        )  # fmt: skip

    def _delivery(self, event: Event, agent: AgentId | None, data: Data, at: int) -> None:
        handler, of, kind = text_of(data, "handler"), text_of(data, "event"), text_of(data, "type")
        is_handled, link = event.type == "delivery.handled", self._chain.get(of)
        took = 0 if data.get("ms") is None and not is_handled else micros_of(data, "ms")
        times = _times(data) if is_handled else []
        if link is not None and event.type != "delivery.retried":
            link.has_ended(agent, handler, at - took, took)
        if is_handled:
            self._memory.extend(times)
            self._handled += took
            if link is not None:
                name = agent.name if agent else ""
                waits = self._waits.get(name)
                if waits is None:
                    waits = self._waits[name] = measured()
                waits.append(max(0, at - took - link.at))
        self._longest.add(
            Interval(
                activity="delivery", agent=agent.name if agent else None, handler=handler,
                what=link.what if link is not None else clip(kind),
                outcome="done" if is_handled else event.type.removeprefix("delivery."), start=at - took, end=at,
                traceparent=span_of(event.traceparent),
            )
        )  # fmt: skip

    def _author_of(self, note: str) -> AgentId | None:
        return self._own.get(note) or self._foreign.get(note)

    def _after_ms(self, position: Position | None) -> int:
        return max(0, position.ms - self._first.ms) if position is not None and self._first is not None else 0

    def report(self) -> RunReport:
        """How it stands now."""
        figures = self._tally.figures(more_odd=self._odd)
        state = replace(
            self._runs.by_id.get(self._run) or RunState(id=self._run), events=figures.events, notes=figures.notes,
            deliveries=figures.deliveries, retries=figures.retries, parked=figures.parked,
        )  # fmt: skip
        if self._first is None or self._last is None:
            return RunReport(run=state, figures=figures)
        state = replace(state, first_ms=self._first.ms, last_ms=self._last.ms)
        began, wall_ms = self._first.ms * 1000, self._after_ms(self._last)
        edges = self._uses.edges(self._author_of)
        everything = measured()
        for waits in self._waits.values():
            everything.extend(waits)
        return RunReport(
            run=state, figures=figures, first=str(self._first), last=str(self._last), began=began,
            wall=wall_ms * 1000, handled=self._handled, computed=self._computed,
            sharing=Sharing(
                computed=figures.work.computed, found=figures.work.found, joined=figures.work.joined,
                referenced=sum(edge.referenced for edge in edges), keyed=self._keyed, keys=len(self._keys),
            ),
            path=self._chain.path(began, began + wall_ms * 1000), memory=Quantiles.of(self._memory),
            waits=Quantiles.of(everything),
            waits_by_actor={name: Quantiles.of(waits) for name, waits in self._waits.items()},
            timeline=self._longest.timeline(), edges=edges,
            built_on=self._uses.authors(self._author_of), course=self._course.points(wall_ms),
        )  # fmt: skip


async def report_of(events: AsyncIterable[Event] | Iterable[Event], run: str) -> RunReport:
    """The report of a run: of its events among these. They are to come in the order of the log."""
    return (await fold(events, ReportFold(run))).report()


def what_of(event: Event, data: Data | None) -> str:
    """What an event is about, for people: the label, title, name or key in its data, else its subject."""
    for name in LABELS if data is not None else ():
        said: object = cast("Data", data).get(name)
        if isinstance(said, str) and said:
            return clip(said)
    return clip(event.subject)


def micros_of(data: Data, name: str) -> int:
    """Milliseconds as whole microseconds. Raises OddData."""
    value: object = data.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e12:
        raise OddData(f"{name} is no number from 0 up")
    return round(value * 1000)


def _named(data: Data) -> tuple[str, str]:
    """The key of work, and what people call it. Raises OddData."""
    key = text_of(data, "key")
    return key, clip(optional_text(data, "label") or key)


def _times(data: Data) -> list[int]:
    """What the delivery's memory operations took. Raises OddData."""
    listed: Any = data.get("memory_us", [])
    if not isinstance(listed, list):
        raise OddData("memory_us is no list")
    times = [count_of({"us": each}, "us") for each in cast("list[object]", listed)]
    if any(each >= MAX_MICROS for each in times):
        raise OddData("memory_us is beyond all measure")
    return times


def _object_of(event: Event) -> Data | None:
    """An event's data where it is an object: what a program appends may be anything."""
    try:
        return data_of(event)
    except OddData:
        return None
