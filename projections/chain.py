"""The chain: which event led to which, as far as that is needed to tell what a run's end has waited for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from roost.streams import Event

from .critical_path import MAX_STEPS, CriticalPath, Step
from .seen import AgentId

MAX_HELD = 1_000_000
"""Events that are held, the last ones: about 400 bytes each."""

ENDS = "run.ended"


@dataclass(frozen=True, slots=True)
class _Ended:
    """A delivery that was handled, or given up: by whom, from when on, how long its handler took in the end."""

    agent: AgentId | None
    handler: str
    start: int
    took: int


@dataclass(slots=True)
class Link:
    """An event of the run, in the chain. `at` is its time in microseconds."""

    id: str
    at: int
    type: str
    agent: AgentId | None
    cause: str | None
    what: str
    ended: list[_Ended] | None = None

    def has_ended(self, agent: AgentId | None, handler: str, start: int, took: int) -> None:
        self.ended = self.ended or []
        self.ended.append(_Ended(agent, handler, start, took))


class Chain:
    """Holds the events of a run by their IDs; of two with one ID, the first."""

    def __init__(self, most: int = MAX_HELD) -> None:
        self._most = most
        self._links: dict[str, Link] = {}
        self._end: Link | None = None

    def get(self, event_id: str) -> Link | None:
        return self._links.get(event_id)

    def add(self, event: Event, agent: AgentId | None, at: int, what: str) -> None:
        if event.id in self._links:
            return
        cause: object = event.cause  # as it was written, by whomever
        link = Link(event.id, at, event.type, agent, cause if isinstance(cause, str) else None, what)
        if link.cause in self._links and (link.type == ENDS or self._end is None or self._end.type != ENDS):
            self._end = link
        self._links[link.id] = link
        if len(self._links) > self._most:
            del self._links[next(iter(self._links))]

    def path(self, first: int, last: int) -> CriticalPath:
        """The chain of causes back from the end: the last `run.ended` that has a cause in the run, else the last event
        that has one."""
        link, end = self._end, self._end
        if link is None or end is None:
            return CriticalPath()
        steps, count = deque[Step](maxlen=MAX_STEPS), 0
        wait = worked = other = 0
        seen = {link.id}
        while (cause := self._links.get(link.cause or "")) is not None and cause.id not in seen:
            step = _step(cause, link)
            wait, worked, other, count = wait + step.wait, worked + step.worked, other + step.other, count + 1
            if count <= MAX_STEPS:
                steps.appendleft(step)
            seen.add(cause.id)
            link = cause
        return CriticalPath(
            first=link.id, last=end.id, steps=tuple(steps), left_out=count - len(steps), wait=wait, worked=worked,
            other=other, before=max(0, link.at - first), after=max(0, last - end.at),
        )  # fmt: skip


def _step(cause: Link, link: Link) -> Step:
    """From an event to the one that its handling has led to."""
    total = max(0, link.at - cause.at)
    done = next((each for each in cause.ended or () if each.agent == link.agent), None)
    wait = worked = 0
    if done is not None:
        wait = min(max(0, done.start - cause.at), total)
        worked = min(done.took, total - wait)
    return Step(
        agent=link.agent.name if link.agent else None, handler=done.handler if done else None, event=cause.id,
        type=cause.type, what=cause.what, start=cause.at, wait=wait, worked=worked, other=total - wait - worked,
    )  # fmt: skip
