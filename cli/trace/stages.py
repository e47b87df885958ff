"""The stages of a run: its agents, what each took in and gave out, its answers, and who built on its notes later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from roost.otel.identity import root_of
from roost.projections import OddData
from roost.projections.recorded import (
    Data,
    RecordedWork,
    count_of,
    data_of,
    how_of,
    optional_text,
    spared_work,
    text_of,
    texts_of,
)
from roost.projections.seen import clip
from roost.projections.spans import span_of
from roost.projections.spending import Spending
from roost.streams import Event

MAX_AGENTS = 1000
MAX_TYPES = 100
"""Types of events of one agent that are told apart."""
MAX_OWN = 500_000
"""Notes of the run whose later use is noticed, the first ones: about 100 bytes each."""
MAX_LATER = 10_000
"""Different agents of later runs."""
MAX_ANSWERS = 1000
BOOKKEEPING = frozenset({"manifest", "groups", "group"})
"""Tags of notes in which map-reduce lists other notes."""
NO_MESSAGES = ("note.", "work.", "delivery.", "model.", "effect.", "timer.", "circuit.")
"""Types of events that tell of something and are sent to nobody."""


@dataclass(slots=True)
class Agent:
    """What an agent did in the run. `takes` counts what it handled, `gives` what it sent, by type of event."""

    name: str
    first_ms: int
    takes: Counter[str] = field(default_factory=Counter[str])
    gives: Counter[str] = field(default_factory=Counter[str])
    wrote: int = 0
    read: int = 0
    computed: int = 0
    found: int = 0
    joined: int = 0
    spent: Spending = field(default_factory=Spending)
    span: str | None = None
    """Of the first of its events that had one."""


@dataclass(slots=True)
class LaterUse:
    """What an agent of another run, or of none, made of this run's notes."""

    run: str | None
    agent: str
    first_ms: int
    read: int = 0
    found: int = 0
    joined: int = 0
    saved: Spending = field(default_factory=Spending)
    notes: set[str] = field(default_factory=set[str])
    span: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A note that the run has come to, and what it answers."""

    question: str
    note: str


class StagesFold:
    """Folds the log, of which it takes the run's events and what others did with the run's notes. Bounded by the
    number of agents and notes, not by that of events."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._agents: dict[str, Agent] = {}
        self._later: dict[tuple[str | None, str], LaterUse] = {}
        self._own: set[str] = set()
        self._ends: dict[str, None] = {}
        self._questions: tuple[str, ...] = ()
        self._results: dict[str, str] = {}
        self.report: str | None = None
        self.span: str | None = None
        """Of the run itself, or else the first in it."""

    def evolve(self, event: Event) -> None:
        """Take one event in. What does not fit its type is left out."""
        try:
            if event.run == self._run:
                self._take(event)
            elif event.type in ("note.read", "work.reused"):
                self._take_later(event)
        except OddData:
            return

    def _take(self, event: Event) -> None:
        span = span_of(event.traceparent)
        self.span = self.span or span
        agent = self._agent(event)
        agent.span = agent.span or span
        data = data_of(event)
        match event.type:
            case "note.written":
                self._written(text_of(data, "note"), data)
                agent.wrote += 1
            case "note.read":
                agent.read += count_of(data, "count")
            case "work.computed":
                agent.spent.add(RecordedWork.from_data(data))
                agent.computed += 1
            case "work.reused":
                if how_of(data) == "found":
                    agent.found += 1
                else:
                    agent.joined += 1
            case "delivery.handled":
                _count(agent.takes, text_of(data, "type"))
            case kind if not kind.startswith(NO_MESSAGES):
                _count(agent.gives, kind)
                self._ending(kind, data, span)
            case _:
                return

    def _ending(self, kind: str, data: Data, span: str | None) -> None:
        if kind == "run.started":
            self._questions = texts_of(data, "questions")
            self.span = _root_of(self._run, span) or self.span
        elif kind == "run.ended":
            self.report = optional_text(data, "report")
        elif kind == "job.finished":
            results: object = data.get("results")
            for group, note in results.items() if isinstance(results, dict) else ():  # pyright: ignore[reportUnknownVariableType]  # checked below
                if isinstance(group, str) and isinstance(note, str) and len(self._results) < MAX_ANSWERS:
                    self._results[clip(group)] = note

    def _written(self, note: str, data: Data) -> None:
        sources, tags = texts_of(data, "sources"), texts_of(data, "tags")
        if len(self._own) < MAX_OWN:
            self._own.add(note)
        for source in sources:
            self._ends.pop(source, None)
        if not BOOKKEEPING.intersection(tags):
            self._ends[note] = None
            if len(self._ends) > MAX_ANSWERS:
                del self._ends[next(iter(self._ends))]

    def _take_later(self, event: Event) -> None:
        data = data_of(event)
        note = text_of(data, "note")
        if note not in self._own:
            return
        key = (clip(event.run) if event.run else None, clip(event.actor or ""))
        use = self._later.get(key)
        if use is None:
            if len(self._later) >= MAX_LATER:
                return
            use = self._later[key] = LaterUse(*key, event.position.ms if event.position else event.time_ms)
        use.notes.add(note)
        use.span = use.span or span_of(event.traceparent)
        if event.type == "note.read":
            use.read += count_of(data, "count")
            return
        if how_of(data) == "found":
            use.found += 1
        else:
            use.joined += 1
        work = spared_work(data)
        if work is not None:
            use.saved.add(work)

    def _agent(self, event: Event) -> Agent:
        name = clip(event.actor or "")
        known = self._agents.get(name)
        if known is None:
            known = Agent(name, event.position.ms if event.position else event.time_ms)
            if len(self._agents) < MAX_AGENTS:
                self._agents[name] = known
        return known

    @property
    def agents(self) -> list[Agent]:
        """In the order in which they were first seen."""
        return list(self._agents.values())

    @property
    def later(self) -> list[LaterUse]:
        """In the order in which they began."""
        return list(self._later.values())

    @property
    def answers(self) -> list[Answer]:
        """What a map-reduce job of the run has come to; else its report; else the notes that nothing in the run was
        made from, the last ones first."""
        if self._results:
            return [Answer(_question_of(group, self._questions), note) for group, note in self._results.items()]
        if self.report is not None:
            return [Answer("", self.report)]
        return [Answer("", note) for note in reversed(self._ends)]


def _root_of(run: str, sender: str | None) -> str | None:
    """The span of the run itself, from that which has told of its beginning."""
    if sender is None:
        return None
    version, trace, _, flags = sender.split("-")
    return f"{version}-{trace}-{root_of(run):016x}-{flags}"


def _question_of(group: str, questions: Iterable[str]) -> str:
    """A group of a run that answers questions is named by the question's number."""
    asked = list(questions)
    return asked[int(group) - 1] if group.isdecimal() and len(group) < 6 and 0 < int(group) <= len(asked) else group


def _count(counts: Counter[str], kind: str) -> None:
    if kind in counts or len(counts) < MAX_TYPES:
        counts[clip(kind)] += 1
