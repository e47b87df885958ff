"""Answers: what the world told a handler when its delivery was recorded, given once more when it asks again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from roost.projections.recorded import Data, OddData, count_of, data_of
from roost.streams import Event

from ..searching.question import name_of_told
from .recording import RecordedDelivery, Recording

Asked = tuple[Literal["once", "find", "get", "search"], str]


@dataclass(frozen=True, slots=True)
class Failed:
    """What was asked for has failed."""

    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search has found: IDs of notes with their scores, best first."""

    hits: tuple[tuple[str, float], ...]
    looked_at: int
    complete: bool


Answer = str | Failed | Searched | None
"""The ID of a note; a failure; what a search has found; or that there was none."""


class Answers:
    """Of one delivery. The same question may have had several answers: they come in their order, the last one again.

    An attempt that was never recorded to end may have left answers before those that count: `skip` says how many are
    to be passed over, for each question.
    """

    def __init__(self, recording: Recording, delivery: RecordedDelivery, skip: Mapping[Asked, int]) -> None:
        self._recording = recording
        self._answers: dict[Asked, deque[Answer]] = {}
        self._asked: dict[Asked, int] = {}
        """How often each was asked now."""
        self.observed: dict[str, deque[list[Any]]] = {}
        self.times_ms: deque[int] = deque(each for each in delivery.told.get("now", ()) if isinstance(each, int))
        self.forgotten: set[str] = set()
        self._claimed: set[str] = set()
        for row in delivery.told.get("observed", ()):
            self.observed.setdefault(row[0], deque()).append(row)
        self._collect(delivery.attempt)
        self._all = {asked: list(listed) for asked, listed in self._answers.items()}
        for asked, count in skip.items():
            listed = self._answers.get(asked, deque())
            for _ in range(min(count, len(listed) - 1)):
                listed.popleft()

    def has(self, asked: Asked) -> bool:
        """Whether that was asked."""
        return asked in self._answers

    def next(self, asked: Asked) -> Answer:
        """What was answered. Raises KeyError for what was not asked."""
        listed = self._answers[asked]
        self._asked[asked] = self._asked.get(asked, 0) + 1
        return listed.popleft() if len(listed) > 1 else listed[0]

    def unasked(self) -> list[str]:
        """Keys that were asked for, and are not now."""
        return [key for (kind, key) in self._answers if kind == "once" and (kind, key) not in self._asked]

    def left(self) -> dict[Asked, int]:
        """Of what was asked now, and has had different answers: how many of them were not given."""
        return {
            asked: len(self._all[asked]) - count
            for asked, count in self._asked.items()
            if len(self._all[asked]) > count and len(set(map(str, self._all[asked]))) > 1
        }

    def _collect(self, events: Iterable[Event]) -> None:
        before: Event | None = None
        for event in events:
            try:
                self._take(event, data_of(event), before)
            except OddData:
                continue
            before = event

    def _take(self, event: Event, data: Data, before: Event | None) -> None:
        key, note = data.get("key"), data.get("note")
        match event.type:
            case "note.read" if isinstance(note, str):
                self._add(("get", note), note)
                known = self._recording.notes.get(note)
                if known is not None and known.record.key is not None:
                    self._add(("find", known.record.key), note)
            case "note.missed":
                self._add(("get", note) if note is not None else ("find", str(key)), None)
            case "notes.searched":
                self._add(("search", name_of_told(data)), _searched(data))
            case "note.forgotten":
                self.forgotten.add(str(note))
            case "work.claimed":
                self._claimed.add(str(key))
            case "work.computed" if note is not None:
                self._was_missed_before(str(key))
                self._add(("once", str(key)), note)
            case "work.computed":  # too late: the note that was there was used
                found = self._answers.get(("find", str(key)))
                if found:
                    self._add(("once", str(key)), found[-1])
            case "work.reused":
                self._add(("once", str(key)), note)
                if _is_one_step(before, event):  # the read was that of the reuse: nobody looked for the key besides
                    self._take_back(("find", str(key)))
            case "work.failed":
                self._was_missed_before(str(key))
                self._add(("once", str(key)), Failed(str(data.get("error")), str(data.get("message"))))
            case _:
                return

    def _was_missed_before(self, key: str) -> None:
        """Without single flight there is no claim: who computes has looked before, and that look was no `find`."""
        listed = self._answers.get(("find", key))
        if key not in self._claimed and listed and listed[-1] is None:
            self._take_back(("find", key))

    def _take_back(self, asked: Asked) -> None:
        listed = self._answers.get(asked)
        if listed:
            listed.pop()
        if not listed:
            self._answers.pop(asked, None)

    def _add(self, asked: Asked, answer: Answer) -> None:
        self._answers.setdefault(asked, deque()).append(answer)


def _searched(data: Data) -> Searched:
    """Raises OddData."""
    try:
        hits = tuple((str(note), float(score)) for note, score in cast("list[Any]", data.get("hits")))
    except (TypeError, ValueError) as error:
        raise OddData("the hits of a search cannot be read") from error
    return Searched(hits, count_of(data, "looked_at", len(hits)), data.get("complete") is True)


def _is_one_step(before: Event | None, event: Event) -> bool:
    """Whether the read before it was logged by the same script call."""
    if before is None or before.type != "note.read" or before.subject != event.subject:
        return False
    return before.version is not None and event.version == before.version + 1
