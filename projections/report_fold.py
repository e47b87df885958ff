"""The fold of a log into the report of one of its runs."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from roost.streams import Event, Position

from .chain import Chain
from .course import CourseFold
from .folding import fold
from .quantiles import Quantiles, measured
from .recorded import Data, OddData, RecordedWork, count_of, data_of, how_of, optional_text, text_of
from .report import RunReport
from .reuse_edges import UsesFold
from .runs import RunsFold, RunState
from .seen import AgentId, agent_of, clip
from .sharing import Sharing
from .tally import Tally
from .timeline import Interval, Longest

MAX_FOREIGN = 200_000
"""Notes of other runs whose author is remembered, the last that were written."""
MAX_MEMORY_TIMES = 10_000_000
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
        self._claims: dict[str, _Claim] = {}
        self._keys: set[str] = set()
        self._keyed = self._handled = self._computed = self._odd = 0
        self._memory = measured()
        self._waits: dict[str, array[int]] = {}
        self._first: Position | None = None
        self._last: Position | None = None

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        if event.position is None:
            return
        if event.run != self._run:
            if event.type == "note.written":
                self._written_elsewhere(event)
            return
        self._first, self._last = self._first or event.position, event.position
        odd = self._tally.odd
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
        data = _data(event)
        self._chain.add(event, at, what_of(event, data))
        match event.type:
            case "note.written":
                author = agent_of(event)
                if author is not None:
                    self._own[event.id] = author
            case "note.read":
                note, count = text_of(_sure(event), "note"), count_of(_sure(event), "count")
                self._pin(note)
                self._uses.read(agent_of(event), note, count)
            case "work.reused":
                self._reused(event, _sure(event))
            case "work.claimed":
                sure = _sure(event)
                key = text_of(sure, "key")
                self._claims[key] = _Claim(agent_of(event), at, clip(optional_text(sure, "label") or key))
            case "work.computed":
                self._computed_work(event, _sure(event), at)
            case "work.failed":
                self._settled(event, _sure(event), at, at, "failed")
            case "delivery.handled":
                self._delivery_handled(event, _sure(event), at)
            case "delivery.retried" | "delivery.parked":
                self._delivery_failed(event, _sure(event), at)
            case _:
                return

    def _pin(self, note: str) -> None:
        """Who wrote a note that this run reads is not forgotten."""
        author = self._foreign.pop(note, None)
        if author is not None:
            self._own[note] = author

    def _reused(self, event: Event, data: Data) -> None:
        how, note, recorded = how_of(data), text_of(data, "note"), data.get("work")
        work = None if recorded is None else RecordedWork.from_data(cast("Data", recorded))
        self._pin(note)
        self._uses.reused(agent_of(event), note, how, work)
        if work is not None:
            self._course.saved(self._after_ms(event.position), work)

    def _computed_work(self, event: Event, data: Data, at: int) -> None:
        work = RecordedWork.from_data(data)
        self._computed += work.micros
        self._course.spent(self._after_ms(event.position), work)
        self._keyed += 1
        self._keys.add(text_of(data, "key"))
        self._settled(event, data, at, at - work.micros, "late" if data.get("late") is True else "computed")

    def _settled(self, event: Event, data: Data, at: int, since: int, outcome: str) -> None:
        """A computation, from its claim on; since `since` when its agent has no claim of the key."""
        key, agent = text_of(data, "key"), agent_of(event)
        what = clip(optional_text(data, "label") or key)
        claim = self._claims.get(key)
        if claim is not None and claim.agent == agent:
            del self._claims[key]
            since, what = claim.at, claim.what
        self._longest.add(
            Interval(
                activity="computation", agent=agent.name if agent else None, handler=None, what=what, outcome=outcome,
                start=since, end=at,
            )
        )  # fmt: skip

    def _delivery_handled(self, event: Event, data: Data, at: int) -> None:
        handler, of, took = text_of(data, "handler"), text_of(data, "event"), micros_of(data, "ms")
        times = _times(data)
        self._handled += took
        self._memory.extend(times)
        agent = agent_of(event)
        delivered = self._chain.handled(of, agent, handler, at - took, took)
        if delivered is not None:
            name = agent.name if agent else ""
            waits = self._waits.get(name)
            if waits is None:
                waits = self._waits[name] = measured()
            waits.append(max(0, at - took - delivered.at))
        what = delivered.what if delivered is not None else clip(text_of(data, "type"))
        self._longest.add(
            Interval(
                activity="delivery", agent=agent.name if agent else None, handler=handler, what=what, outcome="done",
                start=at - took, end=at,
            )
        )  # fmt: skip

    def _delivery_failed(self, event: Event, data: Data, at: int) -> None:
        handler, of, agent = text_of(data, "handler"), text_of(data, "event"), agent_of(event)
        delivered = self._chain.get(of)
        took = 0 if data.get("ms") is None else micros_of(data, "ms")
        self._longest.add(
            Interval(
                activity="delivery", agent=agent.name if agent else None, handler=handler,
                what=delivered.what if delivered is not None else clip(text_of(data, "type")),
                outcome=event.type.removeprefix("delivery."), start=at - took, end=at,
            )
        )  # fmt: skip

    def _after_ms(self, position: Position | None) -> int:
        return max(0, position.ms - self._first.ms) if position is not None and self._first is not None else 0

    def report(self) -> RunReport:
        """How it stands now."""
        state = self._runs.by_id.get(self._run) or RunState(id=self._run)
        figures = self._tally.figures(more_odd=self._odd)
        if self._first is None or self._last is None:
            return RunReport(run=state, figures=figures)
        began, wall_ms = self._first.ms * 1000, self._after_ms(self._last)
        edges = self._uses.edges(self._own.get)
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
            timeline=self._longest.timeline(), edges=edges, course=self._course.points(wall_ms),
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


def _times(data: Data) -> list[int]:
    """What the delivery's memory operations took. Raises OddData."""
    listed: Any = data.get("memory_us", [])
    if not isinstance(listed, list):
        raise OddData("memory_us is no list")
    return [count_of({"us": each}, "us") for each in cast("list[object]", listed)]


def _data(event: Event) -> Data | None:
    """An event's data where it is an object: what a program appends may be anything."""
    try:
        return data_of(event)
    except OddData:
        return None


def _sure(event: Event) -> Data:
    return data_of(event)
