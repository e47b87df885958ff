"""Activity: who is in the flock, what each does now, what was written and reused of late. Bounded, for a live log."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from roost.streams import Event

from .figures import Figures
from .notes import record_of
from .recorded import Data, OddData, count_of, data_of, how_of, optional_text, text_of
from .seen import Action, AgentCounts, AgentId, AgentState, SeenNote, Task, Thread, agent_of, clip
from .tally import Tally

MAX_AGENTS = 200
MAX_NOTES = 200
MAX_THREADS = 200
MAX_IN_HAND = 1000
MAX_AUTHORS = 20_000
"""Notes whose author is remembered, so that a reuse can be told from whom."""


K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Agent:
    did: Action = "acted"
    about: str = ""
    last_ms: int = 0
    counts: Counter[str] = field(default_factory=Counter[str])


class Activity:
    """Folds events, in the order of the log, into what the flock does now. What is oldest falls out, counted.

    `events` counts what was folded, `odd` what was left out because its data does not fit its type; `fallen` counts
    agents that were silent the longest, and tasks that were in hand the longest, which had to make room.
    """

    def __init__(
        self, *, max_agents: int = MAX_AGENTS, max_notes: int = MAX_NOTES, max_threads: int = MAX_THREADS
    ) -> None:
        self.events = self.odd = self.fallen = 0
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self._max_agents, self._max_notes = max_agents, max_notes
        self._agents: dict[AgentId, _Agent] = {}  # the longest silent first
        self._tasks: dict[str, Task] = {}  # by key: for a key there is one claim at a time
        self._notes: dict[str, SeenNote] = {}
        self._authors: dict[str, AgentId] = {}
        self._threads: deque[Thread] = deque(maxlen=max_threads)
        self._tally = Tally(messages=False)

    @property
    def agents(self) -> list[AgentState]:
        """The agents, the last seen first."""
        held: dict[AgentId, list[Task]] = {}
        for task in self._tasks.values():
            held.setdefault(task.agent, []).append(task)
        return [_state(agent_id, seen, held.get(agent_id, ())) for agent_id, seen in reversed(self._agents.items())]

    @property
    def tasks(self) -> list[Task]:
        """All work in hand, the longest first."""
        return sorted(self._tasks.values(), key=lambda task: task.since_ms)

    @property
    def notes(self) -> list[SeenNote]:
        """Notes written of late that have not gone since, the newest first."""
        return list(reversed(self._notes.values()))

    @property
    def threads(self) -> list[Thread]:
        """Reuse of late, the newest first."""
        return list(reversed(self._threads))

    def author_of(self, note_id: str) -> AgentId | None:
        """Who wrote a note, while that is remembered."""
        return self._authors.get(note_id)

    def figures(self) -> Figures:
        """What was done, spared and spent in what was folded. Bytes of messages are left at 0."""
        return self._tally.figures()

    def note(self, note_id: str) -> SeenNote | None:
        """A note, if it is among those written of late."""
        return self._notes.get(note_id)

    def release(self, tasks: Iterable[Task]) -> None:
        """These are in hand no more, if they still were: the server has no such claim."""
        for task in tasks:
            if self._tasks.get(task.key) == task:
                del self._tasks[task.key]

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        self.events += 1
        ms = event.position.ms if event.position is not None else event.time_ms
        self.first_ms, self.last_ms = ms if self.first_ms is None else self.first_ms, ms
        self._tally.evolve(event)
        try:
            did, about, counted = self._take(event, ms)
        except OddData:
            self.odd += 1
            did, about, counted = "acted", event.type, None
        agent_id = agent_of(event)
        if agent_id is None:
            return
        seen = self._agents.pop(agent_id, None) or _Agent()
        seen.did, seen.about, seen.last_ms = did, clip(about), ms
        if counted is not None:
            seen.counts[counted[0]] += counted[1]
        self._agents[agent_id] = seen
        if len(self._agents) > self._max_agents:
            self._drop(next(iter(self._agents)))

    def _drop(self, agent_id: AgentId) -> None:
        del self._agents[agent_id]
        self.fallen += 1
        self.release([task for task in self._tasks.values() if task.agent == agent_id])

    def _take(self, event: Event, ms: int) -> tuple[Action, str, tuple[str, int] | None]:
        """What the event's agent did, about what, and what of its counts grows by how much. Raises OddData."""
        match event.type:
            case "note.written":
                return "wrote", self._written(event, ms), ("notes", 1)
            case "note.read":
                return self._read(data_of(event))
            case "note.missed":
                data = data_of(event)
                return "missed", optional_text(data, "key") or optional_text(data, "note") or "", None
            case "note.expired" | "note.forgotten":
                note = text_of(data_of(event), "note")
                self._notes.pop(note, None)
                return "acted", f"{event.type} {note}", None
            case "work.claimed":
                return "claimed", self._claimed(event, ms), None
            case "work.computed":
                return "computed", self._settled(event), ("computed", 1)
            case "work.failed":
                return "failed", self._settled(event), ("errors", 1)
            case "work.reused":
                return self._reused(event, ms)
            case "delivery.handled":
                return "handled", text_of(data_of(event), "type"), ("handled", 1)
            case "delivery.retried" | "delivery.parked":
                return "failed", text_of(data_of(event), "type"), ("errors", 1)
            case _:
                return "acted", event.type, None

    def _written(self, event: Event, ms: int) -> str:
        record, author = record_of(event), agent_of(event)
        if author is None and record.author is not None:
            author = AgentId(clip(record.author), clip(record.run or ""))
        # Once the key is written, whatever claim it had has ended.
        task = self._tasks.pop(record.key, None) if record.key is not None else None
        note = SeenNote(record=record, author=author, at_ms=ms, label=task.label if task else None)
        _keep(self._notes, record.id, note, self._max_notes)
        if author is not None:
            _keep(self._authors, clip(record.id), author, MAX_AUTHORS)
        return note.title

    def _read(self, data: Data) -> tuple[Action, str, tuple[str, int]]:
        note_id, count = text_of(data, "note"), count_of(data, "count")
        note = self._notes.get(note_id)
        if note is not None:
            self._notes[note_id] = replace(note, reads=note.reads + count)
        return "read", note.title if note is not None else note_id, ("reads", count)

    def _claimed(self, event: Event, ms: int) -> str:
        data = data_of(event)
        key, label, agent = text_of(data, "key"), optional_text(data, "label"), agent_of(event)
        self._tasks.pop(key, None)  # whose lease ran out has it no more
        if agent is not None:
            task = Task(agent=agent, key=key, label=clip(label) if label else None, since_ms=ms)
            self.fallen += _keep(self._tasks, key, task, MAX_IN_HAND)
            return task.title
        return key

    def _settled(self, event: Event) -> str:
        data = data_of(event)
        key, note = text_of(data, "key"), self._notes.get(optional_text(data, "note") or "")
        label = optional_text(data, "label")
        if note is not None:  # it was written just before, and that ended the claim
            if label and not note.label:  # claimed before what was folded
                note = self._notes[note.id] = replace(note, label=clip(label))
            return note.title
        task = self._tasks.get(key)
        if task is None or task.agent != agent_of(event):
            return label or key  # it came too late, and another may be at it
        del self._tasks[key]
        return task.title

    def _reused(self, event: Event, ms: int) -> tuple[Action, str, tuple[str, int]]:
        data = data_of(event)
        how, note_id, key = how_of(data), text_of(data, "note"), text_of(data, "key")
        note, reader = self._notes.get(note_id), agent_of(event)
        if note is not None:
            self._notes[note_id] = replace(note, reused=note.reused + 1)
        if reader is not None:
            author = self._authors.get(note_id)
            thread = Thread(reader=reader, author=author, note=clip(note_id), key=clip(key), how=how, at_ms=ms)
            self._threads.append(thread)
        return "reused", note.title if note is not None else key, (how, 1)


def _state(agent_id: AgentId, seen: _Agent, held: Iterable[Task]) -> AgentState:
    doing = tuple(sorted(held, key=lambda task: task.since_ms))
    return AgentState(
        id=agent_id,
        doing=doing,
        did=seen.did,
        about=seen.about,
        since_ms=doing[0].since_ms if doing else seen.last_ms,
        last_ms=seen.last_ms,
        counts=AgentCounts(**seen.counts),
    )


def _keep(kept: dict[K, V], key: K, value: V, most: int) -> bool:
    """Remember, and forget the oldest when there are too many; whether that was so."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) <= most:
        return False
    del kept[next(iter(kept))]
    return True
